"""What a question asks for, and which words of a sentence are of that kind; pure.

The kind is told by question words of seven languages; what it is good for is told by form alone: a year or a month's
name is a time, a digit or a word of number a number, a capital letter inside a sentence a name. German writes every
noun with a capital, so that there a name is only a hint.
"""

import re
from collections.abc import Sequence
from typing import Literal

from rag.language import NUMBER_WORDS, Word, is_content

Kind = Literal["when", "duration", "number", "who", "where", "why", "list", "yes or no", "other"]


_NO_WORD_BEFORE = r"(?<![^\W\d_])"
_IS = "(?:(?:what|which)(?:'s)?(?: is| was| are| were)? (?:the )?)"
_TIME = "(?:years?|dates?|century|decade|day|month|time|era|season|period)"
_KINDS: tuple[tuple[Kind, str], ...] = (
    (
        "when",
        rf"when|{_IS}{_TIME}|at what time"
        r"|wann|(?:in |seit )?(?:welche[mnrs]?|wieviel\w*) (?:jahr\w*|datum|tag|monat|jahrhundert|zeit\w*)"
        r"|an welchem tag"
        r"|quand|(?:en |à |depuis )?quel(?:le)?s? (?:année|date|jour|mois|siècle|époque)"
        r"|cuándo|cuando (?=se |fue |nació |murió )|(?:en |a )?qué (?:año|fecha|día|mes|siglo|época)"
        r"|quando|(?:in |em )?(?:che|quale|que|qual) (?:anno|data|giorno|secolo|ano|dia|século)"
        r"|wanneer|in welk jaar",
    ),
    (
        "duration",
        r"how (?:long|old)|for how (?:long|many \w+)|how many (?:years|months|weeks|days|hours|minutes|seconds)"
        r"|wie (?:lange|alt)|(?:pendant |depuis )?combien de (?:temps|jours|mois|années|ans|heures|minutes)"
        r"|(?:durante )?cuánto tiempo|cuántos (?:años|días|meses|minutos)|cuántas horas"
        r"|(?:per )?quanto tempo|quanti (?:anni|giorni|mesi)|por quanto tempo|hoe (?:lang|oud)",
    ),
    (
        "number",
        r"how (?:many|much|far|large|big|tall|high|deep|often|fast|heavy|wide|hot|cold|strong|close|thick)"
        rf"|{_IS}(?:\w+ )?(?:percent|percentage|number|amount|proportion|fraction|share|population|size|score"
        r"|rate|price|cost|length|height|width|weight|distance|temperature|speed|age|volume|depth)"
        r"|wie ?viele?|wie (?:hoch|weit|groß|tief|schwer|schnell|breit|oft)|combien"
        r"|à quelle (?:hauteur|distance|vitesse)"
        r"|cuánt[oa]s?|quant[oaie]s?|hoe(?:veel| (?:groot|hoog|ver|vaak))",
    ),
    (
        "who",
        r"who|whom|whose|(?:what|which) (?:\w+ )?(?:person|man|woman|actor|actress|singer|author|king|queen|president)"
        r"|what is the name of the (?:person|man|woman)|wer|wem|wen|wessen|qui (?!est-ce que)|quién(?:es)?|quem"
        r"|chi (?!è che)|wie (?=is |zijn |waren |heeft )",
    ),
    (
        "where",
        r"where|(?:(?:in|on|from|to|at|near) )?(?:what|which) (?:city|country|state|place|region|location|town|county"
        r"|area|river|continent|village|province|island|nation|building|street)|wo|woher|wohin|worin"
        r"|in welche[mnr] (?:stadt|land|ort|region|staat)|où"
        r"|(?:dans |en )?quel(?:le)? (?:ville|pays|région|lieu|endroit)"
        r"|(?:de |a )?dónde|adónde|(?:en )?qué (?:ciudad|país|lugar|región)|dove"
        r"|(?:in )?quale (?:città|paese)|onde|waar",
    ),
    (
        "why",
        r"why|(?:for )?(?:what|which) (?:was |is |were |are )?(?:the |a )?(?:main |primary )?(?:caus\w+|reasons?)"
        r"|how come"
        r"|warum|wieso|weshalb|wozu|pourquoi|por qué|perché|por que|porquê|waarom",
    ),
    (
        "list",
        r"(?:what|which) (?:are|were) (?:some |all |the )?|(?:what|which) (?:two|three|four|five|six|seven|kinds|types"
        r"|sorts"
        r"|steps|ways|things|countries|factors|methods|features|parts|groups|elements|examples)"
        r"|(?:list|name) (?:all |the |some |two |three )|welche (?=\w+en |\w+e )|was sind|quel(?:le)?s sont|cuáles son"
        r"|quali sono|quais são|welke zijn",
    ),
)  # fmt: skip
_PATTERNS = tuple((kind, re.compile(rf"{_NO_WORD_BEFORE}(?:{pattern})\b")) for kind, pattern in _KINDS)
_OPEN = re.compile(
    r"\b(?:what|which|who|whom|whose|when|where|why|how|was|wer|wem|wen|wo|wann|warum|wie|welche[mnrs]?|quoi|que|qui|quand"
    r"|où|pourquoi|comment|combien|quel(?:le)?s?|qué|quién|cuándo|dónde|cómo|cuál(?:es)?|cuánt[oa]s?|cosa|chi|quando|dove"
    r"|perché|come|quale|onde|quem|qual|quais|quali|quant[oaie]s?|wat|waar|hoe|wanneer|waarom|welke?)\b",
    re.IGNORECASE,
)
_CLOSED = re.compile(
    r"^\W*(?:(?:and|but|so) )?(?:is|are|was|were|do|does|did|can|could|has|have|had|will|would|should|may|might|must|am"
    r"|isn't|aren't|wasn't|doesn't|don't|didn't|can't|ist|sind|war|waren|hat|haben|hatte|kann|können|darf|muss|soll"
    r"|gibt"
    r"|wird|werden|wurden?|est-ce que?|est-il|est-elle|sont-ils|y a-t-il|a-t-(?:il|elle|on)|peut-on|existe|está"
    r"|están|hay"
    r"|puede|pueden|è|sono|hanno|può|são|tem|pode|kunnen|heeft|mag)\b",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(?<=\w )(?:Who|What|When|Where|Why|How|Which)\b")  # "Doctor Who" asks for nobody


def kind_of(question: str) -> Kind:
    """What a question asks for, by its interrogative; "other" when it does not say."""
    plain = question.strip()
    if not plain.isupper() and not plain.istitle():
        plain = _NAMED.sub("_", plain)
    plain = plain.lower()
    if _CLOSED.match(plain):
        return "yes or no"
    found = [(at.start(), i, kind) for i, (kind, pattern) in enumerate(_PATTERNS) if (at := pattern.search(plain))]
    return min(found)[2] if found else "other"


def is_open(question: str) -> bool:
    """Whether a question wants more than yes or no."""
    return kind_of(question) != "yes or no" and _OPEN.search(question) is not None


# ── the words of a kind ─────────────────────────────────────────────────────────────────────────────────────────────


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MONTHS = _words(
    """january february april june july august september october november december januar jänner februar märz juni juli
    oktober dezember janvier février avril juin juillet août septembre octobre novembre décembre enero febrero marzo
    abril mayo junio julio agosto septiembre setiembre octubre noviembre diciembre gennaio febbraio aprile maggio giugno
    luglio settembre ottobre dicembre janeiro fevereiro março maio junho julho setembro outubro novembro dezembro
    januari februari maart mei augustus"""
)
_CAPITAL_MONTHS = frozenset({"May", "March", "Mai"})  # in small letters they are other words, too
_DATE = re.compile(r"\d{3,4}s?$|\d+(?:st|nd|rd|th)$|centur|jahrhundert|siècle|siglo|secolo|século")
_UNIT_OF_TIME = re.compile(
    r"(?:second|minute|hour|day|week|month|year|decade|centur|jahr|monat|woche|tag|stunde|sekunde|minute|seconde|heure"
    r"|jour"
    r"|semaine|mois|année|an$|ans$|siècle|segundo|minuto|hora|día|semana|mes$|meses|año|siglo|secondo|ora$|ore$|giorn"
    r"|settiman|mes[ei]|ann[oi]$|dia$|dias$|ano$|anos$|jaar|jaren|maand|dagen|uur)\w{0,4}",
    re.IGNORECASE,
)
_NUMBER_WORDS = NUMBER_WORDS | _words(
    """zwei drei vier fünf sechs sieben acht neun zehn elf zwölf hundert tausend million millionen milliarden hälfte
    deux trois quatre cinq sept huit neuf dix onze douze cent mille millions milliards moitié
    dos tres cuatro cinco seis siete ocho nueve diez once doce cien mil millones mitad
    due tre quattro cinque sette otto nove dieci dodici cento mila milioni metà
    dois duas três quatro sete oito dez milhões twee drie vijf zes zeven acht negen tien"""
)
_CAUSES = _words(
    """because due therefore thus hence cause caused causes causing reason reasons owing weil denn deshalb daher wegen
    aufgrund parce car afin puisque porque debido perché poiché omdat doordat vanwege"""
)


def of_kind(kind: Kind, inside: Sequence[Word], names: frozenset[str]) -> list[bool]:
    """For each word of a sentence, whether it is of the kind asked for; none where the kind has no form of its own.

    names: words known to be written with a capital inside a sentence, in small letters.
    """
    match kind:
        case "when":
            return [_is_time(word.text) for word in inside]
        case "number":
            return [_is_number(word.text) for word in inside]
        case "duration":
            return [
                (_is_number(word.text) and any(_UNIT_OF_TIME.fullmatch(near.text) for near in inside[at + 1 : at + 4]))
                or (_UNIT_OF_TIME.fullmatch(word.text) is not None and at > 0 and _is_number(inside[at - 1].text))
                for at, word in enumerate(inside)
            ]
        case "who" | "where":
            return [
                word.text[0].isupper() and is_content(word) and (at > 0 or word.text.lower() in names)
                for at, word in enumerate(inside)
            ]
        case "why":
            return [word.text.lower() in _CAUSES for word in inside]
        case _:
            return [False] * len(inside)


def has_form(kind: Kind) -> bool:
    """Whether words of this kind can be told by their form."""
    return kind in ("when", "number", "duration", "who", "where", "why")


def _is_number(text: str) -> bool:
    return any(c.isdigit() for c in text) or text.lower() in _NUMBER_WORDS


def _is_time(text: str) -> bool:
    lowered = text.lower()
    return _DATE.match(lowered) is not None or lowered in _MONTHS or text in _CAPITAL_MONTHS
