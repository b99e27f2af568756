"""An ingest that is killed at any point and run again ends as one that was never killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from rag.app import App
from rag.config import load
from rag.store.tables import chunks, contents, documents
from tests.forking import KILLER, Forking

FILES = 150  # four batches
KILL_AFTER_COMMITS = (1, 2, 3)
READ = """
import alembic.command, filelock, pathspec, psutil, sqlalchemy.dialects.sqlite, sqlite3
import rag.app, rag.cli.db, rag.cli.doctor, rag.cli.ingest, rag.cli.intake, rag.doctor, rag.embedders.hashing
import rag.shapes.documents, rag.indexes.snapshots, rag.vectors.faiss, rag.rankings.wrapped
"""


def environment() -> dict[str, str]:
    return {**os.environ, "RAG_EMBEDDER": "hashing:64"}


def command(data: Path, *arguments: str) -> list[str]:
    return ["-m", "rag", "--data", str(data), *arguments]


@pytest.fixture(scope="module")
def forking() -> Iterator[Forking]:
    opened = Forking(READ)
    yield opened
    opened.close()


def ingest(forking: Forking, data: Path, folder: Path) -> dict[str, object]:
    done = forking.run(command(data, "ingest", str(folder), "--json"), env=environment())
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def state(data: Path) -> tuple[object, ...]:
    """What is alive, without ids or positions."""
    app = App.open(load({"data": data, "embedder": "hashing:64"}, {}).settings)
    with app.database.read() as connection:
        places = connection.execute(
            select(documents.c.uri, contents.c.text)
            .join(contents, contents.c.id == documents.c.content_id)
            .where(documents.c.removed_position.is_(None))
        ).all()
        pieces = connection.execute(
            select(contents.c.text, chunks.c.ordinal, chunks.c.start, chunks.c.end)
            .join(contents, contents.c.id == chunks.c.content_id)
            .where(chunks.c.removed_position.is_(None))
        ).all()
    app.close()
    return sorted(map(repr, places)), sorted(map(repr, pieces))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety documents of twenty paragraphs, every tenth a copy."""
    folder = tmp_path_factory.mktemp("docs")
    for number in range(FILES):
        told = number - 1 if number % 10 == 9 else number
        paragraphs = [f"Document {told} says in part {i} that the value is {told * i}. " * 6 for i in range(20)]
        (folder / f"{number:03d}.txt").write_text("\n\n".join(paragraphs))
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """What an ingest leaves that is a process of its own, and that nobody kills."""
    data = tmp_path_factory.mktemp("whole")
    done = subprocess.run(
        [sys.executable, *command(data, "ingest", str(folder), "--json")],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["documents"] == FILES
    return state(data)


@pytest.fixture(scope="module")
def empty(forking: Forking, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with nothing in it but its tables."""
    data = tmp_path_factory.mktemp("empty") / "data"
    data.mkdir()
    assert forking.run(command(data, "db", "upgrade"), env=environment()).returncode == 0
    return data


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("commits", KILL_AFTER_COMMITS)
def test_killed_and_run_again(
    folder: Path,
    whole: tuple[object, ...],
    empty: Path,
    forking: Forking,
    tmp_path: Path,
    commits: int,
    moment: str,
) -> None:
    data = shutil.copytree(empty, tmp_path / "data")
    killed = forking.run(
        ["-c", KILLER, str(commits + 2), moment, "0", "--data", str(data), "ingest", str(folder)], env=environment()
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    between = state(data)
    assert between != whole, "the kill came too late to prove anything"
    report = ingest(forking, data, folder)
    assert report["documents"] == FILES
    assert state(data) == whole
    healthy = forking.run(command(data, "doctor", "--json"), env=environment())
    assert json.loads(healthy.stdout)["ok"], healthy.stdout
    assert healthy.returncode == 0
