"""One module a file format, with MEDIA_TYPES, SUFFIXES and `parse(source)`; a new one is found by lying here."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, cast

from ingest.errors import Damaged, Empty, IngestError, TooLarge, Unsupported
from ingest.formats import encrypted
from ingest.types import Failed, Parsed, Source

__all__ = ["Failed", "Parser", "formats", "parse", "reads", "supported"]


class Parser(Protocol):
    """A module of this folder."""

    MEDIA_TYPES: tuple[str, ...]  # as ingest.media_types names them
    SUFFIXES: tuple[str, ...]  # of the file names that are taken from folders, with the dot, in lower case

    def parse(self, source: Source) -> Iterator[Parsed | Failed]:
        """The logical documents of a source, in order. Raises errors of ingest.errors only; a document among several
        that cannot be parsed is Failed instead."""
        ...


@cache
def formats() -> dict[str, Parser]:
    """Every parser by its module's name, in the order of names."""
    names = sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
    return {name: cast(Parser, import_module(f"{__name__}.{name}")) for name in names}


def supported(path: Path) -> bool:
    """Whether a parser takes files with this suffix. Cheap: the file is not opened."""
    return path.suffix.lower() in _suffixes()


def reads(media_type: str) -> bool:
    """Whether a parser takes this media type."""
    return media_type in _by_media_type()


def unsupported(uri: str, media_type: str) -> Unsupported:
    """What is said of a source whose media type no parser takes."""
    return Unsupported(f"{uri}: there is no parser for {media_type}; convert it to one of: {', '.join(formats())}")


@cache
def _suffixes() -> frozenset[str]:
    return frozenset(suffix for parser in formats().values() for suffix in parser.SUFFIXES)


@cache
def _by_media_type() -> dict[str, Parser]:
    return {kind: parser for parser in formats().values() for kind in parser.MEDIA_TYPES}


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """The logical documents of a source, by the parser for its media type.

    Raises Unsupported, Damaged, Encrypted, Empty or TooLarge, at once or while it is iterated; no other error.
    """
    if not source.content.strip():
        raise Empty(f"{source.uri}: the file is empty; leave it out, or replace it by a version with text")
    opened = encrypted.opened(source)
    if opened is not source:
        for item in parse(opened):
            if isinstance(item, Parsed) and not item.media_type:
                item = replace(item, media_type=opened.media_type)
            yield item
        return
    parser = _by_media_type().get(source.media_type)
    if parser is None:
        raise unsupported(source.uri, source.media_type)
    try:
        yield from parser.parse(source)
    except IngestError:
        raise
    except RecursionError as error:
        raise Damaged(f"{source.uri}: it is nested too deeply to be read; save it again in a simpler form") from error
    except MemoryError as error:
        raise TooLarge(
            f"{source.uri}: more memory is needed to read it than there is; split it, or raise parse_memory_mb"
        ) from error
    except Exception as error:  # a file can break a library in ways that nobody listed; the others go on
        raise Damaged(
            f"{source.uri}: it cannot be read as {source.media_type} ({type(error).__name__}: {error}); "
            "open it in its own program and save it again"
        ) from error
