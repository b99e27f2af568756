"""Which rows go to training, which to validation, which to the test: none of one conversation, and no question that
repeats, in two of them; pure.

Rows that share a conversation or a question, or whose questions are nearly the same, form a group; a group goes to a
split as a whole, by a digest of its questions alone. So the same log always splits alike, in whatever order it comes,
and a group that does not grow stays where it was when others are added.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil

from rag.errors import WrongUsage
from rag.store.datasets import SPLITS, Split

NEAR = 0.7  # Jaccard similarity of character 4-grams from which two questions are one
GRAM = 4
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of the groups each split gets."""

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1

    @classmethod
    def parse(cls, text: str) -> "Shares":
        """From "0.8,0.1,0.1". Raises WrongUsage unless there are three numbers from 0 that add up to 1."""
        try:
            train, validation, test = (float(part) for part in text.split(","))
        except ValueError as error:
            raise WrongUsage(
                f"{text!r} are no shares: write those of train, validation and test, as 0.8,0.1,0.1"
            ) from error
        return cls.of(train, validation, test)

    @classmethod
    def of(cls, train: float, validation: float, test: float) -> "Shares":
        """Checked. Raises WrongUsage unless they are numbers from 0 that add up to 1."""
        if not min(train, validation, test) >= 0 or not abs(train + validation + test - 1) < 1e-6:
            raise WrongUsage(f"the shares {train:g},{validation:g},{test:g} do not add up to 1")
        return cls(train, validation, test)


ALL_TEST = Shares(0.0, 0.0, 1.0)


def normal(question: str) -> str:
    """A question as what it asks: its words in lower case, one blank between them."""
    return " ".join(_WORD.findall(question.casefold()))


def split(questions: Sequence[str], conversations: Sequence[str | None], shares: Shares) -> list[Split]:
    """The split of each row. Of two groups and more one is in the test at least, unless its share is 0: with a few rows
    chance would often leave it empty."""
    groups = grouped(questions, conversations)
    smallest: dict[int, bytes] = {}
    for question, group in zip(questions, groups, strict=True):
        digest = blake2b(normal(question).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        smallest[group] = min(digest, smallest.get(group, digest))
    # Hashed once more: the smallest of many digests is small, and great groups would all be tests.
    places = {
        group: int.from_bytes(blake2b(digest, digest_size=8).digest()) / 2**64 for group, digest in smallest.items()
    }
    if len(places) > 1 and shares.test > 0:
        places[min(places, key=lambda group: places[group])] = 0.0
    return [_split(places[group], shares) for group in groups]


def _split(place: float, shares: Shares) -> Split:
    if place < shares.test:
        return "test"
    return "validation" if place < shares.test + shares.validation else "train"


def grouped(questions: Sequence[str], conversations: Sequence[str | None]) -> list[int]:
    """A number for each row; rows that must stay together have the same."""
    parents = list(range(len(questions)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    def join(one: int, other: int) -> None:
        first, second = sorted((root(one), root(other)))
        parents[second] = first

    asked = [normal(question) for question in questions]
    _join_equal(conversations, join)
    _join_equal(asked, join)
    first: dict[str, int] = {}
    for row, text in enumerate(asked):
        first.setdefault(text, row)
    different = list(first)
    for one, other in near_pairs(different):
        join(first[different[one]], first[different[other]])
    return [root(row) for row in range(len(questions))]


def _join_equal(keys: Sequence[Hashable], join: Callable[[int, int], None]) -> None:
    seen: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        if key is not None:
            join(seen.setdefault(key, row), row)


def near_pairs(texts: Sequence[str], threshold: float = NEAR) -> list[tuple[int, int]]:
    """The pairs of texts whose 4-grams have at least this Jaccard similarity: all of them, without comparing all.

    Two sets that similar share one of their rarest grams: of a set of n those after the first ⌈threshold · n⌉ - 1 can
    be left out of the index (prefix filtering: Bayardo, Ma and Srikant 2007).
    """
    sets = [grams_of(text) for text in texts]
    counts = Counter(gram for grams in sets for gram in grams)
    index: dict[str, list[int]] = {}
    pairs = []
    for row, grams in enumerate(sets):
        rarest = sorted(grams, key=lambda gram: (counts[gram], gram))[: len(grams) - ceil(threshold * len(grams)) + 1]
        met = {other for gram in rarest for other in index.get(gram, ())}
        for other in sorted(met):
            if similar(grams, sets[other], threshold):
                pairs.append((other, row))
        for gram in rarest:
            index.setdefault(gram, []).append(row)
    return pairs


def grams_of(text: str) -> frozenset[str]:
    """The character 4-grams of a text; the text itself where it is shorter."""
    return frozenset(text[at : at + GRAM] for at in range(max(1, len(text) - GRAM + 1)))


def similar(one: frozenset[str], other: frozenset[str], threshold: float = NEAR) -> bool:
    """Whether two sets have at least this Jaccard similarity."""
    both = len(one & other)
    return both >= threshold * (len(one) + len(other) - both)


def check(records: Sequence[tuple[Split, str, str | None]]) -> None:
    """Raise WrongUsage where a conversation or a question stands in two splits: (split, question, conversation)."""
    places: dict[tuple[str, str], Split] = {}
    for where, question, conversation in records:
        for what in (("question", normal(question)), *((("conversation", conversation),) if conversation else ())):
            if places.setdefault(what, where) != where:
                raise WrongUsage(f"the {what[0]} {what[1]!r} stands in {places[what]} and in {where}")


def shares_of(splits: Sequence[Split]) -> dict[Split, int]:
    """How many rows each split has."""
    counts = Counter(splits)
    return {name: counts[name] for name in SPLITS}
