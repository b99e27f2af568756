"""The command line: what it takes in, finds, answers and says, with its exit codes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest

from rag.cli import COMMANDS, cli, options, output, run
from rag.config import DEFAULTS
from rag.types import Mode
from tests.cli_house import House, build, environment

PYTHON = [sys.executable, "-c"]
HEAVY = {"sqlalchemy", "numpy", "faiss", "rapidfuzz", "onnxruntime", "torch", "fastapi", "pydantic", "rich", "rag.app"}
NOT_FOR_SEARCH = {
    "torch",
    "transformers",
    "sentence_transformers",
    "pydantic",
    "jinja2",
    "httpx",
    "rich",
    "fastapi",
    "onnx",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with three documents and one logged answer; tests that change more build their own."""
    house = build(tmp_path_factory.mktemp("house"))
    assert house("ingest", str(house.docs)).code == 0
    assert house("ask", "How tall is the main span of the Golden Gate Bridge?").code == 0
    return house


def loaded_by(arguments: list[str], variables: dict[str, str], names: set[str]) -> set[str]:
    """Which of these modules a fresh process has loaded when the command is done."""
    code = (
        "import sys, json; from rag.cli import run; code = run(json.loads(sys.argv[1])); "
        "print(json.dumps(sorted(set(json.loads(sys.argv[2])) & sys.modules.keys())), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [*PYTHON, code, json.dumps(arguments), json.dumps(sorted(names))],
        capture_output=True,
        text=True,
        env=os.environ | variables,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


# ── the frame ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_help_loads_no_heavy_library() -> None:
    assert loaded_by(["--help"], {}, HEAVY) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_loads_no_heavy_library_and_agrees_with_the_overview(name: str) -> None:
    assert loaded_by([name, "--help"], {}, HEAVY) == set()
    command = cli.get_command(cli.make_context("rag", [name]), name)
    assert command is not None
    first = (command.help or "").strip().split("\n")[0]
    assert COMMANDS[name][1].rstrip(".").split(";")[0] in first or first.startswith(COMMANDS[name][1].rstrip("."))


def test_a_keyword_search_loads_no_model_library(house: House) -> None:
    unwanted = NOT_FOR_SEARCH | {"onnxruntime", "tokenizers"}
    assert loaded_by(["search", "etna", "--mode", "keyword"], house.variables, unwanted) == set()


def test_a_hybrid_search_loads_only_what_it_needs(house: House) -> None:
    assert loaded_by(["search", "etna"], house.variables, NOT_FOR_SEARCH) == set()


def test_what_the_help_says_of_modes_and_defaults_is_so() -> None:
    assert set(options.MODES) == set(get_args(Mode))
    told = {}
    for name in COMMANDS:
        command = cli.get_command(cli.make_context("rag", [name]), name)
        assert command is not None
        for option in command.params:
            setting = {"k": "passages", "template": "prompt_template"}.get(str(option.name), str(option.name))
            found = re.search(r"\[default: ([^\]]+)\]", getattr(option, "help", None) or "")
            if found and hasattr(DEFAULTS, setting) and (name, setting) != ("rebuild", "collection"):
                told[name, setting] = (found[1], str(getattr(DEFAULTS, setting)).removesuffix(".0"))
    told |= {key: (said.removeprefix("./"), default) for key, (said, default) in told.items()}
    assert all(said == default for said, default in told.values()), told
    assert {("ask", "passages"), ("ask", "generator"), ("serve", "port"), ("search", "mode")} <= told.keys()


def _all_help() -> str:
    from rag.cli.reference import markdown

    return markdown()


def test_the_reference_page_is_what_the_commands_say() -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
    assert page.read_text(encoding="utf-8") == _all_help(), "run: python -m rag.cli.reference > docs/cli.md"


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["fly"], {}, "No such command"),
        (["search"], {}, "Missing argument"),
        (["search", "  "], {}, "the query is empty"),
        (["search", "x", "-k", "0"], {}, "0 is not in the range"),
        (["search", "x", "--alpha", "nan"], {}, "nan is no number between 0 and 1"),
        (["calibrate", ".", "--max-refused", "nan"], {}, "nan is no number between 0 and 0.5"),
        (["search", "x", "--mode", "psychic"], {}, "psychic"),
        (["search", "x", "--filter", "{"], {}, "the filter is not JSON"),
        (["search", "x", "--filter", '{"a": {"$near": 1}}'], {}, "$near"),
        (["search", "x"], {"RAG_MOED": "hybrid"}, "did you mean mode"),
        (["search", "x"], {"RAG_DEPTH": "many"}, "depth takes a whole number"),
        (["ingest", "no/such/file"], {}, "there is no file or folder no/such/file"),
        (["ingest", ".", "--metadata", "year"], {}, "key=value"),
        (["logs", "--since", "yesterday"], {}, "neither a date"),
        (["logs", "--score-min", "0.5"], {}, "needs the name of the score"),
        (["search", "\udcff"], {}, "not UTF-8"),
        (["eval", "."], {}, "no BEIR folder"),
    ],
)
def test_wrong_usage_is_exit_code_2(house: House, arguments: list[str], variables: dict[str, str], said: str) -> None:
    result = house(*arguments, **variables)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["logs", "show", "01ZZ"], "no interaction '01ZZ'"),
        (["documents", "show", "999"], "no document 999"),
        (["search", "x", "--collection", "nowhere"], "there are: default"),
        (["token", "revoke", "nobody"], "no live token 'nobody'"),
    ],
)
def test_what_is_not_there_is_exit_code_1(house: House, arguments: list[str], said: str) -> None:
    result = house(*arguments)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("rag: ")
    assert said in result.err


@pytest.mark.parametrize("command", [["search", "x"], ["ask", "x"], ["logs"], ["documents", "list"], ["collections"]])
def test_before_the_first_ingest_it_says_what_to_do(tmp_path: Path, command: list[str]) -> None:
    result = build(tmp_path)(*command)
    assert result.code == 1
    assert "run `rag ingest PATH`" in result.err
    assert not (tmp_path / "data").exists()


def test_data_may_stand_before_or_behind_the_command(house: House, tmp_path: Path) -> None:
    elsewhere = {"RAG_DATA": str(tmp_path / "none")}
    for arguments in (["--data", str(house.data), "logs"], ["logs", "--data", str(house.data)]):
        assert house(*arguments, **elsewhere).code == 0
    assert house("logs", **elsewhere).code == 1


def test_a_closed_pipe_is_no_error(house: House) -> None:
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from rag.cli import run; sys.exit(run(sys.argv[1:]))"
    done = subprocess.run(
        [*PYTHON, code, "logs", "export"], stdout=write, stderr=subprocess.PIPE, env=os.environ | house.variables
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_unexpected_error_is_short_unless_the_traceback_is_asked_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: object) -> None:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr(options, "parse_filter", fail)
    result = house("search", "etna")
    assert result.code == 1
    assert "unexpected ZeroDivisionError: by design" in result.err
    assert "--traceback" in result.err
    with pytest.raises(ZeroDivisionError):
        house("search", "etna", "--traceback")


# ── safe output ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_control_characters_of_documents_never_reach_the_terminal(tmp_path: Path) -> None:
    house = build(tmp_path, {"evil.txt": "Evil \x1b]0;owned\x07 text \x9b31m about \u202ezebras\u202c is here.\n"})
    assert house("ingest", str(house.docs)).code == 0
    outs = [house("search", "zebras").out, house("ask", "What is evil text about?").out]
    outs += [house("documents", "show", "1").out, house("logs").out]
    outs += [house("logs", "show", json.loads(house("logs", "--json").out)["interactions"][0]["interaction_id"]).out]
    for out in outs:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", out), repr(out)
    assert "zebras" in outs[0]


def test_safe_keeps_what_is_harmless() -> None:
    assert output.safe("tab\tline\nümlaut 文 👩‍👩‍👧") == "tab\tline\nümlaut 文 👩‍👩‍👧"
    assert output.safe("\x1b[31m\x00\x7f\x85") == "␛[31m␀␡�"


def test_an_address_in_the_current_folder_is_shown_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert output.shown_uri((tmp_path / "a b" / "c.md").as_uri()) == "a b/c.md"
    assert output.shown_uri("file:///somewhere/else.md#7") == "/somewhere/else.md#7"
    assert output.shown_uri("https://example.org/x%20y") == "https://example.org/x%20y"


# ── ingest ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ingest_again_embeds_nothing_and_a_bad_file_is_exit_code_3(tmp_path: Path) -> None:
    house = build(tmp_path)
    first = house("ingest", str(house.docs), "--json")
    assert (first.code, first.json["added"], first.json["documents"]) == (0, 3, 3)
    assert int(str(first.json["embedded"])) == int(str(first.json["chunks"])) > 0
    (house.docs / "broken.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    (house.docs / "copy.txt").write_text((house.docs / "volcanoes.txt").read_text())
    second = house("ingest", str(house.docs), "--json")
    assert second.code == 3
    counts = {name: second.json[name] for name in ("added", "unchanged", "duplicate", "failed", "embedded")}
    assert counts == {"added": 0, "unchanged": 3, "duplicate": 1, "failed": 1, "embedded": 0}
    (failure,) = second.json["failures"]  # type: ignore[misc]
    assert failure["uri"] == (house.docs / "broken.pdf").as_uri()
    assert failure["reason"]
    told = house("ingest", str(house.docs))
    assert told.code == 3
    assert "4 unchanged, 1 failed" in told.out
    assert "failed: " in told.err
    assert "broken.pdf" in told.err


def test_a_file_is_the_same_document_whichever_way_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = build(tmp_path)
    assert house("ingest", str(house.docs / "tea.html")).code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(house.docs)
    for path in ("../docs/tea.html", "../elsewhere/../docs", "../link"):
        report = house("ingest", path, "--json").json
        assert report["duplicate"] == 0, path
        assert report["documents"] == (1 if path.endswith("html") else 3)


def test_the_title_is_not_repeated_as_the_first_heading() -> None:
    assert output.heading("Tea", ["Tea", "Green"]) == "Tea › Green"
    assert output.heading("", ["Tea"]) == "Tea"
    assert output.heading("Drinks", ["Tea"]) == "Drinks › Tea"


def test_metadata_and_labels_are_kept_and_filter(tmp_path: Path) -> None:
    house = build(tmp_path)
    tags = ["--metadata", "year=1937", "--metadata", "place=San Francisco", "--label", "staff"]
    assert house("ingest", str(house.docs / "bridges.md"), *tags).code == 0
    assert house("ingest", str(house.docs / "tea.html"), "--metadata", "year=2020").code == 0
    (document,) = house("documents", "list", "--filter", '{"year": {"$lt": 2000}}', "--json").json["documents"]  # type: ignore[misc]
    assert (document["metadata"]["year"], document["metadata"]["place"]) == (1937, "San Francisco")
    assert document["labels"] == ["staff"]
    hits = house("search", "water bridge", "--filter", '{"year": 2020}', "--json").json["hits"]
    assert {hit["title"] for hit in hits} == {"Tea"}  # type: ignore[attr-defined]


def test_the_first_interrupt_stops_after_the_batch_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(tmp_path, {f"{i}.txt": f"Document number {i} speaks of topic {i}.\n" for i in range(600)})

    @contextmanager
    def interrupting() -> Iterator[object]:
        asked = False

        def show(now: object) -> None:
            nonlocal asked
            if now.sources_done == 400 and not asked:  # type: ignore[attr-defined]
                asked = True
                signal.raise_signal(signal.SIGINT)

        yield show

    with monkeypatch.context() as patch:
        patch.setattr("rag.cli.ingest.progress", interrupting)
        stopped = house("ingest", str(house.docs))
    assert stopped.code == 130
    assert stopped.out.startswith("400 added")
    assert "Run the same command again" in stopped.err
    before = house("collections", "--json").json["collections"][0]["documents"]  # type: ignore[index]
    assert 0 < before < 600
    report = house("ingest", str(house.docs), "--json").json
    assert (report["unchanged"], report["added"]) == (before, 600 - before)
    assert house("doctor").code == 0


def test_a_second_interrupt_stops_at_once() -> None:
    from rag.cli.interrupts import first_interrupt

    heard: list[str] = []
    with first_interrupt(lambda: heard.append("once")):
        signal.raise_signal(signal.SIGINT)
        assert heard == ["once"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ── search and ask ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", options.MODES)
def test_search_shows_title_place_and_text(house: House, mode: str) -> None:
    result = house("search", "tallest", "active", "volcano", "--mode", mode)
    assert result.code == 0
    first = result.out.split("\n\n")[0]
    assert "volcanoes.txt" in first
    assert "Mount Etna is the tallest active volcano in Europe." in " ".join(first.split())


def test_explain_shows_rank_and_score_of_every_stage(house: House) -> None:
    out = house("search", "tallest active volcano", "--explain").out
    assert re.search(r"dense #1 \d\.\d+ .*bm25 #1 \d+\.\d+ .*fused #1", out), out
    assert re.search(r"retrieve \d+\.\d ms", out)


def test_nothing_found_is_said_and_no_error(house: House) -> None:
    result = house("search", "xylophone", "--mode", "keyword")
    assert (result.code, result.out) == (0, "nothing found\n")


def test_matching_words_are_marked_by_their_stems() -> None:
    from rag.cli.search import highlighted, matches

    text = "Erupting volcanoes erupted."
    assert [text[start:end] for start, end in matches(text, "volcano eruption erupt")] == [
        "Erupting",
        "volcanoes",
        "erupted",
    ]
    assert highlighted("a volcano", "volcanoes") == "a " + output.marked("volcano")


def test_an_excerpt_holds_the_words_of_the_query() -> None:
    from rag.cli.search import EXCERPT, excerpt

    text = "filler words " * 200 + "the okapi lives here " + "more filler " * 200
    shown = excerpt(text, "okapi")
    assert "okapi" in shown
    assert len(shown) <= EXCERPT + 4
    assert shown.startswith("… ")
    assert shown.endswith(" …")


def test_ask_answers_with_sources_scores_and_a_way_to_the_log(house: House) -> None:
    result = house("ask", "When was the Golden Gate Bridge opened?")
    assert result.code == 0
    assert "opened in 1937" in result.out.split("Sources")[0]
    assert "[1]" in result.out
    assert "“The Golden Gate Bridge was opened in 1937.”" in " ".join(result.out.split())
    assert "Answered by extractive" in result.out
    shown = re.search(r"rag logs show (\w{26})", result.out)
    assert shown
    whole = house("logs", "show", shown[1])
    assert whole.code == 0
    for part in ("When was the Golden Gate Bridge opened?", "Prompt, system", "Passage [1]", "template", "Scores"):
        assert part in whole.out


def test_a_setting_can_be_left_for_one_question(house: House) -> None:
    strict = {}
    for flags in ((), ("--no-strict",)):
        said = house("ask", "When was the Golden Gate Bridge opened?", *flags, "--json", RAG_STRICT="on").json
        whole = house("logs", "show", str(said["interaction_id"]), "--json").json
        strict[flags] = whole["settings"]["strict"]  # type: ignore[index]
    assert strict == {(): True, ("--no-strict",): False}


def test_the_log_can_be_narrowed_and_exported(house: House) -> None:
    conversation = "01J00000000000000000000000"
    assert house("ask", "Where does Etna stand?", "--conversation", conversation).code == 0

    def questions(*flags: str) -> list[str]:
        found = house("logs", *flags, "--json").json["interactions"]
        return [entry["question"] for entry in found]  # type: ignore[attr-defined]

    everything = questions("-n", "100")
    assert everything[0] == "Where does Etna stand?"
    assert len(everything) >= 2
    assert questions("-n", "1") == everything[:1]
    assert questions("-q", "ETNA STAND") == ["Where does Etna stand?"]
    assert questions("--cid", conversation) == ["Where does Etna stand?"]
    assert questions("-m", "nobody") == []
    assert questions("--since", "1h") == everything
    assert questions("--until", "2020-01-01") == []
    assert questions("--failed") == []
    assert questions("--score", "faithfulness", "--score-min", "2") == []
    assert house("logs", "-r").out.strip() != ""
    assert "Where does Etna stand?" in house("logs", "-s").out
    lines = house("logs", "export", "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["question"] for line in lines] == everything
    assert all(json.loads(line)["prompt"]["messages"] for line in lines)


def test_logs_load_no_model_library(house: House) -> None:
    unwanted = NOT_FOR_SEARCH | {"onnxruntime", "tokenizers", "faiss", "rapidfuzz"}
    assert loaded_by(["logs"], house.variables, unwanted) == set()


# ── looking after it ────────────────────────────────────────────────────────────────────────────────────────────────


def test_removed_documents_are_found_no_more(tmp_path: Path) -> None:
    house = build(tmp_path)
    house("ingest", str(house.docs))
    listed = house("documents", "list", "--json").json["documents"]
    (tea,) = [document["document_id"] for document in listed if document["title"] == "Tea"]  # type: ignore[attr-defined]
    removed = house("documents", "remove", str(tea), "999", "--json")
    assert (removed.code, removed.json) == (3, {"removed": 1, "missing": [999]})
    assert "Tea" not in house("search", "green tea").out
    assert house("documents", "remove", str(tea)).code == 3


def test_pages_of_documents_follow_each_other(house: House) -> None:
    first = house("documents", "list", "-n", "2", "--json").json
    second = house("documents", "list", "-n", "2", "--after", str(first["next"]), "--json").json
    assert second["next"] is None
    ids = [d["document_id"] for page in (first, second) for d in page["documents"]]  # type: ignore[attr-defined]
    assert len(ids) == 3
    assert ids == sorted(ids)


def test_a_token_is_shown_once_and_can_be_revoked(tmp_path: Path) -> None:
    house = build(tmp_path)
    made = house("token", "create", "--name", "ada", "--label", "staff")
    assert made.code == 0
    secret = made.out.strip()
    assert secret.startswith("rag_")
    listed = house("token", "list")
    assert "ada" in listed.out
    assert secret not in listed.out
    assert house("token", "create", "--name", "ada").code == 1
    assert house("token", "revoke", "ada").code == 0
    assert house("token", "list", "--json").json["tokens"][0]["revoked_at"]  # type: ignore[index]


def test_the_database_is_made_and_stands_at_head(tmp_path: Path) -> None:
    house = build(tmp_path)
    assert house("db", "current").code == 1
    made = house("db", "upgrade", "--json")
    assert made.code == 0
    assert made.json["before"] is None
    assert made.json["current"] == made.json["head"]
    assert house("db", "current").code == 0


def test_config_says_where_each_value_comes_from_and_hides_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rag.toml").write_text('depth = 50\ndatabase = "postgresql://ada:secret@db/rag"\n')
    monkeypatch.chdir(tmp_path)
    house = build(tmp_path / "house")
    result = house("config", "--json")
    found = {entry["name"]: entry for entry in result.json["settings"]}  # type: ignore[attr-defined]
    assert (found["depth"]["value"], found["depth"]["origin"]) == (50, "rag.toml")
    assert found["embedder"]["origin"] == "RAG_EMBEDDER"
    assert found["alpha"]["origin"] == "default"
    assert found["database"]["value"] == "postgresql://ada:***@db/rag"
    assert "secret" not in result.out + house("config").out


def test_the_demo_asks_three_questions_and_says_what_next(tmp_path: Path) -> None:
    house = build(tmp_path)
    first = house("demo", str(house.docs), "--question", "Where does Mount Etna stand?")
    assert first.code == 0
    assert "Sicily" in first.out
    assert "What next" in first.out
    again = house("demo", str(house.docs), "--question", "Where does Mount Etna stand?")
    assert "3 unchanged" in again.out


def test_the_demo_finds_the_projects_own_documentation() -> None:
    from rag.cli.demo import QUESTIONS, own_documentation

    assert len(QUESTIONS) == 3
    assert all(place.exists() for place in own_documentation())


def test_completion_does_not_break_on_the_environment(house: House) -> None:
    with environment(house.variables):
        assert run(["--version"]) == 0


def test_the_data_folder_is_no_document(tmp_path: Path) -> None:
    """A first run makes it inside the folder that is taken in; the next one passes over it."""
    house = build(tmp_path)
    for unchanged in (0, 3):
        report = house("ingest", str(tmp_path), "--json").json
        assert (report["unchanged"], report["skipped"], report["documents"]) == (unchanged, 0, 3)
