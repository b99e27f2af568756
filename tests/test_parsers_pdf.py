"""PDF files: passwords, tables, right-to-left writing, scans, bad pages, attachments, metadata, very many pages."""

import shutil
import zlib
from pathlib import Path

import pytest

from ingest import parsers
from ingest.clean import assemble
from ingest.errors import Empty, Encrypted, TooLarge
from ingest.formats import ocr
from ingest.formats.pdf_keys import without_password
from ingest.parsers import pdf
from ingest.parsers.pdf import iso_date
from ingest.types import Failed, Parsed, Source
from tests.samples import first, texts

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")

ALEF_WORD = "سلام"  # seen from the left: meem, the ligature of lam and alef, seen
LETTERS = {1: "س", 2: "لا", 3: "م", 4: "ل", 5: "ا", 6: "a", 7: " ", 8: "ﻻ", 9: "ﺳ", 10: "ﻢ", 11: "ﬁ", 12: "ﬂ"}


def items(content: bytes, *passwords: str, uri: str = "upload:a.pdf") -> list[Parsed | Failed]:
    return list(parsers.parse(Source(uri, "application/pdf", content, passwords)))


def parsed(content: bytes, *passwords: str) -> Parsed:
    (found,) = items(content, *passwords)
    assert isinstance(found, Parsed)
    return found


def text(content: bytes) -> str:
    return assemble(Source("upload:a.pdf", "application/pdf", content), parsed(content)).text


def set_text(operators: bytes, letters: dict[int, str] = LETTERS) -> str:
    return text(texts.unicode_pdf(b"BT /F1 12 Tf 100 700 Td " + operators + b" ET", letters))


def columns(*lines: tuple[int, list[tuple[int, str]]]) -> bytes:
    """A PDF of lines at a height, each of texts at a place from the left."""
    stream = b"".join(
        b"BT /F1 10 Tf %d %d Td (%s) Tj ET\n" % (left, height, words.encode("cp1252"))
        for height, cells in lines
        for left, words in cells
    )
    return texts.objects_pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 4 0 R>>>>/Contents 5 0 R>>",
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
            b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        ]
    )


def with_catalog(entries: bytes, *more: bytes, info: bytes = b"", pages: int = 1, words: str = "Words.") -> bytes:
    """A PDF of equal pages with entries in its catalog; `more` objects are numbered from 6."""
    stream = b"BT /F1 10 Tf 60 700 Td (%s) Tj ET" % words.encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R%s>>" % entries,
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, b"3 0 R " * pages),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 4 0 R>>>>/Contents 5 0 R>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        *more,
        b"<<%s>>" % info,
    ]
    return texts.objects_pdf(objects, b"/Info %d 0 R" % len(objects))


# ── passwords ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_password_that_none_was_given_for_is_asked_for() -> None:
    with pytest.raises(Encrypted, match="none was given; give its password"):
        items(first.pdf(first.PDF_PAGES, encrypted=True))


def test_wrong_passwords_are_said_to_be_wrong() -> None:
    with pytest.raises(Encrypted, match="of the 2 passwords given none opens it"):
        items(first.pdf(first.PDF_PAGES, encrypted=True), "a", "b")


def test_an_empty_owner_password_opens_a_file_whose_user_password_is_not_known(shared_data: Path) -> None:
    content = (shared_data / "zoo-a" / "files" / "pdf_encrypted_r6.pdf").read_bytes()
    opened = without_password(content)
    assert opened is not None
    assert len(opened) == len(content)
    assert sum(one != other for one, other in zip(content, opened, strict=True)) <= 2 * (48 + 32)  # two entries only
    assert "encryption test" in text(content)


@pytest.mark.parametrize("name", ["pdf_password.pdf", "pdf_plain_2pages.pdf"])
def test_other_files_stay_locked_or_as_they_are(name: str, shared_data: Path) -> None:
    assert without_password((shared_data / "zoo-a" / "files" / name).read_bytes()) is None


# ── the text layer ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_stay_on_lines_and_their_cells_apart() -> None:
    content = columns(
        (700, [(60, "Parts of the order")]),
        (660, [(60, "Part"), (200, "Number"), (300, "Price")]),
        (645, [(60, "Hub of a turbine"), (200, "1"), (300, "$ 7.00")]),
        (630, [(60, "Blade"), (200, "3"), (300, "$ 9.50")]),
        (590, [(60, "All prices are net.")]),
    )
    assert [(block.kind, block.text) for block in parsed(content).blocks] == [
        ("paragraph", "Parts of the order"),
        ("table", "Part | Number | Price\nHub of a turbine | 1 | $ 7.00\nBlade | 3 | $ 9.50"),
        ("paragraph", "All prices are net."),
    ]


def test_a_lone_line_with_wide_blanks_is_no_table() -> None:
    content = columns((700, [(60, "set"), (95, "even"), (135, "words")]), (680, [(60, "and a line below.")]))
    assert [block.kind for block in parsed(content).blocks] == ["paragraph"]
    assert "|" not in text(content)


def test_a_lists_number_far_from_its_text_is_no_cell() -> None:
    content = columns((700, [(60, "1."), (85, "one thing")]), (680, [(60, "2."), (85, "another")]))
    assert [(block.kind, block.text) for block in parsed(content).blocks] == [
        ("list", "1. one thing"),
        ("list", "2. another"),
    ]


@pytest.mark.parametrize(
    "operators",
    [
        b"<000300020001> Tj",  # from left to right, with a ligature
        b"<0003000500040001> Tj",  # the same of single letters
        b"[<0001> 1200 <0004> 1200 <0005> 1200 <0003>] TJ",  # in reading order, each to the left of the one before
        b"[<0001> 1200 <0002> 1200 <0003>] TJ",
        b"<000a00080009> Tj",  # presentation forms
    ],
)
def test_right_to_left_words_read_from_their_first_letter(operators: bytes) -> None:
    assert set_text(operators) == ALEF_WORD


def test_right_to_left_and_latin_words_share_a_line() -> None:
    assert set_text(b"<00030002000100070006> Tj") == f"{ALEF_WORD} a"


def test_hebrew_reads_from_its_first_letter() -> None:
    letters = {1: "ש", 2: "ל", 3: "ו", 4: "ם"}
    assert set_text(b"<0004000300020001> Tj", letters) == "שלום"
    assert set_text(b"[<0001> 1200 <0002> 1200 <0003> 1200 <0004>] TJ", letters) == "שלום"


def test_ligatures_are_letters() -> None:
    assert set_text(b"<0006000b0006000c> Tj") == "afiafl"


def test_a_word_behind_one_glyph_is_not_turned_round(shared_data: Path) -> None:
    found = text((shared_data / "zoo-a" / "files" / "pdf_arabic.pdf").read_bytes())
    assert found.count("حَبيبي") == 2


# ── metadata and outline ────────────────────────────────────────────────────────────────────────────────────────────


def test_metadata() -> None:
    info = (
        b"/Title(Tidal turbines)/Author(A. Mole; B. Rat)/Subject(The sea)/Keywords(sea, energy; moon)"
        b"/CreationDate(D:20260301123000+01'00')/ModDate(D:20260302)"
    )
    found = parsed(with_catalog(b"/Lang(en-GB)", info=info))
    assert found.title == "Tidal turbines"
    assert dict(found.metadata) == {
        "author": "A. Mole, B. Rat",
        "subject": "The sea",
        "keywords": ["sea", "energy", "moon"],
        "created": "2026-03-01T12:30:00+01:00",
        "modified": "2026-03-02",
        "pages": 1,
        "language": "en-GB",
    }


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("D:2026", "2026"),
        ("D:202603", "2026-03"),
        ("D:20260301123059Z", "2026-03-01T12:30:59+00:00"),
        ("D:20260301123059-05'30'", "2026-03-01T12:30:59-05:30"),
        ("20260301123059", "2026-03-01T12:30:59"),
        ("D:20261341", ""),
        ("yesterday", ""),
        ("", ""),
    ],
)
def test_dates(said: str, means: str) -> None:
    assert iso_date(said) == means


def test_the_table_of_contents_makes_headings_of_lines_in_the_texts_own_size() -> None:
    content = with_catalog(
        b"/Outlines 6 0 R",
        b"<</Type/Outlines/First 7 0 R/Last 7 0 R/Count 1>>",
        b"<</Title(WORDS.)/Parent 6 0 R/Dest[3 0 R/XYZ 0 0 0]>>",
    )
    (block,) = parsed(content).blocks
    assert (block.kind, block.text, block.level) == ("heading", "Words.", 1)


# ── attachments ─────────────────────────────────────────────────────────────────────────────────────────────────────


def attached(name: bytes, content: bytes) -> bytes:
    packed = zlib.compress(content)
    return with_catalog(
        b"/Names<</EmbeddedFiles<</Names[(%s) 6 0 R]>>>>" % name,
        b"<</Type/Filespec/F(%s)/UF(%s)/EF<</F 7 0 R>>>>" % (name, name),
        b"<</Type/EmbeddedFile/Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(packed), packed),
    )


def test_attachments_are_documents_of_their_own() -> None:
    content = attached(b"prices.csv", b"part,price\nhub,7\n")
    whole, table = items(content)
    assert isinstance(whole, Parsed)
    assert isinstance(table, Parsed)
    assert (table.fragment, table.name, table.media_type) == ("prices.csv", "prices.csv", "text/csv")
    assert table.blocks[0].text == "part: hub; price: 7"


def test_a_damaged_attachment_does_not_stop_its_file() -> None:
    whole, failed = items(attached(b"broken.docx", b"PK\x03\x04 no archive"))
    assert isinstance(whole, Parsed)
    assert isinstance(failed, Failed)
    assert failed.uri == "upload:a.pdf#broken.docx"


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_that_cannot_be_read_is_named_and_the_others_are_read() -> None:
    content = first.pdf([[(10, f"Page {number} tells of turbines.")] for number in range(1, 4)])
    before, page, after = content.partition(b"7 0 obj\n<</Type/Page/")
    assert page
    whole, failed = items(before + page.replace(b"/Page/", b"/Nope/") + after)
    assert isinstance(whole, Parsed)
    assert [block.page for block in whole.blocks] == [1, 3]
    assert (whole.metadata["pages"], whole.metadata["unreadable_pages"]) == (3, [2])
    assert isinstance(failed, Failed)
    assert failed.uri == "upload:a.pdf#page=2"
    assert "the other pages are" in failed.reason


def test_a_thousand_pages_are_read_and_too_many_refused() -> None:
    assert parsed(with_catalog(b"", pages=1000)).metadata["pages"] == 1000
    with pytest.raises(TooLarge, match="over the limit of 10,000"):
        items(with_catalog(b"", pages=pdf.MAX_PAGES + 1))


# ── scans ───────────────────────────────────────────────────────────────────────────────────────────────────────────

SCAN = texts.scan("Tidal turbines\nharvest the moon")


@needs_tesseract
def test_a_scan_is_read() -> None:
    found = parsed(SCAN)
    assert "Tidal turbines" in found.blocks[0].text
    assert (found.metadata["ocr_pages"], found.blocks[0].page) == ([1], 1)


def test_a_scan_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not ocr.available()
    with pytest.raises(Empty, match="it is a scan and needs OCR; install tesseract-ocr"):
        items(SCAN)
