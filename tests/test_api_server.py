"""A real server in processes of its own, reached through rag.client: two workers that see each other's changes."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rag.api.models.answers import AskResult
from rag.app import opening
from rag.client import Client, Started, Text, error_of, events
from rag.errors import (
    Conflict,
    GeneratorFailed,
    NotAuthenticated,
    NotFound,
    NotReady,
    RagError,
    StoreNotReady,
    WrongFilter,
    WrongUsage,
)
from tests.api import OTTERS, TIDES, make_token, server, small, until

TOGETHER = 30  # requests on connections of their own, so that both workers meet some of them


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address and token of a server with two workers."""
    settings = small(tmp_path_factory.mktemp("served"), workers=2)
    with opening(settings, create=True) as app:
        token = make_token(app)
    with server(settings) as address:
        yield address, token


@pytest.fixture
def rag(served: tuple[str, str]) -> Iterator[Client]:
    with Client(served[0], token=served[1]) as opened:
        yield opened


def test_every_worker_finds_an_added_document_at_once_and_a_removed_one_never_again(
    tmp_path: Path, database_url: str
) -> None:
    settings = small(tmp_path, database=database_url, workers=2)
    with opening(settings, create=True) as app:
        token = make_token(app)
    workers: Counter[str] = Counter()
    with server(settings) as address, Client(address, token=token) as writer:
        for number in range(2):
            word = f"quokka{number}"
            added = writer.add_text(f"The {word} is a small wallaby.", uri=f"animal:{number}").document_ids
            for worker, found in everywhere(address, token, word):
                assert found == [f"animal:{number}"], f"worker {worker} does not find what was added"
                workers[worker] += 1
            writer.delete(added[0])
            for worker, found in everywhere(address, token, word):
                assert found == [], f"worker {worker} finds what was removed"
                workers[worker] += 1
    assert len(workers) == 2, f"only one worker was asked: {workers}"


def everywhere(address: str, token: str, word: str) -> Iterator[tuple[str, list[str]]]:
    """What a search for a word finds, on many connections, and the process that answered."""
    for _ in range(TOGETHER):
        with httpx.Client(
            base_url=address, headers={"authorization": f"Bearer {token}"}, verify=False, timeout=60
        ) as http:
            hits = http.post("/api/search", json={"query": word, "mode": "keyword"}).raise_for_status().json()["hits"]
            worker = http.get("/metrics").text.split('rag_worker{pid="')[1].split('"')[0]
            yield worker, [hit["uri"] for hit in hits]


def test_metrics_are_the_sum_of_both_workers(served: tuple[str, str]) -> None:
    address, token = served
    with httpx.Client(headers={"authorization": f"Bearer {token}"}, timeout=60) as http:

        def counted() -> float:
            text = http.get(f"{address}/metrics").text
            lines = [line for line in text.splitlines() if line.startswith("rag_http_requests_total{")]
            return sum(float(line.rsplit(" ", 1)[1]) for line in lines if 'route="/api/collections"' in line)

        before = counted()
        for _ in range(TOGETHER):
            httpx.get(
                f"{address}/api/collections", headers={"authorization": f"Bearer {token}"}, timeout=60
            ).raise_for_status()
        for _ in until("both workers' requests are counted"):
            if counted() == before + TOGETHER:
                return


def test_the_client_submits_jobs_and_reads_duplicates(served: tuple[str, str], tmp_path: Path) -> None:
    address, token = served
    long = " ".join(f"word{number}" for number in range(100))
    files = [tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "broken.pdf"]
    for file, text in zip(files, (long, f"{long} and more", "%PDF-1.7 no"), strict=True):
        file.write_text(text)
    with Client(address, token=token) as rag:
        job = rag.submit_files(files, collection="client-jobs", labels=["x"])
        for _ in until("the job is done", 60):
            if rag.job(job.job_id).state not in ("queued", "running"):
                break
        assert rag.job(job.job_id).state == "done"
        states = [item.state for item in rag.job_items(job.job_id, page=2)]
        assert sorted(states) == ["added", "added", "failed"]
        (pair,) = rag.duplicates(collection="client-jobs", level="near")
        assert pair.similarity > 0.9
        assert {line.uri for line in rag.documents(collection="client-jobs")} == {pair.uri, pair.against_uri}
        assert all(line.labels == ["x"] for line in rag.documents(collection="client-jobs"))
        with pytest.raises(Conflict):
            rag.cancel(job.job_id)


def test_the_client_walks_the_whole_house(rag: Client, tmp_path: Path) -> None:
    file = tmp_path / "tides.txt"
    file.write_text(TIDES)
    report = rag.add_files([file], collection="walk", metadata={"kind": "sea"})
    assert (report.added, report.failures) == (1, [])
    rag.add_text(OTTERS, title="Otters", uri="note:otters", external_id="o1", collection="walk")
    assert [d.title for d in rag.documents(collection="walk", page=1)] == ["tides.txt", "Otters"]
    assert [d.uri for d in rag.documents(collection="walk", filter={"kind": {"$exists": False}})] == ["note:otters"]
    assert "walk" in [collection.name for collection in rag.collections()]
    hit = rag.search("otters kelp", k=1, collection="walk").hits[0]
    assert (hit.external_id, hit.parts["bm25"].rank) == ("o1", 1)
    assert rag.document(hit.document_id).text[hit.start : hit.end] == hit.text
    answer = rag.ask("What do sea otters do while they sleep?", collection="walk")
    assert "hold hands" in str(answer.answer)
    steps = list(rag.stream("What do sea otters do while they sleep?", collection="walk"))
    assert isinstance(steps[0], Started)
    last = steps[-1]
    assert isinstance(last, AskResult)
    assert "".join(step.text for step in steps if isinstance(step, Text)) == last.answer == answer.answer
    logged = [line.interaction_id for line in rag.interactions(collection="walk", page=1)]
    assert logged == [last.interaction_id, answer.interaction_id]
    rag.feedback(answer.interaction_id, rating=1, label="true")
    assert [said.label for said in rag.interaction(answer.interaction_id).feedback] == ["true"]


def test_errors_come_back_as_the_classes_that_were_raised(served: tuple[str, str], rag: Client) -> None:
    rag.add_text(OTTERS, uri="note:otters")
    with pytest.raises(NotFound, match="no collection 'nowhere'"):
        rag.search("x", collection="nowhere")
    with pytest.raises(NotFound, match="nowhere"):
        list(rag.stream("x", collection="nowhere"))
    with pytest.raises(WrongUsage, match="empty"):
        rag.search(" ")
    with pytest.raises(WrongFilter, match="near"):
        rag.search("x", filter={"a": {"$near": 1}})
    with pytest.raises(NotFound):
        rag.document(2**62)
    with Client(served[0], token="rag_wrong") as stranger, pytest.raises(NotAuthenticated):
        stranger.collections()


def test_a_server_that_is_not_there_is_not_ready() -> None:
    with Client("http://127.0.0.1:9") as nobody:
        with pytest.raises(NotReady, match="rag serve"):
            nobody.collections()
        with pytest.raises(NotReady, match="rag serve"):
            next(nobody.stream("x"))


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (503, json.dumps({"type": "urn:problem-type:rag:store-not-ready", "detail": "locked"}), StoreNotReady),
        (404, "<html>not here</html>", NotFound),
        (502, json.dumps({"detail": "down"}), GeneratorFailed),
        (418, "[]", RagError),
        (400, "{}", WrongUsage),
        (422, json.dumps({"type": "urn:problem-type:rag:invalid-request", "detail": "k: too large"}), WrongFilter),
    ],
)
def test_which_class_a_problem_is(status: int, text: str, expected: type[RagError]) -> None:
    assert type(error_of(status, text)) is expected


def test_events_are_read_as_the_standard_says() -> None:
    lines = ["event: a", "data: 1", ": comment", "data:2", "", "data: x: y", "", "event: without data", ""]
    assert list(events(iter(lines))) == [("a", "1\n2"), ("message", "x: y")]
