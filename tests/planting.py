"""Errors planted into true sentences, by rules that know nothing of the checks.

A rule takes a sentence and gives it changed, or None where it does not apply. Every table here is the test's own.
"""

import re
from collections.abc import Callable, Sequence
from random import Random

Rule = Callable[[str, Random], str | None]


def somewhere(
    pattern: str, sentence: str, random: Random, change: Callable[[re.Match[str]], str | None], flags: int = 0
) -> str | None:
    """The sentence with one of the matches changed, the first in a shuffled order whose change is not None."""
    found = list(re.finditer(pattern, sentence, flags))
    random.shuffle(found)
    for match in found:
        new = change(match)
        if new is not None and new != match.group():
            return sentence[: match.start()] + new + sentence[match.end() :]
    return None


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

NUMBER_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_UNIT_WORDS = (
    "seconds?|minutes?|hours?|days?|weeks?|months?|years?|ms|milliseconds?|[KMGT]i?B|bytes?|bits?|km|miles?|metres?|kg|"
    "pounds|percent|°C|°F|dollars"
)
_COUNTED = rf"(?<![\w.,/#:-])(\d{{1,3}}(?:,\d{{3}})+|\d{{1,5}})(?=\s(?!{_UNIT_WORDS}|[A-Z(])[a-z]{{3,}})(?![\w/])"


def other_number(sentence: str, random: Random) -> str | None:
    def change(match: re.Match[str]) -> str | None:
        value = int(match.group().replace(",", ""))
        if 1900 <= value <= 2099:
            return None
        new = random.choice([value + random.randint(1, 9), value * 10, max(2, value // 2) if value > 5 else value + 2])
        return f"{new:,}" if "," in match.group() else str(new)

    return somewhere(_COUNTED, sentence, random, change)


def other_number_word(sentence: str, random: Random) -> str | None:
    def change(match: re.Match[str]) -> str | None:
        return random.choice([word for word in NUMBER_WORDS[1:] if word != match.group()])

    return somewhere(r"\b(?:two|three|four|five|six|seven|eight|ten)\b(?! of)", sentence, random, change)


def other_amount(sentence: str, random: Random) -> str | None:
    """Another number before a unit."""
    return somewhere(
        rf"(?<![\w.,/:-])\d{{1,5}}(?=\s?(?:{_UNIT_WORDS}|%))",
        sentence,
        random,
        lambda match: str(int(match.group()) + random.choice([1, 3, 7, 20])),
    )


# ── dates ───────────────────────────────────────────────────────────────────────────────────────────────────────────

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def other_year(sentence: str, random: Random) -> str | None:
    return somewhere(
        r"(?<![\w.,/:-])(?:19[5-9]\d|20[0-4]\d)(?![\w%]|[.,/:-]\w|\s(?:bits?|bytes|characters|MB|users))",
        sentence,
        random,
        lambda match: str(int(match.group()) + random.choice([-11, -4, -2, -1, 1, 3, 7])),
    )


def other_month(sentence: str, random: Random) -> str | None:
    return somewhere(
        rf"\b(?:{'|'.join(MONTHS)})(?=,? \d)|(?<=\d )(?:{'|'.join(MONTHS)})|(?<=in )(?:{'|'.join(MONTHS)})",
        sentence,
        random,
        lambda match: random.choice([month for month in MONTHS if month != match.group()]),
    )


def other_day(sentence: str, random: Random) -> str | None:
    def change(match: re.Match[str]) -> str:
        return str(random.choice([day for day in range(1, 29) if day != int(match.group())]))

    months = "|".join(MONTHS)
    return somewhere(
        rf"(?<=[a-zA-Z] )\d{{1,2}}(?= (?:{months}))|(?<=[a-z] )\d{{1,2}}(?=, \d{{4}})", sentence, random, change
    )


def other_weekday(sentence: str, random: Random) -> str | None:
    return somewhere(
        rf"\b(?:{'|'.join(DAYS)})\b",
        sentence,
        random,
        lambda match: random.choice([d for d in DAYS if d != match.group()]),
    )


def other_date_in_figures(sentence: str, random: Random) -> str | None:
    return somewhere(
        r"\b\d{4}-\d\d-\d\d\b",
        sentence,
        random,
        lambda match: (
            f"{int(match.group()[:4]) + random.choice([0, 1]):04}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
        ),
    )


# ── units ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_FAMILIES = (
    "seconds minutes hours days weeks months years milliseconds",
    "second minute hour day week month year millisecond",
    "KB MB GB TB", "bits bytes kilobytes megabytes", "bit byte kilobyte", "KiB MiB GiB", "km miles m feet",
    "kilometres miles metres feet",
    "kg pounds grams tonnes", "°C °F", "dollars euros pounds yen", "% ms", "percent minutes", "kilograms pounds grams",
)  # fmt: skip


def other_unit(sentence: str, random: Random) -> str | None:
    def change(match: re.Match[str]) -> str | None:
        families = [family.split() for family in _FAMILIES if match["unit"] in family.split()]
        if not families:
            return None
        return match["number"] + random.choice([unit for unit in families[0] if unit != match["unit"]])

    number = rf"(?P<number>(?<![\w.,/])(?:\d[\d.,]*[\s-]?|(?:{'|'.join(NUMBER_WORDS)})[\s-]))"
    return somewhere(rf"{number}(?P<unit>°[CF]|[A-Za-z]+|%)(?![\w])", sentence, random, change)


def other_currency(sentence: str, random: Random) -> str | None:
    return somewhere(
        r"[$€£](?=\d)", sentence, random, lambda match: random.choice([sign for sign in "$€£" if sign != match.group()])
    )


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def proper_names(sentences: Sequence[str]) -> list[str]:
    """Words that occur often with a capital inside sentences, and never without one."""
    large: dict[str, int] = {}
    small = {word for sentence in sentences for word in re.findall(r"\b[a-z]{2,}\b", sentence)}
    for sentence in sentences:
        for word in re.findall(r"(?<=[a-z,] )[A-Z][A-Za-z]{2,}\b(?![.’'-]\w)", sentence):
            large[word] = large.get(word, 0) + 1
    kept = [word for word, n in large.items() if n >= 4 and word.lower() not in small and word not in (*MONTHS, *DAYS)]
    return sorted(kept)


def other_name(names: Sequence[str]) -> Rule:
    """Another name in the place of one; `names` are those to choose among."""
    known = set(names)

    def rule(sentence: str, random: Random) -> str | None:
        there = set(re.findall(r"\w+", sentence))
        choice = [name for name in names if name not in there]
        return somewhere(
            r"(?<![\w./@-])[A-Z][A-Za-z]{2,}\b(?![./@-]\w)",
            sentence,
            random,
            lambda match: random.choice(choice) if match.group() in known else None,
        )

    return rule


# ── negation ────────────────────────────────────────────────────────────────────────────────────────────────────────


def not_added(sentence: str, random: Random) -> str | None:
    return somewhere(
        r"\b(?:is|are|was|were|can|could|should|will|would|must|has|have|does|do|may)\b"
        r"(?! not|n't| no\b| never)(?= [a-z]+)",
        sentence,
        random,
        lambda match: match.group() + random.choice([" not", " not", " never"]),
    )


def not_taken_away(sentence: str, random: Random) -> str | None:
    return somewhere(r"(?<=[a-z] )not (?!only|just|necessarily|to\b)|\bnever ", sentence, random, lambda _: "")


def contraction_turned(sentence: str, random: Random) -> str | None:
    turned = {
        "isn't": "is", "aren't": "are", "can't": "can", "don't": "do", "doesn't": "does", "shouldn't": "should",
        "won't": "will", "wasn't": "was", "didn't": "did", "cannot": "can", "couldn't": "could", "wouldn't": "would",
    }  # fmt: skip
    return somewhere(
        rf"\b(?:{'|'.join(turned)})\b", sentence.replace("’", "'"), random, lambda match: turned[match.group()]
    )


def verb_denied(sentence: str, random: Random) -> str | None:
    verbs = {
        "uses": "use", "provides": "provide", "allows": "allow", "requires": "require", "supports": "support",
        "makes": "make", "returns": "return", "helps": "help", "includes": "include", "contains": "contain",
        "needs": "need", "means": "mean",
    }  # fmt: skip
    return somewhere(
        rf"(?<=[a-z] )(?:{'|'.join(verbs)})\b", sentence, random, lambda match: f"does not {verbs[match.group()]}"
    )


def without_with(sentence: str, random: Random) -> str | None:
    return somewhere(
        r"\bwithout(?= [a-z]+)|\bwith(?= [a-z]+)",
        sentence,
        random,
        lambda m: "with" if m.group() == "without" else "without",
    )


PLANTS: dict[str, tuple[Rule, ...]] = {
    "number": (other_number, other_number_word, other_amount),
    "date": (other_year, other_month, other_day, other_weekday, other_date_in_figures),
    "negation": (not_added, not_taken_away, contraction_turned, verb_denied, without_with),
    "unit": (other_unit, other_currency),
}
"""By kind of error, names aside."""

# Documentation has few dates and amounts: facts to put into a sentence and into the text that supports it alike.
WITH_DATE = (
    ("As of March 2021, {}", True), ("On 14 July 2019, {}", True), ("{} since 2016", False),
    ("{}, as was decided on Tuesday", False),
    ("{}, which was reviewed on October 3, 2022", False), ("Before 2020-05-17, {}", True),
    ("{} until the end of November 2023", False),
    ("Since 1 February 2018, {}", True), ("{}, as the team agreed at 14:30 on 9 June 2021", False),
    ("In December 2017, {}", True),
)  # fmt: skip
WITH_AMOUNT = (
    ("{} within 45 seconds", False), ("After 90 minutes, {}", True), ("{} for at most 14 days", False),
    ("With 16 GB of memory, {}", True),
    ("{}, which takes 250 ms", False), ("{} at a distance of 12 km", False), ("Above 35 °C, {}", True),
    ("{}, at a cost of $400", False),
    ("{} in 20 percent of cases", False), ("For 8 hours, {}", True), ("{} with 512 MB of storage", False),
    ("{}, up to 75 kg", False),
    ("After 3 weeks, {}", True), ("{}, in packets of 64 bytes", False),
)  # fmt: skip


def with_fact(sentence: str, template: tuple[str, bool]) -> str:
    """The sentence with a fact in front of it or behind."""
    form, leads = template
    body = sentence.rstrip(".")
    if leads and not re.match(r"\w*[A-Z]\w*[A-Z]|I\b", body):
        body = body[0].lower() + body[1:]
    return f"{form.format(body)}."
