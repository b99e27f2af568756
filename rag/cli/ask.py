"""`rag ask`: the answer as it is written, then its sources, checks and scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rag.cli import interrupts, options, output
from rag.cli.fusing import fused
from rag.cli.refining import refined
from rag.cli.search import place_line

if TYPE_CHECKING:
    from rag.app import App
    from rag.ask import Question
    from rag.types import Citation, Interaction, Passage, Score

SCORES_INDENT = " " * len("Scores  ")


@click.command("ask")
@click.argument("question", nargs=-1, type=options.TEXT)
@click.option("-k", type=click.IntRange(1, 100), help="Passages to answer from.  [default: 8]")
@options.mode
@options.collection
@options.where
@fused
@refined
@click.option(
    "--generator",
    type=options.TEXT,
    help="Who answers: auto, extractive, transformers:<path or hub id>, openai:<base url>#<model>.  [default: auto]",
)
@click.option("--template", type=options.TEXT, metavar="NAME", help="Prompt template.  [default: answer]")
@click.option("--conversation", type=options.TEXT, metavar="ID", help="Conversation the question belongs to.")
@click.option("--parent", type=options.TEXT, metavar="ID", help="Answer the question follows, where not the last one.")
@click.option("--regenerate", type=options.TEXT, metavar="ID", help="Ask the question of this answer again.")
@options.abstain
@options.strict
@click.option("--seed", type=click.IntRange(min=0), help="Seed of a sampled answer.  [default: 0]")
@click.option("--temperature", type=options.Between(0, 2), help="Randomness of the answer; 0 is greedy.  [default: 0]")
@options.as_json
@options.common
def command(
    question: tuple[str, ...],
    k: int | None,
    mode: str | None,
    collection: str | None,
    where: str | None,
    fusion: str | None,
    alpha: float | None,
    rrf_k: int | None,
    depth: int | None,
    rerank: str | None,
    diversify: float | None,
    per_document: int | None,
    neighbours: int | None,
    generator: str | None,
    template: str | None,
    conversation: str | None,
    parent: str | None,
    regenerate: str | None,
    abstain: str | None,
    strict: bool | None,
    seed: int | None,
    temperature: float | None,
    json: bool,
) -> int:
    """Answer a question from the documents, with checked citations.

    The answer, its prompt, passages and scores are kept: `rag logs show ID` prints them.
    """
    if not question and regenerate is None:
        raise click.UsageError("Missing argument 'QUESTION'; or --regenerate ID asks an earlier one again.")
    flags = {"mode": mode, "collection": collection, "generator": generator, "passages": k, "reranker": rerank}
    flags |= {"prompt_template": template, "conversation_template": template}
    fusing = {"fusion": fusion, "alpha": alpha, "rrf_k": rrf_k, "depth": depth}
    refining = {"diversify": diversify, "per_document": per_document, "neighbours": neighbours}
    chosen = options.settings(**flags, **refining, abstain=abstain, seed=seed, temperature=temperature)
    with options.opened(chosen) as app:
        from rag.ask import Question

        asked = Question(
            " ".join(question),
            chosen.passages,
            chosen.mode,
            options.parse_filter(where),
            app.fusion(asked=fusing),
            app.generation(),
            conversation,
            refining=app.refining(),
            parent=parent,
            regenerates=regenerate,
            abstaining=app.abstaining(),
            strict=chosen.strict == "on" if strict is None else strict,
        )
        entry = answer(app, asked, aloud=not json)
    if json:
        from rag.shapes.answers import ask_json

        output.print_json(ask_json(entry))
    else:
        tell(entry)
    return interrupts.CODE if entry.answer is not None and entry.answer.finish_reason == "cancelled" else 0


def answer(app: "App", asked: "Question", *, aloud: bool) -> "Interaction":
    """Ask, printing the answer as it comes if `aloud`. Ctrl-C ends it; what was said until then is logged."""
    import logging
    from threading import Event

    from rag.ask import Done, logged_refusal, stream
    from rag.types import Text

    logging.getLogger("stamina").setLevel(logging.ERROR)  # retries are silent here; what fails in the end is said
    cancel = Event()
    with logged_refusal(app.database, app.local(), asked.text, app.settings.collection):
        answering = app.answering()
    with interrupts.first_interrupt(cancel.set):
        for step in stream(answering, asked, app.local(), cancel):
            if isinstance(step, Text) and aloud:
                output.say(output.safe(step.text), newline=False)
            elif isinstance(step, Done):
                if aloud:
                    output.say("\n")
                return step.interaction
    raise AssertionError("a stream ends with Done or raises")


# ── what stands behind an answer ────────────────────────────────────────────────────────────────────────────────────


def tell(interaction: "Interaction") -> None:
    """Print sources, scores, who answered, and how to see the log entry."""
    said = interaction.answer
    if said is not None and said.citations:
        sources(interaction.passages, said.citations)
        unsupported(said.text, said.citations)
    for sentence in () if said is None else said.removed:
        output.say(f"{output.bad('Left out')}  {output.one_line(sentence)}")
    if interaction.scores:
        output.say(f"{output.strong('Scores')}  {scores(interaction.scores)}")
    revision = f" ({interaction.revision})" if interaction.revision else ""
    taken = interaction.timings_ms.get("total", 0.0) / 1000
    output.say(f"Answered by {output.one_line(interaction.model + revision)} in {taken:.2f} s")
    threshold = interaction.settings.get("abstain_threshold")
    if said is not None and said.confidence is not None and said.confidence < float(str(threshold)):
        why = f"confidence {said.confidence:.2f}, below {float(str(threshold)):.2f}; --abstain never asks all the same"
        output.say(f"{output.marked('Refused')}  {why}")
    if instead := interaction.settings.get("fallback_from"):
        reason = output.one_line(str(interaction.settings.get("fallback_reason")))
        output.say(f"{output.marked('In place of')} {output.one_line(str(instead))}: {reason}")
    output.say(output.faint(f"Everything behind this answer: rag logs show {interaction.id}"))


def sources(passages: Sequence["Passage"], citations: Sequence["Citation"]) -> None:
    """Each cited passage with the words that were quoted and how well they support the answer."""
    output.say(output.strong("Sources"))
    for number, passage in enumerate(passages, 1):
        quotes = [citation for citation in citations if citation.passage == number]
        if not quotes:
            continue
        output.say(f"[{number}] {output.strong(output.heading(passage.title, passage.headings))}")
        for place in passage.places:
            output.say("    " + output.faint(place_line(output.shown_uri(place.uri), passage)))
        for citation in quotes:
            if citation.quote:
                output.say(output.wrapped(f"“{citation.quote}”", indent="    "))
            output.say("    " + verdict(citation))
    output.say()


def verdict(citation: "Citation") -> str:
    colour = {"supported": output.good, "partly": output.marked}.get(citation.verdict, output.bad)
    why = "".join(f"  {output.one_line(reason.text)}" for reason in citation.reasons[:2])
    return f"{colour(citation.verdict)}  support {citation.support:.2f}{output.faint(why) if why else ''}"


def unsupported(text: str, citations: Sequence["Citation"]) -> None:
    """Name the sentences that nothing in the documents supports."""
    alone = [citation for citation in citations if citation.passage is None]
    for citation in alone:
        output.say(f"{output.bad('Not supported')}  {output.one_line(text[citation.start : citation.end])}")
    if alone:
        output.say()


def scores(judged: Sequence["Score"]) -> str:
    """Each score by name, on as many lines as it takes; a dash where the metric does not apply."""
    lines = [""]
    for score in judged:
        told = f"{score.name.replace('_', ' ')} {'–' if score.value is None else f'{score.value:.2f}'}"
        longer = f"{lines[-1]}   {told}".strip()
        if len(longer) > output.width() - len(SCORES_INDENT):
            lines.append(told)
        else:
            lines[-1] = longer
    return f"\n{SCORES_INDENT}".join(lines)
