"""The read route on both databases: what is found, said, checked, scored and logged, also when it fails."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from rag import embedders, scorers
from rag.access import Access
from rag.answers.claims import is_abstention
from rag.answers.confidence import DEFAULTS, Abstaining
from rag.ask import Answering, Done, Question, Started, ask, stream
from rag.cli.logs import outcome
from rag.corpus import Corpus, Origin, open_corpus
from rag.errors import GeneratorFailed, WrongUsage
from rag.indexes.snapshots import Indexes
from rag.search import OpenCollection, Search, search
from rag.store import interactions as interaction_store
from rag.store.database import Database
from rag.store.filters.tree import Filter
from rag.store.interactions import Query
from rag.store.surroundings import embedded_texts
from rag.store.vectors import CollectionFeed, of_chunks
from rag.types import (
    CancelToken,
    Embedder,
    Event,
    Example,
    Finish,
    GenerationSettings,
    Interaction,
    Message,
    Models,
    Principal,
    Prompt,
    Refusal,
    Score,
    Text,
    Usage,
)

FRUIT = {
    "apples.md": "# Apples\n\nApples are red. They grow on trees in the garden.\n",
    "bananas.txt": "Bananas are yellow. They grow in 12 bunches.",
    "cherries.txt": "Cherries are small. Birds like cherries.",
}


@dataclass
class Speaking:
    """A generator that says what it is told, and remembers what it was asked."""

    words: Sequence[str]
    context_tokens: int = 4000
    fails: bool = False
    at_stop: bool = False
    name: str = "speaking"
    revision: str = "1"
    asked: list[Prompt] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        self.asked.append(prompt)
        for word in self.words:
            if cancel.is_set():
                self.cancelled.set()
                yield Finish("cancelled")
                return
            yield Text(word)
        if self.fails:
            raise GeneratorFailed("the server went away")
        yield Usage(10, len(self.words))
        yield Finish("stop", self.at_stop)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return embedders.load("hashing:512", models_dir=tmp_path_factory.mktemp("models"))


@pytest.fixture
def corpus(database: Database, embedder: Embedder, tmp_path: Path) -> Corpus:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in FRUIT.items():
        (folder / name).write_text(text)
    corpus = open_corpus(database, "default", "default", embedder, chunk_tokens=64, overlap_tokens=0)
    corpus.add_paths([folder], Origin("local"), max_bytes=2**20)
    return corpus


@pytest.fixture
def opened(corpus: Corpus, tmp_path: Path) -> OpenCollection:
    feed = CollectionFeed(corpus.database, corpus.collection)
    folder = tmp_path / "indexes"
    folder.mkdir()
    indexes = Indexes(folder, feed, fingerprint=corpus.collection.fingerprint)
    return OpenCollection(corpus.database, corpus.collection, indexes, Access(), lambda: corpus.embedder)


@pytest.fixture
def principal(corpus: Corpus) -> Principal:
    return Principal(corpus.collection.tenant_id, "ann")


def answering(opened: OpenCollection, speaker: Speaking) -> Answering:
    return Answering(opened, speaker, scorers.load(Models(opened.embedder())))


def logged(opened: OpenCollection, principal: Principal) -> list[Interaction]:
    with opened.database.read() as connection:
        listed = interaction_store.listing(connection, principal.tenant_id, Query(), limit=10)
        return [interaction_store.get(connection, principal.tenant_id, entry.id) for entry in listed]


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
def test_every_mode_finds_the_text(opened: OpenCollection, principal: Principal, mode: str) -> None:
    found = search(opened, Search("yellow bananas", k=2, mode=mode), principal)  # type: ignore[arg-type]
    assert found.passages[0].text == FRUIT["bananas.txt"]
    assert found.passages[0].places[0].title == "bananas.txt"
    assert found.position == 1


@pytest.mark.parametrize("published", [False, True])
def test_what_is_added_is_found_and_what_is_removed_is_gone_at_once(
    opened: OpenCollection, corpus: Corpus, principal: Principal, tmp_path: Path, published: bool
) -> None:
    if published:
        assert opened.indexes.publish() is not None
    (tmp_path / "dates.txt").write_text("Dates are very dry bananas.")
    new = corpus.add_paths([tmp_path / "dates.txt"], Origin("local"), max_bytes=1000)
    texts = [p.text for p in search(opened, Search("dry bananas"), principal).passages]
    assert texts[0] == "Dates are very dry bananas."
    corpus.remove(new.document_ids, actor="x")
    texts = [p.text for p in search(opened, Search("dry bananas"), principal).passages]
    assert texts
    assert "Dates are very dry bananas." not in texts


def test_a_filter_leaves_only_what_passes(opened: OpenCollection, principal: Principal) -> None:
    where = Filter.parse({"title": "cherries.txt"})
    found = search(opened, Search("yellow bananas", where=where), principal)
    assert [p.places[0].title for p in found.passages] == ["cherries.txt"]
    nothing = search(opened, Search("yellow bananas", where=Filter.parse({"title": "nope"})), principal)
    assert nothing.passages == ()


@pytest.mark.parametrize(
    ("wrong", "said"), [({"query": "  "}, "empty"), ({"k": 0}, "between"), ({"mode": "magic"}, "one of")]
)
def test_a_request_that_makes_no_sense_is_refused(
    opened: OpenCollection, principal: Principal, wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(WrongUsage, match=said):
        search(opened, replace(Search("x"), **wrong), principal)  # type: ignore[arg-type]


def test_an_answer_is_checked_scored_and_logged(opened: OpenCollection, principal: Principal) -> None:
    speaker = Speaking(["Bananas are yellow. [1]", " Bananas grow in 99 bunches."])
    entry = ask(answering(opened, speaker), Question("What colour are bananas?", k=2), principal)
    assert entry.answer is not None
    first, second = entry.answer.citations[0], entry.answer.citations[-1]
    assert (first.verdict, first.marked, first.quote) == ("supported", True, "Bananas are yellow.")
    assert second.verdict == "contradicted", "the text says 12"
    assert {score.name for score in entry.scores} >= {"faithfulness", "answer_relevancy", "context_relevancy"}
    assert len(entry.passages) == 2
    assert entry.candidates
    assert entry.user == "ann"
    assert logged(opened, principal) == [entry]
    assert speaker.asked[0] == entry.prompt


def test_steps_come_in_order_and_text_is_what_is_logged(opened: OpenCollection, principal: Principal) -> None:
    steps = list(stream(answering(opened, Speaking(["Apples", " are", " red."])), Question("apples?"), principal))
    assert isinstance(steps[0], Started)
    assert isinstance(steps[-1], Done)
    said = "".join(step.text for step in steps if isinstance(step, Text))
    assert said == logged(opened, principal)[0].answer.text  # type: ignore[union-attr]


def test_a_strict_answer_leaves_out_what_nothing_bears_out_and_keeps_it_in_the_log(
    opened: OpenCollection, principal: Principal
) -> None:
    speaker = Speaking(["Bananas are yellow. [1] ", "Bananas grow in 99 bunches. [1]", " Pears sing at night."])
    strict = Question("What colour are bananas?", k=2, strict=True)
    steps = list(stream(answering(opened, speaker), strict, principal))
    assert [step.text for step in steps if isinstance(step, Text)] == ["Bananas are yellow. [1]"], "told once checked"
    [entry] = logged(opened, principal)
    assert entry.answer is not None
    assert entry.answer.text == "Bananas are yellow. [1]"
    assert entry.answer.removed == ("Bananas grow in 99 bunches.", "Pears sing at night.")
    assert [citation.verdict for citation in entry.answer.citations] == ["supported"]
    assert entry.settings["strict"] is True


def test_a_strict_answer_of_which_nothing_is_left_says_that_it_does_not_know(
    opened: OpenCollection, principal: Principal
) -> None:
    said = ask(
        answering(opened, Speaking(["Pears sing at night."])), Question("What do pears do?", strict=True), principal
    )
    assert said.answer is not None
    assert is_abstention(said.answer.text)
    assert (said.answer.abstained, said.answer.removed) == (True, ("Pears sing at night.",))


def test_the_vectors_of_chunks_are_those_that_were_embedded(opened: OpenCollection, principal: Principal) -> None:
    embedder = opened.embedder()
    passages = search(opened, Search("bananas", k=3), principal).passages
    ids = [passage.hit.chunk_id for passage in passages]
    with opened.database.read() as connection:
        found = of_chunks(connection, [*ids, 10**9], embedder.fingerprint)
        texts = embedded_texts(connection, ids)
        assert of_chunks(connection, ids, "another") == of_chunks(connection, [], embedder.fingerprint) == {}
    assert found.keys() == set(ids)
    for key, vector in zip(ids, embedder.embed_passages(texts), strict=True):
        assert np.array_equal(found[key], vector)


@dataclass
class Blocking:
    """A scorer that waits until it may go on."""

    may: threading.Event
    name: str = "blocking"
    version: str = "1"
    fails: bool = False

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        assert self.may.wait(30), "the text has to come first"
        if self.fails:
            raise GeneratorFailed("the judge went away")
        return [Score(self.name, 1.0)]


def test_no_text_waits_for_a_score(opened: OpenCollection, principal: Principal) -> None:
    may = threading.Event()
    blocked = replace(answering(opened, Speaking(["Apples", " are", " red."])), scorers=[Blocking(may)])
    said = []
    for step in stream(blocked, Question("apples?"), principal):
        said.append(step)
        if isinstance(step, Text) and step.text == " red.":
            may.set()  # only whoever has heard the last word lets it be scored
    assert isinstance(said[-1], Done)
    assert [score.value for score in said[-1].interaction.scores] == [1.0]


def test_an_answer_is_not_lost_for_a_score(opened: OpenCollection, principal: Principal) -> None:
    may = threading.Event()
    may.set()
    entry = ask(
        replace(answering(opened, Speaking(["Apples are red."])), scorers=[Blocking(may, fails=True)]),
        Question("apples?"),
        principal,
    )
    assert entry.answer is not None
    ((score),) = entry.scores
    assert (score.name, score.value, score.explanation, score.identifier) == (
        "blocking",
        None,
        "the judge went away",
        "",
    )
    assert logged(opened, principal) == [entry]


def test_nothing_found_is_said_without_asking_anybody(opened: OpenCollection, principal: Principal) -> None:
    speaker = Speaking(["I know everything."])
    question = Question("bananas?", where=Filter.parse({"title": "nope"}))
    entry = ask(answering(opened, speaker), question, principal)
    assert entry.answer is not None
    assert entry.answer.abstained
    assert speaker.asked == []
    assert logged(opened, principal) == [entry]


def test_a_failure_is_logged_with_what_was_found(opened: OpenCollection, principal: Principal) -> None:
    with pytest.raises(GeneratorFailed, match="went away"):
        ask(answering(opened, Speaking(["Half"], fails=True)), Question("bananas?"), principal)
    entry = logged(opened, principal)[0]
    assert entry.error == "the server went away"
    assert entry.prompt is not None
    assert entry.scores == ()


def test_an_empty_answer_is_a_failure(opened: OpenCollection, principal: Principal) -> None:
    with pytest.raises(GeneratorFailed, match="empty"):
        ask(answering(opened, Speaking(["", "  "])), Question("bananas?"), principal)
    assert "empty" in str(logged(opened, principal)[0].error)


def test_whoever_hangs_up_ends_it_and_is_logged(opened: OpenCollection, principal: Principal) -> None:
    speaker = Speaking(["Bananas ", "are ", "yellow."] * 100)
    steps = stream(answering(opened, speaker), Question("bananas?"), principal)
    next(steps), next(steps)
    steps.close()  # type: ignore[attr-defined]
    entry = logged(opened, principal)[0]
    assert entry.answer is not None
    assert (entry.answer.text, entry.answer.finish_reason) == ("Bananas ", "cancelled")


def test_a_cancel_token_ends_it_and_is_logged(opened: OpenCollection, principal: Principal) -> None:
    cancel, speaker = threading.Event(), Speaking(["Bananas ", "are ", "yellow."] * 100)
    steps = stream(answering(opened, speaker), Question("bananas?"), principal, cancel)
    said = []
    for step in steps:
        said.append(step)
        if len(said) == 3:
            cancel.set()
    assert speaker.cancelled.is_set()
    assert isinstance(said[-1], Done)
    assert said[-1].interaction.answer.finish_reason == "cancelled"  # type: ignore[union-attr]
    assert len(logged(opened, principal)) == 1


@pytest.mark.parametrize("words", [[], [" ", "\n"]])
@pytest.mark.parametrize("strict", [False, True])
def test_an_answer_that_a_stop_string_leaves_empty_is_one(
    opened: OpenCollection, principal: Principal, words: list[str], strict: bool
) -> None:
    asked = Question("bananas?", strict=strict)
    entry = ask(answering(opened, Speaking(words, at_stop=True)), asked, principal)
    assert entry.answer is not None
    assert (entry.error, entry.answer.text, entry.answer.finish_reason) == (None, "".join(words), "stop")
    assert (entry.answer.abstained, entry.answer.citations, entry.answer.removed) == (False, (), ())
    values = {score.name: score.value for score in entry.scores}
    assert (values["faithfulness"], values["answer_relevancy"], values["completeness"]) == (None, None, None)
    assert logged(opened, principal) == [entry]
    assert (outcome(entry), outcome(replace(entry, question=""))) == ("(empty)", ""), "erased, not empty"


@pytest.mark.parametrize("words", [[], [" ", "\n"]])
def test_whoever_says_nothing_by_itself_has_failed(
    opened: OpenCollection, principal: Principal, words: list[str]
) -> None:
    stops = GenerationSettings(stop=("The",))
    with pytest.raises(GeneratorFailed, match="speaking gave an empty answer"):
        ask(answering(opened, Speaking(words)), Question("bananas?", generation=stops), principal)
    assert logged(opened, principal)[0].error == "speaking gave an empty answer"


def test_a_prompt_never_overflows_its_context(opened: OpenCollection, principal: Principal) -> None:
    small = Speaking(["Yes."], context_tokens=220)
    entry = ask(answering(opened, small), Question("bananas?", generation=GenerationSettings(max_tokens=50)), principal)
    assert entry.prompt is not None
    assert entry.prompt.tokens + 50 <= 220
    assert len(entry.passages) + len(entry.candidates) >= 3, "what did not fit is a candidate"


def test_who_may_not_see_a_text_gets_no_answer_from_it(
    opened: OpenCollection, corpus: Corpus, principal: Principal, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("The secret banana is blue.")
    corpus.add_paths([tmp_path / "secret.txt"], Origin("local", labels=frozenset({"board"})), max_bytes=1000)
    outsider = replace(principal, labels=frozenset())
    insider = replace(principal, labels=frozenset({"board"}))
    asked = Search("secret banana is blue")
    assert search(opened, asked, insider).passages[0].text == "The secret banana is blue."
    assert all("secret" not in p.text for p in search(opened, asked, outsider).passages)
    assert all("secret" not in p.text for p in search(opened, replace(asked, mode="keyword"), outsider).passages)


# ── too little evidence ─────────────────────────────────────────────────────────────────────────────────────────────


def test_too_little_evidence_is_refused_before_anybody_is_asked(opened: OpenCollection, principal: Principal) -> None:
    speaker = Speaking(["Apples are red."])
    sure = Abstaining(DEFAULTS["keyword"], 1.0)  # nothing is that sure
    entry = ask(answering(opened, speaker), Question("Are zorgons red?", abstaining=sure), principal)
    assert not speaker.asked
    assert entry.answer is not None
    assert (entry.answer.abstained, entry.answer.finish_reason) == (True, "abstained")
    assert is_abstention(entry.answer.text)
    assert entry.answer.refusal == Refusal(("zorgons", "red"), ("zorgons",), 1)
    assert entry.passages[0].text.startswith("Apples are red.")
    assert entry.passages[0].places[0].uri in entry.answer.text
    assert entry.answer.citations == ()
    assert logged(opened, principal)[0].answer == entry.answer  # exactly as it was shown
    assert logged(opened, principal)[0].settings == entry.settings

    never = Question("Are zorgons red?", abstaining=replace(sure, threshold=0.0))
    told = ask(answering(opened, speaker), never, principal).answer
    assert told is not None
    assert (told.text, told.refusal, told.abstained) == ("Apples are red.", None, False)
    assert told.confidence == entry.answer.confidence


def test_a_generator_that_abstains_gets_what_was_looked_for_added(opened: OpenCollection, principal: Principal) -> None:
    speaker = Speaking(["The documents do not ", "answer this question."])
    weighed = Question("Are apples yellow?", abstaining=Abstaining(DEFAULTS["keyword"], 0.0))
    entry = ask(answering(opened, speaker), weighed, principal)
    assert entry.answer is not None
    assert entry.answer.text.startswith("The documents do not answer this question.\n\nLooked for: apples, yellow.\n")
    assert entry.answer.refusal is not None
    assert entry.answer.abstained
    assert logged(opened, principal)[0].answer == entry.answer


def test_a_refusal_tells_nothing_of_what_the_asker_may_not_see(
    opened: OpenCollection, corpus: Corpus, principal: Principal, tmp_path: Path
) -> None:
    """A word that stands in a document behind a label only is, for those without it, in none of the documents."""
    (tmp_path / "secret.txt").write_text("Zorgons are red.")
    corpus.add_paths([tmp_path / "secret.txt"], Origin("local", labels=("board",)), max_bytes=1000)
    sure = Question("Are zorgons red?", abstaining=Abstaining(DEFAULTS["keyword"], 1.0))
    for labels, missing in ((frozenset({"board"}), ()), (frozenset({"staff"}), ("zorgons",))):
        entry = ask(answering(opened, Speaking(["x"])), sure, replace(principal, labels=labels))
        assert entry.answer is not None
        assert entry.answer.refusal is not None
        assert entry.answer.refusal.missing == missing
        assert ("secret.txt" in entry.answer.text) is (labels == {"board"})
