"""What lies in a container (an archive, a message) is parsed as a source of its own, under its container's address.

A member's documents have the container's address with the member's path as fragment; the fragments of deeper ones are
joined by "/". Every container within a container counts one level; those below MAX_DEPTH are not opened. What all of
them unpack counts against one allowance, which the outermost container gets and hands down.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from ingest import media_types, parsers
from ingest.clean import characters
from ingest.errors import Empty, IngestError, TooLarge, Unsupported
from ingest.formats.allowance import Allowance
from ingest.types import Failed, Parsed, Source

MAX_DEPTH = 5

Parse = Callable[[Source], Iterator[Parsed | Failed]]


@dataclass(frozen=True, slots=True)
class Member:
    """Something in a container, before its bytes are read."""

    path: str  # with "/" between folders
    read: Callable[[], bytes]  # raises errors of ingest.errors
    media_type: str = ""  # as the container says; believed where neither the bytes nor the name tell
    charset: str | None = None  # likewise, of a text
    parse: Parse | None = None  # where the container knows how: then `media_type` is what it is


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a container's members."""

    read: int  # documents and failures they gave
    passed: int  # members of kinds that are not read


def inside(container: Source, path: str, content: bytes, media_type: str | None = None) -> Iterator[Parsed | Failed]:
    """The documents of one member of a container; one that cannot be read is Failed, nothing is raised. A picture
    without words gives nothing.

    `path` says where it lies, with "/" between folders; it must be unique in the container. `media_type` is what the
    container says of it, believed where neither its bytes nor its name tell.
    """
    member = Member(path, lambda: content, media_type or "")
    try:
        yield from _documents(container, path, member)
    except IngestError as error:
        if not _wordless(member, error):
            yield Failed(address(container, path), str(error))


def _wordless(member: Member, error: IngestError) -> bool:
    """Whether this is a picture that shows no words, or whose words cannot be read here: a letterhead is no failure."""
    picture = (media_types.of_name(member.path) or member.media_type).startswith("image/")
    return picture and isinstance(error, Empty | Unsupported)


def members(container: Source, found: Iterable[Member | Failed]) -> Generator[Parsed | Failed, None, Tally]:
    """The documents of a container's members, in order; a member that cannot be read is Failed, the others go on.

    Each is read when its turn has come, and let go before the next. As in folders, those whose suffix no parser claims
    are passed over without being read; so is one without a suffix that turns out to be of no known kind. The second
    member of a path gets "~2" behind it. Raises TooLarge when the allowance is used up, and what `found` raises.
    """
    container = limited(container)
    assert container.allowance is not None
    taken: dict[str, int] = {}
    read = passed = 0
    for member in found:
        if isinstance(member, Failed):
            read += 1
            yield member
            continue
        if not wanted(member):
            passed += 1
            continue
        path = _unique(characters(member.path), taken)
        try:
            for item in _documents(container, path, member):
                read += 1
                yield item
        except IngestError as error:
            if (isinstance(error, Unsupported) and not _claimed(member)) or _wordless(member, error):
                passed += 1
                continue
            read += 1
            yield Failed(address(container, path), str(error))
        if container.allowance.spent:
            raise TooLarge(f"{container.uri}: its limits are used up at {path}, what follows is left out; split it")
    return Tally(read, passed)


def limited(container: Source) -> Source:
    """The same source with an allowance: that of the container it lies in, else one of its own."""
    return container if container.allowance else replace(container, allowance=Allowance())


def wanted(member: Member) -> bool:
    """Whether a member is worth reading: a parser claims it, or it has no suffix that could say otherwise."""
    return _claimed(member) or not PurePosixPath(member.path).suffix


def _claimed(member: Member) -> bool:
    known = member.parse is not None or parsers.reads(member.media_type)
    return known or parsers.supported(Path(member.path))


def address(container: Source, path: str) -> str:
    """Where a member lies; the documents that assemble() makes of it have this address, or one that goes on from it."""
    joint = "%2F" if "#" in container.uri else "#"
    return f"{container.uri}{joint}{quote(characters(path), safe='')}"


def name(source: Source) -> str:
    """The file name of a source, or of the member that it is."""
    place, _, path = source.uri.partition("#")
    return PurePosixPath(unquote(path or place.removeprefix("upload:"))).name


def _documents(container: Source, path: str, member: Member) -> Iterator[Parsed | Failed]:
    """Raises errors of ingest.errors."""
    uri = address(container, path)
    if container.depth + 1 > MAX_DEPTH:
        raise TooLarge(f"{uri}: it lies in {container.depth + 1} containers, at most {MAX_DEPTH} are opened; unpack it")
    content = member.read()
    kind = member.media_type
    if member.parse is None:
        if content == container.content:
            raise TooLarge(f"{uri}: the archive contains itself, without end; leave this file out")
        kind = media_types.of(member.path, content)
        if member.media_type and kind == "text/plain" and media_types.of_name(member.path) is None:
            kind = member.media_type
    depth = container.depth + 1
    source = replace(container, uri=uri, media_type=kind, content=content, charset=member.charset, depth=depth)
    for item in (member.parse or parsers.parse)(source):
        if isinstance(item, Failed):
            yield replace(item, uri=_flat(item.uri))
        else:
            yield replace(
                item,
                fragment=f"{path}/{item.fragment}" if item.fragment else path,
                name=item.name or PurePosixPath(member.path).name,
                media_type=item.media_type or kind,
            )


def _unique(path: str, taken: dict[str, int]) -> str:
    """The path, or the first of path~2, path~3 … that is free."""
    if path in taken:
        while f"{path}~{taken[path] + 1}" in taken:
            taken[path] += 1
        taken[path] += 1
        path = f"{path}~{taken[path]}"
    taken[path] = 1
    return path


def _flat(uri: str) -> str:
    """An address with one fragment: what stands behind a second "#" goes on in the first."""
    place, mark, rest = uri.partition("#")
    return f"{place}{mark}{rest.replace('#', '%2F')}"
