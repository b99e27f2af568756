"""Exact BM25 over inverted files mapped from disk, and in memory for what came since: one index, any history.

A segment of chunks is never changed. `apply` adds segments, clears bits of removed chunks and merges small segments,
and puts all of it in place at once. Only living chunks count in the statistics, so a ranking depends on what the index
holds and on nothing that it held before.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rag.keywords import segments as segment_files
from rag.keywords import spelling
from rag.keywords.asked import Asked, Phrase
from rag.keywords.bm25 import Scores, Statistics, accept, blended, idf, norms, promising, ranking, weights
from rag.keywords.segments import Segment, built, merge
from rag.types import Bitmap, Ids, Permitted, Ranking

FAN = 16  # segments on disk of about one size that are merged into one
SMALL = 256  # chunks of a segment in memory that is merged with any newer one
REMEMBERED = 1_000  # misspelt words whose corrections are kept
STATE = "state.json"


class Meant(NamedTuple):
    """What a question asks for among the terms that are held."""

    query: Sequence[str]
    weights: dict[str, float]  # of each held term, and of what stands in for a misspelt one
    corrected: dict[str, list[str]]  # each word that no chunk holds → the held ones it may be a misspelling of


class State:
    """The segments at one position, and what follows from them. Never changed."""

    def __init__(self, position: int, segments: tuple[Segment, ...]) -> None:
        self.position, self.segments = position, segments
        self._documents = sum(segment.living() for segment in segments)
        self.allowed: tuple[Bitmap, list[NDArray[np.bool_]]] | None = None  # the last bitmap, as flags of rows
        self.corrections: dict[str, list[str]] = {}
        self._meant: Meant | None = None  # by the last question
        self._every: tuple[Sequence[str], list[Scores]] | None = None  # of the last question, if all rows were scored

    @cached_property
    def statistics(self) -> Statistics:
        terms = sum(int(segment.lengths[segment.alive].sum(dtype=np.int64)) for segment in self.segments)
        average = terms / self._documents if self._documents else 0.0
        return Statistics(self._documents, average, self.frequency)

    @cached_property
    def norms(self) -> list[Scores]:
        """Of each segment's rows.  → (n,) a segment"""
        return [norms(segment.lengths, self.statistics.average_length) for segment in self.segments]

    def frequency(self, term: str) -> int:
        return sum(segment.frequency(term) for segment in self.segments)

    def usable(self, bitmap: Bitmap) -> list[NDArray[np.bool_]]:
        """Of each segment's rows, which are alive and permitted.  → (n,) a segment"""
        last = self.allowed
        if last is None or last[0] is not bitmap:
            last = (bitmap, [_permitted(segment, bitmap) for segment in self.segments])
            self.allowed = last
        return last[1]

    def meant(self, query: Sequence[str]) -> Meant:
        """Kept for the question's next steps."""
        last = self._meant
        if last is not None and last.query is query:
            return last
        said = weights(query, self.statistics)
        if not isinstance(query, Asked):  # a list may be changed by whoever holds it
            return Meant(query, said, {})
        corrected, total = self._corrected(query, said), self.statistics.documents
        stand_ins = [
            {other: spelling.TRUST * query.terms.count(term) * idf(total, self.frequency(other))}
            for term, others in corrected.items()
            for other in others
        ]
        self._meant = found = Meant(query, blended([said, *stand_ins]) if corrected else said, corrected)
        return found

    def _corrected(self, query: Asked, said: Mapping[str, float]) -> dict[str, list[str]]:
        found = {}
        for word in query.words:
            if said.keys().isdisjoint(word):
                for term in filter(spelling.correctable, word):
                    if others := self._similar(term):
                        found[term] = others
        return found

    def _similar(self, term: str) -> list[str]:
        kept = self.corrections.get(term)
        if kept is None:
            held = (other for each in self.segments for other in each.vocabulary.alike(term, spelling.spread(term)))
            kept = spelling.nearest(term, held, self.frequency)
            if len(self.corrections) < REMEMBERED:
                self.corrections[term] = kept
        return kept

    def every(self, query: Sequence[str]) -> list[Scores]:
        """The scores of each segment's rows; kept for the question's next step, which wants those of some.  → (n,) a
        segment"""
        weighed = self.meant(query).weights
        found = [segment.score(weighed, below) for segment, below in zip(self.segments, self.norms, strict=True)]
        if isinstance(query, Asked):
            self._every = (query, found)
        return found

    def some(self, query: Sequence[str], number: int, rows: segment_files.Rows) -> Scores:
        """The scores of some rows of a segment, the very same numbers.  (m,) → (m,)"""
        last = self._every
        if last is not None and last[0] is query:
            return last[1][number][rows]
        return self.segments[number].score_rows(rows, self.meant(query).weights, self.norms[number])


def _permitted(segment: Segment, bitmap: Bitmap) -> NDArray[np.bool_]:
    flags = np.unpackbits(bitmap.bits, bitorder="little").view(bool)
    inside = int(np.searchsorted(segment.ids, len(flags)))
    usable = np.zeros(len(segment.ids), dtype=bool)
    usable[:inside] = flags[segment.ids[:inside]]
    usable &= segment.alive
    return usable


class ExactKeywords:
    """Terms of chunks under BM25. With a folder it writes segments there and maps them, else they stay in memory."""

    def __init__(self, position: int = 0, segments: tuple[Segment, ...] = (), folder: Path | None = None) -> None:
        self._state = State(position, segments)  # one attribute, so that a search sees all of a change or none
        self._folder = folder

    @property
    def position(self) -> int:
        return self._state.position

    def __len__(self) -> int:
        return self._state.statistics.documents

    def ids(self) -> Ids:
        held = [segment.ids[segment.alive] for segment in self._state.segments]
        return np.sort(np.concatenate(held)) if held else np.empty(0, np.int64)

    def following(self) -> "ExactKeywords":
        """An index of its own with the same content, whose changes stay in memory; costs nothing."""
        return ExactKeywords(self._state.position, self._state.segments)

    def apply(self, ids: Ids, tokens: Sequence[Sequence[str]], removed: Ids, upto: int) -> None:
        ids, removed = accept(ids, tokens, removed)
        gone = np.concatenate([removed, ids])
        segments = [segment.without(gone) for segment in self._state.segments]
        if len(ids):
            segments.append(self._kept([built(ids, tokens)]))
        segments = [segment for segment in segments if segment.alive.any()]
        while (last := self._alike(segments)) > 1:
            segments[-last:] = [self._kept(segments[-last:])]
        self._state = State(upto, tuple(segments))

    def _alike(self, segments: Sequence[Segment]) -> int:
        """How many of the last segments are to become one. Files are never merged into memory."""
        if not segments:
            return 0
        fan, least = (2, SMALL) if self._folder is None else (FAN, 0)
        limit, number = max(2 * len(segments[-1].ids), least), 0
        for segment in reversed(segments):
            if len(segment.ids) > limit or (self._folder is None and segment.folder is not None):
                break
            number += 1
        return number if number >= fan else 0

    def _kept(self, segments: Sequence[Segment]) -> Segment:
        """Several segments as one, in the folder where there is one."""
        if self._folder is None:
            return segments[0] if len(segments) == 1 else merge(segments)
        home = next(path for number in count() if not (path := self._folder / f"segment-{number:06d}").exists())
        home.mkdir()
        merge(segments, segment_files.into(home))
        for segment in segments:
            if segment.folder is not None and segment.folder.parent == self._folder:
                shutil.rmtree(segment.folder, ignore_errors=True)  # still mapped: where files cannot go yet, they stay
        return segment_files.mapped(home)

    def statistics(self) -> Statistics:
        """Of the living chunks."""
        return self._state.statistics

    def corrected(self, query: Sequence[str]) -> dict[str, list[str]]:
        """For each word of a question that no chunk holds, those it is taken for; {} where nothing is replaced."""
        return self._state.meant(query).corrected

    def search(self, queries: Sequence[Sequence[str]], k: int, permitted: Permitted) -> list[Ranking]:
        state, bitmap = self._state, permitted.bitmap()
        return [_search(state, query, k, bitmap) for query in queries]

    def scores(self, query: Sequence[str], ids: Ids) -> Scores:
        """The scores of chunks (n,) that search gives them, whoever may see them; 0 where it would not find them."""
        state, wanted = self._state, np.asarray(ids, dtype=np.int64)
        found = np.zeros(len(wanted))
        for number, segment in enumerate(state.segments):
            here, rows = segment.place(wanted)
            scores = state.some(query, number, rows)
            if isinstance(query, Asked) and query.phrases:
                scores[~np.isin(rows, _holding(segment, query.phrases, np.unique(rows)))] = 0
            found[here] = scores
        return found

    def holding(self, phrases: Iterable[Phrase], permitted: Permitted) -> Ids:
        """The permitted chunks that hold every phrase, ascending."""
        state, wanted = self._state, tuple(phrases)
        found = [np.empty(0, np.int64)]
        for segment, usable in zip(state.segments, state.usable(permitted.bitmap()), strict=True):
            found.append(segment.ids[_holding(segment, wanted, np.flatnonzero(usable).astype(np.int32))])
        return np.sort(np.concatenate(found))

    def dead(self) -> float:
        return 0.0  # removed chunks leave the statistics at once, and the files when they are saved

    def save(self, folder: Path) -> None:
        state = self._state
        (folder / STATE).write_text(json.dumps({"position": state.position}), encoding="utf-8")
        if len(state.segments) == 1 and (only := state.segments[0]).folder is not None and only.alive.all():
            segment_files.copy(only.folder, folder)
        else:
            merge(state.segments or [built(np.empty(0, np.int64), [])], segment_files.into(folder))


def _search(state: State, query: Sequence[str], k: int, bitmap: Bitmap) -> Ranking:
    if not state.meant(query).weights or k < 1:
        return []
    ids, scores = [np.empty(0, np.int64)], [np.empty(0)]
    phrases = query.phrases if isinstance(query, Asked) else ()
    every = [] if phrases else state.every(query)
    for number, (segment, usable) in enumerate(zip(state.segments, state.usable(bitmap), strict=True)):
        if phrases:
            held = _holding(segment, phrases, np.flatnonzero(usable).astype(np.int32))
            found = state.some(query, number, held)
            ids.append(segment.ids[held[found > 0]])
            scores.append(found[found > 0])
        else:
            rows = promising(every[number], usable, k)
            ids.append(segment.ids[rows])
            scores.append(every[number][rows])
    return ranking(np.concatenate(ids), np.concatenate(scores), k)


def _holding(segment: Segment, phrases: Iterable[Phrase], rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Those rows that hold each phrase in one of its ways.  (n,) ascending → (h,) ascending"""
    for phrase in phrases:
        rows = np.unique(np.concatenate([segment.holding(way, rows) for way in phrase]))
    return rows


def new(folder: Path) -> ExactKeywords:
    """An empty index that works in this folder."""
    return ExactKeywords(folder=folder)


def open(folder: Path) -> ExactKeywords:
    """What `save` wrote, mapped. Raises OSError or ValueError when it is not there or not whole."""
    position = int(json.loads((folder / STATE).read_text(encoding="utf-8"))["position"])
    segment = segment_files.mapped(folder)
    return ExactKeywords(position, (segment,) if len(segment.ids) else (), folder)
