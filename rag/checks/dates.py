"""Dates and times of day in the forms people write them, and whether two of them can be the same."""

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from rag.checks.units import units_named
from rag.language import STOPWORDS, listed
from rag.types import Reason

# A month a line: English, German, French, Spanish, Italian, Portuguese, Dutch.
_MONTHS = """
    january jan januar jänner janvier enero gennaio janeiro januari
    february feb februar février febrero febbraio fevereiro februari
    march mar märz mars marzo março maart
    april apr avril abril aprile
    may mai mayo maggio maio mei
    june jun juni juin junio giugno junho
    july jul juli juillet julio luglio julho
    august aug août agosto augustus
    september sep sept septembre septiembre settembre setembro
    october oct okt oktober octobre octubre ottobre outubro
    november nov novembre noviembre novembro
    december dec dez dezember décembre diciembre dicembre dezembro
"""
_WEEKDAYS = """
    monday mon montag lundi lunes lunedì
    tuesday tue tues dienstag mardi martes martedì
    wednesday wed mittwoch mercredi miércoles mercoledì
    thursday thu thur thurs donnerstag jeudi jueves giovedì
    friday fri freitag vendredi viernes venerdì
    saturday samstag sonnabend samedi sábado sabato
    sunday sonntag dimanche domingo domenica
"""


def _numbered(table: str) -> dict[str, int]:
    return {name: n for n, line in enumerate(table.strip().splitlines(), 1) for name in line.split()}


_MONTH = _numbered(_MONTHS)
_WEEKDAY = _numbered(_WEEKDAYS)
# Words of a month or a day that are common words, too: believed only beside a day or a year, or as a whole name.
_DOUBTFUL = frozenset(
    listed("""
        may mar march mars mai mei jan dec sep sept oct nov jun jul mon fri wed thu tue dez okt
    """)
)
_TOKEN = re.compile(r"\w+")
_NAMED = frozenset((*_MONTH, *_WEEKDAY, *(name + "s" for name in _WEEKDAY)))
_NAMES = "|".join(sorted((re.escape(name) for name in _MONTH), key=len, reverse=True))
_DAYS = "|".join(sorted((re.escape(name) for name in _WEEKDAY), key=len, reverse=True))
_YEAR = r"(?:1[0-9]\d\d|20\d\d)"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?!\d)"
_FORMS = re.compile(
    rf"""(?<![\w./])(?:
      (?P<iy>{_YEAR})[-/.](?P<im>1[0-2]|0?[1-9])[-/.](?P<id>{_DAY})(?:T(?P<ihour>\d\d):(?P<imin>\d\d)(?::\d\d)?Z?)?
    | (?P<na>\d\d?)(?P<sep>[-/.])(?P<nb>\d\d?)(?P=sep)(?P<ny>{_YEAR}|\d\d(?=\b(?!\.\d)))
    | (?P<dd>{_DAY})(?:st|nd|rd|th|\.|º|er)?\s+(?:of\s+|de\s+)?(?P<dm>{_NAMES})\b\.?
      (?:,?\s+(?:of\s+|de\s+)?(?P<dy>{_YEAR}))?
    | (?P<mm>{_NAMES})\b\.?\s+(?:the\s+)?(?P<md>{_DAY})(?:st|nd|rd|th)?(?![\w:.]\d|\w)
      (?:\s*,?\s+(?:of\s+)?(?P<my>{_YEAR}))?
    | (?P<ym>{_NAMES})\b\.?,?\s+(?:of\s+|de\s+)?(?P<yy>{_YEAR})
    | (?P<hour>\d\d?)(?::(?P<minute>[0-5]\d))?\s?(?P<half>[ap]\.?m\b\.?)
    | (?P<h24>[01]?\d|2[0-3]):(?P<m24>[0-5]\d)(?::[0-5]\d)?(?![\d:])
    | (?P<weekday>{_DAYS})s?\b
    | (?P<alone>{_NAMES})\b
    | (?P<year>{_YEAR})(?P<decade>s)?(?![\w%]|[.,]\d|-\d)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
FIRST_PLAIN_YEAR = 1800  # an earlier one is believed after a word of time only
_OF_TIME = frozenset(
    listed("""
        in of since until till by before after early late mid last next year from to during around circa ca about
        between im vom seit bis en desde dans depuis nel dal em tot sinds und and anno
    """)
)
_NUMBERED = frozenset(
    listed("""
        rfc port pr issue section line page code user id number no nr error table figure step rule room
    """)
)
_NOT_YEARS = re.compile(r"[\s-]*(?:%|°|times\b|users\b|characters\b|people\b|(?P<unit>[A-Za-zµ]{2,})\b)")


@dataclass(frozen=True, slots=True)
class Date:
    """What is said of a moment; None for what is not."""

    start: int
    end: int
    written: str
    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    minute: int | None = None  # of the day
    swapped: bool = False  # 03/04/2020: day and month may be exchanged
    decade: bool = False


def dates(text: str) -> list[Date]:
    """The dates and times of day that a text names, in order."""
    tokens = _TOKEN.findall(text)
    opening = {token for token in set(tokens) if _may_open(token)}
    return list(_found(text, tokens, opening)) if opening else []


def _found(text: str, tokens: Sequence[str], opening: Set[str]) -> Iterator[Date]:
    """As the forms are found one after the other, but looked for only where one may open: a tenth of the cost."""
    end, after = 0, 0
    for token in tokens:
        start = text.find(token, end)  # nothing between two tokens begins as one does
        end = start + len(token)
        if token in opening and start >= after and (match := _FORMS.match(text, start)):
            after = match.end()
            if date := _read(match, text):
                yield date


@lru_cache(maxsize=65536)
def _may_open(token: str) -> bool:
    """Whether a date may begin with these letters or digits."""
    return token[0].isdigit() or token.lower() in _NAMED or not token.isascii()


def _read(match: re.Match[str], text: str) -> Date | None:
    start, end, written = match.start(), match.end(), match.group()
    part = match.groupdict()

    def number(name: str) -> int | None:
        return int(part[name]) if part[name] else None

    if part["iy"]:
        minute = int(part["ihour"]) * 60 + int(part["imin"]) if part["ihour"] else None
        return Date(start, end, written, number("iy"), number("im"), number("id"), minute=minute)
    if part["na"]:
        return _in_numbers(match)
    if part["dm"]:
        return Date(start, end, written, number("dy"), _month(part["dm"]), number("dd"))
    if part["mm"]:
        if part["mm"].lower() in _DOUBTFUL and not part["mm"][0].isupper():
            return None
        return Date(start, end, written, number("my"), _month(part["mm"]), number("md"))
    if part["ym"]:
        return Date(start, end, written, number("yy"), _month(part["ym"]))
    if part["hour"]:
        hour, afternoon = int(part["hour"]), part["half"][0].lower() == "p"
        if not 1 <= hour <= 12:
            return None
        return Date(start, end, written, minute=(hour % 12 + 12 * afternoon) * 60 + int(part["minute"] or 0))
    if part["h24"]:
        return Date(start, end, written, minute=int(part["h24"]) * 60 + int(part["m24"]))
    if part["weekday"]:
        name = part["weekday"]
        told = name.lower() not in _DOUBTFUL and name[0].isupper()
        return Date(start, end, written, weekday=_WEEKDAY[name.lower()]) if told else None
    if part["alone"]:
        return _alone(part["alone"], match, text)
    before = text[max(0, start - 14) : start].rstrip(" (").rpartition(" ")[2].lower()
    if _is_amount(text, end) or before.strip(".:#") in _NUMBERED or before.endswith("#"):
        return None
    if int(part["year"]) < FIRST_PLAIN_YEAR and before not in _OF_TIME:
        return None
    return Date(start, end, written, number("year"), decade=bool(part["decade"]))


def _is_amount(text: str, end: int) -> bool:
    """Whether what follows makes a number of four digits an amount: 2048 bits."""
    match = _NOT_YEARS.match(text, end)
    if match is None:
        return False
    return match["unit"] is None or (match["unit"].lower() not in STOPWORDS and bool(units_named(match["unit"])))


def _month(name: str) -> int:
    return _MONTH[name.lower()]


def _in_numbers(match: re.Match[str]) -> Date | None:
    one, other, year = int(match["na"]), int(match["nb"]), int(match["ny"])
    year += 0 if year > 99 else 2000 if year < 70 else 1900
    if not (1 <= one <= 31 and 1 <= other <= 31 and min(one, other) <= 12):
        return None
    if match["sep"] == "." and len(match["ny"]) < 4:
        return None  # a version: 1.2.10
    day, month = (one, other) if match["sep"] == "." or one > 12 else (other, one)
    if month > 12:
        day, month = month, day
    swapped = match["sep"] != "." and one <= 12 and other <= 12 and one != other
    return Date(match.start(), match.end(), match.group(), year, month, day, swapped=swapped)


def _alone(name: str, match: re.Match[str], text: str) -> Date | None:
    """A month without day or year: with a capital, and where it may be a common word, after a word of time."""
    if not name[0].isupper():
        return None
    before = text[max(0, match.start() - 12) : match.start()].rstrip().rpartition(" ")[2].lower()
    if (name.lower() in _DOUBTFUL or len(name) < 4) and before not in _OF_TIME:
        return None
    return Date(match.start(), match.end(), match.group(), month=_month(name))


# ── comparing ───────────────────────────────────────────────────────────────────────────────────────────────────────

_FIELDS = ("year", "month", "day", "weekday", "minute")


def _said(date: Date) -> dict[str, int]:
    return {name: value for name in _FIELDS if (value := getattr(date, name)) is not None}


def agree(one: Date, other: Date) -> bool:
    """Whether all that the one says is said by the other, too."""
    theirs = _said(other)
    if one.decade and other.year is not None and not other.decade:
        return other.year // 10 == (one.year or 0) // 10
    if _said(one).items() <= theirs.items():
        return True
    if (one.swapped or other.swapped) and "month" in theirs and "day" in theirs:
        theirs["month"], theirs["day"] = theirs["day"], theirs["month"]
        return _said(one).items() <= theirs.items()
    return False


def compare(ours: Sequence[Date], theirs: Sequence[Date]) -> tuple[list[Reason], list[Reason]]:
    """For the dates that the text does not bear out: conflicts with one of its dates, and what it does not have."""
    conflicts, missing = [], []
    for one in ours:
        if any(agree(one, other) for other in theirs) or _together(one, theirs):
            continue
        said = _said(one)
        rivals = [
            other
            for other in theirs
            if any(said.get(name) not in (None, value) for name, value in _said(other).items())
        ]
        if rivals:
            conflicts.append(Reason("date", f"{one.written} against {rivals[0].written} in the text"))
        else:
            missing.append(Reason("date", f"the date {one.written} is not in the text"))
    return conflicts, missing


def _together(one: Date, theirs: Sequence[Date]) -> bool:
    """Whether the text says all of it, but in several places: a weekday here, its date there, and nothing else."""
    kinds = {name for other in theirs for name in _said(other)}
    return all(
        name in kinds and {_said(other).get(name) for other in theirs} - {None} == {value}
        for name, value in _said(one).items()
    )
