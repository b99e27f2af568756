"""Office Open XML packages (docx, pptx, xlsx) are checked before a library opens them, and their properties read.

The libraries inflate whatever a member's header says and build trees of every part; a package given to them has passed
the limits here, declares no entities (ECMA-376 part 2 forbids document type definitions) and holds no pictures.
"""

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import quote

from ingest.errors import Damaged, IngestError, TooLarge
from ingest.formats import properties
from ingest.formats.xmltree import declares_entities, local, text, tree
from ingest.formats.zips import open_zip, pieces, read_member
from ingest.types import Failed, MetadataValue, Source

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

MAX_XML = 64 * 1024 * 1024  # bytes of all parts that become trees; a tree takes about ten times as much memory
_XML = (".xml", ".rels")
_CUSTOM = "customXml/"  # data of other programs, which is not shown
_CORE = "docProps/core.xml"
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")  # ISO 29500 strict; the libraries know transitional
_EMPTY = {  # the least that is a part of each kind, for one that is past reading
    "ppt/slides/": "sld",
    "ppt/notesSlides/": "notes",
    "ppt/slideLayouts/": "sldLayout",
    "ppt/slideMasters/": "sldMaster",
}
_PRESENTATION = "http://schemas.openxmlformats.org/presentationml/2006/main"


def parts(source: Source) -> dict[str, bytes]:
    """The parts of a package by name; pictures, sounds and embedded files are empty. A part that cannot be unpacked is
    empty too. Raises Damaged, TooLarge, Encrypted."""
    found: dict[str, bytes] = {}
    left = MAX_XML
    with open_zip(source.content, source.uri) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            content = b""
            if _is_read(info.filename):
                try:
                    content = read_member(archive, info, source.uri, left)
                except TooLarge as error:
                    raise TooLarge(
                        f"{source.uri}: it has over {MAX_XML:,} bytes of text and markup; split it"
                    ) from error
                except Damaged:
                    content = b""
                if declares_entities(content):
                    raise Damaged(
                        f"{source.uri}: {info.filename} declares XML entities, as no document needs and attacks do; "
                        "open it in its own program and save it again"
                    )
                left -= len(content)
            found[info.filename] = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", content)
    return found


def check(source: Source) -> None:
    """Make sure that every XML part unpacks to what its header states and declares no entities, without keeping any:
    for libraries that stream large parts by themselves. Raises Damaged, TooLarge, Encrypted."""
    with open_zip(source.content, source.uri) as archive:
        for info in archive.infolist():
            tail = b""
            if not _is_read(info.filename):
                continue
            for piece in pieces(archive, info, source.uri, info.file_size):
                if declares_entities(tail + piece):
                    raise Damaged(
                        f"{source.uri}: {info.filename} declares XML entities, as no document needs and attacks do; "
                        "open it in its own program and save it again"
                    )
                tail = piece[-32:]


def mended(source: Source, found: Mapping[str, bytes]) -> tuple[dict[str, bytes], list[Failed]]:
    """The parts with those that are no well-formed XML replaced by what can be read of them, and what was lost."""
    whole: dict[str, bytes] = {}
    lost: list[Failed] = []
    for name, content in found.items():
        whole[name] = content
        if not _is_read(name):
            continue
        try:
            tree(content, source.uri)
        except Damaged as error:
            whole[name] = _rescued(name, content)
            lost.append(
                Failed(f"{source.uri}#{quote(name)}", f"the part {name} is damaged, what it held may be lost: {error}")
            )
    return whole, lost


def _is_read(name: str) -> bool:
    return name.lower().endswith(_XML) and not (name.startswith(_CUSTOM) and not name.endswith(".rels"))


def _rescued(name: str, content: bytes) -> bytes:
    from lxml import etree

    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True)
    root = etree.fromstring(content, parser) if content.strip() else None
    if root is not None and isinstance(root.tag, str) and len(root):
        return bytes(etree.tostring(root))
    kind = next((kind for folder, kind in _EMPTY.items() if name.startswith(folder)), "")
    if not kind:
        return b"<none/>"
    return f'<p:{kind} xmlns:p="{_PRESENTATION}"><p:cSld><p:spTree/></p:cSld></p:{kind}>'.encode()


def package(found: Mapping[str, bytes]) -> BytesIO:
    """An archive of parts, stored as they are."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in found.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    buffer.seek(0)
    return buffer


def core(content: bytes, uri: str) -> tuple[str, dict[str, MetadataValue]]:
    """Title and metadata of a core properties part (ECMA-376 part 2, 11); a damaged one says nothing."""
    try:
        root = tree(content, uri)
    except IngestError:
        return "", {}
    said = _by_name(root)
    about = properties.metadata(
        authors=(said.get("creator"),),
        created=said.get("created"),
        modified=said.get("modified"),
        subject=said.get("subject"),
        keywords=(said.get("keywords"),),
        language=said.get("language"),
    )
    if said.get("category"):
        about["category"] = said["category"]
    return said.get("title", ""), about


def core_part(found: Mapping[str, bytes]) -> bytes:
    """The core properties part of a package, b"" when there is none."""
    return found.get(_CORE) or next((body for name, body in found.items() if name.endswith("/core.xml")), b"")


def core_of(source: Source) -> tuple[str, dict[str, MetadataValue]]:
    """Title and metadata of a package that is not unpacked otherwise."""
    with open_zip(source.content, source.uri) as archive:
        if _CORE not in archive.namelist():
            return "", {}
        return core(read_member(archive, archive.getinfo(_CORE), source.uri, 1_000_000), source.uri)


def _by_name(root: "Element") -> dict[str, str]:
    return {local(child): said for child in root if (said := text(child))}
