"""A text becomes the set of its shingles, hashed: what near-duplicates are told by.

A shingle is five tokens in a row (Broder 1997, "On the resemblance and containment of documents"). A token is a
lower-cased word (`\\w+`); a combining mark belongs to the letter before it, so that Indic words stay whole. Scripts
that set no blanks between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) have each character with its marks as a
token: there a shingle is a character 5-gram, about one word of Thai and two or three of Chinese, and needs no
segmenter whose next version would cut differently. Text of several scripts simply mixes both.

All hashing is arithmetic modulo 2**64 on code points, the same in every process and on every machine. It is not keyed:
it tells texts apart, it keeps nothing secret.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

SIZE = 5  # tokens in a shingle

Shingles = NDArray[np.uint64]
"""Hashes of the shingles of a text, ascending, none twice; never empty."""

_PIECE = 2**15  # characters hashed in one go: the arrays stay in the processor's cache, however long a text is
_BASE = 0x9E3779B97F4A7C15
_STEP = 0xD1342543DE82EF95
_NONE, _WORD, _MARK, _LONE = range(4)
_LAST = 0x33480  # no letter, digit or mark stands beyond, as of Unicode 17
_LONE_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3041, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x9FFF),  # Han
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x20000, _LAST),
)


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """The shingles of several texts in one array."""

    values: Shingles  # those of text i are values[bounds[i]:bounds[i + 1]], ascending
    bounds: NDArray[np.int64]  # (n + 1,)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, index: int) -> Shingles:
        """Raises IndexError beyond the last."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.values[self.bounds[index] : self.bounds[index + 1]]

    def __iter__(self) -> Iterator[Shingles]:
        return (self[index] for index in range(len(self)))


def shingles(text: str) -> Shingles:
    """The hashed shingles of a text. One of fewer than five tokens is a single shingle. Linear in its length."""
    return shingle_sets([text]).values


def shingle_sets(texts: Sequence[str]) -> ShingleSets:
    """The hashed shingles of each text: the same as one by one, several times as fast for short texts."""
    hashes: list[NDArray[np.uint64]] = [np.empty(0, np.uint64)]
    counts: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    for group in _groups([text.lower() for text in texts]):
        tokens, ends = _tokens_of(group)
        values, bounds = _shingled(tokens, np.diff(ends, prepend=0), group)
        hashes.append(values)
        counts.append(np.diff(bounds))
    return ShingleSets(np.concatenate(hashes), np.cumsum(np.concatenate(counts)))


def jaccard(a: Shingles, b: Shingles) -> float:
    """|a ∩ b| / |a ∪ b|, 0…1; exactly 1.0 for equal sets only."""
    both = np.concatenate((a, b))
    both.sort()
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / (len(both) - shared)


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Runs of texts that are hashed together; a long text stands alone."""
    group: list[str] = []
    size = 0
    for text in texts:
        if group and size + len(text) > _PIECE:
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text) + 1
    if group:
        yield group


def _tokens_of(group: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hashed tokens of all texts of a group, and where those of each text end."""
    if len(group) == 1:
        parts = [_tokens(f"\n{piece}\n")[1] for piece in _pieces(group[0])]
        tokens = np.concatenate(parts) if len(parts) > 1 else parts[0]
        return tokens, np.array([len(tokens)])
    starts, tokens = _tokens("\n" + "\n".join(group) + "\n")
    last = np.cumsum(np.fromiter(map(len, group), np.int64, len(group)) + 1)
    return tokens, np.searchsorted(starts, last)


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces of bounded length, cut at blanks where there are any."""
    start = 0
    while len(text) - start > _PIECE:
        cut = max(text.rfind(" ", start, start + _PIECE), text.rfind("\n", start, start + _PIECE)) + 1
        cut = cut if cut > start else start + _PIECE
        yield text[start:cut]
        start = cut
    yield text[start:]


def _tokens(text: str) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Where the tokens of a text begin, and their hashes; the text begins and ends with a line break.

    The hash of a word is the polynomial of its code points in an odd base: a difference of two prefix sums, moved
    back to the word's beginning by the base's inverse (Karp and Rabin 1987), then mixed.
    """
    powers, inverses = _powers()
    if text.isascii():
        raw = text.encode()
        codes: NDArray[np.uint8] | NDArray[np.uint32] = np.frombuffer(raw, np.uint8)
        kinds = np.frombuffer(raw.translate(_ascii_kinds()), np.uint8)
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        kinds = _kinds().take(codes)
    starts, ends = _spans(kinds)
    sums = np.cumsum(codes * powers[: len(codes)])  # every token has a character before it, so sums[start - 1] exists
    return starts, _mixed((sums[ends - 1] - sums[starts - 1]) * inverses[starts])


def _spans(kinds: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where tokens begin and end, by the kind of each character; the first and the last are of kind _NONE."""
    words = kinds != _NONE
    if kinds.max() != _LONE:
        changes = np.flatnonzero(words[1:] != words[:-1]) + 1
        return changes[0::2], changes[1::2]
    now, before = kinds[1:], kinds[:-1]
    begins = (now == _LONE) | (words[1:] & ~words[:-1]) | ((now == _WORD) & (before == _LONE))
    ends = words[:-1] & (begins | ~words[1:])
    return np.flatnonzero(begins) + 1, np.flatnonzero(ends) + 1


def _shingled(
    tokens: NDArray[np.uint64], counts: NDArray[np.int64], group: Sequence[str]
) -> tuple[Shingles, NDArray[np.int64]]:
    """Each text's tokens (so many a text, one after another) as its sorted distinct shingles, and their bounds."""
    size = max(len(tokens) - SIZE + 1, 0)
    rolled = np.zeros(size, np.uint64)
    for i in range(SIZE):
        rolled += tokens[i : i + size] * np.uint64(_STEP**i % 2**64)
    rolled = _mixed(rolled)
    parts = []
    start = 0
    for count, text in zip(counts.tolist(), group, strict=True):
        part = (
            rolled[start : start + count - SIZE + 1] if count >= SIZE else _single(tokens[start : start + count], text)
        )
        part.sort()
        parts.append(part)
        start += count
    values = np.concatenate(parts)
    bounds = np.cumsum([0, *map(len, parts)])
    first = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    first[bounds[:-1]] = True
    return values[first], np.concatenate(([0], np.cumsum(first)))[bounds]


def _single(tokens: NDArray[np.uint64], text: str) -> Shingles:
    """The one shingle of a text with fewer than five tokens; without any, of its characters, blanks not counted."""
    if not len(tokens):
        digest = blake2b("".join(text.split()).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return np.array([int.from_bytes(digest, "little")], np.uint64)
    total = sum(int(token) * pow(_STEP, i + SIZE, 2**64) for i, token in enumerate(tokens)) + len(tokens)
    return _mixed(np.array([total % 2**64], np.uint64))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each bit of the result depends on every bit of the value; one to one (the finaliser of MurmurHash3)."""
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    values ^= values >> np.uint64(33)
    return values


@cache
def _powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The powers of the base and of its inverse modulo 2**64, as many as a piece has characters."""
    both = []
    for base in (_BASE, pow(_BASE, -1, 2**64)):
        steps = np.full(2 * _PIECE, base, np.uint64)
        steps[0] = 1
        both.append(np.cumprod(steps))
    return both[0], both[1]


@cache
def _kinds() -> NDArray[np.uint8]:
    """The kind of every code point."""
    kinds = np.zeros(0x110000, np.uint8)
    for code in range(_LAST):
        character = chr(code)
        if character.isalnum() or character == "_":
            kinds[code] = _WORD
        elif unicodedata.category(character) in ("Mn", "Mc"):
            kinds[code] = _MARK
    kinds[0xFE00:0xFE10] = _NONE  # variation selectors choose a glyph, they spell nothing
    for low, high in _LONE_RANGES:
        part = kinds[low : high + 1]
        part[part == _WORD] = _LONE
    return kinds


@cache
def _ascii_kinds() -> bytes:
    """The kind of every ASCII character, as a table for bytes.translate."""
    return bytes(_WORD if chr(code).isalnum() or code == 0x5F else _NONE for code in range(128)) + bytes(128)
