"""Zip archives are opened under limits: on members, on unpacked bytes and on how far they may blow up."""

import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO

from ingest.errors import Damaged, Encrypted, TooLarge, Unsupported

MAX_MEMBERS = 50_000
MAX_UNPACKED = 256 * 1024 * 1024  # bytes of all members together, as the central directory states them
MAX_RATIO = 200  # unpacked to packed; text seldom packs better than 20:1, zeros pack 1,000:1
_SMALL = 32 * 1024 * 1024  # bytes below which the ratio does not matter
_ENTRY, _END = b"PK\x01\x02", b"PK\x05\x06"  # APPNOTE 4.3.12, 4.3.16
_PIECE = 64 * 1024  # bytes inflated at a time
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that zipfile inflates piece by piece


def open_zip(
    content: bytes, uri: str, *, max_members: int = MAX_MEMBERS, max_unpacked: int = MAX_UNPACKED
) -> zipfile.ZipFile:
    """An archive that states no more members and bytes than allowed; nothing is unpacked yet.

    What it states is an upper bound: `read_member` never gives more of a member than that. Raises Damaged, TooLarge.
    """
    stated = directory(content).count(_ENTRY)  # before zipfile makes an object of each
    if stated > max_members:
        raise TooLarge(f"{uri}: it has {stated:,} members, at most {max_members:,} are read; split it")
    try:
        archive = zipfile.ZipFile(BytesIO(content))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise Damaged(f"{uri}: it is cut off or damaged ({error}); get it again or save it again") from error
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > max_unpacked:
        raise TooLarge(
            f"{uri}: it unpacks to {unpacked:,} bytes, at most {max_unpacked:,} are read; "
            "split it, or add its contents unpacked"
        )
    if unpacked > _SMALL and unpacked > MAX_RATIO * len(content):
        raise TooLarge(
            f"{uri}: it unpacks to {unpacked:,} bytes, over {MAX_RATIO} times its size, as archives do that are made "
            "to do harm; if it is meant, add its contents unpacked"
        )
    return archive


def directory(content: bytes) -> bytes:
    """The central directory, where the members' names stand; all of the content where its end is cut off or unclear."""
    end = content.rfind(_END, max(0, len(content) - 65_557))  # behind it come 22 bytes and a comment
    if end < 0 or end + 16 > len(content):
        return content
    size = int.from_bytes(content[end + 12 : end + 16], "little")
    return content[end - size : end] if 0 < size <= end else content


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, uri: str, limit: int) -> bytes:
    """The bytes of one member, at most `limit` of them whatever its header claims; inflating stops there.

    `uri` is the archive's. Raises TooLarge, Damaged (cut off, wrong checksum), Encrypted, Unsupported (compressed in
    a way that cannot be stopped half way).
    """
    return b"".join(pieces(archive, info, uri, limit))


def pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo, uri: str, limit: int) -> Iterator[bytes]:
    """The same, a piece at a time."""
    where = f"{uri}: the member {info.filename!r}"
    if info.compress_type not in _METHODS:
        raise Unsupported(
            f"{where} is packed by method {info.compress_type}, only stored and deflated ones are read; pack it again"
        )
    if info.file_size > limit:
        raise TooLarge(f"{where} unpacks to {info.file_size:,} bytes, at most {limit:,} are read; split it")
    size = 0
    try:
        with archive.open(info) as stream:
            while piece := stream.read(_PIECE):
                size += len(piece)
                if size > limit:
                    raise TooLarge(f"{where} unpacks to over {limit:,} bytes; split it")
                yield piece
    except NotImplementedError as error:
        raise Unsupported(f"{where} is packed in a way that is not read ({error}); pack it again") from error
    except RuntimeError as error:  # what zipfile raises for a missing or wrong password
        raise Encrypted(f"{where} is encrypted; give its password with --password, or add it decrypted") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise Damaged(f"{where} is cut off or damaged ({error}); get it again or pack it again") from error
