"""`rag reviews`: logged answers judged on a terminal: the next one of a queue, a label for it, how far people agree."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import options, output, review_export, review_queues, review_shown
from rag.cli.choosing import MOMENT
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.store.database import Connection
    from rag.store.reviews.items import Item
    from rag.store.reviews.texts import Judged
    from rag.types import Interaction, Principal

LEASE_M = 30  # minutes for which `next` locks an item, unless told otherwise

reviewer = click.option("--as", "user", type=options.TEXT, metavar="NAME", help="Who reviews.  [default: local]")


@click.group("reviews")
@options.common
def command() -> None:
    """Review logged answers: queues, labels, agreement.

    `rag reviews queues add NAME --thumbs-down` makes a queue, `rag reviews next NAME` gives its next answer, and
    `rag reviews label ITEM LABEL` judges it.
    """


command.add_command(review_queues.command)
command.add_command(review_export.command)


@command.command("next")
@click.argument("queue", required=False, type=options.TEXT)
@click.option("--skipped", is_flag=True, help="One that you passed over.")
@click.option(
    "--minutes",
    default=LEASE_M,
    show_default=True,
    type=click.IntRange(1, 600),
    help="For so long nobody else is given it.",
)
@reviewer
@options.as_json
@options.common
def following(queue: str | None, skipped: bool, minutes: int, user: str | None, json: bool) -> None:
    """Show the next answer to review, with its passages and the guidelines, and lock it.

    QUEUE may be left out where there is only one.
    """
    from rag.reviews.filling import next_item
    from rag.store.reviews import queues as queue_store

    with options.opened(options.settings()) as app:
        me = _me(app, user)
        name = queue or _only_queue(app, me)
        found = next_item(app.database, me, name, lease_s=60.0 * minutes, skipped=skipped)
        with app.database.read() as connection:
            of = queue_store.get(connection, me.tenant_id, name)
            entry = None if found is None else _entry(connection, me, found[0])
    if json:
        review_shown.next_json(found, entry)
    elif found is None or entry is None:
        output.say(f"nothing waits for {output.one_line(me.user)} in {output.one_line(name)}")
    else:
        review_shown.pair(found[0], of, entry, found[1])


@command.command("show")
@click.argument("item", metavar="ID", type=options.TEXT)
@click.option("--queue", type=options.TEXT, metavar="NAME", help="The queue, where an interaction is in several.")
@reviewer
@options.common
def show(item: str, queue: str | None, user: str | None) -> None:
    """Show an answer of a queue, without locking it. ID is the item's number, or an interaction's."""
    from rag.store.reviews import queues as queue_store

    with options.opened(options.settings()) as app:
        me = _me(app, user)
        with app.database.read() as connection:
            found = _item(connection, me, item, queue)
            of = queue_store.by_id(connection, found.queue_id)
            entry = _entry(connection, me, found)
    review_shown.pair(found, of, entry)


@command.command("label")
@click.argument("item", metavar="ID", type=options.TEXT)
@click.argument("label", type=options.TEXT)
@click.option("--queue", type=options.TEXT, metavar="NAME", help="The queue, where an interaction is in several.")
@click.option("--answer", type=options.TEXT, metavar="TEXT", help="What the answer should have been.")
@click.option(
    "--answer-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The same, from a file.",
)
@click.option("--relevant", type=options.TEXT, metavar="N,N", help="Passages that are relevant, by number.")
@click.option("--irrelevant", type=options.TEXT, metavar="N,N", help="Passages that are not.")
@click.option(
    "--grade",
    "grades",
    multiple=True,
    type=options.KEY_VALUE,
    metavar="N=GRADE",
    help="A passage's grade: 0 not relevant, 1 relevant, 2 answers in part, 3 answers; may be repeated.",
)
@click.option(
    "--better",
    multiple=True,
    type=options.TEXT,
    metavar="CHUNK[=GRADE]",
    help="A better passage, by the chunk that `rag search --json` names; may be repeated.  [default: grade 3]",
)
@click.option("--tag", "tags", multiple=True, type=options.TEXT, help="A word to find it by; may be repeated.")
@click.option("--note", type=options.TEXT, metavar="TEXT", help="What others should know.")
@reviewer
@options.as_json
@options.common
def label(
    item: str,
    label: str,
    queue: str | None,
    answer: str | None,
    answer_file: Path | None,
    relevant: str | None,
    irrelevant: str | None,
    grades: tuple[tuple[str, str], ...],
    better: tuple[str, ...],
    tags: tuple[str, ...],
    note: str | None,
    user: str | None,
    json: bool,
) -> None:
    """Judge an answer. A later label of the same person takes the place of the earlier one.

    ID is the number of an item, as `next` shows it, or of an interaction. The label is kept however late it comes.
    """
    from rag.store.reviews import reviews as store

    if answer is not None and answer_file is not None:
        raise WrongUsage("give the answer as --answer or as --answer-file, not both")
    judged = _judged(relevant, irrelevant, grades, better)
    corrected = answer if answer_file is None else _read(answer_file)
    with options.opened(options.settings()) as app:
        me = _me(app, user)
        with app.database.write() as connection:
            found = _item(connection, me, item, queue)
            review = store.save(connection, me, found.id, store.Said(label, corrected, judged, tags, note))
    review_shown.said(review, json=json)


@command.command("skip")
@click.argument("item", metavar="ITEM", type=click.IntRange(1))
@reviewer
@options.common
def skip(item: int, user: str | None) -> None:
    """Pass over an answer: you are not given it again, unless you ask with `next --skipped`."""
    from rag.store.reviews import claims as review_claims
    from rag.store.reviews import items as review_items

    with options.opened(options.settings()) as app:
        me = _me(app, user)
        with app.database.write() as connection:
            review_claims.skip(connection, me, item)
            if review_items.get(connection, me, item).reviewer == me.user:
                review_claims.release(connection, item)
    output.say(f"skipped item {item}")


@command.command("undo")
@click.argument("review", metavar="REVIEW", type=click.IntRange(1))
@reviewer
@options.common
def undo(review: int, user: str | None) -> None:
    """Take a review of yours back: its history stays, and the answer waits again."""
    from rag.store.reviews import reviews as store

    with options.opened(options.settings()) as app:
        me = _me(app, user)
        with app.database.write() as connection:
            store.withdraw(connection, me, review)
    output.say(f"took back review {review}")


@command.command("list")
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(1), help="The newest so many.")
@click.option("--queue", type=options.TEXT, metavar="NAME", help="Only of this queue.")
@click.option("--reviewer", type=options.TEXT, metavar="NAME", help="Only by this person.")
@click.option("--label", type=options.TEXT, metavar="NAME", help="Only with this label.")
@click.option("--tag", type=options.TEXT, metavar="TAG", help="Only with this tag.")
@click.option("--corrected/--not-corrected", default=None, help="Only with a corrected answer, or only without.")
@click.option("--since", type=MOMENT, help="Only from this moment on: 2026-01-31, 12h, 7d.")
@click.option("--until", type=MOMENT, help="Only before this moment.")
@click.option("--history", is_flag=True, help="Also those that were replaced or taken back.")
@options.as_json
@options.common
def listed(
    limit: int,
    queue: str | None,
    reviewer: str | None,
    label: str | None,
    tag: str | None,
    corrected: bool | None,
    since: datetime | None,
    until: datetime | None,
    history: bool,
    json: bool,
) -> None:
    """List reviews, the newest first."""
    from rag.store.reviews import reviews as store

    query = store.Query(queue, reviewer, None, label, corrected, since, until, history, tag)
    with options.opened(options.settings()) as app:
        me = app.local()
        with app.database.read() as connection:
            found = store.listing(connection, me, query, limit=limit)
    if json:
        from rag.shapes.reviews import reviews_json

        output.print_json(reviews_json(found))
        return
    rows = [
        (
            str(review.id),
            review.created_at.isoformat(timespec="minutes")[:16].replace("T", " "),
            output.one_line(review.queue, 20),
            review.interaction_id,
            output.one_line(review.reviewer, 16),
            output.one_line(review.label) + ("" if review.replaced_at is None else " (replaced)"),
            output.one_line(review.corrected_answer or review.note or "", 40),
        )
        for review in found
    ]
    if not rows:
        output.say("no reviews yet")
        return
    output.table(["review", "when (UTC)", "queue", "interaction", "by", "label", "correction or note"], rows)


@command.command("agreement")
@click.argument("queue", required=False, type=options.TEXT)
@options.as_json
@options.common
def agreement(queue: str | None, json: bool) -> None:
    """Show how far the reviewers of a queue agree, with 95 % intervals; a dash is what is not defined."""
    from rag.reviews.filling import agreement_in
    from rag.store.reviews import queues as queue_store

    with options.opened(options.settings()) as app:
        me = app.local()
        name = queue or _only_queue(app, me)
        with app.database.read() as connection:
            found = agreement_in(connection, queue_store.get(connection, me.tenant_id, name))
    if json:
        from rag.shapes.reviews import agreement_json

        output.print_json(agreement_json(found))
        return
    rows = [review_shown.measure_row("Krippendorff's alpha", found.alpha)]
    if found.ordinal is not None:
        rows.append(review_shown.measure_row("Krippendorff's alpha, ordinal", found.ordinal))
    rows.append(review_shown.measure_row("same label", found.agreement))
    for pair in found.pairs:
        names = output.one_line(f"{pair.one} and {pair.other}", 40)
        rows.append(review_shown.measure_row(f"Cohen's kappa, {names}", pair.kappa))
        rows.append(review_shown.measure_row(f"same label, {names}", pair.agreement))
    output.table(["measure", "value", "95 % interval", "answers"], rows, right=[1, 3])


# ── what is meant ───────────────────────────────────────────────────────────────────────────────────────────────────


def _me(app: "App", user: str | None) -> "Principal":
    from rag.types import Principal

    if user is not None and (not user.strip() or len(user) > 100 or not user.isprintable()):
        raise WrongUsage("--as: a name has 1 to 100 printable characters")
    return app.local() if user is None else Principal(app.tenant_id, user)


def _only_queue(app: "App", me: "Principal") -> str:
    from rag.store.reviews import queues as store

    with app.database.read() as connection:
        names = [queue.name for queue in store.listing(connection, me.tenant_id)]
    if len(names) != 1:
        what = f"there are several queues: {', '.join(names)}; name one" if names else "there is no review queue yet"
        raise WrongUsage(what)
    return names[0]


def _item(connection: "Connection", me: "Principal", item: str, queue: str | None) -> "Item":
    """The item of this number, or the one that an interaction is in."""
    from rag.store import interactions
    from rag.store.reviews import items as review_items

    if item.isascii() and item.isdigit() and len(item) < 19:
        return review_items.get(connection, me, int(item))
    entry = interactions.get(connection, me.tenant_id, item)
    found = [
        each for each in review_items.of_interaction(connection, me, entry.id) if queue is None or each.queue == queue
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise WrongUsage(f"it is in several queues: {', '.join(each.queue for each in found)}; say which: --queue NAME")
    raise WrongUsage(f"{entry.id} is in no such queue; `rag reviews queues put NAME {entry.id}` puts it into one")


def _judged(
    relevant: str | None, irrelevant: str | None, grades: Sequence[tuple[str, str]], better: Sequence[str]
) -> "tuple[Judged, ...]":
    from rag.store.reviews.texts import Judged

    found = [Judged(1, number=number) for number in _numbers(relevant, "--relevant")]
    found += [Judged(0, number=number) for number in _numbers(irrelevant, "--irrelevant")]
    found += [Judged(_whole(grade, "--grade"), number=_whole(number, "--grade")) for number, grade in grades]
    for each in better:
        chunk, equals, grade = each.partition("=")
        found.append(Judged(_whole(grade, "--better") if equals else 3, chunk_id=_whole(chunk, "--better")))
    return tuple(found)


def _numbers(text: str | None, flag: str) -> list[int]:
    return [] if text is None else [_whole(each, flag) for each in text.split(",")]


def _whole(text: str, flag: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit() and len(text) < 19):
        raise WrongUsage(f"{flag}: {text!r} is no whole number")
    return int(text)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{path} cannot be read as UTF-8 text: {error}") from error


def _entry(connection: "Connection", me: "Principal", item: "Item") -> "Interaction":
    from rag.store import interactions

    return interactions.get(connection, me.tenant_id, item.interaction_id)
