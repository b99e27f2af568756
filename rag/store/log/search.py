"""One query of the log on its way through a database: as here on PostgreSQL where it has no words."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select

from rag.store.log import states
from rag.store.log.facts import Names, Span, facts, narrowed, spoken, within
from rag.store.log.query import Query
from rag.store.tables import interaction_facts

WINDOW = 20_000  # rows that are walked in order
WIDER = 100_000  # … where the first ones show that so many fill the page


@dataclass(frozen=True, slots=True)
class Count:
    """How many interactions there are: exactly, or, with `more`, at least."""

    number: int
    more: bool


@dataclass(frozen=True, slots=True)
class Search:
    """A query, and how its rows are found."""

    connection: Connection
    tenant_id: int
    query: Query
    names: Names
    states: tuple[int, ...] | None  # of the rows that it can mean; None: they do not tell, or tell little
    backwards: bool

    def page(self, inside: Span, limit: int) -> list[str]:
        """The first ids of the span, from its newer end, or from its older where one goes backwards."""
        for rows in (WINDOW, WIDER):
            window = self.window(inside, rows)
            found = self.walked(inside if window is None else window, limit)
            if window is None or len(found) >= limit:
                return found
            if 4 * len(found) * WIDER <= 5 * limit * rows:  # a quarter more than the page, for some luck
                break
        return self.rare(inside, limit)

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
        return counted(self.connection, one.where(*self.where(inside), *spoken(self.query)).limit(most))

    def counted(self, inside: Span, most: int) -> Count:
        """How many there are, or at least `most`."""
        found = self.count(inside, most + 1)
        return Count(min(found, most), found > most)

    def where(self, inside: Span) -> list[ColumnElement[bool]]:
        """All that a row must fulfil, but for the words."""
        told = [] if self.states is None else [states.one_of(self.states)]
        return [*narrowed(self.tenant_id, self.query, self.names, inside), *told]

    def order(self, number: ColumnElement[int]) -> ColumnElement[int]:
        return number.asc() if self.backwards else number.desc()

    def window(self, inside: Span, rows: int) -> Span | None:
        """The span's first rows, so many; None where it has no more than these."""
        here = within(self.tenant_id, inside)
        wanted = select(facts.number).where(*here).order_by(self.order(facts.number)).offset(rows).limit(1)
        edge = self.connection.scalar(wanted)
        if edge is None:
            return None
        return inside.narrowed(below=edge) if self.backwards else inside.narrowed(above=edge)


def counted(connection: Connection, wanted: Select[Any]) -> int:
    """How many rows there are."""
    return int(connection.scalar(select(func.count()).select_from(wanted.subquery())) or 0)
