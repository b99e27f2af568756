"""The block of "key: value" lines that may open a Markdown file, read without a YAML library: scalars and lists."""

import re

from ingest.types import MetadataValue

_FRONT = re.compile(r"\ufeff?---[ \t]*\n(?P<lines>(?:.*\n)*?)(?:---|\.\.\.)[ \t]*(?:\n|$)")
_PAIR = re.compile(r"(?P<key>[A-Za-z_][\w .-]*?)[ \t]*:(?:[ \t]+(?P<value>.*))?$")
_ITEM = re.compile(r"[ \t]*-[ \t]+(?P<value>.+)$")
_NUMBER = re.compile(r"[-+]?\d{1,15}(?:\.\d{1,15})?")
_WORDS: dict[str, MetadataValue] = {"true": True, "false": False, "null": None, "~": None, "": None}


def split(text: str) -> tuple[dict[str, MetadataValue], str]:
    """(metadata, rest of the text). Metadata is empty and the text whole when it does not open with such a block.

    Of YAML only what everybody writes is understood: scalars, quoted strings, [a, b] and "- a" lists; deeper structure
    is left out.
    """
    front = _FRONT.match(text)
    if front is None:
        return {}, text
    found: dict[str, MetadataValue] = {}
    key = ""
    for line in front["lines"].splitlines():
        pair, item = _PAIR.match(line), _ITEM.match(line)
        if pair:
            key = pair["key"]
            found[key] = _value(pair["value"] or "")
        elif item and key:
            held = found[key]
            found[key] = [*(held if isinstance(held, list) else []), _value(item["value"])]
        elif line.strip() and not line.startswith((" ", "\t", "#")):
            return {}, text  # a thematic break and prose, not front matter
    if not found and front["lines"].strip():
        return {}, text
    return found, text[front.end() :]


def _value(text: str) -> MetadataValue:
    text = text.strip()
    if text[:1] in "\"'" and len(text) > 1 and text[-1] == text[0]:
        return text[1:-1]
    if text.startswith("[") and text.endswith("]"):
        return [_value(part) for part in text[1:-1].split(",") if part.strip()]
    text = re.sub(r"\s+#.*$", "", text)
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text
