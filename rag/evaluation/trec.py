"""TREC run files, out and in: `query Q0 document rank score tag`, one line a document, best first.

Scores are written so that they read back as the same number: a run that went out and came in has the same metrics.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from rag.errors import WrongUsage
from rag.evaluation.metrics import Scored, ranked

FIELDS = 6
LARGEST = 3.4e38  # metrics compare scores in single precision, as trec_eval does
BLANKS = "\t\n\v\f\r "  # what separates fields; other blanks are letters of a name


@dataclass(frozen=True, slots=True)
class RunFile:
    """A run as it was read."""

    tag: str
    rankings: Mapping[str, Scored]  # query → document → score


def lines(rankings: Mapping[str, Scored], tag: str) -> Iterator[str]:
    """The lines of a run, queries as they come, each one's documents in trec_eval's order. Raises WrongUsage for an id
    with blanks, which the format cannot hold."""
    tag = "-".join(tag.split()) or "rag"
    for query, scored in rankings.items():
        _check("query", query)
        for rank, document in enumerate(ranked(scored), 1):
            _check("document", document)
            yield f"{query} Q0 {document} {rank} {float(scored[document])!r} {tag}"


def _check(what: str, name: str) -> None:
    if not name or any(blank in name for blank in BLANKS):
        raise WrongUsage(f"the {what} id {name!r} is empty or holds blanks, which a TREC run file cannot say")


def write(path: Path, rankings: Mapping[str, Scored], tag: str) -> None:
    """Write a run file. Raises WrongUsage where that is not possible, and leaves no half of one."""
    text = "".join(f"{line}\n" for line in lines(rankings, tag))
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise WrongUsage(f"{path} cannot be written: {error.strerror}") from error


def read(path: Path) -> RunFile:
    """Read a run file. Ranks are not believed, scores are. Raises WrongUsage naming the line that does not fit."""
    try:
        with path.open("rb") as file:
            return parse(file, str(path))
    except OSError as error:
        raise WrongUsage(f"{path} cannot be read: {error.strerror}") from error


def parse(content: Iterable[bytes], name: str) -> RunFile:
    """The run in these lines; `name` is what errors call it."""
    rankings: dict[str, dict[str, float]] = {}
    tag = ""
    for number, line in enumerate(content, 1):
        fields = line.split()  # bytes: at ASCII blanks only
        if not fields:
            continue
        place = f"{name}, line {number}"
        if len(fields) != FIELDS:
            raise WrongUsage(f"{place}: expected query Q0 document rank score tag, found {len(fields)} fields")
        try:
            query, _, document, _, written, tag = (field.decode("utf-8") for field in fields)
            score = float(written)
        except UnicodeDecodeError as error:
            raise WrongUsage(f"{place}: this is not UTF-8") from error
        except ValueError as error:
            raise WrongUsage(f"{place}: the score {written!r} is no number") from error
        if not isfinite(score) or abs(score) > LARGEST:
            raise WrongUsage(f"{place}: the score {written!r} is no finite number of single precision")
        if "\x00" in query + document + tag:
            raise WrongUsage(f"{place}: there is a NUL character in it")
        if document in rankings.setdefault(query, {}):
            raise WrongUsage(f"{place}: the document {document!r} was ranked for the query {query!r} before")
        rankings[query][document] = score
    if not rankings:
        raise WrongUsage(f"{name} holds no lines of a run")
    return RunFile(tag, rankings)
