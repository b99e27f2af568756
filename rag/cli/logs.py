"""`rag logs`: what was asked, what was answered, and everything in between. Loads no model."""

import json as json_format
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import click

from rag.cli import options, output

if TYPE_CHECKING:
    from rag.app import App
    from rag.store.interactions import Feedback, Query
    from rag.types import Interaction, Passage

F = TypeVar("F", bound=Callable[..., object])

PAGE = 200
_AGO = re.compile(r"(\d+)\s*(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[datetime]):
    """A moment in ISO 8601 (UTC unless it says otherwise), or how long ago: 30m, 12h, 7d, 2w."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        ago = _AGO.fullmatch(text)
        try:
            if ago:
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            moment = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is neither a date such as 2026-01-31T12:00 nor a span such as 12h or 7d", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


MOMENT = Moment()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The flags that say which interactions are meant."""

    query: str | None
    model: str | None
    user: str | None
    conversation: str | None
    collection: str | None
    since: datetime | None
    until: datetime | None
    score: str | None
    score_min: float | None
    score_max: float | None
    abstained: bool | None
    failed: bool | None

    def asked(self) -> "Query":
        from rag.store.interactions import Query

        return Query(
            text=self.query,
            model=self.model,
            user=self.user,
            conversation_id=self.conversation,
            collection=self.collection,
            since=self.since,
            until=self.until,
            score=self.score,
            score_min=self.score_min,
            score_max=self.score_max,
            abstained=self.abstained,
            failed=self.failed,
        )


def choosing(function: F) -> F:
    """The flags that narrow the log; those given must all hold."""
    for option in (
        click.option("--failed/--not-failed", default=None, help="Only questions that failed, or only the others."),
        click.option("--abstained/--answered", default=None, help="Only abstentions, or only answers."),
        click.option("--score-max", type=float, help="Highest value of --score."),
        click.option("--score-min", type=float, help="Lowest value of --score."),
        click.option("--score", type=options.TEXT, metavar="NAME", help="Only those with a value of this score."),
        click.option("--until", type=MOMENT, help="Only before this moment."),
        click.option("--since", type=MOMENT, help="Only from this moment on: 2026-01-31, 12h, 7d."),
        click.option("--collection", type=options.TEXT, metavar="NAME", help="Only questions to this collection."),
        click.option("--conversation", "--cid", type=options.TEXT, metavar="ID", help="Only this conversation."),
        click.option("--user", type=options.TEXT, help="Only this user's questions."),
        click.option("-m", "--model", type=options.TEXT, help="Only answers of this model."),
        click.option("-q", "--query", type=options.TEXT, metavar="TEXT", help="Only with this in question or answer."),
    ):
        function = option(function)
    return function


@click.group("logs", invoke_without_command=True)
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(1), help="The newest so many.")
@choosing
@click.option("-s", "--short", is_flag=True, help="One line each.")
@click.option("-r", "--response", is_flag=True, help="Only the newest answer's text.")
@options.as_json
@options.common
@click.pass_context
def command(
    context: click.Context,
    /,
    limit: int,
    short: bool,
    response: bool,
    json: bool,
    **narrowed: object,
) -> None:
    """Show what was asked and answered, the newest first.

    `rag logs show ID` prints one whole; the beginning of an ID is enough when only one has it.
    """
    if context.invoked_subcommand is not None:
        return
    from rag.store import interactions as store

    query = Chosen(**narrowed).asked()  # type: ignore[arg-type]
    with options.opened(options.settings()) as app, app.database.read() as connection:
        found = store.listing(connection, app.local().tenant_id, query, limit=1 if response else limit)
    if json:
        from rag.shapes.interactions import interaction_json

        output.print_json({"interactions": [interaction_json(entry, whole=False) for entry in found]})
    elif response:
        for entry in found:
            output.say(output.safe("" if entry.answer is None else entry.answer.text))
    elif not found:
        output.say("no such entries in the log")
    elif short:
        log_table(found)
    else:
        for entry in found:
            _block(entry)


@command.command("show")
@click.argument("interaction_id", metavar="ID", type=options.TEXT)
@options.as_json
@options.common
def show(interaction_id: str, json: bool) -> None:
    """Show one interaction whole: prompt, passages, answer, checks, scores, timings."""
    from rag.store import interactions as store

    with options.opened(options.settings()) as app:
        tenant = app.local().tenant_id
        with app.database.read() as connection:
            entry = store.get(connection, tenant, interaction_id)
            said = store.feedback_of(connection, entry.id)
    if json:
        from rag.shapes.interactions import interaction_json

        output.print_json(interaction_json(entry, said, whole=True))
    else:
        _whole(entry, said)


@command.command("export")
@click.option("--format", "form", default="jsonl", show_default=True, type=click.Choice(["jsonl"]), help="Form.")
@choosing
@options.common
def export(form: str, **narrowed: object) -> None:
    """Print every interaction whole, the newest first, one JSON object a line."""
    from rag.shapes.interactions import interaction_json

    query = Chosen(**narrowed).asked()  # type: ignore[arg-type]
    with options.opened(options.settings()) as app:
        for entry, said in _all(app, query):
            line = interaction_json(entry, said, whole=True)
            output.say(json_format.dumps(line, ensure_ascii=False, allow_nan=False))


def _all(app: "App", query: "Query") -> Iterator[tuple["Interaction", list["Feedback"]]]:
    """Every interaction whole, page by page, so that a long log needs little memory."""
    from rag.store import interactions as store

    tenant, before = app.local().tenant_id, None
    while True:
        with app.database.read() as connection:
            page = store.listing(connection, tenant, query, limit=PAGE, before=before)
            whole = [(store.get(connection, tenant, e.id), store.feedback_of(connection, e.id)) for e in page]
        yield from whole
        if len(page) < PAGE:
            return
        before = page[-1].id


# ── for people ──────────────────────────────────────────────────────────────────────────────────────────────────────


def outcome(entry: "Interaction") -> str:
    """The answer, or what happened instead of one."""
    if entry.error is not None:
        return f"failed: {entry.error}"
    return "" if entry.answer is None else entry.answer.text


def log_table(found: Sequence["Interaction"]) -> None:
    """One line an interaction."""
    rows = [
        (
            entry.id,
            entry.created_at[:16].replace("T", " "),
            output.one_line(entry.model, 24),
            output.one_line(entry.question, 32),
            output.one_line(outcome(entry), 40),
            *(_score(entry, name) for name in SHOWN_SCORES),
        )
        for entry in found
    ]
    names = [name.replace("_", " ") for name in SHOWN_SCORES]
    output.table(["id", "when (UTC)", "model", "question", "answer", *names], rows, right=[5])


SHOWN_SCORES = ("faithfulness",)


def _score(entry: "Interaction", name: str) -> str:
    values = [score.value for score in entry.scores if score.name == name]
    return "–" if not values or values[-1] is None else f"{values[-1]:.2f}"


def _block(entry: "Interaction") -> None:
    from rag.cli.ask import scores

    when = entry.created_at[:19].replace("T", " ")
    about = output.one_line(f"{when}  {entry.model}  {entry.user}  {entry.collection}")
    output.say(f"{output.strong(entry.id)}  {output.faint(about)}")
    if entry.kind is not None:
        output.say("  " + output.faint(output.one_line(f"conversation {linked(entry)}")))
    output.say(output.wrapped(entry.question, indent="  "))
    output.say(output.wrapped(output.one_line(outcome(entry), 400), indent="    "))
    if entry.scores:
        output.say("    " + output.faint(scores(entry.scores)))
    output.say()


def _whole(entry: "Interaction", said: Sequence["Feedback"]) -> None:
    from rag.cli import ask
    from rag.cli.search import timings

    for name, value in (
        ("id", entry.id),
        ("when", entry.created_at),
        ("user", entry.user),
        ("collection", f"{entry.collection} at position {entry.position}, index generation {entry.generation}"),
        ("conversation", linked(entry)),
        ("origin", entry.origin),
        ("model", entry.model + (f" ({entry.revision})" if entry.revision else "")),
        ("template", entry.template),
        ("settings", ", ".join(f"{key} {value}" for key, value in entry.settings.items())),
        ("tokens", _tokens(entry)),
        ("time", timings(entry.timings_ms)),
    ):
        output.say(f"{output.faint(f'{name:<13}')}{output.one_line(value)}")
    _section("Question", entry.question)
    if entry.search_query != entry.question:
        _section("Searched for", entry.search_query)
    if entry.prompt is not None:
        for message in entry.prompt.messages:
            _section(f"Prompt, {message.role}", message.content)
    for number, passage in enumerate(entry.passages, 1):
        _passage(number, passage)
    _left_out(entry)
    _section("Answer", outcome(entry))
    if entry.answer is not None:
        output.say(output.faint(f"ended by {entry.answer.finish_reason}"))
        output.say()
        if entry.answer.citations:
            ask.sources(entry.passages, entry.answer.citations)
            ask.unsupported(entry.answer.text, entry.answer.citations)
    if entry.scores:
        output.say(f"{output.strong('Scores')}  {ask.scores(entry.scores)}")
    for one in said:
        parts = [str(part) for part in (one.rating, one.label, one.comment) if part is not None]
        output.say(f"{output.strong('Feedback')}  {output.one_line(f'{one.user}: ' + ', '.join(parts))}")


def linked(entry: "Interaction") -> str:
    """Where an interaction stands in its conversation."""
    if entry.conversation_id is None:
        return "–" if entry.regenerates_id is None else f"– (asks {entry.regenerates_id} again)"
    told = f"{entry.conversation_id}, turn {entry.turn}: {entry.kind}"
    if entry.regenerates_id is not None:
        return f"{told} of {entry.regenerates_id}"
    return told if entry.parent_id is None else f"{told}, after {entry.parent_id}"


def _tokens(entry: "Interaction") -> str:
    packed = "–" if entry.prompt is None else str(entry.prompt.tokens)
    usage = None if entry.answer is None else entry.answer.usage
    counts = [None, None] if usage is None else [usage.prompt_tokens, usage.completion_tokens]
    prompt, completion = ("–" if count is None else str(count) for count in counts)
    return f"packed {packed}, prompt {prompt}, completion {completion}"


def _left_out(entry: "Interaction") -> None:
    """What the prompt had no room for."""
    left_out = None if entry.prompt is None else entry.prompt.left_out
    if left_out is None or not (left_out.passages or left_out.turns):
        return
    output.say()
    output.say(output.strong(f"Left out  the prompt could take {output.counted(left_out.budget, 'token')}"))
    shown = {passage.hit.chunk_id for passage in entry.passages}
    for cut in left_out.passages:
        what = "the end of passage" if cut.chunk_id in shown else "passage"
        where = f"chunk {cut.chunk_id}, characters {cut.start:,}–{cut.end:,}"
        output.say(f"{what} {cut.rank}: {where}, {output.counted(cut.tokens, 'token')}")
    if left_out.turns:
        output.say(f"{output.counted(left_out.turns, 'turn')} of the conversation, the oldest")


def _section(heading: str, text: str) -> None:
    output.say()
    output.say(output.strong(heading))
    output.say(output.safe(text))


def _passage(number: int, passage: "Passage") -> None:
    from rag.cli.search import place_line

    output.say()
    output.say(output.strong(f"Passage [{number}]  {output.heading(passage.title, passage.headings)}"))
    for place in passage.places:
        output.say(output.faint(place_line(output.shown_uri(place.uri), passage)))
    stages = "   ".join(f"{name} #{part.rank} {part.score:.4f}" for name, part in passage.hit.parts.items())
    output.say(output.faint(f"score {passage.hit.score:.4f}   {stages}"))
    output.say(output.safe(passage.text))
