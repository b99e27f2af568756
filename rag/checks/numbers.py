"""Numbers as they were meant, with their units: "3.5 million", "1.190,5", "twenty-five km", "half", "2nd", "3.10.1"."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rag.checks.fractions import SHARES, SIGNS, added, added_behind_unit, alone, mixed, of_one
from rag.checks.powers import POWER, is_scientific, raised
from rag.checks.units import SHARE, SYMBOLS, Unit, units_named
from rag.language import ORDINALS, SCALES, SMALL, STOPWORDS, TENS, listed, stem

_SUFFIXES = {"k": 1e3, "K": 1e3, "M": 1e6, "bn": 1e9, "tn": 1e12}
_OF_MONEY = {"m": 1e6, "mn": 1e6, "mln": 1e6, "b": 1e9}  # €2m are no metres
_OTHER_SCALES = {
    "millionen": 1e6, "millions": 1e6, "mio": 1e6, "millones": 1e6, "milioni": 1e6, "milhões": 1e6, "miljoen": 1e6,
    "billions": 1e9,
    "milliarden": 1e9, "milliards": 1e9, "mrd": 1e9, "miliardi": 1e9, "miljard": 1e9, "thousands": 1e3,
    "tausend": 1e3, "mille": 1e3,
    "mil": 1e3, "mila": 1e3, "duizend": 1e3, "mn": 1e6,
}  # fmt: skip
_HEDGES = frozenset(
    listed("""
        about around approximately approx roughly nearly almost circa ca etwa rund ungefähr environ unos cerca
    """)
)
_RANGING = frozenset(("-", "–", "—", "to", "or", "bis", "à", "a", "tot"))
_JOINING = _RANGING | {"and", "e", "et", "und", "y"}
_NUMERAL = re.compile(
    rf"(?<![\w.,])(?:[vV](?=\d))?(?P<sign>(?<!\S)[-−](?=\d)|~|≈)?(?:(?P<money>US\$|[{SYMBOLS}])\s?)?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+|"
    r"\d{1,3}(?:['’\u00a0\u202f ]\d{3})+(?![\d])(?:[.,]\d+)?|\d+(?:[.,]\d+)*)"
    rf"(?P<part>[{''.join(SIGNS)}])?(?P<power>{POWER})?"
    r"(?P<suffix>(?:st|nd|rd|th|s|k|K|M|bn|tn|x)(?!\w))?(?!\d)(?P<attached>[A-Za-zµ]{1,5}(?!\w))?(?!\w)"
)
# A run of digits and what may belong to it before.
_DIGITS = re.compile(rf"[vV]?[-−~≈]?(?:(?:US\$|[{SYMBOLS}])\s?)?(?P<digits>\d+)")
_VERSION = re.compile(r"\d+(?:\.\d+){2,}(?<!\.\d{3})|\d+(?:\.\d+){3,}")
_AFTER = re.compile(r"[\s\u00a0-]?(?P<unit>%|°\s?[CFcf]\b|°|[€£¥₹$](?!\d)|[A-Za-zÀ-ÿµ]+(?:/[sh]\b|[²³])?)")
_SPELLED = re.compile(r"[a-z]+", re.IGNORECASE)
_BLANKS = re.compile(r"[\s-]*")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it was meant, text[start:end], its unit included."""

    start: int
    end: int
    value: float
    others: tuple[float, ...]  # other readings of the same digits: 1.000 is one, or a thousand
    units: tuple[Unit, ...]  # what the unit may be; empty when there is none
    noun: str  # the stem of the word that follows, "" when there is none: 9 *touchdowns*
    written: str  # the number alone
    text: str  # with its unit
    soft: bool = False  # heard when it stands in the text, not asked for: "one", "a" minute, "first"
    hedged: bool = False  # "about 5"
    ordinal: bool = False
    version: str = ""  # 3.10.1, an address: no number, but the same or not

    @property
    def unit(self) -> str:
        """The unit as shown, "" when there is none."""
        return self.units[0].name if self.units else ""


def quantities(text: str) -> list[Quantity]:
    """The numbers of a text in order, in figures and in words, with scale and unit."""
    shares = [_share(text, start, end, value, in_figures=True) for start, end, value in alone(text)]
    figures = [*shares, *_in_figures(text, shares)]
    words = [one for one in _in_words(text) if not any(other.start < one.start < other.end for other in figures)]
    found = sorted((*figures, *words), key=lambda one: one.start)
    for i in range(len(found) - 2, -1, -1):  # 3-5 years, 72 and 98 percent: the unit is that of both
        one, following = found[i], found[i + 1]
        between = text[one.end : following.start].strip().lower()
        if following.units and not one.units and not one.noun and between in _JOINING and not one.ordinal:
            found[i] = one = replace(one, units=following.units)
        if between in _RANGING and one.value.is_integer() and (scale := _named_scale(text, following)) > one.value:
            found[i] = replace(one, others=(*one.others, one.value * scale))  # 5 to 10 million
    return found


def _named_scale(text: str, one: Quantity) -> float:
    """The scale in words behind a number in figures, 1 where there is none."""
    if not one.written[-1:].isdigit():
        return 1.0
    _, _, _, scale = _what_follows(text, one.start + len(one.written))
    return scale


def _in_figures(text: str, shares: Sequence[Quantity]) -> Iterator[Quantity]:
    """The numbers in figures but those in these shares."""
    reached = 0
    for match in _numerals(text):
        if match.start() < reached or any(one.start <= match.start() < one.end for one in shares):
            continue
        digits, suffix, power = match["digits"], match["suffix"] or "", match["power"] or ""
        attached = match["attached"] or ""
        of_money = _OF_MONEY.get(attached, 1.0) if match["money"] else 1.0
        if attached and of_money == 1.0 and not units_named(attached):
            continue  # 2FA, 3D
        if power and is_scientific(power) and text[max(0, match.start() - 1) : match.start()] in ("/", "-", "#", "\\"):
            continue  # runs/1e6
        end = match.start("attached") if attached and of_money == 1.0 else match.end()
        more, end = added(text, end)
        if not more and end == match.end("digits") and digits.isdigit() and len(digits) < 4:
            more, end = mixed(text, end)
        reached = end
        more += SIGNS.get(match["part"] or "", 0.0)
        value, *others = (one + more for one in _values(digits))
        if power:
            value, *others = (raised(one, power) for one in (value, *others))
        scale = _SUFFIXES.get(suffix, 1.0) * of_money
        unit, noun, units_end, named_scale = _what_follows(text, end)
        scale *= named_scale
        if match["money"]:
            units = units_named("$" if match["money"] == "US$" else match["money"])
        else:
            units = units_named(unit) if unit else ()
        if suffix in ("st", "nd", "rd", "th"):
            units, units_end = (), end
        if (match["sign"] or "") in ("-", "−"):
            value, others = -value, [-one for one in others]
        whole_end = units_end if units or named_scale != 1.0 else end
        yield Quantity(
            match.start(),
            whole_end,
            value * scale,
            tuple(one * scale for one in others),
            units,
            noun,
            text[match.start() : end].strip(),
            text[match.start() : whole_end].strip(),
            hedged=(match["sign"] or "") in ("~", "≈") or _is_hedged(text, match.start()),
            ordinal=suffix in ("st", "nd", "rd", "th"),
            version=digits if _VERSION.fullmatch(digits) else "",
        )


def _numerals(text: str) -> Iterator[re.Match[str]]:
    """As they are found one after the other, but looked for only around digits: a third of the cost."""
    after = 0
    for found in _DIGITS.finditer(text):
        for start in range(max(after, found.start()), found.start("digits") + 1):
            if match := _NUMERAL.match(text, start):
                after = match.end()
                yield match
                break


def _values(digits: str) -> list[float]:
    """What the digits may mean: English and continental separators; of a version such as 3.10.1 its first part."""
    bare = re.sub(r"['’\u00a0\u202f ]", "", digits)
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", bare):
        return [
            float(bare.replace(",", "")),
            *([float(bare.replace(",", "."))] if bare.count(",") == 1 and "." not in bare else []),
        ]
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+", bare):
        return [float(bare.replace(".", "").replace(",", "."))]
    if re.fullmatch(r"\d+[.,]\d+", bare):
        plain = float(bare.replace(",", "."))
        return [plain, float(bare.replace(".", ""))] if re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", bare) else [plain]
    if bare.isdigit():
        return [float(bare)]
    return [float(re.split(r"[.,]", bare)[0])]


def _what_follows(text: str, at: int) -> tuple[str, str, int, float]:
    """The unit after a number ("" when there is none), the stem of the word that follows, where they end, the scale."""
    scale = 1.0
    match = _AFTER.match(text, at)
    word = match["unit"] if match else ""
    if match and (found := SCALES.get(word.lower(), _OTHER_SCALES.get(word.lower(), 1.0))) != 1.0:
        scale, at = found, match.end()
        match = _AFTER.match(text, at)
        word = match["unit"] if match else ""
        if word.lower() in ("de", "of"):
            match = _AFTER.match(text, match.end()) if match else None
            word = match["unit"] if match else ""
    if not match:
        return "", "", at, scale
    if units_named(word.replace(" ", "")):
        return word.replace(" ", ""), "", match.end(), scale
    further = _AFTER.match(text, match.end()) if word.isalpha() and word.lower() not in STOPWORDS else None
    if further and len(further["unit"]) > 2 and units_named(further["unit"]):  # 30 calendar days
        return further["unit"], "", further.end(), scale
    lowered = word.lower()
    return "", "" if lowered in STOPWORDS else stem(lowered), at, scale


def _is_hedged(text: str, start: int) -> bool:
    before = text[max(0, start - 16) : start].rstrip().rpartition(" ")[2]
    return before.lower().strip("(") in _HEDGES


_BEGIN = frozenset(
    (
        *SMALL,
        *TENS,
        *SCALES,
        *ORDINALS,
        *SHARES,
        "twice",
        "double",
        "doubles",
        "triple",
        "once",
        "a",
        "an",
        "per",
        "each",
        "every",
    )
)


def _in_words(text: str) -> Iterator[Quantity]:
    """Numbers written in words: twenty-five, two hundred, third, half, two thirds, an hour."""
    spelled = list(_SPELLED.finditer(text))
    after = reached = 0
    for at in [n for n, match in enumerate(spelled) if match.group().lower() in _BEGIN]:
        if at < after or spelled[at].start() < reached:
            continue
        taken, found = _one_in_words(text, spelled, at)
        if found:
            yield found
            reached = found.end
        after = at + taken


def _one_in_words(text: str, spelled: Sequence[re.Match[str]], at: int) -> tuple[int, Quantity | None]:
    """How many words from spelled[at] on make a number, and the number."""
    total, group, n = 0.0, 0.0, at
    while n < len(spelled) and (n == at or _BLANKS.fullmatch(text, spelled[n - 1].end(), spelled[n].start())):
        name = spelled[n].group().lower()
        part = _small(name)
        if part is not None and (
            group == 0 or group % 100 == 0 or (group % 10 == 0 and part < 10 and group % 100 >= 20)
        ):
            group += part
        elif name in SCALES and (group or (n == at and _article_before(text, spelled, at))):
            group = max(group, 1.0) * SCALES[name]
            if SCALES[name] >= 1000:
                total, group = total + group, 0.0
        elif not (
            name == "and"
            and (group >= 100 or total)
            and n + 1 < len(spelled)
            and _small(spelled[n + 1].group().lower())
        ):
            break
        n += 1
    if n > at:
        return n - at, _counted(text, spelled, at, n, total + group)
    return _odd_one(text, spelled, at)


def _small(name: str) -> float | None:
    if name in SMALL:
        return SMALL[name]
    return TENS.get(name)


def _article_before(text: str, spelled: Sequence[re.Match[str]], at: int) -> bool:
    return at > 0 and spelled[at - 1].group().lower() in ("a", "an", "per", "the")


def _counted(text: str, spelled: Sequence[re.Match[str]], first: int, after: int, value: float) -> Quantity | None:
    start, end = spelled[first].start(), spelled[after - 1].end()
    more, end = added(text, end)
    value, written = value + more, text[start:end]
    follows = (
        spelled[after].group().lower()
        if not more and after < len(spelled) and text[end : spelled[after].start()].strip("- ") == ""
        else ""
    )
    if follows in SHARES and (follows.endswith("s") or value == 1) and follows != "seconds":
        return _share(text, start, spelled[after].end(), value * SHARES[follows])
    unit, noun, unit_end, scale = _what_follows(text, end)
    units = units_named(unit) if unit else ()
    if units and value == 1:
        more, unit_end = added_behind_unit(text, unit_end)
        value += more
    return Quantity(
        start,
        unit_end if unit else end,
        value * scale,
        (),
        units,
        noun,
        written,
        text[start : unit_end if unit else end],
        soft=written.lower() == "one" and not unit,
        hedged=_is_hedged(text, start),
    )


def _plain(
    text: str,
    start: int,
    end: int,
    value: float,
    units: tuple[Unit, ...] = (),
    *,
    noun: str = "",
    soft: bool = False,
    ordinal: bool = False,
) -> Quantity:
    """A number whose every word belongs to it."""
    written = text[start:end]
    return Quantity(start, end, value, (), units, noun, written, written, soft=soft, ordinal=ordinal)


def _share(text: str, start: int, end: int, share: float, *, in_figures: bool = False, soft: bool = False) -> Quantity:
    """A fraction: of one unit or of a scale, as in "half an hour", "half a million" and "3/4 mile", else of what is
    spoken of."""
    at = of_one(text, end)
    unit, noun, whole_end, scale = ("", "", end, 1.0)
    if at is not None or in_figures:
        unit, noun, whole_end, scale = _what_follows(text, end if at is None else at)
    units = units_named(unit) if len(unit) > 2 or in_figures else ()
    if not units and scale == 1.0:
        return _plain(text, start, end, share, (SHARE,), soft=soft)
    return _plain(text, start, whole_end, share * scale, units, noun=noun)


def _odd_one(text: str, spelled: Sequence[re.Match[str]], at: int) -> tuple[int, Quantity | None]:
    match = spelled[at]
    name = match.group().lower()
    before = spelled[at - 1].group().lower() if at else ""
    follows = (
        spelled[at + 1].group()
        if at + 1 < len(spelled) and text[match.end() : spelled[at + 1].start()] in (" ", "-")
        else ""
    )
    if (name in ORDINALS and name != "second") or (
        name == "second" and before in ("the", "a", "its", "their", "our", "your")
    ):
        value = float(ORDINALS.index(name) + 1)
        soft = name in ("first", "second")
        return 1, _plain(text, *match.span(), value, noun=stem(follows), soft=soft, ordinal=True)
    if name in ("half", "halves") or (name in ("third", "quarter", "fifth", "tenth") and before in ("a", "one")):
        return 1, _share(text, *match.span(), SHARES[name], soft=name == "half")
    if name in ("twice", "double", "doubles", "triple", "once"):
        value = {"twice": 2.0, "triple": 3.0, "once": 1.0}.get(name, 2.0)
        return 1, _plain(text, *match.span(), value, soft=True)
    if (
        name in ("a", "an", "per", "each", "every")
        and follows
        and (units := units_named(follows.lower()))
        and len(follows) > 2
    ):
        more, end = added_behind_unit(text, spelled[at + 1].end())
        return 2, _plain(text, match.start(), end, 1.0 + more, units, soft=not more)
    return 1, None
