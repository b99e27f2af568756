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
@click.option("-n", "--limit", default=50, show_default=True, type=click.IntRange(1), help="So many at most.")
@click.option("--after", default=0, metavar="ID", type=click.IntRange(0), help="Begin behind this id.")
@click.option("--removed", is_flag=True, help="Those that were removed and can be restored.")
@options.as_json
@options.common
def listed(collection: str | None, where: str | None, limit: int, after: int, removed: bool, json: bool) -> None:
    """List the documents of a collection, by id."""
    from rag.store import documents as store
    from rag.store.permitted import Predicate

    with options.opened(options.settings(collection=collection)) as app:
        found = app.collection()
        predicate = Predicate(found.id, None, options.parse_filter(where))
        with app.database.read() as connection:
            if removed:
                rows = store.removed(connection, predicate, after=after, limit=limit + 1)
            else:
                rows = store.listing(connection, predicate, found.position, after=after, limit=limit + 1)
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
    from rag.store.review import restore_document
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
