"""Text in pictures, read by the program tesseract where it is installed; scanned pages and image files share it.

Every language whose data is installed is read, up to MAX_LANGUAGES; with more of them English only, for each one costs
time. One picture is read by one thread and for TIMEOUT_S at most.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ingest.errors import Damaged, TooLarge, Unsupported

INSTALL = "install tesseract-ocr"
TIMEOUT_S = 25.0
MAX_LANGUAGES = 4
MAX_PIXELS = 50_000_000  # of one picture: A3 at 400 dots per inch is 31 million

_PROGRAM = "tesseract"
_NO_LANGUAGE = frozenset(("osd", "equ", "snum"))
_DOUBTFUL = 30.0  # per cent: lines that the program itself is less sure of are specks and pictures, not letters


@dataclass(frozen=True, slots=True)
class Recognised:
    """What was read in one picture."""

    paragraphs: tuple[str, ...]  # with their line ends, in reading order
    confidence: float  # mean over the words, 0 to 100, as tesseract gives it; 0 when there are none


def available() -> bool:
    """Whether tesseract is on the path."""
    return shutil.which(_PROGRAM) is not None


def recognise(image: bytes, uri: str, *, dpi: int | None = None) -> Recognised:
    """Read one picture (PNG, PGM …) of MAX_PIXELS at most. Lines of low confidence are left out.

    Raises Unsupported without the program, Damaged when it cannot read the picture, TooLarge when it takes too long.
    """
    program = shutil.which(_PROGRAM)
    if program is None:
        raise Unsupported(f"{uri}: its text is in a picture and needs OCR; {INSTALL} and add it again")
    resolution = () if dpi is None else ("--dpi", str(dpi))
    command = (program, "stdin", "stdout", "-l", _languages(program), *resolution, "tsv")
    try:
        done = subprocess.run(
            command, input=image, capture_output=True, timeout=TIMEOUT_S, env=_environment(), check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TooLarge(
            f"{uri}: OCR took over {TIMEOUT_S:g} s; divide the picture, or scan it with fewer dots per inch"
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-200:]
        raise Damaged(f"{uri}: tesseract cannot read the picture ({said}); open it in a viewer and save it again")
    return _recognised(done.stdout.decode("utf-8", "replace").splitlines())


@cache
def _languages(program: str) -> str:
    """The installed languages as the program takes them, English first."""
    done = subprocess.run(
        (program, "--list-langs"), capture_output=True, timeout=TIMEOUT_S, env=_environment(), check=False
    )
    listed = done.stdout.decode("utf-8", "replace").splitlines()[1:]
    found = sorted(
        {name.strip() for name in listed if name.strip() and "/" not in name} - _NO_LANGUAGE,
        key=lambda name: (name != "eng", name),
    )
    return "+".join(found) if 0 < len(found) <= MAX_LANGUAGES else "eng"


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_THREAD_LIMIT": "1"}


def _recognised(table: Sequence[str]) -> Recognised:
    """The words of tesseract's TSV, joined to lines and paragraphs.

    Columns: level (5 is a word), page, block, paragraph, line, word, left, top, width, height, confidence, text.
    """
    lines: dict[tuple[str, ...], list[tuple[float, str]]] = {}
    for row in table:
        cells = row.split("\t")
        if len(cells) >= 12 and cells[0] == "5" and cells[11].strip():
            lines.setdefault(tuple(cells[1:5]), []).append((float(cells[10]), cells[11].strip()))
    paragraphs: dict[tuple[str, ...], list[str]] = {}
    sure: list[float] = []
    for key, words in lines.items():
        if sum(confidence for confidence, _ in words) >= _DOUBTFUL * len(words):
            paragraphs.setdefault(key[:3], []).append(" ".join(word for _, word in words))
            sure.extend(confidence for confidence, _ in words)
    mean = sum(sure) / len(sure) if sure else 0.0
    return Recognised(tuple("\n".join(found) for found in paragraphs.values()), round(mean, 1))
