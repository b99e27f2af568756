"""Archives (zip, tar, also packed as gz, bz2 or xz) and single packed files: every member is a document of its own.

Members are taken as files are from folders: folders, hidden files, junk and what no parser claims by its suffix are
passed over; a member without a suffix is told by its content. A zip thus gives the documents that its folder would.
Only what holds documents but cannot be read is Failed; an archive of which nothing could be read is refused as a whole.

Nothing is written to disk, so a name can do no harm; one that leads out of the archive is still refused, since nobody
means it. Links are not followed: what they lead to within the archive is a member anyway. How much all archives in one
file may unpack together is limited in ingest.formats.allowance.
"""

import re
import stat
import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath

from ingest import nested
from ingest.errors import Damaged, Empty, Encrypted, IngestError, Unsupported
from ingest.formats.allowance import MAX_MEMBER, Allowance
from ingest.formats.zips import open_zip, read_member
from ingest.nested import Member
from ingest.parsers import _tar
from ingest.parsers._unpacked import Unpacked
from ingest.sources import left_out
from ingest.types import Failed, Parsed, Source

MEDIA_TYPES = ("application/zip", "application/x-tar", "application/gzip", "application/x-bzip2", "application/x-xz")
SUFFIXES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz")

_ENTRY = b"PK\x01\x02"  # begins an entry of a zip's directory
_END = struct.Struct("<4s6xHI4x2x")  # of its end: members, bytes of the directory (APPNOTE 4.3.16)
_LOCAL_HEADER = 30  # bytes before a member's name
_AES = 99  # the method that stands for encryption by AES (APPNOTE 4.4.5)
_DRIVE = re.compile(r"[A-Za-z]:")
_PACKED_TAR = re.compile(r"\.(?:tgz|tbz2|txz)$", re.IGNORECASE)
_PACKED_SUFFIX = re.compile(r"\.(?:gz|bz2|xz)$", re.IGNORECASE)


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """The documents of all members, in the order of the archive; the fragment is the member's path.

    Encrypted members are opened with the source's passwords. Raises Damaged (cut off; its members overlap), TooLarge
    (a limit of ingest.formats.allowance), Encrypted (all of it), Unsupported (nothing in it is of a known kind), Empty.
    """
    source = nested.limited(source)
    assert source.allowance is not None
    if source.media_type == "application/zip":
        found = _zip_members(source, source.allowance)
    elif source.media_type == "application/x-tar":
        found = _tar.members(source, source.allowance)
    else:
        packed = Unpacked(source, source.allowance)
        if not _tar.begins(packed.peek(_tar.BLOCK)):
            yield from nested.inside(source, _unpacked_name(source), packed.rest(MAX_MEMBER))
            return
        found = _tar.members(source, source.allowance, packed)
    tally = yield from nested.members(source, _usable(source, found))
    if not tally.read and tally.passed:
        raise Unsupported(f"{source.uri}: none of its {tally.passed:,} files is of a kind that is read; leave it out")
    if not tally.read:
        raise Empty(f"{source.uri}: there are no files in the archive; leave it out")


def _unpacked_name(source: Source) -> str:
    """The name without what says how it is packed."""
    name = nested.name(source)
    if packed_tar := _PACKED_TAR.search(name):
        return f"{name[: packed_tar.start()]}.tar"
    return _PACKED_SUFFIX.sub("", name) or "content"


def _usable(source: Source, found: Iterator[Member | Failed]) -> Iterator[Member | Failed]:
    """Without hidden members and junk; a name that leads out of the archive is Failed."""
    for member in found:
        if isinstance(member, Failed):
            yield member
            continue
        path = member.path.replace("\\", "/")
        parts = PurePosixPath(path).parts
        if path.startswith("/") or _DRIVE.match(path) or ".." in parts or "\x00" in path:
            where = nested.address(source, member.path)
            yield Failed(where, f"{where}: its name leads out of the archive; pack it again under a plain name")
        elif parts and not any(left_out(part) for part in parts):
            yield Member("/".join(parts), member.read)


# ── zip ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _zip_members(source: Source, allowance: Allowance) -> Iterator[Member | Failed]:
    """Raises before the first member what makes the whole of it unreadable."""
    uri = source.uri
    allowance.count(_entries(source.content), uri)  # before they become objects: a million of them take a gigabyte
    with open_zip(source.content, uri, max_unpacked=2**63) as archive:
        infos = archive.infolist()
        if _is_package(infos):
            raise Unsupported(f"{uri}: this is a document of a kind that is not read; save it in another format")
        _refuse_overlap(infos, uri)
        files = [info for info in infos if not info.filename.endswith("/") and not _is_link(info)]
        if files and not source.passwords and all(info.flag_bits & 1 for info in files):
            raise Encrypted(f"{uri}: it is encrypted; give its password with --password, or add its contents unpacked")
        read = [info for info in files if nested.wanted(Member(info.filename, bytes)) and info.file_size <= MAX_MEMBER]
        stated = sum(info.file_size for info in read)
        if stated > allowance.unpacked:
            allowance.unpack(stated, uri)  # says so, and ends what lies around it too
        for info in infos:
            target = _link_target(archive, info, source) if _is_link(info) else ""
            if _tar.leads_out(info.filename, target):
                where = nested.address(source, _name(info))
                yield Failed(where, f"{where}: it is a link that leads out of the archive; put the file itself there")
            elif not info.filename.endswith("/") and not _is_link(info):
                yield Member(_name(info), partial(_zip_content, archive, info, source, allowance))


def _entries(content: bytes) -> int:
    """How many members a zip has, at most: counted in its directory, whatever is said of their number."""
    end = content.rfind(b"PK\x05\x06", max(0, len(content) - 65_557))
    if end < 0 or len(content) - end < _END.size:
        return 0  # opening it says what is wrong
    size = _END.unpack_from(content, end)[2]
    return content.count(_ENTRY, max(0, end - size) if size < 0xFFFFFFFF else 0, end)


def _is_package(infos: list[zipfile.ZipInfo]) -> bool:
    """Whether a zip is the form of a document, so that its members are none (Open Packaging, OpenDocument)."""
    return any(info.filename == "[Content_Types].xml" for info in infos) or [info.filename for info in infos[:1]] == [
        "mimetype"
    ]


def _refuse_overlap(infos: list[zipfile.ZipInfo], uri: str) -> None:
    """Members that share bytes unpack to far more than their archive could hold: bamsoftware.com/hacks/zipbomb."""
    places = sorted((info.header_offset, info.header_offset + _LOCAL_HEADER + info.compress_size) for info in infos)
    if any(end > start for (_, end), (start, _) in pairwise(places)):
        raise Damaged(f"{uri}: its members lie over one another, as in archives made to do harm; pack it again")


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)


def _link_target(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: Source) -> str:
    try:
        return read_member(archive, info, source.uri, 4096).decode("utf-8", "replace")
    except IngestError:  # whatever it leads to is not followed
        return ""


def _zip_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: Source, allowance: Allowance) -> bytes:
    where = nested.address(source, _name(info))
    if info.file_size <= MAX_MEMBER:  # else nothing of it is read
        allowance.unpack(info.file_size, where)
    if not info.flag_bits & 1:
        return read_member(archive, info, where, MAX_MEMBER)
    if info.compress_type == _AES:
        raise Encrypted(f"{where}: it is encrypted with AES, which is not read; add it unpacked")
    for password in source.passwords:
        archive.setpassword(password.encode())
        try:
            return read_member(archive, info, where, MAX_MEMBER)
        except (Encrypted, Damaged):  # one wrong password in 256 passes its check, and then gives nonsense
            continue
    raise Encrypted(f"{where}: it is encrypted, and no given password opens it; give its own with --password")


def _name(info: zipfile.ZipInfo) -> str:
    """The path as it was meant: programs that do not set the flag for UTF-8 often write it all the same."""
    name = info.orig_filename
    if info.flag_bits & 0x800 or name.isascii():
        return name
    try:
        raw = name.encode("cp437")
        return raw.decode("utf-8")
    except UnicodeError:
        return name
