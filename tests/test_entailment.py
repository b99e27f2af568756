"""The metric that asks a model whether passages entail sentences: which label it reads, its range, its errors."""

import json
from pathlib import Path

import pytest

from rag import embedders, scorers
from rag.answers.claims import ABSTENTION
from rag.errors import ModelNotReady, WrongSetting
from rag.scorers.nli import Entailment
from rag.types import Models
from tests.contracts.test_rerankers import tiny_cross_encoder
from tests.contracts.test_scorers import BEES, BRIDGE, interaction, passage


def load(name: str) -> Entailment:
    embedder = embedders.load("hashing:16", models_dir=Path("unused"))
    (scorer,) = scorers.load(Models(embedder), [f"nli:{name}"])
    assert isinstance(scorer, Entailment)
    return scorer


def with_labels(folder: Path, labels: list[str]) -> str:
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(i): label for i, label in enumerate(labels)}
    config["label2id"] = {label: i for i, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("nli"), outputs=3)


PAIRS = [("Bees dance in the hive.", "Bees dance."), ("word " * 500, "honey " * 500), ("", "")]


def test_the_label_is_found_by_its_name(folder: Path) -> None:
    """Three orders of the same labels pick three outputs of the same model, which sum to 1."""
    orders = (
        ["contradiction", "neutral", "entailment"],
        ["ENTAILMENT", "NEUTRAL", "CONTRADICTION"],
        ["contradiction", "entailment", "not_entailment"],
    )
    told = []
    for labels in orders:
        scorer = load(with_labels(folder, labels))
        told.append(scorer.probabilities(PAIRS))
        assert scorer.probabilities(PAIRS[:1]) == pytest.approx(told[-1][:1], abs=1e-6)
    for triple in zip(*told, strict=True):
        assert sum(triple) == pytest.approx(1.0, abs=1e-5)
        assert all(0 < one < 1 for one in triple)


def test_the_best_passage_of_each_sentence_counts(folder: Path) -> None:
    scorer = load(with_labels(folder, ["entailment", "neutral", "contradiction"]))
    answer = interaction("Bees dance [2]. Where is honey?", passage(BRIDGE, 1), passage(BEES, 2))
    (score,) = scorer.score([answer])
    pairs = [(text, sentence) for sentence in ("Bees dance.", "Where is honey?") for text in (BRIDGE, BEES)]
    a, b, c, d = scorer.probabilities(pairs)
    assert score is not None
    assert score.value == pytest.approx((max(a, b) + max(c, d)) / 2, abs=1e-6)
    assert (score.name, score.identifier) == ("nli", f"nli@2/{folder}")  # another model's scores stand beside these


def test_it_does_not_apply_to_abstentions_nor_without_passages(folder: Path) -> None:
    scorer = load(with_labels(folder, ["entailment", "other", "third"]))
    told = scorer.score(
        [
            interaction(ABSTENTION, passage(BEES, 1), abstained=True),
            interaction("Bees dance."),
            interaction("And so it is.", passage(BEES, 1)),
        ]
    )
    assert [one.value for one in told if one] == [None, None, None]


def test_what_cannot_be_used_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotReady, match="does not say which of its labels is entailment: it has LABEL_0, LABEL_1"):
        load(with_labels(folder, ["LABEL_0", "LABEL_1", "LABEL_2"]))
    with pytest.raises(ModelNotReady, match=r"there is no folder \./nowhere"):
        load("./nowhere")
    with pytest.raises(ModelNotReady, match="cannot be loaded"):
        load(str(tmp_path))
    with pytest.raises(WrongSetting, match="nli:<folder>"):
        load("")
