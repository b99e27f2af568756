"""Records with the field names of data sets (`_id`, `title`, `text`, the rest metadata) become documents."""

from ingest.types import Block, MetadataValue, Parsed

# The first of these that a record has, in this order.
ID_KEYS = ("_id", "id", "doc_id", "docid", "document_id", "passage_id", "pid", "uid", "uuid")
TITLE_KEYS = ("title", "headline", "subject", "name")
TEXT_KEYS = ("text", "contents", "content", "body", "passage", "document", "abstract", "description")

MAX_DIGITS = 18  # of a number: larger ones are ids, not amounts, and are kept as text
_KNOWN = frozenset((*ID_KEYS, *TITLE_KEYS, *TEXT_KEYS))

Record = dict[str, MetadataValue]


def integer(digits: str) -> int | str:
    """A whole number of JSON (for `parse_int`)."""
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def has_text(record: Record) -> bool:
    """Whether a record has a text of its own, as a string."""
    key = _first(record, TEXT_KEYS)
    return key is not None and isinstance(record[key], str)


def document(record: object, place: str) -> Parsed:
    """The document of a record; `place` is its fragment without an id. Raises ValueError, saying what is missing."""
    if not isinstance(record, dict):
        raise ValueError("it is not a JSON object")
    id_key, title_key = _first(record, ID_KEYS), _first(record, TITLE_KEYS)
    text_key = _first(record, tuple(key for key in TEXT_KEYS if key != title_key))
    name = None if id_key is None else str(record[id_key])
    title = "" if title_key is None else str(record[title_key])
    text = "" if text_key is None else str(record[text_key])
    if not text.strip():
        if not title.strip():
            raise ValueError(f"there is no text in it (looked for: {', '.join(TEXT_KEYS)})")
        text = title  # a document that is only its title is found by it
    blocks = [Block("paragraph", piece) for piece in text.replace("\r\n", "\n").split("\n\n") if piece.strip()]
    rest = {key: value for key, value in record.items() if key not in (id_key, title_key, text_key)}
    rest = {key: value for key, value in rest.items() if value not in (None, "") or key.lower() not in _KNOWN}
    return Parsed(blocks, title=title, external_id=name, metadata=_metadata(rest), fragment=name or place)


def _first(record: Record, keys: tuple[str, ...]) -> str | None:
    """The first key that is there with a string or a number."""
    lower: dict[str, str] = {}
    for key in record:
        lower.setdefault(key.lower(), key)
    found = (lower[key] for key in keys if key in lower)
    return next((key for key in found if type(record[key]) in (str, int) and str(record[key]).strip()), None)


def _metadata(rest: Record) -> Record:
    """The other fields; those of a nested `metadata` object (as BEIR has it) stand beside them."""
    nested = rest.pop("metadata", None)
    if isinstance(nested, dict):
        return {**nested, **rest}
    return rest if nested in (None, "") else {**rest, "metadata": nested}
