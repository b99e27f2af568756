"""Personal data found by form and replaced by typed placeholders, <EMAIL_1>, the same for the same value; pure.

What has a form of its own is checked beyond it: cards by issuer and Luhn's digit (ISO/IEC 7812), IBANs by country,
length and mod 97 (ISO 13616), addresses of the Internet by parsing them. Names and postal addresses have no such form:
without a model only those are found that their surroundings announce ("Mr", "my name is", "Street", a post office box).
benchmarks/scrubbing.py measures what each kind finds and what it takes wrongly.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rag.errors import WrongUsage

Kind = Literal["email", "url", "iban", "card", "ssn", "ip", "phone", "address", "name"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which they claim a text: what one has taken no later one sees."""
STRUCTURED: tuple[Kind, ...] = ("email", "url", "iban", "card", "ssn", "ip", "phone")
"""Those that are told by their form."""


@dataclass(frozen=True, slots=True)
class Found:
    """A piece of personal data: text[start:end]."""

    kind: Kind
    start: int
    end: int


class Scrubber:
    """Replaces personal data in the texts of one conversation: one value has one placeholder in all of them.

    A name that was announced once is found in the later texts wherever it stands.
    """

    def __init__(self, kinds: Sequence[Kind] = KINDS) -> None:
        self._kinds = kinds
        self._known: dict[tuple[Kind, str], str] = {}
        self._counted: dict[Kind, int] = {}
        self._names: set[str] = set()
        self.replaced = dict.fromkeys(kinds, 0)  # how often each kind was

    def scrub(self, text: str) -> str:
        """The text with placeholders."""
        parts, end = [], 0
        for found in find(text, self._kinds, self._names):
            value = text[found.start : found.end]
            if found.kind == "name":
                self._names |= _parts(value)
            self.replaced[found.kind] += 1
            parts += [text[end : found.start], self._placeholder(found.kind, value)]
            end = found.end
        return "".join([*parts, text[end:]])

    def _placeholder(self, kind: Kind, value: str) -> str:
        key = (kind, _same(kind, value))
        if key not in self._known:
            self._counted[kind] = self._counted.get(kind, 0) + 1
            self._known[key] = f"<{kind.upper()}_{self._counted[kind]}>"
        return self._known[key]


def _same(kind: Kind, value: str) -> str:
    """What two ways to write one value have in common."""
    if kind in ("iban", "card", "ssn", "phone"):
        return "".join(character for character in value.lower() if character.isalnum() or character == "+")
    return " ".join(value.lower().split())


def kinds(named: str) -> tuple[Kind, ...]:
    """The kinds that people name: "all", "structured", or some with commas between. Raises WrongUsage."""
    if named == "all":
        return KINDS
    if named == "structured":
        return STRUCTURED
    asked = [part.strip() for part in named.split(",") if part.strip()]
    if not asked or (unknown := [part for part in asked if part not in KINDS]):
        wrong = unknown[0] if asked else named
        raise WrongUsage(f"{wrong!r} is no kind of personal data; there are {', '.join(KINDS)}, structured, all")
    return tuple(kind for kind in KINDS if kind in asked)


def find(text: str, kinds: Sequence[Kind] = KINDS, names: Iterable[str] = ()) -> list[Found]:
    """The personal data of these kinds, in order, none within another; `names` are words known to name somebody."""
    taken: list[Found] = []
    for kind in KINDS:
        if kind not in kinds:
            continue
        spans = set(_names(text, names) if kind == "name" else _FINDERS[kind](text))
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):  # of several the longest
            if all(end <= other.start or start >= other.end for other in taken):
                taken.append(Found(kind, start, end))
    return sorted(taken, key=lambda found: found.start)


Spans = Iterator[tuple[int, int]]


# ── the Internet ────────────────────────────────────────────────────────────────────────────────────────────────────

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%'-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}(?![\w@])")
_URL = re.compile(
    r"""(?<![\w@])(?i:(?:https?|ftps?)://|www\.)[^\s<>"'`{}|\\^]+"""
    r"|(?<![\w@./-])(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?:com|org|net|edu|gov|info|biz)"
    r"(?![\w-]|\.\w)(?:/[^\s<>\"'`]*)?"
)
_AFTER_URL = ".,;:!?)]}»”’'\""
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?![\w.]*\d|\w)")
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9a-f:.]*\d)(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?:/\d{1,3})?(?![\w:])",
    re.I,
)
_VERSION = re.compile(r"(?:\bv|\bver\.?|\bversion|\brelease|\bbuild)\s*$", re.IGNORECASE)


def _emails(text: str) -> Spans:
    for found in _EMAIL.finditer(text):
        start = found.start() + len(found[0]) - len(found[0].lstrip("'.-"))
        yield start, found.end()


def _urls(text: str) -> Spans:
    for found in _URL.finditer(text):
        held = found[0].rstrip(_AFTER_URL)
        if held.endswith("(") or held.count("(") > held.count(")"):  # a bracket that belongs to the address
            held = found[0][: len(held) + 1] if found[0][len(held) : len(held) + 1] == ")" else held
        yield found.start(), found.start() + len(held)


def _ips(text: str) -> Spans:
    for pattern in (_IPV4, _IPV6):
        for found in pattern.finditer(text):
            address = found[0].partition("/")[0]
            try:
                ipaddress.ip_address(address)
            except ValueError:
                continue
            if not _VERSION.search(text, 0, found.start()):
                yield found.span()


# ── numbers with a check digit ──────────────────────────────────────────────────────────────────────────────────────

_CARD = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){11,18}(?![\w]|[.,-]\d)")
_ISSUERS = (  # first digits, from and to, and the lengths of their numbers
    ("4", "4", (13, 16, 19)),
    ("51", "55", (16,)),
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),
    ("37", "37", (15,)),
    ("30", "30", (14, 16, 19)),
    ("36", "36", (14, 19)),
    ("38", "39", (14, 16, 19)),
    ("3528", "3589", (16, 19)),
    ("35", "35", (16,)),  # JCB, older and made-up ones
    ("2131", "2131", (15,)),
    ("1800", "1800", (15,)),
    ("6011", "6011", (16, 19)),
    ("644", "659", (16, 19)),
    ("62", "62", (16, 17, 18, 19)),
    ("2200", "2204", (16, 17, 18, 19)),
    ("0604", "0604", (12,)),
    ("50", "50", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("56", "69", (12, 13, 14, 15, 16, 17, 18, 19)),
)
_IBAN = re.compile(r"(?<![\w])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", re.IGNORECASE)
_IBAN_LENGTHS = {
    length: frozenset(countries.split())
    for length, countries in (
        (15, "NO"),
        (16, "BE"),
        (18, "DK FI FO GL NL SD FK"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU XK MN"),
        (21, "CH HR LI LV"),
        (22, "BG BH CR DE GB GE IE ME RS VA"),
        (23, "AE GI IL IQ TL OM SO"),
        (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
        (25, "LY PT ST"),
        (26, "IS TR"),
        (27, "BI DJ FR GR IT MC MR SM"),
        (28, "AL AZ BY CY DO GT HU LB NI PL SV"),
        (29, "BR EG PS QA UA"),
        (30, "JO KW MU YE"),
        (31, "MT SC"),
        (32, "LC"),
        (33, "RU"),
    )
}
_SSN = re.compile(r"(?<![\w.,/-])(?!000|666)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")
_BARE_SSN = re.compile(r"(?:\bSSN\b|social security)[^\n\d]{0,24}(?<!\d)((?!000|666)\d{9})(?!\d)", re.IGNORECASE)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def _cards(text: str) -> Spans:
    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found[0])
        if luhn(digits) and any(
            first <= digits[: len(first)] <= last and len(digits) in lengths for first, last, lengths in _ISSUERS
        ):
            yield found.span()


def mod_97(iban: str) -> bool:
    """Whether an IBAN's check digits fit (ISO 7064, MOD 97-10)."""
    moved = iban[4:] + iban[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _ibans(text: str) -> Spans:
    for found in _IBAN.finditer(text):
        places = [found.start() + at for at, character in enumerate(found[0]) if character.isalnum()]
        whole = "".join(text[place] for place in places).upper()
        for length, countries in _IBAN_LENGTHS.items():
            if whole[:2] in countries and len(whole) >= length and mod_97(whole[:length]):
                end = places[length - 1] + 1
                if not text[end : end + 1].isalnum():
                    yield found.start(), end


def _ssns(text: str) -> Spans:
    yield from (found.span() for found in _SSN.finditer(text))
    yield from (found.span(1) for found in _BARE_SSN.finditer(text))


# ── telephones ──────────────────────────────────────────────────────────────────────────────────────────────────────

_DIGITS = re.compile(
    r"(?<![\w$€£¥#.,=/:])(?<![\w)]-)(?:\+ ?|\((?=\d{1,5}\)))?\d(?:[ ]?[().\-/\u2010-\u2013\u00a0]?[ (]?\d){6,16}"
    r"(?: ?(?:x|ext\.?|extension) ?\d{1,6})?(?![\w%°]|[.,:/]\d|-\w)",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"\b(?:tele)?phones?\b|\btel\b|\bmobile\b|\bcell|\bfax\b|\bcall|\bdial|\bcontact|\breach|\bring\b|\btext|\bsms\b"
    r"|\bwhatsapp\b|\bhotline\b|\bdesk\b|\bnumber\b|\bmessages?\b|\banswer|\bextension\b|\bdirect\b|\boffice\b",
    re.IGNORECASE,
)
_NOT_A_PHONE = re.compile(
    r"(?:\bisbn(?:-1[03])?|\bissn|\bdoi|\bversion|\bpages?|\bpp\.|\blines?|\bzip(?: ?code)?|\bpost(?:al)? ?code)"
    r"\W{0,3}$",
    re.IGNORECASE,
)
_DATE = re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}(?:\s\d{1,2})?|\d{1,2}([-/. ])\d{1,2}\2(?:\d{4}|\d{2})")
_RANGE = re.compile(r"\d+\.\d+[-–/ ]+\d+(?:\.\d+)?|\d+[-–/ ]+\d+\.\d+")
_UNIT = re.compile(
    r"\s?(?:[%€$£¥]|(?:people|inhabitants|million|billion|thousand|euros?|dollars?|pounds?|bytes|[kKMG]i?B|km|kg|ms|m|s)\b)"
)
CUE_LENGTH = 40  # characters before a number in which a word may announce it


def _phones(text: str) -> Spans:
    for found in _DIGITS.finditer(text):
        before = text[max(0, found.start() - CUE_LENGTH) : found.start()]
        if _is_phone(found[0], before, text[found.end() : found.end() + 12]):
            yield found.span()


def _is_phone(written: str, before: str, after: str) -> bool:
    """Whether a number that could be one is a telephone's. One without any mark of its own must be announced."""
    number = re.split(r"x|ext", written, flags=re.IGNORECASE)[0].strip()
    digits = sum(character.isdigit() for character in number)
    dated = re.sub(r" ?([-–/.]) ?", r"\1", number.strip("( )"))
    if not 7 <= digits <= 15 or _DATE.fullmatch(dated) or _RANGE.fullmatch(dated) or _NOT_A_PHONE.search(before):
        return False
    if number.startswith("+") or written != number or _CUE.search(before):
        return True
    return not _UNIT.match(after) and _is_grouped(number)


def _is_grouped(number: str) -> bool:
    """Whether digits stand together as those of telephones do, and not as decimals, ranges, thousands or years."""
    groups = re.findall(r"\d+", number)
    sizes, separators = tuple(map(len, groups)), set(re.findall(r"[^\d]", number))
    bracketed = re.match(r"\(\d{1,5}\)|\d{1,4} ?\(\d{1,5}\)", number)
    if len(groups) == 1:
        return bool(_BARE.fullmatch(number))
    mixed = {".", " "} <= separators or {".", "–"} <= separators
    if mixed or sizes == (3, 2, 4) or ("(" in number) != bool(bracketed):
        return False
    if len(groups) == 2 and not bracketed:
        if all(size == 4 and "1000" <= group <= "2100" for size, group in zip(sizes, groups, strict=True)):
            return False  # years from and to
        leading = groups[0].startswith("0") and sizes[0] > 2
        return separators <= {" ", "-"} and (leading or sizes == (3, 4) or (separators == {" "} and sizes in _PAIRS))
    return not (sizes[0] <= 3 and set(sizes[1:]) == {3} and (separators == {"."} or sizes[0] == 1))


_BARE = re.compile(r"[2-9]\d{2}[2-9]\d{6}|0[1-9]\d{8,9}")  # ten digits of North America; of others with their zero
_PAIRS = ((2, 6), (3, 5), (3, 6), (4, 4), (2, 7), (4, 5), (4, 6))  # digits of numbers that are written in two groups


# ── where people live ───────────────────────────────────────────────────────────────────────────────────────────────

_STREETS = (
    "Street|St|Road|Rd|Avenue|Ave|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Square|Sq|Terrace|Way|Place|Pl|Highway|Hwy|"
    "Parkway|Crescent|Close|Alley|Trail|Route"
)
_CAPITALS = r"[^\W\d_a-zß-öø-ÿ][\w'’.-]*"  # begins with what is no small letter of Latin-1
_SMALL = r"(?:of|the|de|del|della|delle|di|da|do|du|des|la|le|les|van|von|den|der|e|y|i|d'|und|an|am)"
_WORDS = rf"{_CAPITALS}(?: (?:{_CAPITALS}|{_SMALL}(?= ))){{0,4}}"
_STREET = re.compile(
    rf"(?<![\w.,])\d{{1,6}}[a-z]?,? (?:\d{{1,4}} )?(?:{_WORDS} )?{_CAPITALS} (?:{_STREETS})\b\.?(?: [NSEW]{{1,2}}\b)?"
    r"|(?<!\w)[^\W\d_a-z]\w+(?:straße|strasse|str\.|gasse|weg|allee|platz|gatan|vägen|straat|laan) \d{1,5}[a-z]?\b"
    rf"|(?<!\w)(?:\d{{1,6}} )?(?:Rue|Via|Calle|Rua|Ulica|[Uu]l\.|Avenida|Avda\.|Viale|Piazza|Paseo) "
    rf"{_WORDS},? \d{{1,5}}\b"
    rf"|(?<!\w)(?:\d{{1,6}} )?{_WORDS} (?:utca|u\.|út|útja|tee|nam\.) \d{{1,4}}\.?"
)
_NUMBERED = re.compile(rf"(?<![\w.,])\d{{1,6}} {_WORDS} \d{{1,5}}\b")  # an address where a flat or a town follows
_BOX = re.compile(
    r"\b(?:PSC|CMR|Unit|USNS|USNV|USS|USCGC)[ \w]{1,20}(?:, ?Box ?\d+)?\s+(?:APO|FPO|DPO) (?:AA|AE|AP) \d{5}(?:-\d{4})?"
    r"|\bP\.? ?O\.? ?Box \d+\b|\b(?:APO|FPO|DPO) (?:AA|AE|AP) \d{5}\b",
    re.IGNORECASE,
)
_FLAT = re.compile(r"(?:\s*,?\s*\b(?:Suite|Apt\.?|Apartment|Floor|Flat|Room|Unit)[ #]*\w{1,6}\b)+", re.IGNORECASE)
_TOWN = re.compile(rf"\s*,?\s*(?:{_WORDS}\s*,?\s*){{0,2}}(?:[A-Z]{{2}}\s+)?\b\d{{5}}(?:-\d{{4}})?\b")
_FLAT_ALONE = re.compile(r"(?<!\w)(?:Suite|Apt\.?|Apartment) #?\d{1,5}\b", re.IGNORECASE)


def _addresses(text: str) -> Spans:
    for found in (*_STREET.finditer(text), *_BOX.finditer(text)):
        yield found.start(), _further(text, found.end())
    for found in _NUMBERED.finditer(text):
        end = _further(text, found.end())
        if end > found.end():
            yield found.start(), end
    for found in _FLAT_ALONE.finditer(text):
        yield found.start(), _further(text, found.end())


def _further(text: str, end: int) -> int:
    """The end of an address with the flat and the town that follow."""
    for more in (_FLAT, _TOWN):
        if further := more.match(text, end):
            end = further.end()
    return end


# ── what people are called ──────────────────────────────────────────────────────────────────────────────────────────

_CAPITAL = r"[^\W\d_a-zß-öø-ÿ][\w'’-]*[\w]"  # begins with what is no small letter of Latin-1
_INITIAL = r"[A-Z]\.?"
_FULL = rf"{_CAPITAL}(?: (?:(?:van|von|de|der|den|da|di|la|bin|al|ter) )?(?:{_CAPITAL}|{_INITIAL}(?= ))){{0,3}}"
_TITLE = r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Madam|Herr|Frau|Señor|Señora|Monsieur|Madame)\b\.?"
_ANNOUNCED = (
    re.compile(rf"\b{_TITLE} ({_FULL})"),
    re.compile(rf"\b(?i:my|his|her|their|your|whose|the)(?i: (?:full |first |last |maiden |sur)?name is:?) ({_FULL})"),
    re.compile(rf"\b(?i:name|contact|attn|attention|signed|customer|patient|client|employee)(?: ?: ?)({_FULL})"),
    re.compile(
        rf"\b(?:I am|I'm|I’m|[Tt]his is|[Mm]eet|called|named|[Cc]all me) ({_CAPITAL}(?: {_INITIAL})? {_CAPITAL})"
    ),
    re.compile(rf"\b(?:Dear|Hi|Hello|Hey) ({_FULL})(?=[,!:\n])"),
    re.compile(rf"(?:\b(?i:regards|sincerely|cheers|thanks|yours|wishes),?\s*\n+\s*)({_FULL})[ \t]*(?=\n|$)"),
    re.compile(rf"(?m)^({_CAPITAL} (?:{_INITIAL} )?{_CAPITAL})(?=\s*\n+\s*\d)"),  # above an address
)
_SPEAKER = re.compile(rf"(?m)^({_CAPITAL}(?: {_CAPITAL})?)(?=: [\w\"“])")
_WORDS_OF_LABELS = """
    a about address age all also an and answer any are article as ask at background be bot but by can chapter
    cheers city conclusion contact cost could country customer date day deadline desk did do does email error
    example fact fax file first for from get goal had has have he hello here hi how i if important in info
    information introduction is it its language last let line may method methods mobile more mr mrs ms my name
    new no not note now objective objectives of office on one or other our page person phone please purpose
    question reason reply result results return see she so some source subject summary tel thank thanks that the
    their there these they this time tip title to today topic type url user version very warning was we website
    what when where which who why will with would yes you your zip
"""
_NO_NAMES = frozenset(_WORDS_OF_LABELS.split())


def _names(text: str, known: Iterable[str]) -> Spans:
    parts = set(known)
    speakers = list(_SPEAKER.finditer(text))
    dialogue = speakers if len({found[1] for found in speakers}) > 1 else []
    for found in (*(each for pattern in _ANNOUNCED for each in pattern.finditer(text)), *dialogue):
        if not any(word.lower() in _NO_NAMES or (word.isupper() and len(word) > 2) for word in found[1].split()):
            parts |= _parts(found[1])
            yield found.span(1)
    small = set(re.findall(r"\w+", text)) if parts else set()
    parts = {part for part in parts if part.lower() not in small}  # a word that is a word of its own names nobody
    if parts:
        one = "|".join(map(re.escape, sorted(parts, key=len, reverse=True)))
        again = re.compile(rf"(?<!\w)(?:{one})(?: (?:{_INITIAL} )?(?:{one}))*(?!\w)")
        yield from (found.span() for found in again.finditer(text))


def _parts(name: str) -> set[str]:
    """The words of a name that name somebody by themselves."""
    return {word for word in name.split() if len(word) > 2 and not word.endswith(".") and word[0].isupper()}


_FINDERS: dict[Kind, Callable[[str], Spans]] = {
    "email": _emails,
    "url": _urls,
    "iban": _ibans,
    "card": _cards,
    "ssn": _ssns,
    "ip": _ips,
    "phone": _phones,
    "address": _addresses,
}
