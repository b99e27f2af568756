"""How good is it: judged questions of a BEIR folder become retrieval metrics, and answers held against gold ones.

A folder holds `corpus.jsonl`, `queries.jsonl`, `qrels/test.tsv` and, for answers, `answers.jsonl`. Every judged query
counts. Questions go the way that everybody's go: the same search, filters, fusion and generator.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from math import fsum
from pathlib import Path
from typing import TypeVar

from ingest.languages.sentences import sentences
from rag.ask import Answering, Question, answer
from rag.errors import WrongUsage
from rag.metrics import averages
from rag.search import MAX_K, Fusion, OpenCollection, Search, search
from rag.store import documents as document_store
from rag.store.database import Database
from rag.support import MARKER
from rag.types import Embedder, Example, GenerationSettings, Interaction, Mode, Passage, Principal, Reranker
from rag.wrapped import Embedded

METRICS = ("ndcg_cut_10", "recall_100", "recip_rank")
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
    queries = {str(line["_id"]): str(line["text"]) for line in _lines(path / "queries.jsonl", "_id", "text")}
    grades = _judgements(path / "qrels" / "test.tsv")
    if unknown := grades.keys() - queries.keys():
        raise WrongUsage(f"{path / 'qrels' / 'test.tsv'} judges the query {min(unknown)!r}, which queries.jsonl lacks")
    gold = _gold(path / "answers.jsonl") if (path / "answers.jsonl").is_file() else {}
    return Folder(
        path,
        tuple(
            Example(key, text, gold.get(key, ()), grades.get(key, {}))
            for key, text in queries.items()
            if key in grades or key in gold
        ),
    )


def _lines(path: Path, *needed: str) -> Iterator[Mapping[str, object]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                raise WrongUsage(f"{path}, line {number}: this is not JSON: {error}") from error
            if not isinstance(value, dict) or not all(name in value for name in needed):
                raise WrongUsage(f"{path}, line {number}: expected an object with {', '.join(needed)}")
            yield value


def _judgements(path: Path) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split("\t")
        if not line.strip() or (number == 1 and fields[-1].strip() == "score"):
            continue
        try:
            query, document, grade = fields
            grades.setdefault(query, {})[document] = int(grade)
        except ValueError as error:
            raise WrongUsage(f"{path}, line {number}: expected query-id, corpus-id and a whole score") from error
    return grades


def _gold(path: Path) -> dict[str, tuple[str, ...]]:
    """The gold answers of each question: texts, or objects with a `text`; () for a question without an answer."""
    gold: dict[str, tuple[str, ...]] = {}
    for line in _lines(path, "_id", "answers"):
        given = line["answers"]
        texts = [one.get("text") if isinstance(one, dict) else one for one in given] if isinstance(given, list) else []
        gold[str(line["_id"])] = tuple(text for text in texts if isinstance(text, str) and text)
    return gold


# ── retrieval ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Way:
    """How questions are searched: as settings say, in one mode."""

    mode: Mode
    fusion: Fusion
    reranker: Reranker | None = None

    @property
    def deep(self) -> int:
        """How many chunks to ask for. Fusing deeper than the settings say would rank the first ones otherwise than
        everybody's search does; one ranking alone keeps its order however far it is read."""
        return self.fusion.depth if self.mode == "hybrid" else MAX_K


def retrieval(
    opened: OpenCollection,
    examples: Sequence[Example],
    way: Way,
    principal: Principal,
    progress: Progress = lambda done, total: None,
) -> dict[str, float | None]:
    """The metrics of a mode over these judged examples, each counted; None when there are none."""
    run: dict[str, Mapping[str, float]] = {}
    for done, (example, ready) in enumerate(embedded(opened, examples, way.mode), 1):
        asked = Search(example.question, way.deep, way.mode, fusion=way.fusion)
        run[example.id] = documents(search(ready, asked, principal, way.reranker).passages)
        progress(done, len(examples))
    return averages(METRICS, {example.id: example.relevant for example in examples}, run)


def documents(passages: Sequence[Passage]) -> dict[str, float]:
    """A ranking of documents: each scores as its best chunk; a text that stands in several counts for all of them."""
    scores: dict[str, float] = {}
    for passage in passages:
        for place in passage.places:
            if place.external_id is not None:
                scores[place.external_id] = max(passage.hit.score, scores.get(place.external_id, passage.hit.score))
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


def answers(
    answering: Answering,
    examples: Sequence[Example],
    way: Way,
    passages: int,
    principal: Principal,
    progress: Progress = lambda done, total: None,
) -> dict[str, float | int | str | None]:
    """Ask every question and sum up the answers. Nothing is logged or scored: the log is for questions that somebody
    asked, and gold answers judge better."""
    judged = []
    for done, (example, ready) in enumerate(embedded(answering.opened, examples, way.mode), 1):
        question = Question(
            example.question, passages, way.mode, fusion=way.fusion, generation=GenerationSettings(), origin="synthetic"
        )
        entry = answer(replace(answering, opened=ready, scorers=()), question, principal)
        judged.append(judge(answering.database, example, entry))
        progress(done, len(examples))
    return {"generator": answering.generator.name} | summary(judged)


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
