"""One field of many documents as arrays, so that a test of a filter looks at 100,000 of them in a fraction of a
millisecond. Rows are appended and never change: what was read from them stays true."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.store.filters.tree import OneOf, Order, Scalar, kind

Mask = NDArray[np.bool_]

CUT = 200  # characters of a text that are kept; a comparison that depends on more of them is SQL's
TAIL = 256  # texts that came since the dictionary was sorted and are looked at one by one
EXACT = 2**53  # integers up to here are floats without loss


class TooMuch(Exception):
    """A field cannot answer from memory; SQL must."""


class Grown:
    """An array that is appended to. A view of it stays as it was."""

    def __init__(self, dtype: Any) -> None:
        self._buffer: NDArray[Any] = np.empty(64, dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def view(self) -> NDArray[Any]:
        return self._buffer[: self._length]

    @property
    def nbytes(self) -> int:
        return self._buffer.nbytes

    def extend(self, values: Sequence[Any] | NDArray[Any]) -> None:
        needed = self._length + len(values)
        if needed > len(self._buffer):
            buffer = np.empty(max(needed + needed // 8, 64), self._buffer.dtype)
            buffer[: self._length] = self.view
            self._buffer = buffer
        self._buffer[self._length : needed] = values
        self._length = needed


class Dictionary:
    """Different texts, numbered as they came."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._texts: list[str] = []
        self._order = np.empty(0, np.int32)  # codes of the first texts, in the order of these
        self._sorted: list[str] = []
        self.characters = 0

    def __len__(self) -> int:
        return len(self._texts)

    def code(self, text: str) -> int:
        """The number of a text, a new one if need be."""
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self._texts)
            self._texts.append(text)
            self.characters += len(text)
        return found

    def find(self, text: str) -> int | None:
        return self._codes.get(text)

    def on_side(self, operator: str, wanted: str) -> Mask:
        """Which texts lie on this side of one, by code point.  → (number of texts,)"""
        if len(self._texts) - len(self._sorted) > max(TAIL, len(self._sorted) // 8):
            codes = sorted(
                [*self._order.tolist(), *range(len(self._sorted), len(self._texts))], key=self._texts.__getitem__
            )
            self._sorted = [self._texts[code] for code in codes]
            self._order = np.array(codes, np.int32)
        low, high = 0, len(self._sorted)
        if operator in ("$gt", "$gte"):
            low = (bisect_right if operator == "$gt" else bisect_left)(self._sorted, wanted)
        else:
            high = (bisect_left if operator == "$lt" else bisect_right)(self._sorted, wanted)
        table = np.zeros(len(self._texts), bool)
        table[self._order[low:high]] = True
        for code in range(len(self._sorted), len(self._texts)):
            text = self._texts[code]
            if operator == "$gt":
                table[code] = text > wanted
            elif operator == "$gte":
                table[code] = text >= wanted
            else:
                table[code] = text < wanted if operator == "$lt" else text <= wanted
        return table


class Pairs:
    """(row, value) pairs of one kind, by row."""

    def __init__(self, dtype: Any) -> None:
        self.rows = Grown(np.int32)
        self.values = Grown(dtype)
        self._one_each = True  # every row until now has exactly one value: row i is pair i

    def extend(self, first: int, rows: Sequence[int], values: Sequence[Any], upto: int) -> None:
        """Take in the pairs of the rows first…upto-1."""
        if self._one_each:
            whole = len(rows) == upto - first and len(self.rows) == first
            self._one_each = whole and bool((np.asarray(rows, np.int64) == np.arange(first, upto)).all())
        self.rows.extend(rows)
        self.values.extend(values)

    def spread(self, matching: Mask, total: int) -> Mask:
        """Which of the `total` rows have a value that matches.  matching (pairs,) → (total,)"""
        if self._one_each and len(matching) == total:
            return matching
        found = np.zeros(total, bool)
        found[self.rows.view[matching]] = True
        return found


class Field:
    """The values of one field for the rows of a collection.

    State: 8 bytes a text or 12 bytes a number, and once for every different text about 120 bytes and itself, twice
    when it was compared by order.
    """

    def __init__(self) -> None:
        self.total = 0  # rows taken in
        self._there = Pairs(np.bool_)
        self._texts = Pairs(np.int32)
        self._numbers = Pairs(np.float64)
        self._booleans = Pairs(np.bool_)
        self._dictionary = Dictionary()
        self._cut = False  # whether a text was too long to be kept whole
        self._inexact = False  # whether a number is no float

    def __len__(self) -> int:
        return self.total

    @property
    def nbytes(self) -> int:
        """About how much memory this takes."""
        pairs = (self._there, self._texts, self._numbers, self._booleans)
        arrays = sum(each.rows.nbytes + each.values.nbytes for each in pairs)
        return arrays + 120 * len(self._dictionary) + self._dictionary.characters

    def extend(self, rows: Sequence[tuple[bool, Sequence[object]]]) -> None:
        """Take in the next rows: whether the field is there, and its values one by one."""
        first, upto = self.total, self.total + len(rows)
        here: list[int] = []
        found: dict[str, tuple[list[int], list[Any]]] = {each: ([], []) for each in ("text", "number", "boolean")}
        (text_rows, codes), (number_rows, numbers), (boolean_rows, booleans) = found.values()
        code = self._dictionary.code
        for row, (there, values) in enumerate(rows, start=first):
            if there:
                here.append(row)
            for value in values:
                if isinstance(value, str):
                    if len(value) > CUT:
                        self._cut, value = True, value[:CUT]
                    text_rows.append(row)
                    codes.append(code(value))
                elif isinstance(value, bool):
                    boolean_rows.append(row)
                    booleans.append(value)
                elif isinstance(value, (int, float)):
                    self._inexact |= _inexact(value)
                    number_rows.append(row)
                    numbers.append(_float(value))
        self._there.extend(first, here, [True] * len(here), upto)
        self._texts.extend(first, text_rows, codes, upto)
        self._numbers.extend(first, number_rows, numbers, upto)
        self._booleans.extend(first, boolean_rows, booleans, upto)
        self.total = upto

    def there(self) -> Mask:
        """Which rows have the field, and not null."""
        return self._there.spread(self._there.values.view, self.total)

    def known_among(self, alive: Mask) -> bool:
        """Whether one of these rows has the field, and not null."""
        rows = self._there.rows.view
        return bool(alive[rows[-64:]].any() or alive[rows].any())

    def one_of(self, test: OneOf) -> Mask:
        """Which rows have one of these values. Raises TooMuch."""
        found = np.zeros(self.total, bool)
        texts = [value for value in test.values if isinstance(value, str)]
        codes = [code for text in texts if (code := self._find(text)) is not None]
        if codes:
            held = self._texts.values.view
            if len(codes) == 1:
                matching = held == codes[0]
            else:
                table = np.zeros(len(self._dictionary), bool)
                table[codes] = True
                matching = table[held]
            found |= self._texts.spread(matching, self.total)
        for value in test.values:
            if isinstance(value, bool):
                found |= self._booleans.spread(self._booleans.values.view == value, self.total)
        numbers = [self._number(value) for value in test.values if kind(value) == "number"]
        if numbers:
            held = self._numbers.values.view
            matching = held == numbers[0] if len(numbers) == 1 else np.isin(held, np.array(numbers))
            found |= self._numbers.spread(matching, self.total)
        return found

    def on_side(self, test: Order) -> Mask:
        """Which rows have a value on this side of one. Raises TooMuch."""
        if isinstance(test.value, str):
            self._find(test.value)
            table = self._dictionary.on_side(test.operator, test.value)
            return self._texts.spread(table[self._texts.values.view], self.total)
        held, wanted = self._numbers.values.view, self._number(test.value)
        if test.operator in ("$gt", "$gte"):
            matching = held > wanted if test.operator == "$gt" else held >= wanted
        else:
            matching = held < wanted if test.operator == "$lt" else held <= wanted
        return self._numbers.spread(matching, self.total)

    def shares(self, texts: Sequence[str]) -> Mask:
        """Which rows are not there, or have one of these texts: unlabelled, or under one of these labels."""
        return ~self.there() | self.one_of(OneOf("", tuple(texts)))

    def _find(self, text: str) -> int | None:
        if self._cut and len(text) >= CUT:
            raise TooMuch
        return self._dictionary.find(text)

    def _number(self, value: Scalar) -> float:
        assert isinstance(value, (int, float))
        if self._inexact or _inexact(value):
            raise TooMuch
        return float(value)


def _inexact(value: int | float) -> bool:
    return isinstance(value, int) and abs(value) > EXACT


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:  # the field says that it is inexact, and SQL answers
        return float("inf") if value > 0 else float("-inf")
