"""What is done to a ranking, switched by each request, on the command line and over the API; and `why` over both."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rag.api.application import create
from rag.app import App, opening
from rag.config import load
from tests.api import client, make_token, small
from tests.cli_house import House, build
from tests.contracts.test_rerankers import tiny_cross_encoder

BOOK = "\n\n".join(
    f"## Part {number}\n\nOtters live in the sea of part {number}. They sleep in kelp and eat urchins of kind {number}."
    for number in range(6)
)
TEXTS = {"book.md": f"# Otters\n\n{BOOK}\n", "note.txt": "Some otters live in rivers.", "tea.txt": "Tea is hot."}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build(tmp_path_factory.mktemp("refining"), TEXTS)
    assert house("ingest", str(house.docs), RAG_CHUNK_TOKENS="32").code == 0
    return house


def hits(house: House, *flags: str, **variables: str) -> list[dict[str, object]]:
    result = house("search", "otters live in the sea", "--json", *flags, **variables)
    assert result.code == 0, result.err
    found = result.json["hits"]
    assert isinstance(found, list)
    return found


def stages(house: House, *flags: str) -> list[str]:
    told = house("search", "otters live in the sea", "--json", *flags).json["stages"]
    assert isinstance(told, list)
    return [stage["stage"] for stage in told]


def test_one_passage_of_a_document(house: House) -> None:
    plain = [hit["uri"] for hit in hits(house, "-k", "4")]
    assert len(plain) > len(set(plain)), "what the test is about"
    thinned = [hit["uri"] for hit in hits(house, "-k", "4", "--per-document", "1")]
    assert len(thinned) == len(set(thinned)) == 3
    assert hits(house, "-k", "4", RAG_PER_DOCUMENT="1") == hits(house, "-k", "4", "--per-document", "1")
    assert [hit["uri"] for hit in hits(house, "-k", "4", "--per-document", "0", RAG_PER_DOCUMENT="1")] == plain


def test_neighbours_widen_what_is_quoted_and_keep_it_exact(house: House) -> None:
    text = str(house("documents", "show", str(hits(house)[0]["document_id"]), "--json").json["text"])
    narrow, wide = hits(house, "-k", "1")[0], hits(house, "-k", "1", "--neighbours", "1")[0]
    assert narrow["chunk_id"] == wide["chunk_id"]
    start, end = wide["start"], wide["end"]
    assert isinstance(start, int)
    assert isinstance(end, int)
    assert wide["text"] == text[start:end]
    assert len(str(wide["text"])) > len(str(narrow["text"]))
    several = [hit for hit in hits(house, "-k", "5", "--neighbours", "3") if hit["document_id"] == wide["document_id"]]
    spans = sorted((int(str(hit["start"])), int(str(hit["end"]))) for hit in several)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert all(hit["text"] == text[int(str(hit["start"])) : int(str(hit["end"]))] for hit in several)


def test_diversity_and_its_parts(house: House) -> None:
    plain = [hit["chunk_id"] for hit in hits(house)]
    spread = hits(house, "--diversify", "0.2")
    assert sorted(str(hit["chunk_id"]) for hit in spread) == sorted(map(str, plain))
    assert [hit["chunk_id"] for hit in spread] != plain
    assert all("diverse" in str(hit["parts"]) for hit in spread)
    assert [hit["chunk_id"] for hit in hits(house, "--diversify", "1")] == plain


def test_a_cross_encoder_by_its_path_is_switched_per_request(house: House, tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "cross")
    reranked = hits(house, "--rerank", str(folder))
    assert all("rerank" in str(hit["parts"]) for hit in reranked)
    assert hits(house, "--rerank", "off", RAG_RERANKER=str(folder)) == hits(house)
    refused = house("search", "otters", "--rerank", "nobody")
    assert refused.code == 2
    assert "no reranker 'nobody'" in refused.err


def test_every_stage_is_told(house: House, tmp_path: Path) -> None:
    assert stages(house) == ["dense", "bm25", "fused", "duplicates", "passages"]
    assert stages(house, "--mode", "keyword") == ["bm25", "duplicates", "passages"]
    folder = str(tiny_cross_encoder(tmp_path / "cross"))
    everything = ("--rerank", folder, "--per-document", "1", "--diversify", "0.5", "-k", "2")
    assert stages(house, *everything) == [
        "dense",
        "bm25",
        "fused",
        "rerank",
        "per_document",
        "diverse",
        "duplicates",
        "passages",
    ]
    result = house("search", "otters live in the sea", "--explain", *everything)
    lines = [line.split() for line in result.out.splitlines() if re.match(r"(stage|per_document|passages) ", line)]
    assert lines[0] == ["stage", "given", "kept", "dropped", "ms"]
    assert [line[:4] for line in lines[1:]] == [
        ["per_document", *lines[1][1:3], lines[1][3]],
        ["passages", "3", "2", "1"],
    ]
    assert int(lines[1][1]) - int(lines[1][2]) == int(lines[1][3]) > 0


def test_a_word_that_is_taken_for_others_is_told(house: House) -> None:
    told = house("search", "otters of the rivrs", "--json").json
    assert told["corrected"] == [{"word": "rivr", "taken_for": ["river"]}]
    assert "rivr: no document holds it; taken for river" in house("search", "otters of the rivrs").out
    assert house("search", "otters of the rivers", "--json").json["corrected"] == []


def test_an_answer_is_grounded_in_what_was_refined_and_the_log_says_how(house: House) -> None:
    flags = ("--per-document", "1", "--neighbours", "1", "--diversify", "0.9")
    asked = house("ask", "Where do otters live?", "--json", *flags)
    assert asked.code == 0, asked.err
    passages = asked.json["passages"]
    assert isinstance(passages, list)
    assert len({passage["uri"] for passage in passages}) == len(passages)
    shown = house("logs", "show", str(asked.json["interaction_id"]), "--json").json
    assert shown["passages"] == passages
    settings = shown["settings"]
    assert isinstance(settings, dict)
    assert (settings["per_document"], settings["neighbours"], settings["diversify"]) == (1, 1, 0.9)


# ── why ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_why_on_the_command_line(house: House) -> None:
    found = house("why", "otters live in rivers", str(house.docs / "note.txt"))
    assert found.code == 0, found.err
    assert "found: it is passage 1 of" in found.out
    assert re.search(r"dense +rank 1 of \d+, score 0\.\d+; it brings 100", found.out)
    lost = house("why", "otters live in rivers", str(house.docs / "tea.txt"), "-k", "1", "--json").json
    assert lost["stage"] == "cut"
    assert house("why", "otters", "nothing.txt").code == 1
    fused = house(
        "why", "otters live", str(house.docs / "note.txt"), "--fusion", "rrf", "--depth", "5", "-k", "3", "--json"
    ).json
    arms = fused["arms"]
    assert isinstance(arms, list)
    assert [arm["depth"] for arm in arms] == [5, 5]
    where = '{"uri": "elsewhere"}'
    assert house("why", "otters", str(house.docs / "tea.txt"), "--filter", where, "--json").json["stage"] == "filtered"


def test_why_as_the_holder_of_a_token(house: House, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("Otters have a secret.")
    assert house("ingest", str(tmp_path / "secret.txt"), "--label", "staff").code == 0
    assert house("token", "create", "--name", "gus", "--label", "guest").code == 0
    secret = str(tmp_path / "secret.txt")
    assert house("why", "otters secret", secret, "--json").json["stage"] == "found"
    told = house("why", "otters secret", secret, "--as", "gus", "--json").json
    assert told["stage"] == "not_permitted"
    assert house("why", "otters secret", secret, "--as", "nobody").code == 1


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path), create=True) as opened:
        yield opened


def filled(app: App) -> tuple[TestClient, TestClient]:
    """Somebody of the staff, and a guest; a document for the staff only."""
    api = create(app)
    staff, guest = (client(api, token=make_token(app, name, [name])) for name in ("staff", "guest"))
    for body in (
        {"text": "Otters have a secret den.", "uri": "note:secret", "labels": ["staff"]},
        {"text": "Otters live in rivers.", "uri": "note:rivers", "external_id": "r1"},
    ):
        assert staff.post("/api/documents", json=body).status_code == 201
    return staff, guest


def test_over_the_api_a_document_that_may_not_be_seen_is_unknown(app: App) -> None:
    staff, guest = filled(app)
    asked = {"query": "otters den", "document": "note:secret"}
    told = staff.post("/api/why", json=asked)
    assert (told.status_code, told.json()["stage"]) == (200, "found")
    key = told.json()["document"]["document_id"]
    for named in ("note:secret", str(key)):
        hidden = guest.post("/api/why", json=asked | {"document": named})
        unknown = guest.post("/api/why", json=asked | {"document": "note:nothing"})
        assert hidden.status_code == unknown.status_code == 404
        assert hidden.text.replace(named, "note:nothing") == unknown.text
    by_external = guest.post("/api/why", json={"query": "rivers", "document": "r1"}).json()
    assert (by_external["stage"], by_external["rank"]) == ("found", 1)


def test_a_request_switches_each_stage_and_names_no_reranker_of_its_own(app: App) -> None:
    staff, _ = filled(app)
    refined = {"diversify": 0.7, "per_document": 1, "neighbours": 1, "rerank": "off"}
    found = staff.post("/api/search", json={"query": "otters"} | refined).json()
    assert [stage["stage"] for stage in found["stages"]][3:5] == ["per_document", "diverse"]
    assert staff.post("/api/ask", json={"question": "Where do otters live?"} | refined).status_code == 200
    for path, body in (
        ("search", {"query": "x"}),
        ("ask", {"question": "x"}),
        ("why", {"query": "x", "document": "1"}),
    ):
        refused = staff.post(f"/api/{path}", json=body | {"rerank": "/etc"})
        assert (refused.status_code, "settings' own reranker" in refused.text) == (403, True)
        for wrong in ({"diversify": 1.5}, {"per_document": -1}, {"neighbours": 99}):
            assert staff.post(f"/api/{path}", json=body | wrong).status_code == 422


def test_the_settings_are_the_defaults() -> None:
    settings = load({}, {"RAG_DIVERSIFY": "0.5", "RAG_NEIGHBOURS": "2", "RAG_RERANK_DEPTH": "7"}).settings
    app = App(settings, None)  # type: ignore[arg-type]
    refining = app.refining()
    assert (refining.diversify, refining.neighbours, refining.rerank_depth, refining.per_document) == (0.5, 2, 7, 0)
    assert app.refining(neighbours=0).neighbours == 0
