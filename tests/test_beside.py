"""Two halves of a piece of work: both are done, at the same time where there are threads for it."""

import threading
from collections.abc import Iterator

import pytest

from rag.rankings.beside import ALONE, Beside

PATIENCE_S = 30.0


@pytest.fixture
def two() -> Iterator[Beside]:
    beside = Beside(2)
    yield beside
    beside.close()


def name() -> str:
    return threading.current_thread().name


def test_the_second_half_is_done_while_the_first_is(two: Beside) -> None:
    met = threading.Barrier(2)

    def half() -> str:
        met.wait(PATIENCE_S)
        return name()

    here, there = two.both(half, half)
    assert here == name() != there


def test_with_one_thread_the_caller_does_both_in_order() -> None:
    done: list[str] = []
    ALONE.both(lambda: done.append(f"first {name()}"), lambda: done.append(f"second {name()}"))
    assert done == [f"first {name()}", f"second {name()}"]


def test_callers_that_are_as_many_as_the_threads_hand_nothing_over(two: Beside) -> None:
    """The first caller is in the middle of its work while the second one asks."""
    asked: list[tuple[str, str]] = []
    two.both(lambda: asked.append(two.both(name, name)), lambda: None)
    assert asked == [(name(), name())]


def test_whoever_gets_to_the_second_half_it_is_done_once(two: Beside) -> None:
    """A first half that takes no time leaves a thread hardly any to wake up in: often the caller comes first."""
    done: list[int] = []
    for number in range(200):
        two.both(lambda: None, lambda number=number: done.append(number))  # type: ignore[misc]
    assert done == list(range(200))


def test_errors_of_either_half_are_the_callers(two: Beside) -> None:
    def fails() -> None:
        raise KeyError("half")

    for halves in ((fails, name), (name, fails), (fails, fails)):
        with pytest.raises(KeyError, match="half"):
            two.both(*halves)
    assert two.both(lambda: 1, lambda: 2) == (1, 2)
