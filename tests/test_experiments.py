"""Experiments: configurations are read strictly, put to the same questions, and differ by what is measured."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from ingest.types import Source
from rag.app import opening
from rag.config import Settings
from rag.corpus import Arrival, Origin
from rag.errors import RagError, WrongSetting, WrongUsage
from rag.evaluation.significance import paired
from rag.experiments.plans import SETTINGS, configurations, digest_of, examples_of, read, table
from rag.experiments.running import run
from rag.scorers.judge import Judge
from rag.store import experiments as store
from rag.store import interactions as interaction_store
from rag.store.collections import ensure_tenant
from rag.store.database import Database
from rag.store.experiments import Answered, Configured
from rag.types import CancelToken, Example, GenerationSettings, Prompt
from rag.types import Event as Happens
from tests.api import OTTERS, small
from tests.cli_house import House, build
from tests.test_ask import Speaking
from tests.test_evaluate import write

CONFIG = """
[now]
[words]
mode = "keyword"
passages = 2
[fewer]
passages = 1
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """An experiment over a BEIR folder, run once."""
    house = build(tmp_path_factory.mktemp("experiments"), {})
    write(house.folder / "beir")
    (house.folder / "config.toml").write_text(CONFIG)
    done = house("experiment", "run", str(house.folder / "config.toml"), "--questions", str(house.folder / "beir"))
    assert done.code == 0, done.err
    assert "kept as experiment 1, beir" in done.out
    return house


def test_every_answer_is_logged_and_measured(house: House) -> None:
    told = house("experiment", "show", "beir", "--answers", "--json").json
    assert [each["name"] for each in told["configurations"]] == ["now", "words", "fewer"]  # type: ignore[attr-defined]
    assert told["configurations"][1]["settings"] == {"mode": "keyword", "passages": 2}  # type: ignore[index]
    assert told["asked"] == 3
    rows = {row["name"]: row for row in told["table"]}  # type: ignore[attr-defined]
    now = rows["now"]["metrics"]["ndcg_cut_10"]["mean"]
    assert rows["words"]["metrics"]["ndcg_cut_10"]["mean"] == pytest.approx(2 / 3)  # nothing holds a word of the third
    assert rows["now"]["metrics"]["token_f1"]["n"] == 2  # of the two with gold answers
    assert rows["words"]["metrics"]["ndcg_cut_10"]["against_first"]["difference"] == pytest.approx(
        2 / 3 - now, abs=1e-5
    )
    assert rows["words"]["metrics"]["total_ms"]["n"] == 3
    answers = told["answers"]
    assert len(answers) == 9  # type: ignore[arg-type]
    logged = house("logs", "-n", "50", "--json").json["interactions"]
    held = {entry["interaction_id"]: entry for entry in logged}  # type: ignore[attr-defined]
    assert {each["interaction_id"] for each in answers} == set(held)  # type: ignore[attr-defined]
    assert {entry["origin"] for entry in held.values()} == {"synthetic"}


def test_people_read_a_table(house: House) -> None:
    shown = house("experiment", "show", "1").out
    assert "words: mode = keyword, passages = 2" in shown
    assert "ndcg_cut_10" in shown
    assert house("experiment", "list").out.splitlines()[1].split()[:3] == ["1", "beir", "beir"]


def test_questions_come_from_files_too(house: House) -> None:
    questions, config = house.folder / "questions.jsonl", house.folder / "two.toml"
    questions.write_text('{"question": "How hot is green tea?", "answers": ["eighty degrees"]}\n')
    config.write_text('[a]\n[b]\nmode = "semantic"\n')
    collection = house("collections", "--json").json["collections"][0]["name"]  # type: ignore[index]
    arguments = (str(config), "--questions", str(questions), "--collection", collection)
    done = house("experiment", "run", *arguments, "--name", "tea", "--json")
    assert done.json["table"][0]["metrics"]["token_f1"]["n"] == 1  # type: ignore[index]
    again = house("experiment", "run", *arguments, "--name", "tea")
    assert (again.code, "another --name" in again.err) == (1, True)
    assert house("experiment", "remove", "tea").code == 0
    assert house("experiment", "show", "tea").code == 1
    missing = house("experiment", "run", str(config), "--questions", "nowhere/questions.jsonl")
    assert (missing.code, "there is no file or folder" in missing.err) == (2, True)
    unknown = house("experiment", "run", str(config), "--questions", "nothing")
    assert (unknown.code, "no dataset 'nothing'" in unknown.err) == (1, True)


class Flaky(Speaking):
    """Fails from its third answer on."""

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Happens]:
        self.fails = len(self.asked) >= 2
        yield from super().generate(prompt, settings, cancel)


def test_an_answer_that_fails_is_kept_as_such(tmp_path: Path) -> None:
    configured = configurations({"a": {}, "b": {"generator": "flaky"}}, small(tmp_path), "here")
    examples = [Example("1", "What do otters hold?"), Example("2", "Where do otters sleep?")]
    with opening(small(tmp_path), create=True) as app:
        arrival = Arrival("note:otters", Source("note:otters", "text/plain", OTTERS.encode()))
        app.corpus().add_sources([arrival], Origin("local"), total=1)
        app.engines.generators["flaky"] = Flaky(["Otters ", "hold hands [1]."])
        kept = run(app, configured, examples, app.local(), name=None, questions="two", cancel=Event())
        with app.database.read() as connection:
            answers = store.answers(connection, kept.id)
            failed = interaction_store.get(connection, app.tenant_id, answers[3].interaction_id or "")
        assert [(each.configuration, each.number, each.error) for each in answers] == [
            (1, 1, None),
            (1, 2, None),
            (2, 1, None),
            (2, 2, "the server went away"),
        ]
        assert (failed.error, answers[3].values) == ("the server went away", {})
        with pytest.raises(RagError, match="'b' cannot answer: the server went away"):
            run(app, configured, examples, app.local(), name=None, questions="two", cancel=Event())


def test_configurations_share_what_is_open_and_one_judge(tmp_path: Path) -> None:
    with opening(small(tmp_path, generator="house"), create=True) as app:
        judge, guest = Speaking([]), Speaking([])
        app.engines.generators |= {"house": judge, "guest": guest}
        other = app.with_settings(replace(app.settings, generator="guest"))
        (scorer,) = other.scorers(["judge:faithfulness"])
        assert isinstance(scorer, Judge)
        assert scorer.generator is judge, "who answers does not judge the answer, where another answers by default"
        assert app.scorers(["judge:faithfulness"]) == [scorer]
        assert (other.embedder() is app.embedder(), other.pool() is app.pool()) == (True, True)
        assert (other.spans() is app.spans(), other.outboxes() is app.outboxes()) == (True, True)
        (named,) = app.with_settings(replace(app.settings, judge="guest")).scorers(["judge:faithfulness"])
        assert isinstance(named, Judge)
        assert named.generator is guest


# ── configurations ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[a]\n[b]\nalhpa = 1\n",
            r"\[b\]: 'alhpa' cannot be set here; did you mean alpha\?.*there are: collection, mode",
        ),
        ('[a]\n[b]\nmode = "guess"\n', r"\[b\]: mode is one of hybrid, semantic, keyword, not 'guess'"),
        ("[a]\n[b]\nalpha = 7\n", r"\[b\]: alpha lies between 0.0 and 1.0"),
        ("[a]\n[b]\npassages = true\n", r"\[b\]: passages takes a whole number"),
        ("[a]\n[b]\nport = 1\n", r"'port' cannot be set here"),
        ("[a]\n", "two configurations at least"),
        ("mode = 'keyword'\n[a]\n", "'mode' stands outside of a table"),
        ("[a\n", "is not TOML"),
        ('[" a"]\n[b]\n', "cannot name a configuration"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_and_the_choices(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises((WrongUsage, WrongSetting), match=said):
        read(path, Settings())


def test_values_are_those_of_settings() -> None:
    found = configurations({"a": {}, "b": {"alpha": "0.25", "passages": 3.0}}, Settings(), "here")
    assert [each.overrides for each in found] == [{}, {"alpha": 0.25, "passages": 3}]
    assert set(SETTINGS) <= set(Settings.__slots__)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ('{"question": " "}', "expected an object with `question`"),
        ('{"question": "a", "answers": "b"}', "`answers` is a list"),
        ('{"question": "a", "relevant": {"d": "1"}}', "`relevant` holds"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "fine"}\n' + line + "\n")
    with pytest.raises(WrongUsage, match=f"line 2.*{said}"):
        examples_of(path)


def test_files_of_questions(tmp_path: Path) -> None:
    plain, lines = tmp_path / "q.txt", tmp_path / "q.jsonl"
    plain.write_text("First?\n\n  Second?  \n")
    assert [(one.id, one.question) for one in examples_of(plain)] == [("1", "First?"), ("3", "Second?")]
    lines.write_text('{"_id": "x", "text": "First?", "relevant": {"d": 2}, "answers": ["yes"]}\n')
    assert examples_of(lines) == [Example("x", "First?", ("yes",), {"d": 2})]
    lines.write_text('{"id": "x", "question": "a"}\n{"id": "x", "question": "b"}\n')
    with pytest.raises(WrongUsage, match="one id"):
        examples_of(lines)
    plain.write_text("\n")
    with pytest.raises(WrongUsage, match="no question"):
        examples_of(plain)
    one, other = Example("1", "a"), Example("2", "b", ("c",))
    assert digest_of([one, other]) == digest_of([other, one]) != digest_of([one])


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


def answered(configuration: int, number: int, **values: float | None) -> Answered:
    return Answered(configuration, number, str(number), f"question {number}", None, values, 10.0 * configuration)


def test_configurations_differ_on_the_questions_that_both_have_a_value_for() -> None:
    first = [answered(1, n, f=value, abstained=0.0) for n, value in enumerate((0.5, 0.25, None, 1.0), 1)]
    second = [answered(2, n, f=value, abstained=1.0) for n, value in enumerate((0.75, None, 0.5, 0.5), 1)]
    third = [replace(answered(3, 1), error="gone")]
    rows = table([Configured(name, {}) for name in "abc"], [*first, *second, *third])
    cell = rows[1].cells["f"]
    assert cell.n == 3
    assert cell.against == paired([0.5, 1.0], [0.75, 0.5])
    assert cell.p_holm is None  # the third has no value: only one comparison
    assert rows[0].cells["f"].against is None
    assert [row.abstained for row in rows] == [0, 4, 0]
    assert [row.failed for row in rows] == [0, 0, 1]
    latency = rows[1].cells["total_ms"].against
    assert latency is not None
    assert latency.mean.value == 10.0
    assert rows[2].cells["total_ms"].mean is None
    assert "abstained" not in rows[0].cells


def test_an_experiment_comes_back_as_it_was_kept(database: Database) -> None:
    wanted = (Configured("a", {}), Configured("b", {"alpha": 0.25, "mode": "keyword"}))
    with database.write() as connection:
        tenant = ensure_tenant(connection)
        made = store.add(
            connection, tenant, "mine", questions="set", digest="d", configurations=wanted, version="1", user="ann"
        )
        store.add_answers(connection, made.id, [answered(1, 1, f=0.5, g=None), answered(2, 1, f=1.0)])
    with database.read() as connection:
        kept = store.get(connection, tenant, "mine")
        answers = store.answers(connection, kept.id)
        assert store.get(connection, tenant, str(kept.id)) == kept
        assert store.listing(connection, tenant, limit=5) == [kept]
        assert store.listing(connection, tenant, limit=5, before=kept.id) == []
        assert store.free_name(connection, tenant, "mine") == "mine-2"
        assert store.free_name(connection, tenant, "12") == "questions-12"
    assert (kept.configurations, kept.asked, kept.user) == (wanted, 1, "ann")
    assert answers == [answered(1, 1, f=0.5, g=None), answered(2, 1, f=1.0)]
    with database.write() as connection:
        store.remove(connection, tenant, "mine")
        assert store.answers(connection, made.id) == []


def test_what_an_experiment_prints_is_json(house: House) -> None:
    assert json.dumps(house("experiment", "list", "--json").json)
