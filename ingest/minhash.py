"""MinHash signatures and LSH bands: which texts are nearly the same, found without comparing all pairs.

A signature estimates the Jaccard similarity of two shingle sets by the share of its bins that agree. It is made by one
permutation hashing (Li, Owen and Zhang 2012): the set is hashed once and each of BINS ranges of hash values keeps its
smallest; a bin left empty by a short text borrows from one that is not, in an order of its own ("optimal
densification", Shrivastava 2017), which keeps the estimate unbiased. Of each minimum 16 bits are kept (b-bit minwise
hashing, Li and König 2010). Bands of r bins that agree entirely make two texts candidates (Indyk and Motwani 1998);
every candidate is verified by the true Jaccard, so what is reported is exact, and only what is missed is by chance.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from ingest.shingles import Shingles, ShingleSets, jaccard, shingle_sets

BINS = 128
SIGNATURE_BYTES = 2 * BINS
RECALL = 0.99  # expected share of pairs exactly at the threshold that become candidates

_MATRIX = NDArray[np.uint16]  # (n, BINS)
_BATCH = 256  # texts whose signatures are made at once
_BACKGROUND = 0.03  # Jaccard that unrelated texts of one subject have, and how many of them there are:
_MANY = 100_000  # what a band too short would cost


def signature(shingles: Shingles) -> bytes:
    """The MinHash signature of a shingle set, SIGNATURE_BYTES long, the same on every machine."""
    return _signatures(ShingleSets(shingles, np.array([0, len(shingles)]))).tobytes()


def text_signature(text: str) -> bytes:
    """The signature of a text; for a child process."""
    return signatures([text])[0]


def signatures(texts: Sequence[str]) -> list[bytes]:
    """The signature of each text: the same as one by one, several times as fast for short texts."""
    found: list[bytes] = []
    for start in range(0, len(texts), _BATCH):
        found += map(bytes, _signatures(shingle_sets(texts[start : start + _BATCH])))
    return found


def estimate(a: bytes, b: bytes) -> float:
    """An unbiased estimate of the Jaccard similarity; standard deviation at most 0.045, for a few shingles 0.06."""
    return float(np.count_nonzero(_matrix([a]) == _matrix([b]))) / BINS


def estimates(one: bytes, others: Sequence[bytes]) -> NDArray[np.float64]:
    """The estimate for one against each of the others.  → (n,)"""
    agree = (_matrix(others) == _matrix([one])).sum(axis=1, dtype=np.float64)
    return np.asarray(agree / BINS)


def least_estimate(threshold: float) -> float:
    """The estimate under which a pair is not worth verifying: five standard deviations below the threshold."""
    return threshold - 5 * math.sqrt(threshold * (1 - threshold) / BINS)


@lru_cache(maxsize=64)
def band_shape(threshold: float) -> tuple[int, int]:
    """How many bands of how many bins: (b, r).

    Of all shapes by which a pair exactly at the threshold becomes a candidate with a probability of at least RECALL,
    1 - (1 - t^r)^b, the one that costs least: a lookup a band, and a verification for each unrelated text that shares
    one by chance. Raises ValueError unless the threshold is within 0.2…1.
    """
    if not 0.2 <= threshold <= 1:
        raise ValueError(f"a near-duplicate threshold of {threshold} finds nothing useful; choose one of 0.2 to 1")
    shapes = []
    for rows in range(1, BINS + 1):
        agree = threshold**rows
        count = 1 if agree == 1 else math.ceil(math.log(1 - RECALL) / math.log1p(-agree))
        if count * rows <= BINS:
            shapes.append((count * (1 + _MANY * _BACKGROUND**rows), count, rows))
    _, count, rows = min(shapes)
    return count, rows


def bands(signature: bytes, threshold: float) -> list[int]:
    """The LSH keys of a signature, signed 64 bits: texts that share one are candidates at this threshold.

    A key names its band and the bins in it, so keys of different bands, or of bands of different length, do not meet.
    """
    return band_keys([signature], threshold)[0]


def band_keys(signatures: Sequence[bytes], threshold: float) -> list[list[int]]:
    """The LSH keys of each signature."""
    keys: list[list[int]] = _keys(_matrix(signatures), threshold).tolist()
    return keys


class NearIndex:
    """Texts in memory, and which earlier ones each new one is nearly the same as.

    Every pair reported has exactly the Jaccard similarity given, at or above the threshold; a pair at the threshold is
    found with a probability of about RECALL, a nearer one more surely. Holds the shingles: about ten bytes a word.
    """

    def __init__(self, threshold: float) -> None:
        band_shape(threshold)
        self.threshold = threshold
        self._names: list[str] = []
        self._sets: list[Shingles] = []
        self._holders: dict[int, int | list[int]] = {}  # by band key; alone as it mostly is, a holder needs no list

    def __len__(self) -> int:
        return len(self._names)

    def add(self, key: str, shingles: Shingles) -> list[tuple[str, float]]:
        """Add a text under a key; the earlier ones near to it with their Jaccard similarity, in order of addition."""
        return self.add_all([key], ShingleSets(shingles, np.array([0, len(shingles)])))[0]

    def add_all(self, keys: Sequence[str], sets: ShingleSets) -> list[list[tuple[str, float]]]:
        """Add texts, each compared with those before it, also within the batch: the same as one by one, faster."""
        found = []
        rows = _keys(_signatures(sets), self.threshold).tolist()
        for i, (key, row) in enumerate(zip(keys, rows, strict=True)):
            mine = sets[i]
            number = len(self._sets)
            candidates = self._exchange(row, number)
            self._names.append(key)
            self._sets.append(mine)
            found.append(list(self._verified(mine, sorted(candidates))) if candidates else [])
        return found

    def _exchange(self, row: Sequence[int], number: int) -> set[int]:
        """Enter a text under its band keys; the texts that stood there."""
        holders = self._holders
        candidates: set[int] = set()
        for band in row:
            there = holders.setdefault(band, number)
            if there is number:
                continue
            if isinstance(there, int):
                candidates.add(there)
                holders[band] = [there, number]
            else:
                candidates.update(there)
                there.append(number)
        candidates.discard(number)
        return candidates

    def _verified(self, mine: Shingles, candidates: Sequence[int]) -> Iterator[tuple[str, float]]:
        for other in candidates:
            similarity = near(mine, self._sets[other], self.threshold)
            if similarity is not None:
                yield self._names[other], similarity


def near(a: Shingles, b: Shingles, threshold: float) -> float | None:
    """The Jaccard similarity where it reaches the threshold, else None."""
    if min(len(a), len(b)) / max(len(a), len(b)) < threshold:
        return None  # sets of so different sizes cannot
    similarity = jaccard(a, b)
    return similarity if similarity >= threshold else None


def _matrix(signatures: Sequence[bytes]) -> _MATRIX:
    if any(len(one) != SIGNATURE_BYTES for one in signatures):
        raise ValueError(
            f"a signature has {SIGNATURE_BYTES} bytes; these were made by another version: make them again"
        )
    return np.frombuffer(b"".join(signatures), "<u2").reshape(len(signatures), BINS)


def _signatures(sets: ShingleSets) -> _MATRIX:
    """One permutation hashing of every set.  → (n, BINS)"""
    values, bounds = sets.values, sets.bounds
    # The top bits choose the bin. Sets are sorted, so a bin's smallest value is the first that falls into it.
    places = (values >> np.uint64(64 - 7)).astype(np.int64)
    places += np.repeat(np.arange(len(sets)) * BINS, np.diff(bounds))
    first = np.ones(len(places), bool)
    np.not_equal(places[1:], places[:-1], out=first[1:])
    filled = np.zeros(len(sets) * BINS, bool)
    found = np.zeros(len(sets) * BINS, np.uint16)
    filled[places[first]] = True
    # The low bits: the order of values says nothing of them.
    found[places[first]] = (values[first] & np.uint64(0xFFFF)).astype(np.uint16)
    _densify(found, filled)
    return found.reshape(len(sets), BINS).astype("<u2", copy=False)


def _densify(found: NDArray[np.uint16], filled: NDArray[np.bool_]) -> None:
    """Each empty bin takes the value of the first filled one in its own random order of all bins."""
    order = _orders()
    empty = np.flatnonzero(~filled)
    values = found.copy()
    for attempt in range(BINS):
        if not len(empty):
            break
        bins = empty % BINS
        donors = empty - bins + order[attempt].take(bins)
        good = filled.take(donors)
        values[empty[good]] = found.take(donors[good])
        empty = empty[~good]
    found[:] = values


@cache
def _orders() -> NDArray[np.int64]:
    """In row j, for each bin the j-th bin it asks; column by column a permutation, the same everywhere."""
    state = 0x2545F4914F6CDD1D
    orders = np.empty((BINS, BINS), np.int64)
    for column in range(BINS):
        bins = list(range(BINS))
        for i in range(BINS - 1, 0, -1):  # Fisher and Yates, by a generator that no library can change
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            j = (state >> 33) % (i + 1)
            bins[i], bins[j] = bins[j], bins[i]
        orders[:, column] = bins
    return orders


def _keys(matrix: _MATRIX, threshold: float) -> NDArray[np.int64]:
    """The band keys of each signature.  (n, BINS) → (n, b)"""
    count, rows = band_shape(threshold)
    bins = matrix[:, : count * rows].reshape(len(matrix), count, rows).astype(np.uint64)
    keys = np.full((len(matrix), count), rows, np.uint64) + np.arange(count, dtype=np.uint64) * np.uint64(256)
    keys *= np.uint64(0x9E3779B97F4A7C15)
    for i in range(rows):
        keys ^= keys >> np.uint64(29)
        keys += bins[:, :, i]
        keys *= np.uint64(0xBF58476D1CE4E5B9)
    keys ^= keys >> np.uint64(32)
    return keys.view(np.int64)
