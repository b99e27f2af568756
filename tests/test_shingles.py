"""Shingles are what their definition says, in every script and however texts are batched, in every process."""

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.shingles import jaccard, shingle_sets, shingles

THAI = "สวัสดีครับวันนี้อากาศดีมากเราจะไปเที่ยวทะเลกับครอบครัวในวันเสาร์และกลับบ้านในวันอาทิตย์ตอนเย็น"
CHINESE = "今天天气很好，我们打算周六和家人一起去海边，周日傍晚回家。孩子们已经收拾好了行李，非常期待这次旅行。"
JAPANESE = (
    "今日は天気がとても良いので、土曜日に家族と海へ行き、日曜日の夕方に帰る予定です。子供たちは楽しみにしています。"
)
HINDI = "भारत एक विशाल देश है जहाँ अनेक भाषाएँ बोली जाती हैं और हर राज्य की अपनी संस्कृति है"

FROZEN = [1386409464351902317, 7462735193160402586]
FROZEN_SHORT = [16458882337050839644]

WORDS = st.lists(st.sampled_from(["a", "bee", "Sea", "d", "é", "straße", "x_1", "0", "ДОМ"]), max_size=40)
SEPARATORS = st.sampled_from([" ", "\n", ", ", " — ", ".", "\t\t", "(", "😀"])


def plainly(text: str) -> set[tuple[str, ...]]:
    """The definition, for scripts with blanks between words."""
    words = re.findall(r"\w+", text.lower())
    if not words:
        return {("".join(text.lower().split()),)}
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


@st.composite
def texts(draw: st.DrawFn) -> str:
    return "".join(word + draw(SEPARATORS) for word in draw(WORDS))


@given(texts(), texts())
def test_jaccard_is_that_of_the_sets(a: str, b: str) -> None:
    one, other = plainly(a), plainly(b)
    assert len(shingles(a)) == len(one)
    assert jaccard(shingles(a), shingles(b)) == len(one & other) / len(one | other)


@given(st.lists(st.text(max_size=60), max_size=12))
def test_a_batch_gives_what_single_texts_give(many: list[str]) -> None:
    sets = shingle_sets(many)
    assert len(sets) == len(many)
    for text, got in zip(many, sets, strict=True):
        assert got.tolist() == shingles(text).tolist() == sorted(set(got.tolist()))
        assert len(got) >= 1


def test_long_texts_are_hashed_piece_by_piece_as_if_whole() -> None:
    words = [f"word{i * i % 977}" for i in range(40_000)]
    text = " ".join(words)
    assert len(text) > 8 * 2**15
    assert len(shingles(text)) == len(plainly(text))
    tail = shingles(" ".join(words[-2_000:]))
    assert np.isin(tail, shingles(text)).all()
    both = shingle_sets(["short one", text, "another short one"])
    assert both[1].tolist() == shingles(text).tolist()


def test_a_run_without_blanks_is_read_to_its_end() -> None:
    run = "x" * 200_000
    assert jaccard(shingles(f"{run} one two three four five"), shingles(f"{run} one two three four five")) == 1
    assert jaccard(shingles(f"{run} one two three four five"), shingles(f"{run} six seven eight nine ten")) < 1


def test_fewer_than_five_words_are_one_shingle() -> None:
    assert len(shingles("One, two: three four!")) == 1
    assert jaccard(shingles("one two three four"), shingles("ONE two — three four.")) == 1
    assert jaccard(shingles("one two three four"), shingles("one two three")) == 0
    assert jaccard(shingles("one two"), shingles("two one")) == 0


def test_texts_without_words_are_told_apart() -> None:
    assert jaccard(shingles("!!!"), shingles("???")) == 0
    assert jaccard(shingles("! !!"), shingles("!!!")) == 1
    assert jaccard(shingles(""), shingles(" \n")) == 1


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (THAI, "วันเสาร์", "วันศุกร์"),
        (CHINESE, "周六", "周五"),
        (JAPANESE, "土曜日", "金曜日"),
    ],
)
def test_scripts_without_blanks_are_compared_by_characters(text: str, old: str, new: str) -> None:
    changed = text.replace(old, new)
    assert changed != text
    assert 0.6 < jaccard(shingles(text), shingles(changed)) < 1
    assert jaccard(shingles(text), shingles(text[::-1])) < 0.1
    assert len(shingles(text)) > 20


def test_unrelated_texts_of_one_script_are_far_apart() -> None:
    other = "ธนาคารกลางประกาศคงอัตราดอกเบี้ยนโยบายไว้ที่ระดับเดิมหลังการประชุมคณะกรรมการเมื่อวานนี้"
    assert jaccard(shingles(THAI), shingles(other)) < 0.1
    assert jaccard(shingles(CHINESE), shingles(JAPANESE)) < 0.1


def test_marks_belong_to_their_letters() -> None:
    """`\\w+` would cut a Hindi word at every vowel sign and forget the sign."""
    assert len(shingles(HINDI)) == len(HINDI.split()) - 4
    assert jaccard(shingles("की का के को कु"), shingles("का की को के कू")) == 0
    assert jaccard(shingles("one two three four five ❤"), shingles("one two three four five ❤\ufe0f")) == 1


def test_latin_words_within_chinese_stay_whole() -> None:
    assert len(shingles("我们用FastAPI写吗")) == 2  # 我 们 用 fastapi 写 吗
    assert jaccard(shingles("我们用FastAPI写"), shingles("我们用fastapi写")) == 1


def test_lone_surrogates_and_nul_are_no_error() -> None:
    assert len(shingles("a\ud800b \x00 c d e f")) >= 1


def test_values_are_frozen() -> None:
    """Signatures are kept for years: another value here means that every one of them must be made again."""
    assert [int(one) for one in shingles("The quick brown fox jumps over")] == FROZEN
    assert [int(one) for one in shingles("Grüße")] == FROZEN_SHORT


def test_another_process_hashes_alike() -> None:
    code = f"from ingest.shingles import shingles; print(shingles({CHINESE + HINDI!r}).tolist())"
    for seed in ("0", "1"):
        said = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
        ).stdout  # fmt: skip
        assert said.strip() == str(shingles(CHINESE + HINDI).tolist())
