"""Which rows of the log a query means, in order, a page at a time: quick however many rows there are.

Rows are ordered by number, which is by time. Most queries fill their page from the newest rows, so a window of these
is walked first. Where that gives too few, what is meant is rare: then the index of the rarest condition is read, or,
where each is common, all narrow rows. PostgreSQL knows from its statistics which that is; SQLite does not, and is told.
Filters that exclude one another are each common: the states of the rows say that nothing fits.
Words have an index of their own. SQLite's gives its rows in order, some ten million a second, so they are held against
what was gathered of the other conditions. PostgreSQL's gives them in no order, and looking whether one row holds a word
means to read all it says: so few rows are looked at, in order, and counts end with a lower bound.
"""

from sqlalchemy import Connection, select

from rag.store.log import in_sqlite, states
from rag.store.log.facts import MILLISECOND, facts, read, span, spoken, unheard
from rag.store.log.in_postgresql import SpokenInPostgresql
from rag.store.log.in_sqlite import InSqlite, SpokenInSqlite
from rag.store.log.query import Query
from rag.store.log.search import Count, Search

MOST = 10_000  # rows that lists count
SCARCE = 10_000  # rows of the states that are meant: PostgreSQL, which knows how common each is, reads no more by them
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


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
    search = _search(connection, tenant_id, query, backwards)
    found = [] if search is None else search.page(inside, limit)
    return found[::-1] if backwards else found


def count(connection: Connection, tenant_id: int, query: Query) -> int:
    """How many interactions there are, however long counting takes."""
    search = _search(connection, tenant_id, query)
    return 0 if search is None else search.count(span(query), None)


def counted(connection: Connection, tenant_id: int, query: Query, *, most: int = MOST) -> Count:
    """How many interactions there are, as far as that is quickly told: `most` at most, and on PostgreSQL, of words
    beside other filters, as many as HEARD rows that pass these filters show, of a phrase, as NEXT that hold its words.
    """
    search = _search(connection, tenant_id, query)
    return Count(0, False) if search is None else search.counted(span(query), most)


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


def _search(connection: Connection, tenant_id: int, query: Query, backwards: bool = False) -> Search | None:
    """How this database finds this query's rows; None where there can be none."""
    if unheard(query):
        return None
    names = read(connection, tenant_id, query)
    told = states.meant(connection, tenant_id, query, names.slots)
    if told == ():
        return None
    if connection.dialect.name == "postgresql":
        # A statement asked several times gets one plan for all values, and one bound means ten rows or a million; and
        # what 4 MB do not hold of the rows that the index of the words brings is told by the page: all on it are read.
        connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")
        connection.exec_driver_sql("SET LOCAL work_mem = '32MB'")
        if told is not None and not states.few(connection, tenant_id, told, SCARCE):
            told = None
        about = (connection, tenant_id, query, names, told, backwards)
        return SpokenInPostgresql(*about) if spoken(query) else Search(*about)
    about = (connection, tenant_id, query, names, told, backwards)
    return SpokenInSqlite(*about, in_sqlite.heard(connection, query)) if spoken(query) else InSqlite(*about)
