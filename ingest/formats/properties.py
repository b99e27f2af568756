"""What files say of themselves (author, times, keywords) in one form for all formats."""

import re
from collections.abc import Iterable
from datetime import datetime

from ingest.types import MetadataValue

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def metadata(
    *,
    authors: Iterable[str | None] = (),
    created: str | datetime | None = None,
    modified: str | datetime | None = None,
    subject: str | None = None,
    keywords: Iterable[str | None] = (),
    language: str | None = None,
) -> dict[str, MetadataValue]:
    """Metadata under the keys that all formats share; what is missing, blank or no date has no key."""
    found: dict[str, MetadataValue] = {}
    names = list(dict.fromkeys(name for author in authors if (name := _plain(author))))
    words = list(
        dict.fromkeys(word for given in keywords for part in re.split("[,;]", given or "") if (word := _plain(part)))
    )
    if names:
        found["author"] = ", ".join(names)
    for key, value in (("created", moment(created)), ("modified", moment(modified))):
        if value:
            found[key] = value
    for key, said in (("subject", _plain(subject)), ("language", _plain(language))):
        if said:
            found[key] = said
    if words:
        found["keywords"] = [*words]
    return found


def moment(value: str | datetime | None) -> str:
    """A time in ISO 8601, with its zone where stated; "" for what is no time. Days and years stay as they are."""
    if isinstance(value, datetime):
        return value.isoformat()
    value = _plain(value)
    if _DATE.fullmatch(value) or re.fullmatch(r"\d{4}(-\d{2})?", value):
        return value
    try:
        return datetime.fromisoformat(value).isoformat()
    except ValueError:
        return ""


def _plain(value: str | None) -> str:
    return " ".join((value or "").replace("\x00", "").split())
