"""The members of a tar archive, read as they come; links and devices are never followed or opened."""

import tarfile
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath
from posixpath import normpath
from typing import IO, cast

from ingest import nested
from ingest.encodings import decode
from ingest.errors import Damaged, IngestError, TooLarge
from ingest.formats.allowance import MAX_MEMBER, Allowance
from ingest.nested import Member
from ingest.parsers._unpacked import Unpacked
from ingest.types import Failed, Source

BLOCK = tarfile.BLOCKSIZE

_MAX_HEADER = 1024 * 1024  # bytes of a long name or an extended header, which tarfile reads whole
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class _Broken(Exception):
    """A header that makes no sense where tarfile would see the end of the archive, or go on for ever."""


class _Header(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if bytes(buf).strip(b"\x00"):  # else it is the end indeed
                raise _Broken(str(error)) from error
            raise
        if found.size < 0 or (found.type in _HEADERS and found.size > _MAX_HEADER):
            raise _Broken(f"a header states {found.size:,} bytes")
        return found


def begins(head: bytes) -> bool:
    """Whether some bytes begin a tar archive: their checksum fits. Magic numbers are missing from old ones."""
    try:
        tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def members(source: Source, allowance: Allowance, packed: Unpacked | None = None) -> Iterator[Member | Failed]:
    """The regular files in order, each to be read before the next is asked for; `packed` is the tar where the source
    is not it itself. Devices, and links that lead out of the archive, are Failed; other links hold nothing.

    Raises Damaged where it breaks off, TooLarge.
    """
    uri = source.uri
    try:
        with _opened(source, packed) as archive:
            while (info := archive.next()) is not None:
                allowance.count(1, uri)
                if info.size < 0:  # an extended header said so
                    raise _Broken(f"a header states {info.size:,} bytes")
                found = _member(source, allowance, archive, info, stored=packed is None)
                if found is not None:
                    yield found
    except IngestError:
        raise
    except (tarfile.TarError, _Broken, OSError, EOFError, ValueError) as error:
        raise Damaged(f"{uri}: it is cut off or damaged ({error}); get it again or pack it again") from error


def _opened(source: Source, packed: Unpacked | None) -> tarfile.TarFile:
    if packed is None:
        return tarfile.open(fileobj=BytesIO(source.content), mode="r:", tarinfo=_Header, errors="surrogateescape")
    return tarfile.open(fileobj=cast(IO[bytes], packed), mode="r|", tarinfo=_Header, errors="surrogateescape")


def _member(
    source: Source, allowance: Allowance, archive: tarfile.TarFile, info: tarfile.TarInfo, *, stored: bool
) -> Member | Failed | None:
    path = _name(info.name, source.uri)
    where = nested.address(source, path)
    if info.isdir():
        return None
    if info.issym() or info.islnk():
        base = info.name if info.issym() else ""  # a hard link names its target from the top
        if not leads_out(base, info.linkname):
            return None
        return Failed(where, f"{where}: it is a link that leads out of the archive; put the file itself there")
    if not info.isreg() or info.issparse():
        kind = "a file with holes" if info.isreg() else "a device, or something else that is no file"
        return Failed(where, f"{where}: it is {kind}, which is not read; leave it out of the archive")
    return Member(path, partial(_content, archive, info, where, allowance if stored else Allowance()))


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo, where: str, allowance: Allowance) -> bytes:
    """Raises TooLarge, Damaged."""
    if info.size > MAX_MEMBER:
        raise TooLarge(f"{where}: it has {info.size:,} bytes, at most {MAX_MEMBER:,} are read; split it")
    allowance.unpack(info.size, where)
    stream = archive.extractfile(info)
    assert stream is not None
    try:
        return stream.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise Damaged(f"{where}: it is cut off ({error}); get the archive again or pack it again") from error


def leads_out(path: str, target: str) -> bool:
    """Whether a link at a path leads out of the archive."""
    target = target.replace("\\", "/")
    joined = normpath(PurePosixPath(path).parent / target) if target else ""
    return target.startswith("/") or joined.startswith("..")


def _name(raw: str, uri: str) -> str:
    """A path in whatever encoding it was written."""
    try:
        raw.encode("utf-8")
    except UnicodeEncodeError:
        content = raw.encode("utf-8", "surrogateescape")
        try:
            return decode(content, uri)
        except IngestError:
            return content.decode("utf-8", "replace")
    return raw
