"""The retrieval benchmark measures what it says: its corpus, its truth, its clock and its table."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NAMES = ("measuring", "watching", "peers", "corpora", "retrieval", "reporting", "system")


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """Its modules, at the end of the import path: one there is called as a package of ours."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCHMARKS), str(BENCHMARKS / "systems" / "retrieval")])
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    from importlib import import_module

    yield {name: import_module(name) for name in NAMES}
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def unit(count: int, dim: int = 16) -> np.ndarray:
    rows = np.random.default_rng(0).standard_normal((count, dim)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_a_smaller_corpus_is_the_beginning_of_a_larger_one(benchmarks: dict[str, ModuleType]) -> None:
    corpora = benchmarks["corpora"]
    texts = [f"Sentence one of {number}. Sentence two of {number}." for number in range(20)]
    real = corpora.Real([f"Title {number}" for number in range(20)], texts, unit(20))
    small, large = list(corpora.rows(real, 30)), list(corpora.rows(real, 90))
    for (title, text, vector), (other_title, other_text, other_vector) in zip(small, large, strict=False):
        assert (title, text) == (other_title, other_text)
        assert (vector == other_vector).all()
    vectors = np.stack([row[2] for row in large])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(np.unique(vectors, axis=0)) == 90
    assert {text for _, text, _ in large[:20]} == set(texts)
    real_sentences = {sentence for text in texts for sentence in corpora.SENTENCE.split(text)}
    for _, text, _ in large[20:]:
        assert set(corpora.SENTENCE.split(text)) <= real_sentences
    assert len({(title, text) for title, text, _ in large}) == 90


def test_the_truth_is_what_comparing_all_finds_among_what_passes(
    benchmarks: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrieval, system = benchmarks["retrieval"], benchmarks["system"]
    monkeypatch.setattr(retrieval, "BLOCK", 700)
    (tmp_path / "2k").mkdir()
    vectors, queries = unit(2_000), unit(2_007)[2_000:]
    np.save(tmp_path / "2k" / "vectors.npy", vectors)
    np.save(tmp_path / "queries.npy", queries)
    retrieval.truth(tmp_path / "2k")
    found = np.load(tmp_path / "2k" / "truth.npz")
    for name, where in system.WHERES.items():
        passing = [
            number for number in range(1, 2_001) if where is None or system.metadata(number)[where[0]] == where[1]
        ]
        for query, ids in zip(queries, found[name or "all"], strict=True):
            scores = vectors[np.array(passing) - 1] @ query
            exact = {passing[place] for place in np.argsort(-scores)[:10]}
            assert set(ids.tolist()) == exact


def test_what_does_not_pass_a_filter_stops_the_benchmark(benchmarks: dict[str, ModuleType]) -> None:
    system = benchmarks["system"]
    vectors, texts = unit(40), [f"question {number}" for number in range(40)]
    exact = np.tile(np.arange(1, 11), (40, 1))

    def arm(text: str, vector: np.ndarray, where: object) -> list[object]:
        return [system.Hit(number, "text") for number in (*range(1, 6), *range(101, 106))]

    order = system.spread(40)
    figures = system.timed(arm, None, texts, vectors, order, exact, 10.0)
    assert figures["recall"] == 0.5
    assert figures["questions"] == 40
    assert figures["fewer_than_k"] == 0
    with pytest.raises(SystemExit, match="does not pass the filter"):
        system.timed(arm, ("half", 1), texts, vectors, order, None, 10.0)


def test_the_table_says_what_is_missing_and_what_failed(benchmarks: dict[str, ModuleType]) -> None:
    reporting = benchmarks["reporting"]
    arm = {"p50_ms": 2.0, "p99_ms": 4.0, "recall": 0.99}
    kinds = [f"{kind}{tail}" for kind in ("vector", "keyword", "hybrid") for tail in ("", " half", " hundredth")]

    def asked(p50: float) -> dict[str, object]:
        arms = {kind: arm | {"p50_ms": p50} for kind in kinds}
        return {
            "arms": arms,
            "peak_mb": 100.0,
            "delete_and_search_s": 0.01,
            "delete_s": 0.01,
            "found_though_deleted": 0,
        }

    taken = {"chunks_per_s": 5000.0, "disk_bytes": 2**20, "peak_mb": 50.0}
    systems = {
        "ours": {"ingest": taken, "search": asked(2.0), "turns": {"rounds_p50_ms": [1.0, 2.0, 4.0]}},
        "floor": {"ingest": taken, "search": asked(1.0), "turns": {"rounds_p50_ms": [0.5, 1.0, 3.5]}},
        "lancedb": {"ingest": taken, "search": asked(9.0), "turns": {"rounds_p50_ms": [5.0, 10.0, 16.0]}},
        "chroma": {"ingest": taken, "search": asked(1.0) | {"arms": dict.fromkeys(kinds) | {"vector": arm}}},
        "txtai": {"ingest": taken, "failed": "search: not done within 30 min"},
        "haystack": {"failed": "not tried: it did not finish a smaller size"},
    }
    text = reporting.table(json.loads(json.dumps(systems)), {"chunks": 20_000, "real": 12_000})
    rows = {line.split(" | ")[0].strip("| *"): line for line in text.splitlines() if line.startswith("| ")}
    assert "12,000 of them real" in text
    assert "2.0 ms for ours and 10.0 ms for LanceDB, the fastest hybrid peer: 0.20 of it (0.20 to 0.25" in text
    assert "Over the floor it is +0.5 ms (+0.5 to +1.0)" in text
    assert "not done within 30 min" in rows["txtai"]
    assert "did not finish a smaller size" in rows["Haystack, in memory"]
    assert rows["Chroma"].count("–") >= 5
    assert len({line.count("|") for line in rows.values()}) == 1
