"""Where sentences end in prose, lists, tables and code, and that the spans are exact."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.languages.sentences import sentences


def cut(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in sentences(text, language)]


@pytest.mark.parametrize(
    "marked",
    [
        "Dr. Smith paid $3.5 million to J. K. Rowling.¦ See https://x.org/a.b?c=d.¦ Next one, e.g. this.",
        "The U.S. Army went.¦ He came from the U.S.¦ The others stayed.¦ It was 5 p.m. on Jan. 5.¦ Then it rained.",
        "Smith et al. (2005) found it.¦ See Fig. 3 and Eq. 4.¦ No. 5 is alive.¦ He said no.¦ They left at 5 p.m. then.",
        "Apple Inc. announced it.¦ He works at Apple Inc.¦ The others do not.¦ Vitamin C.¦ It helps, etc.¦ We saw it.",
        "“Who is it?” she asked.¦ “Nobody.”¦ (This stands apart. Quite so.)¦ It ended (see below).¦ Yes!",
        'The 5" disk is old.¦ It was used.¦ A 3" one came.¦ In the \'90s it was good.¦ Then not.',
        "(1) a placebo.¦ 2) the drug.¦ Both worked.¦ It cost 3.50.¦ Version 2.0.1 is out.¦ Use main.py.¦ Good.",
        "What?!¦ No...¦ Well, wait... for it.¦ It ended.[2]¦ The next.[citation needed]¦ Last.",
        "In the end.¦Then it began.¦ The levels of mRNA fell.¦ mRNA rose.",
        "hello there.¦ how are things.¦ fine",
        "Contents . . . . . . 402 Allelism . . . . 404 Next",
        "一二三。¦四五六！¦七八？¦九",
        "हिन्दी वाक्य है।¦ दूसरा वाक्य।",
        "A line of prose that was wrapped by hand and\ngoes on here.¦ And ends.",
        "- one item.¦ It goes on\n¦- two items\n¦1. First.¦ More.\n¦2. Second\n¦• bullet",
        "name: hub; price: 3\n¦name: blade; price: 4\n¦| a | b |\n¦| c. d | e |",
        "A heading\n¦\n¦A paragraph.",
        "def turn(hub):\n¦    return hub\n¦print(1)",
    ],
)
def test_where_sentences_end(marked: str) -> None:
    assert cut(marked.replace("¦", "")) == [piece.strip() for piece in marked.split("¦") if piece.strip()]


def test_other_languages_have_their_abbreviations() -> None:
    assert cut("Das ist z.B. Herr Dr. Meier usw. Er kommt.", "de")[0].startswith("Das ist z.B. Herr Dr. Meier")
    assert cut("Voir p. ex. M. Dupont. Il vient.", "fr") == ["Voir p. ex. M. Dupont.", "Il vient."]
    assert cut("One. Two.", "xx") == ["One.", "Two."]


@given(st.text(alphabet=st.sampled_from("aB1é世。.!?…\"'()[]“” \n\t-*|:;{}") | st.characters(), max_size=200))
@settings(max_examples=300)
def test_spans_are_exact_in_order_and_complete(text: str) -> None:
    spans = sentences(text)
    covered = set()
    last = 0
    for start, end in spans:
        assert last <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        covered.update(range(start, end))
        last = end
    assert all(text[at].isspace() for at in range(len(text)) if at not in covered)


@pytest.mark.parametrize("piece", ["A. ", "(a. ", "\"'", "a\n", " \t", "“a. ) ", 'a."', "..", "[1].", "\n", "a: b; "])
def test_hostile_repetitions_end(piece: str) -> None:
    text = piece * 20_000
    assert "".join(cut(text)).replace(" ", "").replace("\n", "").replace("\t", "") == "".join(text.split())


def test_sentences_of_real_abstracts_are_of_sane_length(shared_data: Path) -> None:
    lengths = []
    with (shared_data / "scifact" / "corpus.jsonl").open(encoding="utf-8") as lines:
        for _, line in zip(range(500), lines, strict=False):
            lengths.extend(len(piece) for piece in cut(json.loads(line)["text"]))
    assert 100 < sum(lengths) / len(lengths) < 220
    assert sum(length > 600 for length in lengths) / len(lengths) < 0.005
