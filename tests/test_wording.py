"""Counts are told in the singular and the plural."""

import pytest

from ingest.wording import counted


@pytest.mark.parametrize(
    ("number", "noun", "told"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (2, "judged query", "2 judged queries"),
        (1, "judged query", "1 judged query"),
        (2, "day", "2 days"),
        (12345, "new chunk", "12,345 new chunks"),
    ],
)
def test_a_count_has_its_number(number: int, noun: str, told: str) -> None:
    assert counted(number, noun) == told
