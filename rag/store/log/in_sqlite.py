"""How SQLite finds the rows of a query: it knows nothing of how often a value comes, and is told what to read first."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    TextClause,
    UnaryExpression,
    bindparam,
    select,
    text,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import Join, column, table
from sqlalchemy.sql.operators import custom_op

from rag.store.log import words
from rag.store.log.facts import SCATTERED, Condition, Looked, Span, asked, facts, only_words, within
from rag.store.log.query import Query
from rag.store.log.search import Search, counted
from rag.store.tables import STATE, interaction_facts

SPOKEN = 20_000  # rows with these words that are looked at one by one
SEVERAL = 300_000  # rows whose numbers are gathered from an index
ALIKE = 200  # words that begin alike and are searched one by one: more are sooner searched at once

_words = table("log_words", column("rowid", BigInteger))


class InSqlite(Search):
    """Which index is read first is said here."""

    __slots__ = ()

    def walked(self, inside: Span, limit: int) -> list[str]:
        wanted = self._found(facts.interaction_id, inside, None)
        return list(self.connection.scalars(wanted.order_by(self.order(facts.number)).limit(limit)))

    def rare(self, inside: Span, limit: int) -> list[str]:
        wanted = self._found(facts.interaction_id, inside, self._rarest(inside))
        return list(self.connection.scalars(wanted.order_by(self.order(facts.number)).limit(limit)))

    def count(self, inside: Span, most: int | None) -> int:
        each = self._asked(inside)
        if len(each) == 1 and each[0].rows is not None:
            return counted(self.connection, each[0].rows.limit(most))
        return counted(self.connection, self._found(facts.number, inside, self._rarest(inside)).limit(most))

    def _found(self, what: ColumnElement[Any], inside: Span, first: int | None) -> Select[Any]:
        """Rows that fulfil all but the words: those of the condition `first` by its index, or else all of the span,
        each looked at."""
        each = self._asked(inside)
        rows = None if first is None else each[first].rows
        if first is None or rows is None:
            return select(what).where(*within(self.tenant_id, inside), *_looked(each, facts.number))
        others = [one for place, one in enumerate(each) if place != first]
        if not each[first].ordered:  # the numbers of a list it sorts, and reads the facts in that order
            here = [facts.tenant_id == self.tenant_id, facts.number.in_(rows)]
            return select(what).where(*here, *_looked(others, facts.number))
        rarest = rows.subquery("rarest")
        beside = _Beside(rarest, interaction_facts, facts.number == rarest.c.number)
        wanted = select(what).where(*within(self.tenant_id, inside), *_looked(others, rarest.c.number))
        return wanted.select_from(beside)

    def _asked(self, inside: Span) -> list[Condition]:
        told = [] if self.states is None else [_of_states(self.tenant_id, self.states, inside)]
        return [*asked(self.tenant_id, self.query, self.names, inside), *told]

    def _rarest(self, inside: Span, alone: int = 0) -> int | None:
        """The place of the condition that the fewest rows fulfil; None where that is none, or they are too many. With
        `alone` the only condition may be fulfilled by so many: no rows but those of its index are read."""
        each, found, fewest = self._asked(inside), None, sys.maxsize
        for place, one in enumerate(each):
            if one.rows is not None:
                most = min(fewest - 1, alone if len(each) == 1 and alone else one.few)
                number = counted(self.connection, one.rows.limit(most + 1))
                if number <= most:
                    found, fewest = place, number
        return found


@dataclass(frozen=True, slots=True)
class SpokenInSqlite(InSqlite):
    """With words: the index of them gives the numbers of its rows in order, very fast."""

    said: str  # the words, as the index reads them

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
            return counted(self.connection, self._beside(facts.number, inside, most))
        return counted(self.connection, self._among(inside, rarest, most))

    def _walkable(self, inside: Span) -> bool:
        """Whether to look at each row that holds the words: there is nothing else to look at, or they are few."""
        if only_words(self.query):
            return True
        here = select(_words.c.rowid).where(self._matching(), *inside.holds(_words.c.rowid))
        return counted(self.connection, here.limit(SPOKEN + 1)) <= SPOKEN

    def _beside(self, what: ColumnElement[Any], inside: Span, limit: int | None) -> Select[Any]:
        """Rows in the order of the index of words, each beside its facts."""
        beside = _Beside(_words, interaction_facts, facts.number == _words.c.rowid)
        where = [*inside.holds(_words.c.rowid), *_looked(self._asked(Span()), _words.c.rowid)]
        wanted = select(what).select_from(beside).where(self._matching(), facts.tenant_id == self.tenant_id, *where)
        return wanted.order_by(self.order(_words.c.rowid)).limit(limit)

    def _among(self, inside: Span, rarest: int, limit: int | None) -> Select[int]:
        """Numbers in the order of the index of words, of those that fulfil all else, which are gathered before."""
        only = self._asked(inside)
        rows = only[0].rows if len(only) == 1 else self._found(facts.number, inside, rarest)
        assert rows is not None
        where = [*inside.holds(_words.c.rowid), _plain(_words.c.rowid).in_(rows)]
        wanted = select(_words.c.rowid).where(self._matching(), *where)
        return wanted.order_by(self.order(_words.c.rowid)).limit(limit)

    def _matching(self) -> TextClause:
        return text("log_words MATCH :words").bindparams(words=self.said)


def _looked(each: Sequence[Condition], number: ColumnElement[int]) -> list[ColumnElement[bool]]:
    """That a row fulfils these, seen by looking at it; where its number tells, before it is read."""
    return [Looked(one.holds if one.of is None else one.of(number)) for one in each]


def _of_states(tenant_id: int, told: tuple[int, ...], inside: Span) -> Condition:
    """That a row has one of these states, as far as an index says it: what a query asks it asks of each row anyway.
    Without being told, SQLite 3.40 does not take an index of something that is worked out."""
    above = inside.above if inside.above is not None else -1
    below = inside.below if inside.below is not None else 2**63 - 1
    rows = text(f"""
        SELECT number FROM interaction_facts INDEXED BY ix_interaction_facts_tenant_id_state_number
        WHERE tenant_id = :tenant AND ({STATE}) IN ({", ".join(map(str, told))}) AND number > :above AND number < :below
    """).bindparams(
        *(bindparam(*each, unique=True) for each in (("tenant", tenant_id), ("above", above), ("below", below)))
    )
    stated = rows.columns(column("number", BigInteger)).subquery("stated")
    return Condition(true(), select(stated.c.number), SCATTERED, ordered=False)


# ── words that begin alike ──────────────────────────────────────────────────────────────────────────────────────────

# Each is found by one step into the index. "!" comes before every letter and digit, so behind a word and it come the
# longer ones that begin with it.
_BEGUN = text("""
    WITH RECURSIVE begun (word) AS (
        SELECT (SELECT term FROM log_words_listed WHERE term >= :letters LIMIT 1)
        UNION ALL
        SELECT (SELECT term FROM log_words_listed WHERE term >= begun.word || '!' LIMIT 1)
        FROM begun WHERE substr(begun.word, 1, length(:letters)) = :letters
    )
    SELECT word FROM begun WHERE substr(word, 1, length(:letters)) = :letters LIMIT :most""")


def heard(connection: Connection, query: Query) -> str:
    """The words of a query as FTS5 reads them. A beginning is given as the words that begin so: FTS5 would merge the
    rows of all of them before it gives the first one. Where they are more than ALIKE in all, or the beginning has
    letters that FTS5 may fold in a way of its own, it stays a beginning."""
    wanted, left = words.terms(query.text or ""), ALIKE
    begun: dict[str, list[str]] = {}
    for letters in dict.fromkeys(term.words[-1] for term in wanted if term.prefix):
        if letters.isascii():
            found = list(connection.scalars(_BEGUN, {"letters": letters, "most": left + 1}))
            if 0 < len(found) <= left:
                begun[letters], left = found, left - len(found)
    return words.fts5(wanted, begun)


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
