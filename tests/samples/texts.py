"""Samples of json, ipynb, xml, rst, asciidoc, source code and images; PDFs with fonts that have no Latin letters."""

import io
import json

from tests.samples.sample import Sample

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Tidal turbines\n", "\n", "They *harvest the moon*."]},
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {},
            "source": "place = 'Nørrebro'\nprint(place)",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["Nørrebro\n"]},
                {"output_type": "execute_result", "data": {"text/plain": "42", "image/png": "AAAA"}, "metadata": {}},
                {"output_type": "error", "ename": "KeyError", "evalue": "'hub'", "traceback": ["\x1b[0;31mKeyError"]},
            ],
        },
        {"cell_type": "raw", "metadata": {}, "source": "Raw words."},
    ],
    "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "authors": [{"name": "A. Mole"}, {"name": "B. Rat"}],
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}

JSON = {
    "title": "Tidal turbines",
    "place": {"city": "Nørrebro", "coast": None},
    "parts": [{"name": "hub", "count": 1}, {"name": "blade", "count": 3, "sharp": True}],
    "tags": ["energy", "sea"],
    "story": "They harvest the moon " + "again and " * 20 + "again.",
}

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel><title>Sea news</title><language>en-GB</language>
<item><title>Tidal turbines</title><link>https://sea.example/1</link><guid>sea-1</guid><dc:creator>A. Mole</dc:creator>
<pubDate>Tue, 03 Mar 2026 10:00:00 +0100</pubDate><category>energy</category><category>sea</category>
<description>&lt;p&gt;They harvest the moon in &lt;b&gt;Nørrebro&lt;/b&gt;.&lt;/p&gt;
&lt;ul&gt;&lt;li&gt;hub&lt;/li&gt;&lt;/ul&gt;</description></item>
<item><title>Second</title><link>https://sea.example/2</link></item>
</channel></rss>"""

ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="da"><title>Sea news</title>
<entry><title>Tidal turbines</title><id>tag:sea,1</id><link rel="self" href="https://sea.example/self"/>
<link href="https://sea.example/1"/><author><name>A. Mole</name></author><published>2026-03-03T10:00:00Z</published>
<updated>2026-03-04T10:00:00Z</updated><content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>They harvest
the moon in Nørrebro.</p><p>Again.</p></div></content></entry></feed>"""

XML = """<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE report [<!ENTITY firm "Mole og S&#248;n">]>
<report xml:lang="en"><title>Tidal turbines</title>
<section><title>Use</title><para>They <emphasis>harvest the moon</emphasis> for &firm;.</para></section>
<parts><part id="7"><name>hub</name><place>Nørrebro</place></part><part id="8"><name>blade</name></part></parts>
<programlisting>turn(hub)
  twice</programlisting></report>"""

RST = """\
==============
Tidal turbines
==============

:Author: A. Mole
:Date: 2026-03-01

They *harvest the moon* from ``below``, in `Nørrebro <https://n.example>`_
and |where|.

.. |where| replace:: elsewhere

Parts
-----

- hub

  - inner hub

- blade

.. code-block:: python
   :linenos:

   def turn(hub):
       return  hub

.. note:: Salt water
   wears.

.. raw:: html

   <script>evil()</script>

.. include:: /etc/passwd

.. a comment

+-------+-------+
| part  | count |
+=======+=======+
| blade | 3     |
+-------+-------+

=====  ====
where  what
=====  ====
sea    hub
=====  ====

.. csv-table:: Prices
   :header: "part", "price"

   "hub", "7"

Turning
    What a hub does.

As in::

    turn(hub)
"""

ASCIIDOC = """\
= Tidal turbines
A. Mole <mole@sea.example>
2026-03-01
:town: Nørrebro
:keywords: sea, energy

They *harvest the moon* in {town}, see https://n.example[the site] and <<parts,Parts>>.

// a comment
include::/etc/passwd[]

[[parts]]
== Parts

* hub
** inner hub
. first
+
NOTE: Salt water wears.

[source,python]
----
def turn(hub):
    return  hub
----

.The parts
[cols="1,1",options="header"]
|===
|part |count
|blade |3
|hub |1
|===

Hub:: It turns.

image::hub.png[A drawing of a hub, width=20]
"""

CODE = '''"""Tidal turbines harvest the moon in Nørrebro."""

import sea


class Hub:
    """It turns."""

    def turn(self):
        if sea:

            return 1


def blades():
    return 3
'''


def unicode_pdf(stream: bytes, letters: dict[int, str]) -> bytes:
    """A PDF of one page whose glyphs stand for the given letters, 600 thousandths of the type size wide each."""
    pairs = "\n".join(f"<{code:04x}> <{text.encode('utf-16-be').hex()}>" for code, text in letters.items())
    table = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def "
        f"1 begincodespacerange <0000> <ffff> endcodespacerange {len(letters)} beginbfchar\n{pairs}\n"
        "endbfchar endcmap end end"
    ).encode()
    return objects_pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 4 0 R>>>>/Contents 7 0 R>>",
            b"<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H/DescendantFonts[5 0 R]/ToUnicode 6 0 R>>",
            b"<</Type/Font/Subtype/CIDFontType2/BaseFont/X/DW 600/FontDescriptor 8 0 R"
            b"/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>>>",
            b"<</Length %d>>stream\n%s\nendstream" % (len(table), table),
            b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
            b"<</Type/FontDescriptor/FontName/X/Flags 4/FontBBox[0 -200 1000 900]/ItalicAngle 0/Ascent 900"
            b"/Descent -200/CapHeight 700/StemV 80>>",
        ]
    )


def objects_pdf(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    out, offsets = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    entries = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF" % (
        size,
        entries,
        size,
        trailer,
        len(out),
    )


def picture(text: str, kind: str = "PNG", *, size: int = 40, frames: int = 1) -> bytes:
    """An image of lines of text, black on white."""
    from PIL import Image, ImageDraw, ImageFont

    lines = text.split("\n")
    font = ImageFont.load_default(size)
    images = []
    for _ in range(frames):
        image = Image.new("RGB", (size * max(map(len, lines)), size * 2 * (len(lines) + 1)), "white")
        draw = ImageDraw.Draw(image)
        for number, line in enumerate(lines):
            draw.text((size, size * (2 * number + 1)), line, fill="black", font=font)
        images.append(image)
    buffer = io.BytesIO()
    images[0].save(buffer, kind, **({"save_all": True, "append_images": images[1:]} if frames > 1 else {}))
    return buffer.getvalue()


def scan(text: str) -> bytes:
    """A PDF whose one page is a picture of the text."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(picture(text))) as image:
        image.save(buffer, "PDF", resolution=150)
    return buffer.getvalue()


SAMPLES: dict[str, list[Sample]] = {
    "ipynb": [Sample("sea.ipynb", json.dumps(NOTEBOOK).encode(), "Tidal turbines")],
    "json": [
        Sample("sea.json", json.dumps(JSON).encode(), "Tidal turbines"),
        Sample(
            "records.json",
            json.dumps(
                [
                    {"id": "d1", "title": "Tidal turbines", "text": "They harvest the moon.", "year": 2026},
                    {"id": "d2", "title": "Second", "text": "Nørrebro."},
                ]
            ).encode(),
            "Tidal turbines",
            documents=2,
        ),
    ],
    "xml": [
        Sample("report.xml", XML.encode("iso-8859-1"), "Tidal turbines"),
        Sample("news.rss", RSS.encode(), "Tidal turbines", documents=2),
        Sample("news.atom", ATOM.encode(), "Tidal turbines"),
    ],
    "rst": [Sample("sea.rst", RST.encode(), "Tidal turbines")],
    "asciidoc": [Sample("sea.adoc", ASCIIDOC.encode(), "Tidal turbines")],
    "code": [Sample("sea.py", CODE.encode(), "")],
    "image": [
        Sample(
            "sea.png",
            picture("Tidal turbines\nharvest the moon"),
            "",
            phrases=("Tidal turbines", "harvest the moon"),
            program="tesseract",
        )
    ],
}
"""By the name of the parser's module."""
