"""`rag reviews queues list|add|change|show|fill|remove`: what is reviewed, by which rule, under which guidelines."""

import json as json_format
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from rag.cli import options, output
from rag.cli.choosing import Chosen, choosing
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.store.database import Database
    from rag.store.reviews.queues import Label, Queue
    from rag.types import Metadata

F = TypeVar("F", bound=Callable[..., object])

NAME = click.argument("name", type=options.TEXT)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("queues")
@options.common
def command() -> None:
    """List, make, change, show, fill and remove queues of answers to review."""


def clauses(function: F) -> F:
    """The flags that say what a queue chooses; one of them is enough for an answer to come in."""
    for option in (
        click.option("--rule", type=FILE, metavar="FILE", help="The whole rule as JSON, in place of these flags."),
        click.option("--waiting", type=click.IntRange(1), metavar="N", help="So many may wait in the queue at once."),
        click.option(
            "--each",
            multiple=True,
            type=options.KEY_VALUE,
            metavar="OF=N",
            help="So many of one template, model, collection or day: model=20; may be repeated.",
        ),
        click.option(
            "--quota", type=click.IntRange(1), metavar="N", help="So many come in by each of these reasons, ever."
        ),
        click.option("--every", is_flag=True, help="Every answer that passes the conditions; so without a reason."),
        click.option(
            "--disagreement",
            type=options.KEY_VALUE,
            metavar="A,B=DISTANCE",
            help="Two scores rank it so far apart among recent ones (0 to 1): faithfulness,answer_relevancy=0.5.",
        ),
        click.option("--share", type=options.Between(0, 1, min_open=True), help="A random share, 0.05 for 5 %."),
        click.option("--errors", is_flag=True, help="Questions that failed."),
        click.option("--refused", is_flag=True, help="Questions that were refused."),
        click.option("--thumbs-down", is_flag=True, help="Answers that got a thumb down."),
        click.option(
            "--low-score",
            "low",
            multiple=True,
            type=options.KEY_VALUE,
            metavar="NAME=BELOW",
            help="Answers whose newest score lies below: faithfulness=0.5; may be repeated.",
        ),
    ):
        function = option(function)
    return function


def told(function: F) -> F:
    """The flags that say what reviewers do."""
    for option in (
        click.option("--reviewers", type=click.IntRange(1, 20), help="Different people an answer needs.  [default: 1]"),
        click.option("--guidelines", type=FILE, metavar="FILE", help="What reviewers are told, in Markdown."),
    ):
        function = option(function)
    return function


@command.command("list")
@options.as_json
@options.common
def listed(json: bool) -> None:
    """List the queues and how they stand."""
    from rag.store.reviews import items as review_items
    from rag.store.reviews import queues as review_queues

    with options.opened(options.settings()) as app:
        me = app.local()
        with app.database.read() as connection:
            found = review_queues.listing(connection, me.tenant_id)
            counts = [review_items.counts(connection, me, queue.id) for queue in found]
    if json:
        from rag.shapes.reviews import queue_json

        output.print_json({"queues": [queue_json(queue, each) for queue, each in zip(found, counts, strict=True)]})
        return
    if not found:
        output.say("no review queues yet; `rag reviews queues add NAME --thumbs-down` makes one")
        return
    rows = [
        (
            output.one_line(queue.name),
            f"{each.waiting:,}",
            f"{each.locked:,}",
            f"{each.done:,}",
            str(queue.reviewers),
            output.one_line(", ".join(label.name for label in queue.labels), 50),
        )
        for queue, each in zip(found, counts, strict=True)
    ]
    output.table(["queue", "waiting", "locked", "done", "reviewers", "labels"], rows, right=[1, 2, 3, 4])


@command.command("add")
@NAME
@clauses
@told
@click.option(
    "--label",
    "labels",
    multiple=True,
    type=options.TEXT,
    metavar="NAME[=VALUE]",
    help="A label, and its value as a score, 0 to 1; may be repeated.  [default: correct=1, partly=0.5, wrong=0, "
    "cannot judge]",
)
@click.option(
    "--as-score",
    type=options.TEXT,
    metavar="NAME",
    help="Name of the score that a label becomes.  [default: correctness]",
)
@choosing
@options.as_json
@options.common
def add(
    name: str,
    labels: tuple[str, ...],
    as_score: str | None,
    reviewers: int | None,
    guidelines: Path | None,
    json: bool,
    **flags: object,
) -> None:
    """Make a queue and fill it from the log.

    Its conditions are those of `rag logs`; all of them must hold, and one of its reasons.
    """
    from rag.store.reviews import queues as store

    rule = _rule(**flags)  # type: ignore[arg-type]
    if rule is None:
        raise WrongUsage("say what the queue chooses: --thumbs-down, --low-score faithfulness=0.5, --share 0.05, …")
    with options.opened(options.settings()) as app:
        with app.database.write() as connection:
            queue = store.add(
                connection,
                app.tenant_id,
                name,
                rule,
                user="local",
                guidelines=_text(guidelines) or "",
                labels=[_label(each) for each in labels] or store.LABELS,
                reviewers=reviewers or 1,
                score=as_score or store.SCORE,
            )
        _filled(app.database, queue, json=json)


@command.command("change")
@NAME
@clauses
@told
@choosing
@options.common
def change(name: str, reviewers: int | None, guidelines: Path | None, **flags: object) -> None:
    """Change what a queue chooses, tells or asks for; items and reviews stay."""
    from rag.store.reviews import queues as store

    with options.opened(options.settings()) as app:
        tenant = app.tenant_id
        with app.database.write() as connection:
            store.change(
                connection,
                tenant,
                name,
                user="local",
                rule=_rule(**flags),  # type: ignore[arg-type]
                guidelines=_text(guidelines),
                reviewers=reviewers,
            )
    output.say(f"changed {output.one_line(name)}")


@command.command("show")
@NAME
@options.as_json
@options.common
def show(name: str, json: bool) -> None:
    """Show a queue: its rule, labels and guidelines, and how it stands."""
    from rag.store.reviews import items as review_items
    from rag.store.reviews import queues as review_queues

    with options.opened(options.settings()) as app:
        me = app.local()
        with app.database.read() as connection:
            queue = review_queues.get(connection, me.tenant_id, name)
            counts = review_items.counts(connection, me, queue.id)
    if json:
        from rag.shapes.reviews import queue_json

        output.print_json(queue_json(queue, counts))
        return
    labels = ", ".join(
        label.name if label.value is None else f"{label.name} ({label.value:g})" for label in queue.labels
    )
    for what, value in (
        ("queue", queue.name),
        ("stands", f"{counts.waiting} waiting, {counts.locked} of them locked; {counts.done} done"),
        ("labels", f"{labels}; as the score {queue.score}"),
        ("reviewers", str(queue.reviewers)),
        ("rule", json_format.dumps(queue.rule, ensure_ascii=False)),
    ):
        output.say(f"{output.faint(f'{what:<11}')}{output.one_line(value)}")
    if queue.guidelines:
        output.say()
        output.say(output.safe(queue.guidelines))


@command.command("fill")
@NAME
@options.as_json
@options.common
def fill(name: str, json: bool) -> None:
    """Apply a queue's rule to the whole log.

    An answer comes into a queue once; `rag reviews next` lets new ones in by itself.
    """
    from rag.store.reviews import queues as store

    with options.opened(options.settings()) as app:
        tenant = app.tenant_id
        with app.database.read() as connection:
            queue = store.get(connection, tenant, name)
        _filled(app.database, queue, json=json)


@command.command("put")
@NAME
@click.argument("interaction_ids", metavar="ID...", nargs=-1, required=True, type=options.TEXT)
@options.common
def put(name: str, interaction_ids: tuple[str, ...]) -> None:
    """Put answers into a queue by hand."""
    from rag.store import interactions
    from rag.store.reviews import items as review_items
    from rag.store.reviews import queues as review_queues

    with options.opened(options.settings()) as app:
        tenant = app.tenant_id
        with app.database.write() as connection:
            queue = review_queues.get(connection, tenant, name)
            found = [interactions.get(connection, tenant, each).id for each in interaction_ids]
            new = [review_items.NewItem(key, ("put in by hand",)) for key in found]
            added = review_items.put(connection, tenant, queue.id, new)
    output.say(f"{output.counted(len(added), 'answer')} put in, {len(set(found)) - len(added)} in it already")


@command.command("remove")
@NAME
@options.common
def remove(name: str) -> None:
    """Take a queue away; reviews that were made in it stay."""
    from rag.store.reviews import queues as store

    with options.opened(options.settings()) as app:
        tenant = app.tenant_id
        with app.database.write() as connection:
            kept = store.remove(connection, tenant, name, user="local")
    output.say(f"removed {output.one_line(name)}; {output.counted(kept, 'review')} of it stay in the log")


def _filled(database: "Database", queue: "Queue", *, json: bool) -> None:
    from rag.reviews.filling import fill as fill_queue

    found = fill_queue(database, queue.tenant_id, queue.name)
    if json:
        from rag.shapes.reviews import filled_json

        output.print_json(filled_json(found))
        return
    by = ", ".join(f"{name} {number}" for name, number in sorted(found.by.items()))
    output.say(
        f"{output.one_line(queue.name)}: {output.counted(found.added, 'answer')} of {found.looked_at:,} looked at"
        + (f" ({output.one_line(by)})" if by else "")
        + ("; it is full" if found.full else "")
    )
    for note in found.notes:
        output.note(f"rag: {output.one_line(note)}")


def _rule(
    *,
    low: tuple[tuple[str, str], ...],
    thumbs_down: bool,
    refused: bool,
    errors: bool,
    share: float | None,
    disagreement: tuple[str, str] | None,
    every: bool,
    quota: int | None,
    each: tuple[tuple[str, str], ...],
    waiting: int | None,
    rule: Path | None,
    **narrowed: object,
) -> "Metadata | None":
    """The rule that the flags describe; None where none was given."""
    from rag.reviews.rules import parse, rule_json
    from rag.store.interactions import query_json

    where = query_json(Chosen(**narrowed).asked())  # type: ignore[arg-type]
    chosen: list[dict[str, object]] = [
        {"kind": "low_score", "score": name, "below": _number(below, "--low-score")} for name, below in low
    ]
    for kind, wanted in (("thumbs_down", thumbs_down), ("refused", refused), ("failed", errors), ("every", every)):
        if wanted:
            chosen.append({"kind": kind})
    if share is not None:
        chosen.append({"kind": "share", "share": share})
    if disagreement is not None:
        distance = _number(disagreement[1], "--disagreement")
        chosen.append({"kind": "disagreement", "scores": disagreement[0].split(","), "distance": distance})
    flags = bool(chosen or where or each or waiting is not None)
    if rule is not None:
        if flags:
            raise WrongUsage("--rule is the whole rule; leave out the other flags that choose")
        try:
            return rule_json(parse(json_format.loads(_text(rule) or "")))
        except ValueError as error:
            raise WrongUsage(f"{rule} is not JSON: {error}") from error
    if not flags:
        return None
    if where and not chosen:
        chosen = [{"kind": "every"}]
    if quota is not None:
        chosen = [clause | {"quota": quota} for clause in chosen]
    whole: dict[str, object] = {"any": chosen, "where": where}
    whole |= {} if waiting is None else {"waiting": waiting}
    whole |= {"each": {of: int(_number(number, "--each")) for of, number in each}} if each else {}
    return rule_json(parse(whole))


def _label(text: str) -> "Label":
    from rag.store.reviews.queues import Label

    name, equals, value = text.partition("=")
    return Label(name.strip(), _number(value, "--label") if equals else None)


def _number(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise WrongUsage(f"{flag}: {text!r} is no number") from error


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{path} cannot be read as UTF-8 text: {error}") from error
