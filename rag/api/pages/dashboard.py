"""/dashboard: the log in figures, with charts whose marks lead to the rows behind them; drift; what to write next.

The page answers at once with its frame; each part is fetched behind it, so that nothing waits for the slowest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from rag.api.house import House
from rag.api.pages.charts import Chart, Series, Value, bars, lines
from rag.api.pages.rendering import PageRoute, duration, number, page, percent, query, score
from rag.api.requests import Asker, TheHouse
from rag.api.routes.dashboard import check
from rag.errors import NotFound, NotReady, WrongUsage
from rag.insight import topics
from rag.insight.drift import ENOUGH, Drift, DriftPoint
from rag.insight.figures import FIRST, LAST, Chosen, Dashboard, Figures, Point, Step, midnight, of_log, period
from rag.insight.intervals import Share
from rag.store import dashboard as store
from rag.store.dashboard import Counted
from rag.types import Principal

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PERIODS = (("1", "Today"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "1 year"), ("all", "All"))
DAYS = "30"
COUNTED: Mapping[Counted, tuple[str, str]] = {  # whose questions: of the switch, and in a sentence
    "human": ("Asked by people", "What people asked is counted"),
    "synthetic": ("Synthetic", "Synthetic questions are counted, as experiments put them"),
    "generated": ("Generated", "Generated questions are counted"),
    "all": ("All questions", "All questions are counted, those of experiments and replays too"),
}
LINES = 6  # of a chart
DRAWN_FIRST = ("faithfulness", "answer_relevancy", "context_relevancy")  # scores that are drawn before others


@dataclass(frozen=True, slots=True)
class Asked:
    """Which period and which groups the address names."""

    days: str = DAYS  # of PERIODS; "" where since and until say it
    since: str = ""  # a day
    until: str = ""  # a day, part of the period
    collection: str = ""
    model: str = ""
    template: str = ""
    origin: Counted = "human"

    def query(self, **changes: str) -> str:
        """The query of an address that asks for this, but for what changes."""
        mine = {name: getattr(self, name) for name in self.__slots__} | changes
        usual = {"days": DAYS, "origin": "human"}
        if mine["since"] or mine["until"]:
            mine["days"] = ""
        return query({name: value for name, value in mine.items() if value != usual.get(name)})


async def asked(
    days: Annotated[str, Query(max_length=5)] = DAYS,
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
    collection: Annotated[str, Query(max_length=1000)] = "",
    model: Annotated[str, Query(max_length=1000)] = "",
    template: Annotated[str, Query(max_length=1000)] = "",
    origin: Annotated[str, Query(max_length=10)] = "human",
) -> Asked:
    if days not in dict(PERIODS):
        raise WrongUsage(f"the dashboard shows {', '.join(key for key, _ in PERIODS)} days, not {days!r}")
    counted = next((one for one in COUNTED if one == origin), None)
    if counted is None:
        raise WrongUsage(f"the dashboard counts {', '.join(COUNTED)}, not {origin!r}")
    return Asked("" if since or until else days, since, until, collection, model, template, counted)


Wanted = Annotated[Asked, Depends(asked)]


@router.get("/dashboard")
def frame(
    request: Request, house: TheHouse, principal: Asker, wanted: Wanted, whole: Annotated[bool, Query()] = False
) -> Response:
    """The frame, whose parts htmx fetches; with `whole` the figures stand in it, for browsers without scripts."""
    check(principal)
    with house.app.database.read() as connection:
        names = store.names(connection, principal.tenant_id)
    board = _board(house, principal.tenant_id, wanted) if whole else {}
    told = {"asked": wanted, "periods": PERIODS, "origins": COUNTED, "names": names, "whole": whole}
    return page(request, "dashboard.html", **told, **board)


@router.get("/dashboard/figures")
def figures(request: Request, house: TheHouse, principal: Asker, wanted: Wanted) -> Response:
    check(principal)
    return page(request, "_figures.html", asked=wanted, **_board(house, principal.tenant_id, wanted))


@router.get("/dashboard/drift")
def drift(request: Request, house: TheHouse, principal: Asker, wanted: Wanted) -> Response:
    return _or_why(request, lambda: _drift(request, house, principal, wanted))


@router.get("/dashboard/topics")
def new_topics(request: Request, house: TheHouse, principal: Asker, wanted: Wanted) -> Response:
    return _or_why(request, lambda: _new_topics(request, house, principal, wanted))


@router.get("/dashboard/unanswered")
def unanswered(request: Request, house: TheHouse, principal: Asker, wanted: Wanted) -> Response:
    return _or_why(request, lambda: _unanswered(request, house, principal, wanted))


def _or_why(request: Request, part: Callable[[], Response]) -> Response:
    """A part of the page, or in its place why there is none: the other parts stand."""
    try:
        return part()
    except (NotFound, NotReady) as error:
        return page(request, "_why.html", why=str(error))


def _drift(request: Request, house: House, principal: Principal, wanted: Asked) -> Response:
    check(principal)
    since, until = _period(house, principal.tenant_id, wanted)
    name = wanted.collection or house.app.settings.collection
    before = topics.reference(since, until, None)
    found = topics.drifted(house.app.database, principal.tenant_id, name, before, since, until, wanted.origin)
    picture = None if found.drift is None else _drift_chart(found.drift, name, wanted.origin)
    return page(
        request,
        "_drift.html",
        asked=wanted,
        counted=COUNTED[wanted.origin][1],
        others=found.others,
        found=found,
        picture=picture,
        enough=ENOUGH,
        collection=name,
        before=before,
        since=since,
        rows=_rows(name, since, until, wanted.origin),
        rows_before=_rows(name, before, since, wanted.origin),
    )


def _new_topics(request: Request, house: House, principal: Principal, wanted: Asked) -> Response:
    check(principal)
    since, until = _period(house, principal.tenant_id, wanted)
    before = topics.reference(since, until, None)
    opened = house.app.opened(wanted.collection or None, principal.tenant_id)
    found = topics.new_topics(opened, house.app.question_vectors(), principal, before, since, until, wanted.origin)
    return page(
        request,
        "_topics.html",
        asked=wanted,
        counted=COUNTED[wanted.origin][1],
        others=found.topics.others,
        found=found.topics,
        limit=found.limit,
        older=found.older,
        new=True,
        enough=ENOUGH,
        rows=_rows(opened.collection.name, since, until, wanted.origin),
        rows_before=_rows(opened.collection.name, before, since, wanted.origin),
    )


def _unanswered(request: Request, house: House, principal: Principal, wanted: Asked) -> Response:
    check(principal)
    since, until = _period(house, principal.tenant_id, wanted)
    opened = house.app.opened(wanted.collection or None, principal.tenant_id)
    found = topics.unanswered(opened, house.app.question_vectors(), principal, since, until, wanted.origin)
    rows = _rows(opened.collection.name, since, until, wanted.origin)
    return page(
        request,
        "_topics.html",
        asked=wanted,
        counted=COUNTED[wanted.origin][1],
        others=found.others,
        found=found,
        limit=None,
        older=0,
        new=False,
        enough=ENOUGH,
        rows=rows,
        rows_before=None,
    )


def _rows(collection: str, since: datetime, until: datetime, counted: Counted) -> str:
    """Where the log has the questions that were put to a collection in a span of time."""
    span = {"since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    return "/log" + query({"collection": collection, **_asked_by(counted), **span})


def _asked_by(counted: Counted) -> dict[str, str]:
    """What the page Log calls those whose questions count."""
    return {} if counted == "all" else {"origin": counted, "replays": "no"}


def _period(house: House, tenant_id: int, wanted: Asked) -> tuple[datetime, datetime]:
    """The period that is meant. Raises WrongUsage for a day that is none."""
    if wanted.days == "all":
        with house.app.database.read() as connection:
            found = store.extent(connection, tenant_id)
        since = None if found is None else midnight(found[0].date())
        return period(since, None)
    if wanted.days:
        return period(None, None, int(wanted.days))
    until = _day(wanted.until) if wanted.until else None
    return period(_day(wanted.since) if wanted.since else None, None if until is None else until + timedelta(days=1))


def _day(text: str) -> datetime:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise WrongUsage(f"{text!r} is no day such as 2026-01-31") from error
    if not FIRST <= day < LAST:
        raise WrongUsage(f"a day lies between {FIRST:%Y} and {LAST:%Y}, not {text!r}")
    return day


# ── what the charts show ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    href: str
    note: str = ""


def _board(house: House, tenant_id: int, wanted: Asked) -> dict[str, object]:
    since, until = _period(house, tenant_id, wanted)
    chosen = Chosen(wanted.collection or None, wanted.model or None, wanted.template or None, wanted.origin)
    found = of_log(house.app.spans(), tenant_id, since, until, chosen)
    log = Log(wanted, since, until)
    return {
        "counted": COUNTED[wanted.origin][1],
        "others": found.others,
        "found": found,
        "tiles": _tiles(found.total, log),
        "charts": _charts(found, log),
        "stages": [
            (stage, one, max(one.p95 for one in found.total.stages.values()))
            for stage, one in found.total.stages.items()
        ],
        "tables": (
            ("Models", "model", found.by_model),
            ("Templates", "template", found.by_template),
            ("Collections", "collection", found.by_collection),
        ),
        "log": log,
    }


@dataclass(frozen=True, slots=True)
class Log:
    """Where the log has the rows behind a number."""

    asked: Asked
    since: datetime
    until: datetime

    def href(self, point: Point | None = None, **more: str) -> str:
        since, until = (self.since, self.until) if point is None else (point.since, point.until)
        mine = {name: getattr(self.asked, name) for name in ("collection", "model", "template")}
        span = {"since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
        return "/log" + query({**mine, **_asked_by(self.asked.origin), **more, **span})


def _tiles(total: Figures, log: Log) -> list[Tile]:
    latency = total.stages.get("total")
    found = [
        Tile("questions", number(total.questions), log.href()),
        Tile("users", number(total.users), log.href()),
        Tile("refused", _share(total.refused), log.href(outcome="refused"), _interval(total.refused)),
        Tile("failed", _share(total.failed), log.href(outcome="failed"), _interval(total.failed)),
        Tile("rated good", number(total.good), log.href(feedback="good")),
        Tile("rated bad", number(total.bad), log.href(feedback="bad")),
    ]
    if latency is not None:
        found.append(Tile("median time", duration(latency.p50), log.href(), f"19 of 20 within {duration(latency.p95)}"))
    tokens = total.prompt_tokens + total.completion_tokens
    return [*found, Tile("tokens", short(tokens), log.href(), f"{short(total.completion_tokens)} of answers")]


def _share(found: Share | None) -> str:
    return "–" if found is None else f"{100 * found.value:.1f}\u202f%"


def _interval(found: Share | None) -> str:
    return "" if found is None else f"{number(found.count)}; {100 * found.low:.1f} to {100 * found.high:.1f}\u202f%"


def short(value: float | None) -> str:
    """1234567 as "1.2 M"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value is not None and abs(value) >= size:
            digits = f"{value / size:.1f}".removesuffix(".0") if abs(value) < 100 * size else f"{value / size:.0f}"
            return f"{digits}\u202f{unit}"
    return "–" if value is None else f"{value:g}"


def _charts(found: Dashboard, log: Log) -> list[Chart]:
    points, steps = found.over_time, names_of(found.over_time, found.step)
    each = f"each {found.step}"

    def series(name: str, of: Callable[[Figures], float | None], tone: int = 0, **more: str) -> Series:
        return Series(name, [Value(of(point.figures), log.href(point, **more)) for point in points], tone)

    def shares(name: str, of: Callable[[Figures], Share | None], tone: int, **more: str) -> Series:
        parts = [(point, of(point.figures)) for point in points]
        return Series(
            name,
            [
                Value(None, log.href(point, **more))
                if one is None
                else Value(one.value, log.href(point, **more), one.low, one.high)
                for point, one in parts
            ],
            tone,
        )

    return [
        bars(
            "questions",
            "Questions",
            f"How many questions were answered, refused and failed {each}.",
            steps,
            [
                series("answered", _answered, outcome="answered"),
                series("refused", lambda one: one.refused.count if one.refused else 0, 2, outcome="refused"),
                series("failed", lambda one: one.failed.count if one.failed else 0, 6, outcome="failed"),
            ],
            short,
        ),
        bars(
            "users", "Users", f"How many people asked {each}.", steps, [series("users", lambda one: one.users)], short
        ),
        lines(
            "latency",
            "Time to the whole answer",
            f"Half of the answers took no longer than p50, 19 of 20 no longer than p95, {each}.",
            steps,
            [
                series("p50", lambda one: one.stages["total"].p50 if "total" in one.stages else None),
                series("p95", lambda one: one.stages["total"].p95 if "total" in one.stages else None),
            ],
            duration,
        ),
        lines(
            "shares",
            "Refused and failed",
            f"Shares of the questions {each}, with their 95 % intervals.",
            steps,
            [
                shares("refused", lambda one: one.refused, 2, outcome="refused"),
                shares("failed", lambda one: one.failed, 6, outcome="failed"),
            ],
            percent,
        ),
        _scores(found, log, steps),
        bars(
            "ratings",
            "Ratings",
            f"How many answers somebody rated good and bad {each}.",
            steps,
            [
                series("good", lambda one: one.good, 3, feedback="good"),
                series("bad", lambda one: one.bad, 6, feedback="bad"),
            ],
            short,
        ),
        bars(
            "tokens",
            "Tokens",
            f"Tokens of prompts and of answers {each}.",
            steps,
            [
                series("prompts", lambda one: one.prompt_tokens),
                series("answers", lambda one: one.completion_tokens),
            ],
            short,
        ),
    ]


def _answered(one: Figures) -> float:
    return 0 if one.refused is None else one.refused.n - one.refused.count


def _scores(found: Dashboard, log: Log, steps: Sequence[str]) -> Chart:
    """The scores as lines: those that people look at first, then those that most interactions have."""
    by_number = sorted(
        found.total.scores, key=lambda name: (name not in DRAWN_FIRST, -found.total.scores[name].n, name)
    )
    shown = by_number[:LINES]
    series = []
    for name in sorted(shown):
        values = []
        for point in found.over_time:
            one, href = point.figures.scores.get(name), log.href(point, score=name)
            values.append(Value(None, href) if one is None else Value(one.value, href, one.low, one.high))
        series.append(Series(name, values))
    about = f"Means of the scores each {found.step}, with their 95 % intervals."
    return lines("scores", "Scores", about, steps, series, score, most=1)


def _drift_chart(found: Drift, collection: str, counted: Counted) -> Chart:
    steps = names_of(found.points, found.step)
    values = []
    for point in found.points:
        href = _rows(collection, point.since, point.until, counted)
        out = point.out
        values.append(Value(None, href) if out is None else Value(out.value, href, out.low, out.high))
    about = f"The share of questions out of what was answered before, each {found.step}, with its 95 % interval."
    return lines("drift", "Out of what was answered before", about, steps, [Series("out", values)], percent)


def names_of(points: Sequence[Point] | Sequence[DriftPoint], step: Step) -> list[str]:
    """What the steps are called."""
    form = {"hour": "%d %b %H:00", "day": "%d %b", "week": "%d %b", "month": "%b %Y"}[step]
    return [point.since.strftime(form).lstrip("0") for point in points]
