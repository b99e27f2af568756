"""Confidence is a function of what was found: it rises with evidence, and a refusal says what was missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answers import confidence
from rag.answers.claims import ABSTENTION, is_abstention
from rag.answers.confidence import DEFAULTS, FEATURES, Abstaining, Model, Weighed, default, kept, refuses, weigh
from rag.embedders.hashing import Hashing
from rag.types import Hit, Mode, Part, Passage, Place, Vectors

MODES: tuple[Mode, ...] = ("hybrid", "semantic", "keyword")
BEES = "Bees dance to tell other bees of the hive where there are flowers. The dance was read by Karl von Frisch."
TOWER = "The tower has 324 metres. It was built for the fair of the world and stands by the river in the city."


@dataclass(frozen=True)
class Words:
    """A collection of so many chunks, of which each of these words stands in so many."""

    frequency: Mapping[str, int] = field(default_factory=dict)
    languages: tuple[str, ...] = ("en",)

    def rarity(self, terms: frozenset[str]) -> float:
        return 4.0 if max((self.frequency.get(term, 1) for term in terms), default=0) < 2 else 1.0

    def seen(self, terms: frozenset[str]) -> bool:
        return any(self.frequency.get(term, 0) for term in terms)


def passage(text: str, chunk: int = 1, *, title: str = "", page: int | None = None, **scores: float) -> Passage:
    parts = {stage: Part(1, score) for stage, score in scores.items()}
    place = Place(chunk, f"file:///{chunk}.txt", None, title)
    return Passage(Hit(chunk, 1.0, parts), text, title, (), (place,), page, 10, 10 + len(text), chunk)


def told(question: str, *passages: Passage, words: Words | None = None) -> dict[str, float]:
    found = weigh(question, passages, (), words or Words())
    return dict(zip(FEATURES, found.features, strict=True))


def test_features_are_what_they_say() -> None:
    question = "Who read the dance of bees?"
    near, far = passage(BEES, 1, dense=0.7, bm25=9.0), passage(TOWER, 2, dense=0.1, bm25=1.5)
    found = told(question, near, far)
    assert found["cosine"] == 0.7
    assert found["keyword lead"] == pytest.approx((9.0 - 1.5 / 5) / 9.0)  # hits that are not there count as 0
    assert found["sentence"] == pytest.approx(2 / 3)  # the second has "read" and "dance", not "bees"
    assert found["beyond the title"] == 1.0
    assert (found["title"], found["prose"]) == (0.0, 1.0)
    assert found["asked"] == pytest.approx(3.0)
    titled = told(question, passage(BEES, 1, title="Bees", dense=0.7, bm25=9.0))
    assert titled["title"] == pytest.approx(1 / 3)


def test_the_best_of_the_first_passages_is_judged() -> None:
    bees = passage(BEES, 1, dense=0.6)
    found = weigh("Who read the dance of bees?", [passage(TOWER, 2, dense=0.3), bees], (), Words())
    assert [word.text for word in found.words] == ["read", "dance", "bees"]
    assert found.best == bees


def test_function_words_are_not_looked_for_where_other_languages_keep_them() -> None:
    """German keeps its function words, and "the" is none: no text in English would ever hold what is left of it."""
    question = "Who must read the dance of the bees?"
    for languages in (("en", "de"), ("en", "de", "fr", ""), ("en",)):
        found = weigh(question, [passage(BEES, dense=0.6)], (), Words({"read": 3, "danc": 1, "bee": 3}, languages))
        assert [word.text for word in found.words] == ["read", "dance", "bees"]
        assert dict(zip(FEATURES, found.features, strict=True))["asked"] < 3
    german = weigh("Wer muss den Tanz der Bienen lesen?", [], (), Words(languages=("en", "de")))
    assert {"Tanz", "Bienen", "lesen"} <= {word.text for word in german.words}


def test_a_list_of_links_is_no_prose_and_an_unknown_language_is_given_the_benefit() -> None:
    links = "Batsuit Superman suit Costumes Designers Guild Laurence Olivier Academy Award Africa Choice"
    assert told("costumes", passage(links, dense=0.4))["prose"] == 0.0
    assert told("costumes", passage(links, dense=0.4), words=Words(languages=("xx",)))["prose"] == 1.0


def test_rows_of_a_table_are_no_list_of_links() -> None:
    rows = "name: alpha; ip: 10.0.0.4; city: Frankfurt\nname: beta; ip: 10.0.0.7; city: Dublin"
    assert told("Dublin", passage(rows, dense=0.4))["prose"] == 1.0
    assert told("Dublin", passage(f"Note: {rows.partition(';')[0]}\nAlpha\nBeta\nGamma", dense=0.4))["prose"] == 0.0


class Embedding(Hashing):
    """Keeps the texts that were embedded as passages."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.heard: list[str] = []

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.heard.extend(texts)
        return super().embed_passages(texts)


def test_in_doubt_single_sentences_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a passage on several subjects a sentence may be near."""
    embedder = Embedding(64)
    passages = [passage(f"{BEES} {TOWER}", 1, dense=0.2), passage(f"{TOWER} Boats go there.", 2, dense=0.1)]
    question = "Bees dance to tell other bees of the hive where there are flowers."

    def closer(doubted: tuple[float, float], *given: Passage) -> float:
        monkeypatch.setattr(confidence, "DOUBTED", doubted)
        embedder.heard.clear()
        found = weigh(question, given, (), Words(), embedder)
        return dict(zip(FEATURES, found.features, strict=True))["closer"]

    assert closer((0.0, 1.0), *passages) == pytest.approx(1 - 0.2, abs=1e-6)  # one says just that
    assert len(embedder.heard) == len(set(embedder.heard)) == 5, "no sentence is embedded twice"
    monkeypatch.setattr(confidence, "READ", 1)
    assert closer((0.0, 1.0), *passages) > 0
    assert "Boats go there." not in embedder.heard
    monkeypatch.setattr(confidence, "MOST_SENTENCES", 1)
    closer((0.0, 1.0), *passages)
    assert len(embedder.heard) == 1
    for doubted in ((0.0, 0.0), (1.0, 1.0)):  # sure of it, or of its opposite
        assert closer(doubted, *passages) == 0.0
        assert embedder.heard == []
    assert closer((0.0, 1.0), passage(BEES, 1, bm25=4.0)) == 0.0, "nearness was not measured"
    assert closer((0.0, 1.0), passage("…", 1, dense=0.2)) >= 0.0
    assert told(question, *passages)["closer"] == 0.0, "without an embedder"


@pytest.mark.parametrize("mode", MODES)
def test_a_passage_that_holds_what_was_asked_is_believed_and_another_is_not(mode: Mode) -> None:
    """Out of the box, on texts that nothing was fitted on."""
    shown = {"hybrid": ("dense", "bm25"), "semantic": ("dense",), "keyword": ("bm25",)}[mode]
    good = {"dense": 0.75, "bm25": 9.0}
    bad = {"dense": 0.15, "bm25": 2.0}
    question, words = "Who read the dance of the bees?", Words({"read": 3, "danc": 1, "bee": 3})
    likely = passage(BEES, 1, **{stage: good[stage] for stage in shown})
    other = [passage(TOWER, chunk, **{stage: bad[stage] for stage in shown}) for chunk in (2, 3, 4, 5, 6, 7)]
    model = DEFAULTS[mode]
    sure = model.confidence(weigh(question, [likely, *other], (), words))
    unsure = model.confidence(weigh(question, other, (), words))
    assert sure is not None
    assert unsure is not None
    assert sure > 0.5 > confidence.THRESHOLD > unsure


@pytest.mark.parametrize("mode", MODES)
@given(values=st.lists(st.floats(0, 1), min_size=len(FEATURES), max_size=len(FEATURES)), more=st.floats(0, 1))
def test_more_evidence_never_lowers_the_confidence(mode: Mode, values: Sequence[float], more: float) -> None:
    before = DEFAULTS[mode].score(values)
    for name in ("cosine", "keyword lead", "sentence", "beyond the title", "prose", "closer"):
        at = FEATURES.index(name)
        assert DEFAULTS[mode].score([*values[:at], values[at] + more, *values[at + 1 :]]) >= before


def test_a_mode_weighs_nothing_that_it_cannot_tell() -> None:
    assert DEFAULTS["keyword"].weights[FEATURES.index("cosine")] == 0
    assert [DEFAULTS[each].looks_closer for each in MODES] == [True, True, False]
    assert DEFAULTS["semantic"].weights[FEATURES.index("keyword lead")] == 0


def test_nothing_found_is_no_confidence_and_another_embedder_goes_by_words() -> None:
    assert DEFAULTS["hybrid"].confidence(weigh("Who dances?", (), (), Words())) == 0.0
    assert default("hybrid", "all-MiniLM-L6-v2/fp32/onnx1/85cc") == DEFAULTS["hybrid"]
    assert default("hybrid", "another/fp32") == DEFAULTS["keyword"]
    assert default("semantic", "another/fp32") is None
    foreign = weigh("Wer las den Tanz?", [passage(BEES, dense=0.9)], (), Words())
    assert DEFAULTS["keyword"].confidence(foreign) is None  # another language, perhaps: words tell nothing
    assert DEFAULTS["hybrid"].confidence(foreign) is not None


def test_what_is_kept_comes_back_for_its_mode_only() -> None:
    one = Abstaining(Model(tuple(float(at) for at in range(len(FEATURES))), -1.5), 0.25)
    settings = one.settings("hybrid", [(1.0, 0.5), (0.5, 0.1)])
    assert kept(settings, "hybrid") == one
    assert kept(settings, "keyword") is None
    unknown = {**settings, "abstain_features": ["another"], "abstain_weights": [1.0]}
    assert kept(unknown, "hybrid") is None
    earlier = {**settings, "abstain_features": ["sentence", "cosine"], "abstain_weights": [3.0, 2.0]}
    was = kept(earlier, "hybrid")
    assert was is not None
    weights = dict(zip(FEATURES, was.model.weights, strict=True))
    assert {name: weight for name, weight in weights.items() if weight} == {"cosine": 2.0, "sentence": 3.0}
    assert kept({}, "hybrid") is None
    assert set(settings) == set(confidence.KEPT)


def test_a_refusal_says_what_was_looked_for_and_what_came_closest() -> None:
    held, closest = Words({"danc": 2, "read": 1}), passage(BEES, 1, title="Hives", page=3)
    found = weigh("Who read the zorgon dance?", [closest], (), held)
    refused = confidence.refusal(found, held.seen, [closest])
    assert (refused.looked_for, refused.missing, refused.closest) == (("read", "zorgon", "dance"), ("zorgon",), 1)
    text = confidence.refusal_text(refused, [closest])
    assert text.startswith(ABSTENTION)
    assert is_abstention(text)
    assert "Looked for: read, zorgon, dance." in text
    assert "In none of the documents: zorgon." in text
    assert f"Closest came: Hives (file:///1.txt, page 3, characters 10 to {10 + len(BEES)})." in text
    nothing = confidence.refusal_text(confidence.refusal(found, Words().seen, []), [])
    assert nothing.endswith("Nothing came close.")


@given(scores=st.floats(-2000, 2000))
def test_a_confidence_lies_between_0_and_1(scores: float) -> None:
    model = Model((scores,) + (0.0,) * (len(FEATURES) - 1), 0.0)
    likely = model.confidence(Weighed((), (1.0,) * len(FEATURES), passage(BEES)))
    assert likely is not None
    assert 0 <= likely <= 1


def test_a_threshold_of_nothing_refuses_nothing() -> None:
    assert refuses(Abstaining(DEFAULTS["hybrid"], 0.15), 0.1)
    assert not refuses(Abstaining(DEFAULTS["hybrid"], 0.1), 0.1)
    assert not refuses(Abstaining(DEFAULTS["hybrid"], 0.0), 0.0)
    assert not refuses(Abstaining(DEFAULTS["hybrid"], 1.0), None)
    assert not refuses(None, 0.0)
