"""AsciiDoc becomes blocks, read leniently: nothing is included or executed, attributes stand for their values."""

import re
from collections.abc import Sequence
from textwrap import dedent

from ingest.formats import dom, rows
from ingest.formats.asciidoc_tables import table
from ingest.parsers.html import refuse_depth
from ingest.types import Block

_HEADING = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.{0,400}?)(?:[ \t]+\1)?$")
_ATTRIBUTE = re.compile(r":(!?[\w][\w-]*!?):(?:[ \t]+(.*))?$")
_ITEM = re.compile(
    r"(?P<indent>[ \t]*)(?P<mark>[*]{1,6}|-|•|[.]{1,6}|\d{1,4}[.]|[a-zA-Z][.]|<[.\d]+>)[ \t]+(?P<text>\S.*)$"
)
_TERM = re.compile(r"[ \t]*(?P<term>\S.{0,200}?)(?P<mark>:{2,4}|;;)(?:[ \t]+(?P<text>.*))?$")
_FENCE = re.compile(r"(?:-{4,}|\.{4,}|={4,}|\*{4,}|_{4,}|\+{4,}|/{4,}|--|`{3}.*)[ \t]*$")
_TABLE = re.compile(r"[|,:!]={3,}[ \t]*$")
_STYLE = re.compile(r"\[(?P<style>[^\]]*(?:\][^\]]*)*)\][ \t]*$")
_ANCHOR = re.compile(r"\[\[[^\]]*\]\][ \t]*$")
_TITLE = re.compile(r"\.(?![. \t])(.+)$")
_ADMONITION = re.compile(r"(?:NOTE|TIP|IMPORTANT|WARNING|CAUTION):[ \t]+")
_MACRO = re.compile(r"(?P<name>\w+)::(?P<target>[^\s\[]*)\[(?P<text>.*)\][ \t]*$")
_SILENT = frozenset(("include", "ifdef", "ifndef", "ifeval", "endif", "toc"))
_RULE = re.compile(r"(?:'{3,}|<{3,}|-{3}|\*{3}|- - -|\* \* \*)[ \t]*$")
_MAX_DEPTH = 40  # of blocks within each other
_MAX_VALUE = 2_000  # characters of an attribute
_MAX_REPLACED = 500_000  # characters that all references to attributes may stand for; further ones stay as they are


def blocks(text: str, uri: str) -> tuple[list[Block], dict[str, str]]:
    """The blocks of a text whose lines end in "\\n", and its attributes (`author`, `revdate`, `lang` … among them).

    `uri` names it in errors: TooLarge when HTML in it is nested without end.
    """
    reader = _Reader(uri)
    found = reader.read(text.split("\n"), 0)
    return found, reader.attributes


class _Reader:
    """The state of one text: its attributes and the list that is being read."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.attributes: dict[str, str] = {}
        self._items: list[str] = []
        self._left = _MAX_REPLACED

    def read(self, lines: Sequence[str], depth: int) -> list[Block]:
        """The blocks of some lines."""
        found: list[Block] = []
        style, at = "", 0
        while at < len(lines):
            line = lines[at].rstrip()
            if not line or line == "+" or _RULE.match(line) or (line.startswith("//") and not line.startswith("///")):
                at += 1
                continue
            if _ANCHOR.match(line) or (_STYLE.match(line) and not line.startswith("[[")):
                style, at = line[1:-1], at + 1
                continue
            at = self._one(lines, at, style, depth, found)
            style = ""
        self._close(found)
        return found

    def _one(self, lines: Sequence[str], at: int, style: str, depth: int, found: list[Block]) -> int:
        """Read what begins at a line; where the next begins."""
        line = lines[at].rstrip()
        attribute, heading, macro = _ATTRIBUTE.match(line), _HEADING.match(line), _MACRO.match(line)
        if attribute:
            self.attributes[attribute[1].strip("!").lower()] = self._inline(attribute[2] or "")[:_MAX_VALUE]
            return at + 1
        if heading and not depth:
            self._add(Block("heading", self._inline(heading[2]), level=len(heading[1])), found)
            return self._header(lines, at + 1) if heading[1] == "=" and len(found) == 1 else at + 1
        if macro:
            if macro["name"] not in _SILENT:
                self._add(Block("paragraph", self._alternative(macro["text"])), found)
            return at + 1
        if _TABLE.match(line) or line.startswith("|"):
            return self._table(lines, at, style, found)
        if _FENCE.match(line) and depth < _MAX_DEPTH:
            return self._fenced(lines, at, style, depth, found)
        if title := _TITLE.match(line):
            self._add(Block("paragraph", self._inline(title[1])), found)
            return at + 1
        if _ITEM.match(line):
            return self._item(lines, at)
        return self._paragraph(lines, at, style, found)

    def _inline(self, text: str) -> str:
        return inline(re.sub(r"\{([\w-]{1,100})\}", self._replaced, text))

    def _replaced(self, match: re.Match[str]) -> str:
        """The value of an attribute; those of values that hold each other could grow without end."""
        value = self.attributes.get(match[1].lower(), match[0])
        self._left -= len(value)
        return value if self._left >= 0 else match[0]

    def _alternative(self, text: str) -> str:
        """What is shown of a picture: the first of a macro's attributes, unless that has a name."""
        first = text.split(",")[0].strip().strip('"')
        return "" if "=" in first else self._inline(first)

    def _add(self, block: Block, found: list[Block]) -> None:
        self._close(found)
        if block.text.strip():
            found.append(block)

    def _close(self, found: list[Block]) -> None:
        if self._items:
            found.append(Block("list", "\n".join(self._items)))
            self._items = []

    def _header(self, lines: Sequence[str], at: int) -> int:
        """The lines below the title: who wrote it, which revision."""
        if at < len(lines) and re.match(r"\w[\w .'’-]*(?:<[^>]+>)?(?:;.*)?$", lines[at]) and "<" in lines[at]:
            names = [re.sub(r"\s*<[^>]*>", "", part).strip() for part in lines[at].split(";")]
            self.attributes.setdefault("author", ", ".join(name for name in names if name))
            at += 1
            revision = re.match(r"(?:v?[\d.]+,\s*)?(\d{4}-\d\d-\d\d)\b", lines[at]) if at < len(lines) else None
            if revision:
                self.attributes.setdefault("revdate", revision[1])
                at += 1
        return at

    def _table(self, lines: Sequence[str], at: int, style: str, found: list[Block]) -> int:
        end, header, body = table(lines, at, style)
        shown = [self._inline(cell) for cell in header]
        self._add(Block("table", rows.lines(shown, [[self._inline(cell) for cell in row] for row in body])), found)
        return end

    def _fenced(self, lines: Sequence[str], at: int, style: str, depth: int, found: list[Block]) -> int:
        """A delimited block: code, a comment, HTML passed through, or blocks of its own."""
        fence = lines[at].rstrip()
        closing = "```" if fence.startswith("```") else fence
        end = next((number for number in range(at + 1, len(lines)) if lines[number].rstrip() == closing), len(lines))
        inner = list(lines[at + 1 : end])
        if fence.startswith("/"):
            return end + 1
        if fence.startswith(("----", "....", "```")) or style.startswith(("source", "listing", "literal")):
            self._add(Block("code", dedent("\n".join(inner))), found)
        elif fence.startswith("+"):
            self._close(found)
            found.extend(_markup("\n".join(inner), self._uri))
        else:
            self._close(found)
            found.extend(self.read(inner, depth + 1))
        return end + 1

    def _item(self, lines: Sequence[str], at: int) -> int:
        """One item of a list with the lines it goes on in."""
        item = _ITEM.match(lines[at].rstrip())
        if item is None:
            return at + 1
        end = at + 1
        while end < len(lines) and lines[end].strip() and not _begins(lines[end]):
            end += 1
        mark = item["mark"]
        nesting = len(mark) - 1 if mark[0] in "*." else 0
        indent = "  " * (nesting + len(item["indent"].expandtabs(4)) // 2)
        bullet = "- " if mark[0] in "*-•" else "1. " if mark[0] in ".<" else f"{mark} "
        text = " ".join((item["text"], *(line.strip() for line in lines[at + 1 : end])))
        self._items.append(f"{indent}{bullet}{self._inline(text)}")
        return end

    def _paragraph(self, lines: Sequence[str], at: int, style: str, found: list[Block]) -> int:
        end = at + 1
        while end < len(lines) and lines[end].strip() and not _begins(lines[end]):
            end += 1
        part = [line.rstrip() for line in lines[at:end]]
        term = _TERM.match(part[0])
        if (part[0].startswith((" ", "\t")) and not term) or style.startswith(("source", "listing", "literal")):
            self._add(Block("code", dedent("\n".join(part))), found)
            return end
        if term:
            text = " ".join(filter(None, (term["text"], *(line.strip() for line in part[1:]))))
            self._add(Block("paragraph", self._inline(f"{term['term']}: {text}" if text else term["term"])), found)
            return end
        joined = "\n".join(re.sub(r" \+$", "\x00", line.strip()) for line in part)
        text = joined.replace("\x00\n", "\x00").replace("\n", " ").replace("\x00", "\n")
        self._add(Block("paragraph", self._inline(_ADMONITION.sub("", text))), found)
        return end


def _begins(line: str) -> bool:
    """Whether a line ends the paragraph or item before it."""
    line = line.rstrip()
    if line == "+" or _ITEM.match(line) or _TABLE.match(line) or _FENCE.match(line) or _ATTRIBUTE.match(line):
        return True
    return bool(_STYLE.match(line) or _MACRO.match(line) or line.startswith("//") or _TERM.match(line))


def _markup(text: str, uri: str) -> list[Block]:
    """HTML that is passed through."""
    from selectolax.lexbor import LexborHTMLParser

    refuse_depth(text, uri)
    body = LexborHTMLParser(f"<body>{text}").body
    return dom.blocks(body, lambda _: False) if body is not None else []


def inline(text: str) -> str:
    """A text without the marks of inline markup. What is marked over a longer stretch than people do stays as it is."""
    text = re.sub(r"\b(?:link|xref|mailto|image|icon|anchor):{1,2}[^\s\[\]]{0,500}\[([^\]]{0,500})\]", _shown, text)
    text = re.sub(r"\b(https?://[^\s\[\]]{1,500})\[([^\]]{0,500})\]", lambda match: _first(match[2]) or match[1], text)
    text = re.sub(r"<<(?:[^,<>]{1,200},)?#?([^<>]{1,200})>>", r"\1", text)
    text = re.sub(
        r"\b(?:kbd|btn|menu|footnote\w{0,9}|pass|stem|latexmath|asciimath):[^\s\[\]]{0,99}\[([^\]]{0,999})\]",
        r"\1",
        text,
    )
    text = re.sub(r"\(\(\([^()]{0,200}\)\)\)|\[\[[^\[\]]{0,200}\]\]", "", text)
    text = re.sub(r"\(\(([^()]{1,200})\)\)", r"\1", text)
    text = re.sub(r"\[[\w.#%-]{0,100}\](?=[#*_`])", "", text)
    for mark in (r"\*\*", "__", "``", "##", r"\+\+"):
        text = re.sub(rf"{mark}(\S(?:.{{0,500}}?\S)?){mark}", r"\1", text)
    for mark in (r"\*", "_", "`", "#", r"\+"):
        text = re.sub(rf"(?<![\w{mark}\\]){mark}(\S(?:[^{mark}]{{0,500}}[^\s{mark}])?){mark}(?!\w)", r"\1", text)
    return re.sub(r"\\([*_`#{<+])", r"\1", text)


def _shown(match: re.Match[str]) -> str:
    return _first(match[1]) or ""


def _first(text: str) -> str:
    """The text of a link's attributes, which a "^" or named ones may follow."""
    text = text.strip()
    if text.startswith('"') and '"' in text[1:]:
        return text[1:].partition('"')[0]
    return re.split(r",\s*\w+=", text)[0].rstrip("^")
