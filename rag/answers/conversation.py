"""Follow-ups become questions that stand alone, by rules; pure.

A question leans on those before it when it points to something that it does not name ("when was she born?"), leaves
out what was said already ("and in Germany?"), or says nothing by itself ("why?"). It then is given the subject of the
question before. One that stands alone is left as it is: a wrong change costs more than a subject that is missing.
After the rules for contextual query rewriting in Voskarides et al. 2020, "Query Resolution for Conversational Search
with Limited Supervision" (arXiv:2005.11723), which adds words of the history and changes none of the question.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ingest.languages.detection import detect
from rag.answers.claims import MARKER, is_abstention
from rag.answers.referring import ENGLISH, WORDINGS, Wording
from rag.language import listed, stem
from rag.types import Message

MOST_WORDS = 40  # of a question that may lean on others: longer ones say what they mean
ENOUGH_SAID = 4  # different words with a meaning, by which a question is found whatever its pronouns mean
MOST_SUBJECT = 16  # words that are added
REMEMBERED = 6  # turns whose questions are resolved in a row
_WORD = re.compile(r"\w+(?:['’.\-]\w+)*[+#]*")
_APART = re.compile(  # what French writes together: a-t-elle, l'Allemagne
    r"-(?:t-)?(?=(?:il|elle|ils|elles)\b)|\b(?:[ldjmtsnc]|qu)['’](?=\w\w)", re.IGNORECASE
)
_SPELLED_OUT = re.compile(r"\n|```|:\s+(?:\S+\s+){2,}\S+")
_NAME = re.compile(r"\b[A-ZÀ-Þ][\w'’\-]*(?:\s+(?:(?:of|the|de|la|du|von|van|der)\s+)*[A-ZÀ-Þ][\w'’\-]*)*")


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and what was answered."""

    question: str
    answer: str = ""
    standalone: str = ""  # the question as it was searched for; "" where nobody knows
    titles: tuple[str, ...] = ()  # of the passages that the answer cites, in their order


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    end: int
    text: str
    low: str


Way = Literal["points", "fragment", "bare"]


@dataclass(frozen=True, slots=True)
class Leaning:
    """How a question leans on those before it."""

    way: Way
    spans: tuple[tuple[int, int], ...] = ()  # the words that point back
    rest: str = ""  # of a fragment: what it names


def standalone(question: str, turns: Sequence[Turn]) -> str:
    """The question with the subject of the one before where it leans on it; else the question itself.

    turns: oldest first. Where an earlier turn does not say how it was searched for, it is resolved first.
    """
    known = resolved(turns)
    if not known or not question.strip():
        return question
    wording = _wording(question, known[-1].question)
    leaning = leans(question, wording)
    return question if leaning is None else _completed(question, leaning, known[-1], wording)


def depends(question: str, turns: Sequence[Turn]) -> bool:
    """Whether a question leans on those before it."""
    return bool(turns) and leans(question, _wording(question, turns[-1].question)) is not None


def resolved(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The last turns, each with its question as it stands alone."""
    known: list[Turn] = []
    for turn in turns[-REMEMBERED:]:
        known.append(turn if turn.standalone else replace(turn, standalone=standalone(turn.question, known)))
    return tuple(known)


def turns_of(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """Messages of a user and an assistant as turns; what an assistant says before any question is left out."""
    turns: list[Turn] = []
    for message in messages:
        if message.role == "user":
            turns.append(Turn(message.content))
        elif message.role == "assistant" and turns:
            said = f"{turns[-1].answer}\n{message.content}".strip()
            turns[-1] = replace(turns[-1], answer=said)
    return tuple(turns)


def messages_of(turns: Sequence[Turn]) -> tuple[Message, ...]:
    """What was said, oldest first."""
    said: list[Message] = []
    for turn in turns:
        said.append(Message("user", turn.question))
        if turn.answer:
            said.append(Message("assistant", turn.answer))
    return tuple(said)


# ── does it lean? ───────────────────────────────────────────────────────────────────────────────────────────────────


def leans(question: str, wording: Wording = ENGLISH) -> Leaning | None:
    """How a question leans on others; None where it stands alone."""
    text = question.strip()
    tokens = _tokens(question)
    if not tokens or len(tokens) > MOST_WORDS or _SPELLED_OUT.search(text):
        return None
    spans = tuple(_pointing(question, tokens, wording))
    if spans and len({token.low for token in tokens if _meaningful(token, wording)}) < ENOUGH_SAID:
        return Leaning("points", spans)
    if (rest := _fragment(question, tokens, wording)) is not None:
        return Leaning("fragment", rest=rest)
    return Leaning("bare") if _says_nothing(tokens, wording) else None


def _tokens(text: str) -> list[_Token]:
    apart = _APART.sub(lambda found: " " * len(found[0]), text)
    return [
        _Token(found.start(), found.end(), found[0], found[0].lower().replace("’", "'"))
        for found in _WORD.finditer(apart)
    ]


def _wording(question: str, before: str) -> Wording:
    return WORDINGS[detect(question, among=WORDINGS) or detect(before, among=WORDINGS) or "en"]


def _meaningful(token: _Token, wording: Wording) -> bool:
    return token.low not in wording.function


def _pointing(question: str, tokens: Sequence[_Token], wording: Wording) -> Iterator[tuple[int, int]]:
    """The words that point to something outside of the question."""
    void = [found.span() for found in wording.empty.finditer(question)]
    for i, token in enumerate(tokens):
        if any(start <= token.start and token.end <= end for start, end in void):
            continue
        if token.low in wording.owners:
            near = any(_noun(tokens, j, wording) for j in range(i))
            if not near:
                yield token.start, token.end
        elif wording is ENGLISH and token.low in _ONE:
            if _one(tokens, i, wording):
                yield token.start, token.end
        elif token.low in wording.doubtful and not _pronoun(tokens, i, wording):
            continue
        elif token.low in wording.referring and not _bound(tokens, i, wording):
            yield token.start, token.end


def _one(tokens: Sequence[_Token], at: int, wording: Wording) -> bool:
    """Whether "one" stands for a thing named before: behind a verb, and before no noun of its own."""
    if at == 0 or (at + 1 < len(tokens) and (tokens[at + 1].low == "of" or _meaningful(tokens[at + 1], wording))):
        return False
    before = tokens[at - 1].low
    if before in wording.verbs - _TAKING or before in _ANYONE:
        return False
    return not any(_noun(tokens, j, wording) for j in range(at))


def _bound(tokens: Sequence[_Token], at: int, wording: Wording) -> bool:
    """Whether a pronoun can mean a noun of the question itself: one in a clause before its own. (Within one clause a
    pronoun and its noun do not mean the same: principle B of binding theory, Chomsky 1981.)"""
    seen = False
    for j in range(at):
        if _noun(tokens, j, wording):
            seen = True
        elif seen and (tokens[j].low in wording.joints | wording.asking or (tokens[j].low == "to" and j + 2 <= at)):
            return True
    return False


def _noun(tokens: Sequence[_Token], at: int, wording: Wording) -> bool:
    """Whether a word may be a noun: one with a meaning that no subject pronoun nor "to" makes a verb."""
    if not _meaningful(tokens[at], wording):
        return False
    return at == 0 or tokens[at - 1].low not in _BEFORE_VERBS


def _pronoun(tokens: Sequence[_Token], at: int, wording: Wording) -> bool:
    """Whether "that" is a pronoun, or points to the noun behind it, rather than opening a clause."""
    if wording is ENGLISH:
        if at + 1 == len(tokens):
            return True
        before = tokens[at - 1] if at else None
        return (
            before is None or before.low in (wording.verbs - {"means", "mean"}) | wording.prepositions | wording.asking
        )
    return at + 1 == len(tokens) or tokens[at + 1].low in wording.verbs | wording.prepositions


def _fragment(question: str, tokens: Sequence[_Token], wording: Wording) -> str | None:
    """What "and in Germany?" names; None where the question is a whole one."""
    about = wording.about.match(question.strip())
    if about:
        return question.strip()[about.end() :].rstrip(" ?!.") or None
    led = 0
    while led < len(tokens) and tokens[led].low in wording.leading:
        led += 1
    rest = tokens[led:]
    if not rest or len(rest) > 7 or any(token.low in wording.asking | wording.verbs for token in rest):
        return None
    prepositional = rest[0].low in wording.prepositions and question.rstrip().endswith("?")
    if led or prepositional:
        return question[rest[0].start : rest[-1].end]
    return None


def _says_nothing(tokens: Sequence[_Token], wording: Wording) -> bool:
    meaning = [token for token in tokens if _meaningful(token, wording)]
    if all(token.low in wording.general for token in meaning):
        return True
    # "which version?", "in what year?": a question word and a noun, and no verb.
    short = len(tokens) <= 4 and len(meaning) == 1 and any(token.low in wording.asking for token in tokens[:2])
    return short and not any(token.low in wording.verbs for token in tokens)


# ── what it is given ────────────────────────────────────────────────────────────────────────────────────────────────


def _completed(question: str, leaning: Leaning, before: Turn, wording: Wording) -> str:
    if leaning.way == "fragment":
        return _replaced(before.standalone, leaning.rest, wording)
    subject = _subject(before, wording, question, whole=leaning.way == "bare")
    said = {stem(token.text) for token in _tokens(question)}
    words = [word for word in subject.split() if stem(word) not in said][:MOST_SUBJECT]
    if not words:
        return question
    if leaning.way == "points":
        start, end = leaning.spans[0]
        if question[start:end].lower() in wording.pointers | wording.doubtful | wording.adverbs:
            return f"{question.strip()} ({' '.join(words)})"
        owner = "'s" if wording is ENGLISH and question[start:end].lower() in wording.owners else ""
        return f"{question[:start]}{' '.join(words)}{owner}{question[end:]}".strip()
    return f"{question.strip()} ({' '.join(words)})"


def _subject(before: Turn, wording: Wording, question: str, *, whole: bool) -> str:
    """What the turn before is about: the words of its question that have a meaning, but for what was done to whom it
    asks about, unless `whole`; of one that asks for a name, or before a pronoun for people, the names in its answer
    too."""
    tokens = _tokens(before.standalone)
    words = [token.text for token in tokens if _meaningful(token, wording) and token.low not in _ASKED_FOR]
    if not whole and len(words) > 1 and words[-1] == tokens[-1].text and _passive(tokens, wording):
        words = words[:-1]
    pointing = {token.low for token in _tokens(question)}
    who = any(token.low in {"who", "whom", "wer", "qui"} for token in tokens[:2])
    if who and len(words) > 1 and pointing & _NO_PERSON:
        words = words[1:]  # who wrote it: not the writing
    persons = bool(pointing & (wording.persons | {"his", "her", "hers"}))
    if persons or (who and not pointing & _NO_PERSON):
        named = _names(before)
        words = [*named, *words] if not persons or not named else named
    return " ".join(dict.fromkeys(words))


def _passive(tokens: Sequence[_Token], wording: Wording) -> bool:
    """Whether a question ends with what was done to its subject: "when was the bridge opened"."""
    last = tokens[-1].text
    done = last.islower() and (last.endswith("ed") or last in _PARTICIPLES)
    asks = tokens[0].low in wording.asking and any(token.low in _PASSIVE for token in tokens[1:4])
    return wording is ENGLISH and asks and done


_PASSIVE = frozenset({"was", "were", "is", "are"})
_PARTICIPLES = frozenset(
    listed("""
        born built begun bought brought broken chosen drawn driven found given grown held hidden kept known laid led
        lost made met paid put read said seen sent set shown shot sold spent spoken sung sunk taken taught thought told
        torn understood won worn written
    """)
)
_BEFORE_VERBS = frozenset(
    ["i", "you", "we", "one", "to", "it", "they", "he", "she", "not", "ich", "wir", "man", "je", "on"]
)
_ARTICLES = frozenset(
    ["the", "a", "an", "der", "die", "das", "den", "dem", "ein", "eine", "le", "la", "les", "un", "une", "l'"]
)
_NO_PERSON = frozenset({"it", "its", "es"})
_WITHIN_NAMES = frozenset({"of", "the", "de", "la", "du", "von", "van"})
_ONE = frozenset({"one", "ones"})
_ANYONE = frozenset({"no", "any", "some", "every", "than", "as", "at", "by"})
_TAKING = frozenset({"use", "using", "make", "making", "get", "need", "take"})  # verbs that have an object
_ASKED_FOR = frozenset({"many", "much", "long", "often"})


def _names(before: Turn) -> list[str]:
    """The words of the first name in an answer's first sentence that the question does not hold."""
    if not before.answer or is_abstention(before.answer):
        return []
    asked = {stem(token.text) for token in _tokens(before.standalone)}
    for found in _NAME.finditer(MARKER.sub("", before.answer)):
        words = [word for word in found[0].split() if word.lower() not in ENGLISH.function]
        if words and not any(stem(word) in asked for word in words) and len(words) >= 2:
            return words
    return []


def _replaced(before: str, rest: str, wording: Wording) -> str:
    """The question before with what a fragment names in the place of its like: the same preposition, the same last
    noun, or a name for a name; else with both."""
    tokens, new = _tokens(before), _tokens(rest)
    if not new:
        return before
    span = _like(tokens, new, wording)
    if span is not None:
        start, end = span
        if new[0].low in _ARTICLES:  # the one before goes
            start = max((t.start for t in tokens if t.low in _ARTICLES and t.end + 1 == start), default=start)
        return f"{before[:start]}{rest}{before[end:]}"
    held = {token.low for token in new}
    words = [token.text for token in tokens if _meaningful(token, wording) and token.low not in held]
    return f"{rest} ({' '.join(words[:MOST_SUBJECT])})" if words else rest


def _like(tokens: Sequence[_Token], new: Sequence[_Token], wording: Wording) -> tuple[int, int] | None:
    """Where the question before holds what a fragment takes the place of."""
    if new[0].low in wording.prepositions:
        for i in reversed(range(len(tokens) - 1)):
            if tokens[i].low == new[0].low and _meaningful(tokens[i + 1], wording):
                return tokens[i].start, tokens[_run(tokens, i + 1, wording)].end
    last = stem(new[-1].text)
    meaning = [i for i, token in enumerate(tokens) if _meaningful(token, wording)]
    if len(new) > 1:
        for i in meaning:
            if stem(tokens[i].text) == last:
                first = i
                while first - 1 in meaning and tokens[first].start - tokens[first - 1].end == 1:
                    first -= 1
                return tokens[first].start, tokens[i].end
    if new[0].low in _ARTICLES and not any(token.text[:1].isupper() for token in new[1:]):
        for i in reversed(meaning):
            if i and tokens[i - 1].low in _ARTICLES:
                named = sum(_meaningful(token, wording) for token in new)
                return tokens[i].start, tokens[min(_run(tokens, i, wording), i + max(1, named) - 1)].end
    if new[-1].text[:1].isupper() or new[-1].text[:1].isdigit():
        digits = new[-1].text[:1].isdigit()
        alike = [
            i for i in meaning if (tokens[i].text[:1].isdigit() if digits else i > 0 and tokens[i].text[:1].isupper())
        ]
        if alike:
            first = i = alike[-1]
            while first - 1 in alike or (first - 2 in alike and tokens[first - 1].low in _WITHIN_NAMES):
                first -= 1 if first - 1 in alike else 2
            if new[0].low in wording.prepositions:
                while first and tokens[first - 1].low in wording.prepositions | _ARTICLES:
                    first -= 1
            return tokens[first].start, tokens[i].end
    return None


def _run(tokens: Sequence[_Token], at: int, wording: Wording) -> int:
    """The last of the meaningful words that begin here, next to each other."""
    while at + 1 < len(tokens) and _meaningful(tokens[at + 1], wording) and tokens[at + 1].start - tokens[at].end == 1:
        at += 1
    return at
