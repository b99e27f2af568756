"""What a row of the log must fulfil, as conditions over `interaction_facts`, and where names stand there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Select,
    TextClause,
    and_,
    case,
    false,
    literal,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement

from rag.store.log import words
from rag.store.log.query import Query
from rag.store.tables import SLOTS, interaction_facts, interaction_tags, interactions, log_terms, scores

MILLISECOND = 1 << 20  # of a row's number
IN_ORDER = 100_000  # rows of one value: its index has them in the order of their numbers, so reading them is quick
SCATTERED = 60_000  # rows of a range of values, which its index has in the order of the values: they are sorted first
facts = interaction_facts.c

Lookup = Callable[[str, str], ColumnElement[Any]]
"""The id of a name, by field and value, as SQL."""
ScoreOf = Callable[[str], ColumnElement[Any]]
"""The newest value of a score, by its name, as SQL over the facts."""


@dataclass(frozen=True, slots=True)
class Names:
    """How the names of a query are found among the facts."""

    term: Lookup
    score: ScoreOf
    slots: Mapping[str, int | None]  # the columns of the scores that have been given; None: one without a column


def unread(tenant_id: int) -> Names:
    """Names as the database looks them up within a statement."""

    def term(field: str, value: str) -> ColumnElement[Any]:
        return select(log_terms.c.id).where(*_term(tenant_id, field, value)).scalar_subquery()

    def score(name: str) -> ColumnElement[Any]:
        slot = select(log_terms.c.slot).where(*_term(tenant_id, "score", name)).scalar_subquery()
        return case({n: facts[f"score_{n}"] for n in range(1, SLOTS + 1)}, value=slot, else_=_newest(name))

    return Names(term, score, {})


def read(connection: Connection, tenant_id: int, query: Query) -> Names:
    """Names looked up beforehand, so that the database can plan with them."""
    wanted = [(field, value) for field, value in named(query).items() if value is not None]
    wanted += [("tag", tag) for tag in query.tags] + [("score", each.name) for each in query.scores]
    found: Mapping[tuple[str, str], tuple[int, int | None]] = {}
    if wanted:
        rows = connection.execute(
            select(log_terms.c.field, log_terms.c.value, log_terms.c.id, log_terms.c.slot).where(
                log_terms.c.tenant_id == tenant_id,
                log_terms.c.field.in_(sorted({field for field, _ in wanted})),
                log_terms.c.value.in_(sorted({value for _, value in wanted})),
            )
        )
        found = {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def term(field: str, value: str) -> ColumnElement[Any]:
        return literal(found.get((field, value), (-1, None))[0])

    def score(name: str) -> ColumnElement[Any]:
        slot = found.get(("score", name), (-1, None))[1]
        return _newest(name) if slot is None else facts[f"score_{slot}"]

    return Names(term, score, {value: slot for (field, value), (_, slot) in found.items() if field == "score"})


def named(query: Query) -> dict[str, str | None]:
    """The names of a query by their field, but for tags, scores and templates."""
    return {
        "user": query.user,
        "model": query.model,
        "collection": query.collection,
        "origin": query.origin,
        "review": None if query.review_state == "none" else query.review_state,
    }


_COLUMNS: Mapping[str, ColumnElement[int]] = {
    "user": facts.user_id,
    "model": facts.model_id,
    "collection": facts.collection_term_id,
    "origin": facts.origin_id,
    "review": facts.review_id,
}


def _term(tenant_id: int, field: str, value: str) -> list[ColumnElement[bool]]:
    return [log_terms.c.tenant_id == tenant_id, log_terms.c.field == field, log_terms.c.value == value]


def _newest(name: str) -> ColumnElement[Any]:
    """Of a score that has no column of its own."""
    return (
        select(scores.c.value)
        .where(scores.c.interaction_id == facts.interaction_id, scores.c.name == name, scores.c.value.is_not(None))
        .order_by(scores.c.id.desc())
        .limit(1)
        .correlate(interaction_facts)
        .scalar_subquery()
    )


# ── spans ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers above one and below another, neither of them included; None: without end."""

    above: int | None = None
    below: int | None = None

    def narrowed(self, above: int | None = None, below: int | None = None) -> "Span":
        """What lies in this span, and above and below these."""
        over = [bound for bound in (self.above, above) if bound is not None]
        under = [bound for bound in (self.below, below) if bound is not None]
        return replace(self, above=max(over, default=None), below=min(under, default=None))

    def holds(self, number: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """That a number lies in it."""
        return [
            *([] if self.above is None else [number > self.above]),
            *([] if self.below is None else [number < self.below]),
        ]


def number_at(moment: datetime) -> int:
    """What the numbers of rows of this millisecond begin with; of a time that no row can have, the nearest one:
    databases hold 64 bits."""
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    number = (since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000) * MILLISECOND
    return min(max(number, 0), 2**63 - 1)


def span(query: Query) -> Span:
    """The time of a query."""
    since, until = (None if moment is None else number_at(moment) for moment in (query.since, query.until))
    return Span(None if since is None else since - 1, until)


# ── conditions ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that a query asks of a row."""

    holds: ColumnElement[bool]
    rows: Select[tuple[int]] | None = None  # numbers of those that fulfil it, where an index has them by themselves
    few: int = 0  # up to so many of them are sooner read one by one than all rows in order
    of: Callable[[ColumnElement[int]], ColumnElement[bool]] | None = None  # the same, where the row's number tells it
    ordered: bool = True  # whether the index has the rows in the order of their numbers


def narrowed(tenant_id: int, query: Query, names: Names, inside: Span) -> list[ColumnElement[bool]]:
    """All conditions but the words, of rows that lie in the span."""
    return [*within(tenant_id, inside), *(each.holds for each in asked(tenant_id, query, names, inside))]


def within(tenant_id: int, inside: Span) -> list[ColumnElement[bool]]:
    """That a row is of this log, and lies in the span."""
    return [facts.tenant_id == tenant_id, *inside.holds(facts.number)]


def asked(tenant_id: int, query: Query, names: Names, inside: Span) -> list[Condition]:
    """What a query asks of a row of the span beside its words."""

    def listed(holds: ColumnElement[bool]) -> Condition:
        return Condition(holds, select(facts.number).where(*within(tenant_id, inside), holds), IN_ORDER)

    def ranged(holds: ColumnElement[bool]) -> Condition:
        return replace(listed(holds), few=SCATTERED, ordered=False)

    found = [
        listed(_COLUMNS[field] == names.term(field, told)) for field, told in named(query).items() if told is not None
    ]
    if query.review_state == "none":
        found.append(Condition(facts.review_id.is_(None)))
    if query.template is not None:
        found.append(listed(facts.template_id.in_(_templates(tenant_id, query.template))))
    if query.conversation_id is not None:
        turns = select(interactions.c.id).where(interactions.c.conversation_id == query.conversation_id)
        found.append(listed(facts.interaction_id.in_(turns)))
    flags = ((facts.abstained, query.abstained), (facts.failed, query.failed), (facts.replay, query.replays))
    for column, wanted in flags:
        if wanted is not None:
            found.append(listed(column.is_(True)) if wanted else Condition(column.is_(False)))
    if (query.confidence_min, query.confidence_max) != (None, None):
        found.append(ranged(_between(facts.confidence, query.confidence_min, query.confidence_max)))
    for each in query.scores:
        value = names.score(each.name)
        within_range = _between(value, each.least, each.most)
        found.append(ranged(within_range) if isinstance(value, Column) else Condition(within_range))
    if query.feedback == "none":
        found.append(Condition(facts.said == 0))
    elif query.feedback is not None:
        given = {"good": facts.good, "bad": facts.bad, "any": facts.said}[query.feedback]
        found.append(listed(given > literal_column("0")))  # as the index has it: a parameter would not be known to fit
    for tag in dict.fromkeys(query.tags):
        tag_id = names.term("tag", tag)
        tagged = partial(_tagged, tenant_id, tag_id)
        found.append(Condition(tagged(facts.number), _with_tag(tenant_id, tag_id, inside), IN_ORDER, tagged))
    return found


def _between(value: ColumnElement[Any], least: float | None, most: float | None) -> ColumnElement[bool]:
    """That there is a value, and that it lies between the bounds that are given."""
    bounds = [*([] if least is None else [value >= least]), *([] if most is None else [value <= most])]
    return and_(*bounds) if bounds else value.is_not(None)


def _templates(tenant_id: int, name: str) -> Select[tuple[int]]:
    value = log_terms.c.value
    meant = value == name if "@" in name else or_(value == name, value.startswith(name + "@", autoescape=True))
    return select(log_terms.c.id).where(log_terms.c.tenant_id == tenant_id, log_terms.c.field == "template", meant)


def _tagged(tenant_id: int, tag_id: ColumnElement[Any], number: ColumnElement[int]) -> ColumnElement[bool]:
    """That the row of this number has the tag: one step into the tags, however many rows have it."""
    tags = interaction_tags.c
    here = (tags.tenant_id == tenant_id, tags.tag_id == tag_id, tags.number == number)
    return select(literal_column("1")).where(*here).exists()


def _with_tag(tenant_id: int, tag_id: ColumnElement[Any], inside: Span) -> Select[tuple[int]]:
    tags = interaction_tags.c
    return select(tags.number).where(tags.tenant_id == tenant_id, tags.tag_id == tag_id, *inside.holds(tags.number))


def conditions(tenant_id: int, query: Query) -> list[ColumnElement[bool]]:
    """What a row of the log must fulfil, over `interactions`: for statements of one's own. `listing`, `ids` and `count`
    are quicker."""
    where = [*narrowed(tenant_id, query, unread(tenant_id), span(query)), *spoken(query)]
    mine = select(facts.interaction_id).where(*where)
    return [interactions.c.tenant_id == tenant_id, interactions.c.id.in_(mine)]


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def spoken(query: Query) -> list[ColumnElement[bool]]:
    """The condition on the words."""
    if query.text is None or not query.text.strip():
        return []
    wanted = words.terms(query.text)
    if not words.searchable(wanted):
        return [false()]
    return [Spoken(literal(words.fts5(wanted)), literal(words.tsquery(wanted)))]


def unheard(query: Query) -> bool:
    """Whether words are asked for, none of which any row can hold."""
    return bool(query.text and query.text.strip()) and not words.searchable(words.terms(query.text or ""))


def only_words(query: Query) -> bool:
    """Whether nothing is asked beside words and a span of time."""
    return query == Query(text=query.text, since=query.since, until=query.until)


def matching(query: Query) -> TextClause:
    """The condition on the words, of PostgreSQL's index of them."""
    told = words.tsquery(words.terms(query.text or ""))
    return text("words @@ CAST(:words AS tsquery)").bindparams(words=told)


class Spoken(FunctionElement[bool]):
    """Facts whose interaction says these words, whichever database is asked."""

    type = Boolean()
    inherit_cache = True


@compiles(Spoken, "sqlite")
def _spoken_sqlite(element: Spoken, compiler: SQLCompiler, **_: object) -> str:
    fts5, _tsquery = element.clauses
    found = f"SELECT rowid FROM log_words WHERE log_words MATCH {compiler.process(fts5)}"
    return f"+interaction_facts.number IN ({found})"  # +: the facts are walked in their order


@compiles(Spoken, "postgresql")
def _spoken_postgresql(element: Spoken, compiler: SQLCompiler, **_: object) -> str:
    _fts5, tsquery = element.clauses
    found = f"SELECT number FROM log_words WHERE words @@ CAST({compiler.process(tsquery)} AS tsquery)"
    return f"interaction_facts.number IN ({found})"


class Looked(FunctionElement[bool]):
    """A condition that is looked up in no index: seen by looking at each row, on SQLite, whose planner guesses."""

    type = Boolean()
    inherit_cache = True


@compiles(Looked)
def _looked(element: Looked, compiler: SQLCompiler, **_: object) -> str:
    return f"({compiler.process(element.clauses.clauses[0])})"


@compiles(Looked, "sqlite")
def _looked_sqlite(element: Looked, compiler: SQLCompiler, **_: object) -> str:
    return f"+({compiler.process(element.clauses.clauses[0])})"  # https://sqlite.org/optoverview.html, section 8.1
