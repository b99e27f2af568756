"""`rag logs`: what was asked, what was answered, and everything in between. Loads no model."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from rag.cli import log_keeping, log_labels, options, output
from rag.cli.choosing import Chosen, choosing, origin

if TYPE_CHECKING:
    from rag.app import App
    from rag.store.database import Connection
    from rag.store.interactions import Feedback, Links, Marks, Query
    from rag.types import Interaction, Passage, Principal

PAGE = 200


@click.group("logs", invoke_without_command=True)
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(1), help="The newest so many.")
@click.option("--view", type=options.TEXT, metavar="NAME", help="What a saved view shows; further filters narrow it.")
@choosing
@origin
@click.option("-c", "--current", is_flag=True, help="Only your newest conversation.")
@click.option("--before", type=options.TEXT, metavar="ID", help="Those before this one.")
@click.option("--id-gt", type=options.TEXT, metavar="ID", help="The first ones after this one.")
@click.option("--count", is_flag=True, help="Only how many there are.")
@click.option("-s", "--short", is_flag=True, help="One line each.")
@click.option("-r", "--response", is_flag=True, help="Only the newest answer's text.")
@options.as_json
@options.common
@click.pass_context
def command(
    context: click.Context,
    /,
    limit: int,
    view: str | None,
    current: bool,
    before: str | None,
    id_gt: str | None,
    count: bool,
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
        tenant = app.local().tenant_id
        if view is not None or current:
            query = _also(connection, app.local(), query, view, current)
        if count:
            number = store.count(connection, tenant, query)
            found: list[Interaction] = []
        else:
            most = 1 if response else limit
            found = store.listing(connection, tenant, query, limit=most, before=before, after=id_gt)
            beside = store.marks(connection, tenant, [entry.id for entry in found])
    if count:
        output.print_json({"count": number}) if json else output.say(f"{number:,}")
    elif json:
        from rag.shapes.interactions import interaction_json

        shown = [interaction_json(entry, whole=False, marks=beside.get(entry.id)) for entry in found]
        output.print_json({"interactions": shown})
    elif response:
        for entry in found:
            output.say(output.safe("" if entry.answer is None else entry.answer.text))
    elif not found:
        output.say("no such entries in the log")
    elif short:
        log_table(found)
    else:
        for entry in found:
            _block(entry, beside.get(entry.id))


for one in (log_labels.tag, log_labels.tags, log_labels.views):
    command.add_command(one)
for one in (log_keeping.verify, log_keeping.prune, log_keeping.erase):
    command.add_command(one)


def _also(connection: "Connection", asker: "Principal", query: "Query", view: str | None, current: bool) -> "Query":
    """What a view and the newest conversation mean, and the query beside them."""
    from rag.errors import NotFound
    from rag.store.interactions import query_json, query_value
    from rag.store.log import conversations, views

    told = query_json(query)
    if view is not None:
        told = query_json(views.get(connection, asker.tenant_id, asker.user, view).query) | told
    if current:
        newest = conversations.listing(connection, asker, limit=1)
        if not newest:
            raise NotFound("you have no conversation yet; `rag chat` begins one")
        told |= {"conversation_id": newest[0].id}
    return query_value(told)


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
            marks = store.marks(connection, tenant, [entry.id])[entry.id]
            links = store.links(connection, tenant, entry.id)
    if json:
        from rag.shapes.interactions import interaction_json

        output.print_json(interaction_json(entry, said, whole=True, marks=marks, links=links))
    else:
        _whole(entry, said, marks, links)


@command.command("export")
@click.option("--format", "form", default="jsonl", show_default=True, type=click.Choice(["jsonl"]), help="Form.")
@choosing
@origin
@options.common
def export(form: str, **narrowed: object) -> None:
    """Print every interaction whole, the newest first, one JSON object a line."""
    from rag.shapes.interactions import interaction_json

    query = Chosen(**narrowed).asked()  # type: ignore[arg-type]
    with options.opened(options.settings()) as app:
        for entry, said, marks in _all(app, query):
            line = interaction_json(entry, said, whole=True, marks=marks)
            output.say(output.json_text(line))


def _all(app: "App", query: "Query") -> Iterator[tuple["Interaction", list["Feedback"], "Marks | None"]]:
    """Every interaction whole, page by page, so that a long log needs little memory."""
    from rag.store import interactions as store

    tenant, before = app.local().tenant_id, None
    while True:
        with app.database.read() as connection:
            page = store.listing(connection, tenant, query, limit=PAGE, before=before)
            beside = store.marks(connection, tenant, [entry.id for entry in page])
            whole = [
                (store.get(connection, tenant, key), store.feedback_of(connection, key), beside.get(key))
                for key in (entry.id for entry in page)
            ]
        yield from whole
        if len(page) < PAGE:
            return
        before = page[-1].id


# ── for people ──────────────────────────────────────────────────────────────────────────────────────────────────────


def outcome(entry: "Interaction") -> str:
    """The answer, or what happened instead of one."""
    if entry.error is not None:
        return f"failed: {entry.error}"
    if entry.answer is None or not entry.question:  # given up, or erased
        return ""
    return entry.answer.text if entry.answer.text.strip() else "(empty)"


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


def _block(entry: "Interaction", marks: "Marks | None") -> None:
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
    if marks is not None and (told := _marked(marks)):
        output.say("    " + output.faint(told))
    output.say()


def _marked(marks: "Marks") -> str:
    """What people did with an interaction, on one line."""
    told = [f"tags {', '.join(marks.tags)}"] if marks.tags else []
    told += [marks.review_state] if marks.review_state else []
    told += [f"erased {marks.erased_at:%Y-%m-%d %H:%M} UTC"] if marks.erased_at else []
    return output.one_line("   ".join(told))


def _linked(entry: "Interaction", links: "Links") -> str:
    """The interactions that this one names, and those that name it."""
    told = [f"replays {entry.replays_id}"] if entry.replays_id else []
    for how, ids in (
        ("continued by", links.continued_by),
        ("asked again by", links.regenerated_by),
        ("replayed by", links.replayed_by),
    ):
        told += [f"{how} {', '.join(ids)}"] if ids else []
    return "; ".join(told) or "–"


def _whole(entry: "Interaction", said: Sequence["Feedback"], marks: "Marks", links: "Links") -> None:
    from rag.cli import ask
    from rag.cli.search import timings

    for name, value in (
        ("id", entry.id),
        ("when", entry.created_at),
        ("user", entry.user),
        ("collection", f"{entry.collection} at position {entry.position}, index generation {entry.generation}"),
        ("conversation", linked(entry)),
        ("links", _linked(entry, links)),
        ("marks", _marked(marks) or "–"),
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
