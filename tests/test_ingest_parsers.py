"""What each format's parser makes of its own peculiarities: tables, lists, front matter, pages, odd encodings."""

import csv
import io
import zipfile

import pytest

from ingest import parsers, sources
from ingest.clean import assemble
from ingest.encodings import decode
from ingest.errors import Damaged, Empty, Encrypted, TooLarge, Unsupported
from ingest.formats.frontmatter import split
from ingest.types import Block, Document, Failed, Parsed
from tests.samples import first as samples


def parsed(name: str, content: bytes | str) -> Parsed:
    raw = content.encode() if isinstance(content, str) else content
    (found,) = parsers.parse(sources.from_upload(name, raw))
    assert isinstance(found, Parsed)
    return found


def document(name: str, content: bytes | str) -> Document:
    raw = content.encode() if isinstance(content, str) else content
    return assemble(sources.from_upload(name, raw), parsed(name, raw))


def blocks(name: str, content: bytes | str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in parsed(name, content).blocks]


# ── text and encodings ──────────────────────────────────────────────────────────────────────────────────────────────

RUSSIAN = "Однажды, в студёную зимнюю пору, я из лесу вышел; был сильный мороз.\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Plain words.", "ascii"),
        ("Søren å Århus — “quoted”.", "utf-8"),
        ("Søren", "utf-8-sig"),
        ("Søren, 東京", "utf-16"),
        ("Søren, 東京", "utf-32"),
        ("Two bytes a letter, no mark.", "utf-16-le"),
        ("Two bytes a letter, no mark.", "utf-16-be"),
        ("Die schöne Frau hat für 15,50 € einen Kaffee. ¿Qué rico?", "cp1252"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        ("名前,年齢,住所\n佐藤太郎,30,東京\n三木英子,25,大阪\n", "cp932"),
    ],
)
def test_encodings_are_told(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding), "a.txt") == text


def test_a_declared_encoding_counts_and_latin_1_means_windows_1252() -> None:
    page = '<meta charset="iso-8859-1"><p>Preis: 5 €, „schön“'.encode("cp1252")
    assert document("a.html", page).text == "Preis: 5 €, „schön“"


def test_a_few_broken_bytes_do_not_turn_utf_8_into_something_else() -> None:
    text = "Søren bor i Århus på en ø. " * 5
    assert decode(text.encode() + b"\xff", "a.txt") == text + "\ufffd"


@pytest.mark.parametrize(
    "content", [b"SQLite format 3\x00" + bytes(50), bytes(range(256)) * 8, b"\x7fELF\x02\x01" + bytes(100)]
)
def test_binary_posing_as_text_is_refused(content: bytes) -> None:
    with pytest.raises(Unsupported, match=r"notes\.txt"):
        parsed("notes.txt", content)


def test_a_broken_utf_16_file_is_damaged() -> None:
    with pytest.raises(Damaged, match="UTF-16"):
        parsed("a.txt", b"\xff\xfea\x00b")


def test_hostile_characters_are_gone_from_the_document() -> None:
    found = document("a.txt", "a\u202eb\u200bc\r\nd\x0ce \ufeff\xadf\x1b[0m".encode())
    assert found.text == "abc\nd\ne f[0m"


# ── Markdown ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_markdown_blocks() -> None:
    assert blocks("sea.md", samples.MARKDOWN) == [
        ("heading", "Tidal turbines"),
        ("paragraph", "They harvest the moon from below, in Nørrebro and elsewhere."),
        ("list", "- first item\n- second item\n  - inner item"),
        ("table", "part: blade; count: 3\npart: hub; count: 1"),
        ("code", "def turn(hub):\n    return  hub   # two blanks stay\n"),
        ("paragraph", "Good to know"),
        ("paragraph", "Salt water wears."),
        ("paragraph", "Indented"),
        ("paragraph", "This is no code."),
        ("heading", "Costs <your-price>"),
        ("paragraph", "Low."),
    ]


def test_front_matter_becomes_metadata() -> None:
    assert dict(parsed("sea.md", samples.MARKDOWN).metadata) == {"tags": ["energy", "sea"], "year": 2026}


def test_front_matter_values() -> None:
    text = "---\na: 'x: y'\nb: 1.5\nc: true\nd:\n- one\n- 2\ne: null\nf: a # note\ng:\n  deep: 1\n---\nrest"
    assert split(text) == (
        {"a": "x: y", "b": 1.5, "c": True, "d": ["one", 2], "e": None, "f": "a", "g": None},
        "rest",
    )


@pytest.mark.parametrize("text", ["---\nA thematic break.\n---\nMore.", "--- a: b", "text\n---\na: b\n---\n"])
def test_what_is_no_front_matter_stays(text: str) -> None:
    assert split(text) == ({}, text)


def test_code_in_a_list_stays_verbatim_and_the_list_goes_on() -> None:
    text = "1. Do\n\n   ```\n   a  =  1\n   ```\n2. Then\n\n   more\n"
    assert blocks("a.md", text) == [
        ("list", "1. Do"),
        ("code", "a  =  1\n"),
        ("list", "2. Then\n   more"),
    ]


def test_admonition_marks_inside_code_are_kept() -> None:
    assert blocks("a.md", "```\n/// note\n!!! tip\n```\n") == [("code", "/// note\n!!! tip\n")]


def test_html_in_markdown_is_reduced_to_its_text() -> None:
    text = '<div class="x"><p>Inside <i>it</i></p></div>\n\n<!-- gone -->\n\nA List<String> and a<br>break.'
    assert blocks("a.md", text) == [("paragraph", "Inside it"), ("paragraph", "A List<String> and a\nbreak.")]


def test_deep_lists_are_kept() -> None:
    text = "".join("  " * depth + f"- level{depth}\n" for depth in range(25))
    assert document("a.md", text).text.count("level") == 25


# ── HTML ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_html_blocks() -> None:
    found = parsed("sea.html", samples.HTML)
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("heading", "Tidal turbines"),
        ("paragraph", "They harvest the moon\nin Nørrebro."),
        ("heading", "Parts"),
        ("list", "- blade\n  - tip\n- hub"),
        ("table", "part: blade; count: 3"),
        ("code", "turn(hub)\n  twice"),
    ]
    assert dict(found.metadata) == {"author": "A. Mole", "language": "en"}


def test_a_page_that_is_all_navigation_is_still_read() -> None:
    assert "Only entry" in document("a.html", "<nav><a href=x>Only entry</a></nav>").text


def test_a_page_without_words_is_empty() -> None:
    with pytest.raises(Empty, match="scripts"):
        parsed("a.html", "<html><body><script>write()</script></body></html>")


def test_elements_nested_without_end_are_refused() -> None:
    with pytest.raises(TooLarge, match="nested"):
        parsed("a.html", "<div>" * 100_000)


def test_a_layout_table_is_read_as_text() -> None:
    text = "<table><tr><td><h1>Head</h1><p>Body.</p></td><td><p>Side.</p></td></tr></table>"
    assert blocks("a.html", text) == [("heading", "Head"), ("paragraph", "Body."), ("paragraph", "Side.")]


# ── PDF ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pdf_pages_paragraphs_and_headings() -> None:
    found = parsed("sea.pdf", samples.pdf(samples.PDF_PAGES))
    assert list(found.blocks) == [
        Block("heading", "Tidal turbines", 1, 1),
        Block(
            "paragraph",
            "They are set below the water, where nobody sees them, and they harvest the moon without any noise, as the "
            "town of Nørrebro found out when it bought three of them.",
            0,
            1,
        ),
        Block("heading", "Parts of a turbine", 2, 1),
        Block("paragraph", "There is a hub.", 0, 1),
        Block("paragraph", "Page two tells the costs, which are low.", 0, 2),
    ]
    assert (found.title, found.metadata["pages"]) == ("Tidal turbines", 2)


def test_pdf_pages_are_marked() -> None:
    found = document("sea.pdf", samples.pdf(samples.PDF_PAGES))
    second = next(mark for mark in found.outline if mark.kind == "page" and mark.value == "2")
    assert found.text.startswith("Page two", second.offset)


def test_running_heads_are_left_out_and_lines_of_the_text_are_not() -> None:
    pages = [
        [
            (10, f"Handbook of 2026, page {n}"),
            (10, f"Text number {n * 7} of it."),
            (10, "All have it."),
            (10, f"Invoice {n * 3}"),
        ]
        for n in range(1, 6)
    ]
    text = document("a.pdf", samples.pdf(pages)).text
    assert "Handbook" not in text
    assert (text.count("of it"), text.count("All have"), text.count("Invoice")) == (5, 5, 5)


def test_blank_pages_are_empty() -> None:
    with pytest.raises(Empty, match="no text on its 2 pages, they are blank"):
        parsed("scan.pdf", samples.pdf([[], []]))


def test_a_pdf_with_a_password_says_so() -> None:
    with pytest.raises(Encrypted, match="password"):
        parsed("a.pdf", samples.pdf(samples.PDF_PAGES, encrypted=True))


def test_a_cut_pdf_is_damaged() -> None:
    with pytest.raises(Damaged, match=r"a\.pdf"):
        parsed("a.pdf", samples.pdf(samples.PDF_PAGES)[:60])


# ── Word ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_docx_blocks() -> None:
    found = parsed("sea.docx", samples.docx())
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("heading", "Tidal turbines"),
        ("paragraph", "They harvest the moon."),
        ("list", "- blade\n- hub"),
        ("table", "part: hub; place: Nørrebro"),
        ("heading", "Costs"),
        ("paragraph", "Low."),
    ]
    assert found.metadata["author"] == "A. Mole"


def test_a_cut_docx_is_damaged_and_an_empty_one_empty() -> None:
    with pytest.raises(Damaged, match="cut off"):
        parsed("a.docx", samples.docx()[:800])
    with pytest.raises(Empty, match="no text"):
        parsed("a.docx", samples.docx(empty=True))


def test_an_archive_that_unpacks_to_very_much_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(60_000_000))
    with pytest.raises(TooLarge, match="60,000,000"):
        parsed("bomb.docx", buffer.getvalue())


# ── tables and lines ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")])
def test_rows_carry_their_columns(name: str, delimiter: str) -> None:
    assert blocks(name, samples.delimited(delimiter)) == [
        (
            "table",
            "part: Tidal turbines; place: Nørrebro; note: harvest the moon; always\n"
            'part: hub; place: Århus; note: one, "only" line two\n'
            "part: blade; place: Odense; note: three",
        )
    ]


def test_tables_without_a_header_and_with_a_title() -> None:
    assert blocks("a.csv", "1,2\n3,4\n") == [("table", "1 | 2\n3 | 4")]
    found = parsed("a.csv", "Cups,,\nteam,city,cups\nBlues,STL,1\n")
    assert (found.title, found.blocks[0].text) == ("Cups", "team: Blues; city: STL; cups: 1")


def test_ragged_rows_and_empty_cells() -> None:
    assert blocks("a.csv", "a,b,c\nx,,z\ny\np,q,r,s\n") == [("table", "a: x; c: z\na: y\na: p; b: q; c: r; s")]


def test_a_huge_field_is_read() -> None:
    limit = csv.field_size_limit()
    assert len(document("a.csv", "a,b\n" + "x" * (limit + 10) + ",y\n").text) > limit


def test_a_quote_that_never_closes_swallows_no_rows() -> None:
    text = 'a,b\n1,"two\n' + "x,y\n" * 10
    assert document("a.csv", text).text.count("a: x; b: y") == 10


def test_json_lines() -> None:
    found = list(parsers.parse(sources.from_upload("corpus.jsonl", samples.jsonl())))
    assert found == [
        Parsed(
            [Block("paragraph", "They harvest the moon in Nørrebro.")], "Tidal turbines", "d1", {"y": 1}, fragment="d1"
        ),
        Parsed([Block("paragraph", "Second.")], "", "2", {"lang": "en"}, fragment="2"),
        Parsed([Block("paragraph", "Another shape.")], "Third", "three", {"n": [1, {"a": None}]}, fragment="three"),
    ]


def test_a_bad_line_does_not_stop_the_others() -> None:
    lines = ['{"_id": "a", "text": "One."}', "{bad", "[1]", '{"_id": "e", "text": ""}', '{"text": "No id."}']
    found = list(parsers.parse(sources.from_upload("c.jsonl", "\n".join(lines).encode())))
    assert [type(item) for item in found] == [Parsed, Failed, Failed, Failed, Parsed]
    failed = [item for item in found if isinstance(item, Failed)]
    assert [item.uri for item in failed] == [f"upload:c.jsonl#line={n}" for n in (2, 3, 4)]
    assert all(item.uri in item.reason for item in failed)
    assert isinstance(found[-1], Parsed)
    assert found[-1].fragment == "line=5"


def test_a_line_that_is_only_a_title_is_found_by_it() -> None:
    (found,) = parsers.parse(sources.from_upload("c.jsonl", b'{"_id": "a", "title": "Only a title", "text": ""}'))
    assert isinstance(found, Parsed)
    assert (found.title, found.blocks[0].text) == ("Only a title", "Only a title")


def test_lone_surrogates_and_impossible_numbers_in_json_are_harmless() -> None:
    (found,) = parsers.parse(sources.from_upload("c.jsonl", b'{"text": "a \\ud800 b", "n": NaN, "m": 1e999}'))
    assert isinstance(found, Parsed)
    got = assemble(sources.from_upload("c.jsonl", b" "), found)
    assert got.text == "a \ufffd b"
    assert got.metadata == {"n": None, "m": None}


def test_a_fragment_becomes_part_of_the_address_and_the_name() -> None:
    source = sources.from_upload("corpus.jsonl", b'{"_id": "a b/c", "text": "One."}')
    (found,) = (assemble(source, item) for item in parsers.parse(source) if isinstance(item, Parsed))
    assert (found.uri, found.name, found.external_id) == (
        "upload:corpus.jsonl#a%20b%2Fc",
        "corpus.jsonl#a b/c",
        "a b/c",
    )
