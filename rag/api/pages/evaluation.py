"""The pages Evaluation: runs that are kept, one with its worst questions, two held against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from rag.api.house import House
from rag.api.pages.charts import round_step
from rag.api.pages.rendering import PageRoute, duration, number, page, query
from rag.api.requests import Asker, TheHouse
from rag.api.routes.evaluations import check
from rag.runs import METRICS, compare, first_relevant, rescored, worst
from rag.store import evaluations as store
from rag.store.evaluations import Evaluation, JudgedQuery

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LISTED = 50  # runs of a page
WORST = 25  # questions
LOST = 20
DRAWN = 24  # runs of the plot
RECALL = "recall_100"
LEFT, TOP, WIDTH, HEIGHT = 48, 20, 540, 230  # of the plot in its picture of 600 by 290

Run = Annotated[str, Query(min_length=1, max_length=120)]
Metric = Annotated[str, Query(max_length=60)]


@dataclass(frozen=True, slots=True)
class Dot:
    """A run in the plot of quality against time."""

    x: float
    y: float
    label_y: float
    low: float  # of the interval, as places
    high: float
    href: str
    title: str
    label: str


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
    drawn = metric if metric in names else RECALL if RECALL in names else names[0] if names else RECALL
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
    low = min(found["low"] for _, found, _ in both)
    high = max(found["high"] for _, found, _ in both)
    step = round_step((high - low) / 5)
    bottom = step * int(low / step + 1e-9)
    top = max(step * ceil(high / step - 1e-9), bottom + step)
    places = max(1, ceil(-log10(step) - 1e-9))

    def x(taken: float) -> float:
        return round(LEFT + WIDTH * (log10(taken) - least) / (most - least), 1)

    def y(value: float) -> float:
        return round(TOP + HEIGHT * (1 - (value - bottom) / (top - bottom)), 1)

    marks = [digit * 10.0**power for power in range(-2, 6) for digit in (1, 2, 5)]
    return Plot(
        metric,
        [
            Dot(
                x(taken),
                y(found["value"]),
                y(found["value"]) + (15 if at % 2 else -6),
                y(found["low"]),
                y(found["high"]),
                f"/evaluation/{run.id}",
                f"{run.name}: {metric} {number(found['value'], 4)}, {duration(taken)}",
                run.name if len(run.name) <= 22 else run.name[:21] + "…",
            )
            for at, (run, found, taken) in enumerate(both)
        ],
        [(x(mark), duration(mark)) for mark in marks if least <= log10(mark) <= most],
        [(y(bottom + at * step), number(bottom + at * step, places)) for at in range(round((top - bottom) / step) + 1)],
    )
