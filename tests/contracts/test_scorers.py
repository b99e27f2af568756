"""What every scorer promises: its range, the same value twice, None when it does not apply, and worked values."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from rag import embedders, scorers
from rag.citations import cite
from rag.support import ABSTENTION
from rag.types import Answer, Embedder, Hit, Interaction, Models, Part, Passage, Score, Scorer, Usage

BRIDGE = "The Golden Gate Bridge was opened in 1937. It is painted orange."
BEES = "Bees dance to tell their sisters where flowers are."
QUESTION = "When was the Golden Gate Bridge opened?"


def passage(text: str, number: int, dense: float | None = None) -> Passage:
    parts = {} if dense is None else {"dense": Part(number, dense)}
    return Passage(Hit(number, 1.0, parts), text, "", (), (), None, 0, len(text), number)


def interaction(text: str | None, *passages: Passage, question: str = QUESTION, abstained: bool = False) -> Interaction:
    answer = None
    if text is not None:
        answer = Answer(text, cite(text, passages), abstained, "test", "stop", Usage(None, None))
    return Interaction(
        id="01",
        created_at="2026-01-01T00:00:00Z",
        tenant_id=1,
        collection="default",
        user="local",
        conversation_id=None,
        origin="human",
        question=question,
        search_query=question,
        prompt=None,
        answer=answer,
        error=None,
        passages=passages,
        candidates=(),
        model="test",
        revision="1",
        template="answer@00000000",
        settings={},
        position=1,
        generation=1,
        timings_ms={},
    )


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return embedders.load("hashing:256", models_dir=tmp_path_factory.mktemp("none"))


@pytest.fixture(scope="module")
def every(embedder: Embedder) -> dict[str, Scorer]:
    return {scorer.name: scorer for scorer in scorers.load(Models(embedder))}


TWO = (passage(BRIDGE, 1), passage(BEES, 2))
ODD = [
    interaction("The Golden Gate Bridge was opened in 1937 [1].", *TWO),
    interaction("Bananas are yellow [1]. [9]", *TWO),
    interaction("…", *TWO),
    interaction("\x00 \u202e é 橋は赤い。 [1]", *TWO),
    interaction("word " * 2000, passage("word " * 2000, 1)),
    interaction("Yes.", passage("", 1), question=""),
]
NOT_ANSWERED = [
    interaction(None, *TWO),
    interaction("", *TWO),
    interaction(ABSTENTION, *TWO, abstained=True),
    interaction("The bridge was opened in 1937."),
]


def test_all_are_loaded_by_name(every: dict[str, Scorer]) -> None:
    assert list(every) == ["answer_relevancy", "citation_precision", "context_relevancy", "faithfulness"]
    assert scorers.names() == list(every)


@pytest.fixture(params=scorers.names())
def scorer(request: pytest.FixtureRequest, every: dict[str, Scorer]) -> Scorer:
    return every[request.param]


def test_scores_are_in_range_and_say_who_gave_them(scorer: Scorer) -> None:
    for score in scorer.score(ODD + NOT_ANSWERED):
        assert score is not None
        assert score.name == scorer.name
        assert score.identifier == f"{scorer.name}@{scorer.version}"
        assert score.annotator_kind == "CODE"
        assert score.value is None or (0 <= score.value <= 1 and math.isfinite(score.value))


def test_one_score_an_interaction_whatever_stands_beside_it(scorer: Scorer) -> None:
    together = scorer.score(ODD + NOT_ANSWERED)
    assert together == [scorer.score([one])[0] for one in ODD + NOT_ANSWERED]
    assert together == scorer.score(ODD + NOT_ANSWERED)
    assert scorer.score([]) == []


def test_what_does_not_apply_has_no_value_and_a_reason(every: dict[str, Scorer]) -> None:
    for name in ("answer_relevancy", "citation_precision", "faithfulness"):
        for score in every[name].score(NOT_ANSWERED):
            assert score is not None
            assert score.value is None
            assert score.explanation
    assert value(every["context_relevancy"], interaction("It was opened in 1937.")) is None


def value(scorer: Scorer, one: Interaction) -> float | None:
    (score,) = scorer.score([one])
    assert isinstance(score, Score)
    return score.value


def test_docstrings_define_range_and_source(every: dict[str, Scorer]) -> None:
    for scorer in every.values():
        told = type(scorer).__doc__ or ""
        assert "Range 0…1" in told
        assert "et al." in told


def test_faithfulness(every: dict[str, Scorer]) -> None:
    faithfulness = every["faithfulness"]
    true, false = "The Golden Gate Bridge was opened in 1937", "Bananas contain potassium"
    assert value(faithfulness, interaction(f"{true} [1].", *TWO)) == 1.0
    assert value(faithfulness, interaction(f"{false} [1].", *TWO)) == 0.0
    assert value(faithfulness, interaction(f"{true} [1]. {false} [2].", *TWO)) == 0.5
    assert value(faithfulness, interaction(f"{true} [2].", *TWO)) == 1.0  # which passage bears it out does not matter
    wrong = value(faithfulness, interaction("The Golden Gate Bridge was opened in 1973 [1].", *TWO))
    assert wrong is not None
    assert wrong < 0.5
    (score,) = faithfulness.score([interaction(f"{true} [1]. {false} [2].", *TWO)])
    assert score is not None
    assert score.label == "1 of 2 sentences supported"
    assert score.explanation is not None
    assert false in score.explanation
    assert value(faithfulness, interaction("And so it is.", *TWO)) is None  # states nothing


def test_citation_precision(every: dict[str, Scorer]) -> None:
    precision = every["citation_precision"]
    true = "The Golden Gate Bridge was opened in 1937"
    assert value(precision, interaction(f"{true} [1].", *TWO)) == 1.0
    assert value(precision, interaction(f"{true} [2].", *TWO)) == 0.0
    assert value(precision, interaction(f"{true} [1][2].", *TWO)) == 0.5
    assert value(precision, interaction(f"{true} [1][7][7].", *TWO)) == 0.5  # a marker counts once in a sentence
    assert value(precision, interaction(f"{true}.", *TWO)) is None


def test_answer_relevancy(every: dict[str, Scorer], embedder: Embedder) -> None:
    relevancy = every["answer_relevancy"]
    assert value(relevancy, interaction(QUESTION, *TWO)) == pytest.approx(1.0, abs=1e-6)
    assert value(relevancy, interaction(f"{QUESTION} [1][2]", *TWO)) == pytest.approx(1.0, abs=1e-6)
    answer = "It was opened in 1937"
    cosine = float(embedder.embed_queries([QUESTION])[0] @ embedder.embed_passages([answer])[0])
    assert value(relevancy, interaction(f"{answer} [1]", *TWO)) == pytest.approx(max(0.0, cosine), abs=1e-6)


def test_context_relevancy(every: dict[str, Scorer], embedder: Embedder) -> None:
    relevancy = every["context_relevancy"]
    assert value(relevancy, interaction(None, passage(BRIDGE, 1, 0.8), passage(BEES, 2, 0.2))) == pytest.approx(0.5)
    assert value(relevancy, interaction(None, passage(BRIDGE, 1, -0.3), passage(BEES, 2, 0.5))) == pytest.approx(0.25)
    titled = replace(passage("It was opened in 1937.", 2), title="Bridge", headings=("History",))
    cosine = float(
        embedder.embed_queries([QUESTION])[0] @ embedder.embed_passages(["Bridge\nHistory\nIt was opened in 1937."])[0]
    )
    assert value(relevancy, interaction(None, passage(BRIDGE, 1, 0.4), titled)) == pytest.approx(
        (0.4 + max(0.0, cosine)) / 2, abs=1e-6
    )
    assert value(relevancy, interaction(ABSTENTION, passage(BRIDGE, 1, 0.4), abstained=True)) == pytest.approx(0.4)


def test_a_real_embedder_scores_long_texts_too(models_dir: Path) -> None:
    """A text over the model's limit is scored by its beginning; nothing fails."""
    real = embedders.load("sentence_transformers:all-MiniLM-L6-v2", models_dir=models_dir)
    long = "The bridge is orange. " * 300
    for scorer in scorers.load(Models(real)):
        (score,) = scorer.score([interaction(long, passage(long, 1))])
        assert score is not None
        assert score.value is None or 0 <= score.value <= 1
