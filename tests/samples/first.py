"""Samples of txt, md, html, pdf, docx, csv and jsonl."""

import csv
import io

from tests.samples.sample import Sample

MARKDOWN = """---
title: "Tidal turbines"
tags: [energy, sea]
year: 2026
---

# Tidal turbines { #tidal }

They *harvest the moon* from <b>below</b>, in `Nørrebro` and
elsewhere.

- first item
- second item
    - inner item

| part | count |
|------|-------|
| blade | 3 |
| hub | 1 |

```python
def turn(hub):
    return  hub   # two blanks stay
```

/// tip | Good to know

Salt water wears.

///

!!! note "Indented"
    This is no code.

## Costs <your-price>

Low.
"""

HTML = """<!doctype html><html lang="en"><head><title>Tidal turbines | Site</title>
<meta name="author" content="A. Mole"><style>p {color: red}</style></head>
<body><nav><a href="/">Home</a><a href="/b">Menu entry</a></nav>
<main><h1>Tidal turbines</h1><p>They harvest the&nbsp;moon<br>in N&oslash;rrebro.</p><script>alert("x")</script>
<h2>Parts</h2><ul><li>blade<ul><li>tip</li></ul></li><li>hub</li></ul>
<table><tr><th>part</th><th>count</th></tr><tr><td>blade</td><td>3</td></tr></table>
<pre>turn(hub)
  twice</pre></main>
<footer>Imprint</footer></body></html>"""

ROWS = [
    ["part", "place", "note"],
    ["Tidal turbines", "Nørrebro", "harvest the moon; always"],
    ["hub", "Århus", 'one, "only"\nline two'],
    ["blade", "Odense", "three"],
]


def delimited(delimiter: str) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows(ROWS)
    return buffer.getvalue().encode("utf-8")


def jsonl() -> bytes:
    return (
        '{"_id": "d1", "title": "Tidal turbines", "text": "They harvest the moon in Nørrebro.", "metadata": {"y": 1}}\n'
        '{"_id": 2, "title": "", "text": "Second.", "lang": "en"}\n\n'
        '{"id": "three", "headline": "Third", "content": "Another shape.", "n": [1, {"a": null}]}\n'
    ).encode()


def docx(*, empty: bool = False) -> bytes:
    import docx as word

    document = word.Document()
    if not empty:
        document.core_properties.title = "Tidal turbines"
        document.core_properties.author = "A. Mole"
        document.add_heading("Tidal turbines", level=1)
        document.add_paragraph("They harvest the moon.")
        document.add_paragraph("blade", style="List Bullet")
        document.add_paragraph("hub", style="List Bullet")
        table = document.add_table(rows=2, cols=2)
        for cell, text in zip(table._cells, ["part", "place", "hub", "Nørrebro"], strict=True):
            cell.text = text
        document.add_heading("Costs", level=2)
        document.add_paragraph("Low.")
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def pdf(pages: list[list[tuple[int, str]]], *, title: str = "", encrypted: bool = False) -> bytes:
    """A PDF of text lines, (type size, text) from the top of each page down; no lines make a page without text."""
    objects: list[bytes] = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    kids = []
    for lines in pages:
        stream, height = b"", 780
        for size, text in lines:
            escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252")
            stream += b"BT /F1 %d Tf 60 %d Td (%s) Tj ET\n" % (size, height, escaped)
            height -= round(size * 1.3)
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>"
            % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(kids))
    objects.append(b"<</Title(%s)>>" % title.encode("cp1252"))
    trailer = b"/Root 1 0 R/Info %d 0 R" % len(objects)
    if encrypted:  # no password opens this one: its check value belongs to none
        objects.append(b"<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>" % (b"ab" * 32, b"cd" * 32))
        trailer += b"/Encrypt %d 0 R/ID[<%s><%s>]" % (len(objects), b"12" * 16, b"12" * 16)
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d%s>>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        table,
        len(objects) + 1,
        trailer,
        len(out),
    )


PDF_PAGES = [
    [
        (20, "Tidal turbines"),
        (10, "They are set below the water, where nobody sees them, and they harvest the moon with-"),
        (10, "out any noise, as the town of Nørrebro found out when it bought three of them."),
        (14, "Parts of a turbine"),
        (10, "There is a hub."),
    ],
    [(10, "Page two tells the costs, which are low.")],
]

SAMPLES: dict[str, list[Sample]] = {
    "text": [Sample("sea.txt", "Tidal turbines\n\nThey harvest the moon\nin Nørrebro.\n".encode(), "")],
    "markdown": [Sample("sea.md", MARKDOWN.encode(), "Tidal turbines")],
    "html": [Sample("sea.html", HTML.encode(), "Tidal turbines")],
    "pdf": [Sample("sea.pdf", pdf(PDF_PAGES, title="Tidal turbines"), "Tidal turbines")],
    "docx": [Sample("sea.docx", docx(), "Tidal turbines")],
    "csv": [Sample("sea.csv", delimited(","), ""), Sample("sea.tsv", delimited("\t"), "")],
    "jsonl": [Sample("corpus.jsonl", jsonl(), "Tidal turbines", documents=3)],
}
"""By the name of the parser's module."""
