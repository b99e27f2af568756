"""How good is it: judged questions of a BEIR folder become retrieval metrics, and answers held against gold ones.

A folder holds `corpus.jsonl`, `queries.jsonl`, `qrels/test.tsv` and, for answers, `answers.jsonl`. Every judged query
counts. Questions go the way that everybody's go: the same search, filters, fusion and generator.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from math import fsum
from pathlib import Path
from typing import TypeVar

from ingest.languages.sentences import sentences
from rag.answers.claims import MARKER
from rag.answers.confidence import Abstaining
from rag.ask import Answering, Question, answer
from rag.errors import WrongUsage
from rag.rankings.wrapped import Embedded
from rag.search import MAX_K, Found, Fusion, OpenCollection, Refining, Search, search
from rag.store import documents as document_store
from rag.store.database import Database
from rag.types import Embedder, Example, GenerationSettings, Interaction, Mode, Passage, Principal, Reranker, Scorer

EVERYDAY = 10  # passages of the search that is timed, as `rag search` looks for when it is told no other number
QUERIES_AT_ONCE = 64  # questions that are embedded together
NAME_LENGTH = 60  # of the folder's part of a collection's name

T = TypeVar("T")
Progress = Callable[[int, int], None]  # (questions done, questions)


# ── the folder ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Folder:
    """A judged collection in BEIR's form."""

    path: Path
    examples: tuple[Example, ...]  # those that are judged or have gold answers, in the order of queries.jsonl

    @property
    def corpus(self) -> Path:
        return self.path / "corpus.jsonl"

    @property
    def judged(self) -> tuple[Example, ...]:
        return tuple(example for example in self.examples if example.relevant)

    @property
    def name(self) -> str:
        """What people call it: its last part."""
        return self.path.resolve().name

    @property
    def collection(self) -> str:
        """The name of the collection this folder is taken into: its own name, told apart by where it lies."""
        place = blake2b(str(self.path.resolve()).encode(), digest_size=4).hexdigest()
        kept = "".join(c if c.isprintable() and c != "/" else "-" for c in self.path.resolve().name)[:NAME_LENGTH]
        return f"eval-{kept.strip() or 'folder'}-{place}"


def read_folder(path: Path) -> Folder:
    """Read queries, judgements and gold answers. Raises WrongUsage naming the file and line that does not fit."""
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        if not (path / name).is_file():
            raise WrongUsage(f"{path} is no BEIR folder: {name} is missing")
    queries = _queries(path / "queries.jsonl")
    grades = _judgements(path / "qrels" / "test.tsv")
    if unknown := grades.keys() - queries.keys():
        raise WrongUsage(f"{path / 'qrels' / 'test.tsv'} judges the query {min(unknown)!r}, which queries.jsonl lacks")
    gold = _gold(path / "answers.jsonl") if (path / "answers.jsonl").is_file() else {}
    asked = {key: text for key, text in queries.items() if key in grades or key in gold}
    for key, text in asked.items():
        if not text.strip():
            raise WrongUsage(f"{path / 'queries.jsonl'}: the text of the query {key!r}, which is judged, is empty")
    return Folder(
        path,
        tuple(Example(key, text, gold.get(key, ()), grades.get(key, {})) for key, text in asked.items()),
    )


def _lines(path: Path, *needed: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    """The object on each line that is not blank, with the line's number."""
    for number, line in _numbered(path):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise WrongUsage(f"{path}, line {number}: this is not JSON: {error}") from error
        if not isinstance(value, dict) or any(value.get(name) is None for name in needed):
            raise WrongUsage(f"{path}, line {number}: expected an object with {', '.join(needed)}")
        if any(_unwritable(str(value[name])) for name in needed):
            raise WrongUsage(f"{path}, line {number}: NUL and lone surrogates are no text")
        yield number, value


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                raise WrongUsage(f"{path}, line {number}: this is not UTF-8; save the file as UTF-8") from error
            if text.strip():
                yield number, text


def _unwritable(text: str) -> bool:
    return "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text)


def _queries(path: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    for number, line in _lines(path, "_id", "text"):
        key = str(line["_id"])
        if key in queries:
            raise WrongUsage(f"{path}, line {number}: the query {key!r} was there before")
        queries[key] = str(line["text"])
    return queries


def _judgements(path: Path) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for number, line in _numbered(path):
        fields = line.split("\t")
        if number == 1 and fields[-1].strip() == "score":
            continue
        try:
            query, document, grade = fields
            if _unwritable(line):
                raise ValueError
            value = int(grade)
        except ValueError as error:
            raise WrongUsage(f"{path}, line {number}: expected query-id, corpus-id and a whole score") from error
        if grades.setdefault(query, {}).setdefault(document, value) != value:
            raise WrongUsage(
                f"{path}, line {number}: for the query {query!r} the document {document!r} was judged "
                f"{grades[query][document]} before"
            )
    return grades


def _gold(path: Path) -> dict[str, tuple[str, ...]]:
    """The gold answers of each question: texts, or objects with a `text`; () for a question without an answer."""
    gold: dict[str, tuple[str, ...]] = {}
    for number, line in _lines(path, "_id", "answers"):
        given = line["answers"]
        texts = (
            [one.get("text") if isinstance(one, dict) else one for one in given] if isinstance(given, list) else None
        )
        if texts is None or not all(isinstance(text, str) for text in texts):
            raise WrongUsage(f"{path}, line {number}: `answers` is a list of texts, or of objects with `text`")
        gold[str(line["_id"])] = tuple(str(text) for text in texts if text)
    return gold


# ── retrieval ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Way:
    """How questions are searched: as everybody's are, in one mode, by these settings."""

    mode: Mode
    fusion: Fusion
    reranker: Reranker | None = None
    refining: Refining = field(default_factory=Refining)

    @property
    def deep(self) -> int:
        """How many chunks are ranked for the metrics. Fusing deeper than the settings say would rank the first ones
        otherwise than everybody's search does; one ranking alone keeps its order however far it is read."""
        return max(EVERYDAY, self.fusion.depth) if self.mode == "hybrid" else MAX_K

    @property
    def refined(self) -> bool:
        """Whether anything is done to the ranking itself; neighbours only widen what is shown."""
        return self.reranker is not None or self.refining.diversify < 1 or self.refining.per_document > 0


@dataclass(frozen=True, slots=True)
class Searched:
    """What a way of searching found for every example."""

    rankings: Mapping[str, Mapping[str, float]]  # example → external id → score
    latency_ms: Mapping[str, float]  # example → what a search for EVERYDAY passages took, embedding left out
    position: int  # of the collection and of its index generation, at the last example
    generation: int


def searched(
    opened: OpenCollection,
    examples: Sequence[Example],
    way: Way,
    principal: Principal,
    progress: Progress = lambda done, total: None,
) -> Searched:
    """Search for every example as everybody does, which is timed, and rank on behind what that found.

    What a reranker or a refinement was not given follows behind what it ordered, in the order of the ranking alone: so
    metrics that look deeper, as recall at 100, are not those of a list that was cut.
    """
    run: dict[str, Mapping[str, float]] = {}
    latency_ms: dict[str, float] = {}
    position, generation = opened.collection.position, 0
    for done, (example, ready) in enumerate(embedded(opened, examples, way.mode), 1):
        asked = Search(example.question, EVERYDAY, way.mode, fusion=way.fusion, refining=way.refining)
        if done == 1:  # whoever searches every day finds indexes and models open
            search(ready, asked, principal, way.reranker)
        found = search(ready, asked, principal, way.reranker)
        latency_ms[example.id] = found.timings_ms["total"] - found.timings_ms.get("embed", 0.0)
        first = _ranked(ready, found, principal) if way.refined or way.mode == "hybrid" else {}
        run[example.id] = first
        if way.refined or way.mode != "hybrid":
            k = EVERYDAY if way.mode == "hybrid" else MAX_K
            deeper = search(ready, Search(example.question, k, way.mode, fusion=way.fusion), principal)
            run[example.id] = behind(first, _ranked(ready, deeper, principal))
        position, generation = found.position, found.generation
        progress(done, len(examples))
    return Searched(run, latency_ms, position, generation)


def _ranked(opened: OpenCollection, found: Found, principal: Principal) -> dict[str, float]:
    """The documents of everything that a search ranked: of its passages, and of the candidates behind them."""
    with opened.database.read() as connection:
        permitted = opened.access.permitted(connection, principal, opened.collection.id, None)
        rest = document_store.passages(connection, found.candidates, permitted.predicate, found.position)
    return documents([*found.passages, *rest])


def behind(first: Mapping[str, float], rest: Mapping[str, float]) -> dict[str, float]:
    """A ranking followed by what only the other one has, in its order. Scores of `first` stay; those behind it are
    lower by as much as they lay below the best of `rest`."""
    if not first or not rest:
        return dict(first or rest)
    floor, best = min(first.values()) - 1, max(rest.values())
    return {key: floor - (best - score) for key, score in rest.items() if key not in first} | dict(first)


def documents(passages: Sequence[Passage]) -> dict[str, float]:
    """A ranking of documents, by external id or else by address: each scores as its best chunk; a text that stands in
    several counts for all of them."""
    scores: dict[str, float] = {}
    for passage in passages:
        for place in passage.places:
            key = place.external_id or place.uri
            scores[key] = max(passage.hit.score, scores.get(key, passage.hit.score))
    return scores


def embedded(
    opened: OpenCollection, examples: Sequence[Example], mode: Mode
) -> Iterator[tuple[Example, OpenCollection]]:
    """Each example with the collection as it is to be searched, its question embedded already, many at a time."""
    for batch in _batches(examples, QUERIES_AT_ONCE):
        if mode == "keyword":
            yield from ((example, opened) for example in batch)
            continue
        known: Embedder = Embedded.of(opened.embedder(), list(dict.fromkeys(example.question for example in batch)))
        ready = replace(opened, embedder=_constant(known))
        yield from ((example, ready) for example in batch)


def _constant(embedder: Embedder) -> Callable[[], Embedder]:
    return lambda: embedder


def _batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[i : i + size] for i in range(0, len(values), size))


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Judged:
    """What one answer turned out to be."""

    contains_gold: bool | None  # None where there is no gold answer
    abstained: bool
    citations: int
    verbatim: int  # citations whose quote stands in the document at its offsets
    words: int  # without citation markers
    sentences: int
    took_ms: float


@dataclass(frozen=True, slots=True)
class Asking:
    """How questions are put to a generator: as everybody's are."""

    passages: int
    abstaining: Abstaining | None  # when a question is refused before the generator is asked
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """One question, what its answer turned out to be, and what every scorer says of it; None: does not apply."""

    example: Example
    judged: Judged
    scores: Mapping[str, float | None]


def answered(
    answering: Answering,
    examples: Sequence[Example],
    way: Way,
    asking: Asking,
    principal: Principal,
    progress: Progress = lambda done, total: None,
    scorers: Sequence[Scorer] = (),
) -> list[Answered]:
    """Ask every question. Nothing is logged: the log is for questions that somebody asked."""
    found = []
    for done, (example, ready) in enumerate(embedded(answering.opened, examples, way.mode), 1):
        question = Question(
            example.question,
            asking.passages,
            way.mode,
            fusion=way.fusion,
            generation=asking.generation,
            origin="synthetic",
            refining=way.refining,
            abstaining=asking.abstaining,
            strict=asking.strict,
        )
        entry = answer(replace(answering, opened=ready, scorers=()), question, principal)
        scores: dict[str, float | None] = {}
        for scorer in scorers:
            (score,) = scorer.score([entry], [example])
            scores[scorer.name] = None if score is None else score.value
        found.append(Answered(example, judge(answering.database, example, entry), scores))
        progress(done, len(examples))
    return found


def answers(generator: str, found: Sequence[Answered]) -> dict[str, float | int | str | None]:
    """The answers summed up, with the mean of every scorer over those it applies to."""
    names = list(dict.fromkeys(name for one in found for name in one.scores))
    values = {name: [one.scores[name] for one in found if name in one.scores] for name in names}
    means = {name: _mean([value for value in given if value is not None]) for name, given in values.items()}
    return {"generator": generator} | summary([one.judged for one in found]) | means


def judge(database: Database, example: Example, entry: Interaction) -> Judged:
    """Hold an answer against the gold ones, as they are written but for case, and its quotes against the documents."""
    said = entry.answer
    assert said is not None
    plain = MARKER.sub("", said.text)
    texts: dict[int, str] = {}
    with database.read() as connection:
        for passage in entry.passages:
            texts[passage.content_id] = document_store.text_of(connection, passage.content_id)
    quoted = [citation for citation in said.citations if citation.passage is not None and citation.quote]
    verbatim = sum(
        texts[entry.passages[citation.passage - 1].content_id][citation.quote_start : citation.quote_end]
        == citation.quote
        for citation in quoted
        if citation.passage is not None
    )
    found = any(gold.lower() in plain.lower() for gold in example.answers) if example.answers else None
    return Judged(
        contains_gold=found,
        abstained=said.abstained,
        citations=len(quoted),
        verbatim=verbatim,
        words=len(plain.split()),
        sentences=len(sentences(plain)),
        took_ms=entry.timings_ms["total"],
    )


def summary(judged: Sequence[Judged]) -> dict[str, float | int | str | None]:
    """Shares and means; None where nothing was asked, or nothing quoted. Lengths are those of answers, not of
    abstentions."""
    gold = [one.contains_gold for one in judged if one.contains_gold is not None]
    spoken = [one for one in judged if not one.abstained]
    citations = sum(one.citations for one in judged)
    return {
        "questions": len(judged),
        "contains_gold": _share(sum(gold), len(gold)),
        "abstained": _share(sum(one.abstained for one in judged), len(judged)),
        "abstained_without_gold": _share(
            sum(one.abstained for one in judged if one.contains_gold is None), len(judged) - len(gold)
        ),
        "citations": citations,
        "quotes_verbatim": _share(sum(one.verbatim for one in judged), citations),
        "mean_words": _mean([one.words for one in spoken]),
        "max_words": max((one.words for one in spoken), default=None),
        "mean_sentences": _mean([one.sentences for one in spoken]),
        "max_sentences": max((one.sentences for one in spoken), default=None),
        "mean_ms": _mean([one.took_ms for one in judged]),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Sequence[float]) -> float | None:
    return fsum(values) / len(values) if values else None
