"""What a collection does about duplicates: for each level, at document and at chunk level, one policy.

Levels: `exact` (equal normalised text), `near` (Jaccard similarity of 5-word shingles), `semantic` (cosine).
Policies, for a document that duplicates one that stands:
    off      not looked for
    keep     both stand; the pair is recorded
    alias    it becomes one more place of the text that stands
    skip     it is held back, until the one that stands goes
    newest   the older one is held back, until the newer one goes
For a chunk nothing is held back: where several chunks of one answer say the same, one is shown, with the places of all
(`alias`: the best ranked, `skip`: the oldest, `newest`: the newest); `keep` shows them all and records the pair.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from rag.errors import WrongUsage
from rag.types import Metadata, MetadataValue

Level = Literal["exact", "near", "semantic"]
Policy = Literal["off", "keep", "alias", "skip", "newest"]
Scope = Literal["document", "chunk"]
LEVELS: tuple[Level, ...] = get_args(Level)

DEFAULTS: dict[str, MetadataValue] = {
    "dedup_exact": "alias",
    "dedup_near": "keep",
    "dedup_semantic": "off",
    "dedup_chunk_exact": "alias",
    "dedup_chunk_near": "off",
    "dedup_chunk_semantic": "off",
    "dedup_near_threshold": 0.8,
    "dedup_semantic_threshold": 0.95,
}
"""Of a collection whose settings do not say."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done about the duplicates of one level."""

    level: Level
    policy: Policy
    threshold: float  # the similarity from which on two are duplicates


@dataclass(frozen=True, slots=True)
class Policies:
    """A collection's rules, strictest level first; levels that are off are left out."""

    document: tuple[Rule, ...]
    chunk: tuple[Rule, ...]
    near_threshold: float  # of both scopes: the bands of all signatures are made for it

    @classmethod
    def of(cls, settings: Metadata) -> "Policies":
        """The rules in a collection's settings. Raises WrongUsage for a value that is none."""
        return cls(_rules(settings, ""), _rules(settings, "chunk_"), _threshold(settings, "near"))


def _rules(settings: Metadata, scope: str) -> tuple[Rule, ...]:
    found = []
    for level in LEVELS:
        policy = _policy(settings, f"dedup_{scope}{level}")
        if policy != "off":
            found.append(Rule(level, policy, 1.0 if level == "exact" else _threshold(settings, level)))
    return tuple(found)


def _policy(settings: Metadata, name: str) -> Policy:
    value = settings.get(name, DEFAULTS[name])
    for policy in get_args(Policy):
        if value == policy:
            return policy  # type: ignore[no-any-return]  # get_args forgets what it gives
    raise WrongUsage(f"{name} is one of {', '.join(get_args(Policy))}, not {value!r}")


def _threshold(settings: Metadata, level: Level) -> float:
    name = f"dedup_{level}_threshold"
    value = settings.get(name, DEFAULTS[name])
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.5 <= value <= 1:
        raise WrongUsage(f"{name} lies between 0.5 and 1, not {value!r}")
    return float(value)
