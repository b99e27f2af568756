"""Files made to do harm, each among twenty good ones: the good ones are read, the others do no harm or say why not.

Most of what stands in tests/hostile never comes as far as the limits of a process: its parser refuses it. The limits
are for the rest, and for what nobody thought of. That they hold is shown by a file that passes where there are none.
"""

import re
from functools import cache
from pathlib import Path

import pytest

from ingest.errors import TooLarge
from ingest.reading.limits import Limits
from ingest.reading.pool import Pool, Result
from ingest.reading.prepare import Prepared, Task
from ingest.types import Chunk
from tests.hostile import HOSTILE, Hostile
from tests.pool_work import words
from tests.samples import first
from tests.samples.sample import PHRASES, Sample

LIMITS = Limits(memory_mb=256, seconds=1.5, characters=20_000_000, documents=2_000)
MAX_BYTES = 20 << 20
TOGETHER = 16  # hostile files in one run
GROUPS = [HOSTILE[start : start + TOGETHER] for start in range(0, len(HOSTILE), TOGETHER)]


@cache
def good() -> list[Sample]:
    """Twenty whole files of seven formats."""
    found = [sample for samples in first.SAMPLES.values() for sample in samples]
    return [found[number % len(found)] for number in range(20)]


def made(folder: Path, group: list[Hostile]) -> tuple[list[Task], dict[str, Hostile], dict[str, Sample]]:
    """Every hostile file and twenty good ones in a folder, mixed, with what is to be expected under each address."""
    hostile: dict[str, Hostile] = {}
    whole: dict[str, Sample] = {}
    work: list[Task] = []
    for number in range(max(len(group), len(good()))):
        place = folder / str(number)
        place.mkdir()
        if number < len(group):
            path = place / group[number].name
            group[number].make(path)
            work.append(Task(path.absolute().as_uri(), path=path, max_bytes=MAX_BYTES))
            hostile[work[-1].uri] = group[number]
        if number < len(good()):
            path = place / f"good-{good()[number].name}"
            path.write_bytes(good()[number].content)
            work.append(Task(path.absolute().as_uri(), path=path, max_bytes=MAX_BYTES))
            whole[work[-1].uri] = good()[number]
    return work, hostile, whole


def taken(result: Result) -> tuple[list[Prepared], list[str]]:
    """Documents, and reasons why there are no more."""
    items = list(result.items)
    failed = [item.reason for item in items if not isinstance(item, Prepared)]
    return [item for item in items if isinstance(item, Prepared)], failed + [str(result.error)] * bool(result.error)


def wrong_with_good(sample: Sample, documents: list[Prepared], reasons: list[str]) -> str:
    text = " ".join(" ".join(f"{each.document.title}\n{each.document.text}" for each in documents).split())
    if reasons or len(documents) != sample.documents or not all(phrase in text for phrase in PHRASES):
        return f"{sample.name}: {len(documents)} documents, {reasons}"
    return ""


def wrong_with_hostile(case: Hostile, uri: str, documents: list[Prepared], reasons: list[str]) -> str:
    ended = "refused" if not documents else "partly" if reasons else "read"
    unnamed = [reason for reason in reasons if not named(reason, case, uri) or "; " not in reason]
    leaked = [each.document.uri for each in documents if "root:x:0:0" in each.document.text]
    torn = [each.document.uri for each in documents if not all(exact(each, chunk) for chunk in each.chunks)]
    said = not case.says or ended == "read" or any(re.search(case.says, reason) for reason in reasons)
    if case.ends not in ("any", ended) or (ended == "refused" and not reasons) or unnamed or leaked or torn or not said:
        return f"{case.name!r}: {ended}, not {case.ends}; {reasons[:3]} {unnamed[:3]} {leaked} {torn}"
    return ""


def named(reason: str, case: Hostile, uri: str) -> bool:
    return reason.startswith(uri) or f"/{case.name}: " in reason


def exact(each: Prepared, chunk: Chunk) -> bool:
    return chunk.text == each.document.text[chunk.start : chunk.end] != ""


def test_there_are_enough_of_them() -> None:
    assert len({case.name for case in HOSTILE}) == len(HOSTILE) >= 80


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0].name)
def test_hostile_files_harm_nobody(group: list[Hostile], tmp_path: Path) -> None:
    work, hostile, whole = made(tmp_path, group)
    wrong: list[str] = []
    ended: list[str] = []
    with Pool(words, processes=2, limits=LIMITS) as pool:
        for result in pool.run(work):
            uri = result.task.uri
            ended.append(uri)
            if uri in whole:
                wrong.append(wrong_with_good(whole[uri], *taken(result)))
            else:
                wrong.append(wrong_with_hostile(hostile[uri], uri, *taken(result)))
    assert not list(filter(None, wrong))
    assert ended == [task.uri for task in work]
    assert len(whole) == 20
    assert 0 < pool.peak_bytes <= LIMITS.memory_mb << 20


def test_without_limits_the_harness_shows_what_they_hold_back(tmp_path: Path) -> None:
    """The fault is real: the same file takes far more memory where it may."""
    (case,) = (case for case in HOSTILE if case.name == "swelling.pdf")
    case.make(tmp_path / case.name)
    work = [Task("file:///swelling.pdf", path=tmp_path / case.name, max_bytes=MAX_BYTES)]
    with Pool(words, processes=1, limits=Limits(memory_mb=8192)) as pool:
        (reasons,) = (taken(result)[1] for result in pool.run(work))
    assert "parse_memory_mb" not in reasons[0]
    assert pool.peak_bytes > 2 * LIMITS.memory_mb << 20
    with Pool(words, processes=1, limits=LIMITS) as pool:
        (error,) = (list(result.items) or result.error for result in pool.run(work))
    assert isinstance(error, TooLarge)
    assert "more than 256 MB" in str(error)
    assert pool.peak_bytes <= LIMITS.memory_mb << 20


def test_without_limits_of_time_and_output_more_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": "Tide number {number}."}}\n' for number in range(300)))
    expected = {
        Limits(): (range(300, 301), ""),
        Limits(documents=20): (range(20, 21), "documents"),
        Limits(characters=900): (range(20, 60), "characters"),
    }
    for limits, (counts, said) in expected.items():
        with Pool(words, processes=1, limits=limits) as pool:
            ((documents, reasons),) = map(taken, pool.run([Task("a:b", path=path, max_bytes=MAX_BYTES)]))
        assert len(documents) in counts
        assert [f"parse_{said}" in reason for reason in reasons] == [True] * bool(said)
