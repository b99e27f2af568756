"""Experiments: a file of configurations, and what came of each, held against the first; pure but for the file.

The file is TOML: one table a configuration, by its name, with the settings in which it differs. The first is what the
others are compared with; an empty table is the installation as it is.

    [now]
    [keywords]
    mode = "keyword"
    [fewer]
    passages = 4
    alpha = 0.7
"""

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from rag.config import Settings, overruled
from rag.errors import WrongUsage
from rag.evaluation.significance import Difference, Mean, holm, mean, paired
from rag.store.experiments import Answered, Configured
from rag.types import Example, MetadataValue

SETTINGS = (  # what a configuration may set
    "collection",
    "mode",
    "fusion",
    "alpha",
    "rrf_k",
    "depth",
    "reranker",
    "rerank_depth",
    "diversify",
    "per_document",
    "neighbours",
    "passages",
    "generator",
    "fallback",
    "prompt_template",
    "grounded_decoding",
    "strict",
    "abstain",
    "abstain_threshold",
    "max_answer_tokens",
    "temperature",
    "top_p",
    "seed",
)
MOST = 20  # configurations
NAME_LENGTH = 60
LATENCY = "total_ms"


# ── what is tried ───────────────────────────────────────────────────────────────────────────────────────────────────


def read(path: Path, settings: Settings) -> tuple[Configured, ...]:
    """The configurations of a file, in its order. Raises WrongUsage, WrongSetting, naming the table, the key and what
    could stand there."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUsage(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{path} is not TOML: {error}") from error
    return configurations(told, settings, str(path))


def configurations(told: Mapping[str, object], settings: Settings, where: str) -> tuple[Configured, ...]:
    """The configurations that some tables mean; `where` is what errors call them."""
    if len(told) < 2:
        raise WrongUsage(f"{where}: an experiment needs two configurations at least; write one table each: [name]")
    if len(told) > MOST:
        raise WrongUsage(f"{where}: {len(told)} configurations; at most {MOST} are compared at once")
    found = []
    for name, table in told.items():
        if not isinstance(table, dict):
            raise WrongUsage(f"{where}: {name!r} stands outside of a table; write it below the [name] it belongs to")
        check_name(name, where)
        found.append(configuration(name, table, settings, f"{where}, [{name}]"))
    return tuple(found)


def configuration(name: str, told: Mapping[str, object], settings: Settings, where: str) -> Configured:
    """One configuration, its values checked like all settings."""
    for key in told:
        if key not in SETTINGS:
            near = difflib.get_close_matches(key, SETTINGS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise WrongUsage(f"{where}: {key!r} cannot be set here; {hint}there are: {', '.join(SETTINGS)}")
    fitted = overruled(settings, told, where)
    return Configured(name, {key: getattr(fitted, key) for key in told})


def check_name(name: str, where: str) -> None:
    """Raise WrongUsage for what cannot name a configuration."""
    if not name.strip() or name != name.strip() or len(name) > NAME_LENGTH or not name.isprintable():
        raise WrongUsage(f"{where}: {name!r} cannot name a configuration: 1 to {NAME_LENGTH} printable characters")


def digest_of(examples: Sequence[Example]) -> str:
    """Of questions, gold answers and judgements, in whatever order: 32 hexadecimal digits (BLAKE2b)."""
    rows = sorted([one.id, one.question, list(one.answers), sorted(one.relevant.items())] for one in examples)
    return blake2b(json.dumps(rows, separators=(",", ":")).encode(), digest_size=16).hexdigest()


def examples_of(path: Path) -> list[Example]:
    """The questions of a file: one a line, or as JSON Lines objects with `question` (or `text`), and if they have them
    `id` (or `_id`), `answers` (texts) and `relevant` (external id → grade). Raises WrongUsage naming the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            structured = path.suffix.lower() in (".jsonl", ".json", ".ndjson")
            found.append(_example(line, number, path) if structured else Example(str(number), line.strip()))
    if not found:
        raise WrongUsage(f"{path} holds no question")
    if len({one.id for one in found}) < len(found):
        raise WrongUsage(f"{path} holds two questions with one id")
    return found


def _example(line: str, number: int, path: Path) -> Example:
    where = f"{path}, line {number}"
    try:
        told = json.loads(line)
    except ValueError as error:
        raise WrongUsage(f"{where}: this is not JSON: {error}") from error
    if not isinstance(told, dict):
        raise WrongUsage(f"{where}: expected an object with `question`")
    question, key = told.get("question", told.get("text")), told.get("id", told.get("_id", number))
    answers, relevant = told.get("answers", []), told.get("relevant", {})
    if not isinstance(question, str) or not question.strip():
        raise WrongUsage(f"{where}: expected an object with `question`, a text")
    if not isinstance(answers, list) or not all(isinstance(each, str) for each in answers):
        raise WrongUsage(f"{where}: `answers` is a list of texts")
    if not isinstance(relevant, dict) or not all(isinstance(grade, int) for grade in relevant.values()):
        raise WrongUsage(f"{where}: `relevant` holds external ids with whole grades")
    return Example(str(key), question, tuple(answers), {str(name): grade for name, grade in relevant.items()})


# ── what came of it ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one configuration."""

    mean: Mean | None  # over the questions it applies to; None where there are none
    n: int
    against: Difference | None  # to the first configuration, over the questions that both have a value for
    p_holm: float | None  # corrected for the number of comparisons of this metric; None where there is one


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration."""

    configured: Configured
    asked: int
    failed: int
    abstained: int
    cells: Mapping[str, Cell]  # by metric


def table(configured: Sequence[Configured], answers: Sequence[Answered]) -> list[Row]:
    """Each configuration's means, and how it differs from the first on the same questions: paired, with 95 %
    bootstrap intervals and p-values of a randomisation test."""
    names = [*dict.fromkeys(name for each in answers for name in each.values if name != "abstained"), LATENCY]
    by: dict[int, dict[int, Answered]] = {}
    for each in answers:
        by.setdefault(each.configuration, {})[each.number] = each
    columns = {
        (place, name): _values(by.get(place, {}), name) for place in range(1, len(configured) + 1) for name in names
    }
    cells: dict[int, dict[str, Cell]] = {place: {} for place in range(1, len(configured) + 1)}
    for name in names:
        first = columns[1, name]
        found: list[tuple[int, Difference]] = []
        for place in range(1, len(configured) + 1):
            values = columns[place, name]
            both = [number for number in values if number in first] if place > 1 else []
            differs = paired([first[n] for n in both], [values[n] for n in both]) if both else None
            cells[place][name] = Cell(mean(list(values.values())), len(values), differs, None)
            if differs is not None:
                found.append((place, differs))
        if len(found) > 1:
            corrected = holm([differs.p for _, differs in found])
            for (place, _), p in zip(found, corrected, strict=True):
                cell = cells[place][name]
                cells[place][name] = Cell(cell.mean, cell.n, cell.against, p)
    return [
        Row(
            each,
            len(by.get(place, {})),
            sum(one.error is not None for one in by.get(place, {}).values()),
            sum(one.values.get("abstained") == 1 for one in by.get(place, {}).values()),
            cells[place],
        )
        for place, each in enumerate(configured, 1)
    ]


def _values(answers: Mapping[int, Answered], name: str) -> dict[int, float]:
    """A metric by question, where it applies; the time of those that did not fail."""
    if name == LATENCY:
        return {number: each.total_ms for number, each in answers.items() if each.error is None}
    found = {number: each.values.get(name) for number, each in answers.items()}
    return {number: value for number, value in found.items() if value is not None}


def shown(value: MetadataValue) -> str:
    """A setting's value in a line."""
    return "–" if value is None or value == "" else str(value)
