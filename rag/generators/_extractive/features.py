"""What each candidate sentence has to do with a question, as numbers that a person can read; pure.

Each feature is standardised by nothing but its own definition, so that a weight reads as "this much per unit". The
weights come from a listwise logistic fit (see the log for data, folds and what did not help). Words carry most of the
choice; vectors are computed only for the sentences that words alone place first.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from rag.generators._evidence import Candidate
from rag.generators._extractive.asked import Kind, has_form, kind_of, of_kind
from rag.language import Weights, Word, content_stems, is_content, rarity, words
from rag.types import Passage

FEATURES = (
    "coverage",  # weighted share of the question's content words in the sentence
    "context",  # … in the sentence, the one before it, the title and the headings
    "passage",  # … in the whole passage
    "reciprocal rank",  # of the passage
    "kind found",  # a date, number or name that is not in the question, where the question asks for one; 0 or 1
    "kind missing",  # it asks for one and there is none; 0 or 1
    "kind near",  # how near such a word stands to the question's words, 0…1
    "near",  # how near any content word does that is not in the question, 0…1
    "before",  # weighted share of the question's content words in the sentence before
    "referred",  # what "context" adds to "coverage", where the sentence begins with a word that refers back
    "alike",  # coverage where words of one stem but for the ending count, too, less the coverage
    "cosine",  # of question and sentence
)
LEXICAL = len(FEATURES) - 1  # the features known before anything is embedded
PASSAGE = FEATURES.index("passage")
# Fitted by listwise logistic regression; the order is FEATURES'.
LEXICAL_WEIGHTS = np.array([4.0, 3.0, 1.2, 3.9, 0.8, -0.8, 1.4, 1.4, -0.8, 0.8, 1.6])
WEIGHTS = np.array([2.8, 3.0, 1.6, 3.0, 0.8, -0.8, 1.2, 0.9, -0.7, 1.0, 1.3, 4.0])

EVENED = 0.6  # power of a word's rarity: among the few sentences of some passages rarity says less than in a collection
REACH = 6.0  # words over which the nearness to a question's word fades by e
_ALIKE = 4  # characters that two words of one stem have in common at least …
_ALIKE_SHARE = 0.6  # … and of the longer one

_REFERS = re.compile(
    r"^\W*(?:(?:and|but|then|also|in|by|at|for|from|after|before|during|because of|as a result of|under|with|of|however"
    r"|thus|therefore|und|aber|et|mais|y|pero),? )?"
    r"(?:he|she|it|they|his|her|its|their|this|that|these|those|such|the former|the latter"
    r"|er|sie|es|diese[srmn]?|sein|seine[srmn]?|ihre?[srmn]?|il|elle|ils|elles|cela|cette|ce|cet|ces|son|sa|ses|leurs?"
    r"|él|ella|ellos|este|esta|estos|estas|ese|esa|su|sus|egli|esso|essa|questo|questa|suo|sua|ele|ela|isso|isto|hij|zij"
    r"|deze|dit)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it is compared with sentences."""

    stems: frozenset[str]
    weights: dict[str, float]  # of each of its stems: its rarity among the candidates, evened
    kind: Kind
    names: frozenset[str]  # words that the candidates write with a capital inside a sentence, in small letters

    def share(self, held: Set[str]) -> float:
        """The weighted share of the question's content words that are held."""
        total = sum(self.weights.values())
        return sum(weight for one, weight in self.weights.items() if one in held) / total if total else 0.0


def understand(question: str, found: Sequence[Candidate], function_words: Set[str] = frozenset()) -> Query:
    """The question's content words, weighted by their rarity among the candidates.

    function_words: of the question's language, where that is not English; in small letters.
    """
    asked = [word for word in words(question) if word.text.lower() not in function_words]
    stems = [word.stem for word in asked if is_content(word)] or [word.stem for word in words(question)]
    weights: Weights = rarity([[word.stem for word in one.words] for one in found])
    names = frozenset(
        word.text.lower() for one in found for at, word in enumerate(one.words) if at and word.text[0].isupper()
    )
    return Query(
        frozenset(stems), {one: weights(one) ** EVENED for one in dict.fromkeys(stems)}, kind_of(question), names
    )


def refers(text: str) -> bool:
    """Whether a sentence begins with a word that stands for something said before it: he, this, such …"""
    return _REFERS.match(text) is not None


def lexical_features(query: Query, found: Sequence[Candidate], passages: Sequence[Passage]) -> NDArray[np.float64]:
    """What words say of each candidate.  → (n, LEXICAL), columns as in FEATURES"""
    held = [frozenset(word.stem for word in one.words) for one in found]
    titles = [frozenset(content_stems(" ".join((p.title, *p.headings)))) for p in passages]
    whole = [set(title) for title in titles]
    for one, stems in zip(found, held, strict=True):
        whole[one.passage] |= stems
    shares = [query.share(stems) for stems in whole]
    kin = _kin(query, frozenset().union(*held))
    rows = []
    for i, one in enumerate(found):
        before = held[i - 1] if i and found[i - 1].passage == one.passage else frozenset()
        coverage = query.share(held[i])
        context = query.share(held[i] | titles[one.passage] | before)
        fits = fitting(query, one)
        near = nearness(query, one.words)
        asked, there = has_form(query.kind), any(fits)
        rows.append(
            (
                coverage,
                context,
                shares[one.passage],
                1 / (1 + one.passage),
                float(asked and there),
                float(asked and not there),
                max((near[at] for at, fit in enumerate(fits) if fit), default=0.0) if asked else 0.0,
                max((near[at] for at in _new(query, one)), default=0.0),
                query.share(before),
                context - coverage if refers(one.text) else 0.0,
                query.share({stem for stem, forms in kin.items() if forms & held[i]}) - coverage,
            )
        )
    return np.array(rows, dtype=np.float64).reshape(len(rows), LEXICAL)


def all_features(lexical: NDArray[np.float64], cosines: NDArray[np.float32]) -> NDArray[np.float64]:
    """lexical (n, LEXICAL), cosines (n,) of question and sentence → (n, len(FEATURES))"""
    return np.column_stack([lexical, cosines])


def fitting(query: Query, one: Candidate) -> list[bool]:
    """For each word of a sentence, whether it is of the kind asked for and not in the question itself."""
    fits = of_kind(query.kind, one.words, query.names)
    return [fit and word.stem not in query.stems for fit, word in zip(fits, one.words, strict=True)]


def nearness(query: Query, inside: Sequence[Word]) -> NDArray[np.float64]:
    """How near each word stands to the question's content words: their weighted share, each fading by e over REACH
    words; 1 where all of them stand at once.  → (n,)"""
    places = np.arange(len(inside))
    best: dict[str, NDArray[np.float64]] = {}
    for at, word in enumerate(inside):
        if word.stem in query.stems:
            near = np.exp(-np.abs(places - at) / REACH)
            best[word.stem] = np.maximum(best[word.stem], near) if word.stem in best else near
    total = sum(query.weights.values())
    summed = np.zeros(len(inside))
    for stem, near in best.items():
        summed += query.weights[stem] * near
    return summed / total if total else summed


def probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax: how likely each candidate is the one that answers, if any does.  (n,) → (n,)"""
    if not scores.size:
        return scores
    raised = np.array([exp(score - float(scores.max())) for score in scores])
    return np.asarray(raised / raised.sum())


def _new(query: Query, one: Candidate) -> list[int]:
    return [at for at, word in enumerate(one.words) if word.stem not in query.stems and is_content(word)]


def _kin(query: Query, known: Set[str]) -> dict[str, frozenset[str]]:
    """For each of the question's stems those that begin as it does: other forms of the word, and slips of the pen."""
    return {
        stem: frozenset(other for other in known if other == stem or _begin_alike(stem, other)) for stem in query.stems
    }


def _begin_alike(one: str, other: str) -> bool:
    if len(one) < _ALIKE or len(other) < _ALIKE or one[:_ALIKE] != other[:_ALIKE]:
        return False
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return same >= _ALIKE_SHARE * max(len(one), len(other))
