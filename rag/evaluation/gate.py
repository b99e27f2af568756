"""A gate: do the present settings still answer a set of judged questions as well as they must? Pure.

Retrieval is measured by trec_eval's names over every question with relevant documents, answers by the names of our
scorers and those of ANSWERS. A bound holds a mean; a drop holds the mean difference to an earlier run over the
questions that both have, told with its 95 % bootstrap interval and the p of a paired randomisation test (see
rag.evaluation.significance).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ingest.wording import counted
from rag.errors import WrongUsage
from rag.evaluation.metrics import metric as retrieval_metric
from rag.evaluation.significance import Difference, Mean, holm, mean, paired
from rag.store.evaluations import JudgedQuery

ANSWERS = {
    "contains_gold": "share of the questions with a right answer whose answer holds it word for word",
    "answered": "share of the questions with an answer that were not refused",
    "refused": "share of the questions without an answer that were refused",
    "quotes_verbatim": "share of the quotes that stand in the document word for word",
}
"""Metrics of answers besides the scorers'; each is told of a question where it applies."""
MAX_DROP = 0.02
WORST = 10
Values = Mapping[
    str, Mapping[str, float]
]  # metric → question id → value; a question is missing where it does not apply


@dataclass(frozen=True, slots=True)
class Bound:
    """What the mean of a metric must reach, or stay below."""

    metric: str
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """One metric against its bound."""

    bound: Bound
    mean: Mean | None  # None: it applied to no question
    questions: int

    @property
    def passed(self) -> bool:
        """A metric that applied to no question has not passed."""
        if self.mean is None:
            return False
        enough = self.bound.least is None or self.mean.value >= self.bound.least
        return enough and (self.bound.most is None or self.mean.value <= self.bound.most)

    @property
    def sure(self) -> bool:
        """Whether the bound lies outside of the interval: other questions like these would tell the same."""
        if self.mean is None:
            return True
        limits = (self.bound.least, self.bound.most)
        return not any(limit is not None and self.mean.low < limit < self.mean.high for limit in limits)


@dataclass(frozen=True, slots=True)
class Dropped:
    """One metric against an earlier run, over the questions that both have."""

    metric: str
    before: float
    now: float
    difference: Difference  # now minus before
    p_holm: float
    questions: int
    most: float  # the drop that is let pass

    @property
    def passed(self) -> bool:
        return self.before - self.now <= self.most + 1e-12


@dataclass(frozen=True, slots=True)
class Worst:
    """A question with the lowest value."""

    id: str
    question: str
    value: float
    before: float | None  # in the earlier run


@dataclass(frozen=True, slots=True)
class Other:
    """A metric that is measured, and held to nothing."""

    metric: str
    mean: Mean
    dropped: Dropped | None  # against the earlier run


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate found."""

    name: str  # of the set
    collection: str
    questions: int
    held: tuple[Held, ...]
    drops: tuple[Dropped, ...]
    against: str | None
    worst_by: str | None  # metric
    worst: tuple[Worst, ...]
    settings: Mapping[str, object]
    others: tuple["Other", ...]  # what was measured and is not held
    uncompared: tuple[str, ...] = ()  # metrics that were to be compared and that the earlier run lacks

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.held) and all(one.passed for one in self.drops) and not self.uncompared


# ── what is asked for ───────────────────────────────────────────────────────────────────────────────────────────────


def bounds(least: Sequence[str], most: Sequence[str], scorers: Sequence[str]) -> tuple[Bound, ...]:
    """From "ndcg_cut_10=0.70" and the like. Raises WrongUsage for a metric that there is not, and for no number."""
    found: dict[str, dict[Literal["least", "most"], float]] = {}
    given: tuple[tuple[Literal["least", "most"], Sequence[str]], ...] = (("least", least), ("most", most))
    for side, texts in given:
        for text in texts:
            name, equals, number = (part.strip() for part in text.partition("="))
            try:
                value = float(number)
            except ValueError as error:
                raise WrongUsage(f"{text!r} is no bound: write METRIC=NUMBER, as ndcg_cut_10=0.70") from error
            if not equals or value != value or abs(value) == float("inf"):
                raise WrongUsage(f"{text!r} is no bound: write METRIC=NUMBER, as ndcg_cut_10=0.70")
            check(name, scorers)
            found.setdefault(name, {})[side] = value
    return tuple(Bound(name, sides.get("least"), sides.get("most")) for name, sides in found.items())


def check(name: str, scorers: Sequence[str]) -> None:
    """Raise WrongUsage unless a metric has this name."""
    if name in ANSWERS or name.partition(":")[0] in scorers:
        return
    try:
        retrieval_metric(name)
    except WrongUsage as error:
        known = ", ".join([*ANSWERS, *scorers])
        raise WrongUsage(f"{error}; of answers there are {known}") from error


def of_answers(name: str, scorers: Sequence[str]) -> bool:
    """Whether a metric needs answers."""
    return name in ANSWERS or name.partition(":")[0] in scorers


# ── what was measured ───────────────────────────────────────────────────────────────────────────────────────────────


def retrieved(queries: Sequence[JudgedQuery], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """The retrieval metrics by question."""
    return {name: {query.id: query.metrics[name] for query in queries} for name in names}


# ── the verdict ─────────────────────────────────────────────────────────────────────────────────────────────────────


def hold(values: Values, wanted: Sequence[Bound]) -> tuple[Held, ...]:
    """Every bound against what was measured."""
    return tuple(
        Held(bound, mean(list(values.get(bound.metric, {}).values())), len(values.get(bound.metric, {})))
        for bound in wanted
    )


def drops(values: Values, before: Values, most: float) -> tuple[Dropped, ...]:
    """Every metric that both runs have, over the questions that both have; p is corrected for their number."""
    found = []
    for name in values:
        both = [key for key in values[name] if key in before.get(name, {})]
        earlier, later = [before[name][key] for key in both], [values[name][key] for key in both]
        difference = paired(earlier, later)
        if difference is not None:
            found.append((name, sum(earlier) / len(both), sum(later) / len(both), difference, len(both)))
    corrected = holm([one[3].p for one in found])
    return tuple(Dropped(*one[:4], p, one[4], most) for one, p in zip(found, corrected, strict=True))


def worst(
    questions: Mapping[str, str], values: Mapping[str, float], before: Mapping[str, float], n: int
) -> tuple[Worst, ...]:
    """The n questions with the lowest values below 1; of equal ones those that lost most."""
    rows = [Worst(key, questions[key], value, before.get(key)) for key, value in values.items() if value < 1]
    rows.sort(key=lambda row: (row.value, row.value - (row.before if row.before is not None else row.value), row.id))
    return tuple(rows[:n])


# ── the report ──────────────────────────────────────────────────────────────────────────────────────────────────────


def markdown(gate: Gate) -> str:
    """The report, which CI can show."""
    lines = [
        f"# Gate: {'passed' if gate.passed else 'FAILED'}",
        "",
        f"{_text(gate.name)}, {counted(gate.questions, 'question')}, collection {_text(gate.collection)}.",
        "",
    ]
    if gate.held:
        lines += ["| metric | value | 95 % interval | bound | questions | verdict |", "|---|---|---|---|---|---|"]
        lines += [_held(one) for one in gate.held] + [""]
    if gate.against is not None:
        lines += [f"Against {_text(gate.against)}:", ""]
        lines += [
            "| metric | before | now | difference | 95 % interval | p | largest drop | questions | verdict |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [_dropped(one) for one in gate.drops] + [""]
        if gate.uncompared:
            lines += [f"FAILED: the earlier run does not know {', '.join(gate.uncompared)}.", ""]
    if gate.others:
        lines += ["| also measured | value | 95 % interval | difference | p |", "|---|---|---|---|---|"]
        lines += [_other(one) for one in gate.others] + [""]
    if gate.worst:
        lines += [
            f"Worst by {gate.worst_by}:",
            "",
            f"| {gate.worst_by} | before | question | id |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {one.value:.4f} | {'–' if one.before is None else f'{one.before:.4f}'} | {_text(one.question, 120)} "
            f"| {_text(one.id, 40)} |"
            for one in gate.worst
        ]
        lines.append("")
    settings = ", ".join(f"{name} {value}" for name, value in gate.settings.items() if value not in (None, ""))
    return "\n".join([*lines, f"Settings: {_text(settings)}"]) + "\n"


def _held(one: Held) -> str:
    limits = [
        f"{sign} {limit:g}" for sign, limit in (("≥", one.bound.least), ("≤", one.bound.most)) if limit is not None
    ]
    if one.mean is None:
        return f"| {one.bound.metric} | – | – | {' and '.join(limits)} | 0 | FAILED: applies to no question |"
    verdict = ("passed" if one.passed else "FAILED") + ("" if one.sure else ", within the interval")
    told = f"{one.mean.value:.4f} | {_interval(one.mean)} | {' and '.join(limits)}"
    return f"| {one.bound.metric} | {told} | {one.questions:,} | {verdict} |"


def _dropped(one: Dropped) -> str:
    found = one.difference
    verdict = "passed" if one.passed else "FAILED"
    return (
        f"| {one.metric} | {one.before:.4f} | {one.now:.4f} | {found.mean.value:+.4f} | {_interval(found.mean)} "
        f"| {one.p_holm:.3f} | {one.most:g} | {one.questions:,} | {verdict} |"
    )


def _other(one: Other) -> str:
    told = "– | –" if one.dropped is None else f"{one.dropped.difference.mean.value:+.4f} | {one.dropped.p_holm:.3f}"
    return f"| {one.metric} | {one.mean.value:.4f} | {_interval(one.mean)} | {told} |"


def _interval(one: Mean) -> str:
    return f"{one.low:.4f} … {one.high:.4f}"


def _text(text: str, width: int = 400) -> str:
    """A text of others in one cell: no markup, no control characters, no line of its own."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    line = line if len(line) <= width else line[: width - 1] + "…"
    return "".join(f"\\{c}" if c in r"\`*_[]<>#|!&" else c for c in line)
