"""What the parsers of Office formats make of their peculiarities: order, tables, notes, passwords, bombs."""

import csv
import io
import zipfile
from pathlib import Path

import pytest

from ingest import media_types, parsers, sources
from ingest.clean import assemble
from ingest.errors import Damaged, Empty, Encrypted, IngestError, TooLarge, Unsupported
from ingest.formats import encrypted, ole, xmltree, zips
from ingest.parsers import xlsx
from ingest.types import Failed, Parsed, Source
from tests.samples import compound, first, office

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def items(name: str, content: bytes, *passwords: str) -> list[Parsed | Failed]:
    source = sources.from_upload(name, content)
    return list(parsers.parse(Source(source.uri, source.media_type, content, passwords)))


def parsed(name: str, content: bytes, *passwords: str) -> Parsed:
    (found,) = items(name, content, *passwords)
    assert isinstance(found, Parsed)
    return found


def blocks(name: str, content: bytes) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in parsed(name, content).blocks]


def locked(content: bytes, password: str) -> bytes:
    """An Office file encrypted with a password."""
    import msoffcrypto
    from msoffcrypto.format.ooxml import OOXMLFile

    assert msoffcrypto.OfficeFile(io.BytesIO(content)).format == "ooxml"
    buffer = io.BytesIO()
    OOXMLFile(io.BytesIO(content)).encrypt(password, buffer)
    return buffer.getvalue()


# ── zip archives ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_member_is_read_up_to_the_limit() -> None:
    with zips.open_zip(office.archive({"a.txt": b"x" * 1000}), "upload:a.zip") as archive:
        info = archive.getinfo("a.txt")
        assert zips.read_member(archive, info, "upload:a.zip", 1000) == b"x" * 1000
        with pytest.raises(TooLarge, match=r"upload:a\.zip.*'a\.txt'.*1,000.*at most 999"):
            zips.read_member(archive, info, "upload:a.zip", 999)


def test_a_member_that_holds_more_than_it_states_is_damaged_and_not_inflated() -> None:
    honest = office.archive({"a.txt": bytes(50_000_000)})
    lying = honest.replace((50_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != honest
    with zips.open_zip(lying, "upload:a.zip") as archive, pytest.raises(Damaged, match=r"a\.txt"):
        zips.read_member(archive, archive.getinfo("a.txt"), "upload:a.zip", 1000)


@pytest.mark.parametrize(
    ("members", "limits", "message"),
    [
        ({f"{n}.txt": b"" for n in range(11)}, {"max_members": 10}, "11 members"),
        ({"a": bytes(600), "b": bytes(600)}, {"max_unpacked": 1000}, "unpacks to 1,200 bytes, at most 1,000"),
        ({"a": bytes(40_000_000)}, {}, "over 200 times"),
    ],
)
def test_archives_over_a_limit_are_refused(members: dict[str, bytes], limits: dict[str, int], message: str) -> None:
    with pytest.raises(TooLarge, match=message):
        zips.open_zip(office.archive(members), "upload:a.zip", **limits)


def test_a_packing_that_cannot_be_stopped_half_way_is_not_unpacked() -> None:
    made = office.archive({"a.txt": b"x" * 100}, method=zipfile.ZIP_BZIP2)
    with zips.open_zip(made, "upload:a.zip") as archive, pytest.raises(Unsupported, match="method 12"):
        zips.read_member(archive, archive.getinfo("a.txt"), "upload:a.zip", 1000)


def test_a_member_with_a_password_is_encrypted_and_a_wrong_checksum_damaged() -> None:
    made = bytearray(office.archive({"a.txt": b"harvest"}, method=zipfile.ZIP_STORED))
    broken = bytes(made).replace(b"harvest", b"harvesT")
    with zips.open_zip(broken, "upload:a.zip") as archive, pytest.raises(Damaged, match="CRC"):
        zips.read_member(archive, archive.getinfo("a.txt"), "upload:a.zip", 1000)
    made[made.find(b"PK\x01\x02") + 8] |= 1  # flags: bit 0 says encrypted
    made[6] |= 1
    with zips.open_zip(bytes(made), "upload:a.zip") as archive, pytest.raises(Encrypted, match="--password"):
        zips.read_member(archive, archive.getinfo("a.txt"), "upload:a.zip", 1000)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive at all", b"PK\x05\x06" + bytes(10)])
def test_what_is_no_archive_is_damaged(content: bytes) -> None:
    with pytest.raises(Damaged, match=r"upload:a\.zip.*get it again"):
        zips.open_zip(content, "upload:a.zip")


@pytest.mark.parametrize("name", ["sea.docx", "sea.pptx", "sea.xlsx", "sea.odt", "sea.epub"])
def test_bombs_are_refused_in_every_zipped_format(name: str) -> None:
    whole = {"sea.docx": first.docx, "sea.pptx": office.pptx, "sea.epub": office.book}
    content = whole[name]() if name in whole else _sample(name)
    part = {"sea.docx": "word/document.xml", "sea.pptx": "ppt/slides/slide1.xml"}.get(name, "content.xml")
    with pytest.raises(TooLarge, match="unpacks to 60,"):
        items(name, office.changed(content, {part: bytes(60_000_000)}))


def _sample(name: str) -> bytes:
    return next(sample.content for found in office.SAMPLES.values() for sample in found if sample.name == name)


# ── XML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

LAUGHS = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "%s">%s]><r>&j;</r>' % (
    b"ha" * 10,
    b"".join(b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 10) for letter in range(ord("b"), ord("k"))),
)
REVEALING = b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><r>&a;</r>'


@pytest.mark.parametrize("content", [LAUGHS, REVEALING, LAUGHS.decode().encode("utf-16")])
def test_entities_are_refused(content: bytes) -> None:
    with pytest.raises(Damaged, match=r"upload:a\.xml.*entities"):
        xmltree.tree(content, "upload:a.xml")


def test_markup_nested_without_end_is_damaged() -> None:
    with pytest.raises(Damaged, match="well-formed"):
        xmltree.tree(b"<a>" * 100_000, "upload:a.xml")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("sea.docx", "word/document.xml"),
        ("sea.docx", "word/comments.xml"),
        ("sea.pptx", "ppt/slides/slide2.xml"),
        ("sea.xlsx", "xl/worksheets/sheet1.xml"),
        ("sea.xlsx", "xl/sharedStrings.xml"),
        ("sea.odt", "content.xml"),
        ("sea.epub", "OEBPS/book.opf"),
    ],
)
def test_entity_bombs_are_refused_in_every_part_that_is_read(name: str, part: str) -> None:
    content = first.docx() if name == "sea.docx" else _sample(name)
    with pytest.raises(Damaged, match="entities"):
        items(name, office.changed(content, {part: LAUGHS}))


def test_an_entity_in_a_chapter_is_not_expanded() -> None:
    made = office.epub({"one.xhtml": "<p>They harvest &a; the moon.</p>"})
    with zipfile.ZipFile(io.BytesIO(made)) as old:
        page = old.read("OEBPS/one.xhtml")
    page = page.replace(b"<html", b'<!DOCTYPE html [<!ENTITY a SYSTEM "file:///etc/passwd">]><html')
    (found,) = blocks("a.epub", office.changed(made, {"OEBPS/one.xhtml": page}))
    assert found == ("paragraph", "They harvest &a; the moon.")


# ── media types ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name", ["sea.xlsx", "sea.xls", "sea.pptx", "sea.odt", "sea.ods", "sea.odp", "sea.epub", "sea.doc"]
)
def test_the_kind_is_told_by_the_content_alone(name: str) -> None:
    assert media_types.of("nameless", _sample(name)) == media_types.of_name(name)


def test_an_archive_that_holds_office_files_is_an_archive() -> None:
    made = office.archive({"report.docx": first.docx(), "sheet.xlsx": _sample("sea.xlsx")}, method=zipfile.ZIP_STORED)
    assert media_types.of("all.zip", made) == "application/zip"


def test_a_web_page_named_xls_is_a_web_page_and_a_binary_workbook_unsupported() -> None:
    assert media_types.of("a.xls", b"<html><table><tr><td>1</td></tr></table></html>") == "text/html"
    with pytest.raises(Unsupported, match="binary"):
        items("a.xlsx", office.archive({"[Content_Types].xml": "<x/>", "xl/workbook.bin": b"\x83\x01"}))


# ── passwords ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["sea.docx", "sea.xlsx", "sea.pptx"])
def test_an_office_file_opens_with_the_right_password(name: str) -> None:
    content = first.docx() if name == "sea.docx" else _sample(name)
    closed = locked(content, "turbine ø")
    assert parsed(name, closed, "wrong", "turbine ø").blocks == parsed(name, content).blocks
    found = parsed("renamed.bin", closed, "turbine ø")
    assert found.media_type == media_types.of_name(name)
    assert assemble(sources.from_upload(name, closed), found).media_type == media_types.of_name(name)


@pytest.mark.parametrize("passwords", [(), ("wrong",), ("", "wrong")])
def test_without_the_right_password_the_remedy_is_named(passwords: tuple[str, ...]) -> None:
    closed = locked(_sample("sea.xlsx"), "right")
    with pytest.raises(Encrypted, match=r"upload:a\.xlsx: it is encrypted.*--password"):
        items("a.xlsx", closed, *passwords)


def test_a_workbook_that_is_only_protected_against_changes_needs_no_password() -> None:
    assert parsed("a.xlsx", locked(_sample("sea.xlsx"), "VelvetSweatshop")).title == "Tidal turbines"


def test_a_password_that_takes_too_long_to_try_is_refused() -> None:
    closed = locked(_sample("sea.xlsx"), "right")
    start, end = closed.index(b"UTF-8"), closed.index(b'spinCount="100000"') + 18
    stated = closed[start:end].replace(b"UTF-8", b"UTF8").replace(b'"100000"', b'"9999999"')
    slow = closed[:start] + stated + closed[end:]
    assert len(slow) == len(closed)
    with pytest.raises(TooLarge, match="9,999,999 rounds"):
        items("a.xlsx", slow, "right")


def test_a_broken_envelope_is_damaged_or_encrypted() -> None:
    closed = compound.compound({"EncryptedPackage": b"\x01" * 5000, "EncryptionInfo": b"\x04\x00\x04\x00<broken"})
    with pytest.raises(Encrypted, match="--password"):
        items("a.docx", closed)
    with pytest.raises(Damaged, match=r"upload:a\.docx.*encryption"):
        items("a.docx", closed, "any")


def test_an_old_document_opens_with_the_right_password() -> None:
    closed = compound.locked_word(office.DOC_LINES, "turbine")
    assert b"harvest" not in closed.replace(b"\x00", b"")
    assert parsed("a.doc", closed, "wrong", "turbine").blocks == parsed("sea.doc", _sample("sea.doc")).blocks
    with pytest.raises(Encrypted, match=r"upload:a\.doc.*--password"):
        items("a.doc", closed, "wrong")


@pytest.mark.parametrize("passwords", [(), ("wrong",)])
def test_an_old_workbook_with_a_password_is_encrypted(passwords: tuple[str, ...]) -> None:
    closed = compound.excel({"S": [["a", "b"]]}, file_pass=b"\x00\x00\x12\x34\x56\x78")
    with pytest.raises(Encrypted, match=r"upload:a\.xls.*--password"):
        items("a.xls", closed, *passwords)


def test_what_is_not_encrypted_is_left_as_it_is() -> None:
    for name in ("sea.doc", "sea.xls", "sea.xlsx"):
        source = sources.from_upload(name, _sample(name))
        assert encrypted.opened(source) is source


def test_books_and_opendocument_files_with_protection_are_named_as_such() -> None:
    marks = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><x:CipherReference '
        'xmlns:x="http://www.w3.org/2001/04/xmlenc#" URI="{}"/></encryption>'
    )
    fonts = office.changed(office.book(), {"META-INF/encryption.xml": marks.format("OEBPS/font.otf")})
    assert parsed("a.epub", fonts).title == "Tidal turbines"
    with pytest.raises(Encrypted, match="protected"):
        items("a.epub", office.changed(office.book(), {"META-INF/encryption.xml": marks.format("OEBPS/one.xhtml")}))
    manifest = "<manifest:manifest xmlns:manifest='urn:m'><manifest:encryption-data/></manifest:manifest>"
    with pytest.raises(Encrypted, match="without a password"):
        items("a.odt", office.changed(_sample("sea.odt"), {"META-INF/manifest.xml": manifest}))


# ── Word ────────────────────────────────────────────────────────────────────────────────────────────────────────────

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def noted() -> bytes:
    """A document with running heads, a comment, a footnote in a list, nested and merged tables, moved text."""
    import docx
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.opc.packuri import PackURI
    from docx.opc.part import Part
    from docx.oxml.parser import parse_xml

    document = docx.Document()
    document.core_properties.author = "A. Mole"
    document.core_properties.keywords = "sea; energy"
    document.sections[0].header.paragraphs[0].text = "Running head"
    document.sections[0].footer.paragraphs[0].text = "7"
    document.add_section().header.paragraphs[0].text = "Running head"
    remark = document.add_paragraph("They harvest the moon.")
    document.add_comment(remark.runs, text="Really?", author="B. Rat")
    item = document.add_paragraph("blade", style="List Bullet")
    item._p.append(parse_xml(f'<w:r xmlns:w="{WORD}"><w:footnoteReference w:id="2"/></w:r>'))
    document.add_paragraph("hub", style="List Bullet")
    notes = (
        f'<w:footnotes xmlns:w="{WORD}"><w:footnote w:id="0" w:type="separator"><w:p/></w:footnote>'
        '<w:footnote w:id="2"><w:p><w:r><w:t>Of steel.</w:t></w:r></w:p></w:footnote></w:footnotes>'
    )
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
    part = Part(PackURI("/word/footnotes.xml"), kind, notes.encode(), document.part.package)
    document.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
    frame = document.add_table(1, 1)
    frame.cell(0, 0).text = "Framed"
    inner = frame.cell(0, 0).add_table(2, 2)
    table = document.add_table(3, 2)
    for where in (inner, table):
        for number, text in enumerate(["part", "count", "hub", "1"]):
            where.cell(number // 2, number % 2).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    table.cell(2, 1).text = "2"
    moved = document.add_paragraph("Here.")
    moved._p.append(parse_xml(f'<w:moveFrom xmlns:w="{WORD}" w:id="9"><w:r><w:t>gone</w:t></w:r></w:moveFrom>'))
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def test_notes_comments_and_running_heads_stand_once_and_in_their_place() -> None:
    found = parsed("a.docx", noted())
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("paragraph", "Running head"),
        ("paragraph", "They harvest the moon."),
        ("paragraph", "Comment by B. Rat: Really?"),
        ("list", "- blade\n- hub"),
        ("paragraph", "[1] Of steel."),
        ("paragraph", "Framed"),
        ("table", "part: hub; count: 1"),
        ("table", "part: hub; count: 1\npart: hub; count: 2"),
        ("paragraph", "Here."),
    ]
    assert found.metadata["author"] == "A. Mole"
    assert found.metadata["keywords"] == ["sea", "energy"]
    assert str(found.metadata["created"]).startswith("20")


def test_a_style_made_from_a_heading_is_one() -> None:
    import docx
    from docx.enum.style import WD_STYLE_TYPE

    document = docx.Document()
    style = document.styles.add_style("Kapitel", WD_STYLE_TYPE.PARAGRAPH)
    style.base_style = document.styles["Heading 2"]
    document.add_paragraph("The sea", style="Kapitel")
    document.add_paragraph("They harvest the moon.")
    buffer = io.BytesIO()
    document.save(buffer)
    first_block, second_block = parsed("a.docx", buffer.getvalue()).blocks
    assert (first_block.kind, first_block.level) == ("heading", 2)
    assert second_block.kind == "paragraph"


def test_a_damaged_part_beside_the_text_is_named_and_the_text_is_read() -> None:
    content = office.changed(noted(), {"word/comments.xml": "<w:comments"})
    found, lost = items("a.docx", content)
    assert isinstance(found, Parsed)
    assert isinstance(lost, Failed)
    assert "They harvest the moon." in [block.text for block in found.blocks]
    assert lost.uri == "upload:a.docx#word/comments.xml"
    with pytest.raises(Damaged, match=r"upload:a\.docx.*document\.xml"):
        items("a.docx", office.changed(noted(), {"word/document.xml": "<w:document"}))


def test_a_cell_over_a_billion_columns_costs_nothing() -> None:
    with zipfile.ZipFile(io.BytesIO(first.docx())) as archive:
        page = archive.read("word/document.xml")
    wide = page.replace(b"<w:tcPr>", b'<w:tcPr><w:gridSpan w:val="1000000000"/>', 1)
    assert wide != page
    assert ("table", "part: hub; place: Nørrebro") in blocks(
        "a.docx", office.changed(first.docx(), {"word/document.xml": wide})
    )


def test_strict_office_files_are_read_too() -> None:
    with zipfile.ZipFile(io.BytesIO(first.docx())) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    strict = {
        name: body.replace(
            b"http://schemas.openxmlformats.org/officeDocument/2006/", b"http://purl.oclc.org/ooxml/officeDocument/"
        ).replace(
            b"http://schemas.openxmlformats.org/wordprocessingml/2006/", b"http://purl.oclc.org/ooxml/wordprocessingml/"
        )
        for name, body in parts.items()
        if name.endswith((".xml", ".rels"))
    }
    assert strict["word/document.xml"] != parts["word/document.xml"]
    assert blocks("a.docx", office.changed(first.docx(), strict)) == blocks("a.docx", first.docx())


def test_old_word_documents() -> None:
    assert blocks("sea.doc", _sample("sea.doc")) == [
        ("heading", "Tidal turbines"),
        ("paragraph", "They harvest the moon in Nørrebro."),
        ("table", "part: hub"),
        ("heading", "Costs"),
        ("paragraph", "Low.\n東京"),
    ]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (compound.word([compound.Line("\r")]), Empty, "no text"),
        (compound.compound({"Other": b"x"}), Damaged, "no Word document"),
        (compound.compound({"WordDocument": b"\xdc\xa5" + bytes(5000)}), Unsupported, "older than Word 97"),
        (compound.compound({"WordDocument": b"\xec\xa5" + bytes(5000), "0Table": b""}), Damaged, "piece table"),
        (b"Just words.", Damaged, "cut off or damaged"),
        (ole.MAGIC + bytes(3000), Damaged, "cut off or damaged"),
    ],
)
def test_bad_old_word_documents_say_why(content: bytes, error: type[IngestError], message: str) -> None:
    with pytest.raises(error, match=rf"upload:a\.doc.*{message}"):
        list(parsers.parse(Source("upload:a.doc", "application/msword", content)))


def test_pieces_that_overlap_do_not_multiply_the_text() -> None:
    made = compound.word([compound.Line("x" * 3000 + "\r"), compound.Line("y\r")])
    ends = made.find((3001).to_bytes(4, "little") + (3003).to_bytes(4, "little"))
    assert ends > 0
    more = made[:ends] + (10**9).to_bytes(4, "little") + (10**9 + 2).to_bytes(4, "little") + made[ends + 8 :]
    with pytest.raises(Damaged, match="more characters than the file has"):
        items("a.doc", more)


# ── sheets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_workbooks() -> None:
    found = parsed("sea.xlsx", _sample("sea.xlsx"))
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("heading", "Parts"),
        ("table", "part: Tidal turbines; count: 3; since: 2026-02-01\npart: hub; count: 0.5"),
        ("heading", "Places"),
        ("table", "place: Nørrebro; note: harvest the moon"),
    ]
    assert found.metadata["sheet"] == ["Parts", "Places"]
    assert found.metadata["author"] == "A. Mole"
    assert found.metadata["created"] == "2026-03-01T12:30:00+00:00"
    assert found.metadata["keywords"] == ["sea", "energy"]


def test_old_workbooks() -> None:
    assert blocks("sea.xls", _sample("sea.xls")) == [
        ("heading", "Parts"),
        ("table", "part: Tidal turbines; count: 3; since: 2026-02-01; sold: TRUE"),
        ("heading", "Places"),
        ("table", "place: Nørrebro; note: harvest the moon"),
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [["Sales of 2026", None], [None, None], ["part", "sold"], ["hub", 2]],
            ["Sales of 2026", "part: hub; sold: 2"],
        ),
        ([["hub", 1], ["blade", 3]], ["hub | 1\nblade | 3"]),
        ([["a", "a"], ["b", "c"]], ["a | a\nb | c"]),
        ([[None, None, "part", None, "sold"], [None, None, "hub", None, 0.1 + 0.2]], ["part: hub; sold: 0.3"]),
        ([["only words"]], ["only words"]),
        ([["one"], ["two"]], ["one: two"]),
    ],
)
def test_headers_of_sheets(rows: list[list[office.Cell]], expected: list[str]) -> None:
    assert [text for _, text in blocks("a.xlsx", office.xlsx({"S": rows}))] == ["S", *expected]


def test_nothing_is_said_of_a_workbook_that_it_does_not_say() -> None:
    bare = office.changed(_sample("sea.xlsx"), {"docProps/core.xml": None})
    assert dict(parsed("a.xlsx", bare).metadata) == {"sheet": ["Parts", "Places"]}


def test_empty_workbooks_are_empty() -> None:
    with pytest.raises(Empty, match=r"upload:a\.xlsx.*no filled cells"):
        items("a.xlsx", office.xlsx({"S": []}))
    with pytest.raises(Empty, match=r"upload:a\.xls.*no filled cells"):
        items("a.xls", compound.excel({"S": []}))


SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<dimension ref="A1:XFD1048576"/><sheetData>{}</sheetData></worksheet>'
)


def sheet(rows: str) -> bytes:
    return office.changed(_sample("sea.xlsx"), {"xl/worksheets/sheet1.xml": SHEET.format(rows)})


def test_a_sheet_of_seventeen_billion_cells_with_two_filled() -> None:
    far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    assert blocks("a.xlsx", sheet(far))[:2] == [("heading", "Parts"), ("table", "1\n | 2")]


def test_a_sheet_that_is_wide_in_every_row_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_PLACES", 1_000_000)
    wide = "".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(1, 100))
    with pytest.raises(TooLarge, match="'Parts'"):
        items("a.xlsx", sheet(wide))


def test_a_damaged_sheet_is_named_and_the_others_are_read() -> None:
    broken = office.changed(_sample("sea.xlsx"), {"xl/worksheets/sheet1.xml": SHEET.format("<row><c></row>")})
    found, lost = items("a.xlsx", broken)
    assert isinstance(found, Parsed)
    assert isinstance(lost, Failed)
    assert [block.text for block in found.blocks] == ["Places", "place: Nørrebro; note: harvest the moon"]
    assert "'Parts'" in lost.reason


def test_opendocument_sheets() -> None:
    found = parsed("sea.ods", _sample("sea.ods"))
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("heading", "Parts"),
        ("table", "part: Tidal turbines; count: 1234.5; since: 2026-02-01"),
        ("heading", "Places"),
        ("table", "Nørrebro | harvest the moon"),
    ]
    assert dict(found.metadata) == {"sheet": ["Parts", "Places"]}


def test_a_cell_repeated_a_million_times_by_a_million_is_cut() -> None:
    body = (
        '<office:spreadsheet><table:table table:name="S"><table:table-row table:number-rows-repeated="1000000">'
        '<table:table-cell table:number-columns-repeated="10000"><text:p>x</text:p></table:table-cell>'
        "</table:table-row></table:table></office:spreadsheet>"
    )
    found = parsed("a.ods", office.odf("spreadsheet", body))
    assert len(found.blocks[1].text) < 5_000_000


# ── slides ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_slides() -> None:
    found = parsed("sea.pptx", _sample("sea.pptx"))
    assert [(block.page, block.kind, block.text) for block in found.blocks] == [
        (1, "heading", "Tidal turbines"),
        (1, "list", "- They harvest the moon\n  - in Nørrebro"),
        (1, "paragraph", "Notes: Speak slowly."),
        (2, "heading", "Parts"),
        (2, "table", "part: hub; count: 1"),
        (2, "paragraph", "grouped words"),
        (2, "table", "2025; sold: 3\n2026; sold: 4.5"),
    ]
    assert found.metadata["slides"] == 2
    assert found.metadata["author"] == "A. Mole"


@pytest.mark.parametrize("damage", ["", "<p:sld", "nothing like XML"])
def test_a_damaged_slide_is_named_and_the_others_are_read(damage: str) -> None:
    found, *lost = items("a.pptx", office.changed(_sample("sea.pptx"), {"ppt/slides/slide1.xml": damage}))
    assert isinstance(found, Parsed)
    assert [block.text for block in found.blocks if block.kind == "heading"] == ["Parts"]
    assert {block.page for block in found.blocks if block.kind == "heading"} == {2}
    assert ["slide1.xml" in item.uri for item in lost if isinstance(item, Failed)] == [True]


def test_a_slide_that_is_missing_is_named() -> None:
    found, *lost = items("a.pptx", office.changed(_sample("sea.pptx"), {"ppt/slides/slide1.xml": None}))
    assert isinstance(found, Parsed)
    assert found.blocks[0].text == "Parts"
    assert [item.uri for item in lost if isinstance(item, Failed)] == ["upload:a.pptx#slide=1"]


def test_a_chart_of_a_billion_points_costs_that_chart_only() -> None:
    with zipfile.ZipFile(io.BytesIO(_sample("sea.pptx"))) as archive:
        (name,) = [name for name in archive.namelist() if name.startswith("ppt/charts/chart")]
        chart = archive.read(name).replace(b'<c:ptCount val="2"/>', b'<c:ptCount val="2000000000"/>')
    found, lost = items("a.pptx", office.changed(_sample("sea.pptx"), {name: chart}))
    assert isinstance(found, Parsed)
    assert isinstance(lost, Failed)
    assert found.blocks[-1].text == "grouped words"
    assert "chart" in lost.reason


def test_a_deck_without_text_is_empty() -> None:
    import pptx

    buffer = io.BytesIO()
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[6])
    deck.save(buffer)
    with pytest.raises(Empty, match=r"upload:a\.pptx.*OCR"):
        items("a.pptx", buffer.getvalue())


def test_opendocument_slides() -> None:
    found = parsed("sea.odp", _sample("sea.odp"))
    assert [(block.page, block.kind, block.text) for block in found.blocks] == [
        (1, "heading", "Tidal turbines"),
        (1, "paragraph", "They harvest the moon"),
        (1, "paragraph", "Notes: Speak slowly."),
        (2, "paragraph", "in Nørrebro"),
    ]


# ── OpenDocument texts, books, RTF ──────────────────────────────────────────────────────────────────────────────────


def test_opendocument_texts() -> None:
    found = parsed("sea.odt", _sample("sea.odt"))
    assert [(block.kind, block.level, block.text) for block in found.blocks] == [
        ("paragraph", 0, "Running head"),
        ("heading", 1, "Tidal turbines"),
        ("paragraph", 0, "They harvest the moon in Nørrebro."),
        ("paragraph", 0, "[1] At night."),
        ("paragraph", 0, "Comment by B. Rat: Really?"),
        ("list", 0, "- blade\n  - tip\n- hub"),
        ("table", 0, "part: hub; count: 1"),
        ("heading", 2, "Costs"),
        ("paragraph", 0, "Low."),
        ("paragraph", 0, "boxed words"),
    ]
    assert dict(found.metadata) == {
        "author": "A. Mole",
        "created": "2026-03-01T12:30:00.123456",
        "modified": "2026-03-02T08:00:00+00:00",
        "keywords": ["sea", "energy"],
        "language": "da-DK",
    }


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({"content.xml": None}, Damaged, "no content.xml"),
        ({"content.xml": "<a><b></a>"}, Damaged, "well-formed"),
        ({"content.xml": "<a/>"}, Damaged, "no body"),
        ({"content.xml": "<a><body><text><p/></text></body></a>", "styles.xml": "<"}, Empty, "no text"),
    ],
)
def test_bad_opendocument_files_say_why(members: dict[str, str], error: type[IngestError], message: str) -> None:
    with pytest.raises(error, match=rf"upload:a\.odt.*{message}"):
        items("a.odt", office.changed(_sample("sea.odt"), members))


def test_books() -> None:
    found = parsed("sea.epub", _sample("sea.epub"))
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("heading", "The sea"),
        ("paragraph", "They harvest the moon."),
        ("list", "- blade\n- hub"),
        ("heading", "The town"),
        ("paragraph", "In Nørrebro."),
    ]
    assert found.title == "Tidal turbines"
    assert dict(found.metadata) == {
        "author": "A. Mole, B. Rat",
        "modified": "2026-03-01T12:30:00+00:00",
        "published": "2026-03",
        "keywords": ["sea"],
        "language": "en",
    }


def test_a_missing_chapter_is_named_and_the_others_are_read() -> None:
    found, lost = items("a.epub", office.changed(office.book(), {"OEBPS/one.xhtml": None}))
    assert isinstance(found, Parsed)
    assert isinstance(lost, Failed)
    assert found.blocks[0].text == "The town"
    assert "OEBPS/one.xhtml" in lost.reason


def test_a_book_cannot_reach_out_of_itself() -> None:
    made = office.epub({"../../etc/passwd": "<p>no</p>"})
    with pytest.raises(Damaged, match="etc/passwd"):
        items("a.epub", made)


def test_a_book_without_words_is_empty_and_one_without_a_package_damaged() -> None:
    with pytest.raises(Empty, match="OCR"):
        items("a.epub", office.epub({"one.xhtml": '<img src="cover.jpg"/>'}))
    with pytest.raises(Damaged, match=r"book\.opf"):
        items("a.epub", office.changed(office.book(), {"OEBPS/book.opf": None}))


def test_rich_text() -> None:
    found = parsed("sea.rtf", _sample("sea.rtf"))
    assert [(block.kind, block.level, block.text) for block in found.blocks] == [
        ("heading", 1, "Tidal turbines"),
        ("paragraph", 0, "They harvest the moon in Nørrebro —slowly."),
        ("table", 0, "part: hub; count: 1"),
        ("heading", 2, "Costs"),
        ("paragraph", 0, "Low."),
    ]
    assert dict(found.metadata) == {
        "author": "A. Møle",
        "created": "2026-03-01T12:30:00",
        "modified": "2026-03-02",
        "keywords": ["sea", "energy"],
    }


@pytest.mark.parametrize(
    ("content", "error"), [(rb"{\rtf1\ansi }", Empty), (rb"{\rtf1" + b"{" * 100_000, Empty), (b"plain", Damaged)]
)
def test_bad_rich_text_says_why(content: bytes, error: type[IngestError]) -> None:
    with pytest.raises(error, match=r"upload:a\.rtf"):
        list(parsers.parse(Source("upload:a.rtf", "application/rtf", content)))


# ── real files ──────────────────────────────────────────────────────────────────────────────────────────────────────

SUFFIXES = (".docx", ".pptx", ".xlsx", ".xls", ".odt", ".epub", ".rtf", ".doc")
PASSWORDS = {"docx_encrypted.docx": "Password1234_"}
REFUSED = {"docx_truncated.docx": Damaged, "xlsx_encrypted.xlsx": Encrypted, "xlsx_empty.xlsx": Empty}


def test_the_office_files_of_the_zoo_meet_their_expectations(shared_data: Path) -> None:
    folder = shared_data / "zoo-a"
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["file"].endswith(SUFFIXES)]
    assert len(rows) >= 16
    for row in rows:
        name = row["file"]
        content = (folder / "files" / name).read_bytes()
        if name in REFUSED:
            with pytest.raises(REFUSED[name], match=name):
                items(name, content)
            continue
        found = parsed(name, content, *([PASSWORDS[name]] if name in PASSWORDS else []))
        text = assemble(sources.from_upload(name, content), found).text
        words = row["probe_words"].split()
        assert words
        assert sum(word in text for word in words) * 3 >= 2 * len(words), (name, words)


def test_real_files_say_who_wrote_them(shared_data: Path) -> None:
    folder = shared_data / "zoo-a" / "files"
    authors = {
        "docx_rich.docx": "Adam Fourney",
        "xls_legacy.xls": "Adam Fourney",
        "doc_legacy.doc": "Mr. Miagi",
        "pptx_malformed.pptx": "Heather Hoyt",
        "epub_small.epub": "Test Author",
    }
    for name, author in authors.items():
        found = parsed(name, (folder / name).read_bytes())
        assert found.metadata["author"] == author
        assert str(found.metadata["modified"]).startswith("20")
