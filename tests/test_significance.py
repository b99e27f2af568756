"""Intervals hold their mean and cover the truth as often as they say; p-values are uniform where nothing differs."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.evaluation.significance import EXACT, holm, mean, means, paired, paired_each

FEW = 500  # resamples and flips where only the form of an answer matters
values = st.floats(0, 1, width=32) | st.sampled_from([0.0, 0.1, 0.5, 1.0])
columns = st.lists(values, min_size=1, max_size=40)
pairs = st.lists(st.tuples(values, values), min_size=1, max_size=40)


@given(columns)
def test_the_interval_holds_the_mean_and_lies_within_the_values(column: list[float]) -> None:
    found = mean(column, resamples=FEW)
    assert found is not None
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(sum(column) / len(column))
    assert min(column) - 1e-12 <= found.low
    assert found.high <= max(column) + 1e-12


@given(columns)
def test_the_same_values_give_the_same_answer(column: list[float]) -> None:
    assert mean(column, resamples=FEW) == mean(column, resamples=FEW)


def test_without_queries_there_is_no_interval() -> None:
    assert mean([]) is None
    assert paired([], []) is None


def test_values_that_are_all_the_same_have_no_width() -> None:
    found = mean([0.1] * 7, resamples=FEW)
    assert found is not None
    assert found.high - found.low < 1e-12


def test_columns_are_resampled_together_as_they_are_alone() -> None:
    table = np.random.default_rng(1).random((25, 3))
    together = means(table, resamples=FEW)
    alone = [mean(table[:, column].tolist(), resamples=FEW) for column in range(3)]
    for one, other in zip(together, alone, strict=True):
        assert one is not None
        assert other is not None
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(3)
    table = generator.beta(2, 1, size=(60, 400))  # 400 samples of 60 queries, whose true mean is 2 / 3
    covered = [found.low <= 2 / 3 <= found.high for found in means(table, resamples=2000) if found is not None]
    assert len(covered) == 400
    assert 0.91 <= np.mean(covered) <= 0.98  # 0.95 is promised; two standard errors are 0.022


def test_the_interval_is_that_of_the_normal_law_where_there_are_many() -> None:
    column = np.random.default_rng(5).random(400)
    found = mean(column.tolist())
    assert found is not None
    half = 1.96 * column.std() / 400**0.5
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.1 * half)


# ── two runs ────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=50)
@given(pairs)
def test_two_runs_may_be_exchanged(both: list[tuple[float, float]]) -> None:
    first, second = [pair[0] for pair in both], [pair[1] for pair in both]
    there = paired(first, second, resamples=FEW, flips=FEW)
    back = paired(second, first, resamples=FEW, flips=FEW)
    assert there is not None
    assert back is not None
    assert there.p == back.p
    assert 0 < there.p <= 1
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert (there.mean.value, there.mean.low, there.mean.high) == pytest.approx(
        (-back.mean.value, -back.mean.high, -back.mean.low)
    )


@given(columns)
def test_a_run_does_not_differ_from_itself(column: list[float]) -> None:
    found = paired(column, column, resamples=FEW, flips=FEW)
    assert found is not None
    assert found.p == 1.0
    assert (found.mean.value, found.mean.low, found.mean.high, found.wins, found.losses) == (0, 0, 0, 0, 0)


@settings(max_examples=40)
@given(st.lists(st.tuples(values, values), min_size=1, max_size=8))
def test_few_queries_are_tried_in_every_way(both: list[tuple[float, float]]) -> None:
    """Against the slow obvious version: every way to set the signs, zeros included."""
    differences = [second - first for first, second in both]
    seen = abs(sum(differences)) - 1e-9
    ways = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in product((1, -1), repeat=len(both))
    ]
    found = paired([pair[0] for pair in both], [pair[1] for pair in both], resamples=FEW)
    assert found is not None
    assert found.p == pytest.approx(sum(way >= seen for way in ways) / len(ways))


def test_random_signs_come_close_to_every_way() -> None:
    generator = np.random.default_rng(11)
    first, second = generator.random(EXACT), generator.random(EXACT) + 0.1
    exact = paired(first, second)
    # one more query, that differs too little to matter, and there are too many to try them all
    drawn = paired([*first, 0.0], [*second, 1e-9])
    assert exact is not None
    assert drawn is not None
    assert exact.p == pytest.approx(drawn.p, abs=0.006)


def test_p_is_uniform_where_nothing_differs() -> None:
    """The distance to the uniform law (Kolmogorov) stays under its 1 % bound, and small ones are no more frequent."""
    generator = np.random.default_rng(7)
    first, second = generator.random((40, 300)), generator.random((40, 300))
    p = np.sort([one.p for one in paired_each(first, second, resamples=10, flips=2000) if one is not None])
    assert len(p) == 300
    steps = np.arange(1, 301) / 300
    assert np.max(np.maximum(np.abs(steps - p), np.abs(steps - 1 / 300 - p))) < 1.63 / 300**0.5
    assert np.mean(p <= 0.05) < 0.09


def test_a_difference_that_is_there_is_seen() -> None:
    generator = np.random.default_rng(9)
    first = generator.random(100)
    found = paired(first, np.clip(first + 0.05 + 0.05 * generator.standard_normal(100), 0, 1))
    assert found is not None
    assert found.p < 0.001
    assert 0 < found.mean.low < found.mean.value < found.mean.high


def test_values_of_different_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="not of the same queries"):
        paired([1.0, 2.0], [1.0])


def test_holm_corrects_as_in_the_paper() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_nor_changes_their_order(p: list[float]) -> None:
    corrected = holm(p)
    assert all(one <= other <= 1 for one, other in zip(p, corrected, strict=True))
    order = sorted(range(len(p)), key=p.__getitem__)
    assert [corrected[place] for place in order] == sorted(corrected)
