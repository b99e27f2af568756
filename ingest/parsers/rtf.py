"""Rich Text Format (.rtf): paragraphs, headings by their outline level, tables as plain rows."""

import re
from collections.abc import Iterator

from ingest.errors import Damaged, Empty
from ingest.formats import properties, rows
from ingest.types import Block, MetadataValue, Parsed, Source

MEDIA_TYPES = ("application/rtf",)
SUFFIXES = (".rtf",)

_PICTURE = re.compile(rb"[0-9a-fA-F\r\n]{400,}")  # hexadecimal; words of that length do not exist
_BINARY = re.compile(rb"(?<!\\)\\bin(\d{1,10}) ?")
_CODE_PAGE = re.compile(rb"\\ansicpg(\d{3,5})")
_OUTLINE = re.compile(r"\\outlinelevel([0-8])(?![0-9]) ?")
_MARK = "\ue000"  # for private use, hence in no text: marks a heading, the digit behind it is its level
_MARKED = re.compile(f"{_MARK}([0-8])")
_TIME = re.compile(r"\\(yr|mo|dy|hr|min)(\d{1,4})")
_INFO = re.compile(r"\{\\(?:\*\\)?(title|author|subject|keywords|creatim|revtim)\b ?((?:[^{}\\]|\\.)*)\}", re.DOTALL)


def parse(source: Source) -> Iterator[Parsed]:
    """One document. Raises Damaged (no RTF), Empty."""
    from striprtf.striprtf import rtf_to_text

    if not source.content.lstrip().startswith(b"{\\rt"):
        raise Damaged(f"{source.uri}: it is no RTF; open it in its own program and save it again")
    content = _PICTURE.sub(b" ", _without_binary(source.content))
    encoding = _encoding(content)
    text = content.decode("latin-1").replace(_MARK, "")
    title, about = _about(text, encoding)
    plain = rtf_to_text(_OUTLINE.sub(rf"\\outlinelevel\1 {_MARK}\1", text), encoding=encoding, errors="replace")
    blocks = list(_blocks(plain))
    if not blocks:
        raise Empty(f"{source.uri}: the document has no text; if it holds pictures of text, it needs OCR")
    if not title:
        title = next((block.text for block in blocks if block.kind == "heading" and block.level == 1), "")
    yield Parsed(blocks, title=title, metadata=about)


def _without_binary(content: bytes) -> bytes:
    """The content without raw data, whose bytes would be taken for text ("\\bin", RTF 1.9.1, pictures)."""
    parts: list[bytes] = []
    start = 0
    while found := _BINARY.search(content, start):
        parts.append(content[start : found.start()])
        start = min(len(content), found.end() + int(found[1]))
    return b"".join([*parts, content[start:]])


def _encoding(content: bytes) -> str:
    import codecs

    found = _CODE_PAGE.search(content, 0, 4096)
    name = f"cp{found[1].decode('ascii')}" if found else "cp1252"
    name = "utf-8" if name == "cp65001" else name
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"


def _blocks(plain: str) -> Iterator[Block]:
    """Paragraphs end with a line end; the rows of a table are lines of cells that end with "|"."""
    table: list[list[str]] = []
    for line in plain.split("\n"):
        level = _MARKED.search(line)
        text = _MARKED.sub("", line).strip()
        if text.count("|") > 0 and text.endswith("|"):
            table.append([cell.strip() for cell in text.removesuffix("|").split("|")])
            continue
        if table:
            yield from _table(table)
            table = []
        if text and level:
            yield Block("heading", text, level=min(6, int(level[1]) + 1))
        elif text:
            yield Block("paragraph", text)
    yield from _table(table)


def _table(table: list[list[str]]) -> Iterator[Block]:
    text = rows.table(table)
    if text:
        yield Block("table", text)


def _about(text: str, encoding: str) -> tuple[str, dict[str, MetadataValue]]:
    from striprtf.striprtf import rtf_to_text

    start = text.find("{\\info")
    said: dict[str, str] = {}
    for name, value in _INFO.findall(text[start : start + 20_000] if start >= 0 else ""):
        if name.endswith("tim"):
            said.setdefault(name, _moment(value))
        else:
            said.setdefault(name, rtf_to_text(f"{{\\rtf1 {value}}}", encoding=encoding, errors="replace").strip())
    return said.get("title", ""), properties.metadata(
        authors=(said.get("author"),),
        created=said.get("creatim"),
        modified=said.get("revtim"),
        subject=said.get("subject"),
        keywords=(said.get("keywords"),),
    )


def _moment(value: str) -> str:
    """A time as RTF writes it, without a zone; "" when it has no day."""
    parts = {name: int(number) for name, number in _TIME.findall(value)}
    if not parts.get("yr") or not parts.get("mo") or not parts.get("dy"):
        return ""
    day = f"{parts['yr']:04}-{parts['mo']:02}-{parts['dy']:02}"
    return f"{day}T{parts['hr']:02}:{parts.get('min', 0):02}:00" if "hr" in parts else day
