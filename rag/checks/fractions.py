"""Fractions that are added to a number, or taken of a unit: "two and a half", "2 1/2", "half a mile", "3/4 of them"."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from rag.checks.units import units_named
from rag.language import STOPWORDS, listed

SHARES = {"half": 0.5, "halves": 0.5, "third": 1 / 3, "thirds": 1 / 3, "quarter": 0.25, "quarters": 0.25, "fifth": 0.2,
          "fifths": 0.2, "tenth": 0.1, "tenths": 0.1}  # fmt: skip
_ADDED = re.compile(r"[\s-]+and[\s-]+(?:(a|one)[\s-]+(half|quarter)|(three)[\s-]+(quarters))(?!\w)", re.IGNORECASE)
_OF_ONE = re.compile(r"[\s-]+(?:of\s+)?(?:an?|one)(?=[\s-])", re.IGNORECASE)
_NEXT = re.compile(r"[\s-]+([^\W\d_]+)")
SIGNS = {"½": 0.5, "¼": 0.25, "¾": 0.75, "⅓": 1 / 3, "⅔": 2 / 3, "⅛": 0.125, "⅜": 0.375, "⅝": 0.625, "⅞": 0.875}
_WRITTEN = re.compile(rf"\d[/⁄]\d|[{''.join(SIGNS)}]")
_BEHIND = r"(\d{1,2})[/⁄](\d{1,2})(?![\w/⁄]|[.,]\d)"
_MIXED = re.compile(rf"[ \u00a0]{_BEHIND}|[ \u00a0]([{''.join(SIGNS)}])(?!\w)|-{_BEHIND}(?=[ \u00a0-]([A-Za-z]+))")
_ALONE = re.compile(
    r"(?<![\w.,/⁄:-])(?<!\d[ \u00a0])(?:(?P<over>\d{1,3})(?P<line>[/⁄])(?P<under>\d{1,4})|"
    rf"(?P<sign>[{''.join(SIGNS)}]))(?![\w/⁄]|[.,]\d)"
)
_OF_ALL = re.compile(r"(?:\s(?:and|or|to)\s\d{1,3}/\d{1,4})?\s+(?:of\s|majority\b)")
_OF_UNIT = re.compile(r"[ \u00a0-]?(%(?!\w)|[A-Za-z]+)")
# What a fraction in figures is one's share of; several ("3/4 hours") may as well be three, or four.
_ONE = frozenset(
    listed("""
        hour hr h minute min second week month year decade century mile mi kilometre kilometer km metre meter
        centimetre centimeter cm millimetre millimeter mm inch foot ft yard yd acre hectare ha ounce oz pound lb gram
        kilogram kg mg tonne litre liter ml pint gallon gal percent % degree dollar euro
    """)
)
# Before "3/4 of", what makes it the third of four.
_COUNTED = re.compile(
    r"(?:\b(?:step|part|page|chapter|section|phase|stage|level|slide|round|lesson|episode|act|day|issue|number|no|figure|"
    r"table|item|version|task|volume|disc|question)s?\.?|#)\s*$",
    re.IGNORECASE,
)


class Fraction(NamedTuple):
    """A fraction in figures, text[start:end]."""

    start: int
    end: int
    value: float


def added(text: str, at: int) -> tuple[float, int]:
    """What "and a half" right behind a number adds to it, and where that ends; 0 where it does not stand there."""
    match = _ADDED.match(text, at)
    if not match:
        return 0.0, at
    return (0.75 if match[3] else SHARES[match[2].lower()]), match.end()


def added_behind_unit(text: str, at: int) -> tuple[float, int]:
    """The same behind a unit, as in "an hour and a half", unless what follows is what it is a half of."""
    more, end = added(text, at)
    follows = _NEXT.match(text, end) if more else None
    return (0.0, at) if follows and follows[1].lower() not in STOPWORDS else (more, end)


def mixed(text: str, at: int) -> tuple[float, int]:
    """The same of a fraction in figures right behind a whole number, as in "2 1/2"; 0 for what is none, as 24/7."""
    match = _MIXED.match(text, at)
    if not match:
        return 0.0, at
    over, under, sign, over_joined, under_joined, follows = match.groups()
    if follows is not None and not units_named(follows):  # 2-1/2 inches; 3-1/2 may be reckoned
        return 0.0, at
    value = SIGNS[sign] if sign else _proper(over or over_joined, under or under_joined)
    return (value, match.end()) if value else (0.0, at)


def alone(text: str) -> Iterator[Fraction]:
    """The fractions in figures that stand alone and can be nothing else: "½", "3/4 of them", "3/4 mile", not "3/4"."""
    if not _WRITTEN.search(text):
        return
    for match in _ALONE.finditer(text):
        value = SIGNS[match["sign"]] if match["sign"] else _proper(match["over"], match["under"])
        if value and (match["line"] != "/" or _is_share(text, *match.span())):
            yield Fraction(*match.span(), value)


def _proper(over: str, under: str) -> float:
    """The value of a fraction below one; 0 of what is none."""
    return int(over) / int(under) if 0 < int(over) < int(under) <= 1000 else 0.0


def _is_share(text: str, start: int, end: int) -> bool:
    if _OF_ALL.match(text, end):
        return not _COUNTED.search(text[max(0, start - 16) : start])
    unit = _OF_UNIT.match(text, end)
    return unit is not None and unit[1].lower() in _ONE


def of_one(text: str, at: int) -> int | None:
    """Where the word begins, with the blank before it, that a fraction is one's share of, as "an" in "half an hour";
    None where the fraction is not told to be one's."""
    match = _OF_ONE.match(text, at)
    return match.end() if match else None
