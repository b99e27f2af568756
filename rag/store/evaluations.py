"""Evaluations that are kept: what each run was, and what it found for every judged question."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from rag.errors import Conflict, NotFound, WrongUsage
from rag.store.database import now
from rag.store.tables import evaluation_queries, evaluations, interactions
from rag.types import Metadata

NAME_LENGTH = 120
FOLDER_LENGTH = 80  # of a folder's part of a name
MODE_LENGTH = 30  # of the part behind it, which a run file brings along
AT_ONCE = 200  # rows of an insert


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """One judged question and what a run found for it."""

    id: str
    question: str
    relevant: Mapping[str, int]  # external id → grade
    metrics: Mapping[str, float]
    latency_ms: float | None  # None: the run came from a file
    ranking: Mapping[str, float]  # external id → score, best first


@dataclass(frozen=True, slots=True)
class NewEvaluation:
    """A run as it is handed in."""

    name: str
    folder: str  # its name
    digest: bytes  # of its judged questions and their judgements
    mode: str
    settings: Metadata
    version: str  # of this program
    metrics: Mapping[str, Mapping[str, float]]  # name → value, low, high; the one to be judged by first
    latency_ms: Mapping[str, float] | None = None  # p50, p95, mean; None: the run came from a file
    collection_id: int | None = None  # None: as above, or the collection is gone
    collection: str | None = None  # its name then
    position: int | None = None
    generation: int | None = None
    user: str = "local"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run that is kept."""

    id: int
    created_at: datetime
    queries: int
    run: NewEvaluation = field(repr=False)

    @property
    def name(self) -> str:
        return self.run.name


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def add(connection: Connection, tenant_id: int, run: NewEvaluation, queries: Sequence[JudgedQuery]) -> Evaluation:
    """Keep a run. Raises Conflict where its name is taken, WrongUsage where it cannot be one."""
    check_name(run.name)
    if _find(connection, tenant_id, run.name) is not None:
        raise Conflict(f"there is a run {run.name!r} already; give another --name")
    created = now()
    key = connection.execute(
        insert(evaluations).values(
            tenant_id=tenant_id,
            name=run.name,
            folder=run.folder,
            digest=run.digest,
            collection_id=run.collection_id,
            collection=run.collection,
            mode=run.mode,
            settings=dict(run.settings),
            position=run.position,
            generation=run.generation,
            version=run.version,
            metrics=[[name, found["value"], found["low"], found["high"]] for name, found in run.metrics.items()],
            latency_ms=None if run.latency_ms is None else dict(run.latency_ms),
            queries=len(queries),
            user=run.user,
            created_at=created,
        )
    ).inserted_primary_key
    assert key is not None
    rows = [
        {
            "evaluation_id": key[0],
            "number": number,
            "query_id": query.id,
            "question": query.question,
            "relevant": dict(query.relevant),
            "metrics": dict(query.metrics),
            "latency_ms": query.latency_ms,
            "ranking": packed(query.ranking),
        }
        for number, query in enumerate(queries, 1)
    ]
    for begin in range(0, len(rows), AT_ONCE):
        connection.execute(insert(evaluation_queries), rows[begin : begin + AT_ONCE])
    return get(connection, tenant_id, run.name)


def remove(connection: Connection, tenant_id: int, name: str) -> Evaluation:
    """Forget a run, by name or id. Raises NotFound."""
    found = get(connection, tenant_id, name)
    connection.execute(delete(evaluation_queries).where(evaluation_queries.c.evaluation_id == found.id))
    connection.execute(delete(evaluations).where(evaluations.c.id == found.id))
    return found


def holding(connection: Connection, tenant_id: int, interaction_ids: Sequence[str]) -> list[str]:
    """The names of the runs that put questions of these interactions."""
    rows = connection.execute(
        select(evaluations.c.name, evaluation_queries.c.query_id)
        .join(evaluation_queries, evaluation_queries.c.evaluation_id == evaluations.c.id)
        .join(interactions, interactions.c.id == evaluation_queries.c.query_id)
        .where(evaluations.c.tenant_id == tenant_id)
    )
    wanted = set(interaction_ids)
    return sorted({row.name for row in rows if row.query_id in wanted})


def check_name(name: str) -> None:
    """Raise WrongUsage unless `name` can name a run: 1…120 printable characters, no slash, no outer blanks, not a
    number, which is taken for an id."""
    if not name or len(name) > NAME_LENGTH or name != name.strip() or "/" in name or not name.isprintable():
        raise WrongUsage(
            f"{name!r} cannot name a run: 1 to {NAME_LENGTH} printable characters, no slash, no blanks at the ends"
        )
    if name.isdigit():
        raise WrongUsage(f"{name!r} cannot name a run: a number is taken for a run's id")


def free_name(connection: Connection, tenant_id: int, folder: str, mode: str) -> str:
    """`folder-mode`, less what cannot be in a name, with a number behind it where runs have that name."""
    parts = [
        "".join(c if c.isprintable() and c != "/" else "-" for c in part).strip()[:length].strip()
        for part, length in ((folder, FOLDER_LENGTH), (mode, MODE_LENGTH))
    ]
    base = f"{parts[0] or 'folder'}-{parts[1] or 'run'}"
    taken = set(connection.scalars(select(evaluations.c.name).where(evaluations.c.tenant_id == tenant_id)))
    number = 1
    while (name := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return name


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def get(connection: Connection, tenant_id: int, name: str) -> Evaluation:
    """The run of this name or id. Raises NotFound, naming the newest runs."""
    found = _find(connection, tenant_id, name)
    if found is None:
        names = [run.name for run in listing(connection, tenant_id, limit=10)]
        known = f"there are: {', '.join(names)}" if names else "there is none yet: rag eval FOLDER"
        raise NotFound(f"no run {name!r}; {known}")
    return found


def _find(connection: Connection, tenant_id: int, name: str) -> Evaluation | None:
    mine = evaluations.c.name == name
    if name.isdecimal() and name.isascii():
        if len(name) > 18:
            return None
        mine = evaluations.c.id == int(name)
    row = connection.execute(select(evaluations).where(evaluations.c.tenant_id == tenant_id, mine)).one_or_none()
    return None if row is None else _value(row)


def listing(
    connection: Connection, tenant_id: int, *, limit: int, before: int | None = None, folder: str | None = None
) -> list[Evaluation]:
    """Runs, the newest first; those of one folder, those older than the run `before`, where these are given."""
    query = select(evaluations).where(evaluations.c.tenant_id == tenant_id)
    if before is not None:
        query = query.where(evaluations.c.id < before)
    if folder is not None:
        query = query.where(evaluations.c.folder == folder)
    return [_value(row) for row in connection.execute(query.order_by(evaluations.c.id.desc()).limit(limit))]


def queries(connection: Connection, evaluation_id: int) -> list[JudgedQuery]:
    """What a run found for each judged question, in the folder's order."""
    table = evaluation_queries
    rows = connection.execute(select(table).where(table.c.evaluation_id == evaluation_id).order_by(table.c.number))
    return [
        JudgedQuery(row.query_id, row.question, row.relevant, row.metrics, row.latency_ms, unpacked(row.ranking))
        for row in rows
    ]


def _value(row: Row[Any]) -> Evaluation:
    return Evaluation(
        row.id,
        row.created_at,
        row.queries,
        NewEvaluation(
            name=row.name,
            folder=row.folder,
            digest=bytes(row.digest),
            mode=row.mode,
            settings=row.settings,
            version=row.version,
            metrics={
                name: {"value": float(value), "low": float(low), "high": float(high)}
                for name, value, low, high in row.metrics
            },
            latency_ms=row.latency_ms,
            collection_id=row.collection_id,
            collection=row.collection,
            position=row.position,
            generation=row.generation,
            user=row.user,
        ),
    )


# ── rankings ────────────────────────────────────────────────────────────────────────────────────────────────────────


def packed(ranking: Mapping[str, float]) -> bytes:
    """A ranking as deflated JSON. Scores come back exactly as they were."""
    pairs = [[document, float(score)] for document, score in ranking.items()]
    return zlib.compress(json.dumps(pairs, separators=(",", ":"), allow_nan=False).encode())


def unpacked(data: bytes) -> dict[str, float]:
    pairs: list[tuple[str, float]] = json.loads(zlib.decompress(data))
    return dict(pairs)
