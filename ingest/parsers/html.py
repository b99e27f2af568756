"""HTML pages: the main content with its headings, lists and tables; no navigation, scripts or forms."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.encodings import decode
from ingest.errors import Empty, TooLarge
from ingest.formats import dom
from ingest.types import Block, MetadataValue, Parsed, Source

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

MEDIA_TYPES = ("text/html", "application/xhtml+xml")
SUFFIXES = (".html", ".htm", ".xhtml")

DEEPEST = 4_000  # open elements; the time to build a tree grows with the square of its depth

_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
_NESTING = re.compile(
    r"<(/?)(?:div|span|section|article|table|b|i|em|strong|font|ul|ol|dl|blockquote|a|code|pre)\b", re.I
)
_ASIDE = frozenset(("nav", "footer", "aside", "form", "menu", "search"))
_ASIDE_ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "complementary", "menu", "dialog", "alert"))
_ASIDE_NAMES = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|menu|sidebar|breadcrumbs?|footer|cookies?|advert|ads?|social|share|sharing|"
    r"pagination|pager|toc|skip-?link|skip-?nav|newsletter|subscribe|popup|modal|related|masthead)(?=$|[\s_-])",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_META = {
    "author": ("author", "article:author", "dc.creator"),
    "description": ("description", "og:description"),
    "published": ("article:published_time", "date", "dc.date"),
}


def parse(source: Source) -> Iterator[Parsed]:
    """One document. Raises Empty, Unsupported (binary data), Damaged (broken encoding), TooLarge (nested too deep)."""
    from selectolax.lexbor import LexborHTMLParser

    declared = _CHARSET.search(source.content[:2048])
    text = decode(source.content, source.uri, source.charset, declared[1].decode("ascii") if declared else None)
    refuse_depth(text, source.uri)
    tree = LexborHTMLParser(text.replace("\x00", ""))
    found = _content(tree)
    if not any(block.kind != "heading" for block in found):
        found = dom.blocks(tree.body, hidden) if tree.body else []
    if not found:
        raise Empty(f"{source.uri}: the page has no text; if scripts write it, save the page as a browser shows it")
    yield Parsed(found, title=_title(tree, found), metadata=_metadata(tree))


def refuse_depth(text: str, uri: str) -> None:
    """Raise TooLarge for markup nested over DEEPEST, before a tree is built of it."""
    depth = 0
    for tag in _NESTING.finditer(text):
        depth += -1 if tag[1] else 1
        if depth > DEEPEST:
            raise TooLarge(f"{uri}: its elements are nested over {DEEPEST:,} deep; save it again in a simpler form")
        depth = max(depth, 0)


def _content(tree: "LexborHTMLParser") -> list[Block]:
    """The blocks of the main element if there is one that holds a good part of the text, else of the body."""
    if tree.body is None:
        return []
    everything = dom.blocks(tree.body, _boilerplate)
    size = sum(len(block.text) for block in everything)
    mains = tree.css("main, [role=main]") or tree.css("article")
    if len(mains) == 1:
        found = dom.blocks(mains[0], _boilerplate)
        if sum(len(block.text) for block in found) * 4 > size:
            return found
    return everything


def hidden(node: "LexborNode") -> bool:
    """Whether an element says that it is not to be shown."""
    attributes = node.attributes
    return "hidden" in attributes or bool(_HIDDEN.search(attributes.get("style") or ""))


def _boilerplate(node: "LexborNode") -> bool:
    """Whether an element is about the site, not part of the text."""
    tag = node.tag or ""
    if tag in ("body", "main", "article", "html"):
        return False
    attributes = node.attributes
    if hidden(node) or (attributes.get("role") or "").lower() in _ASIDE_ROLES:
        return True
    if tag in _ASIDE:
        return tag not in ("aside", "footer", "form") or not _within_article(node)
    if tag == "header":
        return node.css_first("h1") is None and not _within_article(node)
    if tag in ("div", "section", "ul", "ol", "p", "span", "a"):
        names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
        return bool(_ASIDE_NAMES.search(names)) and node.css_first("main, article, h1") is None
    return False


def _within_article(node: "LexborNode") -> bool:
    parent = node.parent
    while parent is not None:
        if parent.tag in ("main", "article"):
            return True
        parent = parent.parent
    return False


def _title(tree: "LexborHTMLParser", found: list[Block]) -> str:
    """The page's title; its main heading when the title is that and the name of the site."""
    node = tree.css_first("head > title") or tree.css_first("title")
    title = " ".join(node.text(deep=True).split()) if node is not None else ""
    heading = next((block.text for block in found if block.kind == "heading" and block.level == 1), "")
    return heading if heading and (not title or heading.casefold() in title.casefold()) else title


def _metadata(tree: "LexborHTMLParser") -> dict[str, MetadataValue]:
    said: dict[str, str] = {}
    for meta in tree.css("meta[content]"):
        name = (meta.attributes.get("name") or meta.attributes.get("property") or "").lower()
        said.setdefault(name, (meta.attributes.get("content") or "").strip())
    found: dict[str, MetadataValue] = {}
    for key, names in _META.items():
        value = next((said[name] for name in names if said.get(name)), "")
        if value:
            found[key] = value
    language = (tree.root.attributes.get("lang") or "").strip() if tree.root is not None else ""
    return {**found, "language": language} if language else found
