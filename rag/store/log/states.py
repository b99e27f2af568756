"""Which states the rows have that a query means: where none has, nothing fits, and no row need be looked at.

A row's state is a number, bit by bit what holds of it: that it abstained, failed, has this score, was rated, is under
review. Of a million rows there are some ten states, and an index has them; filters that exclude one another (refused,
and yet with a score) are each fulfilled by many rows, and together by those of no state.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Integer, func, literal_column, select, text

from rag.store.log.facts import facts
from rag.store.log.query import Query
from rag.store.tables import STATE, STATE_BITS

MOST = 500  # states that are looked at
_BIT: Mapping[str, int] = {holds: 4 << place for place, holds in enumerate(STATE_BITS)}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query asks of a state: of these bits, those."""

    bits: int
    wanted: int

    def meant(self, state: int) -> bool:
        return state & self.bits == self.wanted


def asked(query: Query, slots: Mapping[str, int | None]) -> list[Asked]:
    """What each filter of a query asks of the state. slots: of the scores that have ever been given; None: without a
    column."""
    found = []
    if query.abstained is not None:
        found.append(Asked(3, 2 if query.abstained else 1))
    flags = {
        "failed": query.failed,
        "review_id IS NOT NULL": None if query.review_state is None else query.review_state != "none",
        "confidence IS NOT NULL": True if (query.confidence_min, query.confidence_max) != (None, None) else None,
        "good > 0": True if query.feedback == "good" else None,
        "bad > 0": True if query.feedback == "bad" else None,
        "said > 0": {"any": True, "none": False}.get(query.feedback or ""),
        **{f"score_{slot} IS NOT NULL": True for slot in map(slots.get, (s.name for s in query.scores)) if slot},
    }
    return found + [Asked(_BIT[name], _BIT[name] if holds else 0) for name, holds in flags.items() if holds is not None]


def meant(
    connection: Connection, tenant_id: int, query: Query, slots: Mapping[str, int | None]
) -> tuple[int, ...] | None:
    """The states of the rows that a query can mean: empty where there can be none; None where the states do not tell,
    because at most one filter asks something of them, or there are too many."""
    if any(each.name not in slots for each in query.scores):
        return ()
    wanted = asked(query, slots)
    if len(wanted) < 2:
        return None
    known = connection.scalars(_KNOWN, {"tenant": tenant_id, "most": MOST + 1}).all()
    if len(known) > MOST:
        return None
    return tuple(state for state in known if all(each.meant(state) for each in wanted))


def few(connection: Connection, tenant_id: int, states: tuple[int, ...], most: int) -> bool:
    """Whether at most so many rows have one of these states."""
    rows = select(facts.number).where(facts.tenant_id == tenant_id, one_of(states)).limit(most + 1)
    return (connection.scalar(select(func.count()).select_from(rows.subquery())) or 0) <= most


def one_of(states: tuple[int, ...]) -> ColumnElement[bool]:
    """That a row's state is one of these, as its index has it."""
    return literal_column(f"({STATE})", Integer).in_(states)


# Each state is found by one step into the index: a DISTINCT would read every row's.
_KNOWN = text(f"""
    WITH RECURSIVE known (state) AS (
        SELECT (SELECT {STATE} FROM interaction_facts WHERE tenant_id = :tenant ORDER BY {STATE} LIMIT 1)
        UNION ALL
        SELECT (SELECT {STATE} FROM interaction_facts WHERE tenant_id = :tenant AND {STATE} > known.state
                ORDER BY {STATE} LIMIT 1)
        FROM known WHERE known.state IS NOT NULL
    )
    SELECT state FROM known WHERE state IS NOT NULL LIMIT :most""")
