"""Jupyter notebooks: text cells as Markdown, code cells and what they printed as code."""

import json
import re
from collections.abc import Iterator, Mapping

from ingest.encodings import decode
from ingest.errors import Damaged, Empty, TooLarge
from ingest.formats.programming_languages import known
from ingest.parsers import markdown
from ingest.types import Block, MetadataValue, Parsed, Source
from ingest.wording import counted

MEDIA_TYPES = ("application/x-ipynb+json",)
SUFFIXES = (".ipynb",)

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # of a terminal, in error messages

Node = Mapping[str, MetadataValue]


def parse(source: Source) -> Iterator[Parsed]:
    """One document; its title is the notebook's, else the first heading of level 1. Pictures among the outputs are left
    out. Raises Empty, Damaged, Unsupported (binary data), TooLarge (nested too deeply)."""
    text = decode(source.content, source.uri, source.charset)
    if not text.strip():
        raise Empty(f"{source.uri}: the file has no text; leave it out, or replace it by a version with text")
    try:
        notebook: MetadataValue = json.loads(text)
    except RecursionError as error:
        raise TooLarge(f"{source.uri}: it is nested too deeply; save it again in Jupyter") from error
    except ValueError as error:
        raise Damaged(f"{source.uri}: it is no notebook ({error}); save it again in Jupyter") from error
    cells = None if not isinstance(notebook, dict) else _cells(notebook)
    if cells is None or not isinstance(notebook, dict):
        raise Damaged(f"{source.uri}: it is no notebook, it has no cells; save it again in Jupyter")
    blocks = [block for cell in cells for block in _blocks(cell, source.uri)]
    if not any(block.text.strip() for block in blocks):
        held = counted(len(cells), "cell")
        raise Empty(f"{source.uri}: there is no text in its {held}; leave it out, or write something in it")
    about = _node(notebook, "metadata")
    title = _text(about.get("title")) or next(
        (block.text for block in blocks if block.kind == "heading" and block.level == 1), ""
    )
    yield Parsed(blocks, title=title, metadata=_metadata(about))


def _cells(notebook: Node) -> list[Node] | None:
    """The cells of formats 4 and 3 (whose sheets hold them)."""
    found = notebook.get("cells")
    if found is None and isinstance(sheets := notebook.get("worksheets"), list):
        found = [cell for sheet in sheets if isinstance(sheet, dict) for cell in _list(sheet.get("cells"))]
    return [cell for cell in found if isinstance(cell, dict)] if isinstance(found, list) else None


def _blocks(cell: Node, uri: str) -> Iterator[Block]:
    kind, text = cell.get("cell_type"), _text(cell.get("source", cell.get("input")))
    if kind == "markdown":
        yield from markdown.blocks(text.replace("\r\n", "\n").replace("\x00", ""), uri)
    elif kind == "heading":  # of format 3
        level = cell.get("level")
        yield Block("heading", text, level=min(max(level, 1), 6) if isinstance(level, int) else 1)
    elif kind == "code":
        yield Block("code", text)
        for output in _list(cell.get("outputs")):
            if isinstance(output, dict) and (said := _output(output)).strip():
                yield Block("code", said)
    else:
        yield Block("paragraph", text)


def _output(output: Node) -> str:
    if output.get("output_type") in ("error", "pyerr"):
        return _COLOURS.sub("", f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}")
    shown = _node(output, "data").get("text/plain")
    return _COLOURS.sub("", _text(output.get("text", shown)))


def _metadata(about: Node) -> dict[str, MetadataValue]:
    kernel, language = _node(about, "kernelspec"), _node(about, "language_info")
    authors = [
        author if isinstance(author, str) else _text(author.get("name"))
        for author in _list(about.get("authors"))
        if isinstance(author, str | dict)
    ]
    found: dict[str, MetadataValue] = {
        "author": ", ".join(author for author in authors if author),
        "kernel": _text(kernel.get("display_name")) or _text(kernel.get("name")),
        "programming_language": known(_text(kernel.get("language")) or _text(language.get("name"))),
    }
    return {key: value for key, value in found.items() if value}


def _text(value: MetadataValue) -> str:
    """A text, which notebooks keep as a list of lines."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _list(value: MetadataValue) -> list[MetadataValue]:
    return value if isinstance(value, list) else []


def _node(parent: Node, key: str) -> Node:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}
