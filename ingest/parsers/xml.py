"""XML: each entry of a feed (RSS, Atom) is a document; of anything else the texts of its elements, in order.

Nothing outside the file is read: no DTD, no address. An entity the file itself declares stands for its text, once; one
made of others, which is how a few lines become gigabytes, is refused.
"""

import re
from collections.abc import Iterator
from html import entities
from typing import TYPE_CHECKING

from ingest.encodings import decode
from ingest.errors import Damaged, Empty, TooLarge
from ingest.formats.feeds import entries
from ingest.formats.xml_text import MAX_EXPANDED, blocks, heading
from ingest.types import Failed, Parsed, Source

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

MEDIA_TYPES = ("application/xml", "text/xml", "application/rss+xml", "application/atom+xml", "application/rdf+xml")
SUFFIXES = (".xml", ".rss", ".atom", ".rdf")

_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_TOO_MUCH = re.compile("excessive depth|amplification|entity reference loop|xml_parse_huge|too long", re.IGNORECASE)
_NESTED = re.compile(r"&[A-Za-z_]")


def parse(source: Source) -> Iterator[Parsed | Failed]:
    """The entries of a feed, or one document.

    Raises Empty, Damaged (not well-formed), TooLarge for what is nested over 256 deep, or made of entities that grow.
    """
    if not source.content.strip():
        raise Empty(f"{source.uri}: the file has no text; leave it out, or replace it by a version with text")
    root = _root(source)
    declared = _declared(root, source.uri)
    found = list(entries(root, source.uri))
    if found:
        yield from found
        return
    written = blocks(root, declared, source.uri)
    if not written:
        raise Empty(f"{source.uri}: no element of it has text; leave it out, or replace it by a version with text")
    language = root.get("{http://www.w3.org/XML/1998/namespace}lang")
    yield Parsed(written, title=heading(written), metadata={"language": language} if language else {})


def _root(source: Source) -> "Element":
    """The root element. Where what the file declares of its encoding is wrong, its encoding is told as a text's."""
    from lxml import etree

    try:
        return etree.fromstring(source.content, _parser())
    except etree.XMLSyntaxError as error:
        said = str(error)
        if "ncoding" not in said and "not proper UTF-8" not in said and "switch" not in said:
            raise _refused(source, said) from error
    text = _DECLARATION.sub("", decode(source.content, source.uri, source.charset), count=1)
    try:
        return etree.fromstring(text.lstrip().encode("utf-8", "replace"), _parser())
    except etree.XMLSyntaxError as error:
        raise _refused(source, str(error)) from error


def _parser() -> "object":
    from lxml import etree

    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )


def _refused(source: Source, said: str) -> Damaged | TooLarge:
    said = said.removesuffix(" (<string>, line 0)").replace("<string>, ", "")
    if _TOO_MUCH.search(said):
        return TooLarge(f"{source.uri}: {said}; save it without entities and in a flatter form")
    return Damaged(f"{source.uri}: it is no well-formed XML ({said}); correct it and add it again")


def _declared(root: "Element", uri: str) -> dict[str, str]:
    """The texts of the entities that the file declares, besides those that HTML knows."""
    found = {name.removesuffix(";"): text for name, text in entities.html5.items() if name.endswith(";")}
    dtd = root.getroottree().docinfo.internalDTD
    for entity in dtd.iterentities() if dtd is not None else ():
        if entity.system_url is not None or entity.content is None:
            found[entity.name] = ""  # it lies elsewhere and is not fetched
            continue
        if _NESTED.search(entity.content) or len(entity.content) > MAX_EXPANDED:
            raise TooLarge(f"{uri}: its entity {entity.name!r} is made of others; save it without entities")
        found[entity.name] = entity.content
    return found
