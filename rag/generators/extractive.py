"""The generator that needs no download: quotes the sentences that answer best, word for word, with their markers.

Words choose a few sentences, the embedding model and the words together rank them, and at most two are quoted in at
most sixty words, markers counted; one alone where the others hardly answer. Where two sentences are longer than that,
each is cut to the window of consecutive words that most likely holds the answer, so that what is quoted is always a
piece of the passage. A question for a list is answered with the items of one, where the passages hold it. When even the
best sentence is no evidence the answer is the abstention.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.languages.detection import detect
from ingest.languages.function_words import FUNCTION_WORDS
from rag.answers.claims import ABSTENTION
from rag.errors import WrongSetting
from rag.generators._evidence import Candidate, candidates, near_equal, quotable
from rag.generators._extractive.features import (
    LEXICAL,
    LEXICAL_WEIGHTS,
    PASSAGE,
    WEIGHTS,
    Query,
    all_features,
    lexical_features,
    probabilities,
    refers,
    understand,
)
from rag.generators._extractive.lists import is_item, listed
from rag.generators._extractive.windows import Windows, splits
from rag.generators._extractive.writing import Quote, counted, in_order, introduced, pieces
from rag.language import beginnings
from rag.types import (
    CancelToken,
    Embedder,
    Event,
    Finish,
    GenerationSettings,
    Generator,
    Message,
    Models,
    Passage,
    Prompt,
    Text,
    Usage,
    Vectors,
)

# Whether the passages answer at all: logistic regression on the best cosine and the best passage's coverage, fitted on
# questions half of which have no answer; the bound is where few that have one are refused.
COSINE_WEIGHT, COVERAGE_WEIGHT, BIAS = 9.5, 2.0, -6.6
ENOUGH = 0.08
EMBEDDED = 8  # sentences that are embedded for one answer
CONSIDERED = 6  # of these, those that may be quoted
BESIDE = 0.02  # of how likely the best sentence holds the answer, what another must have to be quoted beside it
EXPLAINED = 0.1  # what it is worth, of a sentence that begins with "he", "this" …, to quote the one before it, too
CONTEXT_TOKENS = 1_000_000  # it reads words, not tokens: everything fits


@dataclass(frozen=True, slots=True)
class Extractive:
    """Quotes at most `sentences` sentences, or a list, in at most `words` words, markers counted."""

    embedder: Embedder
    sentences: int = 2
    words: int = 60

    @property
    def name(self) -> str:
        return "extractive"

    @property
    def revision(self) -> str:
        return self.embedder.fingerprint

    @property
    def context_tokens(self) -> int:
        return CONTEXT_TOKENS

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Words, since it has no tokens."""
        return sum(len(message.content.split()) for message in messages)

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        """The quotes, one Text each; stop strings and max_tokens (as words) end the answer, a seed changes nothing."""
        quotes = self.answer(prompt.question, prompt.passages)
        said = pieces(quotes) if quotes else [ABSTENTION]
        yield from _spoken(said, settings, cancel, "stop" if quotes else "abstained")

    def answer(self, question: str, passages: Sequence[Passage]) -> list[Quote]:
        """The quotes that answer best, in reading order where they stand in one passage; none when the evidence is too
        weak."""
        found = candidates(passages)
        able = quotable(question, found)
        if not able:
            return []
        query = understand(question, found, _function_words(question, passages))
        lexical = lexical_features(query, found, passages)
        best = [able[i] for i in _best(lexical[able] @ LEXICAL_WEIGHTS, EMBEDDED)]
        features = all_features(lexical[best], self._cosines(question, [found[i].text for i in best]))
        if evidence(features) < ENOUGH:
            return []
        scores = features @ WEIGHTS
        likeliest = best[_best(scores, 1)[0]]
        wanted = query.kind == "list" or not is_item(found[likeliest])  # what opens a list says nothing without it
        if wanted and (quotes := listed(found, likeliest, self.words)):
            return quotes
        quotes = self._packed(query, [found[i] for i in best], scores)
        # A sentence taken out of its brackets can read as two; who counts sentences in the answer must not find more.
        while len(quotes) > 1 and counted(quotes) > self.sentences:
            quotes.pop()
        return self._explained(question, in_order(quotes), found, passages)

    def _cosines(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Of the question and each text, as far as the model reads them."""
        asked: Vectors = self.embedder.embed_queries(self._short([question]))
        told: Vectors = self.embedder.embed_passages(self._short(texts))
        return np.asarray(told @ asked[0])

    def _short(self, texts: Sequence[str]) -> list[str]:
        return beginnings(texts, self.embedder.count_tokens, self.embedder.max_tokens)

    def _packed(self, query: Query, found: Sequence[Candidate], scores: NDArray[np.float64]) -> list[Quote]:
        """The quotes within the budget that most likely hold the answer, best first; what nearly says the same is
        quoted once."""
        likely = probabilities(scores)
        order = _best(scores, CONSIDERED)
        windows = {i: Windows.of(query, found[i]) for i in order}
        first, alone = order[0], min(windows[order[0]].length, self.words - 1)
        best, chosen = float(likely[first] * windows[first].kept[alone][0]), [(first, alone)]
        if self.sentences > 1:
            budget = self.words - 2  # two markers are two words
            for one, other in combinations(order, 2):
                if near_equal(found[one], found[other]):
                    continue
                most, least = float(max(likely[one], likely[other])), float(min(likely[one], likely[other]))
                explains = _explains(found[one], found[other])
                if not explains and least < BESIDE * most:
                    continue
                extra = EXPLAINED * most * explains
                for short, long in splits(windows[one].length, windows[other].length, budget):
                    value = likely[one] * windows[one].kept[short][0] + likely[other] * windows[other].kept[long][0]
                    if value + extra > best + 1e-9:
                        best, chosen = float(value) + extra, [(one, short), (other, long)]
        return [_quote(found[i], windows[i], length) for i, length in chosen]

    def _explained(
        self, question: str, quotes: Sequence[Quote], found: Sequence[Candidate], passages: Sequence[Passage]
    ) -> list[Quote]:
        """The quotes, under a title or heading where it says whom they speak of and there is room."""
        places = {(one.passage, one.start): i for i, one in enumerate(found)}
        before: list[str | None] = []
        for quote in quotes:
            i = places.get((quote.passage, quote.start))  # None: its beginning was cut off
            if i is None:
                before.append(None)
                continue
            one = found[i - 1] if i and found[i - 1].passage == quote.passage else None
            quoted = one and any(q.passage == one.passage and one.start <= q.start < one.end for q in quotes)
            before.append(None if quoted else one.text if one else "")
        room = self.words - sum(len(quote.text.split()) + 1 for quote in quotes)
        return introduced(quotes, passages, before, question, room)


def evidence(features: NDArray[np.float64]) -> float:
    """How likely the passages answer the question, from the features of their best sentences."""
    cosine, coverage = float(features[:, LEXICAL].max()), float(features[:, PASSAGE].max())
    return 1 / (1 + exp(-(COSINE_WEIGHT * cosine + COVERAGE_WEIGHT * coverage + BIAS)))


def _function_words(question: str, passages: Sequence[Passage]) -> frozenset[str]:
    """Those of the question's language, else of the first passage's; none for English, whose words are known."""
    language = detect(question) or detect(passages[0].text)
    return frozenset() if language == "en" else FUNCTION_WORDS.get(language, frozenset())


def _explains(one: Candidate, other: Candidate) -> bool:
    """Whether one of two sentences stands right before the other, which begins with a word that refers to it."""
    first, second = (one, other) if one.start < other.start else (other, one)
    return first.passage == second.passage and second.place == first.place + 1 and refers(second.text)


def _best(scores: NDArray[np.float64], n: int) -> list[int]:
    """The places of the n highest scores, best first; among equals the earlier."""
    return [int(i) for i in np.argsort(-scores, kind="stable")[:n]]


def _quote(one: Candidate, windows: Windows, length: int) -> Quote:
    first = windows.kept[length][1]
    start, end = windows.spans[first][0], windows.spans[first + length - 1][1]
    text = one.text[start:end].rstrip(",;:–— ") or one.text[start:end]  # what a cut leaves hanging
    return Quote(one.passage, one.start + start, one.start + start + len(text), text)


def _spoken(said: Sequence[str], settings: GenerationSettings, cancel: CancelToken, reason: str) -> Iterator[Event]:
    """The pieces as events, cut at the first stop string and after max_tokens words."""
    whole = "".join(said)
    cut = min((at for stop in settings.stop if stop and (at := whole.find(stop)) >= 0), default=len(whole))
    ends = [match.end() for match in re.finditer(r"\S+", whole)]
    finish = Finish("abstained" if reason == "abstained" else "stop", at_stop=cut < len(whole))
    if len(ends) > settings.max_tokens and ends[settings.max_tokens - 1] < cut:
        cut, finish = ends[settings.max_tokens - 1], Finish("length")
    at = 0
    for piece in said:
        if cancel.is_set():
            finish = Finish("cancelled")
            break
        if text := whole[at : min(cut, at + len(piece))]:
            yield Text(text)
        at += len(piece)
    yield Usage(None, None)
    yield finish


def load(rest: str, models: Models, *, key_file: Path | None = None, timeout_s: float = 60.0) -> Generator:
    """The extractive generator over this embedder; it takes no settings of its own."""
    if rest:
        raise WrongSetting(f"the extractive generator takes nothing after its name, not {rest!r}")
    return Extractive(models.embedder)
