"""Whether an installation is healthy, and mending what can be mended: indexes from SQL, lost vectors from their texts.

Texts and history are the truth itself: where they are damaged nothing here can know what they were, and a backup must
be put back. That is said, never glossed over.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.wording import counted
from rag.errors import RagError
from rag.store import checks
from rag.store import collections as collection_store
from rag.store import database as database_store
from rag.store.audit import record
from rag.store.checks import Check
from rag.store.collections import Collection
from rag.store.repair import broken_vectors, replace_vectors
from rag.store.vectors import pack

if TYPE_CHECKING:
    from rag.app import App

EMBEDDED_AT_ONCE = 64
UNINDEXED = 200  # a collection of more chunks than this should have a published index

__all__ = ["Check", "Mended", "examine", "repair"]


@dataclass(frozen=True, slots=True)
class Mended:
    """What a repair did, or could not do, for one thing."""

    name: str
    ok: bool
    detail: str


# ── examining ───────────────────────────────────────────────────────────────────────────────────────────────────────


def examine(app: "App") -> list[Check]:
    """Every invariant and whether it holds. A check that cannot be made is one that failed; the others are made."""
    database = app.database
    found = [*_tried("database integrity", lambda: [checks.integrity(database)])]
    found += _tried("migration", lambda: [_migration(app)])
    found += _tried("sqlite version", lambda: [checks.sqlite_version(database)])
    collections: list[Collection] = []
    found += _tried("collections", lambda: _known(app, collections))
    for collection in collections:
        found += _tried(f"{collection.name}: rows", lambda c=collection: _rows(app, c))  # type: ignore[misc]
        found += _tried(f"{collection.name}: index", lambda c=collection: [_index(app, c)])  # type: ignore[misc]
    found += _tried("logged prompts", lambda: _prompts(app))
    found += _tried("datasets", lambda: _datasets(app))
    return found


def _tried(name: str, check: Callable[[], Iterable[Check]]) -> list[Check]:
    found: list[Check] = []
    try:
        found.extend(check())
    except Exception as error:  # a damaged database raises whatever its driver does
        found.append(Check(name, False, f"cannot be examined: {_words(error)}"))
    return found


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, RagError) else f"{type(error).__name__}: {error}".splitlines()[0]


def _collections(app: "App") -> list[Collection]:
    with app.database.read() as connection:
        return collection_store.everything(connection)


def _known(app: "App", into: list[Collection]) -> Iterator[Check]:
    """Gather the collections; this is a check of its own only where it fails."""
    into += _collections(app)
    return iter(())


def _migration(app: "App") -> Check:
    stands = database_store.current(app.database)
    ok = stands == database_store.HEAD
    return Check("migration", ok, f"the tables stand at {stands}" + ("" if ok else f", not {database_store.HEAD}"))


def _rows(app: "App", collection: Collection) -> Iterator[Check]:
    with app.database.read() as connection:
        yield from checks.collection_checks(app.database, connection, collection)


def _prompts(app: "App") -> Iterator[Check]:
    with app.database.read() as connection:
        yield checks.prompts(app.database, connection)


def _datasets(app: "App") -> Iterator[Check]:
    with app.database.read() as connection:
        yield checks.kept_datasets(connection)


def _index(app: "App", collection: Collection) -> Check:
    """The published index: every byte as its checksums say, at a position the database has had, with the ids that
    were alive there."""
    name, indexes = f"{collection.name}: index", app.indexes(collection)
    problems = indexes.check()
    if problems:
        return Check(name, False, "; ".join(problems))
    with app.database.read() as connection:
        alive = collection_store.counts(connection, collection.id).chunks
    generation = indexes.view().generation
    if generation:
        return Check(name, True, f"generation {generation} equals its checksums and holds the right chunks")
    if alive > UNINDEXED:
        return Check(name, False, f"there is none on disk, though the collection has {alive} chunks; run `rag rebuild`")
    return Check(name, True, f"none on disk yet; searched from the database: {counted(alive, 'chunk')}")


# ── mending ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def repair(app: "App") -> list[Mended]:
    """Mend what can be mended and say what was done: vectors that are missing or wrong are embedded anew from texts
    that are still what they were, then every index that is missing or damaged is built from SQL."""
    done: list[Mended] = []
    for collection in _collections(app):
        mended = _vectors(app, collection)
        done += mended
        if any(one.ok for one in mended) or not _index(app, collection).ok:
            done.append(rebuild(app, collection))
    return done


def _vectors(app: "App", collection: Collection) -> list[Mended]:
    name, database = f"{collection.name}: vectors", app.database
    with database.read() as connection:
        broken = broken_vectors(database, connection, collection)
    done: list[Mended] = []
    if broken.strings:
        embedder = app.embedder()
        collection_store.require_embedder(collection, embedder)
        digests = sorted(broken.strings)
        for i in range(0, len(digests), EMBEDDED_AT_ONCE):
            some = digests[i : i + EMBEDDED_AT_ONCE]
            rows = embedder.embed_passages([broken.strings[digest] for digest in some])
            with database.write() as connection:
                replace_vectors(connection, collection, {d: pack(row) for d, row in zip(some, rows, strict=True)})
        detail = f"missing or wrong vectors, embedded anew from their texts: {len(digests)}"
        with database.write() as connection:
            record(
                connection,
                collection.tenant_id,
                actor="local",
                action="repair",
                subject=collection.name,
                detail={"vectors": len(digests)},
            )
        done.append(Mended(name, True, detail))
    if broken.lost:
        detail = (
            f"{counted(len(broken.lost), 'chunk')} without a sound vector, whose text is not what was embedded (chunk "
            f"{broken.lost[0]} first); put back a backup of the database"
        )
        done.append(Mended(name, False, detail))
    return done


def rebuild(app: "App", collection: Collection) -> Mended:
    """Build a collection's index anew from SQL, embedding nothing."""
    name = f"{collection.name}: index"
    try:
        generation = app.indexes(collection).publish(rebuild=True)
    except RagError as error:
        return Mended(name, False, str(error))
    if generation is None:
        return Mended(name, False, "another process is building it at this moment; try again when it is done")
    return Mended(name, True, f"built anew from the database as generation {generation}; nothing was embedded")
