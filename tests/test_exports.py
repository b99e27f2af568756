"""Exports: what people said of answers becomes files that TRL, Ragas, BEIR and spreadsheets read, split without leaks.

The validators are ours, written after the documented formats; `datasets` itself loads the files where it is installed.
"""

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.answers.claims import ABSTENTION
from rag.answers.confidence import FEATURES, Abstaining, Model
from rag.app import App, opening
from rag.ask import Question, ask
from rag.corpus import Origin
from rag.errors import NotReady, WrongUsage
from rag.evaluate import read_folder
from rag.experiments.replay import Otherwise, replay
from rag.exports import FORMS, beir, export, making
from rag.exports.collect import Wanted, deduplicated
from rag.exports.csv import COLUMNS, FORMULA, defused
from rag.exports.records import Record, Shown, item_of, record_of
from rag.exports.splits import ALL_TEST, Shares, check, grams_of, grouped, near_pairs, normal, similar, split
from rag.store import collections as collection_store
from rag.store import datasets as dataset_store
from rag.store import interactions as interaction_store
from rag.store.database import Database
from rag.store.datasets import SPLITS, NewVersion, Version
from rag.store.interactions import Query
from rag.store.log import forgetting
from rag.store.reviews import items as item_store
from rag.store.reviews import preferences as preference_store
from rag.store.reviews import queues as queue_store
from rag.store.reviews import reviews as review_store
from rag.store.reviews.items import NewItem
from rag.store.reviews.preferences import Pair
from rag.store.reviews.reviews import Said
from rag.store.reviews.texts import Judged
from rag.types import Interaction
from tests.api import OTTERS, TIDES, small

TEA = "Green tea is brewed with water of eighty degrees. Black tea wants boiling water. Ask leaf@example.org."
GUIDE = "Is it **right**?\n~~~\n<script>alert(1)</script>"
NEVER = Abstaining(Model((0.0,) * len(FEATURES), 0.0), 1.0)  # refuses everything


@dataclass(frozen=True)
class Lab:
    """An installation whose answers were judged."""

    app: App
    asked: Mapping[str, Interaction]

    def make(self, name: str = "gold", **how: object) -> Version:
        wanted = Wanted(Query(collection="default"), shares=ALL_TEST)
        return making.make(
            self.app.database,
            self.app.tenant_id,
            name,
            replace(wanted, **how),
            "default",
            "ada",  # type: ignore[arg-type]
        ).version

    def records(self, named: str = "gold") -> list[Record]:
        return making.read(self.app.database, self.app.tenant_id, named)[1]

    def export(self, folder: Path, form: str, named: str = "gold") -> dict[str, list[dict[str, object]]]:
        """The rows of an export, by file."""
        version, records = making.read(self.app.database, self.app.tenant_id, named)
        corpus = making.corpus(self.app.database, self.app.tenant_id, "default")
        written = export(folder, version, records, form, corpus)
        found = {path.name: lines(path) for path in folder.glob("*.jsonl")}
        assert {name: len(rows) for name, rows in found.items()} == {
            name: count for name, count in written.rows.items() if name.endswith(".jsonl")
        }
        return found


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def lab(database_url: str, tmp_path: Path) -> Iterator[Lab]:
    """On SQLite and on PostgreSQL."""
    with built(database_url, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The same for tests that are about files, with a version `gold`."""
    folder = tmp_path_factory.mktemp("exports")
    with built(f"sqlite:///{folder / 'rag.db'}", folder) as made:
        made.make()
        yield made


@contextmanager
def built(database_url: str, tmp_path: Path) -> Iterator[Lab]:
    """Answers: one corrected, one good, one refusal that was right, one only rated, one that somebody liked less."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for name, text in (("otters", OTTERS), ("tides", TIDES), ("tea", TEA)):
        (docs / f"{name}.txt").write_text(text)
    with opening(small(tmp_path, database=database_url), create=True) as app:
        app.corpus().add_paths([docs], Origin("local"), max_bytes=10_000)
        asker, answering = app.local(), app.answering()
        asked = {
            "otters": ask(answering, Question("Do otters hold hands while they sleep?"), asker),
            "tides": ask(answering, Question("Does the tide rise twice a day?"), asker),
            "mars": ask(answering, Question("Who owns the moons of Mars?", abstaining=NEVER), asker),
            "tea": ask(answering, Question("Is green tea brewed with water? Write to ada@example.org"), asker),
            "other": ask(answering, Question("Does the tide rise twice a day?", abstaining=NEVER), asker),
            "silent": ask(answering, Question("What wraps sea otters?"), asker),
            "machine": ask(answering, Question("What is kelp for?", origin="synthetic"), asker),
        }
        with app.database.write() as connection:
            queue = queue_store.add(connection, app.tenant_id, "all", {}, user="ada", guidelines=GUIDE)
            ids = [asked[name].id for name in ("otters", "tides", "mars", "machine")]
            item_store.put(connection, app.tenant_id, queue.id, [NewItem(each, ("by hand",)) for each in ids])
            items = {item.interaction_id: item.id for item in item_store.listing(connection, asker, queue.id, limit=9)}

            def judge(name: str, said: Said, user: str = "ada") -> None:
                review_store.save(connection, replace(asker, user=user), items[asked[name].id], said)

            tides = next(n for n, p in enumerate(asked["otters"].passages, 1) if "tide" in p.text)
            found = next(n for n, p in enumerate(asked["otters"].passages, 1) if "otters" in p.text)
            judge("otters", Said("wrong", "Yes, they do.", (Judged(3, number=found), Judged(0, number=tides))))
            judge("tides", Said("correct"))
            judge("mars", Said("correct"))
            judge("machine", Said("correct"))
            interaction_store.add_feedback(
                connection, app.tenant_id, asked["tea"].id, user="bob", rating=-1, label=None, comment=None
            )
            pair = Pair(asked["tides"].id, asked["other"].id, "a", "b", None)
            preference_store.add(connection, app.tenant_id, pair, swapped=False, choice="first", user="bob")
        yield Lab(app, asked)


# ── what is collected ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_version_holds_what_people_said(lab: Lab) -> None:
    version = lab.make()
    found = {record.key: record for record in lab.records()}
    assert set(found) == {lab.asked[name].id for name in ("otters", "tides", "mars", "tea", "other")}
    otters, tides, mars, tea = (found[lab.asked[name].id] for name in ("otters", "tides", "mars", "tea"))
    assert (otters.verdict, otters.best, otters.answerable) == ("bad", "Yes, they do.", True)
    assert sorted(grade for grade in otters.relevant.values()) == [0, 3]
    assert (tides.verdict, tides.answerable) == ("good", True)
    assert {passage.by for passage in tides.passages if passage.grade} == {"citation"}
    assert "tides.txt" in next(iter(tides.relevant))
    assert (mars.verdict, mars.best, mars.answerable, mars.gold) == ("good", ABSTENTION, False, ())
    assert (tea.verdict, tea.best, tea.answerable) == ("bad", None, None)
    card = version.card
    assert (card["origins"], card["dropped"]) == ({"human": 5}, {"its origin is synthetic": 1})
    assert (card["guidelines"], card["scrubbed"], card["labels"]) == ([GUIDE], None, {"correct": 2, "wrong": 1})
    assert version.query["log"] == {"collection": "default"}
    assert lab.make() == version, "the same log gives the same version"
    forgetting.erase(lab.app.database, lab.app.tenant_id, [tides.key], actor="ada", asked=Query())
    after = lab.make()
    assert (after.number, after.items, after.card["dropped"]["was erased"]) == (2, version.items - 1, 1)  # type: ignore[index]


def test_an_answer_whose_words_were_erased_is_nobodys_worse_one(lab: Lab, tmp_path: Path) -> None:
    forgetting.erase(lab.app.database, lab.app.tenant_id, [lab.asked["other"].id], actor="ada", asked=Query())
    lab.make()
    tides = next(record for record in lab.records() if record.key == lab.asked["tides"].id)
    assert tides.worse == ()
    assert all(row["rejected"][0]["content"] for row in lab.export(tmp_path / "p", "preference")["test.jsonl"])  # type: ignore[index]


def test_of_equal_answers_one_stays_with_all_that_were_liked_less() -> None:
    rated = Record("1", "Is tea wet?", "human", answer="Yes.", rating=1.0, worse=("No.",))
    preferred = Record("2", "is tea wet", "human", answer="yes", worse=("Perhaps.", "No."))
    other = Record("3", "is tea wet", "human", answer="No.")
    assert deduplicated([rated, preferred, other]) == [replace(rated, worse=("No.", "Perhaps.")), other]
    assert deduplicated([preferred, replace(preferred, key="4", worse=())]) == [replace(preferred, key="4")]


def test_a_replay_goes_where_the_conversation_goes_that_it_repeats(lab: Lab) -> None:
    asker, answering = lab.app.local(), lab.app.answering()
    ask(answering, Question("Do otters hold hands while they sleep?", conversation_id="talk"), asker)
    entry = ask(answering, Question("And why do they?", conversation_id="talk"), asker)
    again, _ = replay(lab.app, entry, asker, Otherwise(mode="keyword"))
    twice, _ = replay(lab.app, again, asker, Otherwise(passages=1))
    lab.make(which="all")
    assert {r.conversation_id for r in lab.records() if r.key in (again.id, twice.id)} == {"talk"}


def test_real_and_synthetic_are_mixed_only_when_asked(held: Lab) -> None:
    assert held.make("both", origins=("human", "synthetic")).card["origins"] == {"human": 5, "synthetic": 1}
    assert held.make("machine", origins=("synthetic",)).items == 1
    assert held.make("reviewed", which="reviewed").items == 3
    assert held.make("all", which="all").items == 6
    with pytest.raises(WrongUsage, match="its origin is human"):
        held.make("none", origins=("generated",))


def test_personal_data_is_replaced_when_asked(held: Lab, tmp_path: Path) -> None:
    version = held.make("clean", scrub=("email",))
    written = json.dumps([item_of(record).content for record in held.records("clean")])
    assert "ada@example.org" not in written
    assert "<EMAIL_1>" in written
    assert version.card["scrubbed"]["email"] >= 2  # type: ignore[index]
    assert "leaf@example.org" in json.dumps(held.export(tmp_path / "as-they-are", "beir")["corpus.jsonl"])
    for form in FORMS:
        held.export(tmp_path / form, form, "clean")
        said = b"".join(path.read_bytes() for path in (tmp_path / form).rglob("*.*") if path.suffix != ".parquet")
        assert b"@example.org" not in said, form


def test_an_erasure_can_tell_which_versions_hold_an_answer(held: Lab) -> None:
    version, tenant_id = held.make(), held.app.tenant_id
    with held.app.database.read() as connection:
        assert version.named in dataset_store.holding(connection, tenant_id, [held.asked["tides"].id])
        assert version.named not in dataset_store.holding(connection, tenant_id, [held.asked["silent"].id])


# ── the forms ───────────────────────────────────────────────────────────────────────────────────────────────────────


def is_conversation(value: object, *roles: str) -> bool:
    """A list of messages as TRL's conversational formats have it, the last of one of these roles."""
    assert isinstance(value, list)
    assert value
    for message in value:
        assert set(message) == {"role", "content"}
        assert message["role"] in ("system", "user", "assistant")
        assert isinstance(message["content"], str)
        assert message["content"].strip()
    return value[-1]["role"] in roles


def validate(form: str, row: dict[str, object]) -> None:
    """https://huggingface.co/docs/trl/dataset_formats, https://docs.ragas.io (SingleTurnSample), sentence-transformers'
    triplets: exactly these columns, of these kinds."""
    if form == "sft":
        assert set(row) == {"messages"}
        assert is_conversation(row["messages"], "assistant")
    elif form == "preference":
        assert set(row) == {"prompt", "chosen", "rejected"}
        assert is_conversation(row["prompt"], "user")
        assert is_conversation(row["chosen"], "assistant")
        assert is_conversation(row["rejected"], "assistant")
        assert row["chosen"] != row["rejected"]
    elif form == "kto":
        assert set(row) == {"prompt", "completion", "label"}
        assert is_conversation(row["prompt"], "user")
        assert is_conversation(row["completion"], "assistant")
        assert isinstance(row["label"], bool)
    elif form == "triplets":
        assert list(row) == ["query", "positive", "negative"]
        assert all(isinstance(value, str) and value.strip() for value in row.values())
        assert row["positive"] != row["negative"]
    else:
        assert set(row) == {"user_input", "response", "reference", "retrieved_contexts", "reference_contexts"}
        assert isinstance(row["user_input"], str)
        assert row["retrieved_contexts"] is None or isinstance(row["retrieved_contexts"], list)


@pytest.mark.parametrize(("form", "rows"), [("sft", 3), ("preference", 2), ("kto", 5), ("triplets", 1), ("ragas", 5)])
def test_rows_have_the_documented_shape(held: Lab, tmp_path: Path, form: str, rows: int) -> None:
    found = held.export(tmp_path / "out", form)
    assert list(found) == ["test.jsonl"]
    assert len(found["test.jsonl"]) == rows
    for row in found["test.jsonl"]:
        validate(form, row)


def test_the_datasets_library_loads_every_form(held: Lab, tmp_path: Path) -> None:
    if find_spec("datasets") is None:
        pytest.skip("`datasets` is not installed: pip install 'rag[datasets]'")
    from datasets import load_dataset

    for form in FORMS:
        if form == "beir" or (form == "parquet" and find_spec("pyarrow") is None):
            continue
        held.export(tmp_path / form, form)
        loaded = load_dataset(str(tmp_path / form), cache_dir=str(tmp_path / "cache"))
        assert loaded["test"].num_rows, form


def test_what_was_learned_is_in_the_rows(held: Lab, tmp_path: Path) -> None:
    otters = held.asked["otters"]
    assert otters.answer is not None
    preferred = held.export(tmp_path / "preference", "preference")["test.jsonl"]
    chosen = [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in preferred]  # type: ignore[index]
    assert chosen[0] == ("Yes, they do.", otters.answer.text)
    other, tides = held.asked["other"].answer, held.asked["tides"].answer
    assert other is not None
    assert tides is not None
    assert chosen[1] == (tides.text, other.text), "what somebody liked better, not knowing whose it was"
    [triplet] = held.export(tmp_path / "triplets", "triplets")["test.jsonl"]
    assert "otters" in str(triplet["positive"])
    assert "tide" in str(triplet["negative"])
    labels = {
        row["completion"][0]["content"]: row["label"] for row in held.export(tmp_path / "kto", "kto")["test.jsonl"]
    }  # type: ignore[index]
    assert labels["Yes, they do."] is True
    assert labels[otters.answer.text] is False
    last = [row["messages"][-1]["content"] for row in held.export(tmp_path / "sft", "sft")["test.jsonl"]]  # type: ignore[index]
    assert ABSTENTION in last, "a refusal that was right teaches the sentence, not what the house adds to it"


def test_an_evaluation_set_is_read_by_our_own_evaluation(held: Lab, tmp_path: Path) -> None:
    out = tmp_path / "beir"
    held.export(out, "beir")
    folder = read_folder(out)
    by_question = {example.question.split()[0]: example for example in folder.examples}
    assert by_question["Do"].answers == ("Yes, they do.",)
    assert sorted(by_question["Do"].relevant.values()) == [0, 3]
    assert (by_question["Who"].answers, by_question["Who"].relevant) == ((), {})
    assert len(lines(out / "corpus.jsonl")) == 3, "the whole corpus, not only what was shown"
    metadata = {row["_id"]: row["metadata"] for row in lines(out / "queries.jsonl")}
    assert metadata[held.asked["otters"].id]["answers"] == ["Yes, they do."]  # type: ignore[index]
    assert set(folder.examples[0].relevant) <= {row["_id"] for row in lines(out / "corpus.jsonl")}


def test_a_table_has_no_live_formula(held: Lab, tmp_path: Path) -> None:
    held.export(tmp_path / "csv", "csv")
    with (tmp_path / "csv" / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 5
    assert not any(cell.startswith(FORMULA) for row in rows for cell in row.values())


@given(st.text(max_size=30), st.sampled_from(["=", "+", "-", "@", "\t", "\r", " =", "\n=", "＝", " \t@"]))
def test_no_cell_begins_a_formula(text: str, start: str) -> None:
    for cell in (text, start + text):
        shown = defused(cell)
        assert not shown.lstrip().startswith(FORMULA)
        assert shown in (cell, f"'{cell}")


def test_parquet_holds_everything(held: Lab, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install 'rag[parquet]'")
    held.export(tmp_path / "parquet", "parquet")
    rows = parquet.read_table(tmp_path / "parquet" / "test.parquet").to_pylist()
    assert [row["question"] for row in rows] == [record.question for record in held.records()]
    assert rows[0]["passages"][0]["document"]
    assert {key for row in rows for key in row} == {
        "key",
        "origin",
        "interaction_id",
        *item_of(held.records()[0]).content,
    }


def test_without_pyarrow_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NotReady, match=r"rag\[parquet\]"):
        export(tmp_path / "out", version(), [Record("a", "What is it?", "human")], "parquet")
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


# ── the folder and its card ─────────────────────────────────────────────────────────────────────────────────────────


def version(records: int = 1) -> Version:
    from datetime import UTC, datetime

    from rag.exports.cards import facts

    card = facts([Record("a", "What?", "human")] * records, dropped={}, scrubbed=None, guidelines=())
    return Version(1, "x", "log", 1, "0" * 32, "default", records, {}, card, "ada", datetime(2026, 1, 1, tzinfo=UTC))


def test_the_card_is_yaml_and_markdown(held: Lab, tmp_path: Path) -> None:
    made, _ = making.read(held.app.database, held.app.tenant_id, "gold")
    held.export(tmp_path / "out", "sft")
    card = (tmp_path / "out" / "README.md").read_text()
    _, head, text = card.split("---\n", 2)
    told = yaml.safe_load(head)
    assert (told["version"], told["digest"], told["origins"]) == (1, made.digest, {"human": 5})
    assert told["configs"][0]["data_files"] == [{"split": "test", "path": "test.jsonl"}]
    assert "no answer that is known to be good" in text
    assert f"~~~~\n{GUIDE}\n~~~~" in text, "what reviewers were told cannot leave its fence"


def test_the_same_version_gives_the_same_bytes(held: Lab, tmp_path: Path) -> None:
    for form in FORMS:
        held.export(tmp_path / "one" / form, form)
        held.export(tmp_path / "two" / form, form)
        files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one" / form).rglob("*.*"))
        assert files
        assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    good = Record("a", "What is it?", "human", references=("This.",))
    with pytest.raises(WrongUsage, match="holds something already"):
        export(tmp_path, version(), [good], "sft")
    with pytest.raises(WrongUsage, match="nothing of x@1 fits the format triplets"):
        export(tmp_path / "new", version(), [good], "triplets")
    with pytest.raises(WrongUsage, match="no format 'xml'"):
        export(tmp_path / "new", version(), [good], "xml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    export(tmp_path / "new", version(), [good], "sft")


def test_hostile_names_and_texts_break_no_file(tmp_path: Path) -> None:
    odd = "a\tb\nc\x00"
    hostile = Record(
        "k", "=HYPERLINK(\"http://x\")\u2028 what?", "human", references=("<script>alert(1)</script>",),
        passages=(Shown(odd, "T\ud800", "text\n---\n", 2), Shown("plain", "T", "other", 0)), answerable=True,
    )  # fmt: skip
    documents = [beir.Document(odd, "T\ud800", "text"), beir.Document("plain", "", "other")]
    export(tmp_path / "beir", version(), [hostile], "beir", documents)
    [example] = read_folder(tmp_path / "beir").examples
    assert example.relevant == {"a%09b%0Ac%00": 2, "plain": 0}
    assert example.answers == ("<script>alert(1)</script>",)
    with pytest.raises(WrongUsage, match="two documents"):
        export(tmp_path / "twice", version(), [hostile], "beir", documents * 2)
    for form in ("ragas", "csv", "triplets"):
        export(tmp_path / form, version(), [hostile], form)
    with (tmp_path / "csv" / "test.csv").open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["question"] == "'" + hostile.question


def test_a_leak_is_refused_whatever_made_it(tmp_path: Path) -> None:
    leaking = [
        Record("a", "What is it?", "human", "train", ("This.",)),
        Record("b", "what IS it", "human", "test", ("That.",)),
    ]
    with pytest.raises(WrongUsage, match="stands in train and in test"):
        export(tmp_path / "new", version(), leaking, "sft")


# ── splits ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SAID = ["how do otters sleep", "how do otters sleep?", "How do otters sleep at night", "x", "y z"]
QUESTIONS = st.lists(
    st.tuples(st.sampled_from(SAID) | st.text("abcd ", max_size=12), st.sampled_from([None, "c1", "c2", "c3"])),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(QUESTIONS, st.randoms(use_true_random=False))
def test_no_conversation_and_no_question_is_in_two_splits(rows: list[tuple[str, str | None]], random: object) -> None:
    questions, conversations = [row[0] for row in rows], [row[1] for row in rows]
    found = split(questions, conversations, Shares(0.4, 0.3, 0.3))
    check(list(zip(found, questions, conversations, strict=True)))
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            near = similar(grams_of(normal(one[0])), grams_of(normal(other[0])))
            if near or (one[1] is not None and one[1] == other[1]):
                assert found[i] == found[j]
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    again = split([questions[i] for i in order], [conversations[i] for i in order], Shares(0.4, 0.3, 0.3))
    assert again == [found[i] for i in order], "the order in which the log is read changes nothing"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abc ", max_size=15), max_size=14, unique=True))
def test_near_pairs_are_all_pairs_that_are_near(texts: list[str]) -> None:
    slow = {(i, j) for j in range(len(texts)) for i in range(j) if similar(grams_of(texts[i]), grams_of(texts[j]))}
    assert set(near_pairs(texts)) == slow


def test_a_chain_stays_together() -> None:
    groups = grouped(["a long question here", "quite another one", "a long question here"], ["c1", "c1", None])
    assert len(set(groups)) == 1


def test_a_test_is_never_empty_where_there_are_two_groups() -> None:
    for number in range(40):
        questions = [blake2b(f"{number} {place}".encode()).hexdigest() for place in range(3)]
        assert split(questions, [None, "c", "c"], Shares()).count("test") in (1, 2, 3)
        assert "test" not in split(questions, [None] * 3, Shares(0.9, 0.1, 0.0))
    alone = split(["what is it", "what is it not"], ["c", "c"], Shares())
    assert len(set(alone)) == 1, "one conversation stays together"


def test_shares_are_kept_about() -> None:
    questions = [blake2b(str(number).encode()).hexdigest() for number in range(600)]
    found = split(questions, [None] * 600, Shares(0.8, 0.1, 0.1))
    counts = [found.count(name) for name in SPLITS]
    assert 430 <= counts[0] <= 520
    assert min(counts[1:]) >= 35
    conversations = [f"c{number // 20}" for number in range(600)]  # great groups go everywhere, too
    found = split(questions, list(conversations), Shares(0.4, 0.3, 0.3))
    assert min(found.count(name) for name in SPLITS) >= 60
    with pytest.raises(WrongUsage, match="add up to 1"):
        Shares.parse("0.5,0.5,0.5")
    with pytest.raises(WrongUsage, match="no shares"):
        Shares.parse("all")


def test_a_record_survives_being_kept(database: Database) -> None:
    passage = Shown("d", "T", "text", 2, False, "reviewer")
    record = Record("k", "Q\ud800?", "generated", "train", ("R",), (passage,), True, "A", value=0.5, labels=("partly",))
    with database.write() as connection:
        new = NewVersion("odd", "questions", "default", (item_of(record),), {}, {"splits": {}})
        kept, _ = dataset_store.add(connection, collection_store.ensure_tenant(connection), new)
        assert [record_of(item) for item in dataset_store.items(connection, kept.id)] == [record]
    assert record.verdict is None, "half right is neither good nor bad"
