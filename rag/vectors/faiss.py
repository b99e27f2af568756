"""Nearest neighbours in a form chosen by size: all rows compared, or candidates named by FAISS and ranked exactly.

    few rows      rows.f32 is compared whole, by BLAS
    many          quantised lists in memory name candidates, filtered by the bitmap; rows.f32 decides among them

Whatever the form, few permitted chunks are gathered and compared exactly, the scores of hits are exact, and k hits come
back whenever k permitted chunks are held: a search that finds fewer looks into more lists, then compares all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ingest.wording import counted
from rag.rankings.arrays import find, ids_of
from rag.types import Bitmap, Ids, Permitted, Ranking, Vectors
from rag.vectors import lists as quantised
from rag.vectors import rows as stored
from rag.vectors import tuning
from rag.vectors.exact import SPARSE, scan
from rag.vectors.finalists import accept, nearest, questions, read_state, write_state
from rag.vectors.lists import Lists, Selector
from rag.vectors.rows import HeldRows, Spool, StoredRows, steps
from rag.vectors.tuning import Tuning

FEW = 2_000  # permitted rows up to which they are gathered and compared
LISTS_FROM = 12_000  # rows from which lists pay: comparing all takes longer than about a millisecond and a half
GROWN = 2.0  # how much larger an index is when its quantiser is learnt anew …
DRIFTED = 1.25  # … and when the depth of its search is measured anew
DEAD = 0.2  # share of removed rows in the lists from which they are written anew
CHECKED_WHEN_READ = frozenset({stored.FILE})
"""Files that this backend checks itself, when it reads them."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Everything a search needs, so that it sees all of a change or none."""

    position: int
    ids: Ids  # (n,), ascending
    rows: HeldRows
    lists: Lists | None
    tuning: Tuning


class FaissVectors:
    """Searched by many threads at once; `apply` and `tune` belong to one owner, and no search while they run."""

    def __init__(self, held: _Held, dim: int, scratch: Path | None) -> None:
        self._held = held
        self._dim = dim
        self._scratch = scratch
        self._last: tuple[Bitmap, Selector | None] | None = None

    @property
    def position(self) -> int:
        return self._held.position

    @property
    def tuning(self) -> Tuning:
        """How it searches, and why."""
        return self._held.tuning

    def __len__(self) -> int:
        return len(self._held.ids)

    def ids(self) -> Ids:
        return self._held.ids

    def take(self, places: Ids) -> Vectors:
        """The vectors (n, d) at these places of `ids()`. Raises IndexDamaged when one is not what was written."""
        return self._held.rows.take(np.asarray(places, dtype=np.int64))

    # ── changing ──

    def apply(self, ids: Ids, vectors: Vectors, removed: Ids, upto: int) -> None:
        held = self._held
        ids, vectors, removed = accept(ids, vectors, removed, self._dim)
        gone = _places(held.ids, np.concatenate([removed, ids]))
        if not len(ids) and not len(gone):
            self._held = replace(held, position=upto)
            return
        rows = held.rows
        at = np.arange(len(held.ids)) if rows.at is None else rows.at
        first = rows.stored + len(rows.newer)
        if len(ids):
            rows.newer.append(vectors, self._scratch)
            if held.lists is not None:
                held.lists.add(ids, vectors)
        kept = held.ids
        if len(gone):
            kept, at = np.delete(kept, gone), np.delete(at, gone)
        kept, at = np.concatenate([kept, ids]), np.concatenate([at, np.arange(first, first + len(ids))])
        if len(kept) > 1 and not (np.diff(kept) > 0).all():
            order = np.argsort(kept)
            kept, at = kept[order], at[order]
        self._held = replace(held, position=upto, ids=kept, rows=rows.followed(at))

    def tune(self, recall: float, *, anew: bool = False) -> None:
        """Choose the form for the rows held and measure how deep to search for this recall; with `anew`, learn
        everything from the rows held now. Costs nothing while little has changed."""
        held, began = self._held, time.perf_counter()
        count, lists, now = len(held.ids), held.lists, held.tuning
        if count < LISTS_FROM or recall >= 1:
            why = (
                f"{counted(count, 'row')}, fewer than {LISTS_FROM}: comparing all is fast"
                if recall < 1
                else "exact was asked"
            )
            self._held = replace(held, lists=None, tuning=Tuning("exact", why, recall, count))
            return
        dead = 0.0 if lists is None else 1 - count / max(1, len(lists))
        learnt = now.learnt
        if lists is None or anew or count >= GROWN * learnt or dead > DEAD:
            lists, learnt = self._learnt(), count
        elif now.asked == recall and count < DRIFTED * now.rows:
            return
        found = tuning.tuned(lists, held.ids, held.rows.take, recall)
        seconds = round(time.perf_counter() - began, 1)
        if found is None:
            why = f"no depth of search in quantised lists reached recall {recall} on this collection's vectors"
            self._held = replace(held, lists=None, tuning=Tuning("exact", why, recall, count, seconds=seconds))
            return
        why = f"{count} rows, {LISTS_FROM} or more: candidates from quantised lists, ranked by their exact rows"
        chosen = Tuning("lists", why, recall, count, learnt, lists.count, tuning.QUERIES, found, seconds)
        self._held = replace(held, lists=lists, tuning=chosen)

    def _learnt(self) -> Lists:
        held = self._held
        lists = quantised.count_for(len(held.ids))
        wanted = max(quantised.LEAST, lists * quantised.TRAINED_ON)
        random = np.random.default_rng(len(held.ids))
        chosen = np.sort(random.permutation(len(held.ids))[:wanted])
        return quantised.filled(quantised.train(held.rows.take(chosen), lists), self._blocks())

    def _blocks(self) -> Iterator[tuple[Ids, Vectors]]:
        for block in steps(len(self._held.ids)):
            yield self._held.ids[block], self._held.rows.take(block)

    # ── searching ──

    def search(self, queries: Vectors, k: int, permitted: Permitted) -> list[Ranking]:
        held = self._held
        queries, bitmap = questions(queries, self._dim), permitted.bitmap()
        if k < 1 or not len(held.ids):
            return [[] for _ in queries]
        count = bitmap.count()
        if count <= max(FEW, k) or held.lists is None:
            return _compared(held, queries, k, bitmap, count)
        selector = self._selector(bitmap, count)
        share = 1.0 if selector is None else min(1.0, count / len(held.ids))
        return [_found(held, held.lists, query, k, bitmap, selector, share) for query in queries]

    def _selector(self, bitmap: Bitmap, count: int) -> Selector | None:
        """The permitted set as FAISS takes it, None when it is all that is held; the last one is kept."""
        last = self._last
        if last is None or last[0] is not bitmap:
            ids = self._held.ids
            everything = count >= len(ids) and bool(bitmap.mask(ids).all())
            last = (bitmap, None if everything else Selector(bitmap))
            self._last = last
        return last[1]

    def save(self, folder: Path) -> None:
        held = self._held
        write_state(folder, held.position, self._dim, held.ids)
        stored.write(folder, (rows for _, rows in self._blocks()))
        held.tuning.save(folder)
        if held.lists is not None:
            held.lists.save(folder)


def _places(held: Ids, wanted: Ids) -> Ids:
    """Where the wanted ids stand among those held; those not held are left out."""
    return find(held, wanted)[1]


def _compared(held: _Held, queries: Vectors, k: int, bitmap: Bitmap, count: int) -> list[Ranking]:
    """The k nearest, by comparing all that are permitted."""
    ids = held.ids
    if SPARSE * count < len(ids):
        return _gathered(held, queries, k, _places(ids, bitmap.ids()))
    inside = bitmap.mask(ids)
    whole = held.rows.whole()
    if whole is None:
        return _gathered(held, queries, k, np.flatnonzero(inside))
    return scan(queries, ids, whole, k, None if inside.all() else inside)


def _gathered(held: _Held, queries: Vectors, k: int, places: Ids) -> list[Ranking]:
    """The k nearest of the rows at these places, so many at a time that they fit into memory."""
    rankings: list[Ranking] = [[] for _ in queries]
    for block in steps(len(places)):
        some = places[block]
        rankings = [
            _merged(before, more, k)
            for before, more in zip(rankings, scan(queries, held.ids[some], held.rows.take(some), k), strict=True)
        ]
    return rankings


def _merged(one: Ranking, other: Ranking, k: int) -> Ranking:
    if not one or not other:
        return one or other
    return nearest([one, other], k)


def _found(
    held: _Held, lists: Lists, query: Vectors, k: int, bitmap: Bitmap, selector: Selector | None, share: float
) -> Ranking:
    """The k nearest among the candidates that the lists name. Looks deeper while the last candidate's quantised score
    is as good as that of a hit (equal rows have equal scores), or while there are too few. query (d,)"""
    probed, fetch = held.tuning.at(k, share)
    while fetch <= min(len(held.ids), 64 * k + 16_384):
        named, scores = lists.candidates(query[None, :], fetch, probed, selector)
        if len(named) < fetch and probed < lists.count:
            probed = lists.count  # what is permitted lies elsewhere
            continue
        first = np.argsort(named, kind="stable")  # an id stands in the lists twice where its row was replaced
        first = first[np.concatenate([[True], np.diff(named[first]) > 0])] if len(named) else first
        chosen = named[first]
        there, at = find(held.ids, chosen)  # a removed row stays in the lists until they are written anew
        ranking = scan(query[None, :], chosen[there], held.rows.take(at), k)[0]
        if len(named) < fetch:
            if len(ranking) == k:
                return ranking  # every permitted row was looked at
            break  # or nearly: FAISS leaves out those of the lowest score that there can be
        if len(ranking) == k:
            hits = chosen.searchsorted(ids_of(ranking))
            if scores[first[hits]].min() > scores[-1]:
                return ranking
        fetch *= 4
    return _compared(held, query[None, :], k, bitmap, bitmap.count())[0]


def new(dim: int, scratch: Path | None = None) -> FaissVectors:
    """An empty index."""
    rows = HeldRows(None, Spool(dim), np.empty(0, np.int64))
    return FaissVectors(_Held(0, np.empty(0, np.int64), rows, None, Tuning("exact", "empty", 0, 0)), dim, scratch)


def open(folder: Path, scratch: Path | None = None) -> FaissVectors:
    """What `save` wrote. Raises OSError or ValueError when it is not there or not such an index."""
    position, dim, ids = read_state(folder)
    told = tuning.read(folder)
    rows = StoredRows(folder, dim)
    if len(rows) != len(ids):
        raise ValueError(f"{folder}: {len(ids)} ids but {len(rows)} rows")
    lists = quantised.read(folder / quantised.FILE, dim) if told.form == "lists" else None
    if lists is not None and lists.count != told.lists:
        raise ValueError(f"{folder}: {lists.count} lists, but tuned for {told.lists}")
    return FaissVectors(_Held(position, ids, HeldRows(rows, Spool(dim), None), lists, told), dim, scratch)
