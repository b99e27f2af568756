"""Rows that lie in a file: what is asked of the disk ahead of being read."""

import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rag.vectors import rows
from rag.vectors.rows import StoredRows

COUNT, DIM = 100, 4
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system takes no advice on files")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Offset and length of everything that is asked for."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, offset, length, __: told.append((offset, length)))
    return told


def stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[StoredRows, np.ndarray]:
    """Rows that are read one by one, as they are beyond MAPPED bytes."""
    monkeypatch.setattr(rows, "MAPPED", 0)
    held = np.random.default_rng(0).standard_normal((COUNT, DIM)).astype(np.float32)
    rows.write(folder, [held])
    return StoredRows(folder, DIM), held


def settled() -> None:
    for thread in threading.enumerate():
        if thread.name == "rag-read-ahead":
            thread.join()


def test_rows_are_asked_for_together_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[tuple[int, int]]
) -> None:
    found, held = stored(tmp_path, monkeypatch)
    for _ in range(2):
        assert np.array_equal(found.take(np.array([3, 50, 97])), held[[3, 50, 97]])
    assert asked == [(place * DIM * 4, DIM * 4) for place in (3, 50, 97)]


@pytest.mark.parametrize(("share", "whole"), [(4, True), (3, False)])
def test_whoever_goes_on_asking_gets_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[tuple[int, int]], share: int, whole: bool
) -> None:
    size = COUNT * DIM * 4
    monkeypatch.setattr(rows, "SINGLY", 4)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": share, "SC_PHYS_PAGES": size}.__getitem__)
    found, _ = stored(tmp_path, monkeypatch)
    found.take(np.array([1, 5, 9, 13]))
    settled()
    assert (0, rows.AHEAD) not in asked, "a single question needs no more than its rows"
    for first in (20, 40):
        found.take(np.array([first, first + 2]))
    settled()
    assert asked.count((0, rows.AHEAD)) == whole
