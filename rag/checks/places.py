"""The place of a word or a number in its text: the words around it, by which it is compared with what stands there."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from rag.language import Word

NEIGHBOURS = 3  # words on either side by which a place is known …
ENOUGH = 2  # … of which so many must be the same


@dataclass(frozen=True, slots=True)
class Place:
    """The stems on both sides, the nearest first, of the same sentence."""

    before: tuple[str, ...]
    after: tuple[str, ...]


Places = Callable[[int, int], Place]
"""The place of text[start:end]."""


def places(found: Sequence[Word], ends: Sequence[int]) -> Places:
    """Places among these words; ends: where the sentences end, beyond which nobody is a neighbour."""
    starts = [word.start for word in found]

    @cache  # every fact of another text asks for the place of every fact of this one
    def place(start: int, end: int) -> Place:
        here = bisect_left(ends, end)
        lowest = ends[here - 1] if here else 0
        highest = ends[here] if here < len(ends) else end
        left, right = bisect_left(starts, start), bisect_left(starts, end)
        before = [word.stem for word in reversed(found[max(0, left - NEIGHBOURS) : left]) if word.start >= lowest]
        after = [word.stem for word in found[right : right + NEIGHBOURS] if word.start < highest]
        return Place(tuple(before), tuple(after))

    return place


def shared(one: Place, other: Place) -> int:
    """How many neighbours two places have in common, on each side from the nearest on."""
    return _alike(one.before, other.before) + _alike(one.after, other.after)


def fits(one: Place, other: Place) -> bool:
    """Whether no neighbour of two places differs, as far as both have one."""
    return all(
        ours == theirs
        for mine, others in ((one.before, other.before), (one.after, other.after))
        for ours, theirs in zip(mine, others, strict=False)
    )


def _alike(here: tuple[str, ...], there: tuple[str, ...]) -> int:
    """How many stems two sides have in common before the first that differs."""
    count = 0
    for ours, theirs in zip(here, there, strict=False):
        if ours != theirs:
            break
        count += 1
    return count
