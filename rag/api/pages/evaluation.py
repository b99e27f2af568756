"""The pages Evaluation: runs that are kept, one with its worst questions, two held against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from rag.api.house import House
from rag.api.pages.charts import Chart, Series, Value, lines, round_step
from rag.api.pages.rendering import PageRoute, duration, number, page, query
from rag.api.requests import Asker, TheHouse
from rag.api.routes.evaluations import check
from rag.evaluation.runs import METRICS, compare, first_relevant, rescored, worst
from rag.store import evaluations as store
from rag.store.evaluations import Evaluation, JudgedQuery

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LISTED = 50  # runs of a page
WORST = 25  # questions
LOST = 20
DRAWN = 24  # runs of the plot
LEFT, TOP, WIDTH, HEIGHT = 44, 12, 344, 150  # of the plot in its picture of 400 by 200

Run = Annotated[str, Query(min_length=1, max_length=120)]
Metric = Annotated[str, Query(max_length=60)]


@dataclass(frozen=True, slots=True)
class Dot:
    """A run in the plot of quality against time."""

    x: float
    y: float
    low: float  # of the interval, as places
    high: float
    href: str
    title: str
    name: str


@dataclass(frozen=True, slots=True)
class Plot:
    metric: str
    dots: Sequence[Dot]
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Bar:
    """A mean and its interval as places between 0 and 100."""

    name: str
    value: float
    low: float
    high: float


@router.get("/evaluation")
def listing(
    request: Request,
    house: TheHouse,
    principal: Asker,
    folder: Annotated[str, Query(max_length=1000)] = "",
    before: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    metric: Metric = "",
) -> Response:
    """The runs, the newest first, and how good and how quick they are."""
    check(principal)
    with house.app.database.read() as connection:
        found = store.listing(
            connection, principal.tenant_id, limit=LISTED + 1, before=before or None, folder=folder or None
        )
    runs = found[:LISTED]
    names = list(dict.fromkeys(name for run in runs for name in run.run.metrics))
    drawn = metric if metric in names else names[0] if names else ""
    kept = {"folder": folder, "metric": metric}
    return page(
        request,
        "evaluation.html",
        runs=runs,
        names=names,
        folders=sorted({run.run.folder for run in runs} | ({folder} if folder else set())),
        folder=folder,
        metric=drawn,
        plot=plot(runs[:DRAWN], drawn),
        course=course(runs, drawn),
        first="/evaluation" + query(dict(kept)) if before else None,
        next="/evaluation" + query(kept | {"before": str(runs[-1].id)}) if len(found) > LISTED else None,
    )


@router.get("/evaluation/compare")
def comparing(
    request: Request,
    house: TheHouse,
    principal: Asker,
    first: Run,
    second: Run,
    whole: Annotated[bool, Query()] = False,
) -> Response:
    """Two runs; the tests take a moment, so that htmx fetches them; with `whole` they stand in the page."""
    check(principal)
    values = _compared(house, principal.tenant_id, first, second) if whole else {}
    with house.app.database.read() as connection:
        one, other = (store.get(connection, principal.tenant_id, name) for name in (first, second))
    return page(request, "evaluation_compare.html", **{"one": one, "other": other, "whole": whole} | values)


@router.get("/evaluation/compare/figures")
def compared(request: Request, house: TheHouse, principal: Asker, first: Run, second: Run) -> Response:
    check(principal)
    return page(request, "_compared.html", **_compared(house, principal.tenant_id, first, second))


@router.get("/evaluation/{run}")
def one(run: str, request: Request, house: TheHouse, principal: Asker, metric: Metric = "") -> Response:
    """One run: its metrics with their intervals, its settings, and its worst questions by a metric."""
    check(principal)
    with house.app.database.read() as connection:
        kept = store.get(connection, principal.tenant_id, run)
        queries = store.queries(connection, kept.id)
        others = store.listing(connection, principal.tenant_id, limit=LISTED, folder=kept.run.folder)
    chosen = metric or next(iter(kept.run.metrics))
    lowest = worst(rescored(queries, (chosen,)), chosen, WORST)
    return page(
        request,
        "evaluation_run.html",
        run=kept,
        bars=[
            Bar(name, found["value"], 100 * found["low"], 100 * found["high"])
            for name, found in kept.run.metrics.items()
        ],
        metric=chosen,
        metrics=tuple(dict.fromkeys((*kept.run.metrics, *METRICS))),
        worst=[(query, first_relevant(query), _found(query)) for query in lowest],
        others=[other for other in others if other.id != kept.id],
    )


def _compared(house: House, tenant_id: int, first: str, second: str) -> dict[str, object]:
    with house.app.database.read() as connection:
        one, other = (store.get(connection, tenant_id, name) for name in (first, second))
        ones, others = (store.queries(connection, each.id) for each in (one, other))
    both = [name for name in one.run.metrics if name in other.run.metrics] or list(one.run.metrics)
    found = compare(ones, others, tuple(both))
    widest = max(
        (max(abs(each.difference.mean.low), abs(each.difference.mean.high)) for each in found.metrics), default=0
    )
    scale = 50 / widest if widest else 0.0
    return {
        "one": one,
        "other": other,
        "found": found,
        "bars": [
            Bar(
                each.metric,
                50 + scale * each.difference.mean.value,
                50 + scale * each.difference.mean.low,
                50 + scale * each.difference.mean.high,
            )
            for each in found.metrics
        ],
        "lost": [change for change in found.changes if change.second < change.first][:LOST],
        "won": [change for change in reversed(found.changes) if change.second > change.first][:LOST],
    }


def _found(query: JudgedQuery) -> list[tuple[str, int]]:
    """The first five documents with their grades; 0 where nobody judged one."""
    return [(document, query.relevant.get(document, 0)) for document in list(query.ranking)[:5]]


def course(runs: Sequence[Evaluation], metric: str) -> Chart | None:
    """A metric from run to run over the questions that were asked last more than once, the oldest at the left; None
    where none were."""
    by_folder: dict[str, list[Evaluation]] = {}
    for run in runs:
        if metric in run.run.metrics:
            by_folder.setdefault(run.run.folder, []).append(run)
    same = next((found[:DRAWN][::-1] for found in by_folder.values() if len(found) > 1), None)
    if same is None:
        return None
    values = [
        Value(found["value"], f"/evaluation/{run.id}", found["low"], found["high"])
        for run in same
        for found in [run.run.metrics[metric]]
    ]
    about = f"Runs over {same[0].run.folder}, the oldest at the left, each with its 95 % interval."
    steps = [run.name if len(run.name) <= 14 else run.name[:13] + "…" for run in same]
    return lines(
        "course",
        f"{metric} from run to run",
        about,
        steps,
        [Series(metric, values)],
        lambda value: number(value, 3),
        least=None,
    )


def plot(runs: Sequence[Evaluation], metric: str) -> Plot | None:
    """A metric against the median time of a search, on a logarithmic axis; None where no run has both."""
    both = [
        (run, run.run.metrics[metric], run.run.latency_ms["p50"])
        for run in runs
        if metric in run.run.metrics and run.run.latency_ms is not None and run.run.latency_ms["p50"] > 0
    ]
    if not both:
        return None
    times = [taken for _, _, taken in both]
    least, most = log10(min(times)) - 0.1, log10(max(times)) + 0.1
    high = max(found["high"] for _, found, _ in both)
    low = min(*(found["low"] for _, found, _ in both), high - 0.1)  # where all are the same, there is an axis as well
    step = round_step((high - low) / 5)
    bottom = max(0.0, step * int(low / step + 1e-9))
    top = max(step * ceil(high / step - 1e-9), bottom + step)
    places = max(1, ceil(-log10(step) - 1e-9))

    def x(taken: float) -> float:
        return round(LEFT + WIDTH * (log10(taken) - least) / (most - least), 1)

    def y(value: float) -> float:
        return round(TOP + HEIGHT * (1 - (value - bottom) / (top - bottom)), 1)

    digits = (1, 2, 5) if most - least > 1 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    marks = [digit * 10.0**power for power in range(-2, 6) for digit in digits]
    return Plot(
        metric,
        [
            Dot(
                x(taken),
                y(found["value"]),
                y(found["low"]),
                y(found["high"]),
                f"/evaluation/{run.id}",
                f"{run.name}: {metric} {number(found['value'], 4)}, {duration(taken)}",
                run.name,
            )
            for run, found, taken in both
        ],
        [(x(mark), duration(mark)) for mark in marks if least <= log10(mark) <= most],
        [(y(bottom + at * step), number(bottom + at * step, places)) for at in range(round((top - bottom) / step) + 1)],
    )
