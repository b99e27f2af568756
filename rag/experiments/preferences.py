"""Blind preferences: in which order two answers are shown, and what many judgements say of the configurations; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import sqrt
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rag.errors import WrongUsage
from rag.store.reviews.preferences import Choice, Pair
from rag.types import Interaction

Said = Literal["a", "b", "tie", "neither"]
"""What a person says of the answers as they were shown: A, B, both as good, both bad."""

Z = 1.959963984540054  # of a normal distribution, for intervals of 95 %
PRIOR = 0.1  # wins of each configuration over each other that are added, so that nobody's strength is infinite
RESAMPLES = 500
ROUNDS = 200  # at most
SETTLED = 1e-6  # the largest relative change of a strength that is none
SEED = 20020101
_ANSWERS = (
    "mode",
    "k",
    "fusion",
    "alpha",
    "reranker",
    "diversify",
    "per_document",
    "neighbours",
    "seed",
    "temperature",
)


# ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Shown:
    """A pair as it is judged: A and B, and what is not shown until then."""

    pair: Pair
    a: Interaction
    b: Interaction

    @property
    def question(self) -> str:
        return self.a.question


def swapped(first_id: str, second_id: str) -> bool:
    """Whether the second answer of a pair is shown as A: as good as random, and for a pair always the same."""
    return bool(blake2b(f"{first_id}\n{second_id}".encode(), digest_size=1).digest()[0] & 1)


def choice_of(said: str, *, swapped: bool) -> Choice:
    """Which answer of a pair is meant by A or B. Raises WrongUsage for what nobody can say."""
    if said not in get_args(Said):
        raise WrongUsage(f"a preference is one of {', '.join(get_args(Said))}, not {said!r}")
    if said == "tie":
        return "tie"
    if said == "neither":
        return "neither"
    return "first" if (said == "a") != swapped else "second"


def names_of(first: Interaction, second: Interaction) -> tuple[str, str]:
    """What to call two ways of answering that are no configurations of an experiment: by what differs."""
    one, other = _told(first), _told(second)
    differs = [name for name in one if one[name] != other.get(name)]

    def named(told: Mapping[str, object]) -> str:
        return ", ".join(f"{name} {'–' if told.get(name) in (None, '') else told[name]}" for name in differs)

    return (named(one), named(other)) if differs else ("as it is", "as it is, asked again")


def _told(entry: Interaction) -> dict[str, object]:
    known = {name: entry.settings.get(name) for name in _ANSWERS}
    model = entry.settings.get("fallback_from") or entry.model
    return {"collection": entry.collection, "generator": model, "template": entry.template, **known}


# ── what many say ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rate:
    """How often one configuration won against another."""

    first: str
    second: str
    wins: int  # of the first
    losses: int
    ties: int
    neither: int
    share: float | None  # of the judgements with a winner, those won by the first; None where there are none
    low: float | None  # 95 % (Wilson 1927)
    high: float | None


@dataclass(frozen=True, slots=True)
class Strength:
    """How one configuration stands among all."""

    name: str
    share: float  # the chance to win against another of them, drawn evenly; 0.5: as good as the others
    low: float  # 95 %, by bootstrap over the judgements
    high: float
    judged: int  # judgements it is part of


def rates(tally: Sequence[tuple[str, str, Choice, int]]) -> list[Rate]:
    """Each pair of configurations that was judged, whichever stood first."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for first, second, choice, n in tally:
        pair, flipped = ((first, second), False) if first <= second else ((second, first), True)
        chosen = {"first": "second", "second": "first"}.get(choice, choice) if flipped else choice
        held = counts.setdefault(pair, dict.fromkeys(get_args(Choice), 0))
        held[chosen] += n
    found = []
    for (first, second), held in sorted(counts.items()):
        wins, losses = held["first"], held["second"]
        interval = wilson(wins, wins + losses)
        share = wins / (wins + losses) if wins + losses else None
        low, high = interval if interval is not None else (None, None)
        found.append(Rate(first, second, wins, losses, held["tie"], held["neither"], share, low, high))
    return found


def wilson(wins: int, n: int) -> tuple[float, float] | None:
    """The 95 % interval of a share (Wilson 1927), within 0…1; None of nothing."""
    if not n:
        return None
    share, z2 = wins / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def strengths(tally: Sequence[tuple[str, str, Choice, int]]) -> list[Strength]:
    """All configurations on one scale, the strongest first, by the model of Bradley and Terry (1952), fitted with
    Hunter's MM algorithm (2004); a tie counts as half a win for each, two bad answers count for nobody."""
    used = [(first, second, choice, n) for first, second, choice, n in tally if choice != "neither" and first != second]
    names = sorted({name for first, second, _, _ in used for name in (first, second)})
    if len(names) < 2:
        return []
    place = {name: number for number, name in enumerate(names)}
    cells = np.array([n for *_, n in used], dtype=np.int64)
    total = int(cells.sum())
    drawn = np.random.default_rng(SEED).multinomial(total, cells / total, size=RESAMPLES)  # (r, cells)
    wins = np.zeros((RESAMPLES + 1, len(names), len(names)))  # [resample, winner, loser]; the first is what was seen
    for cell, (first, second, choice, _) in enumerate(used):
        many = np.concatenate([[cells[cell]], drawn[:, cell]]).astype(np.float64)
        one, other = place[first], place[second]
        if choice == "tie":
            wins[:, one, other] += many / 2
            wins[:, other, one] += many / 2
        elif choice == "first":
            wins[:, one, other] += many
        else:
            wins[:, other, one] += many
    shares = _shares(wins)
    low, high = np.quantile(shares[1:], [0.025, 0.975], axis=0)
    judged = {name: sum(n for one, other, _, n in used if name in (one, other)) for name in names}
    found = [
        Strength(
            name,
            float(shares[0, i]),
            min(float(low[i]), float(shares[0, i])),
            max(float(high[i]), float(shares[0, i])),
            judged[name],
        )
        for name, i in place.items()
    ]
    return sorted(found, key=lambda each: (-each.share, each.name))


def _shares(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance of each to win against another, drawn evenly.  (r, m, m) → (r, m)"""
    m = wins.shape[1]
    others = ~np.eye(m, dtype=bool)
    wins = wins + PRIOR * others
    met = wins + wins.transpose(0, 2, 1)  # (r, m, m)
    won = wins.sum(axis=2)  # (r, m)
    strength = np.ones(won.shape)
    together = np.empty_like(met)  # (r, m, m), used again: nobody met themselves, so that the diagonal adds nothing
    for _ in range(ROUNDS):
        np.add(strength[:, :, None], strength[:, None, :], out=together)
        before, strength = strength, won / np.divide(met, together, out=together).sum(axis=2)
        strength /= np.exp(np.log(strength).mean(axis=1, keepdims=True))
        if np.abs(np.log(strength / before)).max() < SETTLED:
            break
    beats = strength[:, :, None] / (strength[:, :, None] + strength[:, None, :])
    return np.asarray(np.where(others, beats, 0.0).sum(axis=2) / (m - 1))
