"""reStructuredText becomes blocks, read leniently: what a tool like Sphinx adds is kept as text, nothing is executed.

No file is included, no role or directive has an effect; the text of a directive that is not known is read as text.
"""

import re
from collections.abc import Sequence
from textwrap import dedent

from ingest.formats import rows
from ingest.formats.dom import tags as names
from ingest.formats.restructured_tables import csv_rows, grid, is_grid, is_simple, list_rows, simple
from ingest.types import Block

_RULE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*$")
_ITEM = re.compile(r"(?P<mark>[-*+•‣⁃]|\(?(?:\d{1,4}|#|[a-zA-Z]|[ivxlcdmIVXLCDM]{2,6})[.)])(?P<gap> +|$)")
_EXPLICIT = re.compile(r"(?:\.\.|__)(?:\s|$)")
_DIRECTIVE = re.compile(r"\.\.\s+(?:\|(?P<substitution>[^|]+)\|\s+)?(?P<name>[\w:.+-]+?)\s?::(?:\s+(?P<argument>.*))?$")
_NOTE = re.compile(r"\.\.\s+\[(?P<label>[^\]]+)\]\s*(?P<text>.*)$")
_FIELD = re.compile(r":(?P<name>(?![: ])(?:[^:\\\n]|\\.|:(?!\s|$))+):(?:\s+(?P<value>.*))?$")
_LITERAL = re.compile(r"(?s)``(.{1,1000}?)``")
_OPTION = re.compile(r"\s*:([\w-]+):\s*(.*)$")
_CODE = names("""
    code code-block sourcecode parsed-literal math prompt doctest testcode testoutput ipython jupyter-execute plantuml
    graphviz mermaid productionlist program-output""")
_SILENT = names("""
    include literalinclude toctree contents index meta highlight default-role role target-notes sectnum title
    section-numbering currentmodule py:currentmodule module py:module automodule tabularcolumns raw bibliography
    testsetup testcleanup""")
_SIGNATURE = re.compile(
    r"(?:[\w-]+:)?(?:function|method|class|attribute|data|exception|option|envvar|cmdoption|program|macro|type)"
)
_MAX_DEPTH = 40  # of lists and directives within each other; what lies deeper is read as plain paragraphs
_MAX_VALUE = 2_000  # characters of a substitution
_MAX_REPLACED = 500_000  # characters that all of them may stand for; further ones stay as they are


def blocks(text: str) -> tuple[list[Block], dict[str, str]]:
    """The blocks of a text whose lines end in "\\n", and the fields at its top ("author", "date" …, in lower case)."""
    lines = text.expandtabs(8).split("\n")
    reader = _Reader(_substitutions(lines))
    found = reader.read(lines, 0)
    return found, reader.fields


def _substitutions(lines: Sequence[str]) -> dict[str, str]:
    """What each ".. |name| replace:: text" says; it may stand below its use."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines):
        match = _DIRECTIVE.match(line) if line.startswith(".. |") else None
        if match and match["name"] == "replace":
            body = lines[number + 1 : _indented(lines, number + 1, 1)]
            text = " ".join([match["argument"] or "", *(part.strip() for part in body)])
            found[match["substitution"]] = text.strip()[:_MAX_VALUE]
    return found


def inline(text: str) -> str:
    """A text without the marks of inline markup: roles, references, emphasis, literals. What is marked over a longer
    stretch than people do stays as it is."""
    parts = _LITERAL.split(text)  # every second one is a literal, and stays verbatim
    return "".join(part if number % 2 else _unmarked(part) for number, part in enumerate(parts))


def _unmarked(text: str) -> str:
    text = re.sub(
        r"(?::[\w:.+-]{1,60}:)?`([^`]{1,1000})`(?::[\w:.+-]{1,60}:)?_{0,2}", lambda match: _reference(match[1]), text
    )
    text = re.sub(r"(?<![\w*\\])\*\*(\S(?:[^*]{0,1000}[^\s*])?)\*\*(?!\w)", r"\1", text)
    text = re.sub(r"(?<![\w*\\])\*([^\s*](?:[^*]{0,1000}[^\s*])?)\*(?![\w*])", r"\1", text)
    text = re.sub(r"(?<=[^\W_])__?(?=[\s.,;:!?)]|$)", "", text)
    return re.sub(r"(?s)\\(.)", lambda match: "" if match[1].isspace() else match[1], text)


def _reference(text: str) -> str:
    """What a reader sees of `text <target>`, `~package.name` and `!name`."""
    shown = re.search(r"\s*<[^<>]*>$", text)
    if shown and shown.start():
        return text[: shown.start()]
    text = text.strip()
    return text.rpartition(".")[2] if text.startswith("~") else text.removeprefix("!")


class _Reader:
    """The state of one text: its styles of headings in order, its substitutions, its fields."""

    def __init__(self, substitutions: dict[str, str]) -> None:
        self.fields: dict[str, str] = {}
        self._styles: list[tuple[str, bool]] = []
        self._substitutions = substitutions
        self._left = _MAX_REPLACED

    def read(self, lines: Sequence[str], depth: int) -> list[Block]:
        """The blocks of some lines, which begin at the left margin."""
        found: list[Block] = []
        at = 0
        while at < len(lines):
            if not lines[at].strip():
                at += 1
                continue
            at = self._one(lines, at, depth, found)
        return found

    def _one(self, lines: Sequence[str], at: int, depth: int, found: list[Block]) -> int:
        """Read what begins at a line; where the next begins."""
        line = lines[at]
        if depth > _MAX_DEPTH:
            return self._paragraph(lines, at, depth, found)
        if line.startswith(" "):
            end = _indented(lines, at, 1)
            found.extend(self.read(_outdented(lines[at:end]), depth + 1))
            return end
        if _EXPLICIT.match(line) or line.rstrip() == "..":
            end = _indented(lines, at + 1, 1)
            self._explicit(line, lines[at + 1 : end], depth, found)
            return end
        title = self._title(lines, at, found) if not depth else 0
        if title:
            return at + title
        if is_grid(line) or is_simple(lines, at):
            end, header, body = (grid if is_grid(line) else simple)(lines, at)
            self._table(header, body, found)
            return end
        if _RULE.match(line):
            return at + 1
        if line.startswith(">>> "):
            end = _filled(lines, at)
            found.append(Block("code", "\n".join(lines[at:end])))
            return end
        if _ITEM.match(line) and _is_item(lines, at):
            return self._list(lines, at, depth, found)
        if _FIELD.match(line):
            return self._field(lines, at, depth, found)
        return self._paragraph(lines, at, depth, found)

    def _title(self, lines: Sequence[str], at: int, found: list[Block]) -> int:
        """How many lines a heading takes; 0 when none begins here."""
        over = bool(_RULE.match(lines[at]))
        text = lines[at + 1] if over and at + 1 < len(lines) else lines[at]
        under = lines[at + 2] if over and at + 2 < len(lines) else "" if over or at + 1 == len(lines) else lines[at + 1]
        if not text.strip() or _RULE.match(text) or not _RULE.match(under) or (over and lines[at][0] != under[0]):
            return 0
        if len(under.rstrip()) < min(len(text.rstrip()), 4):
            return 0
        style = (under[0], over)
        if style not in self._styles:
            self._styles.append(style)
        level = min(self._styles.index(style) + 1, 6)
        found.append(Block("heading", self._inline(text.strip()), level=level))
        return 3 if over else 2

    def _inline(self, text: str) -> str:
        return inline(re.sub(r"\|([^|\s](?:[^|\n]{0,100}[^|\s])?)\|_{0,2}", self._replaced, text))

    def _replaced(self, match: re.Match[str]) -> str:
        value = self._substitutions.get(match[1], match[0])
        self._left -= len(value)
        return value if self._left >= 0 else match[0]

    def _table(self, header: Sequence[str], body: Sequence[Sequence[str]], found: list[Block]) -> None:
        shown = [self._inline(cell) for cell in header]
        found.append(Block("table", rows.lines(shown, [[self._inline(cell) for cell in row] for row in body])))

    def _explicit(self, line: str, body: Sequence[str], depth: int, found: list[Block]) -> None:
        """A directive, a footnote; comments and targets say nothing to a reader."""
        directive, note = _DIRECTIVE.match(line), _NOTE.match(line)
        if directive and not directive["substitution"]:
            self._directive(directive["name"].lower(), directive["argument"] or "", _outdented(body), depth, found)
        elif note:
            found.extend(self.read([f"[{note['label']}] {note['text']}", *_outdented(body)], depth + 1))

    def _directive(self, name: str, argument: str, body: list[str], depth: int, found: list[Block]) -> None:
        options: dict[str, str] = {}
        while body and (option := _OPTION.match(body[0])):
            options[option[1]] = option[2]
            body = body[1:]
        if name in _SILENT:
            return
        if name in _CODE:
            found.append(Block("code", dedent("\n".join(body).strip("\n")) or argument))
        elif name == "image":
            found.append(Block("paragraph", options.get("alt", "")))
        elif name in ("csv-table", "list-table"):
            found.append(Block("paragraph", self._inline(argument)))
            table = csv_rows(body, options.get("delim", ",")) if name == "csv-table" else list_rows(body)
            count = int(count) if (count := options.get("header-rows", "0")).isdigit() else 0
            header = csv_rows([options["header"]], ",")[0] if options.get("header") else []
            if not header and 0 < count < len(table):
                header, table = table[0], table[1:]
            self._table(header, table, found)
        elif name == "figure":
            found.append(Block("paragraph", self._inline(options.get("alt", ""))))
            found.extend(self.read(body, depth + 1))
        elif _SIGNATURE.fullmatch(name):
            found.append(Block("code", argument))
            found.extend(self.read(body, depth + 1))
        else:
            found.extend(self.read([argument, *body], depth + 1))

    def _field(self, lines: Sequence[str], at: int, depth: int, found: list[Block]) -> int:
        match = _FIELD.match(lines[at])
        end = _indented(lines, at + 1, 1)
        if match is None:
            return self._paragraph(lines, at, depth, found)
        text = " ".join([match["value"] or "", *(line.strip() for line in lines[at + 1 : end])]).strip()
        front = all(b.kind == "heading" or b.text.partition(":")[0].lower() in self.fields for b in found)
        if front and not depth:
            self.fields.setdefault(match["name"].lower(), self._inline(text))
        found.append(Block("paragraph", self._inline(f"{match['name']}: {text}" if text else match["name"])))
        return end

    def _list(self, lines: Sequence[str], at: int, depth: int, found: list[Block]) -> int:
        """The items of a list; a block of code in it divides it."""
        written: list[str] = []
        while at < len(lines) and (item := _ITEM.match(lines[at])):
            end = _indented(lines, at + 1, 1)
            body = [lines[at][item.end() :], *_outdented(lines[at + 1 : end])]
            bullet = "- " if item["mark"] in "-*+•‣⁃" else f"{item['mark']} "
            lead = bullet
            for block in self.read(body, depth + 1):
                if block.kind in ("paragraph", "list"):
                    written.append(lead + block.text.replace("\n", "\n" + " " * len(bullet)))
                    lead = " " * len(bullet)
                else:
                    _close(written, found)
                    found.append(block)
            at = end
            following = next((number for number in range(end, len(lines)) if lines[number].strip()), end)
            if following < len(lines) and _ITEM.match(lines[following]):
                at = following  # items may stand apart
        _close(written, found)
        return at

    def _paragraph(self, lines: Sequence[str], at: int, depth: int, found: list[Block]) -> int:
        """A paragraph, a line block, or a term with its definition; with the literal block that it announces."""
        end = _filled(lines, at)
        deeper = next((number for number in range(at + 1, end) if lines[number].startswith(" ")), end)
        if deeper < end and deeper == at + 1 and depth <= _MAX_DEPTH and not lines[at].startswith("|"):
            end = _indented(lines, at + 1, 1)
            body = self.read(_outdented(lines[at + 1 : end]), depth + 1)
            term = self._inline(lines[at].strip())
            first = body[0] if body and body[0].kind == "paragraph" else None
            found.append(Block("paragraph", f"{term}: {first.text}" if first else term))
            found.extend(body[1:] if first else body)
            return end
        parts = [line.strip() for line in lines[at:end]]
        if all(part.startswith("|") for part in parts):
            found.append(Block("paragraph", self._inline("\n".join(part[1:].strip() for part in parts))))
            return end
        text = " ".join(parts)
        literal = text.endswith("::")
        text = re.sub(r"\s*::$" if re.search(r"(?:^|\s)::$", text) else r"::$", "" if text == "::" else ":", text)
        if text.strip(": "):
            found.append(Block("paragraph", self._inline(text)))
        if literal and depth <= _MAX_DEPTH:
            stop = _indented(lines, end, 1)
            code = dedent("\n".join(lines[end:stop])).strip("\n")
            if code.strip():
                found.append(Block("code", code))
            return stop
        return end


def _close(written: list[str], found: list[Block]) -> None:
    if written:
        found.append(Block("list", "\n".join(written)))
        written.clear()


def _indented(lines: Sequence[str], at: int, least: int) -> int:
    """The end of the blank and indented lines that begin at one, without the blank ones at their end."""
    end = at
    for number in range(at, len(lines)):
        line = lines[number]
        if line.strip():
            if len(line) - len(line.lstrip(" ")) < least:
                break
            end = number + 1
    return end


def _filled(lines: Sequence[str], at: int) -> int:
    """The end of the lines that begin at one, up to a blank one."""
    end = at + 1
    while end < len(lines) and lines[end].strip():
        end += 1
    return end


def _outdented(lines: Sequence[str]) -> list[str]:
    """The lines without their common indentation."""
    return dedent("\n".join(lines)).split("\n") if lines else []


def _is_item(lines: Sequence[str], at: int) -> bool:
    """Whether a line that looks like an item is none of prose ("A. Mole wrote"): what follows is blank, indented or an
    item again."""
    following = lines[at + 1] if at + 1 < len(lines) else ""
    return not following.strip() or following.startswith(" ") or bool(_ITEM.match(following))
