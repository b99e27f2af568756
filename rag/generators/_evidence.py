"""Which sentences of some passages answer a question: features of a sentence, their weights, and what to keep of it.

The weights come from a listwise logistic fit (benchmarks of the log name the data and the split); each feature is
standardised by nothing but its own definition, so that a weight reads as "this much per unit". Words carry most of
the choice; vectors are computed only for the sentences that words alone place first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ingest.languages.sentences import sentences
from rag.language import NUMBER_WORDS, Weights, Word, content_stems, is_content, rarity, words
from rag.types import Passage

Kind = Literal["when", "number", "who", "where", "why", "other"]

_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("when", re.compile(r"\b(when|(what|which|in what) (year|date|century|decade|day|month|time|era|season))\b")),
    (
        "number",
        re.compile(
            r"\bhow (many|much|long|far|old|large|big|tall|high|deep|often|fast|heavy|wide)\b|\b(what|which) "
            r"(\w+ )?(percent|percentage|number|amount|proportion|fraction|share|population|size|score|rate)\b"
        ),
    ),
    ("who", re.compile(r"\b(who|whom|whose)\b")),
    (
        "where",
        re.compile(r"\bwhere\b|\b(what|which) (city|country|state|place|region|location|town|county|area|river)\b"),
    ),
    ("why", re.compile(r"\b(why|what (caused|causes|reason))\b")),
)
_OPEN = re.compile(r"\b(what|which|who|whom|whose|when|where|why|how)\b", re.IGNORECASE)
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DATE = re.compile(rf"\d{{3,4}}s?\b|{_MONTH}\b|\d+(?:st|nd|rd|th)|centur")


def kind_of(question: str) -> Kind:
    """What a question asks for, by its interrogative; "other" when it does not say."""
    lowered = question.lower()
    return next((kind for kind, pattern in _KINDS if pattern.search(lowered)), "other")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of a passage that may answer: passages[passage].text[start:end]."""

    passage: int  # 0-based, in prompt order
    start: int
    end: int
    text: str
    words: tuple[Word, ...]  # offsets into `text`


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it is compared with sentences."""

    stems: frozenset[str]
    weights: dict[str, float]  # the rarity of each of its stems among the candidates
    kind: Kind

    def share(self, held: frozenset[str] | set[str]) -> float:
        """The weighted share of the question's content words that are held."""
        total = sum(self.weights.values())
        return sum(weight for one, weight in self.weights.items() if one in held) / total if total else 0.0


FEATURES = (
    "coverage",  # weighted share of the question's content words in the sentence
    "context",  # … in the sentence, the one before it, the title and the headings
    "passage",  # … in the whole passage
    "reciprocal rank",  # of the passage
    "kind found",  # a date, number or name that is not in the question, where the question asks for one; 0 or 1
    "kind missing",  # it asks for one and there is none; 0 or 1
    "cosine",  # of question and sentence
)
LEXICAL = len(FEATURES) - 1  # the features known before anything is embedded
PASSAGE = FEATURES.index("passage")


def candidates(passages: Sequence[Passage]) -> list[Candidate]:
    """Every sentence of the passages that holds a word, in order."""
    found = []
    for number, passage in enumerate(passages):
        for start, end in sentences(passage.text):
            text = passage.text[start:end]
            inside = tuple(words(text))
            if inside:
                found.append(Candidate(number, start, end, text, inside))
    return found


def quotable(question: str, found: Sequence[Candidate]) -> list[int]:
    """The places of the sentences that may be quoted: those that do more than repeat the question, and of several that
    say the same word for word the first, so that no answer says a thing twice."""
    first: dict[tuple[str, ...], int] = {}
    for i, one in enumerate(found):
        if not repeats(question, one):
            first.setdefault(tuple(word.text.lower() for word in one.words), i)
    return list(first.values())


def understand(question: str, found: Sequence[Candidate]) -> Query:
    """The question's content words, weighted by their rarity among the candidates."""
    stems = content_stems(question) or [word.stem for word in words(question)]
    weights: Weights = rarity([[word.stem for word in one.words] for one in found])
    return Query(frozenset(stems), {one: weights(one) for one in dict.fromkeys(stems)}, kind_of(question))


def repeats(question: str, one: Candidate) -> bool:
    """Whether a sentence only says the question again: it matches best of all and answers nothing.

    So does one that holds the question word for word, and, unless yes or no would do, one without a content word of
    its own.
    """
    asked = [word.text.lower() for word in words(question)]
    held = [word.text.lower() for word in one.words]
    if any(held[i : i + len(asked)] == asked for i in range(len(held) - len(asked) + 1)):
        return True
    if not _OPEN.search(question):
        return False
    known = {word.stem for word in words(question)}
    return not any(is_content(word) and word.stem not in known for word in one.words)


def lexical_features(query: Query, found: Sequence[Candidate], passages: Sequence[Passage]) -> NDArray[np.float64]:
    """What words say of each candidate.  → (n, LEXICAL), columns as in FEATURES"""
    held = [frozenset(word.stem for word in one.words) for one in found]
    titles = [frozenset(content_stems(" ".join((p.title, *p.headings)))) for p in passages]
    whole = [set(title) for title in titles]
    for one, stems in zip(found, held, strict=True):
        whole[one.passage] |= stems
    shares = [query.share(stems) for stems in whole]
    rows = []
    for i, one in enumerate(found):
        opens = i == 0 or found[i - 1].passage != one.passage
        near = held[i] | titles[one.passage] | (frozenset() if opens else held[i - 1])
        new = {word.stem for word in one.words if is_content(word)} - query.stems
        asked = query.kind in ("when", "number", "who", "where")
        there = asked and any(_is_kind(query.kind, word, j) for j, word in enumerate(one.words) if word.stem in new)
        rows.append(
            (
                query.share(held[i]),
                query.share(near),
                shares[one.passage],
                1 / (1 + one.passage),
                float(there),
                float(asked and not there),
            )
        )
    return np.array(rows, dtype=np.float64).reshape(len(rows), LEXICAL)


def all_features(lexical: NDArray[np.float64], cosines: NDArray[np.float32]) -> NDArray[np.float64]:
    """lexical (n, LEXICAL), cosines (n,) of question and sentence → (n, len(FEATURES))"""
    return np.column_stack([lexical, cosines])


def _is_kind(kind: Kind, word: Word, at: int) -> bool:
    if kind == "when":
        return _DATE.match(word.text) is not None
    if kind == "number":
        return any(c.isdigit() for c in word.text) or word.text.lower() in NUMBER_WORDS
    return at > 0 and word.text[0].isupper() and is_content(word)  # who, where: a name


REACH = 5.0  # words over which the nearness to a question's word fades by e
QUIET = 0.3  # what a word weighs far from every word of the question


def token_masses(query: Query, one: Candidate) -> NDArray[np.float64]:
    """How likely each word of a sentence belongs to the answer, up to a factor.  → (len(one.words),)

    Answers stand near the question's words, are not these words themselves, and are of the kind asked for.
    """
    n = len(one.words)
    masses = np.full(n, QUIET)
    places = np.arange(n)
    for at, word in enumerate(one.words):
        if word.stem in query.stems:
            masses += query.weights[word.stem] * np.exp(-np.abs(places - at) / REACH)
    for at, word in enumerate(one.words):
        if word.stem in query.stems:
            masses[at] *= 0.15
        elif not is_content(word):
            masses[at] *= 0.3
        elif query.kind != "other" and query.kind != "why" and _is_kind(query.kind, word, at):
            masses[at] *= 2.0
    return masses


def kept_shares(masses: NDArray[np.float64]) -> list[tuple[float, int]]:
    """For each window length 0…n the largest share of the mass a window of so many words keeps, and where it begins."""
    sums = np.concatenate([[0.0], np.cumsum(masses)])
    total = float(sums[-1]) or 1.0
    found = [(0.0, 0)]
    for length in range(1, len(masses) + 1):
        inside = sums[length:] - sums[:-length]
        begin = int(np.argmax(inside))
        found.append((float(inside[begin]) / total, begin))
    return found


def probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax: how likely each candidate is the one that answers, if any does.  (n,) → (n,)"""
    if not scores.size:
        return scores
    raised = np.array([exp(score - float(scores.max())) for score in scores])
    return np.asarray(raised / raised.sum())
