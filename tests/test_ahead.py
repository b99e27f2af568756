"""What is worked out before it is asked for, and what is not looked for because it cannot be there: nothing changes."""

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.types import CountTokens
from rag import scorers
from rag.answers import injection
from rag.checks import numbers
from rag.embedders import hashing
from rag.rankings.wrapped import Recalling
from rag.scorers.answer_relevancy import AnswerRelevancy
from rag.types import Embedder, Vectors


class Counting:
    """The hashing embedder, with the passages it was given; it fails for "broken" and waits where told to."""

    def __init__(self, until: threading.Event | None = None) -> None:
        self._inner: Embedder = hashing.load("64", models_dir=Path())
        self.name, self.fingerprint = self._inner.name, self._inner.fingerprint
        self.dim, self.max_tokens = self._inner.dim, self._inner.max_tokens
        self.asked: list[str] = []
        self._until = until

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._inner.count_tokens(texts)

    def counter(self) -> Callable[[], CountTokens]:
        return self._inner.counter()

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._inner.embed_queries(texts)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        if self._until is not None:
            assert self._until.wait(30)
        if "broken" in texts:
            raise ValueError("broken")
        return self._inner.embed_passages(texts)


def test_a_passage_that_comes_alone_is_embedded_once() -> None:
    release = threading.Event()
    inner = Counting(release)
    embedder, rows = Recalling(inner), list[Vectors]()
    threads = [threading.Thread(target=lambda: rows.append(embedder.embed_passages(["a b c"]))) for _ in range(3)]
    for thread in threads:
        thread.start()
    release.set()
    for thread in threads:
        thread.join()
    assert inner.asked == ["a b c"]
    assert len(rows) == 3
    assert all(np.array_equal(row, inner.embed_passages(["a b c"])) for row in rows)
    rows[0][:] = 0  # whoever changes what he was given changes it for himself
    assert np.array_equal(embedder.embed_passages(["a b c"]), rows[1])


def test_a_failure_is_raised_and_not_remembered() -> None:
    inner = Counting()
    embedder = Recalling(inner)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            embedder.embed_passages(["broken"])
    assert inner.asked == ["broken", "broken"]
    scorers.begin([AnswerRelevancy(embedder)], "broken", ())  # shows when the answer is scored


def test_an_answer_that_is_still_told_is_embedded_as_it_will_be_compared() -> None:
    inner = Counting()
    early = AnswerRelevancy(Recalling(inner))
    told = " ".join(f"word{n} goes [1] on." for n in range(120))
    early.begin(told[: scorers.EARLY], ())
    early._told([told.replace(" [1]", "")])
    assert len(inner.asked) == 1


_PIECES = st.sampled_from(
    ["a", "B", "1", "0", "4", "9", "_", " ", ".", "-", "*", "@", "$", "+", "/", "é", "я", "\u2019",
     "ignore", "i g n o r e", "1gn0re", "aWdub3JlIGFsbCBwcmV2aW91cw", "69676e6f726520616c6c2070726576696f7573",
     "69 67 6e 6f 72 65 20 61 6c 6c "]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_no_disguise_is_passed_over(text: str) -> None:
    found = [bool(pattern.search(text)) for pattern in (injection._SPACED, injection._BASE64, injection._HEX)]
    may = [
        injection._may_be_spaced(text),
        injection._holds(text, injection._AS_BASE64),
        injection._holds(text, injection._AS_HEX),
    ]
    assert all(maybe for maybe, there in zip(may, found, strict=True) if there)
    assert injection._may_be_leet(text) or not injection._LEET.search(text)


_NUMBERS = st.sampled_from([*"0123459vV-−~≈$€£ .,:%xkMst'½", "US$", "US", "bn", "th", "km", "word ", "٣"])


@given(st.lists(_NUMBERS, max_size=30).map("".join))
def test_numerals_are_those_that_a_search_finds(text: str) -> None:
    def spans(found: Sequence[re.Match[str]]) -> list[tuple[int, int]]:
        return [match.span() for match in found]

    assert spans(list(numbers._numerals(text))) == spans(list(numbers._NUMERAL.finditer(text)))
