"""Errors planted into sentences of real documentation are told by their kind; true rewordings are left alone.

500 sentences with a changed number, date, name, negation or unit, their originals, and 500 rewordings, each checked as
an answer against the passage of about 800 characters that it was taken from and two others. An answer is flagged when
one of its sentences is not "supported" by any passage.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import pytest

from ingest.clean import assemble
from ingest.languages.sentences import sentences
from ingest.parsers import parse
from ingest.sources import from_text
from ingest.types import Parsed
from rag.citations import cite
from rag.types import Citation, Hit, Passage
from tests.planting import PLANTS, WITH_AMOUNT, WITH_DATE, Rule, other_name, proper_names, with_fact
from tests.rewording import REWORDINGS

FOLDERS = ("docs-fastapi", "docs-ms-playbook", "docs-owasp-cheatsheets")
KINDS = ("number", "date", "name", "negation", "unit")
EACH = 100  # planted errors of a kind
REWORDED = {"contractions": 100, "short forms": 80, "numbers": 70, "dates": 60, "units": 70, "passive": 60, "order": 60}
FACTS = {"date": WITH_DATE, "dates": WITH_DATE, "unit": WITH_AMOUNT, "units": WITH_AMOUNT}
PASSAGE = 800  # characters


@dataclass(frozen=True)
class Found:
    """A sentence of a document, and the passage around it."""

    text: str
    passage: str


@dataclass(frozen=True)
class Changed:
    """A true sentence, what became of it, and the passages that it is checked against."""

    true: str
    new: str
    passages: tuple[Passage, ...]


@cache
def found_in(folder: Path) -> tuple[Found, ...]:
    """Sentences of six to forty words of the folder's Markdown files, as our parser reads them."""
    found = []
    for path in sorted(folder.rglob("*.md"))[::3]:
        source = from_text(path.read_text(), uri=f"upload:{path.name}")
        for text in (assemble(source, each).text for each in parse(source) if isinstance(each, Parsed)):
            spans = sentences(text)
            for i, (start, end) in enumerate(spans):
                sentence = text[start:end]
                plain = sentence.endswith(".") and sentence[0].isupper() and not set(sentence) & set("\n|<>{}=")
                if plain and 6 <= len(sentence.split()) <= 40:
                    found.append(Found(sentence, around(text, spans, i)))
    return tuple(found)


def around(text: str, spans: Sequence[tuple[int, int]], i: int) -> str:
    first = last = i
    while spans[last][1] - spans[first][0] < PASSAGE and (first > 0 or last + 1 < len(spans)):
        if first > 0:
            first -= 1
        if last + 1 < len(spans):
            last += 1
    return text[spans[first][0] : spans[last][1]]


def passage(text: str) -> Passage:
    return Passage(Hit(1, 1.0, {}), text, "", (), (), None, 0, len(text), 1)


def changed(
    pool: Sequence[Found], rules: Sequence[Rule], n: int, facts: Sequence[tuple[str, bool]] = ()
) -> list[Changed]:
    """The first n of the pool that a rule changes; where they do not suffice, with facts put into text and sentence."""
    told: list[Changed] = []
    for templates in ((), facts):
        for found in pool if len(told) < n and (facts or not templates) else ():
            random = Random(found.text)
            template = random.choice(templates) if templates else None
            true = with_fact(found.text, template) if template else found.text
            some = random.sample(rules, len(rules))
            new = next((new for rule in some if (new := rule(true, random)) is not None and new != true), None)
            if new and len(told) < n:
                texts = [found.passage.replace(found.text, true), *(random.choice(pool).passage for _ in range(2))]
                told.append(Changed(true, new, tuple(passage(text) for text in texts)))
        if not facts:
            break
    return told


def flagged(answer: str, passages: Sequence[Passage]) -> tuple[bool, set[str]]:
    """Whether a sentence of the answer is not supported, and the kinds of the reasons."""
    by_sentence: dict[int, list[Citation]] = defaultdict(list)
    for citation in cite(f"{answer} [1]", passages):
        by_sentence[citation.start].append(citation)
    wrong = [each for each in by_sentence.values() if all(citation.verdict != "supported" for citation in each)]
    return bool(wrong), {reason.kind for each in wrong for citation in each for reason in citation.reasons}


@pytest.fixture(scope="module")
def pool(shared_data: Path) -> list[Found]:
    found = [one for folder in FOLDERS for one in found_in(shared_data / folder)]
    Random(20261121).shuffle(found)
    return found


@pytest.fixture(scope="module")
def planted(pool: list[Found]) -> dict[str, list[Changed]]:
    rules: dict[str, Sequence[Rule]] = {**PLANTS, "name": (other_name(proper_names([one.text for one in pool])),)}
    return {kind: changed(pool, rules[kind], EACH, FACTS.get(kind, ())) for kind in KINDS}


@pytest.fixture(scope="module")
def reworded(pool: list[Found]) -> dict[str, list[Changed]]:
    return {kind: changed(pool, REWORDINGS[kind], n, FACTS.get(kind, ())) for kind, n in REWORDED.items()}


def share(cases: Sequence[Changed], holds: Callable[[Changed], bool]) -> float:
    return sum(map(holds, cases)) / len(cases)


@pytest.mark.parametrize("kind", KINDS)
def test_planted_errors_are_told_by_their_kind(planted: dict[str, list[Changed]], kind: str) -> None:
    cases = planted[kind]
    assert len(cases) == EACH
    missed = [(one.true, one.new) for one in cases if kind not in flagged(one.new, one.passages)[1]]
    assert len(missed) <= 0.05 * EACH, missed


def test_the_true_sentences_are_not_flagged(planted: dict[str, list[Changed]]) -> None:
    cases = [one for kind in KINDS for one in planted[kind]]
    wrong = [one.true for one in cases if flagged(one.true, one.passages)[0]]
    assert len(wrong) <= 0.01 * len(cases), wrong


@pytest.mark.parametrize("kind", REWORDED)
def test_true_rewordings_are_not_flagged(reworded: dict[str, list[Changed]], kind: str) -> None:
    cases = reworded[kind]
    assert len(cases) >= 0.6 * REWORDED[kind]
    wrong = [(one.true, one.new) for one in cases if flagged(one.new, one.passages)[0]]
    assert len(wrong) <= 0.05 * len(cases), wrong


@pytest.mark.parametrize("kind", KINDS)
def test_the_rules_change_what_they_say(planted: dict[str, list[Changed]], kind: str) -> None:
    """Each plant leaves most of the sentence as it was, and the passage has the true sentence and not the new one."""
    for one in planted[kind]:
        assert one.true in one.passages[0].text
        assert one.new not in one.passages[0].text
        kept, words = set(one.new.split()) & set(one.true.split()), set(one.true.split())
        assert len(words - kept) <= 3, (one.true, one.new)
