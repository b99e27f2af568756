"""`rag replay`: logged questions asked again, retrieval included, and what is different then."""

from typing import TYPE_CHECKING

import click

from rag.cli import options, output
from rag.cli.choosing import MOMENT
from rag.cli.fusing import fused
from rag.cli.refining import refined
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from datetime import datetime

    from rag.app import App
    from rag.experiments.differences import Difference
    from rag.experiments.replay import Replayed
    from rag.store.interactions import Query
    from rag.types import Interaction


PAGE = 200


@click.command("replay")
@click.argument("interaction", required=False, type=options.TEXT, metavar="[ID]")
@click.option("--all", "every", is_flag=True, help="Replay the newest questions of the log instead of one.")
@click.option("-n", "--limit", default=200, show_default=True, type=click.IntRange(1), help="With --all: so many.")
@click.option(
    "-q", "--query", type=options.TEXT, metavar="TEXT", help="With --all: only with this in question or answer."
)
@click.option("--since", type=MOMENT, help="With --all: only from this moment on: 2026-01-31, 12h, 7d.")
@click.option("-m", "--model", type=options.TEXT, metavar="NAME", help="Who answers now; else who answered then.")
@click.option("--template", type=options.TEXT, metavar="NAME", help="Prompt template; else the version of then.")
@click.option("--mode", type=click.Choice(options.MODES), help="How passages are found; else as then.")
@click.option("--collection", type=options.TEXT, metavar="NAME", help="Another collection.")
@click.option("-k", "passages", type=click.IntRange(1, 100), help="Passages; else as many as then.")
@fused
@refined
@click.option("--seed", type=click.IntRange(min=0), help="Seed of a sampled answer; else that of then.")
@click.option("--temperature", type=options.Between(0, 2), help="Randomness of the answer; else that of then.")
@click.option(
    "--at-original-index", is_flag=True, help="Search the collection as it stood when the question was asked."
)
@options.as_json
@options.common
def command(
    interaction: str | None,
    every: bool,
    limit: int,
    query: str | None,
    since: "datetime | None",
    model: str | None,
    template: str | None,
    mode: str | None,
    collection: str | None,
    passages: int | None,
    fusion: str | None,
    alpha: float | None,
    rrf_k: int | None,
    depth: int | None,
    rerank: str | None,
    diversify: float | None,
    per_document: int | None,
    neighbours: int | None,
    seed: int | None,
    temperature: float | None,
    at_original_index: bool,
    json: bool,
) -> int:
    """Ask a logged question again, retrieval included, and show what is different.

    Everything is as the log tells but for what is given here. The replay is logged, too, and names what it replays.
    With --at-original-index the texts of then are searched, those that were removed or replaced since among them;
    texts that were erased cannot be had. With --all the exit code is 3 if a question could not be replayed.
    """
    from rag.experiments.replay import Otherwise, replay, replays
    from rag.shapes.replays import difference_json
    from rag.store import interactions as store

    if (interaction is None) != every:
        raise WrongUsage("name the interaction to replay (`rag logs` lists them), or give --all")
    otherwise = Otherwise(
        model=model,
        template=template,
        collection=collection,
        mode=mode,
        passages=passages,
        reranker=rerank,
        fusion=fusion,
        alpha=alpha,
        rrf_k=rrf_k,
        depth=depth,
        diversify=diversify,
        per_document=per_document,
        neighbours=neighbours,
        seed=seed,
        temperature=temperature,
        at_original_index=at_original_index,
    )
    with options.opened(options.settings()) as app:
        asker = app.local()
        if interaction is not None:
            with app.database.read() as connection:
                entry = store.get(connection, asker.tenant_id, interaction)
            _, found = replay(app, entry, asker, otherwise)
            if json:
                output.print_json(difference_json(found))
            else:
                tell(found)
            return 0
        entries = _newest(app, store.Query(text=query, since=since), limit)
        done = list(replays(app, entries, asker, otherwise))
    if json:
        output.print_json(
            {
                "replays": [
                    {
                        "interaction_id": each.entry.id,
                        "failure": each.failure,
                        "difference": None if each.difference is None else difference_json(each.difference),
                    }
                    for each in done
                ]
            }
        )
    else:
        tell_many(done)
    return 3 if any(each.failure for each in done) else 0


def _newest(app: "App", query: "Query", limit: int) -> "list[Interaction]":
    """The newest interactions that are no replays themselves."""
    from rag.store import interactions as store

    found: list[Interaction] = []
    tenant_id, before = app.tenant_id, None
    with app.database.read() as connection:
        while lines := store.listing(connection, tenant_id, query, limit=PAGE, before=before):
            before = lines[-1].id
            asked = [line.id for line in lines if line.replays_id is None][: limit - len(found)]
            found += [store.get(connection, tenant_id, key) for key in asked]
            if len(found) == limit:
                break
    return found


# ── what people read ────────────────────────────────────────────────────────────────────────────────────────────────


def tell(found: "Difference") -> None:
    """A difference: passages, answer, scores, time, and what was set otherwise."""
    output.say(f"{output.strong('Question')}  {output.one_line(found.second.question)}")
    output.say()
    output.say(output.strong("Passages") + ("  the same" if found.same_passages else ""))
    if not found.same_passages:
        for kept in found.kept:
            passage = found.second.passages[kept.after - 1]
            moved = "" if kept.before == kept.after else f", was [{kept.before}]"
            moved += "" if kept.same_text else ", its text is widened or shortened otherwise"
            output.say(f"  [{kept.after}] {output.heading(passage.title, passage.headings)}{moved}")
        for gone in found.gone:
            title = output.heading(gone.passage.title, gone.passage.headings)
            output.say(f"  {output.bad('-')} [{gone.before}] {title}")
            output.say(f"      {output.marked(gone.reason)}: {output.one_line(gone.told)}")
        for new in found.new:
            title = output.heading(new.passage.title, new.passage.headings)
            output.say(f"  {output.good('+')} [{new.after}] {title}")
            output.say(f"      {output.marked(new.reason)}: {output.one_line(new.told)}")
    output.say()
    output.say(output.strong("Answer") + ("  the same" if found.same_answer else ""))
    if not found.same_answer:
        output.say(worded(found))
    for name, (before, after) in found.scores.items():
        if before != after:
            output.say(f"    {name:<24}{_value(before)} → {_value(after)}")
    for name, (was, now) in found.settings.items():
        output.say(f"    {name:<24}{output.one_line(str(was), 60)} → {output.one_line(str(now), 60)}")
    output.say(f"    {'time':<24}{found.total_ms[0]:.0f} → {found.total_ms[1]:.0f} ms")
    if found.tokens[0] != found.tokens[1]:
        output.say(f"    {'tokens':<24}{found.tokens[0] or '–'} → {found.tokens[1] or '–'}")
    output.say(output.faint(f"Everything behind this answer: rag logs show {found.second.id}"))


def worded(found: "Difference") -> str:
    """The answer as one text: [-what is gone-], {+what is new+}."""
    marks = {"same": "{}", "gone": output.bad("[-{}-]"), "new": output.good("{{+{}+}}")}
    return "".join(marks[each.kind].format(output.safe(each.text)) for each in found.words) or _nothing(found.second)


def _nothing(entry: "Interaction") -> str:
    return f"no answer: {output.one_line(entry.error)}" if entry.error else "–"


def tell_many(done: "list[Replayed]") -> None:
    """A line a question, and what came of all."""
    if not done:
        output.say("no such entries in the log")
        return
    rows = []
    for each in done:
        found = each.difference
        if found is None:
            rows.append((each.entry.id, "–", "–", "–", "failed", output.one_line(each.failure or "", 50)))
            continue
        answer = "the same" if found.same_answer else "another"
        reasons = ", ".join(dict.fromkeys(gone.reason for gone in found.gone))
        rows.append((each.entry.id, str(len(found.kept)), str(len(found.gone)), str(len(found.new)), answer, reasons))
    output.table(["replay of", "kept", "gone", "new", "answer", "why"], rows, right=[1, 2, 3])
    compared = [each.difference for each in done if each.difference is not None]
    alike = sum(found.same_passages for found in compared)
    output.say(
        f"{output.counted(len(compared), 'question')} replayed: {alike} with the same passages, "
        f"{sum(found.same_answer for found in compared)} with the same answer"
    )


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
