"""The client's way of asking is the API's own: every field of a request can be said, evaluations and syncs can be read.

The application runs in this process; tests/test_api_server.py walks through a real server.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rag.api.application import create
from rag.api.models.answers import AskRequest, AskResult
from rag.api.models.searching import Searching, SearchRequest, WhyRequest
from rag.app import App, opening
from rag.client import Asking, Client, How, Started, Text
from rag.errors import NotFound, NotPermitted, NotReady, WrongFilter, WrongUsage
from rag.evaluation.runs import judged
from rag.store import evaluations as evaluation_store
from rag.store import syncs as sync_store
from rag.store.syncs import Follows, Location
from rag.workers import Worker
from tests.api import OTTERS, TIDES, client, make_token, small
from tests.test_eval_runs import EXAMPLES, FOUND, new

WORD = "Otters live in rivers of number"
TEXTS = [f"{WORD} {number}. {'They eat fish there. ' * number}" for number in range(6)]


class InProcess(httpx.BaseTransport):
    """Takes requests to an application of this process."""

    def __init__(self, app: App) -> None:
        self._api = client(create(app))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._api.request(
            request.method, str(request.url), content=request.read(), headers=dict(request.headers)
        )
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with opening(small(tmp_path_factory.mktemp("client")), create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def rag(app: App) -> Iterator[Client]:
    with Client("http://127.0.0.1:8000", transport=InProcess(app)) as opened:
        for number, text in enumerate(TEXTS):
            opened.add_text(text, title=f"River {number}", uri=f"river:{number}")
        long = "\n\n".join(f"## Part {number}\n\n{OTTERS} {TIDES} {'Kelp grows. ' * 60}" for number in range(3))
        opened.add_text(long, title="Book", uri="book:1", media_type="text/markdown", external_id="the book")
        yield opened


@pytest.mark.parametrize(
    ("request_shape", "how", "others"),
    [
        (SearchRequest, How, {"query", "k"}),
        (WhyRequest, How, {"query", "document", "k"}),
        (AskRequest, Asking, {"question", "regenerate"}),
    ],
)
def test_every_field_of_a_request_can_be_said(request_shape: type[Searching], how: type[How], others: set[str]) -> None:
    assert set(how.__annotations__) == set(request_shape.model_fields) - others


def test_a_ranking_is_fused_and_refined_as_asked(rag: Client) -> None:
    plain = rag.search("otters that sleep in kelp")
    assert [stage.stage for stage in plain.stages] == ["dense", "bm25", "fused", "duplicates", "passages"]
    refined = rag.search("otters that sleep in kelp", per_document=1, diversify=0.5, rerank="off")
    assert [stage.stage for stage in refined.stages][3:5] == ["per_document", "diverse"]
    assert len({hit.uri for hit in refined.hits}) == len(refined.hits) < len(plain.hits)
    ranks = rag.search("otters that sleep in kelp", fusion="rrf", rrf_k=10, depth=3)
    best = ranks.hits[0]
    assert best.score == pytest.approx(
        sum(1 / (10 + part.rank) for name, part in best.parts.items() if name != "fused"), abs=1e-6
    )
    by_words = rag.search("otters that sleep in kelp", alpha=0.0)
    assert by_words.hits[0].chunk_id == rag.search("otters that sleep in kelp", mode="keyword").hits[0].chunk_id
    narrow, wide = (rag.search("moon pulls the water", k=1, neighbours=n).hits[0] for n in (0, 1))
    assert wide.start < narrow.start or wide.end > narrow.end
    with pytest.raises(NotPermitted, match="settings' own reranker"):
        rag.search("otters", rerank="/etc")
    with pytest.raises(WrongFilter, match="alpha"):
        rag.search("otters", alpha=1.5)


def test_an_answer_rests_on_what_was_asked_for(rag: Client) -> None:
    answer = rag.ask("Where do otters live?", per_document=1, fusion="rrf", filter={"uri": "book:1"}, seed=3)
    assert {hit.uri for hit in answer.passages} == {"book:1"}
    assert len(answer.passages) == 1
    *_, last = rag.stream("Where do otters live?", per_document=1, filter={"uri": "book:1"})
    assert isinstance(last, AskResult)
    assert len(last.passages) == 1
    settings = rag.interaction(answer.interaction_id).settings
    assert (settings["fusion"], settings["per_document"], settings["seed"]) == ("rrf", 1, 3)


def test_why_names_the_stage_that_lost_a_document(rag: Client) -> None:
    found = rag.why("Where do otters live?", "river:0", k=8, mode="keyword")
    assert (found.stage, found.document.uri) == ("found", "river:0")
    assert rag.why("Where do otters live?", str(found.document.document_id)).document == found.document
    assert rag.why("otters", "the book", filter={"title": "River 1"}).stage == "filtered"
    assert rag.why("river 0", "river:5", k=1, mode="keyword").stage == "cut"
    with pytest.raises(NotFound):
        rag.why("otters", "river:99")


def test_evaluations_are_read_and_compared(app: App, rag: Client) -> None:
    tenant_id = app.tenant_id
    with app.database.write() as connection:
        for name, rankings in (("first try", FOUND), ("100 % better?", {"q2": {"a": 1.0}, "q0": {"b": 1.0}})):
            queries = judged(EXAMPLES, rankings, ["recall_100", "map"])
            evaluation_store.add(connection, tenant_id, new(name), queries)
    assert [run.name for run in rag.evaluations(page=1)] == ["100 % better?", "first try"]
    assert list(rag.evaluations(folder="else")) == []
    run = rag.evaluation("first try", metrics=["success_1", "P_5"], lowest=2)
    assert (run.metrics, len(run.worst)) == ({"success_1": 0.25, "P_5": pytest.approx(0.15)}, 2)
    assert rag.evaluation(run.run_id).metrics == {"recall_100": 0.5, "map": 0.0}
    held = rag.comparison("100 % better?", against=run.run_id, losses=1)
    assert (held.first.name, held.second.name, held.queries) == ("first try", "100 % better?", 4)
    assert [row.metric for row in held.metrics] == ["recall_100", "map"]
    assert len(held.losses) == 1
    with pytest.raises(NotFound, match="no run 'nothing'"):
        rag.comparison("nothing", against="first try")
    with pytest.raises(WrongUsage, match="no metric"):
        rag.evaluation("first try", metrics=["mrr"])


def test_syncs_are_listed_foreseen_and_run(app: App, rag: Client, tmp_path: Path) -> None:
    (tmp_path / "tides.txt").write_text(TIDES)
    corpus = app.corpus("followed")
    with app.database.write() as connection:
        follows = Follows((Location("path", str(tmp_path)),))
        sync_store.register(connection, corpus.collection, "my docs", follows, actor="local")
    (listed,) = rag.syncs(collection="followed")
    assert (listed.name, listed.locations[0].place, listed.result) == ("my docs", str(tmp_path), None)
    assert rag.syncs(collection="other") == []
    foreseen = rag.preview_sync("my docs", collection="followed")
    assert (foreseen.dry_run, foreseen.added) == (True, [(tmp_path / "tides.txt").as_uri()])
    job = rag.run_sync("my docs", collection="followed")
    assert job.kind == "sync"
    assert Worker(app).run_one() is not None
    assert rag.job(job.job_id).state == "done"
    assert [line.uri for line in rag.documents(collection="followed")] == [(tmp_path / "tides.txt").as_uri()]
    with pytest.raises(NotFound):
        rag.run_sync("nothing")


def test_who_is_bound_to_labels_is_refused_as_such(tmp_path: Path) -> None:
    with opening(small(tmp_path), create=True) as app, Client(transport=InProcess(app), token=bound(app)) as rag:
        with pytest.raises(NotPermitted, match="bound to labels"):
            rag.syncs()
        with pytest.raises(NotPermitted, match="bound to labels"):
            next(rag.evaluations())


def bound(app: App) -> str:
    return make_token(app, "bob", labels=["staff"])


def test_a_stream_that_breaks_off_is_an_error() -> None:
    """As a proxy ends it, whose server died: half an answer is not taken for a whole one."""
    half = b'event: started\ndata: {"interaction_id": "x", "passages": []}\n\nevent: text\ndata: {"text": "Otters"}\n\n'

    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=half)

    with Client("http://127.0.0.1:8000", transport=httpx.MockTransport(handle)) as opened:
        told = opened.stream("Where do otters live?")
        assert [type(next(told)), next(told)] == [Started, Text("Otters")]
        with pytest.raises(NotReady, match="broke off"):
            next(told)
