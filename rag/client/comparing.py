"""Replays, experiments and blind comparisons, as the client reaches them: `Client(…).comparing`."""

from collections.abc import Iterator, Mapping
from typing import Literal, Unpack
from urllib.parse import quote

from rag.api.models.experiments import (
    BlindPair,
    Experiment,
    Experiments,
    ExperimentWhole,
    NextPair,
    Preference,
    PreferenceRates,
    Preferences,
)
from rag.api.models.replays import Replay
from rag.client.switches import Generating
from rag.client.wire import Wire, given

Setting = str | int | float


class Otherwise(Generating, total=False):
    """What a replay changes. What is left out, or None, is as it was logged."""

    k: int | None  # passages
    seed: int | None
    temperature: float | None
    at_original_index: bool | None  # search the collection as it stood then


class Comparing:
    """Answers held against each other. Errors as those of the client."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    # ── two answers to one question ─────────────────────────────────────────────────────────────────────────────────

    def replay(self, interaction_id: str, **otherwise: Unpack[Otherwise]) -> Replay:
        """Run a logged question again, retrieval included: what differs. The replay is logged, too."""
        path = f"/api/interactions/{quote(interaction_id, safe='')}/replays"
        return self._wire.shaped(Replay, "POST", path, json=given(**otherwise))

    def difference(self, interaction_id: str, against: str | None = None) -> Replay:
        """How an answer differs from an earlier one: from the one that it replays, or from `against`."""
        path = f"/api/interactions/{quote(interaction_id, safe='')}/difference"
        return self._wire.shaped(Replay, "GET", path, params=given(against=against))

    # ── experiments ─────────────────────────────────────────────────────────────────────────────────────────────────

    def experiments(self, *, page: int = 100) -> Iterator[Experiment]:
        """The experiments that are kept, newest first; fetched `page` at a time."""
        for found in self._wire.pages(Experiments, "/api/experiments", given(limit=page)):
            yield from found.experiments

    def experiment(self, name: str | int) -> ExperimentWhole:
        """An experiment by name or id: each configuration's means, how it differs from the first, and every answer."""
        return self._wire.shaped(ExperimentWhole, "GET", f"/api/experiments/{quote(str(name), safe='')}")

    # ── blind ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, question: str, first: Mapping[str, Setting], second: Mapping[str, Setting]) -> BlindPair:
        """Put a question to two configurations (settings, as in rag.toml): both answers as A and B."""
        body = {"question": question, "first": dict(first), "second": dict(second)}
        return self._wire.shaped(BlindPair, "POST", "/api/comparisons", json=body)

    def pair(self, first_id: str, second_id: str) -> BlindPair:
        """Two logged answers to one question as A and B."""
        words = {"first": first_id, "second": second_id}
        return self._wire.shaped(BlindPair, "GET", "/api/comparisons", params=words)

    def next(self, experiment: str | int) -> BlindPair | None:
        """The next pair of an experiment's answers that the asker has not judged; None when there is none."""
        words = {"experiment": str(experiment)}
        return self._wire.shaped(NextPair, "GET", "/api/comparisons/next", params=words).pair

    def prefer(
        self, pair: BlindPair, choice: Literal["a", "b", "tie", "neither"], comment: str | None = None
    ) -> Preference:
        """Say which answer of a pair is better; what comes back tells who was who."""
        body = given(first_id=pair.first_id, second_id=pair.second_id, choice=choice, comment=comment)
        return self._wire.shaped(Preference, "POST", "/api/preferences", json=body)

    def preferences(self, *, experiment: str | int | None = None, page: int = 100) -> Iterator[Preference]:
        """Judgements, newest first; fetched `page` at a time."""
        words = given(experiment=None if experiment is None else str(experiment), limit=page)
        for found in self._wire.pages(Preferences, "/api/preferences", words):
            yield from found.preferences

    def rates(self, *, experiment: str | int | None = None) -> PreferenceRates:
        """How often each configuration wins."""
        words = given(experiment=None if experiment is None else str(experiment))
        return self._wire.shaped(PreferenceRates, "GET", "/api/preferences/rates", params=words)
