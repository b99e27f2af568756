"""The terms of some chunks, numbered in the order of their bytes: read from disk as they are, nothing is loaded."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

REMEMBERED = 2_000  # terms whose numbers are kept once looked up


class Vocabulary:
    """Different terms in ascending order; a term's number is its place. Never changed.

    text (bytes,), the terms one after the other in UTF-8; ends (n,), where each one ends in it.
    """

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        if int(ends[-1] if len(ends) else 0) != len(text):
            raise ValueError(f"a vocabulary of {len(text)} bytes whose last term ends elsewhere")
        self.text, self.ends = text, ends
        self._met: dict[str, int | None] = {}
        self._text, self._ends = memoryview(text.data), memoryview(ends.data)

    @classmethod
    def of(cls, terms: Sequence[str]) -> "Vocabulary":
        """Of terms that are in ascending order already."""
        encoded = [term.encode("utf-8", "surrogatepass") for term in terms]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        return len(self._ends)

    def _bytes(self, number: int) -> bytes:
        return bytes(self._text[self._ends[number - 1] if number else 0 : self._ends[number]])

    def number(self, term: str) -> int | None:
        """Its number; None for a term that is not among them."""
        if term in self._met:
            return self._met[term]
        wanted = term.encode("utf-8", "surrogatepass")
        at = bisect_left(range(len(self)), wanted, key=self._bytes)
        found = at if at < len(self) and self._bytes(at) == wanted else None
        if len(self._met) < REMEMBERED:
            self._met[term] = found
        return found

    def terms(self) -> list[str]:
        """All of them, in ascending order."""
        text, found, start = bytes(self._text), [], 0
        for end in self.ends.tolist():
            found.append(text[start:end].decode("utf-8", "surrogatepass"))
            start = end
        return found

    @cached_property
    def _letters(self) -> NDArray[np.uint32]:
        """Which bytes each term holds, by their last five bits.  → (n,)"""
        bits = np.uint32(1) << (np.asarray(self.text) & np.uint8(31)).astype(np.uint32)
        starts = np.concatenate([[0], self.ends[:-1]])
        return np.bitwise_or.reduceat(bits, starts) if len(starts) and len(bits) else np.zeros(len(self), np.uint32)

    def alike(self, term: str, spread: int) -> list[str]:
        """Those among which are all that differ from a term in so many bytes (and some others), in ascending order."""
        wanted = np.frombuffer(term.encode("utf-8", "surrogatepass"), np.uint8)
        letters = np.bitwise_or.reduce(np.uint32(1) << (wanted & np.uint8(31)).astype(np.uint32))
        size = np.diff(self.ends, prepend=0)
        near = np.abs(size - len(wanted)) <= spread
        if len(self):
            near &= np.bitwise_count(self._letters ^ letters) <= 2 * spread
        return [self._bytes(number).decode("utf-8", "surrogatepass") for number in np.flatnonzero(near).tolist()]
