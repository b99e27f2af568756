"""What grounded decoding lets stand: numbers, names and quotes of the sources, and nothing half said."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.answers.claims import MARKER
from rag.generators._local.grounding import NUMBER, Sources, State

SOURCES = (
    ("Norderney", "The lighthouse of Norderney was built in 1874. It is 54 metres high, says James Watt."),
    ("Engines", 'He made it three times as strong in 1769: "the first of its kind", as they said.'),
)

SAYS = Sources([*(part for source in SOURCES for part in source), "From 3.5 to 1,000 km."], 2)


@pytest.mark.parametrize(
    "text",
    [
        "It was built in 1874.",
        "The lighthouse is 54 metres high [1]. James Watt says so [2], in 1769.",
        "Lighthouse of Norderney: 3.5 to 1,000 km, 1874, 54 [1, 2].",
        'They said "the first of its kind".',
        "However, Watt's was strong. Norderney too.",
        "small letters may say anything",
        "",
    ],
)
def test_what_stands_in_the_sources_may_be_said(text: str) -> None:
    state = SAYS.read(State(), text)
    assert state is not None
    assert SAYS.closed(state)


@pytest.mark.parametrize(
    "text",
    [
        "in 1875",
        "in 187 ",
        "of 1874.5 ",
        "of 5 ",
        "see [3]",
        "see [1 or so",
        "the Paris ",
        "by Watt James ",
        "by James Cook ",
        "the james WATT ",
        'they said "the last of its kind"',
        'it said "built in 17"',
    ],
)
def test_what_does_not_may_not(text: str) -> None:
    assert SAYS.read(State(), text) is None


@given(st.text(st.sampled_from('187469 54,.[]12JamesWtNorderny "the\n'), max_size=30))
@settings(max_examples=300, deadline=None)
def test_what_may_be_said_has_no_stray_number_name_or_quote(text: str) -> None:
    """The reading of characters against a plain look at the whole text."""
    state = SAYS.read(State(), text)
    if state is None or not SAYS.closed(state):
        return
    sources = " ".join([*(part for source in SOURCES for part in source), "From 3.5 to 1,000 km."])
    assert set(NUMBER.findall(MARKER.sub(" ", text))) <= set(NUMBER.findall(sources))
    words = set(re.findall(r"[^\W\d_]+", sources))
    for match in re.finditer(r"[^\W\d_]+", text):
        opens = not text[: match.start()].strip() or re.search(r"[.!?:\n]\W*$", text[: match.start()])
        assert not match[0][0].isupper() or opens or match[0] in words
