"""Samples of Excel, PowerPoint, OpenDocument, electronic books, RTF and old Word."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime

from tests.samples import compound
from tests.samples.sample import Sample

OFFICE = "urn:oasis:names:tc:opendocument:xmlns"
_SPACES = " ".join(
    f'xmlns:{short}="{OFFICE}:{name}:1.0"'
    for short, name in [
        ("office", "office"),
        ("text", "text"),
        ("table", "table"),
        ("draw", "drawing"),
        ("presentation", "presentation"),
        ("meta", "meta"),
        ("style", "style"),
    ]
)
_DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'

Cell = str | float | bool | datetime | None


def archive(members: Mapping[str, str | bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive; a member called "mimetype" is stored, as the formats want it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as target:
        for name, content in members.items():
            target.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else method)
    return buffer.getvalue()


def changed(content: bytes, members: Mapping[str, str | bytes | None]) -> bytes:
    """An archive with some of its members replaced, added or (None) left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        whole: dict[str, str | bytes | None] = {name: old.read(name) for name in old.namelist()}
    return archive({name: body for name, body in (whole | dict(members)).items() if body is not None})


def xlsx(sheets: Mapping[str, Sequence[Sequence[Cell]]], *, title: str = "", creator: str = "A. Mole") -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.properties.title = title or None
    book.properties.creator = creator
    book.properties.keywords = "sea, energy"
    book.properties.created = datetime(2026, 3, 1, 12, 30)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


SHEETS: dict[str, Sequence[Sequence[Cell]]] = {
    "Parts": [["part", "count", "since"], ["Tidal turbines", 3, datetime(2026, 2, 1)], ["hub", 0.5, None]],
    "Places": [["place", "note"], ["Nørrebro", "harvest the moon"]],
}


def pptx() -> bytes:
    """Slides with a title, points, a table, a chart, a group, notes, and a foot on each."""
    import pptx as powerpoint
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    deck = powerpoint.Presentation()
    deck.core_properties.title = "Tidal turbines"
    deck.core_properties.author = "A. Mole"
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Tidal turbines"
    frame = first.placeholders[1].text_frame
    frame.text = "They harvest the moon"
    inner = frame.add_paragraph()
    inner.text, inner.level = "in Nørrebro", 1
    first.notes_slide.notes_text_frame.text = "Speak slowly."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Parts"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    for number, text in enumerate(["part", "count", "hub", "1"]):
        table.cell(number // 2, number % 2).text = text
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "grouped words"
    data = CategoryChartData()
    data.categories = ["2025", "2026"]
    data.add_series("sold", (3, 4.5))
    second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, Inches(3), Inches(3), data)
    buffer = io.BytesIO()
    deck.save(buffer)
    return buffer.getvalue()


def odf(kind: str, body: str, *, meta: str = "", styles: str = "") -> bytes:
    """An OpenDocument file: the inside of office:body, of office:meta and of styles.xml."""
    return archive(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content {_SPACES} {_DC}><office:body>{body}</office:body>"
            "</office:document-content>",
            "meta.xml": f"<office:document-meta {_SPACES} {_DC}><office:meta>{meta}</office:meta>"
            "</office:document-meta>",
            "styles.xml": f"<office:document-styles {_SPACES} {_DC}>{styles}</office:document-styles>",
        }
    )


ODT_BODY = """<office:text><text:tracked-changes><text:p>deleted words</text:p></text:tracked-changes>
<text:h text:outline-level="1">Tidal turbines</text:h>
<text:p>They <text:span>harvest
  the</text:span><text:s text:c="3"/>moon<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>At
night.</text:p></text:note-body></text:note> in Nørrebro.<office:annotation><dc:creator>B. Rat</dc:creator>
<text:p>Really?</text:p></office:annotation></text:p>
<text:list><text:list-item><text:p>blade</text:p><text:list><text:list-item><text:p>tip</text:p></text:list-item>
</text:list></text:list-item><text:list-item><text:p>hub</text:p></text:list-item></text:list>
<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>part</text:p></table:table-cell>
<table:table-cell><text:p>count</text:p></table:table-cell></table:table-row></table:table-header-rows>
<table:table-row><table:table-cell><text:p>hub</text:p></table:table-cell><table:table-cell><text:p>1</text:p>
</table:table-cell></table:table-row></table:table>
<text:section><text:h text:outline-level="2">Costs</text:h><text:p>Low.<draw:frame><draw:text-box><text:p>boxed
words</text:p></draw:text-box></draw:frame></text:p></text:section></office:text>"""
ODT_META = """<dc:title>Tidal turbines</dc:title><meta:initial-creator>A. Mole</meta:initial-creator><dc:creator>B. Rat
</dc:creator><meta:creation-date>2026-03-01T12:30:00.123456789</meta:creation-date><dc:date>2026-03-02T08:00:00Z</dc:date>
<meta:keyword>sea</meta:keyword><meta:keyword>energy</meta:keyword><dc:language>da-DK</dc:language>"""
ODT_STYLES = """<office:master-styles><style:master-page><style:header><text:p>Running head</text:p></style:header>
<style:footer><text:p>7</text:p></style:footer></style:master-page><style:master-page><style:header>
<text:p>Running head</text:p></style:header></style:master-page></office:master-styles>"""

ODS_BODY = """<office:spreadsheet><table:table table:name="Parts"><table:table-row>
<table:table-cell><text:p>part</text:p></table:table-cell><table:table-cell><text:p>count</text:p></table:table-cell>
<table:table-cell><text:p>since</text:p></table:table-cell>
<table:table-cell table:number-columns-repeated="16381"/></table:table-row>
<table:table-row><table:table-cell><text:p>Tidal turbines</text:p></table:table-cell>
<table:table-cell office:value-type="float" office:value="1234.5"><text:p>1.234,50</text:p></table:table-cell>
<table:table-cell office:value-type="date" office:date-value="2026-02-01"><text:p>1. feb.</text:p></table:table-cell>
</table:table-row><table:table-row table:number-rows-repeated="1048573">
<table:table-cell table:number-columns-repeated="16384"/></table:table-row></table:table>
<table:table table:name="Places"><table:table-row><table:table-cell><text:p>Nørrebro</text:p></table:table-cell>
<table:table-cell><text:p>harvest the moon</text:p></table:table-cell></table:table-row></table:table>
</office:spreadsheet>"""

ODP_BODY = """<office:presentation><draw:page><draw:frame><draw:text-box><text:p>They harvest the moon</text:p>
</draw:text-box></draw:frame><draw:frame presentation:class="title"><draw:text-box><text:p>Tidal turbines</text:p>
</draw:text-box></draw:frame><presentation:notes><draw:frame><draw:text-box><text:p>Speak slowly.</text:p>
</draw:text-box></draw:frame></presentation:notes></draw:page>
<draw:page><draw:g><draw:custom-shape><text:p>in Nørrebro</text:p></draw:custom-shape></draw:g></draw:page>
</office:presentation>"""


def epub(chapters: Mapping[str, str], *, extra: Mapping[str, str | bytes] | None = None, ncx: str = "") -> bytes:
    """A book with its chapters' XHTML bodies by file name, in the order of the spine."""
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="i{n}"/>' for n in range(len(chapters)))
    package = f"""<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata {_DC}>
<dc:title>Tidal turbines</dc:title><dc:creator>A. Mole</dc:creator><dc:creator>B. Rat</dc:creator>
<dc:language>en</dc:language><dc:subject>sea</dc:subject><dc:date>2026-03</dc:date>
<meta property="dcterms:modified">2026-03-01T12:30:00Z</meta></metadata>
<manifest>{items}<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/></manifest>
<spine toc="ncx">{spine}</spine></package>"""
    pages = {
        f"OEBPS/{name}": f'<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/>'
        f"</head><body>{body}</body></html>"
        for name, body in chapters.items()
    }
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
            "OEBPS/book.opf": package,
            "OEBPS/toc.ncx": f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{ncx}</navMap></ncx>',
            **pages,
            **(extra or {}),
        }
    )


CHAPTERS = {
    "one.xhtml": "<h1>The sea</h1><p>They harvest the moon.</p><ul><li>blade</li><li>hub</li></ul>",
    "two%20b.xhtml": '<a id="x"/><p>In Nørrebro.</p>',
}
NCX = '<navPoint><navLabel><text>The town</text></navLabel><content src="two%20b.xhtml#x"/></navPoint>'


def book() -> bytes:
    made = epub(CHAPTERS, ncx=NCX)
    with zipfile.ZipFile(io.BytesIO(made)) as old:
        page = old.read("OEBPS/two%20b.xhtml")
    return changed(made, {"OEBPS/two%20b.xhtml": None, "OEBPS/two b.xhtml": page})


RTF = (
    rb"""{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Times;}}{\info{\title Tidal turbines}{\author A. M\'f8le}
{\keywords sea, energy}{\creatim\yr2026\mo3\dy1\hr12\min30}{\revtim\yr2026\mo3\dy2}}
{\header Running head\par}\pard\plain\outlinelevel0 Tidal turbines\par
\pard\plain They {\b harvest the moon} in N\'f8rrebro \u8212 ?slowly.\par
{\pict\pngblip """
    + b"89504e470d0a1a0a" * 60
    + rb"""}
\trowd\cellx1000\cellx2000\intbl part\cell count\cell\row
\trowd\cellx1000\cellx2000\intbl hub\cell 1\cell\row
\pard\plain\outlinelevel1 Costs\par
\pard\plain Low.{\bin5 {{{{{}\par}"""
)

DOC_LINES = [
    compound.Line("Tidal turbines\r", style=1),
    compound.Line('They harvest the \x13 HYPERLINK "x" \x14moon\x15 in Nørrebro.\r'),
    compound.Line("part\x07", properties=compound.CELL),
    compound.Line("count\x07", properties=compound.CELL),
    compound.Line("\x07", properties=compound.ROW),
    compound.Line("hub\x07", properties=compound.CELL),
    compound.Line("\x07", properties=compound.CELL),
    compound.Line("\x07", properties=compound.ROW),
    compound.Line("Costs\r", style=2),
    compound.Line("Low.\x01\x0b東京\r"),
]

SHEETS_97: dict[str, Sequence[Sequence[compound.Value | None]]] = {
    "Parts": [["part", "count", "since", "sold"], ["Tidal turbines", 3.0, 46054.0, True]],
    "Places": [["place", "note"], ["Nørrebro", "harvest the moon"]],
}

SAMPLES: dict[str, list[Sample]] = {
    "xlsx": [Sample("sea.xlsx", xlsx(SHEETS, title="Tidal turbines"), "Tidal turbines")],
    "xls": [Sample("sea.xls", compound.excel(SHEETS_97, dates=[(1, 2)]), "")],
    "pptx": [Sample("sea.pptx", pptx(), "Tidal turbines")],
    "odf": [
        Sample("sea.odt", odf("text", ODT_BODY, meta=ODT_META, styles=ODT_STYLES), "Tidal turbines"),
        Sample("sea.ods", odf("spreadsheet", ODS_BODY), ""),
        Sample("sea.odp", odf("presentation", ODP_BODY), "Tidal turbines"),
    ],
    "epub": [Sample("sea.epub", book(), "Tidal turbines")],
    "rtf": [Sample("sea.rtf", RTF, "Tidal turbines")],
    "doc": [Sample("sea.doc", compound.word(DOC_LINES), "Tidal turbines")],
}
