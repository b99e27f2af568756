"""Hashed word n-grams as unit vectors: needs no model and is for tests only.

Words and pairs of neighbouring words are hashed to signed dimensions, counted on a log scale and normalised, so texts
that share words are near each other. It knows nothing of meaning: a real index is built with a real model.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ingest.types import CountTokens
from rag.errors import WrongSetting
from rag.types import Vectors

WORD = re.compile(r"\w+")
MAX_TOKENS = 256  # as the default model, so that chunks come out of a like size


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(WORD.findall(text)) + 2 for text in texts]


def words_counter() -> CountTokens:
    return count_words


class Hashing:
    """A lexical embedder. One word is one token, and two more stand for the special tokens of a model."""

    def __init__(self, dim: int) -> None:
        self.name = f"hashing:{dim}"
        self.fingerprint = f"hashing/{dim}/1"
        self.dim = dim
        self.max_tokens = MAX_TOKENS

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return count_words(texts)

    def counter(self) -> Callable[[], CountTokens]:
        """Makes `count_tokens` in another process; can be pickled."""
        return words_counter

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text (n, dim); a text without words gets the first unit vector. No length limit is applied."""
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:] = self._row(text)
        return rows

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """As embed_queries. Raises ValueError for a text over max_tokens, as every embedder does."""
        for number, count in enumerate(self.count_tokens(texts)):
            if count > self.max_tokens:
                raise ValueError(f"passage {number} has {count} tokens, over the {self.max_tokens} of {self.name}")
        return self.embed_queries(texts)

    def _row(self, text: str) -> Vectors:
        words = WORD.findall(text.lower())
        grams = Counter(words) + Counter(f"{a} {b}" for a, b in pairwise(words))
        row = np.zeros(self.dim)
        for gram, count in sorted(grams.items()):  # sorted: the order of a sum shows in its last bit
            value = int.from_bytes(hashlib.blake2b(gram.encode("utf-8", "replace"), digest_size=8).digest(), "little")
            weight = 1 + math.log(count)
            row[(value >> 1) % self.dim] += weight if value & 1 else -weight
        length = float(np.linalg.norm(row))
        if not length:  # no words, or all of them cancelled out
            row[0], length = 1, 1
        return (row / length).astype(np.float32)


def load(rest: str, *, models_dir: Path, threads: int | None = None) -> Hashing:
    """The hashing embedder of `rest` dimensions. Raises WrongSetting unless it is a whole number from 8 to 65,536."""
    if not rest.isascii() or not rest.isdigit() or not 8 <= int(rest) <= 65_536:
        raise WrongSetting(f"hashing:{rest}: write the number of dimensions, 8 to 65536, as in hashing:256")
    return Hashing(int(rest))
