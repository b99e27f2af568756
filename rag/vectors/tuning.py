"""How deep an approximate search must look for the recall that is asked, measured against exact search on the
collection's own vectors."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.types import Bitmap, Ids, Vectors
from rag.vectors.lists import Lists, Selector
from rag.vectors.rows import steps

FILE = "tuning.json"
RECALL = 0.99  # asked where nothing else is
SHARES = (1.0, 0.5, 0.05)  # of the rows permitted, drawn at random; with fewer, every list is probed
DEPTHS = (10, 100)  # hits wanted
QUERIES = 256
AWAY = 1.6  # how far from a row a query lies, in lengths of a row
DEEPEST = (2_048, 8_192)  # candidates looked at: the second only where the first does not reach the recall
SPARE = 0.5  # of the errors allowed, what is kept in hand: questions are not quite like the rows tuned on
TIMED = 32  # queries timed for the report

SCAN_NS, ENTER_NS, FETCH_NS = 6.0, 1_000.0, 800.0
"""What scanning a row, entering a list and looking at a candidate's exact row cost, for choosing between settings that
reach the same recall. Fixed, so that the same rows are always searched alike; the report tells measured times."""

Take = Callable[[Ids], Vectors]
"""The rows at these places."""


@dataclass(frozen=True, slots=True)
class Step:
    """How to look for the k nearest when this share is permitted, and what that gave on the sample."""

    share: float
    k: int
    probed: int  # lists
    fetch: int  # candidates ranked by their exact rows
    recall: float
    latency_ms: float  # median, one query on one thread, as measured when it was built


@dataclass(frozen=True, slots=True)
class Tuning:
    """How an index searches, and why."""

    form: str  # "exact" or "lists"
    why: str
    asked: float  # recall
    rows: int  # when it was tuned
    learnt: int = 0  # rows held when the quantiser was learnt
    lists: int = 0
    queries: int = 0
    steps: tuple[Step, ...] = ()
    seconds: float = 0.0  # what learning and tuning took

    def at(self, k: int, share: float) -> tuple[int, int]:
        """Lists to probe and candidates to fetch for the k nearest among this share. Fewer permitted want more lists,
        more permitted want more candidates: what was measured on either side of the share is enough."""
        below = [step for step in self.steps if step.share <= share]
        nearest = max((step.share for step in below), default=0.0)
        fetches = [max(step.fetch for step in self.steps if step.k == depth) for depth in DEPTHS]
        probes = [
            max((step.probed for step in below if (step.k, step.share) == (depth, nearest)), default=self.lists)
            for depth in DEPTHS
        ]
        few, many = DEPTHS
        part, more = min(1.0, max(0.0, (k - few) / (many - few))), max(1.0, k / many)
        fetch, probed = (round((one + part * (other - one)) * more) for one, other in (fetches, probes))
        return min(self.lists, max(1, probed)), max(k, fetch)

    def recall(self, k: int) -> float | None:
        """What was measured for the k nearest of all; None where nothing was, because search is exact."""
        return next((step.recall for step in self.steps if step.k == k and step.share == 1), None)

    def save(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Tuning:
    """What `save` wrote. Raises OSError or ValueError when it is not there or not readable."""
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    try:
        return Tuning(**{**told, "steps": tuple(Step(**step) for step in told["steps"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / FILE} is not a tuning: {error}") from error


def tuned(lists: Lists, ids: Ids, take: Take, asked: float) -> tuple[Step, ...] | None:
    """The cheapest settings that reach the recall at each share and depth; None when none do. ids (n,), ascending"""
    random = np.random.default_rng(len(ids))
    queries = sample(len(ids), take, random)
    masks = [random.random(len(ids)) < share for share in SHARES]  # share 1: all
    truths = nearest(queries, len(ids), take, masks, min(max(DEPTHS), len(ids)))
    found: list[Step] = []
    for share, mask, truth in zip(SHARES, masks, truths, strict=True):
        selector = None if share == 1 else Selector(Bitmap.of(ids[mask]))
        some = QUERIES if share == 1 else QUERIES // 2
        for k in DEPTHS:
            step = _cheapest(lists, queries[:some], ids, truth[:some, :k], selector, (share, k, asked))
            if step is None:
                return None
            found.append(step)
    return tuple(found)


def sample(count: int, take: Take, random: np.random.Generator) -> Vectors:
    """Queries (q, d) as hard as questions: rows, moved away from themselves along the difference of two others.

    Rows as they are would be too easy: tuned to recall 0.992 on them, real questions got 0.948. Moved this far, the
    two agree within 0.004 wherever lists are not the limit.
    """
    chosen = random.integers(0, count, (QUERIES, 3))
    places, back = np.unique(chosen, return_inverse=True)
    rows = take(places)[back.reshape(chosen.shape)]  # (q, 3, d)
    return unit(rows[:, 0] + AWAY * unit(rows[:, 1] - rows[:, 2]))


def unit(rows: Vectors) -> Vectors:
    """The same directions at length 1; zeros stay.  (n, d) → (n, d)"""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def nearest(queries: Vectors, count: int, take: Take, masks: Sequence[NDArray[np.bool_]], k: int) -> list[Ids]:
    """For each mask (n,) the places (q, k) of the k nearest rows in it; -1 where there are fewer."""
    scores = [np.full((len(queries), k), -np.inf, np.float32) for _ in masks]
    places = [np.full((len(queries), k), -1, np.int64) for _ in masks]
    for block in steps(count):
        products = queries @ take(block).T  # (q, b)
        for best, where, mask in zip(scores, places, masks, strict=True):
            better = (products > best[:, -1:]) & mask[block]
            for row in np.flatnonzero(better.any(axis=1)):
                columns = np.flatnonzero(better[row])
                merged = np.concatenate([best[row], products[row, columns]])
                order = np.argsort(-merged, kind="stable")[:k]
                where[row] = np.concatenate([where[row], block[columns]])[order]
                best[row] = merged[order]
    return places


def _cheapest(
    lists: Lists,
    queries: Vectors,
    ids: Ids,
    truth: Ids,
    selector: Selector | None,
    wanted: tuple[float, int, float],
) -> Step | None:
    share, k, asked = wanted
    goal = min(1.0, asked + SPARE * (1 - asked))
    real = truth >= 0
    best: tuple[float, int, int, float] | None = None
    for deepest in DEEPEST:
        for probed in _ladder(lists.count):
            scanning = probed / lists.count * len(lists) * SCAN_NS + probed * ENTER_NS
            if best is not None and scanning >= best[0]:
                break
            ranks = _ranks(lists, queries, np.where(real, ids[truth], -1), probed, deepest, selector)
            for fetch in _fetches(k, deepest):
                recall = float((ranks < fetch)[real].mean()) if real.any() else 1.0
                if recall >= goal:
                    cost = scanning + fetch * FETCH_NS
                    if best is None or cost < best[0]:
                        best = (cost, probed, fetch, recall)
                    break
        if best is not None:
            _, probed, fetch, recall = best
            return Step(share, k, probed, fetch, round(recall, 4), _latency(lists, queries, fetch, probed, selector))
    return None


def _ladder(lists: int) -> Iterator[int]:
    probed = max(1, lists // 32)
    while probed < lists:
        yield probed
        probed *= 2
    yield lists


def _fetches(k: int, deepest: int) -> Iterator[int]:
    factor = 2.0
    while factor * k < deepest:
        yield int(factor * k)
        factor *= 1.25
    yield deepest


def _ranks(
    lists: Lists, queries: Vectors, truth: Ids, probed: int, deepest: int, selector: Selector | None
) -> NDArray[np.float64]:
    """At which place, from 0, the quantised scores name each true neighbour: (q, k), infinite where they do not."""
    ranks = np.full(truth.shape, np.inf)
    for row, query in enumerate(queries):
        found, _ = lists.candidates(query[None, :], deepest, probed, selector)
        if probed == lists.count and len(found) < (truth[row] >= 0).sum():
            ranks[row] = 0  # too few to answer from: a search then compares all
        elif len(found):
            order = np.argsort(found, kind="stable")
            at = np.minimum(np.searchsorted(found[order], truth[row]), len(found) - 1)
            here = found[order[at]] == truth[row]
            ranks[row, here] = order[at][here]
    return ranks


def _latency(lists: Lists, queries: Vectors, fetch: int, probed: int, selector: Selector | None) -> float:
    taken = []
    for query in queries[:TIMED]:
        began = time.perf_counter()
        lists.candidates(query[None, :], fetch, probed, selector)
        taken.append(time.perf_counter() - began)
    return round(float(np.median(taken)) * 1000, 3)
