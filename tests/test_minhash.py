"""Signatures estimate the Jaccard similarity without bias, bands find what they promise, and what is found is true."""

import multiprocessing
import random
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.minhash import (
    BINS,
    RECALL,
    SIGNATURE_BYTES,
    NearIndex,
    band_keys,
    band_shape,
    bands,
    estimate,
    estimates,
    least_estimate,
    near,
    signature,
    signatures,
    text_signature,
)
from ingest.shingles import Shingles, jaccard, shingle_sets, shingles

TEXT = "The quick brown fox jumps over the lazy dog and runs away"


def two_sets(shared: int, only: int, seed: int) -> tuple[Shingles, Shingles]:
    """Two random sets with `shared` common elements and `only` of their own each."""
    values = np.random.default_rng(seed).integers(0, 2**64, size=shared + 2 * only, dtype=np.uint64)
    return np.sort(values[: shared + only]), np.sort(np.concatenate((values[:shared], values[shared + only :])))


def planted(count: int, seed: int) -> list[str]:
    """Texts of 20…200 words, every second one a copy of an earlier one with some words changed."""
    choose = random.Random(seed)
    words = [f"w{i}" for i in range(3_000)]
    texts: list[str] = []
    for number in range(count):
        if number % 2 and number > 1:
            copy = texts[choose.randrange(number)].split()
            for _ in range(choose.randrange(1 + len(copy) // 12)):
                copy[choose.randrange(len(copy))] = choose.choice(words)
            texts.append(" ".join(copy))
        else:
            texts.append(" ".join(choose.choices(words, k=choose.randrange(20, 200))))
    return texts


def pairs_by_brute_force(sets: list[Shingles], threshold: float) -> dict[tuple[int, int], float]:
    return {
        (i, j): similarity
        for j in range(len(sets))
        for i in range(j)
        if (similarity := jaccard(sets[i], sets[j])) >= threshold
    }


def test_the_signature_is_frozen() -> None:
    """Signatures are kept in databases: another value here means that every one of them must be made again."""
    made = text_signature(TEXT)
    assert len(made) == SIGNATURE_BYTES == 2 * BINS
    assert blake2b(made, digest_size=8).hexdigest() == "35bd824f46774793"
    assert bands(made, 0.9) == [
        -5494408914219554427,
        -4539111184869734749,
        657772759889742787,
        -260305976893015013,
        -5338878275693784679,
    ]


def test_single_batch_and_child_process_agree() -> None:
    texts = [TEXT, "", "one two", TEXT * 400, "今天天气很好，我们打算周六和家人一起去海边"] * 70
    single = [signature(shingles(text)) for text in texts]
    assert signatures(texts) == single
    assert [text_signature(text) for text in texts[:5]] == single[:5]
    assert signatures([]) == []
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(text_signature, texts[:5]) == single[:5]


@pytest.mark.parametrize(("shared", "only"), [(7, 3), (1, 1), (60, 20), (300, 100), (4_000, 500), (100, 300)])
def test_the_estimate_is_unbiased(shared: int, only: int) -> None:
    """Mean and spread over 400 random pairs of sets, from fewer elements than bins to many more."""
    true = shared / (shared + 2 * only)
    found = []
    for seed in range(400):
        one, other = two_sets(shared, only, seed)
        assert jaccard(one, other) == pytest.approx(true)
        found.append(estimate(signature(one), signature(other)))
    deviation = (true * (1 - true) / BINS) ** 0.5
    assert abs(float(np.mean(found)) - true) < 4 * deviation / 20
    # Two of a few elements in one bin: one is not seen. Such a loss weighs the more, the fewer there are.
    assert float(np.std(found)) < (1.5 if shared < 10 else 1.2) * deviation


def test_datasketch_estimates_the_same() -> None:
    """Over 60 pairs of real-sized sets ours and the peer's err alike, around the same truth."""
    from datasketch import MinHash

    ours, theirs = [], []
    for seed in range(60):
        one, other = two_sets(120 + seed, 80 - seed, seed)
        true = jaccard(one, other)
        peers = []
        for values in (one, other):
            made = MinHash(num_perm=BINS, seed=seed + 1)
            made.update_batch([int(value).to_bytes(8, "little") for value in values])
            peers.append(made)
        ours.append(estimate(signature(one), signature(other)) - true)
        theirs.append(float(peers[0].jaccard(peers[1])) - true)
    assert abs(float(np.mean(ours))) < 0.02
    assert abs(float(np.mean(theirs))) < 0.02
    assert float(np.std(ours)) < 1.3 * float(np.std(theirs))


def test_estimates_of_many_equal_those_of_each() -> None:
    made = signatures(planted(40, 1))
    assert estimates(made[0], made).tolist() == [estimate(made[0], other) for other in made]
    assert estimates(made[0], made)[0] == 1


@given(st.floats(0.2, 1))
def test_the_shape_keeps_its_promise(threshold: float) -> None:
    count, rows = band_shape(threshold)
    assert 1 <= count * rows <= BINS
    assert 1 - (1 - threshold**rows) ** count >= RECALL
    assert least_estimate(threshold) <= threshold


@pytest.mark.parametrize("threshold", [0.0, 0.1, 1.01, -1, float("nan")])
def test_a_threshold_that_means_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"0\.2 to 1"):
        band_shape(threshold)
    with pytest.raises(ValueError, match="choose"):
        NearIndex(threshold)


def test_a_signature_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="make them again"):
        bands(b"short", 0.7)


def test_keys_are_signed_64_bits_and_differ_by_band() -> None:
    (keys,) = band_keys([signature(shingles("one"))], 0.7)  # all bins equal
    assert len(set(keys)) == len(keys) == band_shape(0.7)[0]
    many = np.array(band_keys(signatures(planted(200, 2)), 0.7))
    assert many.dtype == np.int64
    assert (many < 0).any()
    assert (many > 0).any()
    assert set(bands(text_signature(TEXT), 0.5)).isdisjoint(bands(text_signature(TEXT), 0.7)), "bands of other lengths"


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_pairs_at_the_threshold_become_candidates(threshold: float) -> None:
    """The share of 1,000 pairs at exactly the threshold that meet in a band."""
    union = 180
    shared = round(union * threshold)
    met = 0
    for seed in range(1_000):
        one, other = two_sets(shared, (union - shared) // 2, seed)
        a, b = band_keys([signature(one), signature(other)], threshold)
        met += not set(a).isdisjoint(b)
    assert met >= 1_000 * (RECALL - 0.015)


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.95, 1.0])
def test_the_index_finds_what_brute_force_finds(threshold: float) -> None:
    texts = planted(400, 3)
    sets = list(shingle_sets(texts))
    true = pairs_by_brute_force(sets, threshold)
    assert len(true) > 20
    index = NearIndex(threshold)
    found = {(int(i), j): s for j, one in enumerate(sets) for i, s in index.add(str(j), one)}
    assert len(index) == len(texts)
    assert all(true[pair] == similarity for pair, similarity in found.items()), "precision 1, true similarity"
    assert len(found) >= 0.97 * len(true)


def test_a_batch_finds_what_single_additions_find() -> None:
    texts = planted(300, 4)
    single, batch = NearIndex(0.7), NearIndex(0.7)
    one_by_one = [single.add(str(i), shingles(text)) for i, text in enumerate(texts)]
    together = []
    for start in range(0, len(texts), 77):
        part = texts[start : start + 77]
        together += batch.add_all([str(start + i) for i in range(len(part))], shingle_sets(part))
    assert together == one_by_one
    assert any(together)


def test_many_copies_of_one_text_are_all_reported() -> None:
    index = NearIndex(0.9)
    for i in range(30):
        assert index.add(str(i), shingles(TEXT)) == [(str(j), 1.0) for j in range(i)]


@settings(max_examples=200)
@given(
    st.sets(st.integers(0, 30), min_size=1),
    st.sets(st.integers(0, 30), min_size=1),
    st.sampled_from([0.2, 0.5, 0.7, 0.8, 0.9, 1.0]),
)
def test_near_is_jaccard_at_or_above_the_threshold(a: set[int], b: set[int], threshold: float) -> None:
    true = len(a & b) / len(a | b)
    one, other = (np.array(sorted(values), dtype=np.uint64) for values in (a, b))
    assert jaccard(one, other) == true
    assert near(one, other, threshold) == (true if true >= threshold else None)
