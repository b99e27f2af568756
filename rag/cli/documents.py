"""`rag documents`: what is in a collection, one document with its text, taking documents out and putting them back."""

from typing import TYPE_CHECKING

import click

from rag.cli import options, output

if TYPE_CHECKING:
    from rag.app import App
    from rag.store.collections import Collection
    from rag.store.documents import StoredDocument

SOME_FAILED = 3


@click.group("documents")
@options.common
def command() -> None:
    """List, show, remove and restore documents."""


@command.command("list")
@options.collection
@options.where
@options.most(50)
@click.option("--after", default=0, metavar="ID", type=click.IntRange(0), help="Begin behind this id.")
@click.option("--removed", is_flag=True, help="Those that were removed and can be restored.")
@click.option(
    "-q", "--query", type=options.TEXT, metavar="WORDS", help="Words that stand in title, address or external id."
)
@click.option("--label", type=options.TEXT, help="Those that bear this label.")
@click.option("--newest", is_flag=True, help="The newest first; --after then goes backwards.")
@options.as_json
@options.common
def listed(
    collection: str | None,
    where: str | None,
    limit: int,
    after: int,
    removed: bool,
    query: str | None,
    label: str | None,
    newest: bool,
    json: bool,
) -> None:
    """List the documents of a collection, by id."""
    from rag.errors import WrongUsage
    from rag.store import documents as store
    from rag.store import finding
    from rag.store.permitted import Predicate

    if removed and (query or label or newest):
        raise WrongUsage("--removed lists all of them by id: leave --query, --label and --newest out")
    with options.opened(options.settings(collection=collection)) as app:
        found = app.collection()
        predicate = Predicate(found.id, None, options.parse_filter(where))
        with app.database.read() as connection:
            if removed:
                rows = store.removed(connection, predicate, after=after, limit=limit + 1)
            else:
                rows = finding.found(
                    connection,
                    predicate,
                    found.position,
                    words=query or "",
                    label=label,
                    order="newest" if newest else "arrival",
                    after=after or None,
                    limit=limit + 1,
                )
    more = len(rows) > limit
    rows = rows[:limit]
    if json:
        from rag.shapes.documents import document_json

        shown = [document_json(row, found.name) for row in rows]
        output.print_json({"documents": shown, "next": rows[-1].id if more else None})
        return
    if not rows:
        output.say("no such documents")
        return
    lines = [
        (str(r.id), output.one_line(r.title, 48), f"{r.characters:,}", ", ".join(r.labels), output.shown_uri(r.uri))
        for r in rows
    ]
    output.table(["id", "title", "characters", "labels", "place"], lines, right=[0, 2])
    if more:
        output.note(f"there are more: --after {rows[-1].id}")


@command.command("show")
@click.argument("document_id", metavar="ID", type=int)
@options.as_json
@options.common
def show(document_id: int, json: bool) -> None:
    """Show one document with its text."""
    from rag.store import documents as store

    with options.opened(options.settings()) as app:
        collection, document = _document(app, document_id)
        with app.database.read() as connection:
            text = store.text_of(connection, document.content_id)
            chunks = store.chunks_of(connection, document.content_id)
    if json:
        from rag.shapes.documents import document_whole_json

        output.print_json(document_whole_json(document, collection.name, text, chunks))
        return
    for name, value in (
        ("id", str(document.id)),
        ("title", document.title),
        ("place", output.shown_uri(document.uri)),
        ("external id", document.external_id or "–"),
        ("collection", collection.name),
        ("media type", document.media_type),
        ("metadata", ", ".join(f"{key}={value}" for key, value in document.metadata.items()) or "–"),
        ("labels", ", ".join(document.labels) or "–"),
        ("owner", document.owner),
        ("added", document.created_at.isoformat(timespec="seconds")),
        ("size", f"{output.counted(document.characters, 'character')}, {output.counted(len(chunks), 'chunk')}"),
    ):
        output.say(f"{output.faint(f'{name:<13}')}{output.one_line(value)}")
    output.say()
    output.say(output.safe(text))


@command.command("history")
@click.argument("document_id", metavar="ID", type=int)
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(1), help="Answers shown at most.")
@options.as_json
@options.common
def history(document_id: int, limit: int, json: bool) -> None:
    """Show what surrounds a document: versions, places of its text, duplicates, answers that were shown it.

    Also of one that was removed, or followed by a newer version.
    """
    from rag.errors import NotFound
    from rag.shapes.histories import citing_json, history_json
    from rag.store import collections as collection_store
    from rag.store import documents as store
    from rag.store import histories
    from rag.store.duplicates import decisions as decision_store
    from rag.store.permitted import Predicate

    with options.opened(options.settings()) as app, app.database.read() as connection:
        collection = collection_store.by_id(connection, store.collection_of(connection, document_id))
        if collection.tenant_id != collection_store.tenant(connection):
            raise NotFound(f"no document {document_id}")
        asker = app.local()
        document = histories.one(connection, collection, asker, document_id)
        versions = histories.versions(connection, collection, asker, document)
        predicate = Predicate(collection.id, None)
        places = histories.places(connection, predicate, collection.position, document)
        decisions = decision_store.of_document(connection, predicate, collection.position, document_id)
        answers = histories.citing(connection, asker, document.content_id, limit=limit)
    if json:
        told = history_json(document_id, collection.name, versions, places, decisions)
        output.print_json({**told, "citing": citing_json(answers, None)["interactions"]})
        return
    output.say(output.strong(output.shown_uri(document.uri)))
    for each in versions:
        stands = "stands" if each.removed_at is None else f"until {each.removed_at.isoformat(timespec='seconds')}"
        output.say(f"{each.id:>7}  {each.created_at.isoformat(timespec='seconds')}  {stands}")
    for each in places:
        output.say(f"the same text: document {each.id}, {output.shown_uri(each.uri)}")
    for decision in decisions:
        pair = f"{output.shown_uri(decision.uri)} is like {output.shown_uri(decision.against_uri)}"
        output.say(f"{decision.level} {decision.scope}, {decision.similarity:.2f}, {decision.policy}: {pair}")
    for answer in answers:
        verb = "cited by" if answer.cited else "shown to"
        output.say(f"{verb} {answer.interaction_id}  {output.one_line(answer.question, 80)}")


@command.command("remove")
@click.argument("document_ids", metavar="ID...", nargs=-1, required=True, type=int)
@options.as_json
@options.common
def remove(document_ids: tuple[int, ...], json: bool) -> int:
    """Take documents out of search and answers from now on; the log keeps its evidence.

    Exit code 3 says that some of them were not there.
    """
    from rag.errors import NotFound
    from rag.store.writing import remove_documents

    gone: dict[int, list[int]] = {}
    missing: list[int] = []
    collections: dict[int, Collection] = {}
    with options.opened(options.settings()) as app:
        for document_id in dict.fromkeys(document_ids):
            try:
                collection, _ = _document(app, document_id)
            except NotFound:
                missing.append(document_id)
                continue
            collections[collection.id] = collection
            gone.setdefault(collection.id, []).append(document_id)
        removed = 0
        for key, ids in gone.items():
            with app.database.write() as connection:
                removed += remove_documents(connection, collections[key], ids, actor="local")
    if json:
        output.print_json({"removed": removed, "missing": missing})
    else:
        output.say(f"{output.counted(removed, 'document')} removed")
        for document_id in missing:
            output.note(f"rag: no document {document_id}; `rag documents list` shows them")
    return SOME_FAILED if missing else 0


@command.command("restore")
@click.argument("document_ids", metavar="ID...", nargs=-1, required=True, type=int)
@options.as_json
@options.common
def restore(document_ids: tuple[int, ...], json: bool) -> int:
    """Put removed documents back as they were; `rag documents list --removed` shows them.

    The collection's policies on duplicates are heard again. Exit code 3 says that some could not be restored.
    """
    from rag.errors import Conflict, NotFound
    from rag.shapes.documents import restored_json
    from rag.store import collections as collection_store
    from rag.store import documents as store
    from rag.store.duplicates.second_looks import restore_document
    from rag.store.writing import Written

    done: dict[int, Written] = {}
    failed: dict[int, str] = {}
    with options.opened(options.settings()) as app:
        for document_id in dict.fromkeys(document_ids):
            try:
                with app.database.write() as connection:
                    collection = collection_store.by_id(connection, store.collection_of(connection, document_id))
                    if collection.tenant_id != collection_store.tenant(connection):
                        raise NotFound(f"no document {document_id}")
                    done[document_id] = restore_document(connection, collection, document_id, actor="local")
            except (NotFound, Conflict) as error:
                failed[document_id] = str(error)
    if json:
        problems = [{"document_id": key, "reason": reason} for key, reason in failed.items()]
        output.print_json(
            {"restored": [restored_json(key, written) for key, written in done.items()], "failed": problems}
        )
        return SOME_FAILED if failed else 0
    for key, written in done.items():
        stands = "is held back" if written.document_id is None else f"stands again as document {written.document_id}"
        reason = f": {output.one_line(written.reason)}" if written.reason else ""
        output.say(f"document {key} {stands}{reason}")
    for reason in failed.values():
        output.note(f"rag: {output.safe(reason)}")
    return SOME_FAILED if failed else 0


def _document(app: "App", document_id: int) -> tuple["Collection", "StoredDocument"]:
    """A live document of our tenant and its collection. Raises NotFound."""
    from rag.errors import NotFound
    from rag.store import collections as collection_store
    from rag.store import documents as store
    from rag.store.permitted import Predicate

    with app.database.read() as connection:
        collection = collection_store.by_id(connection, store.collection_of(connection, document_id))
        if collection.tenant_id != collection_store.tenant(connection):
            raise NotFound(f"no document {document_id}")
        return collection, store.get(connection, Predicate(collection.id, None), collection.position, document_id)
