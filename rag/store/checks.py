"""What must hold in the database, each with a query that finds where it does not."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, and_, exists, func, select

from ingest.wording import counted
from rag.store import datasets
from rag.store.collections import Collection
from rag.store.database import FIXED_SQLITE, Database
from rag.store.tables import changes, chunks, collections, contents, decisions, documents, texts, vectors
from rag.store.vectors import unpack

NAMED = 5  # offenders named in a detail


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant and whether it holds."""

    name: str
    ok: bool
    detail: str


def integrity(database: Database) -> Check:
    """The database file itself: SQLite's own page and foreign key check."""
    if not database.is_sqlite:
        with database.read() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar()
        return Check("database integrity", True, f"PostgreSQL {version} answers")
    with database.read() as connection:
        said = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check(5)")]
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if said != ["ok"]:
        return Check("database integrity", False, "; ".join(said))
    if orphans:
        return Check(
            "database integrity", False, f"{counted(len(orphans), 'reference')} to rows that are gone: {orphans[0]}"
        )
    return Check("database integrity", True, "every page and reference is sound")


def sqlite_version(database: Database) -> Check:
    """Which SQLite runs, and what is done about one whose WAL two checkpointers can corrupt."""
    if not database.is_sqlite:
        return Check("sqlite version", True, "not SQLite")
    import sqlite3

    if sqlite3.sqlite_version_info >= FIXED_SQLITE:
        return Check("sqlite version", True, f"SQLite {sqlite3.sqlite_version}")
    return Check(
        "sqlite version",
        True,
        f"SQLite {sqlite3.sqlite_version} is below {'.'.join(map(str, FIXED_SQLITE))}, which mends a WAL fault when "
        "two connections checkpoint at once; only one connection at a time checkpoints here, so it cannot happen",
    )


def collection_checks(database: Database, connection: Connection, collection: Collection) -> Iterator[Check]:
    """Every invariant of one collection's rows."""
    yield _positions(connection, collection)
    yield _lifetimes(connection, collection)
    yield _offsets(connection, collection)
    yield _digests(database, connection, collection)
    yield _vectors(connection, collection)
    yield _duplicates(connection, collection)


def _duplicates(connection: Connection, collection: Collection) -> Check:
    """A document is held back, or a place of another's text, only as long as that other one stands."""
    standing = exists().where(
        documents.c.id == decisions.c.against_id,
        documents.c.removed_position.is_(None),
        documents.c.own_content_id.is_(None),
    )
    rows = connection.execute(
        select(decisions.c.id, decisions.c.uri, decisions.c.against_uri).where(
            decisions.c.collection_id == collection.id,
            decisions.c.ended_at.is_(None),
            decisions.c.held_back.is_not(None),
            ~standing,
        )
    ).all()
    bad = [f"{row.uri} is held back for {row.against_uri}, which is gone (decision {row.id})" for row in rows]
    shown = documents.alias()
    own = exists().where(
        shown.c.content_id == documents.c.content_id,
        shown.c.removed_position.is_(None),
        shown.c.own_content_id.is_(None),
    )
    places = connection.execute(
        select(documents.c.id, documents.c.uri).where(
            documents.c.collection_id == collection.id,
            documents.c.removed_position.is_(None),
            documents.c.own_content_id.is_not(None),
            ~own,
        )
    ).all()
    bad += [f"document {row.id} ({row.uri}) shows a text that is no document's own" for row in places]
    return _check("duplicates", collection, bad, "nothing is held back for what is gone")


def _check(name: str, collection: Collection, bad: list[str], good: str) -> Check:
    if bad:
        shown = ", ".join(bad[:NAMED]) + (f" and {len(bad) - NAMED} more" if len(bad) > NAMED else "")
        return Check(f"{collection.name}: {name}", False, shown)
    return Check(f"{collection.name}: {name}", True, good)


def _positions(connection: Connection, collection: Collection) -> Check:
    """Changes are numbered 1…position without a gap, and no row stands beyond."""
    bad = []
    found, highest = connection.execute(
        select(func.count(), func.coalesce(func.max(changes.c.position), 0)).where(
            changes.c.collection_id == collection.id
        )
    ).one()
    now = connection.scalar(select(collections.c.position).where(collections.c.id == collection.id))
    if not found == highest == now:
        bad.append(f"position {now}, but {counted(found, 'change')} up to {highest}")
    for table in (documents, chunks):
        beyond = connection.scalar(
            select(func.count()).where(
                table.c.collection_id == collection.id,
                func.coalesce(table.c.removed_position, table.c.added_position) > now,
            )
        )
        if beyond:
            bad.append(f"{beyond} {table.name} beyond position {now}")
    return _check("positions", collection, bad, f"{counted(int(now or 0), 'change')}, none missing")


def _lifetimes(connection: Connection, collection: Collection) -> Check:
    """A content has live chunks exactly while a live document holds it."""
    held = exists().where(documents.c.content_id == contents.c.id, documents.c.removed_position.is_(None))
    chunked = exists().where(chunks.c.content_id == contents.c.id, chunks.c.removed_position.is_(None))
    bad = []
    for what, condition in (
        ("is held by a document but has no chunks", and_(held, ~chunked, contents.c.erased_at.is_(None))),
        ("has chunks but no document", and_(~held, chunked)),
    ):
        rows = connection.execute(
            select(contents.c.id).where(contents.c.collection_id == collection.id, condition)
        ).all()
        bad += [f"content {row[0]} {what}" for row in rows]
    return _check("lifetimes", collection, bad, "every live text is searchable, no other is")


def _offsets(connection: Connection, collection: Collection) -> Check:
    """Chunks lie within their text, none is empty, and their ordinals differ."""
    rows = connection.execute(
        select(chunks.c.id)
        .join(contents, contents.c.id == chunks.c.content_id)
        .where(
            chunks.c.collection_id == collection.id,
            chunks.c.removed_position.is_(None),
            contents.c.erased_at.is_(None),
            ~and_(chunks.c.start >= 0, chunks.c.start < chunks.c.end, chunks.c.end <= func.length(contents.c.text)),
        )
    ).all()
    twice = connection.execute(
        select(chunks.c.content_id)
        .where(chunks.c.collection_id == collection.id, chunks.c.removed_position.is_(None))
        .group_by(chunks.c.content_id, chunks.c.ordinal)
        .having(func.count() > 1)
    ).all()
    bad = [f"chunk {row[0]} reaches outside its text" for row in rows]
    bad += [f"content {row[0]} has a chunk twice" for row in twice]
    return _check("offsets", collection, bad, "every chunk lies within its text")


def _digests(database: Database, connection: Connection, collection: Collection) -> Check:
    """Every stored text still has the digest it was stored under."""
    bad: list[str] = []
    seen = 0
    rows = connection.execute(
        select(contents.c.id, contents.c.title, contents.c.text, contents.c.text_digest).where(
            contents.c.collection_id == collection.id, contents.c.erased_at.is_(None)
        ),
        execution_options={"yield_per": 200},
    )
    for row in rows:
        seen += 1
        if database.digest(stored_text(row.title, row.text)) != bytes(row.text_digest):
            bad.append(f"the text of content {row.id} is not what was stored")
    return _check("texts", collection, bad, f"{counted(seen, 'text')}, each as its digest says")


def stored_text(title: str, text: str) -> str:
    """What the `text_digest` of a content covers."""
    return f"{title}\x00{text}"


def _vectors(connection: Connection, collection: Collection) -> Check:
    """Every live chunk has a finite unit vector of the right dimension."""
    bad: list[str] = []
    seen = last = 0
    while True:
        rows = connection.execute(
            select(chunks.c.id, vectors.c.data)
            .outerjoin(
                vectors,
                and_(
                    vectors.c.digest == chunks.c.digest,
                    vectors.c.tenant_id == collection.tenant_id,
                    vectors.c.embedder_id == collection.embedder_id,
                ),
            )
            .where(chunks.c.collection_id == collection.id, chunks.c.removed_position.is_(None), chunks.c.id > last)
            .order_by(chunks.c.id)
            .limit(4096)
        ).all()
        if not rows:
            return _check("vectors", collection, bad, f"{counted(seen, 'vector')}, each finite and of unit length")
        last = rows[-1][0]
        seen += len(rows)
        whole = [row for row in rows if row[1] is not None and len(row[1]) == 4 * collection.dim]
        bad += [f"chunk {key} has no vector" for key in sorted({r[0] for r in rows} - {r[0] for r in whole})]
        array = unpack([row[1] for row in whole], collection.dim)
        lengths = np.linalg.norm(array, axis=1)
        wrong = ~np.isfinite(lengths) | (np.abs(lengths - 1) > 1e-3)
        bad += [f"the vector of chunk {whole[i][0]} is not a unit vector" for i in np.flatnonzero(wrong)]


def prompts(database: Database, connection: Connection) -> Check:
    """Every logged prompt still has the digest it was stored under."""
    bad: list[str] = []
    seen = 0
    for row in connection.execute(
        select(texts.c.id, texts.c.text, texts.c.digest), execution_options={"yield_per": 200}
    ):
        seen += 1
        if database.digest(row.text) != bytes(row.digest):
            bad.append(f"prompt {row.id}")
    if bad:
        return Check("logged prompts", False, f"changed since they were logged: {', '.join(bad[:NAMED])}")
    return Check("logged prompts", True, f"{counted(seen, 'prompt')}, each as its digest says")


def kept_datasets(connection: Connection) -> Check:
    """Every version of a dataset still says what its digests say."""
    bad: list[str] = []
    versions = datasets.everything(connection)
    for version in versions:
        keys = datasets.damaged(connection, version)
        bad += [version.named + (f", item {key!r}" if key else "") for key in keys]
    if bad:
        more = f" and {len(bad) - NAMED:,} more" if len(bad) > NAMED else ""
        return Check("datasets", False, f"changed since they were kept: {'; '.join(bad[:NAMED])}{more}")
    return Check("datasets", True, f"{counted(len(versions), 'version')}, each as its digests say")
