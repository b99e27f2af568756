"""Rows of any database that SQLAlchemy reaches become sources: one a row, read only, as they stream in."""

import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, CursorResult, Engine, create_engine, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from ingest import mapping
from ingest.mapping import RecordMapping
from ingest.types import Failed, Source
from rag.errors import NotReady, WrongUsage

_BLANKS = re.compile(r"\s+")


def sources(
    url: str,
    query: str,
    *,
    id_column: str,
    text_template: str,
    title_template: str | None = None,
    metadata_columns: Iterable[str] | None = None,
    name: str | None = None,
    batch: int = 1000,
) -> Iterator[Source | Failed]:
    """A source for each row of a query, in its order; a row whose id is NULL, empty or was there before, or whose text
    holds bytes, is Failed.

    Templates have places `{column}`; metadata are by default all columns that neither they nor the id name. The address
    of a row is `address(url, query, name)` with its id as fragment; no user name or password is in it.

    The database is only read: SQLite is opened read-only, PostgreSQL in a read-only transaction, and nothing is ever
    committed. `batch` rows are fetched at a time; the query stays open until the last is taken. About 100 bytes a row
    are kept to tell an id that comes twice.

    Raises WrongUsage for a URL, driver, query, template or column that is wrong, NotReady for a database that cannot be
    reached; both before the first row, unless the database breaks off.
    """
    try:
        by = RecordMapping.of(id_column, text_template, title_template, metadata_columns)
    except ValueError as error:
        raise WrongUsage(str(error)) from error
    parsed = _parsed(url)
    place = address(url, query, name)
    called = name or (Path(parsed.database).name if parsed.database else parsed.get_backend_name())
    with _connected(parsed, place.partition("?")[0]) as connection:
        with closing(_executed(connection, query, batch, parsed)) as result:
            columns = list(result.keys())
            _check(columns, by)
            yield from _sources(result, columns, by, place, called)


def _check(columns: list[str], by: RecordMapping) -> None:
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise WrongUsage(f"the query gives {twice[0]!r} twice; name its columns apart: SELECT … AS …")
    try:
        by.check(columns)
    except ValueError as error:
        raise WrongUsage(f"{error}; name others, or select them in the query") from error


def address(url: str, query: str, name: str | None = None) -> str:
    """What the addresses of a query's rows begin with: `sql:NAME`, or without a name the database, without user and
    password, and a digest of the query, so that the ids of two queries do not meet."""
    if name:
        return f"sql:{quote(name, safe='')}"
    parsed = _parsed(url)
    database = parsed.database
    if parsed.get_backend_name() == "sqlite" and database:
        database = Path(database).resolve().as_posix()
    bare = URL.create(parsed.get_backend_name(), host=parsed.host, port=parsed.port, database=database)
    digest = blake2b(_BLANKS.sub(" ", query.strip()).encode("utf-8", "replace"), digest_size=6).hexdigest()
    where = quote(bare.render_as_string(), safe=":/@[]")
    return f"sql:{where}?query={digest}"


def _sources(
    result: CursorResult[tuple[object, ...]], columns: list[str], by: RecordMapping, place: str, called: str
) -> Iterator[Source | Failed]:
    seen: set[bytes] = set()
    number = 0
    try:
        for number, cells in enumerate(result, 1):
            try:
                document = by.document(dict(zip(columns, cells, strict=True)))
                key = blake2b((document.external_id or "").encode("utf-8", "replace"), digest_size=12).digest()
                if key in seen:
                    raise ValueError(f"its id {document.external_id!r} was there before; the first one is kept")
                seen.add(key)
                yield mapping.row(place, called, document)
            except (ValueError, RecursionError) as error:
                where = f"{place}#row={number}"
                yield Failed(where, f"{where}: {error}; correct it in the database, or leave it out in the query")
    except exc.SQLAlchemyError as error:
        raise NotReady(
            f"{place}: the database broke off after {number:,} rows ({_said(error)}); run it again"
        ) from error


def _parsed(url: str) -> URL:
    """The URL with its driver. Raises WrongUsage, without repeating it: it may hold a password."""
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        raise WrongUsage("the database URL cannot be read; write DIALECT://USER:PASSWORD@HOST/DATABASE") from error
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite" and url.get_driver_name() == "pysqlite":
        return create_engine(_read_only(url), poolclass=NullPool)
    try:
        return create_engine(url, poolclass=NullPool, hide_parameters=True)
    except exc.NoSuchModuleError as error:
        raise WrongUsage(
            f"no dialect {url.drivername!r} is installed; there are sqlite:/// and postgresql://"
        ) from error
    except ModuleNotFoundError as error:
        package = '"rag[postgres]"' if error.name == "psycopg" else error.name
        raise WrongUsage(
            f"the driver for {url.drivername}:// is not installed; run `pip install {package}`, or name another driver"
        ) from error


def _read_only(url: URL) -> URL:
    """A SQLite URL that opens an existing file for reading."""
    database = url.database or ""
    if not database or database == ":memory:" or database.startswith("file:"):
        raise WrongUsage("name the SQLite file itself: sqlite:///shop.db, or sqlite:////data/shop.db")
    path = Path(database).resolve()
    if not path.is_file():
        raise WrongUsage(f"there is no SQLite database {path}; check the path after sqlite:///")
    return url.set(database=f"file:{quote(path.as_posix())}", query={"mode": "ro", "uri": "true"})


@contextmanager
def _connected(url: URL, place: str) -> Iterator[Connection]:
    """A transaction that only reads and is rolled back at its end. Raises NotReady when there is no connection."""
    engine = _engine(url)
    try:
        connection = _opened(engine, place)
        with connection:
            _only_read(connection)
            yield connection
    finally:
        engine.dispose()


def _opened(engine: Engine, place: str) -> Connection:
    try:
        return engine.connect()
    except exc.SQLAlchemyError as error:
        raise NotReady(f"{place}: the database cannot be opened ({_said(error)}); check it and the URL") from error


def _only_read(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # for this transaction and any that the query might begin
        connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        connection.commit()
    elif connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only=ON")
        connection.connection.driver_connection.text_factory = _replacing  # type: ignore[union-attr]


def _replacing(raw: bytes) -> str:
    """SQLite stores any bytes as text; those that are none are shown as U+FFFD."""
    return raw.decode("utf-8", "replace")


def _executed(connection: Connection, query: str, batch: int, url: URL) -> CursorResult[tuple[object, ...]]:
    """The rows of a query, fetched by a cursor of the server's; the text goes to the driver as it is."""
    options = connection.execution_options(yield_per=batch, no_parameters=True)
    try:
        result = options.exec_driver_sql(query)
    except exc.SQLAlchemyError as error:
        raise WrongUsage(f"the query was refused by {url.get_backend_name()}: {_said(error)}") from error
    if not result.returns_rows:
        raise WrongUsage("the query gives no rows; write SELECT …")
    return result


def _said(error: exc.SQLAlchemyError) -> str:
    """What the database said, on one line."""
    said = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    return _BLANKS.sub(" ", str(said)).strip()[:300]
