"""OLE compound files, the container of Office 97 to 2003 ([MS-CFB]): their streams and what they say of themselves."""

from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

from ingest.encodings import decode
from ingest.errors import Damaged, IngestError
from ingest.formats import properties
from ingest.types import MetadataValue

if TYPE_CHECKING:
    from olefile import OleFileIO

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def open_ole(content: bytes, uri: str) -> "OleFileIO":
    """The container of some bytes. Raises Damaged."""
    import olefile

    try:
        return olefile.OleFileIO(BytesIO(content))
    except Exception as error:  # olefile raises whatever a broken sector table leads to
        raise Damaged(f"{uri}: it is cut off or damaged ({error}); get it again or save it again") from error


def about(container: "OleFileIO", uri: str) -> tuple[str, dict[str, MetadataValue]]:
    """Title and metadata from the summary information stream ([MS-OLEPS]); a damaged one says nothing."""
    try:
        said = container.get_metadata()
    except Exception:  # the text is worth more than what is said of it
        return "", {}
    page = said.codepage if isinstance(said.codepage, int) else 1252
    return _string(said.title, page, uri), properties.metadata(
        authors=(_string(said.author, page, uri),),
        created=_time(said.create_time),
        modified=_time(said.last_saved_time),
        subject=_string(said.subject, page, uri),
        keywords=(_string(said.keywords, page, uri),),
    )


def _string(value: object, page: int, uri: str) -> str:
    if isinstance(value, str):
        return value.strip("\x00 ")
    if not isinstance(value, bytes) or not value.strip(b"\x00 "):
        return ""
    plain = value.rstrip(b"\x00 ")
    name = "utf-8" if page in (65001, -535) else f"cp{page & 0xFFFF}"
    try:
        return plain.decode(name)
    except (LookupError, UnicodeDecodeError):
        try:
            return decode(plain, uri)
        except IngestError:
            return ""


def _time(value: object) -> datetime | None:
    """Times in OLE files are UTC; 1601 is how "never" is written."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.year > 1601 else None
