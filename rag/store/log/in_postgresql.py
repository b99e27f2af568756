"""How PostgreSQL finds the rows of a query with words: its index gives them in no order, and each by reading all that
it says. So few rows are looked at, in order, and counts end with a lower bound."""

import math
from collections.abc import Sequence

from sqlalchemy import ARRAY, BigInteger, Boolean, ColumnElement, bindparam, cast, func, select, text
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.sql.expression import column, table

from rag.store.log import words
from rag.store.log.facts import Span, facts, matching, only_words
from rag.store.log.search import Count, Search
from rag.store.tables import interaction_facts

SOME = 5_000  # rows with these words: then they are read first
FEW = 25_000  # rows whose words are looked at one by one for a page
WALKED = 4_000  # rows that are looked at in order for a page of a phrase; three times as many where they show it there
HEARD = 4_000  # rows whose words are looked at one by one for a count
NEXT = 10_000  # rows with the words of a phrase that are looked at for a count

_words = table("log_words", column("number", BigInteger), column("words"))


class SpokenInPostgresql(Search):
    """With words on PostgreSQL."""

    __slots__ = ()

    def page(self, inside: Span, limit: int) -> list[str]:
        if only_words(self.query) and self._phrases():
            return self._side_by_side(inside, limit)
        if self._seldom():
            return self.rare(inside, limit)
        if only_words(self.query):
            return Search.page(self, inside, limit)
        numbers = sorted(self._others(inside, FEW), reverse=not self.backwards)
        if len(numbers) > FEW:
            return Search.page(self, inside, limit)
        return self._named(self._first(numbers, limit))

    def _side_by_side(self, inside: Span, limit: int) -> list[str]:
        """The page of a phrase: the statistics, which take its words for strangers to each other, do not tell how many
        rows hold it, the first rows do."""
        wanted = select(facts.number).where(*self.where(inside)).order_by(self.order(facts.number)).limit(3 * WALKED)
        numbers = self.connection.scalars(wanted).all()
        found = self._first(numbers[:WALKED], limit)
        if len(found) < limit < 3 * len(found):
            found += self._first(numbers[WALKED:], limit - len(found))
        if len(found) == limit or len(numbers) <= WALKED:
            return self._named(found)
        everywhere = select(_words.c.number).where(*inside.holds(_words.c.number), matching(self.query))
        return self._named(self.connection.scalars(everywhere).all(), *self.where(inside))[:limit]

    def _first(self, numbers: Sequence[int], limit: int) -> list[int]:
        """Of these numbers, in their order, the first whose rows hold the words."""
        found: list[int] = []
        at, some = 0, 10 * limit
        while at < len(numbers) and len(found) < limit:  # ever more of them at once, but no more than fill the page
            held = self._holding(numbers[at : at + some])
            found += [number for number in numbers[at : at + some] if number in held]
            at += some
            likely = 1.3 * at * (limit - len(found)) / max(len(found), 1)
            some = max(limit, min(4 * some, math.ceil(likely)))
        return found[:limit]

    def counted(self, inside: Span, most: int) -> Count:
        if only_words(self.query) and self._phrases():
            return self._next_to_each_other(inside, most)
        if only_words(self.query) or self._seldom():
            return Search.counted(self, inside, most)
        numbers = self._others(inside, HEARD)
        return Count(len(self._holding(numbers[:HEARD])), len(numbers) > HEARD)

    def _next_to_each_other(self, inside: Span, most: int) -> Count:
        """How many say the words, of the first NEXT rows that hold each of them: of a phrase the index knows no more,
        and whether its words stand next to each other is seen by reading the row."""
        wanted = words.terms(self.query.text or "")
        each, said = _say(words.apart(wanted)), _say(wanted)
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

    def _named(self, numbers: Sequence[int], *conditions: ColumnElement[bool]) -> list[str]:
        """The ids of the rows of these numbers that fulfil the conditions, in order."""
        these = facts.number == func.any(bindparam("numbers", numbers, ARRAY(BigInteger)))
        wanted = select(facts.interaction_id).where(facts.tenant_id == self.tenant_id, these, *conditions)
        return list(self.connection.scalars(wanted.order_by(self.order(facts.number))))

    def _phrases(self) -> bool:
        """Whether words must stand next to each other."""
        return any(len(term.words) > 1 for term in words.terms(self.query.text or ""))

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
        """Those that hold the words; each is looked at, whatever the database thinks how many do."""
        these = bindparam("numbers", numbers, ARRAY(BigInteger))
        said = _say(words.terms(self.query.text or ""))
        looked = select(_words.c.number, said.label("said")).where(_words.c.number == func.any(these))
        each = looked.cte("looked").prefix_with("MATERIALIZED")
        return set(self.connection.scalars(select(each.c.number).where(each.c.said)))


def _say(wanted: Sequence[words.Term]) -> ColumnElement[bool]:
    """That a row holds these."""
    return _words.c.words.op("@@", return_type=Boolean())(cast(words.tsquery(wanted), TSQUERY))
