"""XML is read into a tree without entities, external files or network."""

from typing import TYPE_CHECKING

from ingest.errors import Damaged

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_ENTITY = b"<!ENTITY"


def declares_entities(content: bytes) -> bool:
    """Whether XML in any encoding declares entities; documents have no use for them, attacks have."""
    return _ENTITY in content or (b"\x00" in content and _ENTITY in content.replace(b"\x00", b""))


def tree(content: bytes, where: str) -> "Element":
    """The root of well-formed XML. Raises Damaged: not well-formed, nested over 256 deep, or declaring entities."""
    from lxml import etree

    if declares_entities(content):
        raise Damaged(f"{where}: it declares XML entities, as no document needs and attacks do; save it again")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Damaged(f"{where}: it is no well-formed XML ({error}); open it in its own program, save it") from error


def local(element: "Element") -> str:
    """An element's name without its namespace; "" for comments and processing instructions."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def text(element: "Element") -> str:
    """All text in an element, blanks made single."""
    return " ".join("".join(element.itertext("{*}*")).split())
