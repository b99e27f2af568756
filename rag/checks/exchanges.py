"""Whether facts that two texts hold have changed places: "from 10 to 5" where the text says "from 5 to 10"."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rag.checks import amounts, dates
from rag.checks.places import ENOUGH, Place, fits, shared
from rag.checks.reading import Reading, Together
from rag.types import Reason

Fact = TypeVar("Fact")


def compare(ours: Reading, theirs: Reading | Together) -> list[Reason]:
    """A conflict for every number and date that stands where the text has another one of ours."""
    found = []
    if len(ours.quantities) > 1:
        told = [(one, here) for one, here in ours.placed if not one.soft]
        for number, other_number in _exchanged(told, theirs.placed, amounts.agree):
            found.append(Reason("number", f"{number.text} where the text has {other_number.text}"))
    if len(ours.dates) > 1:
        for date, other_date in _exchanged(ours.dated, theirs.dated, dates.agree):
            found.append(Reason("date", f"{date.written} where the text has {other_date.written}"))
    return found


def _exchanged(
    ours: Sequence[tuple[Fact, Place]], theirs: Sequence[tuple[Fact, Place]], agree: Callable[[Fact, Fact], bool]
) -> Iterator[tuple[Fact, Fact]]:
    """Facts of ours in the place of another fact of ours, as the text has them, and that other one.

    A place is that of another fact when its neighbours are the same on both sides as far as either sentence goes, and
    the text has the fact itself in no such place.
    """
    for one, here in ours:
        homes = [there for other, there in theirs if agree(one, other)]
        if not homes or any(fits(here, home) for home in homes):
            continue
        least = max(ENOUGH, 1 + max(shared(here, home) for home in homes))
        for other, there in theirs:
            if shared(here, there) < least or not fits(here, there) or agree(one, other):
                continue
            if any(agree(mine, other) and not fits(place, there) for mine, place in ours):
                yield one, other
                break
