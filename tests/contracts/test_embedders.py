"""What every embedder keeps: unit rows in order, the same vector for the same text, nothing cut silently."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.embedders import load
from rag.types import Embedder

MODELS = (
    "hashing:256",
    "sentence_transformers:all-MiniLM-L6-v2",
    "sentence_transformers:all-MiniLM-L6-v2?precision=int8",
)
TEXTS = [
    "The cat sat on the mat.",
    "Interest rates rose again in March, the central bank said.",
    "",
    "On the mat sat the cat, still.",
    "vectors " * 200,
    "naïve café, 東京, Ελλάδα",
    "The cat sat on the mat.",
]
ODDITIES = [
    "",
    " \t\r\n ",
    "\x00",
    "a\x00b",
    "\ud800 a lone surrogate \udfff",
    "\ufffd\ufeff\u200b",
    "👩‍👩‍👧‍👦 🇫🇷",
    "e\u0301" * 40,
    "שלום עולם مرحبا بالعالم",
    "ไทยไม่มีช่องว่าง",
    "日本語の文章。" * 20,
    "x" * 5_000,
    "\U0010ffff\U000e0001",
]


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def embedder(model: str, models_dir: Path) -> Embedder:
    return load(model, models_dir=models_dir)


def test_rows_are_units_in_the_texts_order(embedder: Embedder) -> None:
    for rows in (embedder.embed_queries(TEXTS), embedder.embed_passages(TEXTS)):
        assert rows.shape == (len(TEXTS), embedder.dim)
        assert rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows.astype(np.float64), axis=1), 1, atol=1e-6)
    reverse = embedder.embed_queries(TEXTS[::-1])
    assert np.array_equal(embedder.embed_queries(TEXTS), reverse[::-1])


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed_queries([]).shape == (0, embedder.dim)
    assert embedder.embed_passages([]).shape == (0, embedder.dim)
    assert embedder.count_tokens([]) == []


def test_likeness_shows(embedder: Embedder) -> None:
    cat, rates, _, other_cat, *_ = embedder.embed_passages(TEXTS)
    assert cat @ other_cat > cat @ rates + 0.05


def test_a_text_has_one_vector_whatever_stands_beside_it(embedder: Embedder) -> None:
    texts = TEXTS * 7 + [f"number {n} " * (n % 60 + 1) for n in range(90)]
    together = embedder.embed_passages(texts)
    for text, row in zip(texts, together, strict=True):
        assert np.array_equal(row, embedder.embed_passages([text])[0])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(max_size=80), min_size=1, max_size=9), data=st.data())
def test_a_text_has_one_vector_for_any_texts(embedder: Embedder, texts: list[str], data: st.DataObject) -> None:
    rows = embedder.embed_queries(texts)
    index = data.draw(st.integers(0, len(texts) - 1))
    assert np.array_equal(rows[index], embedder.embed_queries([texts[index]])[0])


def test_threads_and_loading_again_change_nothing(embedder: Embedder, model: str, models_dir: Path) -> None:
    for threads in (1, 2):
        again = load(model, models_dir=models_dir, threads=threads)
        assert (again.name, again.fingerprint, again.dim) == (embedder.name, embedder.fingerprint, embedder.dim)
        assert np.array_equal(again.embed_queries(TEXTS * 3), embedder.embed_queries(TEXTS * 3))


def test_fingerprints_tell_embedders_apart(models_dir: Path) -> None:
    loaded = [load(model, models_dir=models_dir) for model in (*MODELS, "hashing:128")]
    assert len({each.fingerprint for each in loaded}) == len(loaded)
    assert len({each.name for each in loaded}) == len(loaded)


def test_odd_text_is_embedded_too(embedder: Embedder) -> None:
    rows = embedder.embed_queries(ODDITIES)
    assert np.isfinite(rows).all()
    assert np.allclose(np.linalg.norm(rows.astype(np.float64), axis=1), 1, atol=1e-6)
    assert all(count >= 2 for count in embedder.count_tokens(ODDITIES))


def test_tokens_are_counted_to_the_end(embedder: Embedder) -> None:
    few, many = embedder.count_tokens(["word " * 10, "word " * 10_000])
    assert (few, many) == (12, 10_002)


def test_a_passage_is_embedded_whole_or_refused(embedder: Embedder) -> None:
    words = embedder.max_tokens - 2
    assert embedder.embed_passages(["word " * words]).shape == (1, embedder.dim)
    with pytest.raises(ValueError, match=f"passage 1 has {embedder.max_tokens + 1} tokens"):
        embedder.embed_passages(["short", "word " * (words + 1)])


def test_a_long_query_is_no_error(embedder: Embedder) -> None:
    assert np.isfinite(embedder.embed_queries(["word " * 3_000])).all()
