"""One module a file format, with MEDIA_TYPES, SUFFIXES and `parse(source)`; a new one is found by lying here."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, cast

from ingest.errors import Damaged, Empty, Encrypted, IngestError, Unsupported
from ingest.types import Failed, Parsed, Source

__all__ = ["Failed", "Parser", "formats", "parse", "supported"]

_ENCRYPTED_OFFICE = "EncryptedPackage".encode("utf-16-le")  # the stream that holds an Office file with a password


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
    if source.content.startswith(b"\xd0\xcf\x11\xe0") and _ENCRYPTED_OFFICE in source.content:
        raise Encrypted(f"{source.uri}: it is encrypted; save it without a password and add it again")
    if not source.content:
        raise Empty(f"{source.uri}: the file is empty; leave it out, or replace it by a version with text")
    parser = _by_media_type().get(source.media_type)
    if parser is None:
        raise Unsupported(
            f"{source.uri}: there is no parser for {source.media_type}; convert it to one of: {', '.join(formats())}"
        )
    try:
        yield from parser.parse(source)
    except IngestError:
        raise
    except RecursionError as error:
        raise Damaged(f"{source.uri}: it is nested too deeply to be read; save it again in a simpler form") from error
    except Exception as error:  # a file can break a library in ways that nobody listed; the others go on
        raise Damaged(
            f"{source.uri}: it cannot be read as {source.media_type} ({type(error).__name__}: {error}); "
            "open it in its own program and save it again"
        ) from error
