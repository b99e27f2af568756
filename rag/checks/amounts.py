"""Whether the numbers of two texts say the same: one value, one amount in two units, or two values of one thing."""

from collections.abc import Sequence

from rag.checks.numbers import Quantity
from rag.checks.places import ENOUGH, Place, shared
from rag.checks.units import SHARE, rounds_to, same_amount
from rag.types import Reason, ReasonKind

Placed = tuple[Quantity, Place]
"""A number and the neighbours that it has in its text."""


def _same_value(one: Quantity, other: Quantity) -> bool:
    if one.version or other.version:
        return one.version == other.version
    readings, theirs = (one.value, *one.others), (other.value, *other.others)
    if any(abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1.0) for a in readings for b in theirs):
        return True
    return one.hedged and rounds_to(other.value, one.value)


def agree(one: Quantity, other: Quantity) -> bool:
    """Whether two numbers say the same: one value in the same unit or without one, or the same amount converted."""
    if not one.units and not other.units:
        return _same_value(one, other)
    if one.units and other.units:
        if set(one.units) & set(other.units):
            return _same_value(one, other)
        return same_amount(one.value, one.units, one.written, other.value, other.units, other.written)
    bare, dressed = (other, one) if one.units else (one, other)
    if dressed.units[0].dimension == "share":  # "0.5" and "50 %"
        amounts = (one.units or (SHARE,), other.units or (SHARE,))
        if same_amount(one.value, amounts[0], one.written, other.value, amounts[1], other.written):
            return True
    return _same_value(one, other) and not (bare is other and bare.noun)  # 50 characters are not 50 bytes


def compare(placed: Sequence[Placed], their_placed: Sequence[Placed]) -> tuple[list[Reason], list[Reason]]:
    """For the numbers that the text does not bear out: conflicts with one of its numbers, and what it does not have.

    A conflict is the same value in another unit, another value of the same thing (the same noun or unit), or another
    value in the same place.
    """
    conflicts, missing = [], []
    ours, theirs = [one for one, _ in placed], [other for other, _ in their_placed]
    for one, here in placed:
        if one.soft:
            continue
        near = {id(other): shared(here, there) for other, there in their_placed}
        same = [other for other in theirs if agree(one, other)]
        if same:
            rivals = [
                other for other in theirs if near[id(other)] > ENOUGH and not any(_says(mine, other) for mine in ours)
            ]
            rivals = [other for other in rivals if near[id(other)] > max(near[id(match)] for match in same)]
        else:
            rivals = [other for other in theirs if _unlike(one, other)] if one.units else []
            rivals = rivals or [
                other
                for other in theirs
                if near[id(other)] >= ENOUGH
                or (_same_thing(one, other) and not any(agree(mine, other) for mine in ours))
            ]
        if rivals:
            rival = max(rivals, key=lambda other: near[id(other)])
            kind: ReasonKind = "unit" if one.units and _unlike(one, rival) else "number"
            conflicts.append(Reason(kind, f"{one.text} against {rival.text} in the text"))
        elif not same:
            missing.append(Reason("number", f"the number {one.text} is not in the text"))
    return conflicts, missing


def _says(one: Quantity, other: Quantity) -> bool:
    return agree(one, other) and bool(one.units) == bool(other.units)


def _unlike(one: Quantity, other: Quantity) -> bool:
    """Whether two numbers have the same value, but of different units, or of a unit and of something else."""
    return _same_value(one, other) and bool(other.units or other.noun)


def _same_thing(one: Quantity, other: Quantity) -> bool:
    if one.units or other.units:
        return bool({unit.dimension for unit in one.units} & {unit.dimension for unit in other.units})
    return one.ordinal == other.ordinal and bool(one.noun) and one.noun == other.noun
