"""The generator that needs no download: quotes the sentences that answer best, word for word, with their markers.

Words choose a dozen sentences, the embedding model and the words together rank them, and at most two are quoted in at
most sixty words, markers counted. Where two sentences are longer than that, each is cut to the window of consecutive
words that most likely holds the answer, so that what is quoted is always a piece of the passage. When even the best
sentence is no evidence the answer is the abstention.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.languages.sentences import sentences
from rag.errors import WrongSetting
from rag.generators._evidence import (
    LEXICAL,
    PASSAGE,
    Candidate,
    Query,
    all_features,
    candidates,
    kept_shares,
    lexical_features,
    probabilities,
    quotable,
    token_masses,
    understand,
)
from rag.language import beginnings
from rag.support import ABSTENTION
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

# Fitted by listwise logistic regression, see the log; the order is FEATURES'.
LEXICAL_WEIGHTS = np.array([5.5, 2.8, 0.8, 4.4, 0.8, -1.0])
WEIGHTS = np.array([3.5, 3.0, 1.0, 3.0, 0.9, -1.2, 5.5])
# Whether the passages answer at all: logistic regression on the best cosine and the best passage's coverage, fitted on
# questions half of which have no answer; the bound is where few that have one are refused.
COSINE_WEIGHT, COVERAGE_WEIGHT, BIAS = 9.5, 2.0, -6.6
ENOUGH = 0.08
EMBEDDED = 8  # sentences that are embedded for one answer
CONSIDERED = 6  # of these, those that may be quoted
SHORTEST_WINDOW = 8  # words to which a sentence may be cut
CONTEXT_TOKENS = 1_000_000  # it reads words, not tokens: everything fits
# A full stop with what closes after it: quotation marks, brackets, notes like [citation needed].
_STOP = re.compile(r"[.!?…]+[\"'”’»)]*(?:\[[^\]]{1,40}\])*$")


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece of a passage: passages[passage].text[start:end] == text."""

    passage: int  # 0-based
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Extractive:
    """Quotes at most `sentences` sentences in at most `words` words, markers counted."""

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
        pieces = _pieces(quotes) if quotes else [ABSTENTION]
        yield from _spoken(pieces, settings, cancel, "stop" if quotes else "abstained")

    def answer(self, question: str, passages: Sequence[Passage]) -> list[Quote]:
        """The quotes that answer best, best first; none when the evidence is too weak."""
        found = candidates(passages)
        if not found or not question.strip():
            return []
        query = understand(question, found)
        lexical = lexical_features(query, found, passages)
        allowed = quotable(question, found)
        if not allowed:
            return []
        found, lexical = [found[i] for i in allowed], lexical[allowed]
        first = _best(lexical @ LEXICAL_WEIGHTS, EMBEDDED)
        found, lexical = [found[i] for i in first], lexical[first]
        texts = beginnings([one.text for one in found], self.embedder.count_tokens, self.embedder.max_tokens)
        vectors = self.embedder.embed_passages(texts)
        asked: Vectors = self.embedder.embed_queries([question])
        features = all_features(lexical, vectors @ asked[0])
        if evidence(features) < ENOUGH:
            return []
        scores = features @ WEIGHTS
        quotes = self._packed(query, found, passages, scores)
        # A sentence taken out of its brackets can read as two; who counts sentences in the answer must not find more.
        while len(quotes) > 1 and len(sentences("".join(_pieces(quotes)))) > self.sentences:
            quotes.pop()
        return quotes

    def _packed(
        self, query: Query, found: Sequence[Candidate], passages: Sequence[Passage], scores: NDArray[np.float64]
    ) -> list[Quote]:
        """The quotes within the budget that most likely hold the answer."""
        likely = probabilities(scores)
        order = _best(scores, CONSIDERED)
        windows = {i: Windows.of(query, found[i]) for i in order}
        best, chosen = -1.0, [(order[0], min(windows[order[0]].length, self.words - 1))]
        if self.sentences > 1:
            budget = self.words - 2  # two markers are two words
            for one, other in combinations(order, 2):
                for short, long in _splits(windows[one].length, windows[other].length, budget):
                    value = likely[one] * windows[one].kept[short][0] + likely[other] * windows[other].kept[long][0]
                    if value > best + 1e-9:
                        best, chosen = float(value), [(one, short), (other, long)]
        return [_quote(found[i], windows[i], length) for i, length in chosen]


@dataclass(frozen=True, slots=True)
class Windows:
    """A sentence's words between blanks, and for each number of them the best window."""

    spans: tuple[tuple[int, int], ...]
    kept: list[tuple[float, int]]  # index: words kept; (share of the answer's likely mass, first word)

    @property
    def length(self) -> int:
        return len(self.spans)

    @classmethod
    def of(cls, query: Query, one: Candidate) -> "Windows":
        spans = tuple((match.start(), match.end()) for match in re.finditer(r"\S+", one.text))
        masses = np.zeros(len(spans))
        at = 0
        for word, mass in zip(one.words, token_masses(query, one), strict=True):
            while spans[at][1] <= word.start:
                at += 1
            masses[at] += mass
        return cls(spans, kept_shares(masses))


def evidence(features: NDArray[np.float64]) -> float:
    """How likely the passages answer the question, from the features of their best sentences."""
    cosine, coverage = float(features[:, LEXICAL].max()), float(features[:, PASSAGE].max())
    return 1 / (1 + exp(-(COSINE_WEIGHT * cosine + COVERAGE_WEIGHT * coverage + BIAS)))


def _best(scores: NDArray[np.float64], n: int) -> list[int]:
    """The places of the n highest scores, best first; among equals the earlier."""
    return [int(i) for i in np.argsort(-scores, kind="stable")[:n]]


def _splits(one: int, other: int, budget: int) -> list[tuple[int, int]]:
    """How two sentences of so many words may share the budget: whole when they fit, else every cut of both."""
    if one + other <= budget:
        return [(one, other)]
    low, high = max(min(SHORTEST_WINDOW, one), budget - other), min(one, budget - min(SHORTEST_WINDOW, other))
    return [(length, budget - length) for length in range(low, high + 1)]


def _quote(one: Candidate, windows: Windows, length: int) -> Quote:
    first = windows.kept[length][1]
    start, end = windows.spans[first][0], windows.spans[first + length - 1][1]
    text = one.text[start:end].rstrip(",;:–— ") or one.text[start:end]  # what a cut leaves hanging
    return Quote(one.passage, one.start + start, one.start + start + len(text), text)


def _pieces(quotes: Sequence[Quote]) -> list[str]:
    """The quotes as they are written: the marker stands before the full stop; a piece that does not end or begin like
    a sentence is set apart by an empty line, so that nobody reads two quotes as one sentence."""
    pieces: list[str] = []
    for quote in quotes:
        stop = _STOP.search(quote.text)
        at = stop.start() if stop else len(quote.text)
        piece = f"{quote.text[:at]} [{quote.passage + 1}]{quote.text[at:]}"
        if pieces:
            whole = _STOP.search(pieces[-1]) and (quote.text[0].isupper() or quote.text[0].isdigit())
            piece = (" " if whole else "\n\n") + piece
        pieces.append(piece)
    return pieces


def _spoken(pieces: Sequence[str], settings: GenerationSettings, cancel: CancelToken, reason: str) -> Iterator[Event]:
    """The pieces as events, cut at the first stop string and after max_tokens words."""
    whole = "".join(pieces)
    cut = min((at for stop in settings.stop if stop and (at := whole.find(stop)) >= 0), default=len(whole))
    ends = [match.end() for match in re.finditer(r"\S+", whole)]
    finish: Finish = Finish("abstained") if reason == "abstained" else Finish("stop")
    if len(ends) > settings.max_tokens and ends[settings.max_tokens - 1] < cut:
        cut, finish = ends[settings.max_tokens - 1], Finish("length")
    at = 0
    for piece in pieces:
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
