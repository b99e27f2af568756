"""How likely what was found answers a question, told before anybody speaks; pure.

A logistic model over what retrieval knows already: how near the best of the first passages is, how much of the question
its sentences hold, how far its words are ahead of the next hits, and whether it is prose at all. Where that
leaves it in doubt, the sentences of the first passages are embedded one by one: of a passage on several subjects, one
sentence may be near though the passage as a whole is far. The weights were fitted on questions with and without an
answer in their collection (benchmarks/abstention.py names the sets, fits them anew and measures them).
The risk-coverage view of refusing: Chow 1970; El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2017.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import exp, fsum
from typing import Protocol

from ingest.languages.function_words import FUNCTION_WORDS
from rag.answers.claims import ABSTENTION
from rag.keywords.analysis import STOPWORDS, UNTOLD, analyse, analysis, question_terms
from rag.keywords.analysis import words as written_words
from rag.language import beginnings, sentence_spans
from rag.rankings.arrays import columns
from rag.types import Embedder, Metadata, Mode, Passage, Ranking, Refusal

FEATURES = (
    "cosine",  # of the question and the best passage
    "keyword lead",  # the best passage's BM25 above the mean of the next five, as a share of the best BM25
    "sentence",  # share of what is asked, by rarity, that its best sentence holds
    "beyond the title",  # share of what is asked and not said by title and headings that it holds
    "title",  # share of what is asked that title and headings hold: nearness they explain tells less
    "prose",  # whether it is, by its share of function words, 0…1: lists and tables of links seldom answer
    "asked",  # how much is asked, in words of the rarest kind
    "closer",  # by how much a sentence is nearer than that passage, where the others leave it DOUBTED
)
OF_MODE: Mapping[Mode, tuple[str, ...]] = {  # the features that a mode tells something of
    "hybrid": FEATURES,
    "semantic": tuple(name for name in FEATURES if name != "keyword lead"),
    "keyword": tuple(name for name in FEATURES if name not in ("cosine", "closer")),
}
SHARED = ("keyword lead", "sentence", "title")  # features that are 0 where no word of the question is found
LOOKED_AT = 5  # passages of which the best is judged
OTHERS = 5  # hits that a lead is measured against
PROSE = (0.12, 0.2)  # shares of function words up to which a text is no prose, and from which it is
MOST_ASKED = 12.0
_RECORD = re.compile(r"^[^\n:;]+: [^\n;]*; [^\n:;]+: ", re.MULTILINE)  # as rows of a table are written

FITTED_ON = "all-MiniLM-L6-v2/"  # how the fingerprint of the embedder begins whose cosines the default weights are for
THRESHOLD = 0.2  # confidence below which a question is refused
DOUBTED = (0.01, 0.38)  # confidence by the default weights between which sentences are looked at
READ = 2  # passages whose sentences are
MOST_SENTENCES = 40


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a question."""

    text: str  # as written
    terms: frozenset[str]  # that it is searched by, in all analyses of the collection's languages
    weight: float  # its rarity


@dataclass(frozen=True, slots=True)
class Weighed:
    """What was found for a question."""

    words: tuple[Word, ...]  # those that were looked for
    features: tuple[float, ...]  # as FEATURES
    best: Passage | None  # whose features they are; None where there is no passage


@dataclass(frozen=True, slots=True)
class Model:
    """A logistic model over FEATURES."""

    weights: tuple[float, ...]  # as FEATURES
    bias: float

    @property
    def looks_closer(self) -> bool:
        """Whether single sentences count."""
        return bool(self.weights[FEATURES.index("closer")])

    def score(self, features: Sequence[float]) -> float:
        """The log-odds that a question is answered."""
        return fsum(weight * value for weight, value in zip(self.weights, features, strict=True)) + self.bias

    def confidence(self, found: Weighed) -> float | None:
        """How likely a question is answered, 0…1; 0 where nothing was found. None where the model goes by words alone,
        nearness was measured, and no word is shared: the passages may be in another language."""
        if found.best is None:
            return 0.0
        weighs, told = (
            dict(zip(FEATURES, self.weights, strict=True)),
            dict(zip(FEATURES, found.features, strict=True)),
        )
        if not weighs["cosine"] and told["cosine"] > 0 and not any(told[name] for name in SHARED):
            return None
        return logistic(self.score(found.features))


# By benchmarks/abstention.py --fit; a mode without a ranking has no weight for what that would say.
DEFAULTS: Mapping[Mode, Model] = {
    "hybrid": Model((12.37, 0.67, 2.28, 1.11, -1.93, 2.77, -0.1, 3.47), -10.63),
    "semantic": Model((12.08, 0.0, 2.39, 1.27, -1.46, 2.86, -0.03, 3.78), -10.74),
    "keyword": Model((0.0, 2.24, 3.38, 0.81, 1.82, 14.03, 0.12, 0.0), -17.79),
}


@dataclass(frozen=True, slots=True)
class Abstaining:
    """When a question is refused before a generator is asked."""

    model: Model
    threshold: float = THRESHOLD  # refused below

    def settings(self, mode: Mode, curve: Sequence[tuple[float, float]]) -> Metadata:
        """As a collection keeps it, for searches of this mode; `curve` holds coverages and their risks."""
        return {
            "abstain_mode": mode,
            "abstain_threshold": self.threshold,
            "abstain_weights": list(self.model.weights),
            "abstain_bias": self.model.bias,
            "abstain_features": list(FEATURES),
            "abstain_curve": [[coverage, risk] for coverage, risk in curve],
        }


KEPT = ("abstain_mode", "abstain_threshold", "abstain_weights", "abstain_bias", "abstain_features", "abstain_curve")
"""The settings that a calibrated collection has of its own."""


def kept(settings: Metadata, mode: Mode) -> Abstaining | None:
    """What was calibrated for a collection; None where nothing was for this mode, or by features that are gone. A
    feature that came later has no weight."""
    names, weights = settings.get("abstain_features"), settings.get("abstain_weights")
    if settings.get("abstain_mode") != mode or not isinstance(names, list) or not isinstance(weights, list):
        return None
    weighed = {str(name): float(str(weight)) for name, weight in zip(names, weights, strict=True)}
    if not weighed.keys() <= set(FEATURES):
        return None
    model = Model(tuple(weighed.get(name, 0.0) for name in FEATURES), float(str(settings["abstain_bias"])))
    return Abstaining(model, float(str(settings["abstain_threshold"])))


def logistic(score: float) -> float:
    return 1 / (1 + exp(-score)) if score > -700 else 0.0


def default(mode: Mode, fingerprint: str) -> Model | None:
    """The weights out of the box. Cosines of another embedder lie elsewhere, so that only words count there; None in
    semantic mode, where there is nothing else."""
    if fingerprint.startswith(FITTED_ON):
        return DEFAULTS[mode]
    return None if mode == "semantic" else DEFAULTS["keyword"]


class Holding(Protocol):
    """What a collection holds of single words, each given as its terms; `rag.search.Held` is one."""

    @property
    def languages(self) -> tuple[str, ...]: ...

    def rarity(self, terms: frozenset[str]) -> float:
        """How telling a word is, above 0; without terms, one that no chunk holds."""
        ...

    def seen(self, terms: frozenset[str]) -> bool:
        """Whether a chunk that may be seen holds the word."""
        ...


def weigh(
    question: str,
    passages: Sequence[Passage],
    candidates: Ranking,
    holding: Holding,
    embedder: Embedder | None = None,
) -> Weighed:
    """What speaks for an answer: the features of the best of the first LOOKED_AT passages.

    `candidates` are the hits behind the passages. A feature that the mode of the search tells nothing of is 0; so is
    "closer" without an embedder. Costs a millisecond or two, and the embedding of some twenty sentences where that
    leaves a question in doubt.
    """
    words = asked_words(question, holding.languages, holding.rarity)
    if not passages:
        return Weighed(words, (0.0,) * len(FEATURES), None)
    near, worded = _scores("dense", passages, candidates), _scores("bm25", passages, candidates)
    analyses, prose = _analyses(holding.languages), _function_words(holding.languages)
    unit = holding.rarity(frozenset())
    rows = [_row(words, passage, near, worded, analyses, prose, unit) for passage in passages[:LOOKED_AT]]
    judge = DEFAULTS[("hybrid" if worded else "semantic") if near else "keyword"]  # whoever weighs them afterwards
    score = [judge.score(row) for row in rows]
    first = sorted(range(len(rows)), key=lambda at: -score[at])
    row = rows[first[0]]
    if near and embedder is not None and DOUBTED[0] <= logistic(score[first[0]]) < DOUBTED[1]:
        nearest = _nearest(question, [passages[at].text for at in first[:READ]], embedder)
        row = (*row[:-1], max(0.0, nearest - row[0]))
    return Weighed(words, row, passages[first[0]])


def _nearest(question: str, texts: Sequence[str], embedder: Embedder) -> float:
    """The cosine of a question and the nearest sentence of these texts; 0 without one."""
    told = [text[start:end].strip() for text in texts for start, end in sentence_spans(text)]
    read = beginnings([one for one in dict.fromkeys(told) if one], embedder.count_tokens, embedder.max_tokens)
    if not read:
        return 0.0
    return float((embedder.embed_passages(read[:MOST_SENTENCES]) @ embedder.embed_queries([question])[0]).max())


def asked_words(question: str, languages: Sequence[str], rarity: Callable[[frozenset[str]], float]) -> tuple[Word, ...]:
    """The different words of a question that are searched for; words that only differ in their form count once."""
    analyses, searched = _analyses(languages), frozenset(question_terms(question, languages))
    found: dict[frozenset[str], Word] = {}
    for written in written_words(question):
        terms = _terms(written, analyses) & searched
        if terms and terms not in found:
            found[terms] = Word(written, terms, rarity(terms))
    return tuple(found.values())


def _row(
    words: Sequence[Word],
    passage: Passage,
    near: Sequence[float],
    worded: Sequence[float],
    analyses: Sequence[str],
    prose: frozenset[str] | None,
    unit: float,
) -> tuple[float, ...]:
    parts = passage.hit.parts
    cosine = parts["dense"].score if "dense" in parts else min(near, default=0.0)  # not among the nearest, no nearer
    bm25 = parts["bm25"].score if "bm25" in parts else 0.0
    said = [_terms(passage.text[start:end], analyses) for start, end in sentence_spans(passage.text)]
    whole = frozenset[str]().union(*said)
    title = _terms(" ".join((passage.title, *passage.headings)), analyses)
    rest = [word for word in words if not word.terms & title]
    return (
        cosine,
        (bm25 - _next(worded)) / worded[0] if worded else 0.0,
        max((share(words, terms) for terms in said), default=0.0),
        share(rest, whole) if rest else 1.0,
        share(words, title),
        _prose(passage.text, prose),
        min(MOST_ASKED, sum(word.weight for word in words) / unit),
        0.0,
    )


def share(words: Sequence[Word], held: frozenset[str]) -> float:
    """The share of some words, by rarity, that are held; 0 of none."""
    total = sum(word.weight for word in words)
    return sum(word.weight for word in words if word.terms & held) / total if total else 0.0


def _scores(stage: str, passages: Sequence[Passage], candidates: Ranking) -> list[float]:
    """The scores of a stage, best first, of all hits that it ranked."""
    shown = [passage.hit.parts[stage].score for passage in passages if stage in passage.hit.parts]
    ranks, scores = columns(candidates).parts.get(stage, (None, None))
    behind = [] if ranks is None or scores is None else scores[ranks > 0].tolist()
    return sorted([*shown, *behind], reverse=True)


def _next(scores: Sequence[float]) -> float:
    """The mean of the second to the sixth score; a hit that is not there has none of the words, and counts as 0."""
    return sum(scores[1 : 1 + OTHERS]) / OTHERS


def _analyses(languages: Sequence[str]) -> list[str]:
    return sorted({analysis(language) for language in languages}) or ["en"]


def _terms(text: str, analyses: Sequence[str]) -> frozenset[str]:
    return frozenset(chain.from_iterable(analyse(text, language) for language in analyses))


def _function_words(languages: Sequence[str]) -> frozenset[str] | None:
    """Of all these languages; None where those of one of them are not known."""
    known = [FUNCTION_WORDS.get(language, frozenset()) for language in languages if language not in ("", UNTOLD)]
    return frozenset().union(STOPWORDS if "en" in languages else (), *known) if known and all(known) else None


def _prose(text: str, known: frozenset[str] | None) -> float:
    """0…1; 1 where the language's function words are not known, and of records: rows of a table answer."""
    written = written_words(text)
    if known is None or not written or len(_RECORD.findall(text)) > text.count("\n") / 2:
        return 1.0
    low, high = PROSE
    told = sum(map(known.__contains__, map(str.lower, written))) / len(written)
    return min(1.0, max(0.0, (told - low) / (high - low)))


# ── the refusal ─────────────────────────────────────────────────────────────────────────────────────────────────────


def refuses(abstaining: Abstaining | None, confidence: float | None) -> bool:
    """Whether a question is refused; never where nothing is told of its confidence."""
    return abstaining is not None and confidence is not None and confidence < abstaining.threshold


def refusal(found: Weighed, seen: Callable[[frozenset[str]], bool], shown: Sequence[Passage]) -> Refusal:
    """What was looked for and what came closest among the passages that are shown; `seen` says whether a document that
    could be searched holds a word."""
    chunks = [passage.hit.chunk_id for passage in shown]
    best = None if found.best is None else found.best.hit.chunk_id
    return Refusal(
        tuple(word.text for word in found.words),
        tuple(word.text for word in found.words if not seen(word.terms)),
        chunks.index(best) + 1 if best in chunks else (1 if chunks else None),
    )


def refusal_text(told: Refusal, passages: Sequence[Passage]) -> str:
    """A refusal as people read it; begins with ABSTENTION."""
    return f"{ABSTENTION}\n\n{refusal_details(told, passages)}"


def refusal_details(told: Refusal, passages: Sequence[Passage]) -> str:
    """What was looked for, what stands nowhere, and what came closest, a line each."""
    lines = []
    if told.looked_for:
        lines.append(f"Looked for: {', '.join(told.looked_for)}.")
    if told.missing:
        lines.append(f"In none of the documents: {', '.join(told.missing)}.")
    if told.closest is None:
        lines.append("Nothing came close.")
    else:
        passage = passages[told.closest - 1]
        page = "" if passage.page is None else f", page {passage.page}"
        path = passage.headings[passage.headings[:1] == (passage.title,) :]  # most texts repeat their title
        heading = " › ".join(part for part in (passage.title, *path) if part)
        where = f"{passage.places[0].uri}{page}, characters {passage.start} to {passage.end}"
        lines.append(f"Closest came: {heading} ({where}).")
    return "\n".join(lines)
