"""What an ingest takes in besides files and folders: pages, the pages of a sitemap, rows, mapped records."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ingest import mapping, sources
from ingest.errors import Damaged, IngestError, Refused
from ingest.mapping import RecordMapping
from ingest.types import Failed
from rag.corpus import Arrival
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from ingest.web.fetcher import Fetcher


def pages(fetcher: "Fetcher", urls: Iterable[str]) -> Iterator[Arrival]:
    """The pages at some addresses; one that cannot be fetched says why."""
    from ingest.web.fetcher import NotModified

    for url in urls:
        try:
            page = fetcher.fetch(url)
        except IngestError as error:
            yield Arrival(url, error)
            continue
        assert not isinstance(page, NotModified)  # that is said only to whom names what it had
        yield Arrival(page.url, page.source, etag=page.etag, modified=page.modified)


def site(fetcher: "Fetcher", sitemap: str) -> Iterator[Arrival]:
    """The pages that a sitemap lists; what it lists and may not be fetched says why."""
    try:
        for entry in fetcher.sitemap(sitemap):
            if isinstance(entry, Failed):
                yield Arrival(entry.uri, Refused(entry.reason))
            else:
                yield from pages(fetcher, [entry.url])
    except IngestError as error:
        yield Arrival(sitemap, error)


def rows(
    url: str,
    query: str,
    *,
    id_column: str,
    text_template: str,
    title_template: str | None = None,
    metadata_columns: Sequence[str] | None = None,
) -> Iterator[Arrival]:
    """A document for each row of a query to any database that SQLAlchemy reaches.

    Raises WrongUsage and NotReady as rag.store.rows.sources does.
    """
    from rag.store import rows as row_store

    for item in row_store.sources(
        url,
        query,
        id_column=id_column,
        text_template=text_template,
        title_template=title_template,
        metadata_columns=metadata_columns,
    ):
        yield Arrival(item.uri, Damaged(item.reason) if isinstance(item, Failed) else item)


def records(
    paths: Sequence[Path],
    *,
    id_column: str,
    text_template: str,
    title_template: str | None = None,
    metadata_columns: Sequence[str] | None = None,
    max_bytes: int,
) -> Iterator[Arrival]:
    """The records of JSON, JSON lines, CSV and TSV files, each a document as the mapping says. Raises WrongUsage."""
    try:
        by = RecordMapping.of(id_column, text_template, title_template, metadata_columns)
    except ValueError as error:
        raise WrongUsage(str(error)) from error
    for path in sources.find([path.resolve() for path in paths]):
        try:
            yield Arrival(sources.uri_of(path), mapping.mapped(sources.read(path, max_bytes=max_bytes), by))
        except IngestError as error:
            yield Arrival(sources.uri_of(path), error)
