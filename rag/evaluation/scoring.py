"""Scoring the history: metrics applied to what is in the log already, batch by batch; what is done stays done."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

from rag.scorers import WITH_REFERENCE, identifier
from rag.store import interactions as interaction_store
from rag.store.database import Database
from rag.store.interactions import Query
from rag.store.log import scores as score_store
from rag.types import CancelToken, Example, Interaction, Score, Scorer

PAGE = 256  # interactions whose scores are looked up at once
MOST = 64  # interactions that are scored at once, at most
GROWS_BELOW_S = (
    0.25  # a batch that takes less is followed by one twice as large, one that takes four times as much by half
)

Progress = Callable[[int], None]  # interactions looked at
Heard = Callable[[Interaction, Sequence[Score]], None]  # an interaction as it stood before, and what it was given now
References = Mapping[str, Example]
"""Examples by their question, as `key` writes it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of one metric over the interactions that were looked at."""

    name: str
    scored: int  # now
    already: int  # by the same scorer in the same version, left as they were
    without_reference: int  # no example of their question is known
    applies: int  # those with a value, old and new
    mean: float | None  # of these; None where there are none

    @property
    def does_not_apply(self) -> int:
        return self.scored + self.already - self.applies


@dataclass(slots=True)
class _Counting:
    scored: int = 0
    already: int = 0
    without_reference: int = 0
    values: list[float] = field(default_factory=list)

    def count(self, values: Iterable[float | None]) -> None:
        self.values += [value for value in values if value is not None]


def key(question: str) -> str:
    """A question as it is compared with those of examples: by its words in any case."""
    return " ".join(question.casefold().split())


def references(examples: Sequence[Example]) -> References:
    """Examples by question; of a question that stands in several, all gold answers and judgements count."""
    found: dict[str, Example] = {}
    for example in examples:
        other = found.setdefault(key(example.question), example)
        if other is not example:
            answers = tuple(dict.fromkeys((*other.answers, *example.answers)))
            found[key(example.question)] = Example(
                other.id, other.question, answers, {**other.relevant, **example.relevant}
            )
    return found


def score(
    database: Database,
    tenant_id: int,
    scorers: Sequence[Scorer],
    query: Query,
    *,
    again: bool = False,
    limit: int | None = None,
    known: References | None = None,
    cancel: CancelToken | None = None,
    progress: Progress = lambda looked_at: None,
    heard: Heard = lambda entry, new: None,
) -> list[Tally]:
    """Score the interactions that `query` means, the newest first, by every scorer that has not scored them yet.

    again: score those, too, in place of what they have. limit: end when so many interactions were scored. A metric
    with a reference is left out where `known` has no example of the question. A set `cancel` ends it after the batch
    that is running; what was written stays, and the next call goes on behind it. `heard` is told of every interaction
    that was given scores. Raises what a scorer raises.
    """
    cancel = cancel or threading.Event()
    counts = {scorer.name: _Counting() for scorer in scorers}
    looked_at, left = 0, limit
    pace = _Pace()
    for page in _pages(database, tenant_id, query):
        waiting = _waiting(database, page, scorers, counts, known or {}, again=again)
        at = 0
        while at < len(page) and not cancel.is_set() and left != 0:
            batch, taken = _batch(page[at:], waiting, pace.size if left is None else min(pace.size, left))
            with pace:
                _score_batch(database, [waiting[each] for each in batch], counts, heard)
            at += taken
            looked_at += taken
            left = None if left is None else left - len(batch)
            progress(looked_at)
        if cancel.is_set() or left == 0:
            break
    return [_tally(name, counting) for name, counting in counts.items()]


class _Pace:
    """How many interactions to score at once: as many as take about a quarter of a second."""

    def __init__(self) -> None:
        self.size = 1
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        taken = time.monotonic() - self._began
        if taken < GROWS_BELOW_S:
            self.size = min(MOST, 2 * self.size)
        elif taken > 4 * GROWS_BELOW_S:
            self.size = max(1, self.size // 2)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An interaction and the scorers that have still to judge it."""

    id: str
    scorers: Sequence[tuple[Scorer, Example | None]]


def _pages(database: Database, tenant_id: int, query: Query) -> Iterator[list[str]]:
    before = None
    while True:
        with database.read() as connection:
            page = score_store.ids(connection, tenant_id, query, limit=PAGE, before=before)
        if page:
            yield page
        if len(page) < PAGE:
            return
        before = page[-1]


def _waiting(
    database: Database,
    page: Sequence[str],
    scorers: Sequence[Scorer],
    counts: Mapping[str, _Counting],
    known: References,
    *,
    again: bool,
) -> dict[str, _Waiting]:
    """Who has still to judge what; counts what is left out."""
    lacking: dict[str, list[tuple[Scorer, Example | None]]] = {}
    with database.read() as connection:
        questions = score_store.questions(connection, page) if known else {}
        for scorer in scorers:
            counting, compared = counts[scorer.name], scorer.name in WITH_REFERENCE
            had = {
                (one.interaction_id, one.identifier): one.value
                for one in score_store.given(connection, page, scorer.name)
            }
            for interaction_id in page:
                example = known.get(key(questions.get(interaction_id, ""))) if compared else None
                signed = identifier(scorer, example)
                if compared and example is None:
                    counting.without_reference += 1
                elif (interaction_id, signed) in had and not again:
                    counting.already += 1
                    counting.count([had[interaction_id, signed]])
                else:
                    lacking.setdefault(interaction_id, []).append((scorer, example))
    return {interaction_id: _Waiting(interaction_id, wanted) for interaction_id, wanted in lacking.items()}


def _batch(page: Sequence[str], waiting: Mapping[str, _Waiting], size: int) -> tuple[list[str], int]:
    """The next ids that wait for a score, at most `size`, and how many of the page were passed for them."""
    found: list[str] = []
    for taken, interaction_id in enumerate(page, 1):
        if interaction_id in waiting:
            found.append(interaction_id)
            if len(found) == size:
                return found, taken
    return found, len(page)


def _score_batch(database: Database, batch: Sequence[_Waiting], counts: Mapping[str, _Counting], heard: Heard) -> None:
    """Score some interactions by the scorers that each waits for, and write that in one transaction."""
    with database.read() as connection:
        entries = {each.id: interaction_store.whole(connection, each.id) for each in batch}
    groups: dict[str, tuple[Scorer, list[tuple[Interaction, Example | None]]]] = {}
    for each in batch:
        entry = entries[each.id]
        for scorer, example in each.scorers if entry is not None else ():
            assert entry is not None
            groups.setdefault(scorer.name, (scorer, []))[1].append((entry, example))
    new: list[tuple[str, Score]] = []
    for scorer, pairs in groups.values():
        judged = scorer.score([entry for entry, _ in pairs], [example for _, example in pairs])
        for (entry, example), one in zip(pairs, judged, strict=True):
            new.append((entry.id, one or Score(scorer.name, None, identifier=identifier(scorer, example))))
    if new:
        with database.write() as connection:
            score_store.replace(connection, new)
    for _, one in new:
        counts[one.name].scored += 1
        counts[one.name].count([one.value])
    for interaction_id, entry in entries.items():
        given = [one for key, one in new if key == interaction_id]
        if entry is not None and given:
            heard(entry, given)


def _tally(name: str, counting: _Counting) -> Tally:
    values = counting.values
    mean = fsum(values) / len(values) if values else None
    return Tally(name, counting.scored, counting.already, counting.without_reference, len(values), mean)
