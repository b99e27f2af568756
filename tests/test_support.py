"""How well a text supports a sentence: what each check sees, and where the evidence is found."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answers.claims import ABSTENTION, claims, is_abstention, markers, without_markers
from rag.checks.numbers import quantities
from rag.checks.reading import read
from rag.language import beginnings, content_stems, rarity, words
from rag.support import best_span, judge, most_supporting
from rag.types import Reason

TEXT = (
    "The Golden Gate Bridge was opened in May 1937 after four years of work. Its main span is 1,280 metres long. "
    "Joseph Strauss was the chief engineer. The bridge did not collapse in the earthquake of 1989."
)


@pytest.mark.parametrize(
    ("sentence", "verdict"),
    [
        ("The Golden Gate Bridge was opened in May 1937.", "supported"),
        ("The main span of the bridge is 1280 metres long.", "supported"),
        ("The Golden Gate Bridge was opened in May 1973.", "contradicted"),  # another year
        ("The Golden Gate Bridge was opened in June 1937.", "contradicted"),  # another month
        ("Its main span is 1,280 feet long.", "contradicted"),  # another unit
        ("Its main span is 1,820 metres long.", "contradicted"),  # another number of the same thing
        ("The bridge did collapse in the earthquake of 1989.", "contradicted"),  # negated on one side
        ("The Golden Gate Bridge was not opened in May 1937.", "contradicted"),
        ("Charles Ellis was the chief engineer.", "contradicted"),  # another name in the same place
        ("Strauss worked on the bridge with Charles Ellis.", "partly"),  # a name that the text does not have
        ("Bananas are rich in potassium.", "unsupported"),
        ("And so it is.", "unsupported"),  # states nothing
        ("", "unsupported"),
    ],
)
def test_verdicts(sentence: str, verdict: str) -> None:
    judged = judge(sentence, TEXT)
    assert judged.verdict == verdict, judged
    assert 0 <= judged.support <= 1


def test_reasons_name_what_is_wrong() -> None:
    said = {
        "It was opened in May 1973.": Reason("date", "May 1973 against May 1937 in the text"),
        "It took five years of work.": Reason("number", "five years against four years in the text"),
        "Its main span is 1,280 feet long.": Reason("unit", "1,280 feet against 1,280 metres in the text"),
        "The bridge of Charles Ellis is long.": Reason("name", "the name Charles Ellis is not in the text"),
        "It was not opened in 1937.": Reason("negation", "negated on one side only: opened"),
        "The bridge is painted orange.": Reason("words", "not in the text: orange, painted"),
        "I see that it was opened in 1937.": Reason(
            "opinion", "it speaks of the speaker or of whoever is spoken to, the text does not"
        ),
    }
    for sentence, reason in said.items():
        assert reason in judge(sentence, TEXT).reasons, (sentence, judge(sentence, TEXT))
    assert judge(TEXT.split(". ")[1] + ".", TEXT).reasons == ()


def test_opposites_contradict_and_a_negated_opposite_agrees() -> None:
    text = "The drug decreased blood pressure in all patients."
    assert judge("The drug increased blood pressure in all patients.", text).verdict == "contradicted"
    assert judge("The drug did not increase blood pressure in all patients.", text).verdict != "contradicted"


def test_an_opinion_or_a_question_is_not_supported_by_a_text_without_any() -> None:
    assert judge("I love that the bridge was opened in May 1937.", TEXT).verdict != "supported"
    assert judge("Was the Golden Gate Bridge opened in May 1937?", TEXT).verdict != "supported"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("about 3.5 million people", [(3_500_000.0, "")]),
        ("1,190 questions", [(1190.0, "")]),
        ("twenty-five km", [(25.0, "km")]),
        ("two hundred thousand soldiers", [(200_000.0, "")]),
        ("12 % of $5", [(12.0, "%"), (5.0, "$")]),
        ("6½ sacks in 1999", [(6.5, ""), (1999.0, "")]),
        ("the third try", [(3.0, "")]),
        ("no number at all", []),
    ],
)
def test_quantities(text: str, found: list[tuple[float, str]]) -> None:
    assert [(quantity.value, quantity.unit) for quantity in quantities(text)] == found


def test_names_are_capitals_inside_a_sentence() -> None:
    told = read("Then Joseph Strauss left. He went to Ohio.").names
    assert [name.text for name in told if not name.opens] == ["Joseph Strauss", "Ohio"]


def test_words_carry_exact_offsets_in_every_script() -> None:
    for text in ("Don't stop, it's 5½ km!", "हिन्दी में पानी", "富士山は高い", "Straße und Größe"):
        assert all(text[word.start : word.end] == word.text for word in words(text))
    assert [word.text for word in words("हिन्दी में")] == ["हिन्दी", "में"]  # vowel signs do not cut a word
    assert [word.text for word in words("富士山")] == ["富士", "士山"]


def test_rarity_falls_with_frequency() -> None:
    weights = rarity([["common", "rare"], ["common"], ["common", "other"]])
    assert weights("unseen") > weights("rare") > weights("common") > 0
    assert content_stems("The running of the dogs") == ["run", "dog"]


def test_best_span_finds_the_sentence_with_exact_offsets() -> None:
    span = best_span("The chief engineer was Joseph Strauss.", TEXT)
    assert span is not None
    assert TEXT[span.start : span.end] == "Joseph Strauss was the chief engineer."
    assert span.support.verdict == "supported"


def test_best_span_joins_sentences_when_that_adds_something() -> None:
    span = best_span("Joseph Strauss engineered a span of 1,280 metres.", TEXT)
    assert span is not None
    assert TEXT[span.start : span.end] == TEXT[TEXT.index("Its main") : TEXT.index(" The bridge did")]


def test_a_verbatim_piece_is_its_own_evidence() -> None:
    span = best_span("opened in May 1937 after four", TEXT)
    assert span is not None
    assert TEXT[span.start : span.end] == "opened in May 1937 after four"
    assert span.support.support == 1.0
    inside = best_span("pened in May 1937 after fou", TEXT)  # not a piece of words
    assert inside is None or inside.support.support < 1


def test_nothing_in_common_is_no_span() -> None:
    assert best_span("Bananas ripen quickly.", TEXT) is None
    assert best_span("Bananas ripen quickly.", "") is None
    assert most_supporting("Bananas ripen.", [TEXT, "", "Green bananas ripen."]) is not None
    assert most_supporting("Bananas ripen.", []) is None


def test_claims_give_each_marker_to_its_sentence() -> None:
    found = claims("First thing [1]. Second thing. [2][3] Third one [1, 4]!")
    assert [(claim.text, claim.numbers) for claim in found] == [
        ("First thing.", (1,)),
        ("Second thing.", (2, 3)),
        ("Third one!", (1, 4)),
    ]
    assert without_markers("So it is [12]. Yes [3]") == "So it is. Yes"


PAPER = """Transformers beat recurrent networks on translation [2]. Recurrent networks came up in 1990.[1, 3]
The first argument is read from argv[1], the second from argv[2]. [3] J. Elman, Finding Structure in Time."""


@pytest.mark.parametrize(
    ("answer", "text", "numbers"),
    [
        ("Transformers beat recurrent networks on translation [2] [1].", PAPER.split(".")[0] + ".", (1,)),
        ("Recurrent networks came up in 1990 [1].[1, 3]", "Recurrent networks came up in 1990.", (1,)),
        ("It is read from argv[1], the second from argv[2] [1].", None, (1,)),
        ("J. Elman, Finding Structure in Time [1].", None, (1,)),
        ("Transformers win on translation [2].", "Transformers win on translation.", (2,)),  # in other words
        ("They beat networks on translation [1].", "They beat networks on translation.", (1,)),
    ],
)
def test_a_number_that_is_quoted_marks_nothing(answer: str, text: str | None, numbers: tuple[int, ...]) -> None:
    """Papers name their sources as answers do theirs."""
    (found,) = claims(answer, [PAPER, "Onions are fried."])
    assert found.numbers == numbers
    assert found.text == (text or answer.replace(" [1].", "."))
    assert [match.group().strip() for match in markers(answer, [PAPER])] == [f"[{n}]" for n in numbers]


def test_the_last_number_of_a_sentence_may_name_the_very_text_that_has_it() -> None:
    quoted = "Transformers beat recurrent networks on translation [2]."
    (own,) = claims(quoted, ["Onions are fried.", PAPER])
    assert (own.numbers, own.text) == ((2,), "Transformers beat recurrent networks on translation.")
    (other,) = claims(quoted, [PAPER, "Onions are fried."])
    assert (other.numbers, other.text) == ((), quoted)


@pytest.mark.parametrize(
    "text",
    [
        ABSTENTION,
        "The documents do not answer this question",
        "  **The documents don’t answer this question.** [1]",
        "I'm sorry, but the provided passages do not contain an answer to the question.",
    ],
)
def test_abstentions_are_recognised(text: str) -> None:
    assert is_abstention(text)


@pytest.mark.parametrize("text", ["", "The documents answer this question.", f"Bees dance. {ABSTENTION}"])
def test_answers_are_no_abstentions(text: str) -> None:
    assert not is_abstention(text)


def test_beginnings_are_whole_words_within_the_limit() -> None:
    def count(texts: object) -> list[int]:
        assert isinstance(texts, list)
        return [len(text.split()) for text in texts]

    assert beginnings(["a b", "a b  c d", "x y z", ""], count, 3) == ["a b", "a b  c", "x y z", ""]
    assert beginnings(["one"], lambda texts: [9 if text else 0 for text in texts], 3) == [""]


@given(st.lists(st.sampled_from(TEXT.replace(".", " .").split()), max_size=30), st.integers(0, 12))
def test_a_beginning_is_the_longest_that_fits(said: list[str], limit: int) -> None:
    def count(texts: Sequence[str]) -> list[int]:
        return [sum(map(len, text.split())) // 3 for text in texts]

    fits = [n for n in range(len(said) + 1) if count([" ".join(said[:n])])[0] <= limit]
    assert beginnings([" ".join(said)], count, limit) == [" ".join(said[: fits[-1]])]


@given(st.lists(st.lists(st.sampled_from(TEXT.split()), max_size=12).map(" ".join), max_size=5))
def test_the_text_that_says_most_is_the_best_of_all(texts: list[str]) -> None:
    sentence = "The main span of the Golden Gate Bridge is 1,280 metres."
    spans = {at: span for at, text in enumerate(texts) if (span := best_span(sentence, text))}
    found = most_supporting(sentence, texts)
    assert (found is None) == (not spans)
    if found:
        at, span = found
        assert span == spans[at]
        if any(one.support.verdict == "supported" for one in spans.values()):
            assert span.support.verdict == "supported"


def _separation(values: list[float], labels: list[bool]) -> float:
    """The area under the ROC curve, by counting pairs; ties count half."""
    good, bad = np.array(values)[np.array(labels)], np.array(values)[~np.array(labels)]
    return float(np.mean((good[:, None] > bad) + 0.5 * (good[:, None] == bad)))


def test_dialogue_answers_are_told_apart(shared_data: Path) -> None:
    """Attributable or not, better than the share of words found does it (0.934)."""
    lines = (shared_data / "begin-wow" / "examples.jsonl").read_text().splitlines()
    examples = [one for one in map(json.loads, lines) if one["label"] != "Generic"][::4]
    values = [judge(one["answer"], one["context"]).support for one in examples]
    assert _separation(values, [one["label"] == "Fully attributable" for one in examples]) > 0.935


def test_contradictions_are_told_from_support(shared_data: Path) -> None:
    """Word overlap cannot (0.61)."""
    lines = (shared_data / "scifact-claims" / "claims.jsonl").read_text().splitlines()
    examples = [one for one in map(json.loads, lines) if one["label"] != "NOT_ENOUGH_INFO"]
    spans = [best_span(one["claim"], " ".join(one["context_sentences"])) for one in examples]
    values = [span.support.support if span else 0.0 for span in spans]
    assert _separation(values, [one["label"] == "SUPPORT" for one in examples]) > 0.65
