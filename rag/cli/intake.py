"""What a command line asks to be taken in: paths, pages, a sitemap, the rows of a query, mapped records."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from rag.cli import output
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.corpus import Arrival

URLS = ("http://", "https://")
Mapped = tuple[str | None, str | None, str | None, tuple[str, ...] | None]
"""Column of the id, templates of text and title, columns of metadata."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The arguments of `rag ingest` that say what is taken in."""

    places: tuple[str, ...]
    passwords: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    sitemap: str | None = None
    sql: str | None = None
    query: str | None = None
    mapped: Mapped = (None, None, None, None)

    @property
    def urls(self) -> list[str]:
        return [place for place in self.places if place.lower().startswith(URLS)]

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(Path(place) for place in self.places if not place.lower().startswith(URLS))

    def check(self) -> None:
        """Raise WrongUsage for what does not fit together, before anything is opened."""
        if not (self.places or self.sitemap or self.sql):
            raise WrongUsage("name what is to be taken in: files, folders, URLs, --sitemap or --sql")
        if missing := [path for path in self.paths if not path.exists()]:
            raise WrongUsage(f"there is no file or folder {output.safe(str(missing[0]))}")
        if (self.urls or self.sitemap) and not self.hosts:
            raise WrongUsage("pages are fetched from hosts that are allowed alone: name each with --allow-host HOST")
        id_column, text_template, title_template, columns = self.mapped
        if self.sql is not None and self.query is None:
            raise WrongUsage("--sql needs the --query whose rows are taken in")
        if self.query is not None and self.sql is None:
            raise WrongUsage("--query needs the database it is put to: --sql URL")
        if self.sql is not None and self.places:
            raise WrongUsage("take in rows and files by two commands: the columns that are named mean the rows")
        wanted = self.sql is not None or text_template or title_template or columns or id_column
        if wanted and not (id_column and text_template):
            raise WrongUsage("rows and records need both --id-column and --text-template")
        if id_column and self.sql is None and not self.paths:
            raise WrongUsage("--id-column and --text-template read the records of files: name some, or --sql")

    def only_paths(self, option: str) -> tuple[Path, ...]:
        """The paths. Raises WrongUsage where there is anything else."""
        if self.urls or self.sitemap or self.sql or self.mapped[0] or self.passwords or not self.paths:
            raise WrongUsage(f"{option} takes files and folders only, without passwords or mappings")
        return self.paths

    @contextmanager
    def arrivals(self, max_bytes: int) -> "Iterator[tuple[Iterable[Arrival], int | None]]":
        """What arrives, and how much that is where it is known."""
        from rag.corpus import file_arrivals, gather

        found: list[Iterable[Arrival]] = []
        total: int | None = 0
        id_column, text_template, title_template, columns = self.mapped
        if self.sql is not None or id_column:
            assert id_column is not None
            assert text_template is not None
            total = None
        if self.sql is not None and self.query is not None and id_column and text_template:
            found.append(
                gather.rows(
                    self.sql,
                    self.query,
                    id_column=id_column,
                    text_template=text_template,
                    title_template=title_template,
                    metadata_columns=columns,
                )
            )
        elif id_column and text_template:
            found.append(
                gather.records(
                    self.paths,
                    id_column=id_column,
                    text_template=text_template,
                    title_template=title_template,
                    metadata_columns=columns,
                    max_bytes=max_bytes,
                )
            )
        elif self.paths:
            files = file_arrivals(self.paths, passwords=self.passwords)
            found.append(files)
            total = len(files)
        if not (self.urls or self.sitemap):
            yield chain.from_iterable(found), total
            return
        from ingest.web.fetcher import Fetcher

        with Fetcher(self.hosts, max_bytes=max_bytes) as fetcher:
            found.append(gather.pages(fetcher, self.urls))
            if self.sitemap is not None:
                found.append(gather.site(fetcher, self.sitemap))
            counted = total is not None and self.sitemap is None
            yield chain.from_iterable(found), (total or 0) + len(self.urls) if counted else None
