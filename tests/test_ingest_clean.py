"""What normalising does to a text, and what makes two documents the same content."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clean import assemble, characters, clean
from ingest.dedup import identity
from ingest.errors import Empty
from ingest.types import Block, BlockKind, Document, Parsed, Source

KINDS: list[BlockKind] = ["heading", "paragraph", "list", "table", "code"]
TEXTS = st.text(st.characters(codec=None) | st.sampled_from("\u0301\u200b\xad\ud800\r\n\t \xa0\x00\ufffe"), max_size=60)
SOURCE = Source("file:///folder/a%20file.txt", "text/plain", b"")


def document(text: str, title: str = "", kind: BlockKind = "paragraph") -> Document:
    return assemble(SOURCE, Parsed([Block(kind, text)], title))


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("paragraph", "  a\t\tb \xa0 c  \r\n  d\r\n\r\n\r\n\r\ne ", "a b c\nd\n\ne"),
        ("list", "- a  b\n  - c\u3000d", "- a b\n  - c d"),
        ("code", "\n\tif a:\n\t\treturn  1  \n\n", "\tif a:\n\t\treturn  1"),
        ("heading", " a\n  b ", "a b"),
        ("paragraph", "e\u0301 fi\xadnd ze\u200bro", "\xe9 find zero"),
        ("paragraph", "a\x00b\ud83d \u202ec\u2066 \ufeff", "ab\ufffd c"),
        ("paragraph", "م\u200cی 👩\u200d👧", "م\u200cی 👩\u200d👧"),
        ("paragraph", "\u200b \ufeff", ""),
    ],
)
def test_cleaning(kind: BlockKind, text: str, wanted: str) -> None:
    assert clean(text, kind) == wanted


@given(TEXTS, st.sampled_from(KINDS))
def test_cleaning_twice_is_cleaning_once(text: str, kind: BlockKind) -> None:
    once = clean(text, kind)
    assert clean(once, kind) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")
    assert not any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in once)


@given(st.lists(st.tuples(st.sampled_from(KINDS), TEXTS, st.none() | st.integers(1, 9)), max_size=8))
def test_assembled_documents_have_exact_marks(given_blocks: list[tuple[BlockKind, str, int | None]]) -> None:
    blocks = [Block(kind, text, level=int(kind == "heading"), page=page) for kind, text, page in given_blocks]
    kept = [block for block in blocks if clean(block.text, block.kind).strip()]
    if not kept:
        with pytest.raises(Empty, match="no text"):
            assemble(SOURCE, Parsed(blocks))
        return
    found = assemble(SOURCE, Parsed(blocks))
    marks = [mark for mark in found.outline if mark.kind != "page"]
    assert found.text == "\n\n".join(clean(block.text, block.kind) for block in kept)
    for mark, block in zip(marks, kept, strict=True):
        assert found.text.startswith(clean(block.text, block.kind), mark.offset)


def test_names_titles_and_metadata() -> None:
    found = assemble(
        SOURCE,
        Parsed([Block("paragraph", "x")], " A\ttitle\n", "id\x00", {"k": "a\x00", "": 1, "n": [float("nan")]}, "p 1"),
    )
    assert (found.name, found.title, found.external_id) == ("a file.txt#p 1", "A title", "id")
    assert found.uri == "file:///folder/a%20file.txt#p%201"
    assert json.dumps(found.metadata, allow_nan=False) == '{"k": "a", "n": [null]}'


def test_identity_is_that_of_the_normalised_text_its_outline_and_language() -> None:
    same = document("One  two.\r\nThree.", "T")
    assert identity(same) == identity(document("One two.\nThree.", " T "))
    others = [
        document("One two.\nthree.", "T"),
        document("One two. Three.", "T"),
        document("One two.\nThree.", "U"),
        document("T\nOne two.\nThree."),
    ]
    assert len({identity(same), *map(identity, others)}) == 5
    big, small = (
        assemble(SOURCE, Parsed([Block("heading", "One", level), Block("paragraph", "Two.")])) for level in (1, 2)
    )
    assert big.text == small.text
    assert identity(big) != identity(small)
    german = assemble(SOURCE, Parsed([Block("paragraph", "x")], metadata={"language": "de-AT"}))
    english = assemble(SOURCE, Parsed([Block("paragraph", "x")], metadata={"language": "en"}))
    assert identity(german) != identity(english)


@given(TEXTS, TEXTS)
def test_identity_is_that_of_the_text_a_reader_sees(text: str, title: str) -> None:
    if not clean(text, "paragraph").strip():
        return
    found = document(text, title)
    again = document(found.text, found.title)
    noisy = document(found.text.replace(" ", " \u200b ").replace("\n", "\r\n"), found.title)
    assert identity(found) == identity(again) == identity(noisy)


def test_characters_keeps_blanks() -> None:
    assert characters("a \t\xa0b") == "a \t\xa0b"
