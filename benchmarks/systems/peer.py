"""What the peers of the ingestion benchmark have in common: their arguments, and what they say at the end.

A peer is a program of its own, run as: PROGRAM strings|files INPUT OUT MODEL SAMPLE. `strings`: INPUT is a JSON list of
what is to be embedded. `files`: INPUT is a JSON list of folders, read and cut by the peer's own defaults.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Done:
    """What a peer holds now: how many strings, and how it embeds (to see that it is the same model)."""

    strings: int
    embed: Callable[[Sequence[str]], Sequence[Sequence[float]]]


def main(way: Callable[[str, list[str], Path, str], Done], packages: Sequence[str]) -> None:
    """Do the work that the arguments name, by `way(kind, input, folder to save into, model)`."""
    kind, source, out, model, sample = sys.argv[1:]
    given: list[str] = json.loads(Path(source).read_text())
    folder = Path(out)
    folder.mkdir(parents=True)
    began = time.perf_counter()
    done = way(kind, given, folder, model)
    seconds = time.perf_counter() - began
    about = {"strings": done.strings, "seconds_inside": seconds, "versions": {each: version(each) for each in packages}}
    (folder / "about.json").write_text(json.dumps(about))
    if kind == "strings" and int(sample):
        vectors = [[float(value) for value in row] for row in done.embed(given[: int(sample)])]
        (folder / "vectors.json").write_text(json.dumps(vectors))
