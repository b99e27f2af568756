"""How fast near-duplicates are found, and how surely, in memory and in SQL, beside datasketch and the truth.

Run: python benchmarks/neardup.py [COUNT]; texts of about 200 words are recombined at sentence level from the
documentation folders of the shared test data, one in ten a copy of an earlier one with words changed (seeded). The
truth is the true Jaccard of all pairs. One thread.
"""

import math
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
from measuring import DATA, write
from numpy.typing import NDArray

from ingest.languages.sentences import sentences
from ingest.minhash import NearIndex, band_keys, band_shape, signatures
from ingest.shingles import ShingleSets, jaccard, shingle_sets

THRESHOLD = 0.7
COUNT = 100_000
PEER_COUNT = 20_000  # datasketch takes the first so many: its rate does not depend on how many there are
BATCH = 256
WORDS = 200
PLANTED = 0.1
SEED = 3

Pairs = dict[tuple[int, int], float]  # (earlier, later) → similarity


@dataclass(frozen=True)
class Found:
    """One run: what it found and how long it took."""

    pairs: set[tuple[int, int]]
    seconds: float
    cpu_seconds: float  # of this process: what others on the machine take does not count
    stages: Mapping[str, float]  # seconds
    grown_mb: float  # resident memory at its highest after a batch, less that before


class Clock:
    """Time and memory since it was made."""

    def __init__(self) -> None:
        self.highest = self.resident = resident_mb()
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def look(self) -> None:
        self.highest = max(self.highest, resident_mb())

    def found(self, pairs: set[tuple[int, int]], first: str, seconds: float, rest: str) -> Found:
        """What was found until now; `first` is the stage that took so many seconds, `rest` the other."""
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        return Found(pairs, wall, cpu, {first: seconds, rest: wall - seconds}, self.highest - self.resident)


def resident_mb() -> float:
    """What this process holds in memory itself; pages of a database file that is mapped are the system's."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1024


def pool() -> list[str]:
    """The distinct sentences of the documentation folders, in a fixed order."""
    found: dict[str, None] = {}
    for file in sorted(DATA.glob("docs-*/**/*.md")):
        text = file.read_text(errors="replace")
        for start, end in sentences(text):
            sentence = " ".join(text[start:end].split())
            if 4 <= len(sentence.split()) <= 60 and sentence.isascii():
                found[sentence] = None
    return list(found)


def generate(count: int) -> list[str]:
    """Texts of about 200 words, mostly distinct; one in ten is an earlier one with 0…14 words changed."""
    choose = random.Random(SEED)
    sentence_pool = pool()
    vocabulary = sorted({word for sentence in sentence_pool for word in sentence.split()})
    texts: list[str] = []
    for number in range(count):
        if number and choose.random() < PLANTED:
            texts.append(_edited(texts[choose.randrange(number)], vocabulary, choose))
            continue
        parts: list[str] = []
        words = 0
        while words < WORDS - 15:
            parts.append(choose.choice(sentence_pool))
            words += len(parts[-1].split())
        texts.append(" ".join(parts))
    return texts


def _edited(text: str, vocabulary: Sequence[str], choose: random.Random) -> str:
    """A text with up to 14 words replaced, left out or added: its Jaccard to the first is about 0.5…1."""
    words = text.split()
    for _ in range(choose.randrange(15)):
        place = choose.randrange(len(words))
        kind = choose.randrange(3)
        words[place : place + (kind != 2)] = [choose.choice(vocabulary)] if kind else []
    return " ".join(words)


def truth(sets: ShingleSets) -> Pairs:
    """Every pair at or above the threshold, exactly.

    Two sets of n and m shingles that are so alike share one among the n - ceil(t n) + 1 rarest of the first and the
    like of the second, whatever the order of rarity (prefix filtering: Bayardo, Ma and Srikant 2007). So all pairs that
    share a rare one are compared in full, and no other pair can be near.
    """
    _, shingle, counts = np.unique(sets.values, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    ranks = rank[shingle]
    rare = []
    for begin, end in pairwise(sets.bounds.tolist()):
        size = end - begin
        rare.append(np.sort(ranks[begin:end])[: size - math.ceil(THRESHOLD * size - 1e-9) + 1])
    holder = np.repeat(np.arange(len(sets)), [len(one) for one in rare])
    flat = np.concatenate(rare)
    order = np.argsort(flat, kind="stable")  # within one shingle its holders stay in ascending order
    flat, holder = flat[order], holder[order]
    begins = np.searchsorted(flat, flat)
    lengths = np.arange(len(flat)) - begins
    keys = np.unique(np.repeat(holder, lengths) * len(sets) + holder[_ranges(begins, lengths)])
    found: Pairs = {}
    for later, earlier in zip(*(part.tolist() for part in np.divmod(keys, len(sets))), strict=True):
        similarity = jaccard(sets[earlier], sets[later])
        if similarity >= THRESHOLD:
            found[earlier, later] = similarity
    return found


def _ranges(begins: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """begins[0], begins[0] + 1, … as many as lengths[0]; then from begins[1] on, and so forth."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(begins - starts, lengths)


def batches(texts: Sequence[str]) -> Iterable[tuple[int, Sequence[str]]]:
    return ((start, texts[start : start + BATCH]) for start in range(0, len(texts), BATCH))


def in_memory(texts: Sequence[str]) -> Found:
    """NearIndex from texts to verified pairs."""
    index = NearIndex(THRESHOLD)
    pairs: set[tuple[int, int]] = set()
    hashing = 0.0
    clock = Clock()
    for start, part in batches(texts):
        before = time.perf_counter()
        sets = shingle_sets(part)
        hashing += time.perf_counter() - before
        found = index.add_all([str(start + i) for i in range(len(part))], sets)
        pairs.update((int(other), start + i) for i, near in enumerate(found) for other, _ in near)
        clock.look()
    return clock.found(pairs, "shingles", hashing, "signatures_bands_verification")


def in_sqlite(texts: Sequence[str], folder: Path) -> Found:
    """rag.store.duplicates.near from texts to verified pairs; stored texts are read back from the same database."""
    from sqlalchemy import Connection, insert, select

    from rag.embedders.hashing import Hashing
    from rag.store import collections, database
    from rag.store.duplicates import near
    from rag.store.tables import contents

    opened = database.connect(f"sqlite:///{folder / 'rag.db'}")
    database.upgrade(opened)
    digests = [opened.digest(f"{number}") for number in range(len(texts))]
    numbers = {digest: number for number, digest in enumerate(digests)}
    with opened.write() as connection:
        tenant = collections.ensure_tenant(connection)
        collection = collections.create(connection, tenant, "default", Hashing(64), {}).id
    for start, part in batches(texts):
        with opened.write() as connection:
            connection.execute(
                insert(contents),
                [
                    {"collection_id": collection, "digest": digests[start + i], "title": "", "text": text,
                     "text_digest": b"", "outline": [], "created_at": database.now()}
                    for i, text in enumerate(part)
                ],
            )  # fmt: skip

    def stored(connection: Connection, wanted: Sequence[bytes]) -> dict[bytes, str]:
        query = select(contents.c.digest, contents.c.text).where(
            contents.c.collection_id == collection, contents.c.digest.in_(wanted)
        )
        return {bytes(row[0]): row[1] for row in connection.execute(query)}

    pairs: set[tuple[int, int]] = set()
    signing = 0.0
    clock = Clock()
    for start, part in batches(texts):
        before = time.perf_counter()
        made = signatures(part)
        signing += time.perf_counter() - before
        items = [near.Item(digests[start + i], text, made[i]) for i, text in enumerate(part)]
        with opened.write() as connection:
            found = near.match(
                connection, collection, "document", items, THRESHOLD, lambda wanted, c=connection: stored(c, wanted)
            )
        pairs.update((numbers[one.digest], start + i) for i, ones in enumerate(found) for one in ones)
        clock.look()
    result = clock.found(pairs, "signatures", signing, "lookup_verification_writing")
    opened.close()
    return result


def with_datasketch(texts: Sequence[str]) -> Found:
    """datasketch as its documentation says, in its quickest form: a batch update a text, query, insert."""
    from datasketch import MinHash, MinHashLSH

    words = re.compile(r"\w+").findall
    index = MinHashLSH(threshold=THRESHOLD, num_perm=128)
    pairs: set[tuple[int, int]] = set()
    signing = 0.0
    clock = Clock()
    for start, part in batches(texts):
        before = time.perf_counter()
        shingled = []
        for text in part:
            tokens = words(text.lower())
            shingled.append({" ".join(tokens[i : i + 5]).encode() for i in range(max(1, len(tokens) - 4))})
        made = MinHash.bulk(shingled, num_perm=128)
        signing += time.perf_counter() - before
        for i, one in enumerate(made):
            pairs.update((int(other), start + i) for other in index.query(one))
            index.insert(str(start + i), one)
        clock.look()
    return clock.found(pairs, "signatures", signing, "query_and_insert")


def by_definition(a: str, b: str) -> float:
    """The Jaccard similarity of two texts by sets of word tuples, without any of the code that is measured."""
    one, other = (
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
        for words in (re.findall(r"\w+", text.lower()) for text in (a, b))
    )
    return len(one & other) / len(one | other)


def judged(found: Found, known: Pairs, texts: Sequence[str]) -> dict[str, object]:
    """Rate, recall against the truth and precision by definition."""
    within = {pair for pair in known if pair[1] < len(texts)}
    right = sum(by_definition(texts[a], texts[b]) >= THRESHOLD for a, b in found.pairs)
    return {
        "documents": len(texts),
        "documents_per_s": len(texts) / found.seconds,
        "documents_per_cpu_s": len(texts) / found.cpu_seconds,
        "us_per_document": {name: 1e6 * seconds / len(texts) for name, seconds in found.stages.items()},
        "pairs": len(found.pairs),
        "recall": len(found.pairs & within) / len(within),
        "precision": right / len(found.pairs),
    }


def histogram(known: Pairs) -> dict[str, int]:
    edges = [THRESHOLD, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.01]
    values = np.array(list(known.values()))
    return {f"{low:.2f}": int(((values >= low) & (values < high)).sum()) for low, high in pairwise(edges)}


def main(count: int) -> None:
    texts = generate(count)
    signatures(texts[:BATCH])  # tables are made on first use
    load = {"before": os.getloadavg()}
    peer_texts = texts[:PEER_COUNT]
    with tempfile.TemporaryDirectory() as scratch:
        sqlite = in_sqlite(texts, Path(scratch))
        size_mb = (Path(scratch) / "rag.db").stat().st_size / 2**20
    memory = in_memory(texts)
    peer = with_datasketch(peer_texts)
    beside = in_memory(peer_texts)
    load["after"] = os.getloadavg()
    known = truth(shingle_sets(texts))
    made = signatures(texts[:BATCH])
    write(
        "neardup",
        {
            "texts": {"count": count, "words": float(np.mean([len(text.split()) for text in texts[:1000]]))},
            "threshold": THRESHOLD,
            "bands_rows": band_shape(THRESHOLD),
            "keys_per_document": len(band_keys(made, THRESHOLD)[0]),
            "true_pairs": {"all": len(known), "by_similarity": histogram(known)},
            "load_average": load,
            "in_memory": {**judged(memory, known, texts), "memory_grown_mb": memory.grown_mb},
            "sqlite": {
                **judged(sqlite, known, texts),
                "batch": BATCH,
                "memory_grown_mb": sqlite.grown_mb,
                "file_mb_with_texts": size_mb,
            },
            "datasketch": {"version": version("datasketch"), **judged(peer, known, peer_texts)},
            "in_memory_on_the_peers_texts": judged(beside, known, peer_texts),
            "ratio_to_datasketch": {
                "same_texts": peer.seconds / beside.seconds,
                "same_texts_cpu": peer.cpu_seconds / beside.cpu_seconds,
                "in_memory_all_cpu": (len(texts) / memory.cpu_seconds) / (len(peer_texts) / peer.cpu_seconds),
                "sqlite_all_cpu": (len(texts) / sqlite.cpu_seconds) / (len(peer_texts) / peer.cpu_seconds),
            },
        },
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
