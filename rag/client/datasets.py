"""Datasets and gates, as the client reaches them: `Client(…).datasets`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Unpack
from urllib.parse import quote

from rag.api.models.datasets import (
    Dataset,
    DatasetComparison,
    DatasetMade,
    DatasetRecord,
    Datasets,
    DatasetVersion,
)
from rag.api.models.gates import GateResult
from rag.api.models.jobs import Job
from rag.client.switches import Generating
from rag.client.wire import Wire, given
from rag.types import Metadata

Shares = tuple[float, float, float]  # of train, validation and test


class Held(Generating, total=False):
    """What a gate holds a dataset to, and how its questions are searched and answered. What is left out, or None, is as
    the collection and the server's settings say."""

    min: Mapping[str, float]  # metric → what its mean must reach
    max: Mapping[str, float]  # metric → what its mean may not pass
    against: str | None  # an earlier run, by name or id
    max_drop: float | None  # with against: a mean may be lower by so much
    metrics: Sequence[str]  # held against the earlier run besides those of the bounds
    answers: bool | None  # ask the questions even if no bound needs answers
    splits: Sequence[str]  # of the dataset; else test
    name: str | None  # keep the run under this name
    worst: int | None  # questions that are shown


class Curating:
    """What reviews and documents are made into: versions that never change. `name` is NAME, the newest version, or
    NAME@NUMBER. Errors as those of the client."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def all(self, *, page: int = 100) -> Iterator[Dataset]:
        """Every dataset with its newest version, the youngest first; fetched `page` at a time."""
        for found in self._wire.pages(Datasets, "/api/datasets", given(limit=page)):
            yield from found.datasets

    def one(self, name: str) -> Dataset:
        """A version with its card."""
        return self._wire.shaped(DatasetVersion, "GET", _address(name), params={"limit": 0})

    def records(self, name: str, *, split: str | None = None, page: int = 100) -> Iterator[DatasetRecord]:
        """The records of a version in its order; fetched `page` at a time."""
        for found in self._wire.pages(DatasetVersion, _address(name), given(split=split, limit=page)):
            yield from found.records

    def make(
        self,
        name: str,
        *,
        which: Literal["reviewed", "judged", "all"] | None = None,
        origins: Sequence[str] = (),
        shares: Shares | None = None,
        scrub: str | None = None,
        query: Metadata | None = None,
    ) -> DatasetMade:
        """Make a version from logged answers and what people said of them; `query`: filters of the log."""
        told = None if query is None else dict(query)
        body = given(
            name=name, which=which, origins=[*origins] or None, shares=_shares(shares), scrub=scrub, query=told
        )
        return self._wire.shaped(DatasetMade, "POST", "/api/datasets", json=body)

    def synthesize(
        self,
        name: str,
        questions: int | None = None,
        *,
        by: Literal["auto", "templates", "generator"] | None = None,
        collection: str | None = None,
        shares: Shares | None = None,
    ) -> Job:
        """Make a version of questions that nobody asked, in a background job; `Client.job` says how far it is."""
        body = given(questions=questions, by=by, collection=collection, shares=_shares(shares))
        return self._wire.shaped(Job, "POST", f"{_address(name)}/synthesize", json=body)

    def export(
        self, name: str, form: str, *, splits: Sequence[str] = (), corpus: Literal["all", "shown"] | None = None
    ) -> bytes:
        """A version in the form that another program reads (beir, csv, kto, parquet, preference, ragas, sft, triplets):
        a zip archive."""
        words = given(format=form, split=[*splits] or None, corpus=corpus)
        return self._wire.send("GET", f"{_address(name)}/export", params=words).content

    def compare(self, name: str, against: str) -> DatasetComparison:
        """How a version differs from an earlier one."""
        words = {"against": against}
        return self._wire.shaped(DatasetComparison, "GET", f"{_address(name)}/comparison", params=words)

    def remove(self, name: str) -> None:
        """Forget a version, or a dataset with all of them."""
        self._wire.send("DELETE", _address(name))

    # ── gates ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def gate(self, dataset: str, **held: Unpack[Held]) -> Job:
        """Hold a dataset to bounds, in a background job; `gated` gives what came of it."""
        return self._wire.shaped(Job, "POST", "/api/gates", json=given(set=dataset, **held))

    def gated(self, job_id: int) -> GateResult:
        """What a gate found, with its report in Markdown. Raises Conflict until its job is done."""
        return self._wire.shaped(GateResult, "GET", f"/api/gates/{job_id}")


def _address(name: str) -> str:
    return f"/api/datasets/{quote(name, safe='')}"


def _shares(shares: Shares | None) -> dict[str, float] | None:
    return None if shares is None else dict(zip(("train", "validation", "test"), shares, strict=True))
