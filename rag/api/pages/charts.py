"""Charts as values that a template draws: bars and lines over steps of time, pure geometry.

A chart is 400 wide and 190 high, in units that grow with the page. Every mark leads to the rows behind it. Its numbers
stand in a table beside it, which is what a keyboard and a screen reader walk through.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 400, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 6, 8, 22  # around the plot
TICKS = 5  # of the upright axis, about
LABELS = 5  # of the level one, at most
LETTER = 6  # wide, about

Say = Callable[[float | None], str]


@dataclass(frozen=True, slots=True)
class Value:
    """A number of one step, and where its rows are."""

    value: float | None  # None: there is none
    href: str
    low: float | None = None  # of its interval
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A name and its values, one a step."""

    name: str
    values: Sequence[Value]
    tone: int = 0  # its colour, 1 to 6; 0: by its place


@dataclass(frozen=True, slots=True)
class Mark:
    x: float
    y: float
    width: float
    height: float
    href: str
    title: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A series as it is drawn: its marks, and for lines their paths."""

    name: str
    tone: int
    marks: Sequence[Mark]
    lines: Sequence[str] = ()  # "x,y x,y …", broken where there is no value
    areas: Sequence[str] = ()  # of the interval


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Chart:
    id: str
    title: str
    about: str  # what the axes say, in words
    series: Sequence[Drawn]
    across: Sequence[Tick]
    up: Sequence[Tick]
    rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]  # of the table: a step, then text and address of each series
    step: float  # width of a step
    empty: bool


def bars(id: str, title: str, about: str, steps: Sequence[str], series: Sequence[Series], say: Say) -> Chart:
    """Series of counts as bars that stand on one another; they must not be negative."""
    width = (WIDTH - LEFT - RIGHT) / max(1, len(steps))
    top = max([sum(one.values[at].value or 0 for one in series) for at in range(len(steps))], default=0)
    ticks, scale = _upright(0, top, say, finest=1)
    below = [0.0] * len(steps)
    drawn = []
    for place, one in enumerate(series, 1):
        marks = []
        for at, value in enumerate(one.values):
            if value.value:
                y, foot = scale(below[at] + value.value), scale(below[at])
                below[at] += value.value
                gap = min(2.0, width * 0.2)
                label = f"{steps[at]}: {one.name} {say(value.value)}"
                marks.append(
                    Mark(
                        _r(LEFT + at * width + gap / 2),
                        _r(y),
                        _r(width - gap),
                        _r(max(0.8, foot - y)),
                        value.href,
                        label,
                    )
                )
        drawn.append(Drawn(one.name, one.tone or place, marks))
    return _chart(id, title, about, steps, series, drawn, ticks, width, say)


def lines(
    id: str,
    title: str,
    about: str,
    steps: Sequence[str],
    series: Sequence[Series],
    say: Say,
    *,
    most: float | None = None,
    least: float | None = 0,
) -> Chart:
    """Series as lines, broken where there is no value, with their intervals as areas. The axis begins at `least` and
    ends at `most`; None: where the values do."""
    width = (WIDTH - LEFT - RIGHT) / max(1, len(steps))
    every = [number for one in series for value in one.values for number in (value.value, value.low, value.high)]
    held = [number for number in every if number is not None]
    ticks, scale = _upright(
        min(held, default=0) if least is None else least, max(held, default=0) if most is None else most, say
    )
    drawn = []
    for place, one in enumerate(series, 1):
        places = [
            None if value.value is None else (LEFT + (at + 0.5) * width, scale(value.value))
            for at, value in enumerate(one.values)
        ]
        marks = [
            Mark(
                _r(x),
                _r(y),
                _r(max(width, 4)),
                0,
                one.values[at].href,
                f"{steps[at]}: {one.name} {say(one.values[at].value)}",
            )
            for at, spot in enumerate(places)
            if spot is not None
            for x, y in [spot]
        ]
        drawn.append(
            Drawn(
                one.name,
                one.tone or place,
                marks,
                [_path(run) for run in _runs(places) if len(run) > 1],
                _areas(one, width, scale),
            )
        )
    return _chart(id, title, about, steps, series, drawn, ticks, width, say)


def _chart(
    id: str,
    title: str,
    about: str,
    steps: Sequence[str],
    series: Sequence[Series],
    drawn: Sequence[Drawn],
    ticks: Sequence[Tick],
    width: float,
    say: Say,
) -> Chart:
    rows = [
        (step, [(say(one.values[at].value), one.values[at].href) for one in series]) for at, step in enumerate(steps)
    ]
    empty = not any(one.marks for one in drawn)
    return Chart(id, title, about, drawn, _level(steps, width), ticks, rows, width, empty)


# ── axes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _upright(least: float, most: float, say: Say, finest: float = 0) -> tuple[list[Tick], Callable[[float], float]]:
    """Ticks at round numbers, `finest` apart at least, and where a value stands."""
    step = max(finest, round_step((most - least) / TICKS))
    low, high = floor(least / step) * step, max(ceil(most / step - 1e-9), floor(least / step) + 1) * step
    plot = HEIGHT - TOP - BOTTOM

    def scale(value: float) -> float:
        return TOP + plot * (1 - (min(max(value, low), high) - low) / (high - low))

    count = round((high - low) / step)
    values = [low + at * step for at in range(count + 1)]
    return [Tick(_r(scale(value)), say(value) if value else "0") for value in values], scale


def round_step(rough: float) -> float:
    """The next 1, 2 or 5 times a power of ten that is not below; 1 for nothing."""
    if not isfinite(rough) or rough <= 0:
        return 1.0
    power = 10.0 ** floor(log10(rough))
    return float(next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough * (1 - 1e-9)))


def _level(steps: Sequence[str], width: float) -> list[Tick]:
    longest = max((len(step) for step in steps), default=0)
    most = max(1, min(LABELS, int((WIDTH - LEFT - RIGHT) / (LETTER * longest + LETTER * 2))))
    every = max(1, ceil(len(steps) / most))
    return [Tick(_r(LEFT + (at + 0.5) * width), steps[at]) for at in range(0, len(steps), every)]


def _runs(places: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """The places between gaps."""
    found: list[list[tuple[float, float]]] = [[]]
    for place in places:
        if place is None:
            found.append([])
        else:
            found[-1].append(place)
    return [run for run in found if run]


def _areas(one: Series, width: float, scale: Callable[[float], float]) -> list[str]:
    edges: list[tuple[float, float] | None] = [
        None if value.low is None or value.high is None else (value.low, value.high) for value in one.values
    ]
    found, run = [], list[tuple[float, float, float]]()
    for at, edge in enumerate([*edges, None]):
        if edge is not None:
            run.append((LEFT + (at + 0.5) * width, scale(edge[0]), scale(edge[1])))
        else:
            if len(run) > 1:
                found.append(_path([(x, low) for x, low, _ in run] + [(x, high) for x, _, high in reversed(run)]))
            run = []
    return found


def _path(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_r(x)},{_r(y)}" for x, y in places)


def _r(value: float) -> float:
    return round(value, 2)
