"""Which rows of the log a query means, in order, a page at a time: quick however many rows there are.

Rows are ordered by number, which is by time. Most queries fill their page from the newest rows, so `WINDOW` of these
are walked first. Where that gives too few, what is meant is rare, and all narrow rows may be read: some hundred bytes
each. Words are looked up in their index: SQLite's gives its rows in order, so they are walked in the same way, unless
there are so many that reading the facts beside them takes longer than reading all facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Connection, Select, bindparam, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import Join, column, table

from rag.store.log.facts import MILLISECOND, Names, Span, Spoken, facts, matching, narrowed, read, span, spoken
from rag.store.log.query import Query
from rag.store.tables import interaction_facts

WINDOW = 20_000  # rows that are walked in order
MANY = 80_000  # rows with these words: then facts are read first, on SQLite
SOME = 2_000  # rows with these words: then they are read first, on PostgreSQL
FEW = 20_000  # rows whose words are looked at one by one, on PostgreSQL
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
    found = _search(connection, tenant_id, query, backwards).page(inside, limit)
    return found[::-1] if backwards else found


def count(connection: Connection, tenant_id: int, query: Query, *, most: int | None = None) -> int:
    """How many interactions there are; with `most`, counting ends at most + 1, which says that there are more."""
    return _search(connection, tenant_id, query).count(span(query), None if most is None else most + 1)


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
    """A query, and how its rows are walked: as here where it has no words."""

    connection: Connection
    tenant_id: int
    query: Query
    names: Names
    spoken: list[ColumnElement[bool]]
    backwards: bool

    def page(self, inside: Span, limit: int) -> list[str]:
        """The first ids of the span, from its newer end, or from its older where one goes backwards."""
        return self.first(inside, limit) or self.rare(inside, limit)

    def first(self, inside: Span, limit: int) -> list[str]:
        """The page, where the first rows of the span fill it."""
        window = self.window(inside)
        found = [] if window is None else self.ids(window, limit)
        return found if len(found) >= limit else []

    def rare(self, inside: Span, limit: int) -> list[str]:
        """The page, wherever in the span its rows are."""
        if self.connection.dialect.name == "sqlite":
            return self.ids(inside, limit)
        found = select(facts.number, facts.interaction_id).where(*self.where(inside), *self.spoken)
        few = found.cte("few").prefix_with("MATERIALIZED")  # else PostgreSQL walks the rows in order, however long
        wanted = select(few.c.interaction_id).order_by(self.order(few.c.number)).limit(limit)
        return list(self.connection.scalars(wanted))

    def count(self, inside: Span, most: int | None) -> int:
        """How many there are in the span, `most` at most."""
        wanted: Select[tuple[int]] = select(literal_column("1")).select_from(interaction_facts)
        wanted = wanted.where(*self.where(inside), *self.spoken)
        return _counted(self.connection, wanted if most is None else wanted.limit(most))

    def ids(self, inside: Span, limit: int) -> list[str]:
        """Ids in order, as the database finds them."""
        wanted = select(facts.interaction_id).where(*self.where(inside), *self.spoken)
        return list(self.connection.scalars(wanted.order_by(self.order(facts.number)).limit(limit)))

    def where(self, inside: Span) -> list[ColumnElement[bool]]:
        return narrowed(self.tenant_id, self.query, self.names, inside)

    def order(self, number: ColumnElement[int]) -> ColumnElement[int]:
        return number.asc() if self.backwards else number.desc()

    def window(self, inside: Span) -> Span | None:
        """The span's first WINDOW rows; None where it has no more than these."""
        here = [facts.tenant_id == self.tenant_id, *inside.holds(facts.number)]
        wanted = select(facts.number).where(*here).order_by(self.order(facts.number)).offset(WINDOW).limit(1)
        edge = self.connection.scalar(wanted)
        if edge is None:
            return None
        return inside.narrowed(below=edge) if self.backwards else inside.narrowed(above=edge)


class _InSqlite(_Search):
    """With words on SQLite, whose index of words gives its rows in order."""

    def page(self, inside: Span, limit: int) -> list[str]:
        if _only_words(self.query) or self._held(inside) <= MANY:
            return list(self.connection.scalars(self._walked(facts.interaction_id, inside, limit)))
        window = self.window(inside)
        walked = None if window is None else self._walked(facts.interaction_id, window, limit)
        found = [] if walked is None else list(self.connection.scalars(walked))
        return found if len(found) >= limit else self.ids(inside, limit)

    def count(self, inside: Span, most: int | None) -> int:
        if not _only_words(self.query) and self._held(inside) > MANY:
            return _Search.count(self, inside, most)
        return _counted(self.connection, self._walked(facts.number, inside, most))

    def _held(self, inside: Span) -> int:
        """How many rows hold the words, MANY + 1 at most."""
        here = select(_words.c.rowid).where(matching(self.query, "sqlite"), *inside.holds(_words.c.rowid))
        return _counted(self.connection, here.limit(MANY + 1))

    def _walked(self, what: ColumnElement[Any], inside: Span, limit: int | None) -> Select[Any]:
        """Rows in the order of the index of words, each beside its facts."""
        beside = _Beside(_words, interaction_facts, facts.number == _words.c.rowid)
        where = [*inside.holds(_words.c.rowid), *self.where(Span())]
        wanted = select(what).select_from(beside).where(matching(self.query, "sqlite"), *where)
        return wanted.order_by(self.order(_words.c.rowid)).limit(limit)


class _InPostgresql(_Search):
    """With words on PostgreSQL, whose index of words gives rows in no order, and each by reading its whole text."""

    def page(self, inside: Span, limit: int) -> list[str]:
        here: Select[tuple[int]] = select(literal_column("1")).select_from(_words)
        here = here.where(matching(self.query, "postgresql"))
        if _counted(self.connection, here.limit(SOME + 1)) <= SOME:
            return _Search.rare(self, inside, limit)
        return _Search.page(self, inside, limit)

    def rare(self, inside: Span, limit: int) -> list[str]:
        few = None if _only_words(self.query) else self._few(inside)
        return _Search.rare(self, inside, limit) if few is None else [key for _, key in self._holding(few)][:limit]

    def count(self, inside: Span, most: int | None) -> int:
        few = None if _only_words(self.query) else self._few(inside)
        if few is None:
            return _Search.count(self, inside, most)
        found = len(self._holding(few))
        return found if most is None else min(found, most)

    def _few(self, inside: Span) -> list[tuple[int, str]] | None:
        """Numbers and ids of the rows that fulfil all but the words, in order; None where they are more than FEW."""
        wanted = select(facts.number, facts.interaction_id).where(*self.where(inside)).limit(FEW + 1)
        rows = self.connection.execute(wanted).all()
        found = sorted(((row[0], row[1]) for row in rows), reverse=not self.backwards)
        return None if len(found) > FEW else found

    def _holding(self, few: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
        """Those of them that hold the words."""
        numbers = bindparam("numbers", [number for number, _ in few], ARRAY(BigInteger))
        here = select(_words.c.number).where(_words.c.number == func.any(numbers), matching(self.query, "postgresql"))
        held = set(self.connection.scalars(here))
        return [each for each in few if each[0] in held]


class _Beside(Join):
    """A join whose left side SQLite reads first, whatever its planner thinks."""

    inherit_cache = True


@compiles(_Beside)
def _beside(element: _Beside, compiler: SQLCompiler, **keywords: object) -> str:
    joined: str = compiler.visit_join(element, **keywords)  # type: ignore[no-untyped-call]
    return joined.replace(" JOIN ", " CROSS JOIN ", 1)


def _search(connection: Connection, tenant_id: int, query: Query, backwards: bool = False) -> _Search:
    said = spoken(query)
    made = _Search
    if said and isinstance(said[0], Spoken):
        made = _InSqlite if connection.dialect.name == "sqlite" else _InPostgresql
    return made(connection, tenant_id, query, read(connection, tenant_id, query), said, backwards)


def _only_words(query: Query) -> bool:
    return query == Query(text=query.text, since=query.since, until=query.until)


def _counted(connection: Connection, wanted: Select[Any]) -> int:
    return int(connection.scalar(select(func.count()).select_from(wanted.subquery())) or 0)
