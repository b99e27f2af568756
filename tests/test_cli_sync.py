"""`rag sync` and `rag documents restore` on the command line: what they print, their exit codes, what they refuse."""

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from rag.cli import run
from tests.cli_house import House, build, environment


@pytest.fixture
def house(tmp_path: Path) -> House:
    return build(tmp_path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house whose documents were taken in: for what changes nothing."""
    house = build(tmp_path_factory.mktemp("filled"))
    assert house("ingest", str(house.docs)).code == 0
    return house


def names(value: object) -> list[str]:
    assert isinstance(value, list)
    return sorted(str(uri).rpartition("/")[2] for uri in value)


def test_a_folder_is_registered_followed_and_let_go(house: House) -> None:
    first = house("sync", "pages", str(house.docs))
    assert first.code == 0
    assert [line.split()[0] for line in first.out.splitlines()[:3]] == ["added"] * 3
    assert "3 added\n" in first.out
    (house.docs / "tea.html").rename(house.docs / "drinks.html")
    (house.docs / "volcanoes.txt").unlink()
    (house.docs / "rivers.txt").write_text("The Po is the longest river of Italy.")
    again = house("sync", "pages", "--json").json
    assert (names(again["added"]), names(again["removed"])) == (["rivers.txt"], ["volcanoes.txt"])
    assert again["moved"] == [
        {"uri": (house.docs / "drinks.html").as_uri(), "moved_from": (house.docs / "tea.html").as_uri()}
    ]
    assert (again["unchanged"], again["embedded"], again["documents"]) == (1, 1, 3)
    assert house("search", "volcano", "--mode", "keyword", "--json").json["hits"] == []
    listed = house("sync", "--list", "--json").json["syncs"]
    assert isinstance(listed, list)
    assert [(each["name"], each["sources"], each["result"]["moved"]) for each in listed] == [("pages", 3, 1)]
    assert "all went in" in house("sync", "--list").out
    assert house("sync", "--remove", "pages").out == "pages is followed no longer; 3 documents removed with it\n"
    assert house("collections", "--json").json["collections"][0]["documents"] == 0  # type: ignore[index]
    assert house("sync", "--list").out == "no syncs; `rag sync NAME PATH` registers one\n"


def test_a_dry_run_changes_nothing_not_even_where_nothing_is_yet(house: House) -> None:
    shown = house("sync", "pages", str(house.docs), "--dry-run")
    assert shown.code == 0
    assert "this was a dry run: nothing was changed" in shown.out
    assert not house.data.exists()
    assert house("ingest", str(house.docs)).code == 0
    elsewhere = house("sync", "pages", str(house.docs), "--collection", "other", "--dry-run", "--json").json
    assert len(elsewhere["added"]) == 3  # type: ignore[arg-type]
    here = house("sync", "pages", str(house.docs), "--dry-run", "--json").json
    assert (here["dry_run"], here["unchanged"], here["added"]) == (True, 3, [])
    assert house("sync", "pages", "--dry-run").code == 1
    assert len(house("collections", "--json").json["collections"]) == 1  # type: ignore[arg-type]
    assert house("sync", "--list", "--json").json["syncs"] == []


def test_all_syncs_run_and_one_that_fails_stops_no_other(house: House, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "new.txt").write_text("Lava cools into basalt.")
    (other / "scan.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    house("sync", "pages", str(house.docs), "--label", "staff", "--metadata", "year=2024")
    assert house("sync", "more", str(other), "--collection", "other").code == 3
    other.rename(tmp_path / "away")
    (house.docs / "tea.html").unlink()
    done = house("sync", "--all", "--json")
    assert done.code == 3
    syncs = done.json["syncs"]
    assert isinstance(syncs, list)
    assert [(each["sync"], len(each["removed"]), each["failed"]) for each in syncs] == [("pages", 1, 0), ("more", 0, 1)]
    assert house("sync", "--all", "--collection", "default").code == 0
    document = house("documents", "list", "--json").json["documents"][0]  # type: ignore[index]
    assert (document["labels"], document["metadata"]["year"]) == (["staff"], 2024)


def test_removing_a_sync_may_keep_its_documents(house: House) -> None:
    house("sync", "pages", str(house.docs))
    kept = house("sync", "--remove", "pages", "--keep-documents", "--json").json
    assert kept == {"sync": "pages", "collection": "default", "removed": 0}
    assert len(house("documents", "list", "--json").json["documents"]) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give the sync a name"),
        (("pages", "nowhere"), "there is no file or folder nowhere"),
        (("./docs",), "cannot name a sync"),
        (("--all", "pages"), "take no name"),
        (("--all", "--list"), "three different things"),
        (("--remove", "pages", "."), "takes a name alone"),
        (("pages", "--keep-documents"), "belongs to --remove"),
        (("pages", "--label", "staff"), "name these too"),
        (("pages", "https://example.org/"), "--allow-host"),
        (("pages", "--watch", "--dry-run"), "--watch"),
        (("pages", ".", "--allow-host", "no host", "--sitemap", "http://a/"), "not a host name"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    filled: House, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(filled.folder)
    result = filled("sync", *arguments)
    assert result.code == 2, result
    assert said in result.err
    assert filled("sync", "--list", "--json").json["syncs"] == []


def test_what_is_not_there_says_what_is(house: House) -> None:
    house("sync", "pages", str(house.docs))
    missing = house("sync", "papers")
    assert (missing.code, missing.err) == (1, "rag: no sync 'papers' in the collection 'default'; there are: pages\n")


def test_a_sync_of_another_collection_is_found_by_its_name(house: House) -> None:
    house("sync", "pages", str(house.docs), "--collection", "manual")
    again = house("sync", "pages", "--json").json
    assert (again["collection"], again["unchanged"]) == ("manual", 3)
    assert house("sync", "pages", "--collection", "default").code == 1
    house("sync", "pages", str(house.docs), "--collection", "other")
    both = house("sync", "pages")
    assert (both.code, "several collections (manual, other)" in both.err) == (2, True)
    assert house("sync", "--remove", "pages", "--collection", "other").code == 0
    assert house("sync", "--remove", "pages").code == 0


def test_removed_documents_are_listed_and_restored(house: House) -> None:
    house("ingest", str(house.docs))
    assert house("documents", "remove", "2").code == 0
    assert house("documents", "list", "--removed", "--json").json["documents"][0]["document_id"] == 2  # type: ignore[index]
    restored = house("documents", "restore", "2", "1", "99", "--json")
    assert restored.code == 3
    (one,) = restored.json["restored"]  # type: ignore[misc]
    assert (one["removed_id"], one["state"]) == (2, "added")
    assert one["document_id"] > 3
    reasons = {each["document_id"]: each["reason"] for each in restored.json["failed"]}  # type: ignore[attr-defined]
    assert reasons == {1: "document 1 was not removed", 99: "no document 99"}
    assert house("documents", "list", "--removed").out == "no such documents\n"
    (house.docs / "tea.html").write_text("<p>Green tea is brewed at 70 degrees.</p>")
    house("ingest", str(house.docs))
    assert house("documents", "list", "--removed").out == "no such documents\n", "what was replaced was not removed"


WATCH = """
import sys
from rag.cli import main
main()
"""


def test_watching_runs_when_something_changes_until_ctrl_c(house: House) -> None:
    with environment(house.variables):
        variables = dict(os.environ)
    # The data folder lies within what is followed: what a run writes there must not call for the next run.
    process = subprocess.Popen(
        [sys.executable, "-c", WATCH, "sync", "pages", str(house.folder), "--watch", "--json"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        first = json.loads(process.stdout.readline())
        assert len(first["added"]) == 3
        (house.docs / "rivers.txt").write_text("The Po is the longest river of Italy.")
        second = json.loads(process.stdout.readline())
        assert (names(second["added"]), second["unchanged"]) == (["rivers.txt"], 3)
        (house.docs / "rivers.txt").rename(house.docs / "streams.txt")
        third = json.loads(process.stdout.readline())
        assert len(third["moved"]) == 1
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), err
    assert "Ctrl-C ends it" in err


def test_help_is_quick_to_read() -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert run(["sync", "--help"]) == 0
    assert "rag sync NAME PATH" in out.getvalue()
