"""Spans of the log added up: totals, figures over time, and by collection, model and template; pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import numpy as np

from rag.errors import WrongUsage
from rag.insight.intervals import Average, Share, average, share
from rag.insight.sketches import merged
from rag.insight.spans import Held, Span, Spans
from rag.store.dashboard import Counted, Group, Sum

Step = Literal["hour", "day", "week", "month"]
LONGEST: tuple[tuple[Step, int], ...] = (("hour", 2), ("day", 100), ("week", 750))  # days shown in steps of …
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)  # of any log
DAYS = 30  # of a period that nobody chose


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which groups are meant; None: all."""

    collection: str | None = None
    model: str | None = None
    template: str | None = None
    counted: Counted = "human"  # of these

    def has(self, group: Group) -> bool:
        """Whether a group is meant, whosever questions it has."""
        wanted = (self.collection, self.model, self.template)
        return all(want is None or want == got for want, got in zip(wanted, group[:3], strict=True))

    def counts(self, group: Group) -> bool:
        """Whether the questions of a group that is meant count."""
        return self.counted == "all" or (group.origin == self.counted and not group.replay)


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a stage took, in milliseconds, each within 1 %."""

    n: int  # interactions that went through it
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened."""

    questions: int
    users: int
    refused: Share | None  # of those that did not fail; None where there are none
    failed: Share | None  # of all
    prompt_tokens: int
    completion_tokens: int
    stages: Mapping[str, Latency]  # the longest first
    scores: Mapping[str, Average]  # by name
    good: int  # answers that somebody rated good
    bad: int


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of a step of time."""

    since: datetime
    until: datetime
    figures: Figures


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The log between two moments."""

    since: datetime
    until: datetime
    step: Step
    counted: Counted
    others: int  # questions that do not count
    total: Figures
    over_time: Sequence[Point]  # without gaps
    by_collection: Mapping[str, Figures]  # that with the most questions first; the same below
    by_model: Mapping[str, Figures]
    by_template: Mapping[str, Figures]


def of_log(spans: Spans, tenant_id: int, since: datetime, until: datetime, chosen: Chosen) -> Dashboard:
    """The figures of a tenant's log in a period, as `period` gives it."""
    return dashboard(spans.of(tenant_id, since, until, datetime.now(UTC)), since, until, chosen)


def period(since: datetime | None, until: datetime | None, days: int = DAYS) -> tuple[datetime, datetime]:
    """The period that is meant: until the end of today, and so many days, where nothing else is said. Raises WrongUsage
    for one that ends before it begins, or is not of these centuries."""
    end = until or midnight(datetime.now(UTC).date()) + timedelta(days=1)
    begin = since or (floor(end - timedelta(days=days), "day") if end >= FIRST + timedelta(days=days) else FIRST)
    if not FIRST <= begin < end <= LAST:
        raise WrongUsage(
            f"a period begins before it ends, and lies between {FIRST:%Y} and {LAST:%Y}: not {begin} to {end}"
        )
    return begin, end


def dashboard(spans: Sequence[Span], since: datetime, until: datetime, chosen: Chosen) -> Dashboard:
    """The figures of these spans, which lie between `since` and `until`, over the groups that are chosen."""
    step, others = step_of(since, until), 0
    found: dict[tuple[datetime, Group], list[Held]] = {}
    for span in spans:
        for group, held in span.groups.items():
            if not chosen.has(group):
                continue
            if not chosen.counts(group):
                others += held.questions
            else:
                found.setdefault((floor(span.since, step), group), []).append(held)
    by_step: dict[datetime, list[Held]] = {}
    all_of_them = []
    for (begin, group), parts in found.items():  # each step's spans are added once, not for every view of them
        whole = added(parts)
        by_step.setdefault(begin, []).append(whole)
        all_of_them.append((group, whole))
    return Dashboard(
        since,
        until,
        step,
        chosen.counted,
        others,
        figures(held for _, held in all_of_them),
        [
            Point(max(begin, since), min(end, until), figures(by_step.get(begin, ())))
            for begin, end in steps(since, until, step)
        ],
        _by(all_of_them, lambda group: group.collection),
        _by(all_of_them, lambda group: group.model),
        _by(all_of_them, lambda group: group.template),
    )


def figures(parts: Iterable[Held]) -> Figures:
    """What several tallies say together."""
    whole = added(list(parts))
    stages = {}
    for stage, one in whole.stages.items():
        p50, p95 = one.quantile(0.5), one.quantile(0.95)
        if p50 is not None and p95 is not None:
            stages[stage] = Latency(one.n, p50, p95)
    means = {name: average(one.n, one.total, one.squares) for name, one in sorted(whole.scores.items())}
    return Figures(
        whole.questions,
        len(whole.users),
        share(whole.refused, whole.questions - whole.failed),
        share(whole.failed, whole.questions),
        whole.prompt_tokens,
        whole.completion_tokens,
        dict(sorted(stages.items(), key=lambda pair: (-pair[1].p50, pair[0]))),
        {name: mean for name, mean in means.items() if mean is not None},
        whole.good,
        whole.bad,
    )


def added(held: Sequence[Held]) -> Held:
    """Several tallies as one."""
    if len(held) == 1:
        return held[0]
    return Held(
        sum(one.questions for one in held),
        sum(one.refused for one in held),
        sum(one.failed for one in held),
        sum(one.prompt_tokens for one in held),
        sum(one.completion_tokens for one in held),
        np.unique(np.concatenate([one.users for one in held])) if held else np.empty(0, dtype=np.int64),
        {
            stage: merged(one.stages[stage] for one in held if stage in one.stages)
            for stage in dict.fromkeys(stage for one in held for stage in one.stages)
        },
        {
            name: _sum([one.scores[name] for one in held if name in one.scores])
            for name in dict.fromkeys(name for one in held for name in one.scores)
        },
        sum(one.good for one in held),
        sum(one.bad for one in held),
    )


def _sum(parts: Sequence[Sum]) -> Sum:
    return Sum(sum(one.n for one in parts), sum(one.total for one in parts), sum(one.squares for one in parts))


def _by(pairs: Sequence[tuple[Group, Held]], key: Callable[[Group], str]) -> dict[str, Figures]:
    found: dict[str, list[Held]] = {}
    for group, held in pairs:
        found.setdefault(key(group), []).append(held)
    counted = {name: figures(held) for name, held in found.items()}
    return dict(sorted(counted.items(), key=lambda pair: (-pair[1].questions, pair[0])))


# ── steps of time ───────────────────────────────────────────────────────────────────────────────────────────────────


def step_of(since: datetime, until: datetime) -> Step:
    """The step in which a period is shown: about a hundred of them at most, but for decades."""
    days = (until - since) / timedelta(days=1)
    return next((step for step, longest in LONGEST if days <= longest), "month")


def steps(since: datetime, until: datetime, step: Step) -> list[tuple[datetime, datetime]]:
    """The steps that a period touches, whole."""
    found = []
    begin = floor(since, step)
    while begin < until:
        end = _next(begin, step)
        found.append((begin, end))
        begin = end
    return found


def floor(moment: datetime, step: Step) -> datetime:
    """The begin of the step that a moment lies in, in UTC; weeks begin on Monday."""
    day = moment.astimezone(UTC).date()
    if step == "hour":
        return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if step == "week":
        day -= timedelta(days=day.weekday())
    return midnight(day.replace(day=1) if step == "month" else day)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _next(begin: datetime, step: Step) -> datetime:
    if step == "month":
        return floor(begin + timedelta(days=32), "month")
    return begin + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[step]
