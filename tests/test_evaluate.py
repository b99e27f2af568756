"""Evaluation: a folder is read strictly, a document scores as its best chunk, every judged query counts."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.app import opening
from rag.config import load
from rag.errors import WrongUsage
from rag.evaluate import EVERYDAY, Way, behind, documents, judge, read_folder, searched, summary
from rag.search import MAX_K, Fusion, Refining
from rag.types import Answer, Citation, Example, Hit, Interaction, Mode, Passage, Place, Usage
from tests.cli_house import House, build
from tests.contracts.test_rerankers import tiny_cross_encoder

CORPUS = [
    {"_id": "etna", "title": "Etna", "text": "Mount Etna is a volcano on the east coast of Sicily."},
    {"_id": "vesuvius", "title": "Vesuvius", "text": "Vesuvius is a volcano near Naples that destroyed Pompeii."},
    {"_id": "tea", "title": "Tea", "text": "Green tea is brewed with water of eighty degrees."},
    {"_id": "tea-again", "title": "Tea", "text": "Green tea is brewed with water of eighty degrees."},
    {"_id": "bridge", "title": "Bridge", "text": "The Golden Gate Bridge was opened in 1937."},
]
QUERIES = {
    "q1": "On which coast is Mount Etna?",
    "q2": "How hot is the water for green tea?",
    "q3": "zzzz qqqq",
    "unjudged": "What is not judged?",
}
QRELS = [("q1", "etna", 1), ("q2", "tea-again", 1), ("q3", "bridge", 1)]
GOLD = {"q1": ["Sicily"], "q2": ["80 °C", "eighty degrees"]}


def write(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in CORPUS))
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in QUERIES.items())
    )
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in QRELS)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    (folder / "answers.jsonl").write_text(
        "".join(
            json.dumps({"_id": key, "answers": [{"text": text, "answer_start": 0} for text in texts]}) + "\n"
            for key, texts in GOLD.items()
        )
    )
    return folder


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build(tmp_path_factory.mktemp("evaluation"), {})
    write(house.folder / "beir")
    return house


# ── the folder ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_is_read_with_its_judgements_and_gold_answers(tmp_path: Path) -> None:
    folder = read_folder(write(tmp_path / "tiny"))
    assert [example.id for example in folder.examples] == ["q1", "q2", "q3"]
    assert folder.examples[1] == Example("q2", QUERIES["q2"], ("80 °C", "eighty degrees"), {"tea-again": 1})
    assert folder.collection.startswith("eval-tiny-")
    assert folder.collection != read_folder(write(tmp_path / "other" / "tiny")).collection


def test_gold_answers_may_be_plain_texts_and_none(tmp_path: Path) -> None:
    folder = write(tmp_path / "tiny")
    lines = [{"_id": "q1", "answers": ["Sicily", ""]}, {"_id": "q2", "answers": []}]
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [example.answers for example in read_folder(folder).examples] == [("Sicily",), (), ()]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("queries.jsonl", '{"_id": "q1"}\n', r"queries.jsonl, line 1: expected an object with _id, text"),
        ("queries.jsonl", "\n[1]\n", r"line 2: expected an object"),
        ("queries.jsonl", "{\n", r"line 1: this is not JSON"),
        ("queries.jsonl", '{"_id": "q1", "text": null}\n', r"line 1: expected an object with _id, text"),
        ("queries.jsonl", '{"_id": "q1", "text": "?"}\n' * 2, r"line 2: the query 'q1' was there before"),
        ("queries.jsonl", '\n{"_id": "q1", "text": "caf\udce9"}\n', r"line 2: this is not UTF-8"),
        (
            "answers.jsonl",
            '{"_id": "q1", "answers": "Sicily"}\n',
            r"answers.jsonl, line 1: `answers` is a list of texts",
        ),
        ("answers.jsonl", '{"_id": "q1", "answers": [{"answer": "Sicily"}]}\n', r"`answers` is a list of texts"),
        ("qrels/test.tsv", "q1\tetna\n", r"test.tsv, line 1: expected query-id"),
        ("qrels/test.tsv", "q1\tetna\thigh\n", r"test.tsv, line 1: expected query-id"),
        (
            "qrels/test.tsv",
            "q1\tetna\t1\nq1\tetna\t2\n",
            r"line 2: for the query 'q1' the document 'etna' was judged 1",
        ),
        ("qrels/test.tsv", "q9\tetna\t1\n", r"judges the query 'q9', which queries.jsonl lacks"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    folder = write(tmp_path / "tiny")
    (folder / name).write_text(content, errors="surrogateescape")
    with pytest.raises(WrongUsage, match=said):
        read_folder(folder)


def test_a_judged_query_without_text_is_refused_and_one_that_nobody_judged_is_not(tmp_path: Path) -> None:
    folder = write(tmp_path / "tiny")
    with (folder / "queries.jsonl").open("a") as file:
        file.write('{"_id": "blank", "text": " "}\n')
    assert [example.id for example in read_folder(folder).examples] == ["q1", "q2", "q3"]
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("blank\tetna\t1\n")
    with pytest.raises(WrongUsage, match=r"queries\.jsonl: the text of the query 'blank', which is judged, is empty"):
        read_folder(folder)


def test_a_folder_without_its_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r"no BEIR folder: corpus\.jsonl is missing"):
        read_folder(tmp_path)


# ── the parts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def passage(score: float, *ids: str | None, text: str = "text", start: int = 0) -> Passage:
    places = tuple(Place(number, f"file:///{key}", key, "title") for number, key in enumerate(ids, 1))
    return Passage(Hit(1, score, {}), text, "title", (), places, None, start, start + len(text), 1)


def test_a_document_scores_as_its_best_chunk_and_a_shared_text_under_every_id() -> None:
    found = documents([passage(3.0, "a", "b"), passage(2.0, "c", None), passage(-1.0, "a")])
    assert found == {"a": 3.0, "b": 3.0, "c": 2.0, "file:///None": 2.0}, "one without an id goes by its address"


def test_only_one_ranking_alone_may_be_read_deeper_than_the_settings_say() -> None:
    assert Way("hybrid", Fusion(depth=70)).deep == 70
    assert Way("semantic", Fusion(depth=70)).deep == Way("keyword", Fusion(depth=70)).deep == MAX_K


def test_what_a_refinement_was_not_given_follows_behind_it() -> None:
    first, rest = {"a": -2.0, "b": -3.0}, {"b": 9.0, "c": 8.0, "a": 7.0, "d": 8.0, "e": 1.0}
    found = behind(first, rest)
    assert found == {"a": -2.0, "b": -3.0, "c": -5.0, "d": -5.0, "e": -12.0}
    assert behind({}, rest) == rest
    assert behind(first, {}) == first


def test_only_what_changes_the_ranking_refines_it() -> None:
    plain = Refining(neighbours=3, rerank_depth=7)
    assert not Way("hybrid", Fusion(), refining=plain).refined
    for changed in (Refining(diversify=0.9), Refining(per_document=1)):
        assert Way("hybrid", Fusion(), refining=changed).refined


def test_shares_are_none_where_there_is_nothing_to_share() -> None:
    nothing = summary([])
    assert nothing["questions"] == 0
    assert {name for name, value in nothing.items() if value is None} >= {"contains_gold", "abstained", "mean_ms"}


# ── the whole way ───────────────────────────────────────────────────────────────────────────────────────────────────


def evaluate(house: House, *flags: str) -> dict[str, object]:
    result = house("eval", str(house.folder / "beir"), *flags, "--json")
    assert result.code == 0, result
    return result.json


def test_every_judged_query_counts_and_a_duplicate_is_found_under_its_own_id(house: House) -> None:
    found = evaluate(house, "--mode", "keyword")
    assert found["queries"] == 3
    metrics = found["metrics"]
    assert isinstance(metrics, dict)
    # q1 and q2 are perfect ("tea-again" is greater than its twin "tea", so it comes first), q3 finds nothing: 2 of 3
    names = ("ndcg_cut_10", "recall_10", "recall_100", "recip_rank", "map", "success_1", "success_5")
    assert metrics == {name: pytest.approx(2 / 3) for name in names} | {"P_10": pytest.approx(2 / 30)}
    assert (found["answers"], found["against"]) == (None, None)


def test_evaluating_again_embeds_nothing_and_leaves_other_collections_and_the_log_alone(house: House) -> None:
    first = evaluate(house, "--answers")
    answers = first["answers"]
    assert isinstance(answers, dict)
    assert (answers["questions"], answers["generator"]) == (3, "extractive")
    assert answers["contains_gold"] >= 0.5  # whether it dares to answer the second one is the generator's affair
    assert answers["quotes_verbatim"] == 1.0
    assert answers["citations"] >= 1
    assert answers["max_sentences"] <= 2
    assert answers["max_words"] <= 60
    collections = house("collections", "--json").json["collections"]
    assert [one["name"] for one in collections] == [first["collection"]]  # type: ignore[attr-defined]
    assert house("logs", "--json").json == {"interactions": []}
    again = house(
        "ingest", str(house.folder / "beir" / "corpus.jsonl"), "--collection", str(first["collection"]), "--json"
    )
    assert (again.json["unchanged"], again.json["embedded"]) == (5, 0)


def test_the_limit_takes_the_first_questions(house: House) -> None:
    found = evaluate(house, "--mode", "keyword", "--limit", "2")
    assert found["queries"] == 2
    metrics = found["metrics"]
    assert isinstance(metrics, dict)
    assert metrics.pop("P_10") == pytest.approx(0.1)
    assert set(metrics.values()) == {1.0}


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
def test_every_mode_is_told_to_people_too(house: House, mode: str) -> None:
    result = house("eval", str(house.folder / "beir"), "--mode", mode)
    assert result.code == 0
    assert f"beir, {mode}, 3 judged queries" in result.out
    assert "ndcg_cut_10" in result.out


# ── the same search as everybody's ──────────────────────────────────────────────────────────────────────────────────

RIVERS = 30


@pytest.fixture(scope="module")
def rivers(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house beside a folder of documents that are all about much the same, each as often relevant as the others."""
    house = build(tmp_path_factory.mktemp("rivers"), {})
    folder = house.folder / "beir"
    (folder / "qrels").mkdir(parents=True)
    words = ["water", "bridge", "flood", "otter", "kelp", "mud", "spring", "boat", "fish", "reed"]
    corpus = []
    for n in range(RIVERS):  # of as many lengths, so that no two score alike
        text = f"River {n} has {' and '.join(words[n % 7 : n % 7 + 3])} {' '.join(f'x{n}y{m}' for m in range(n))}."
        corpus.append({"_id": f"d{n}", "title": f"River {n}", "text": text})
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in corpus))
    queries = [{"_id": f"q{n}", "text": f"Which river has {words[n]} and {words[n + 1]}?"} for n in range(3)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in queries))
    (folder / "qrels" / "test.tsv").write_text("".join(f"q{n}\td{n}\t1\n" for n in range(3)))
    return house


CROSS = "a cross-encoder"  # stands for its path
SWITCHES = {
    "plain": [],
    "rerank": ["--rerank", CROSS],
    "refined": ["--diversify", "0.3", "--per-document", "1", "--neighbours", "1"],
    "rrf": ["--fusion", "rrf", "--rrf-k", "10", "--depth", "20"],
}


@pytest.mark.parametrize(
    ("mode", "refined"),
    [(mode, name) for mode in ("hybrid", "semantic", "keyword") for name in SWITCHES if name != "rrf"]
    + [("hybrid", "rrf")],
)
def test_a_run_begins_with_what_a_search_finds_and_leaves_nothing_out(
    rivers: House, mode: str, refined: str, tmp_path: Path
) -> None:
    """Every text here is one chunk, so that a document's score is that of a hit."""
    path = str(tiny_cross_encoder(tmp_path / "cross")) if refined == "rerank" else ""
    switches = [path if word == CROSS else word for word in SWITCHES[refined]]
    folder, name, twelve = rivers.folder / "beir", f"{mode}-{refined}", {"RAG_RERANK_DEPTH": "12"}
    result = rivers("eval", str(folder), "--mode", mode, "--name", name, *switches, "--json", **twelve)
    assert result.code == 0, result
    run: dict[str, dict[str, float]] = {}
    for line in rivers("eval", "export", name).out.splitlines():
        query, _, document, _, score, _ = line.split()
        run.setdefault(query, {})[document] = float(score)
    for example in read_folder(folder).examples:
        flags = ("--mode", mode, "--collection", str(result.json["collection"]), *switches, "--json")
        hits = rivers("search", example.question, *flags, **twelve).json["hits"]
        assert isinstance(hits, list)
        found = {hit["external_id"]: hit["score"] for hit in hits}
        assert len(found) == EVERYDAY
        ours = run[example.id]
        assert {document: ours[document] for document in found} == pytest.approx(found, abs=1e-6)
        assert max(score for document, score in ours.items() if document not in found) <= min(found.values()) + 1e-6
        assert len(ours) == (20 if refined == "rrf" else RIVERS)


def test_the_switches_are_kept_with_the_run(rivers: House) -> None:
    flags = ["--diversify", "0.5", "--per-document", "2", "--alpha", "0.25", "--depth", "40", "--fusion", "weighted"]
    result = rivers("eval", str(rivers.folder / "beir"), *flags, "--rerank", "off", "--json", RAG_RERANKER="/nowhere")
    assert result.code == 0, result
    settings = result.json["settings"]
    assert isinstance(settings, dict)
    assert (settings["chunk_tokens"], settings["overlap_tokens"]) == (256, 0)
    kept = {"diversify": 0.5, "per_document": 2, "alpha": 0.25, "depth": 40, "fusion": "weighted", "reranker": ""}
    assert settings.items() >= (kept | {"k": EVERYDAY, "ranked": 40}).items()


class Reads:
    """A reranker that counts what it is given."""

    name = "counts"

    def __init__(self) -> None:
        self.pairs: list[int] = []

    def relevance(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        self.pairs.append(len(pairs))
        return np.array([-len(text) for _, text in pairs], dtype=np.float32)


@pytest.mark.parametrize("mode", ["hybrid", "semantic"])
def test_a_reranker_reads_what_it_reads_in_an_everyday_search(rivers: House, mode: Mode) -> None:
    folder = read_folder(rivers.folder / "beir")
    assert rivers("eval", str(folder.path), "--limit", "1", "--name", f"first-{mode}").code == 0
    settings = load({"data": str(rivers.data), "embedder": "hashing:256"}, environment={}).settings
    with opening(settings) as app:
        reader = Reads()
        way = Way(mode, Fusion(), reader, Refining(rerank_depth=12))
        found = searched(app.opened(folder.collection), folder.judged, way, app.local())
    assert reader.pairs == [12] * (1 + len(folder.judged)), "the first question opens everything, untimed"
    assert all(len(ranking) == RIVERS for ranking in found.rankings.values())
    assert all(taken > 0 for taken in found.latency_ms.values())


def test_answers_need_gold_answers(house: House, tmp_path: Path) -> None:
    folder = write(tmp_path / "silent")
    (folder / "answers.jsonl").unlink()
    result = house("eval", str(folder), "--answers")
    assert result.code == 2
    assert "no gold answers" in result.err


def test_a_quote_that_is_not_in_the_document_is_counted(house: House) -> None:
    """The judge must be able to say no: a citation whose offsets point elsewhere, an answer without the gold words."""
    settings = load({"data": str(house.data), "embedder": "hashing:256"}, environment={}).settings
    with opening(settings) as app:
        with app.database.read() as connection:
            from sqlalchemy import text

            content, stored = connection.execute(text("SELECT id, text FROM contents ORDER BY id LIMIT 1")).one()
        shown = Passage(Hit(1, 1.0, {}), stored, "", (), (Place(1, "u", "etna", ""),), None, 0, len(stored), content)
        right = Citation(0, 4, 1, 6, 10, stored[6:10], 1.0, "supported", True)
        wrong = Citation(0, 4, 1, 7, 11, stored[6:10], 1.0, "supported", True)
        said = Answer("It is in Italy [1].", (right, wrong), False, "extractive", "stop", Usage(None, None))
        entry = Interaction(
            *("id", "now", 1, "c", "u", None, "synthetic", "q", "q", None, said, None, (shown,), (), "m", "", "t"),
            {},
            0,
            0,
            {"total": 2.0},
        )
        found = judge(app.database, Example("q", "q", ("Sicily",)), entry)
    assert (found.contains_gold, found.citations, found.verbatim, found.words) == (False, 2, 1, 4)
