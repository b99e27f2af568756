"""Rules that choose logged answers for review: a query of the log that all must pass, and clauses of which one must
choose; as values, and as JSON."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf, isfinite
from typing import Literal, TypeVar, cast, get_args

from rag.errors import WrongUsage
from rag.store.interactions import Query, query_json, query_value
from rag.types import Metadata

RECENT = 1000  # interactions among which a score is ranked
MOST = 1_000_000  # the highest quota

Stratum = Literal["template", "model", "collection", "day"]
T = TypeVar("T")


# ── clauses ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class LowScore:
    """The newest value of a score lies below a bound."""

    score: str
    below: float
    kind: Literal["low_score"] = "low_score"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two scores place an interaction far apart: the distance between its ranks by the one and by the other, among
    the RECENT interactions that were scored last, is at least `distance`. A rank is the share of these that have a
    lower value, plus half of those that have the same (0…1), so that scores of different scales can be compared."""

    scores: tuple[str, str]
    distance: float
    kind: Literal["disagreement"] = "disagreement"


@dataclass(frozen=True, slots=True)
class Share:
    """A random share of all: those whose id, hashed with a seed, falls below it. The same ones every time."""

    share: float
    seed: str = ""
    kind: Literal["share"] = "share"


@dataclass(frozen=True, slots=True)
class Plain:
    """Those that got a thumb down, that were refused, that failed; or every one that passes the query."""

    kind: Literal["thumbs_down", "refused", "failed", "every"]


Choice = LowScore | Disagreement | Share | Plain


@dataclass(frozen=True, slots=True)
class Clause:
    """One way into a queue."""

    choice: Choice
    quota: int | None = None  # so many interactions come in by it, ever
    priority: int = 0  # of the items, higher goes first

    @property
    def name(self) -> str:
        """Under which name its items are counted."""
        told = self.choice
        if isinstance(told, LowScore):
            return f"low_score:{told.score}"
        return f"disagreement:{','.join(told.scores)}" if isinstance(told, Disagreement) else told.kind


@dataclass(frozen=True, slots=True)
class Rule:
    clauses: tuple[Clause, ...]
    where: Query = field(default_factory=Query)
    waiting: int | None = None  # so many items may wait in the queue at once
    each: tuple[tuple[Stratum, int], ...] = ()  # so many of one template, model, collection or day (UTC) come in, ever


# ── rules as JSON ───────────────────────────────────────────────────────────────────────────────────────────────────


def rule_json(rule: Rule) -> Metadata:
    """A rule as it is stored and shown; `parse` reads it."""
    told: dict[str, object] = {"any": [_clause_json(clause) for clause in rule.clauses]}
    if where := query_json(rule.where):
        told["where"] = where
    if rule.waiting is not None:
        told["waiting"] = rule.waiting
    if rule.each:
        told["each"] = dict(rule.each)
    return cast(Metadata, told)


def _clause_json(clause: Clause) -> dict[str, object]:
    told: dict[str, object] = {"kind": clause.choice.kind}
    told |= {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(clause.choice).items() if key != "kind"}
    if clause.quota is not None:
        told["quota"] = clause.quota
    if clause.priority:
        told["priority"] = clause.priority
    return told


def parse(told: object) -> Rule:
    """A rule from JSON: {"any": [{"kind": "low_score", "score": "faithfulness", "below": 0.5, "quota": 50}, …],
    "where": {"model": …}, "waiting": 200, "each": {"model": 20}}. Raises WrongUsage, naming what is wrong."""
    rule = _mapping(told, "a rule", {"any", "where", "waiting", "each"})
    clauses = rule.get("any")
    if not isinstance(clauses, list) or not clauses:
        raise WrongUsage('a rule chooses by at least one clause: {"any": [{"kind": "thumbs_down"}]}')
    parsed = tuple(_clause(clause) for clause in clauses)
    twice = [name for name, times in Counter(clause.name for clause in parsed).items() if times > 1]
    if twice:
        raise WrongUsage(f"a rule has two clauses {twice[0]!r}; put them into one, or make two queues")
    each = _mapping(rule.get("each", {}), "each", set(get_args(Stratum)))
    strata = tuple((cast(Stratum, of), _count(number, f"each: {of}")) for of, number in each.items())
    waiting = None if rule.get("waiting") is None else _count(rule["waiting"], "waiting")
    return Rule(parsed, query_value(_mapping(rule.get("where", {}), "where")), waiting, strata)


def _clause(told: object) -> Clause:
    known = {
        "low_score": {"score", "below"},
        "disagreement": {"scores", "distance"},
        "share": {"share", "seed"},
        "thumbs_down": set[str](),
        "refused": set[str](),
        "failed": set[str](),
        "every": set[str](),
    }
    kind = told.get("kind") if isinstance(told, Mapping) else None
    if not isinstance(kind, str) or kind not in known:
        raise WrongUsage(f"a clause of a rule has a kind: {', '.join(known)}; not {kind!r}")
    clause = _mapping(told, f"the clause {kind}", {"kind", "quota", "priority", *known[kind]})
    quota = None if clause.get("quota") is None else _count(clause["quota"], "quota")
    priority = _is(clause.get("priority", 0), int, "priority")
    return Clause(_choice(kind, clause), quota, max(-1000, min(1000, priority)))


def _choice(kind: str, told: Mapping[str, object]) -> Choice:
    if kind == "low_score":
        return LowScore(_word(told.get("score"), "score"), _number(told.get("below"), "below"))
    if kind == "disagreement":
        names = told.get("scores")
        if not isinstance(names, list | tuple) or len(names) != 2 or names[0] == names[1]:
            raise WrongUsage('a disagreement is one of two scores: {"scores": ["faithfulness", "answer_relevancy"]}')
        pair = (_word(names[0], "scores"), _word(names[1], "scores"))
        return Disagreement(pair, _part(told.get("distance", 0.5), "distance"))
    if kind == "share":
        return Share(_part(told.get("share"), "share"), _is(told.get("seed", ""), str, "seed"))
    return Plain(cast(Literal["thumbs_down", "refused", "failed", "every"], kind))


def _mapping(told: object, what: str, known: set[str] | None = None) -> Mapping[str, object]:
    if not isinstance(told, Mapping):
        raise WrongUsage(f"{what} is a JSON object, not {told!r}")
    if known is not None and (unknown := sorted(set(told) - known)):
        raise WrongUsage(f"{what} has no {unknown[0]!r}; there are: {', '.join(sorted(known))}")
    return told


def _is(value: object, kind: type[T] | tuple[type[T], ...], what: str) -> T:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise WrongUsage(f"{what} of a rule cannot be {value!r}")
    return value


def _number(value: object, what: str) -> float:
    given = _is(value, (int, float), what)
    try:
        number = float(given)
    except OverflowError:  # a whole number of JSON may be as long as it likes
        number = inf
    if not isfinite(number):
        raise WrongUsage(f"{what} of a rule must be a finite number, not {number}")
    return number


def _word(value: object, what: str) -> str:
    word = _is(value, str, what)
    if not word or len(word) > 1000:
        raise WrongUsage(f"{what} of a rule must be a word of 1 to 1000 characters")
    return word


def _part(value: object, what: str) -> float:
    number = _number(value, what)
    if not 0 < number <= 1:
        raise WrongUsage(f"{what} of a rule must lie above 0 and be at most 1, not {number}")
    return number


def _count(value: object, what: str) -> int:
    number = _is(value, int, what)
    if not 1 <= number <= MOST:
        raise WrongUsage(f"{what} of a rule must be 1 to {MOST}, not {number}")
    return number
