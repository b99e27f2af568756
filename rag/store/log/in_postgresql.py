"""How PostgreSQL finds the rows of a query with words: its index gives them in no order, and each by reading all that
it says. So few rows are looked at, in order, and counts end with a lower bound."""

import math
from collections.abc import Sequence

from sqlalchemy import ARRAY, BigInteger, Boolean, bindparam, cast, func, select, text
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.sql.expression import column, table

from rag.store.log import words
from rag.store.log.facts import Span, facts, matching, only_words
from rag.store.log.search import Count, Search
from rag.store.tables import interaction_facts

SOME = 10_000  # rows with these words: then they are read first
FEW = 25_000  # rows whose words are looked at one by one for a page
HEARD = 4_000  # rows whose words are looked at one by one for a count
NEXT = 25_000  # rows with the words of a phrase that are looked at for a count

_words = table("log_words", column("number", BigInteger), column("words"))


class SpokenInPostgresql(Search):
    """With words on PostgreSQL."""

    __slots__ = ()

    def page(self, inside: Span, limit: int) -> list[str]:
        if self._seldom():
            return self.rare(inside, limit)
        numbers = [] if only_words(self.query) else sorted(self._others(inside, FEW), reverse=not self.backwards)
        if only_words(self.query) or len(numbers) > FEW:
            return Search.page(self, inside, limit)
        found: list[int] = []
        at, some = 0, 10 * limit
        while at < len(numbers) and len(found) < limit:  # ever more of them at once, but no more than fill the page
            held = self._holding(numbers[at : at + some])
            found += [number for number in numbers[at : at + some] if number in held]
            at += some
            likely = 1.3 * at * (limit - len(found)) / max(len(found), 1)
            some = max(limit, min(4 * some, math.ceil(likely)))
        return self._named(found[:limit])

    def counted(self, inside: Span, most: int) -> Count:
        if self._seldom():
            return Search.counted(self, inside, most)
        if only_words(self.query):
            return self._next_to_each_other(inside, most)
        numbers = self._others(inside, HEARD)
        return Count(len(self._holding(numbers[:HEARD])), len(numbers) > HEARD)

    def _next_to_each_other(self, inside: Span, most: int) -> Count:
        """How many say the words, of the first NEXT rows that hold each of them: of a phrase the index knows no more,
        and whether its words stand next to each other is seen by reading the row."""
        wanted = words.terms(self.query.text or "")
        if all(len(term.words) == 1 for term in wanted):
            return Search.counted(self, inside, most)
        each, said = (
            _words.c.words.op("@@", return_type=Boolean())(cast(words.tsquery(terms), TSQUERY))
            for terms in (words.apart(wanted), wanted)
        )
        held = (
            select(_words.c.number, said.label("said"))
            .where(each)
            .limit(NEXT + 1)
            .cte("held")
            .prefix_with("MATERIALIZED")
        )
        here = select(func.count()).select_from(held).join(interaction_facts, facts.number == held.c.number)
        here = here.where(held.c.said, *self.where(inside))
        seen = select(func.count()).select_from(held).scalar_subquery()
        told = select(seen, here.scalar_subquery())
        looked, found = self.connection.execute(told).one()
        return Count(min(found, most), found > most or looked > NEXT)

    def _named(self, numbers: Sequence[int]) -> list[str]:
        """The ids of the rows of these numbers, in order."""
        wanted = select(facts.interaction_id).where(facts.tenant_id == self.tenant_id, facts.number.in_(numbers))
        return list(self.connection.scalars(wanted.order_by(self.order(facts.number))))

    def _seldom(self) -> bool:
        """Whether so few rows hold the words, as the database's statistics have it, that these are best read first."""
        told = matching(self.query)
        explain = text(f"EXPLAIN (FORMAT JSON) SELECT number FROM log_words WHERE {told.text}")
        plan = self.connection.scalar(explain.bindparams(**told.compile().params))
        return bool(plan[0]["Plan"]["Plan Rows"] <= SOME)

    def _others(self, inside: Span, most: int) -> Sequence[int]:
        """Numbers of the rows that fulfil all but the words, in no order, `most` + 1 at most."""
        return self.connection.scalars(select(facts.number).where(*self.where(inside)).limit(most + 1)).all()

    def _holding(self, numbers: Sequence[int]) -> set[int]:
        """Those that hold the words."""
        these = bindparam("numbers", numbers, ARRAY(BigInteger))
        here = select(_words.c.number).where(_words.c.number == func.any(these), matching(self.query))
        return set(self.connection.scalars(here))
