"""Real files of every format, odd and hostile ones among them: each meets the expectation that its manifest states."""

import csv
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest import parsers, sources
from ingest.clean import assemble
from ingest.errors import Damaged, Empty, Encrypted, IngestError, Unsupported
from ingest.types import Failed, Parsed, Source
from tests.conftest import ROOT

ZOO = Path(os.environ.get("RAG_TEST_DATA", ROOT.parent / "shared" / "data")) / "zoo-a"
SHARE = 2 / 3  # of the probe words that must be found
PASSWORD = re.compile(r'password "([^"]+)"')
OCR = re.compile("OCR|scan:")
needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


@dataclass(frozen=True)
class Row:
    """A line of the manifest."""

    file: str
    bytes: int
    sha256_16: str
    expectation: str
    probe_words: tuple[str, ...]

    @property
    def error(self) -> type[IngestError] | None:
        """What reading the file without a password must raise; None when it must be read."""
        says = self.expectation
        if "opens with" in says or "others readable" in says:
            return None
        if says.startswith("encrypted"):
            return Encrypted
        if says.startswith("damaged"):
            return Damaged
        if says.startswith(("empty", "only white space")):
            return Empty
        return Unsupported if "must be refused" in says else None


def manifest() -> list[Row]:
    """The rows; none where the data is absent."""
    if not ZOO.is_dir():
        return []
    with (ZOO / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        return [
            Row(
                row["file"],
                int(row["bytes"]),
                row["sha256_16"],
                row["expectation"],
                tuple((row["probe_words"] or "").split()),
            )
            for row in csv.DictReader(file, delimiter="\t")
        ]


ROWS = manifest()
HOSTILE = [row for row in ROWS if row.expectation.startswith("hostile")]
READ = [row for row in ROWS if row.error is None and row not in HOSTILE and not OCR.search(row.expectation)]


def read(row: Row, *passwords: str) -> tuple[str, list[Failed]]:
    """All the text of a file, and what failed within it."""
    found = sources.read(ZOO / "files" / row.file, max_bytes=10_000_000)
    source = Source(found.uri, found.media_type, found.content, passwords)
    items = list(parsers.parse(source))
    texts = [assemble(source, item) for item in items if isinstance(item, Parsed)]
    return (
        "\n".join(f"{document.title}\n{document.text}" for document in texts),
        [item for item in items if isinstance(item, Failed)],
    )


def assert_holds(row: Row, text: str) -> None:
    """At least two thirds of the probe words are there; some text is, where there are no such words."""
    missing = [word for word in row.probe_words if word not in text]
    assert text.strip()
    assert len(missing) <= (1 - SHARE) * len(row.probe_words), missing


def test_the_zoo_is_whole(shared_data: Path) -> None:
    assert shared_data == ZOO.parent
    assert {row.file for row in ROWS} == {path.name for path in (ZOO / "files").iterdir()}
    for row in ROWS:
        content = (ZOO / "files" / row.file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()[:16]) == (row.bytes, row.sha256_16)
    kinds = {row.error for row in ROWS}
    assert kinds == {None, Encrypted, Damaged, Empty, Unsupported}


@pytest.mark.parametrize("row", READ, ids=lambda row: row.file)
def test_its_words_are_found(row: Row) -> None:
    text, failed = read(row)
    assert_holds(row, text)
    assert all(row.file in item.reason and item.uri in item.reason for item in failed)


@pytest.mark.parametrize("row", [row for row in ROWS if row.error], ids=lambda row: row.file)
def test_it_is_refused_with_its_name_and_the_reason(row: Row) -> None:
    assert row.error is not None
    with pytest.raises(row.error) as caught:
        read(row)
    assert row.file in str(caught.value)


@pytest.mark.parametrize("row", [row for row in ROWS if PASSWORD.search(row.expectation)], ids=lambda row: row.file)
def test_its_password_opens_it(row: Row) -> None:
    said = PASSWORD.search(row.expectation)
    assert said is not None
    text, _ = read(row, "not this one", said[1])
    assert_holds(row, text)


@needs_tesseract
@pytest.mark.parametrize("row", [row for row in ROWS if OCR.search(row.expectation)], ids=lambda row: row.file)
def test_pictures_are_read_where_tesseract_is_installed(row: Row) -> None:
    text, failed = read(row)
    assert not failed
    assert_holds(row, text)
    assert len(re.findall(r"\b[A-Za-z]{4,}\b", text)) >= 3  # letters, not specks


@pytest.mark.parametrize("row", [row for row in ROWS if OCR.search(row.expectation)], ids=lambda row: row.file)
def test_pictures_say_that_they_need_ocr_where_it_is_not(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises((Empty, Unsupported), match=r"OCR.*install tesseract-ocr") as caught:
        read(row)
    assert row.file in str(caught.value)


@pytest.mark.parametrize("row", HOSTILE, ids=lambda row: row.file)
def test_an_archive_within_itself_ends_and_says_so(row: Row) -> None:
    _, failed = read(row)
    assert [item for item in failed if "contains itself" in item.reason]


@pytest.mark.parametrize("row", [row for row in READ if "damaged" in row.expectation], ids=lambda row: row.file)
def test_pages_beside_a_damaged_one_are_read(row: Row) -> None:
    text, _ = read(row)
    assert len(text) > 10_000
