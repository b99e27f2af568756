"""Experiments that are kept: several configurations, the questions that were put to them, and what came of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, delete, func, insert, select

from rag.errors import Conflict, NotFound
from rag.store.database import now
from rag.store.evaluations import check_name
from rag.store.tables import experiment_answers, experiments
from rag.types import Metadata

AT_ONCE = 200  # rows of an insert


@dataclass(frozen=True, slots=True)
class Configured:
    """One configuration: a name, and the settings in which it differs from those of the installation."""

    name: str
    overrides: Metadata


@dataclass(frozen=True, slots=True)
class Experiment:
    """Several configurations that were put to the same questions."""

    id: int
    name: str
    created_at: datetime
    questions: str  # where they came from
    digest: str
    configurations: tuple[Configured, ...]  # the first is the one that the others are compared with
    version: str
    user: str
    asked: int  # questions


@dataclass(frozen=True, slots=True)
class Answered:
    """What one configuration made of one question."""

    configuration: int  # from 1
    number: int  # of the question, from 1
    question_id: str
    question: str
    interaction_id: str | None  # None: it is no longer in the log
    values: Mapping[str, float | None]  # metric → value, None where it does not apply
    total_ms: float
    error: str | None = None


def add(
    connection: Connection,
    tenant_id: int,
    name: str,
    *,
    questions: str,
    digest: str,
    configurations: Sequence[Configured],
    version: str,
    user: str,
) -> Experiment:
    """Begin an experiment. Raises Conflict where its name is taken, WrongUsage where it cannot be one."""
    check_name(name)
    if _find(connection, tenant_id, name) is not None:
        raise Conflict(f"there is an experiment {name!r} already; give another --name")
    connection.execute(
        insert(experiments).values(
            tenant_id=tenant_id,
            name=name,
            questions=questions,
            digest=digest,
            configurations=[[each.name, dict(each.overrides)] for each in configurations],
            version=version,
            user=user,
            created_at=now(),
        )
    )
    return get(connection, tenant_id, name)


def add_answers(connection: Connection, experiment_id: int, answers: Sequence[Answered]) -> None:
    """Keep what was made of some questions."""
    rows = [
        {"experiment_id": experiment_id} | {name: getattr(each, name) for name in Answered.__slots__}
        for each in answers
    ]
    for begin in range(0, len(rows), AT_ONCE):
        connection.execute(insert(experiment_answers), rows[begin : begin + AT_ONCE])


def remove(connection: Connection, tenant_id: int, name: str) -> Experiment:
    """Forget an experiment, by name or id; its answers stay in the log. Raises NotFound."""
    found = get(connection, tenant_id, name)
    connection.execute(delete(experiments).where(experiments.c.id == found.id))
    return found


def free_name(connection: Connection, tenant_id: int, questions: str) -> str:
    """The questions' name, with a number behind it where an experiment has that name."""
    kept = "".join(c if c.isprintable() and c != "/" else "-" for c in questions).strip()[:80].strip() or "questions"
    base = kept if not kept.isdigit() else f"questions-{kept}"
    taken = set(connection.scalars(select(experiments.c.name).where(experiments.c.tenant_id == tenant_id)))
    number = 1
    while (name := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return name


def get(connection: Connection, tenant_id: int, name: str) -> Experiment:
    """The experiment of this name or id. Raises NotFound, naming the newest."""
    found = _find(connection, tenant_id, name)
    if found is None:
        names = [each.name for each in listing(connection, tenant_id, limit=10)]
        known = f"there are: {', '.join(names)}" if names else "there is none yet: rag experiment run"
        raise NotFound(f"no experiment {name!r}; {known}")
    return found


def listing(connection: Connection, tenant_id: int, *, limit: int, before: int | None = None) -> list[Experiment]:
    """Experiments, the newest first, beginning behind the one with the id `before`."""
    query = select(experiments).where(experiments.c.tenant_id == tenant_id)
    if before is not None:
        query = query.where(experiments.c.id < before)
    rows = connection.execute(query.order_by(experiments.c.id.desc()).limit(limit)).all()
    return [_value(connection, row) for row in rows]


def answers(connection: Connection, experiment_id: int) -> list[Answered]:
    """Everything that was answered, by configuration and question."""
    columns = experiment_answers.c
    rows = connection.execute(
        select(experiment_answers)
        .where(columns.experiment_id == experiment_id)
        .order_by(columns.configuration, columns.number)
    )
    return [Answered(**{name: row._mapping[name] for name in Answered.__slots__}) for row in rows]


def _find(connection: Connection, tenant_id: int, name: str) -> Experiment | None:
    mine = experiments.c.name == name
    if name.isdecimal() and name.isascii():
        if len(name) > 18:
            return None
        mine = experiments.c.id == int(name)
    row = connection.execute(select(experiments).where(experiments.c.tenant_id == tenant_id, mine)).one_or_none()
    return None if row is None else _value(connection, row)


def _value(connection: Connection, row: Row[tuple[object, ...]]) -> Experiment:
    told = row._mapping
    columns = experiment_answers.c
    asked = connection.scalar(
        select(func.count()).where(columns.experiment_id == told["id"], columns.configuration == 1)
    )
    return Experiment(
        id=told["id"],
        name=told["name"],
        created_at=told["created_at"],
        questions=told["questions"],
        digest=told["digest"],
        configurations=tuple(Configured(name, overrides) for name, overrides in told["configurations"]),
        version=told["version"],
        user=told["user"],
        asked=int(asked or 0),
    )
