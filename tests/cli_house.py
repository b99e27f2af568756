"""A small installation on the command line: three documents, the hashing embedder, the extractive generator."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from rag.cli import run

TEXTS = {
    "bridges.md": (
        "# Bridges\n\nThe Golden Gate Bridge was opened in 1937. Its main span measures 1,280 metres.\n\n"
        "## Paint\n\nThe bridge is painted in a colour called international orange.\n"
    ),
    "volcanoes.txt": (
        "Volcanoes of Italy\n\nMount Etna is the tallest active volcano in Europe. It stands on Sicily.\n\n"
        "Vesuvius destroyed Pompeii in the year 79.\n"
    ),
    "tea.html": (
        "<html><head><title>Tea</title></head><body><h1>Tea</h1><p>Green tea is brewed at 80 degrees. "
        "Black tea wants boiling water.</p></body></html>"
    ),
}


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        """The one object that was printed; anything else on standard output is an error."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These RAG_ variables and no others."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("RAG_")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True)
class House:
    """A data folder and the command line on it."""

    folder: Path  # holds data/ and docs/
    models: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def docs(self) -> Path:
        return self.folder / "docs"

    @property
    def variables(self) -> dict[str, str]:
        return {
            "RAG_DATA": str(self.data),
            "RAG_MODELS": str(self.models),
            "RAG_EMBEDDER": "hashing:256",
            "RAG_GENERATOR": "extractive",
        }

    def __call__(self, *arguments: str, **variables: str) -> Result:
        """Run `rag …` in this process."""
        out, err = io.StringIO(), io.StringIO()
        with environment(self.variables | variables), redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
        return Result(code, out.getvalue(), err.getvalue())


def build(folder: Path, texts: Mapping[str, str] = TEXTS) -> House:
    """A house whose documents are written but not taken in yet."""
    house = House(folder, folder / "models")
    house.docs.mkdir(parents=True)
    for name, text in texts.items():
        (house.docs / name).write_text(text, encoding="utf-8")
    return house
