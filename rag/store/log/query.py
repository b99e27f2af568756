"""Which interactions are meant: a query as a value, and as JSON that can be kept."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from math import inf, isfinite
from typing import Literal, get_args

from rag.errors import WrongUsage

Said = Literal["good", "bad", "any", "none"]
"""What was said of an answer: some rating of 1, some of -1, anything, nothing."""
ReviewState = Literal["queued", "reviewed", "none"]


@dataclass(frozen=True, slots=True)
class ScoreRange:
    """The newest value of a score lies from `least` to `most`, both included; without them: there is a value."""

    name: str
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """Which interactions to list. Every condition given must hold."""

    text: str | None = (
        None  # words of question, answer or search query: all of them; "a phrase", the beginning of a wor*
    )
    model: str | None = None
    template: str | None = None  # a name, whichever version, or name@digest
    user: str | None = None
    origin: str | None = None
    conversation_id: str | None = None
    collection: str | None = None
    since: datetime | None = None  # to the millisecond, as all times of the log
    until: datetime | None = None  # before this moment
    scores: tuple[ScoreRange, ...] = ()
    confidence_min: float | None = None
    confidence_max: float | None = None
    abstained: bool | None = None
    failed: bool | None = None
    replays: bool | None = None  # of what was logged before; None: both these and what was asked
    feedback: Said | None = None
    review_state: ReviewState | None = None
    tags: tuple[str, ...] = ()  # all of them

    def __post_init__(self) -> None:
        """Raise WrongUsage for a bound that is no number: nothing lies beyond it, and no JSON can keep it."""
        bounds = [("confidence", bound) for bound in (self.confidence_min, self.confidence_max)]
        bounds += [(each.name, bound) for each in self.scores for bound in (each.least, each.most)]
        for name, bound in bounds:
            if bound is not None and not isfinite(bound):
                raise WrongUsage(f"a bound of {name} is a finite number, not {bound}")


_RANGE = re.compile(r"(.+):(-?[\d.]+)?\.\.(-?[\d.]+)?")


def score_ranges(told: Sequence[str], least: float | None = None, most: float | None = None) -> tuple[ScoreRange, ...]:
    """Ranges of scores as people write them: NAME, or NAME:LOW..HIGH with either bound left out. `least` and `most` are
    of the only name. Raises WrongUsage."""
    found = []
    for text in told:
        match = _RANGE.fullmatch(text)
        try:
            if match is None and ".." in text:
                raise ValueError(text)
            low, high = (
                None if bound is None else float(bound) for bound in (match.groups()[1:] if match else (None,) * 2)
            )
        except ValueError as error:
            raise WrongUsage(
                f"{text!r} is no range of a score: NAME:LOW..HIGH, such as faithfulness:0.2..0.5"
            ) from error
        found.append(ScoreRange(match[1] if match else text, low, high))
    if (least, most) != (None, None):
        if len(found) != 1:
            raise WrongUsage("a lowest or highest score needs the name of the score; of several, write NAME:LOW..HIGH")
        found = [ScoreRange(found[0].name, least, most)]
    return tuple(found)


def query_json(query: Query) -> dict[str, object]:
    """What of a query is given, as JSON."""
    told: dict[str, object] = {}
    for field in fields(query):
        value = getattr(query, field.name)
        if isinstance(value, datetime):
            told[field.name] = value.astimezone(UTC).isoformat(timespec="milliseconds")
        elif field.name == "scores" and value:
            told["scores"] = [{"name": each.name, "least": each.least, "most": each.most} for each in value]
        elif value not in (None, ()):
            told[field.name] = list(value) if isinstance(value, tuple) else value
    return told


def query_value(told: Mapping[str, object]) -> Query:
    """The query that `query_json` wrote. Raises WrongUsage for anything else."""
    query = Query()
    known = {field.name for field in fields(Query)}
    for name, value in told.items():
        if name not in known:
            raise WrongUsage(f"the log has no filter {name!r}; there are {', '.join(sorted(known))}")
        query = replace(query, **{name: _value(name, value)})  # type: ignore[arg-type]
    return query


def _value(name: str, value: object) -> object:
    """A field's value from JSON."""
    choices = {"feedback": get_args(Said), "review_state": get_args(ReviewState)}
    match name, value:
        case ("since" | "until", str()):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError as error:
                raise WrongUsage(f"{name} takes a moment in ISO 8601, not {value!r}") from error
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        case ("scores", list()):
            return tuple(_range(each) for each in value)
        case ("tags", list()) if all(isinstance(each, str) for each in value):
            return tuple(value)
        case ("abstained" | "failed" | "replays", bool()):
            return value
        case ("confidence_min" | "confidence_max", int() | float()) if not isinstance(value, bool):
            return _number(value)
        case ("feedback" | "review_state", str()) if value in choices[name]:
            return value
        case ("text" | "model" | "template" | "user" | "origin" | "conversation_id" | "collection", str()):
            return value
    raise WrongUsage(f"the filter {name} does not take {value!r}")


def _range(told: object) -> ScoreRange:
    if (
        not isinstance(told, dict)
        or not isinstance(told.get("name"), str)
        or not set(told) <= {"name", "least", "most"}
    ):
        raise WrongUsage(f"a range of scores has a name, and least, most or both, not {told!r}")
    bounds = [told.get("least"), told.get("most")]
    if not all(bound is None or (isinstance(bound, int | float) and not isinstance(bound, bool)) for bound in bounds):
        raise WrongUsage(f"the bounds of {told['name']} are numbers, not {bounds}")
    return ScoreRange(told["name"], *(None if bound is None else _number(bound) for bound in bounds))


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of JSON may be as long as it likes
        return inf
