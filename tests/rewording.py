"""True sentences said in other words, by rules that know nothing of the checks; every table here is the test's own."""

import re
from collections.abc import Callable, Sequence
from random import Random

from tests.planting import MONTHS, NUMBER_WORDS, Rule, somewhere

_CONTRACT = (
    ("do not", "don't"), ("does not", "doesn't"), ("is not", "isn't"), ("are not", "aren't"), ("cannot", "can't"),
    ("can not", "can't"),
    ("it is", "it's"), ("you are", "you're"), ("should not", "shouldn't"), ("will not", "won't"), ("they are",
    "they're"), ("we will", "we'll"),
    ("you have", "you've"), ("you will", "you'll"), ("was not", "wasn't"), ("would not", "wouldn't"), ("that is",
    "that's"), ("did not", "didn't"),
    ("has not", "hasn't"), ("have not", "haven't"), ("there is", "there's"), ("must not", "mustn't"), ("we are",
    "we're"), ("let us", "let's"),
)  # fmt: skip


def _both_ways(sentence: str, random: Random, pairs: Sequence[tuple[str, str]]) -> str | None:
    table = dict(pairs) | {other: one for one, other in reversed(pairs)}
    pattern = "|".join(sorted(map(re.escape, table), key=len, reverse=True))

    def change(match: re.Match[str]) -> str:
        new = table[match.group().lower()]
        return new[0].upper() + new[1:] if match.group()[0].isupper() and not match.group().isupper() else new

    return somewhere(
        rf"(?<![\w/.-])(?:{pattern})(?![\w/’'-])(?!\.\w)", sentence.replace("’", "'"), random, change, re.IGNORECASE
    )


def contracted(sentence: str, random: Random) -> str | None:
    return _both_ways(sentence, random, _CONTRACT)


_SHORT = (
    ("API", "application programming interface"), ("e.g.", "for example"), ("database", "DB"), ("configuration",
    "config"), ("application", "app"),
    ("URL", "uniform resource locator"), ("repository", "repo"), ("HTTP", "hypertext transfer protocol"), ("SQL",
    "structured query language"),
    ("XSS", "cross-site scripting"), ("CI", "continuous integration"), ("i.e.", "that is"), ("documentation",
    "docs"), ("ID", "identifier"),
    ("TLS", "transport layer security"), ("VM", "virtual machine"), ("PR", "pull request"), ("JSON",
    "JavaScript Object Notation"), ("XML", "extensible markup language"),
    ("MFA", "multi-factor authentication"), ("JWT", "JSON Web Token"), ("DNS", "Domain Name System"), ("ML",
    "machine learning"), ("UI", "user interface"),
    ("environment", "env"), ("admin", "administrator"), ("info", "information"), ("parameters", "params"), ("CSRF",
    "cross-site request forgery"),
    ("APIs", "application programming interfaces"), ("URLs", "uniform resource locators"), ("HTML",
    "HyperText Markup Language"), ("vs.", "versus"),
    ("operating system", "OS"), ("command line interface", "CLI"), ("CSS", "cascading style sheets"), ("DoS",
    "denial of service"), ("etc.", "and so on"),
    ("SSO", "single sign-on"), ("IDE", "integrated development environment"), ("QA", "quality assurance"), ("LDAP",
    "lightweight directory access protocol"),
)  # fmt: skip


def spelled_out(sentence: str, random: Random) -> str | None:
    table = dict(_SHORT) | {long: short for short, long in _SHORT}
    pattern = "|".join(sorted(map(re.escape, table), key=len, reverse=True))
    return somewhere(
        rf"(?<![\w/.-])(?:{pattern})(?![\w/-])(?!\.\w)", sentence, random, lambda match: table[match.group()]
    )


def digits_as_words(sentence: str, random: Random) -> str | None:
    table = {str(n): word for n, word in enumerate(NUMBER_WORDS, 1)} | {
        "15": "fifteen", "20": "twenty", "30": "thirty", "50": "fifty", "60": "sixty", "90": "ninety",
        "24": "twenty-four", "64": "sixty-four",
        "100": "a hundred", "1000": "one thousand", "1,000": "a thousand", "200": "two hundred", "32": "thirty-two",
        "10000": "ten thousand",
        "16": "sixteen", "256": "two hundred and fifty-six", "2048": "two thousand and forty-eight", "40": "forty",
        "25": "twenty-five",
        "500": "five hundred", "80": "eighty", "128": "one hundred twenty-eight", "300": "three hundred",
    }  # fmt: skip
    return somewhere(
        r"(?<![\w.,/:#(^-])\d[\d,]*(?![\w/:-]|[.,]\d)(?=\s[a-z])",
        sentence,
        random,
        lambda match: table.get(match.group()),
    )


def words_as_digits(sentence: str, random: Random) -> str | None:
    table = {word: str(n) for n, word in enumerate(NUMBER_WORDS, 1)} | {
        "first": "1st", "second": "2nd", "third": "3rd", "a dozen": "12", "twenty": "20", "fifty": "50",
        "a hundred": "100", "percent": "%",
        "half": "50%",
    }  # fmt: skip
    return somewhere(
        r"\b(?:two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|fifty)\b(?!-)"
        r"|(?<=the )(?:first|second|third)(?= [a-z])",
        sentence,
        random,
        lambda match: table[match.group()],
    )


def thousands(sentence: str, random: Random) -> str | None:
    def change(match: re.Match[str]) -> str:
        value = int(match.group().replace(",", ""))
        if 1900 <= value <= 2099:
            return None  # a year, as like as not
        return str(value) if "," in match.group() else f"{value:,}"

    return somewhere(
        r"(?<![\w.,/:#$-])(?:\d{1,3},\d{3}|[1-9]\d{3,6})(?=\s[a-z])(?!\s(?:and|or|was|in|by))", sentence, random, change
    )


def date_in_another_form(sentence: str, random: Random) -> str | None:
    months = "|".join(MONTHS)

    def written(year: str, month: int, day: int) -> str:
        name = MONTHS[month - 1]
        return random.choice([
            f"{name} {day}, {year}", f"{day} {name} {year}", f"{year}-{month:02}-{day:02}", f"{name[:3]} {day}, {year}",
            f"{month:02}/{day:02}/{year}", f"the {day}th of {name} {year}" if 3 < day < 21 else f"{day} {name} {year}",
        ])  # fmt: skip

    forms: list[tuple[str, Callable[[re.Match[str]], str | None]]] = [
        (rf"\b(?P<m>{months}) (?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y>\d{{4}})",
        lambda m: written(m["y"], MONTHS.index(m["m"]) + 1, int(m["d"]))),
        (rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<m>{months}),? (?P<y>\d{{4}})",
        lambda m: written(m["y"], MONTHS.index(m["m"]) + 1, int(m["d"]))),
        (r"\b(?P<y>20\d\d)-(?P<m>\d\d)-(?P<d>\d\d)\b", lambda m: written(m["y"], int(m["m"]), int(m["d"]))),
        (rf"\b(?P<m>{months}),? (?P<y>\d{{4}})", lambda m: random.choice([f"{m['m'][:3]} {m['y']}",
        f"{m['m']} of {m['y']}", f"{m['m'][:3]}. {m['y']}"])),
        (r"\b(?P<h>1[3-9]):(?P<n>\d\d)\b",
        lambda m: f"{int(m['h']) - 12}:{m['n']} {random.choice(['PM', 'p.m.', 'pm'])}"),
    ]  # fmt: skip
    for pattern, change in forms:
        new = somewhere(pattern, sentence, random, change)
        if new:
            return new
    return None


_CONVERSIONS: dict[str, Sequence[tuple[float, str, int]]] = {
    "seconds": ((1000, "milliseconds", 0), (1 / 60, "minutes", 2)),
    "minutes": ((60, "seconds", 0), (1 / 60, "hours", 2)),
    "hours": ((60, "minutes", 0), (1 / 24, "days", 2)),
    "days": ((24, "hours", 0), (1 / 7, "weeks", 1)),
    "weeks": ((7, "days", 0),),
    "years": ((12, "months", 0),),
    "months": ((1 / 12, "years", 2),),
    "MB": ((1000, "KB", 0), (0.001, "GB", 4)),
    "GB": ((1024, "MB", 0), (1000, "MB", 0), (0.001, "TB", 4)),
    "KB": ((1024, "bytes", 0),),
    "bytes": ((8, "bits", 0),),
    "bits": ((1 / 8, "bytes", 1),),
    "GiB": ((1024, "MiB", 0),),
    "km": ((0.621371, "miles", 1), (1000, "m", 0)),
    "miles": ((1.609344, "km", 1),),
    "metres": ((3.28084, "feet", 0), (100, "cm", 0)),
    "kg": ((2.204623, "pounds", 1), (1000, "grams", 0)),
    "pounds": ((0.453592, "kg", 1),),
    "percent": ((1, "%", 0),),
    "%": ((1, " percent", 0),),
    "dollars": ((1, "USD", 0),),
    "milliseconds": ((0.001, "seconds", 3),),
    "ms": ((0.001, "seconds", 3), (1, "milliseconds", 0)),
}


def converted(sentence: str, random: Random) -> str | None:
    def change(match: re.Match[str]) -> str | None:
        unit = match["unit"]
        value = float(match["n"].replace(",", ""))
        if unit in ("°C", "°F"):
            other = value * 9 / 5 + 32 if unit == "°C" else (value - 32) * 5 / 9
            return f"{round(other)} {'°F' if unit == '°C' else '°C'}"
        ways = [way for way in _CONVERSIONS.get(unit, ()) if value * way[0] >= 0.2]
        if not ways:
            return None
        factor, other_name, digits = random.choice(ways)
        if factor == 1:
            return f"{match['n']} {other_name.strip()}"
        new = f"{value * factor:,.{digits}f}"
        new = new.rstrip("0").rstrip(".") if "." in new else new
        rounded = float(new.replace(",", ""))
        return f"{new} {other_name.strip()}" if abs(rounded - value * factor) <= 0.04 * rounded else None

    return somewhere(
        r"(?<![\w.,/$-])(?<!and )(?<!to )(?<!or )(?P<n>\d[\d,]*(?:\.\d+)?)[\s-]?"
        rf"(?P<unit>°[CF]|%|{'|'.join(sorted(_CONVERSIONS, key=len, reverse=True))})(?![\w])",
        sentence,
        random,
        change,
    )


def money_in_words(sentence: str, random: Random) -> str | None:
    names = {"$": "dollars", "€": "euros", "£": "pounds"}
    return somewhere(
        r"(?P<s>[$€£])(?P<n>\d[\d,]*(?:\.\d+)?)(?! ?(?:million|billion))",
        sentence,
        random,
        lambda m: f"{m['n']} {names[m['s']]}",
    )


_MODAL = "can|should|must|may|could"
_PARTICIPLES = {
    "use": "used", "create": "created", "add": "added", "define": "defined", "declare": "declared", "set": "set",
    "find": "found", "see": "seen",
    "write": "written", "make": "made", "consider": "considered", "avoid": "avoided", "implement": "implemented",
    "configure": "configured",
    "build": "built", "run": "run", "include": "included", "store": "stored", "send": "sent", "choose": "chosen",
    "check": "checked",
    "validate": "validated", "provide": "provided", "access": "accessed", "test": "tested", "install": "installed",
    "enable": "enabled",
    "disable": "disabled", "return": "returned", "change": "changed", "read": "read", "pass": "passed",
    "give": "given", "handle": "handled",
    "deploy": "deployed", "ensure": "ensured", "keep": "kept", "take": "taken", "generate": "generated",
    "apply": "applied", "describe": "described",
    "protect": "protected", "update": "updated", "prevent": "prevented", "override": "overridden",
    "import": "imported", "review": "reviewed",
    "document": "documented", "identify": "identified", "monitor": "monitored", "limit": "limited",
    "perform": "performed", "follow": "followed",
}  # fmt: skip


def passive(sentence: str, random: Random) -> str | None:
    """You can use X to … → X can be used to …; Y uses X. → X is used by Y."""
    verbs = "|".join(_PARTICIPLES)
    match = re.fullmatch(
        r"(?P<who>You|We|Developers|Teams|Users|The (?:team|application|server|client|attacker|user))\s"
        rf"(?P<modal>{_MODAL})\s(?P<verb>{verbs})"
        r"\s(?P<what>[^,;:]+?)(?P<rest>(?:\s(?:to|for|in|with|by|from|when|if|as|that|using|on|at|so)\s.*)?)\.",
        sentence,
    )
    if match and len(match["what"].split()) >= 1:
        what = match["what"][0].upper() + match["what"][1:]
        by = "" if match["who"] in ("You", "We") else f" by {match['who'].lower()}"
        return f"{what} {match['modal']} be {_PARTICIPLES[match['verb']]}{by}{match['rest']}."
    third = "|".join(f"{verb}s" for verb in _PARTICIPLES)
    match = re.fullmatch(
        rf"(?P<who>(?:The |This |A |An )?[A-Za-z]+(?: [a-z]+)?) (?P<verb>{third}) "
        r"(?P<what>(?:the|a|an|all|any|two|three|this)\s[^,;:]+?)\.",
        sentence,
    )
    if match:
        what = match["what"][0].upper() + match["what"][1:]
        who = (
            match["who"]
            if not re.match(r"(?:The|This|A|An) ", match["who"])
            else match["who"][0].lower() + match["who"][1:]
        )
        are = "are" if what.split()[0] in ("All", "Two", "Three") else "is"
        return f"{what} {are} {_PARTICIPLES[match['verb'][:-1]]} by {who}."
    return None


def clauses_exchanged(sentence: str, random: Random) -> str | None:
    """If A, B. → B if A. By default, B. → B by default."""
    match = re.fullmatch(
        r"(?P<word>If|When|While|Because|Although|Before|After|In|For|By|With|To|During|Since|As|Once|On) "
        r"(?P<one>[^,]+), (?P<other>(?!and|or|but)[^,].+)\.",
        sentence,
    )
    if match:
        other = match["other"]
        return f"{other[0].upper()}{other[1:]}, {match['word'].lower()} {match['one']}."
    match = re.fullmatch(
        r"(?P<one>[A-Z][^,;:()]{20,}) (?P<word>if|when|because|before|after|while|although|unless) "
        r"(?P<other>[^,;:()]{12,})\.",
        sentence,
    )
    if match:
        one = match["one"]
        first = one if re.match(r"\w*[A-Z]\w*[A-Z]|I\b", one) else one[0].lower() + one[1:]
        return f"{match['word'].capitalize()} {match['other']}, {first}."
    return None


def members_exchanged(sentence: str, random: Random) -> str | None:
    """X and Y → Y and X, between two words that nothing belongs to but themselves."""
    return somewhere(
        r"(?<=(?:of|or|he|th|nd|g,|s,) )(?P<one>[a-z]{4,}) (?P<word>and|or) (?P<other>[a-z]{4,})(?=[.,;)])",
        sentence,
        random,
        lambda m: f"{m['other']} {m['word']} {m['one']}",
    )


def remark_moved(sentence: str, random: Random) -> str | None:
    """For example, X. → X, for example."""
    match = re.fullmatch(
        r"(?P<word>However|For example|Additionally|For instance|Moreover|Therefore|Alternatively|Also|Ideally"
        r"|Typically|Generally|In general), (?P<rest>.+)\.",
        sentence,
    )
    if not match:
        return None
    return f"{match['rest'][0].upper()}{match['rest'][1:]}, {match['word'].lower()}."


REWORDINGS: dict[str, tuple[Rule, ...]] = {
    "contractions": (contracted,),
    "short forms": (spelled_out,),
    "numbers": (digits_as_words, words_as_digits, thousands),
    "dates": (date_in_another_form,),
    "units": (converted, money_in_words),
    "passive": (passive,),
    "order": (clauses_exchanged, members_exchanged, remark_moved),
}
