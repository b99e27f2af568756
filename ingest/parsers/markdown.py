"""Markdown (CommonMark with tables): rendered to HTML and read as that, so both give the same blocks."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from ingest.encodings import decode
from ingest.errors import Empty
from ingest.formats import dom
from ingest.formats.frontmatter import split
from ingest.parsers.html import refuse_depth
from ingest.types import Block, Parsed, Source

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

MEDIA_TYPES = ("text/markdown",)
SUFFIXES = (".md", ".markdown", ".mdown", ".mdx")

_HEADING_ATTRIBUTES = re.compile(r"\s*\{\s*[#.:][^{}]*\}\s*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_SLASHES = re.compile(r" {0,3}/{3,}[ \t]*(?:[\w-]+[ \t]*(?:\|[ \t]*(?P<title>.*))?)?$")  # "/// note | Title", "///"
_INDENTED = re.compile(r'(?:!!!|\?\?\?\+?|===!?\+?)[ \t]+(?:[\w -]+?[ \t]*)?(?:"(?P<title>[^"]*)")?[ \t]*$')  # !!! note
_BRACKETS = re.compile(r"[\[\]]")
_MAX_BRACKETS = 30  # open at once
_TAG = re.compile(r"</?([A-Za-z][\w-]*)")
_HTML_TAGS = dom.tags("""
    a abbr address article aside b bdi bdo blockquote body br button caption center cite code col colgroup dd del
    details dfn div dl dt em fieldset figcaption figure font footer form h1 h2 h3 h4 h5 h6 header hr i iframe img
    input ins kbd label legend li main map mark meter nav ol option p picture pre progress q rp rt ruby s samp
    script section select small source span strike strong style sub summary sup svg table tbody td textarea tfoot
    th thead time tr track tt u ul var video wbr""")


def parse(source: Source) -> Iterator[Parsed]:
    """One document; its title is the front matter's, else the first heading of level 1. Raises Empty, Unsupported."""
    text = decode(source.content, source.uri, source.charset).replace("\r\n", "\n").replace("\r", "\n")
    metadata, text = split(text.replace("\x00", ""))
    found = blocks(text, source.uri)
    if not found:
        raise Empty(f"{source.uri}: the file has no text; leave it out, or replace it by a version with text")
    title = metadata.get("title")
    if not isinstance(title, str) or not title.strip():
        title = next((block.text for block in found if block.kind == "heading" and block.level == 1), "")
    yield Parsed(found, title=title, metadata={key: value for key, value in metadata.items() if key != "title"})


def blocks(text: str, uri: str) -> list[Block]:
    """The blocks of a Markdown text without front matter, its lines ended by "\\n".

    `uri` names it in errors: TooLarge when HTML in it is nested without end.
    """
    from selectolax.lexbor import LexborHTMLParser

    renderer = _renderer()
    tokens = renderer.parse(_plain(text))
    _keep_placeholders(tokens)
    page = renderer.renderer.render(tokens, renderer.options, {})
    refuse_depth(page, uri)
    body = LexborHTMLParser(page).body
    return [_tidy(block) for block in dom.blocks(body, lambda _: False)] if body is not None else []


@cache
def _renderer() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    # By itself it drops what is nested over 20 deep, without a word: the tenth list within a list.
    renderer = MarkdownIt("commonmark", {"maxNesting": 100}).enable(["table", "strikethrough"])
    renderer.core.ruler.at("inline", _inline)
    return renderer


def _inline(state: "StateCore") -> None:
    """The library's own rule, but that a text with ever more open brackets is left as it stands: every bracket is tried
    as the beginning of a link whose text holds all that follow, which takes minutes for a few pages of them."""
    from markdown_it.token import Token

    for token in state.tokens:
        if token.type == "inline":
            if _open_brackets(token.content) > _MAX_BRACKETS:
                token.children = [Token("text", "", 0, content=token.content)]
            else:
                token.children = token.children or []
                state.md.inline.parse(token.content, state.md, state.env, token.children)


def _open_brackets(text: str) -> int:
    """How many square brackets are open at once, at most."""
    most = depth = 0
    for bracket in _BRACKETS.findall(text):
        depth = depth + 1 if bracket == "[" else max(depth - 1, 0)
        most = max(most, depth)
    return most


def _tidy(block: Block) -> Block:
    if block.kind == "heading":
        return replace(block, text=_HEADING_ATTRIBUTES.sub("", block.text))
    return block


def _plain(text: str) -> str:
    """Admonitions and tabs of MkDocs ("/// note", "!!! note", "=== "Tab"") without their frames, which CommonMark would
    read as words or, by the indentation, as code."""
    if not re.search(r"^(?: {0,3}/{3}|!!!|\?\?\?|===)", text, re.MULTILINE):
        return text
    lines: list[str] = []
    fence = ""
    inside = False  # an indented admonition
    for line in text.split("\n"):
        if inside and line.strip():
            inside = line.startswith(("    ", "\t"))
            line = line.removeprefix("\t") if line.startswith("\t") else line[4:] if inside else line
        marker = _FENCE.match(line)
        if marker and not fence:
            fence = marker[1]
        elif marker and marker[1].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        frame = None if fence else _SLASHES.match(line) or _INDENTED.match(line)
        if frame:
            inside = inside or frame.re is _INDENTED
            lines.extend(("", frame["title"] or "", ""))
        else:
            lines.append(line)
    return "\n".join(lines)


def _keep_placeholders(tokens: "list[Token]") -> None:
    """Make text of what looks like a tag but is none of HTML's: "<your-name>", "List<String>"."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "html_inline":
                name = _TAG.match(child.content)
                if name and name[1].lower() not in _HTML_TAGS:
                    child.type = "text"
