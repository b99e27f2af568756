"""The texts of an XML tree's elements as blocks: prose as paragraphs, records as lines, titles as headings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ingest.errors import TooLarge
from ingest.formats import rows
from ingest.formats.dom import tags as names
from ingest.types import Block

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

MAX_EXPANDED = 1_000_000  # characters that all entities of a file may stand for together

_TITLES = names("title heading head header caption label term h1 h2 h3 h4 h5 h6")
_PROSE = names("""
    p para simpara text body content description summary abstract note comment message line quote q blockquote item li
    entry cell td th s seg l ab dd dt desc definition paragraph caption""")
_CODE = names("programlisting screen code pre source literallayout synopsis")
_LONG = 120  # characters from which on a text is prose, whatever its element is called

_Texts = Mapping[str, str]


def blocks(root: "Element", entities: _Texts, uri: str) -> list[Block]:
    """The blocks of a tree in document order. Attributes are text where an element has nothing else to say."""
    walk = _Walk(entities, uri)
    walk.read(root, 1)
    walk.end()
    return walk.found


def heading(found: Sequence[Block]) -> str:
    """The title of a text: its first block, if that is a heading."""
    return found[0].text if found and found[0].kind == "heading" else ""


def local(node: "Element") -> str:
    """The name of an element without its namespace, in lower case; "" for what is none."""
    name = node.tag
    return name.rpartition("}")[2].lower() if isinstance(name, str) else ""


class _Walk:
    """A walk over a tree, which libxml2 keeps from being over 256 deep."""

    def __init__(self, entities: _Texts, uri: str) -> None:
        self.found: list[Block] = []
        self._entities = entities
        self._uri = uri
        self._left = MAX_EXPANDED
        self._rows: list[str] = []

    def read(self, node: "Element", level: int) -> None:
        """Read an element and all below it; `level` is that of a heading in it."""
        name, children = local(node), [child for child in node if local(child)]
        if name in _CODE:
            self._add(Block("code", self._text(node)))
        elif not children:
            self._leaf(node, name, level)
        elif _is_mixed(node) or (name in _PROSE and not any(_is_block(child) for child in children)):
            self._add(Block("paragraph", " ".join(self._text(node).split())))
        elif not any(len(child) for child in children) and not any(self._is_prose(child) for child in children):
            self._record(node, children, level)
        else:
            self._attributes(node, name)
            inner = level + 1 if any(local(child) in _TITLES for child in children) else level
            for child in children:
                self.read(child, level if local(child) in _TITLES and not len(child) else inner)

    def end(self) -> None:
        """End the table of records that is being read."""
        if self._rows:
            self.found.append(Block("table", "\n".join(self._rows)))
            self._rows = []

    def _add(self, block: Block) -> None:
        self.end()
        if block.text.strip():
            self.found.append(block)

    def _leaf(self, node: "Element", name: str, level: int) -> None:
        text = " ".join(self._text(node).split())
        if not text:
            self._attributes(node, name)
        elif name in _TITLES:
            self._add(Block("heading", text, level=min(level, 6)))
        elif self._is_prose(node):
            self._add(Block("paragraph", text))
        else:
            self._rows.append(rows.lines([*_attribute_names(node), name], [[*_values(node), text]]))

    def _is_prose(self, node: "Element") -> bool:
        return local(node) in _PROSE or len(self._text(node, count=False)) > _LONG

    def _record(self, node: "Element", children: Sequence["Element"], level: int) -> None:
        """An element of short texts only: a line "name: text; name: text", below its title if that comes first."""
        first = children[0]
        if local(first) in _TITLES and len(children) > 1 and node.getparent() is None:
            self._add(Block("heading", " ".join(self._text(first).split()), level=min(level, 6)))
            children = children[1:]
        names, values = _attribute_names(node), _values(node)
        for child in children:
            names.extend((*(f"{local(child)} {name}" for name in _attribute_names(child)), local(child)))
            values.extend((*_values(child), self._text(child)))
        line = rows.lines(names, [values])
        if any(value.strip() for value in values):
            self._rows.append(line)

    def _attributes(self, node: "Element", name: str) -> None:
        names = _attribute_names(node)
        if names:
            self._rows.append(f"{name}: {rows.lines(names, [_values(node)])}")

    def _text(self, node: "Element", *, count: bool = True) -> str:
        """The whole text below an element, its entities replaced."""
        return "".join(self._pieces(node, count))

    def _pieces(self, node: "Element", count: bool) -> Iterator[str]:
        from lxml import etree

        yield node.text or ""
        for child in node:
            if child.tag is etree.Entity:
                text = self._entities.get(child.name, f"&{child.name};")
                if count:
                    self._left -= len(text)
                if self._left < 0:
                    raise TooLarge(f"{self._uri}: its entities stand for over {MAX_EXPANDED:,} characters; expand them")
                yield text
            elif isinstance(child.tag, str):
                yield from self._pieces(child, count)
            yield child.tail or ""


def _is_mixed(node: "Element") -> bool:
    """Whether an element has text beside its children, as prose with marked words has."""
    from lxml import etree

    if (node.text or "").strip():
        return True
    return any((child.tail or "").strip() or child.tag is etree.Entity for child in node)


def _is_block(node: "Element") -> bool:
    return len(node) > 0 or local(node) in _PROSE or local(node) in _TITLES or local(node) in _CODE


def _attribute_names(node: "Element") -> list[str]:
    return [name for name in map(str, node.attrib) if not name.startswith("{")]


def _values(node: "Element") -> list[str]:
    return [str(value) for name, value in node.attrib.items() if not str(name).startswith("{")]
