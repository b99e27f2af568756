"""Which rows of the log a query means, in order, a page at a time: quick however many rows there are.

Rows are ordered by number, which is by time. Most queries fill their page from the newest rows, so `WINDOW` of these
are walked first. Where that gives too few, what is meant is rare: then the index of the rarest condition is read, or,
where each is common, all narrow rows. PostgreSQL knows from its statistics which that is; SQLite does not, and is told.
Words have an index of their own. SQLite's gives its rows in order, some ten million a second, so they are held against
what was gathered of the other conditions. PostgreSQL's gives them in no order, and looking whether one row holds a word
means to read all it says: so few rows are looked at, in order, and counts end with a lower bound.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    UnaryExpression,
    bindparam,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import Join, column, table
from sqlalchemy.sql.operators import custom_op

from rag.store.log.facts import (
    MILLISECOND,
    Condition,
    Looked,
    Names,
    Span,
    asked,
    facts,
    matching,
    narrowed,
    read,
    span,
    spoken,
    unheard,
    within,
)
from rag.store.log.query import Query
from rag.store.tables import interaction_facts

WINDOW = 20_000  # rows that are walked in order
SPOKEN = 20_000  # rows with these words that are looked at one by one, on SQLite
SEVERAL = 300_000  # rows whose numbers are gathered from an index, on SQLite
SOME = 10_000  # rows with these words: then they are read first, on PostgreSQL
FEW = 15_000  # rows whose words are looked at one by one for a page, on PostgreSQL
HEARD = 4_000  # rows whose words are looked at one by one for a count, on PostgreSQL
MOST = 10_000  # rows that lists count
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_words = table("log_words", column("rowid", BigInteger), column("number", BigInteger))  # each database has one


def page(
    connection: Connection,
    tenant_id: int,
    query: Query,
    *,
    limit: int,
    before: str | None = None,
    after: str | None = None,
) -> list[str]:
    """Ids of interactions, the newest first: those behind the id `before`, or else the last ones before `after`.

    A page stays what it was when rows are added. An id that is gone still has its place.
    """
    inside = span(query).narrowed(
        below=None if before is None else number_of(connection, tenant_id, before),
        above=None if after is None else number_of(connection, tenant_id, after),
    )
    backwards = after is not None and before is None
    if unheard(query):
        return []
    found = _search(connection, tenant_id, query, backwards).page(inside, limit)
    return found[::-1] if backwards else found


@dataclass(frozen=True, slots=True)
class Count:
    """How many interactions there are: exactly, or, with `more`, at least."""

    number: int
    more: bool


def count(connection: Connection, tenant_id: int, query: Query) -> int:
    """How many interactions there are, however long counting takes."""
    return 0 if unheard(query) else _search(connection, tenant_id, query).count(span(query), None)


def counted(connection: Connection, tenant_id: int, query: Query, *, most: int = MOST) -> Count:
    """How many interactions there are, as far as that is quickly told: `most` at most, and of words beside other
    filters, on PostgreSQL, as many as HEARD rows that pass these filters show."""
    return Count(0, False) if unheard(query) else _search(connection, tenant_id, query).counted(span(query), most)


def number_of(connection: Connection, tenant_id: int, interaction_id: str) -> int:
    """Where an interaction stands; where none has this id, the time of the id itself."""
    found = connection.scalar(
        select(facts.number).where(facts.tenant_id == tenant_id, facts.interaction_id == interaction_id)
    )
    if found is not None:
        return int(found)
    milliseconds = 0
    for letter in interaction_id[:10].upper():  # the first 48 bits of a ULID are its time
        milliseconds = milliseconds * 32 + max(0, _ALPHABET.find(letter))
    return min(milliseconds, (1 << 43) - 1) * MILLISECOND


# ── one query on its way through a database ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Search:
    """A query, and how its rows are found: as here on PostgreSQL where it has no words."""

    connection: Connection
    tenant_id: int
    query: Query
    names: Names
    backwards: bool

    def page(self, inside: Span, limit: int) -> list[str]:
        """The first ids of the span, from its newer end, or from its older where one goes backwards."""
        window = self.window(inside)
        found = self.walked(inside if window is None else window, limit)
        return found if window is None or len(found) >= limit else self.rare(inside, limit)

    def walked(self, inside: Span, limit: int) -> list[str]:
        """The page, where the rows of the span are few, or those that are meant are many."""
        wanted = select(facts.interaction_id).where(*self.where(inside), *spoken(self.query))
        return list(self.connection.scalars(wanted.order_by(self.order(facts.number)).limit(limit)))

    def rare(self, inside: Span, limit: int) -> list[str]:
        """The page, wherever in the span its rows are."""
        found = select(facts.number, facts.interaction_id).where(*self.where(inside), *spoken(self.query))
        few = found.cte("few").prefix_with("MATERIALIZED")  # else PostgreSQL walks the rows in order, however long
        wanted = select(few.c.interaction_id).order_by(self.order(few.c.number)).limit(limit)
        return list(self.connection.scalars(wanted))

    def count(self, inside: Span, most: int | None) -> int:
        """How many there are in the span; with `most` no more are looked for."""
        one: Select[tuple[int]] = select(literal_column("1")).select_from(interaction_facts)
        return _counted(self.connection, one.where(*self.where(inside), *spoken(self.query)).limit(most))

    def counted(self, inside: Span, most: int) -> Count:
        """How many there are, or at least `most`."""
        found = self.count(inside, most + 1)
        return Count(min(found, most), found > most)

    def where(self, inside: Span) -> list[ColumnElement[bool]]:
        """All that a row must fulfil, but for the words."""
        return narrowed(self.tenant_id, self.query, self.names, inside)

    def order(self, number: ColumnElement[int]) -> ColumnElement[int]:
        return number.asc() if self.backwards else number.desc()

    def window(self, inside: Span) -> Span | None:
        """The span's first WINDOW rows; None where it has no more than these."""
        here = within(self.tenant_id, inside)
        wanted = select(facts.number).where(*here).order_by(self.order(facts.number)).offset(WINDOW).limit(1)
        edge = self.connection.scalar(wanted)
        if edge is None:
            return None
        return inside.narrowed(below=edge) if self.backwards else inside.narrowed(above=edge)


class _InSqlite(_Search):
    """On SQLite, which knows nothing of how often a value comes: which index is read first is said here."""

    def walked(self, inside: Span, limit: int) -> list[str]:
        wanted = self._found(facts.interaction_id, inside, None)
        return list(self.connection.scalars(wanted.order_by(self.order(facts.number)).limit(limit)))

    def rare(self, inside: Span, limit: int) -> list[str]:
        wanted = self._found(facts.interaction_id, inside, self._rarest(inside))
        return list(self.connection.scalars(wanted.order_by(self.order(facts.number)).limit(limit)))

    def count(self, inside: Span, most: int | None) -> int:
        each = self._asked(inside)
        if len(each) == 1 and each[0].rows is not None:
            return _counted(self.connection, each[0].rows.limit(most))
        return _counted(self.connection, self._found(facts.number, inside, self._rarest(inside)).limit(most))

    def _found(self, what: ColumnElement[Any], inside: Span, first: int | None) -> Select[Any]:
        """Rows that fulfil all but the words: those of the condition `first` by its index, or else all of the span,
        each looked at."""
        each = self._asked(inside)
        others = [Looked(one.holds) for place, one in enumerate(each) if place != first]
        wanted = select(what).where(*within(self.tenant_id, inside), *others)
        rows = None if first is None else each[first].rows
        if rows is None:
            return wanted
        rarest = rows.subquery("rarest")
        return wanted.select_from(_Beside(rarest, interaction_facts, facts.number == rarest.c.number))

    def _asked(self, inside: Span) -> list[Condition]:
        return asked(self.tenant_id, self.query, self.names, inside)

    def _rarest(self, inside: Span, alone: int = 0) -> int | None:
        """The place of the condition that the fewest rows fulfil; None where that is none, or they are too many. With
        `alone` the only condition may be fulfilled by so many: no rows but those of its index are read."""
        each, found, fewest = self._asked(inside), None, sys.maxsize
        for place, one in enumerate(each):
            if one.rows is not None:
                most = min(fewest - 1, alone if len(each) == 1 and alone else one.few)
                number = _counted(self.connection, one.rows.limit(most + 1))
                if number <= most:
                    found, fewest = place, number
        return found


class _SpokenInSqlite(_InSqlite):
    """With words on SQLite, whose index of words gives the numbers of its rows in order, very fast."""

    def walked(self, inside: Span, limit: int) -> list[str]:
        return list(self.connection.scalars(self._beside(facts.interaction_id, inside, limit)))

    def rare(self, inside: Span, limit: int) -> list[str]:
        rarest = None if self._walkable(inside) else self._rarest(inside, SEVERAL)
        if rarest is None:
            return self.walked(inside, limit)
        said = self._among(inside, rarest, limit).subquery("said")
        wanted = select(facts.interaction_id).where(facts.tenant_id == self.tenant_id)
        wanted = wanted.select_from(_Beside(said, interaction_facts, facts.number == said.c.rowid))
        return list(self.connection.scalars(wanted.order_by(self.order(facts.number))))

    def count(self, inside: Span, most: int | None) -> int:
        rarest = None if self._walkable(inside) else self._rarest(inside, SEVERAL)
        if rarest is None:
            return _counted(self.connection, self._beside(facts.number, inside, most))
        return _counted(self.connection, self._among(inside, rarest, most))

    def _walkable(self, inside: Span) -> bool:
        """Whether to look at each row that holds the words: there is nothing else to look at, or they are few."""
        if _only_words(self.query):
            return True
        here = select(_words.c.rowid).where(matching(self.query, "sqlite"), *inside.holds(_words.c.rowid))
        return _counted(self.connection, here.limit(SPOKEN + 1)) <= SPOKEN

    def _beside(self, what: ColumnElement[Any], inside: Span, limit: int | None) -> Select[Any]:
        """Rows in the order of the index of words, each beside its facts."""
        beside = _Beside(_words, interaction_facts, facts.number == _words.c.rowid)
        wanted = self._found(what, Span(), None).select_from(beside)
        wanted = wanted.where(matching(self.query, "sqlite"), *inside.holds(_words.c.rowid))
        return wanted.order_by(self.order(_words.c.rowid)).limit(limit)

    def _among(self, inside: Span, rarest: int, limit: int | None) -> Select[int]:
        """Numbers in the order of the index of words, of those that fulfil all else, which are gathered before."""
        only = self._asked(inside)
        rows = only[0].rows if len(only) == 1 else self._found(facts.number, inside, rarest)
        assert rows is not None
        where = [*inside.holds(_words.c.rowid), _plain(_words.c.rowid).in_(rows)]
        wanted = select(_words.c.rowid).where(matching(self.query, "sqlite"), *where)
        return wanted.order_by(self.order(_words.c.rowid)).limit(limit)


class _SpokenInPostgresql(_Search):
    """With words on PostgreSQL, whose index of words gives rows in no order, and each by reading its whole text."""

    def page(self, inside: Span, limit: int) -> list[str]:
        if self._seldom():
            return self.rare(inside, limit)
        numbers = [] if _only_words(self.query) else sorted(self._others(inside, FEW), reverse=not self.backwards)
        if _only_words(self.query) or len(numbers) > FEW:
            return _Search.page(self, inside, limit)
        found: list[int] = []
        at, some = 0, 10 * limit
        while at < len(numbers) and len(found) < limit:  # ever more of them at once
            held = self._holding(numbers[at : at + some])
            found += [number for number in numbers[at : at + some] if number in held]
            at, some = at + some, 4 * some
        return self._named(found[:limit])

    def counted(self, inside: Span, most: int) -> Count:
        if _only_words(self.query) or self._seldom():
            return _Search.counted(self, inside, most)
        numbers = self._others(inside, HEARD)
        return Count(len(self._holding(numbers[:HEARD])), len(numbers) > HEARD)

    def _named(self, numbers: Sequence[int]) -> list[str]:
        """The ids of the rows of these numbers, in order."""
        wanted = select(facts.interaction_id).where(facts.tenant_id == self.tenant_id, facts.number.in_(numbers))
        return list(self.connection.scalars(wanted.order_by(self.order(facts.number))))

    def _seldom(self) -> bool:
        """Whether so few rows hold the words, as the database's statistics have it, that these are best read first."""
        told = matching(self.query, "postgresql")
        explain = text(f"EXPLAIN (FORMAT JSON) SELECT number FROM log_words WHERE {told.text}")
        plan = self.connection.scalar(explain.bindparams(**told.compile().params))
        return bool(plan[0]["Plan"]["Plan Rows"] <= SOME)

    def _others(self, inside: Span, most: int) -> Sequence[int]:
        """Numbers of the rows that fulfil all but the words, in no order, `most` + 1 at most."""
        return self.connection.scalars(select(facts.number).where(*self.where(inside)).limit(most + 1)).all()

    def _holding(self, numbers: Sequence[int]) -> set[int]:
        """Those that hold the words."""
        these = bindparam("numbers", numbers, ARRAY(BigInteger))
        here = select(_words.c.number).where(_words.c.number == func.any(these), matching(self.query, "postgresql"))
        return set(self.connection.scalars(here))


class _Beside(Join):
    """A join whose left side SQLite reads first, whatever its planner thinks."""

    inherit_cache = True


@compiles(_Beside)
def _beside(element: _Beside, compiler: SQLCompiler, **keywords: object) -> str:
    joined: str = compiler.visit_join(element, **keywords)  # type: ignore[no-untyped-call]
    return joined.replace(" JOIN ", " CROSS JOIN ", 1)


def _plain(number: ColumnElement[int]) -> ColumnElement[int]:
    """A number that SQLite looks up in no index."""
    return UnaryExpression(number, operator=custom_op("+"), type_=BigInteger())


def _search(connection: Connection, tenant_id: int, query: Query, backwards: bool = False) -> _Search:
    """How this database finds this query's rows."""
    here = connection.dialect.name == "sqlite"
    heard = bool(spoken(query))
    made: type[_Search] = (
        (_SpokenInSqlite if heard else _InSqlite) if here else (_SpokenInPostgresql if heard else _Search)
    )
    return made(connection, tenant_id, query, read(connection, tenant_id, query), backwards)


def _only_words(query: Query) -> bool:
    return query == Query(text=query.text, since=query.since, until=query.until)


def _counted(connection: Connection, wanted: Select[Any]) -> int:
    return int(connection.scalar(select(func.count()).select_from(wanted.subquery())) or 0)
