"""JSON, notebooks, XML, reStructuredText, AsciiDoc, source code and images: their peculiarities, and hostile ones."""

import json
import shutil
import zlib
from pathlib import Path

import pytest

from ingest import media_types, parsers, sources
from ingest.errors import Damaged, Empty, TooLarge, Unsupported
from ingest.formats import ocr, programming_languages
from ingest.types import Failed, Parsed
from tests.samples import texts

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


def items(name: str, content: bytes | str) -> list[Parsed | Failed]:
    return list(parsers.parse(sources.from_upload(name, content.encode() if isinstance(content, str) else content)))


def parsed(name: str, content: bytes | str) -> Parsed:
    (found,) = items(name, content)
    assert isinstance(found, Parsed)
    return found


def blocks(name: str, content: bytes | str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in parsed(name, content).blocks]


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_json_values_stand_behind_their_paths() -> None:
    assert blocks("sea.json", json.dumps(texts.JSON)) == [
        ("table", "title: Tidal turbines"),
        ("table", "place.city: Nørrebro\nplace.coast: null"),
        (
            "table",
            "parts[0].name: hub\nparts[0].count: 1\nparts[1].name: blade\nparts[1].count: 3\nparts[1].sharp: true",
        ),
        ("table", "tags: energy, sea"),
        ("paragraph", f"story: {texts.JSON['story']}"),
    ]


def test_a_list_of_records_with_texts_is_a_document_each() -> None:
    records = [{"id": 7, "title": "A", "text": "One."}, {"text": "Two.", "year": 3}, {"body": "Three."}]
    for value in (records, {"documents": records}):
        found = items("a.json", json.dumps(value))
        assert [item.fragment for item in found if isinstance(item, Parsed)] == ["7", "item=2", "item=3"]
        assert [item.blocks[0].text for item in found if isinstance(item, Parsed)] == ["One.", "Two.", "Three."]


def test_a_record_without_a_text_among_many_is_named() -> None:
    records: list[dict[str, object]] = [{"text": f"Number {n}."} for n in range(9)]
    *_, failed = items("a.json", json.dumps([*records, {"year": 3}]))
    assert isinstance(failed, Failed)
    assert failed.uri == "upload:a.json#item=10"
    assert "no text" in failed.reason


def test_a_list_of_other_records_is_one_document() -> None:
    found = parsed("a.json", '[{"price": 1}, {"price": 2}]')
    assert "\n".join(block.text for block in found.blocks) == "[0].price: 1\n[1].price: 2"


def test_json_lines_under_the_name_of_json_are_read() -> None:
    found = items("a.json", '{"_id": "a", "text": "One."}\n{"_id": "b", "text": "Two."}\n')
    assert [item.external_id for item in found if isinstance(item, Parsed)] == ["a", "b"]


def test_a_single_value_is_its_own_text() -> None:
    assert blocks("a.json", '"Only words"') == [("table", "Only words")]
    with pytest.raises(Empty, match="no value"):
        parsed("a.json", '""')


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900],
)
def test_json_nested_without_end_is_refused(content: bytes) -> None:
    with pytest.raises(TooLarge, match="nested over 200 deep"):
        parsed("a.json", content)


def test_paths_that_would_multiply_the_file_are_refused() -> None:
    content = b'{"' + b"k" * 100_000 + b'":[' + b"[1]," * 1_000 + b"[1]]}"
    with pytest.raises(TooLarge, match="times its length"):
        parsed("a.json", content)


def test_broken_json_says_where() -> None:
    with pytest.raises(Damaged, match="line 1 column 14"):
        parsed("a.json", '[{"text": "a"')


# ── notebooks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_notebook() -> None:
    found = parsed("sea.ipynb", json.dumps(texts.NOTEBOOK))
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("heading", "Tidal turbines"),
        ("paragraph", "They harvest the moon."),
        ("code", "place = 'Nørrebro'\nprint(place)"),
        ("code", "Nørrebro\n"),
        ("code", "42"),
        ("code", "KeyError: 'hub'"),
        ("paragraph", "Raw words."),
    ]
    assert dict(found.metadata) == {
        "author": "A. Mole, B. Rat",
        "kernel": "Python 3",
        "programming_language": "Python",
    }


def test_a_notebook_of_the_third_format() -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["Parts"]},
        {"cell_type": "code", "input": "1 + 1", "outputs": [{"output_type": "pyout", "text": ["2"]}]},
    ]
    content = json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3})
    assert blocks("a.ipynb", content) == [("heading", "Parts"), ("code", "1 + 1"), ("code", "2")]


@pytest.mark.parametrize("content", ["[1, 2]", '{"cells": 3}', "{bad"])
def test_what_is_no_notebook_is_damaged(content: str) -> None:
    with pytest.raises(Damaged, match="no notebook"):
        parsed("a.ipynb", content)


def test_odd_cells_break_nothing() -> None:
    cells = [3, {}, {"cell_type": "code", "source": 7, "outputs": "x"}, {"cell_type": "markdown", "source": ["ok", 3]}]
    assert blocks("a.ipynb", json.dumps({"cells": cells, "metadata": []}))[-1] == ("paragraph", "ok")


# ── XML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_rss_feed() -> None:
    first, second = items("news.rss", texts.RSS)
    assert isinstance(first, Parsed)
    assert isinstance(second, Parsed)
    assert [(block.kind, block.text) for block in first.blocks] == [
        ("paragraph", "They harvest the moon in Nørrebro."),
        ("list", "- hub"),
    ]
    assert (first.title, first.external_id, first.fragment) == ("Tidal turbines", "sea-1", "sea-1")
    assert dict(first.metadata) == {
        "feed": "Sea news",
        "language": "en-GB",
        "author": "A. Mole",
        "created": "2026-03-03T10:00:00+01:00",
        "keywords": ["energy", "sea"],
        "link": "https://sea.example/1",
    }
    assert (second.title, second.fragment, second.blocks[0].text) == ("Second", "item=2", "Second")


def test_an_atom_feed() -> None:
    found = parsed("news.atom", texts.ATOM)
    assert [block.text for block in found.blocks] == ["They harvest the moon in Nørrebro.", "Again."]
    assert (found.metadata["created"], found.metadata["modified"]) == (
        "2026-03-03T10:00:00+00:00",
        "2026-03-04T10:00:00+00:00",
    )
    assert (found.metadata["link"], found.metadata["language"]) == ("https://sea.example/1", "da")


def test_an_entry_without_words_is_named() -> None:
    (failed,) = items("a.rss", "<rss><channel><title>Sea</title><item><link>x</link></item></channel></rss>")
    assert isinstance(failed, Failed)
    assert failed.uri == "upload:a.rss#item=1"


def test_elements_become_headings_paragraphs_and_records() -> None:
    assert blocks("report.xml", texts.XML.encode("iso-8859-1")) == [
        ("heading", "Tidal turbines"),
        ("heading", "Use"),
        ("paragraph", "They harvest the moon for Mole og Søn."),
        ("table", "id: 7; name: hub; place: Nørrebro\nid: 8; name: blade"),
        ("code", "turn(hub)\n  twice"),
    ]


def test_attributes_are_text_where_an_element_has_no_other() -> None:
    assert blocks("a.xml", '<parts><part name="hub" count="1"/><part name="blade"/></parts>') == [
        ("table", "part name: hub; part count: 1; part name: blade")
    ]


def test_xml_is_told_by_its_first_bytes() -> None:
    assert media_types.of("data", b'<?xml version="1.0"?><a>x</a>') == "application/xml"


def test_a_wrongly_declared_encoding_is_told_from_the_text() -> None:
    content = '<?xml version="1.0" encoding="utf-8"?><a><p>Nørrebro und Århus, ganz schön weit</p></a>'
    assert "Nørrebro" in blocks("a.xml", content.encode("cp1252"))[0][1]


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hunter2")
    declared = f'<!DOCTYPE a [<!ENTITY s SYSTEM "{secret.as_uri()}">]>'
    assert blocks("a.xml", f"{declared}<a><p>before &s; after</p></a>") == [("paragraph", "before after")]


BOMB = '<!DOCTYPE a [<!ENTITY a "lollollol">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1 or str()};" * 10}">' for n in range(1, 10)
)


@pytest.mark.parametrize(
    "content",
    [
        BOMB + "]><a>&a9;</a>",
        BOMB + ']><a b="&a9;"/>',
        f'<!DOCTYPE a [<!ENTITY a "{"x" * 50_000}">]><a>{"&a;" * 50_000}</a>',
        '<!DOCTYPE a [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><a>&b;</a>',
    ],
    ids=["nested", "in an attribute", "many", "a small one"],
)
def test_entities_that_grow_are_refused(content: str) -> None:
    with pytest.raises(TooLarge, match=r"bomb\.xml"):
        parsed("bomb.xml", content)


def test_elements_nested_without_end_are_refused() -> None:
    with pytest.raises(TooLarge, match="depth"):
        parsed("a.xml", "<a>" * 100_000)
    assert blocks("a.xml", "<a>" * 250 + "x" + "</a>" * 250) == [("table", "a: x")]


@pytest.mark.parametrize("content", ["<a><b></a>", "<a>&nope;</a>", "no markup", "<a>"])
def test_what_is_not_well_formed_is_damaged(content: str) -> None:
    with pytest.raises(Damaged, match="line 1"):
        parsed("a.xml", content)


# ── reStructuredText ────────────────────────────────────────────────────────────────────────────────────────────────


def test_restructured_text() -> None:
    found = parsed("sea.rst", texts.RST)
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("heading", "Tidal turbines"),
        ("paragraph", "Author: A. Mole"),
        ("paragraph", "Date: 2026-03-01"),
        ("paragraph", "They harvest the moon from below, in Nørrebro and elsewhere."),
        ("heading", "Parts"),
        ("list", "- hub\n  - inner hub\n- blade"),
        ("code", "def turn(hub):\n    return  hub"),
        ("paragraph", "Salt water wears."),
        ("table", "part: blade; count: 3"),
        ("table", "where: sea; what: hub"),
        ("paragraph", "Prices"),
        ("table", "part: hub; price: 7"),
        ("paragraph", "Turning: What a hub does."),
        ("paragraph", "As in:"),
        ("code", "turn(hub)"),
    ]
    assert dict(found.metadata) == {"author": "A. Mole", "created": "2026-03-01"}
    assert [block.level for block in found.blocks if block.kind == "heading"] == [1, 2]


@pytest.mark.parametrize(
    ("markup", "shown"),
    [
        ("a *b* **c** ``d *e*``", "a b c d *e*"),
        (":ref:`the label <target>` and :func:`~pkg.mod.name`", "the label and name"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("a link_ and `another one`__.", "a link and another one."),
        (r"not \*marked\*", "not *marked*"),
        ("`Text <https://a.example/b_c>`_ here", "Text here"),
    ],
)
def test_inline_markup_of_restructured_text(markup: str, shown: str) -> None:
    assert blocks("a.rst", markup) == [("paragraph", shown)]


def test_directives_that_are_not_known_keep_their_text() -> None:
    text = ".. mystery:: An argument\n   :option: 3\n\n   Its text.\n\n   .. tip:: Inner.\n"
    assert blocks("a.rst", text) == [("paragraph", "An argument"), ("paragraph", "Its text."), ("paragraph", "Inner.")]


def test_functions_described_by_sphinx() -> None:
    text = ".. py:function:: turn(hub)\n\n   Turns it.\n\n   :param hub: what turns\n"
    assert blocks("a.rst", text) == [
        ("code", "turn(hub)"),
        ("paragraph", "Turns it."),
        ("paragraph", "param hub: what turns"),
    ]


def test_a_list_table() -> None:
    text = ".. list-table:: Parts\n   :header-rows: 1\n\n   * - part\n     - count\n   * - hub\n     - 1\n"
    assert blocks("a.rst", text) == [("paragraph", "Parts"), ("table", "part: hub; count: 1")]


def test_prose_that_begins_like_a_list_is_prose() -> None:
    text = "A. Mole wrote of the sea\nand of the moon."
    assert blocks("a.rst", text) == [("paragraph", "A. Mole wrote of the sea and of the moon.")]


# ── AsciiDoc ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_asciidoc() -> None:
    found = parsed("sea.adoc", texts.ASCIIDOC)
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("heading", "Tidal turbines"),
        ("paragraph", "They harvest the moon in Nørrebro, see the site and Parts."),
        ("heading", "Parts"),
        ("list", "- hub\n  - inner hub\n1. first"),
        ("paragraph", "Salt water wears."),
        ("code", "def turn(hub):\n    return  hub"),
        ("paragraph", "The parts"),
        ("table", "part: blade; count: 3\npart: hub; count: 1"),
        ("paragraph", "Hub: It turns."),
        ("paragraph", "A drawing of a hub"),
    ]
    assert dict(found.metadata) == {"author": "A. Mole", "created": "2026-03-01", "keywords": ["sea", "energy"]}


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("|===\n|a |b\n\n|1 |2\n|===", "a: 1; b: 2"),
        ("[cols=2*]\n|===\n|1\n|2\n|3\n|4\n|===", "1 | 2\n3 | 4"),
        ("|===\n|1 2+|two wide\n|3 |4 |5\n|===", "1 | two wide | \n3 | 4 | 5"),
        ("|===\n3*|x\n|===", "x | x | x"),
        (",===\na,b\n\n1,2\n,===", "a: 1; b: 2"),
        ("|a|b|\n|1|2|", "a | b\n1 | 2"),
        ("|===\nno bars\n|===", "no bars"),
    ],
)
def test_tables_of_asciidoc(table: str, rows: str) -> None:
    assert blocks("a.adoc", table) == [("table", rows)]


def test_blocks_within_blocks_and_markup_passed_through() -> None:
    text = "====\nInside.\n\n****\nDeeper.\n****\n====\n\n++++\n<p>From <b>HTML</b></p><script>no()</script>\n++++\n"
    assert blocks("a.adoc", text) == [("paragraph", "Inside."), ("paragraph", "Deeper."), ("paragraph", "From HTML")]


def test_attributes_that_hold_each_other_do_not_grow_without_end() -> None:
    text = ":a0: xxxxxxxxxx\n" + "".join(f":a{n}: {f'{{a{n - 1}}}' * 10}\n" for n in range(1, 12)) + "\n{a11}"
    assert len(blocks("a.adoc", text)[0][1]) <= 2_000


# ── source code ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_code_is_torn_at_its_definitions() -> None:
    found = parsed("sea.py", texts.CODE)
    assert [(block.kind, block.text.split("\n")[0]) for block in found.blocks] == [
        ("code", '"""Tidal turbines harvest the moon in Nørrebro."""'),
        ("code", "import sea"),
        ("code", "class Hub:"),
        ("code", "def blades():"),
    ]
    assert found.blocks[2].text.endswith("        if sea:\n\n            return 1")
    assert (found.title, dict(found.metadata)) == ("", {"programming_language": "Python"})


def test_long_definitions_are_torn_within() -> None:
    methods = "\n\n".join(f"    def turn_{n}(self):\n        return {'x' * 900}" for n in range(6))
    found = blocks("a.py", f"class Hub:\n{methods}\n\n\nend = 1\n")
    assert [text.lstrip().split("(")[0].split("\n")[0] for _, text in found] == [
        "class Hub:",
        *(f"def turn_{n}" for n in range(1, 6)),
        "end = 1",
    ]
    assert found[1][1].startswith("    def")  # the indentation stays


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("a.js", "JavaScript"),
        ("a.tsx", "TypeScript"),
        ("a.h", "C"),
        ("a.hpp", "C++"),
        ("a.cs", "C#"),
        ("a.m", "MATLAB"),
        ("a.vb", "Visual Basic"),
        ("a.yml", "YAML"),
        ("a.toml", "TOML"),
        ("A.SQL", "SQL"),
    ],
)
def test_the_language_is_metadata(name: str, language: str) -> None:
    assert dict(parsed(name, "x = 1\n").metadata) == {"programming_language": language}


def test_every_language_has_a_media_type_of_its_own() -> None:
    languages = set(programming_languages.BY_SUFFIX.values())
    assert {
        programming_languages.BY_MEDIA_TYPE[programming_languages.media_type(name)] for name in languages
    } == languages


def test_a_film_named_like_code_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"clip\.ts"):
        parsed("clip.ts", b"\x47\x40\x00\x10\x00\x00" * 100)


def test_code_loses_nothing() -> None:
    lines = [f"{' ' * (n % 7 * 2)}line_{n}" if n % 3 else "" for n in range(2_000)]
    whole = "\n".join(text for _, text in blocks("a.c", "\n".join(lines)))
    assert [line.rstrip() for line in whole.split("\n") if line.strip()] == [line for line in lines if line.strip()]


# ── images ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@needs_tesseract
@pytest.mark.parametrize(
    ("kind", "suffix"), [("PNG", "png"), ("JPEG", "jpg"), ("GIF", "gif"), ("WEBP", "webp"), ("BMP", "bmp")]
)
def test_text_in_images_is_read(kind: str, suffix: str) -> None:
    found = parsed(f"a.{suffix}", texts.picture("Tidal turbines", kind))
    assert [block.text for block in found.blocks] == ["Tidal turbines"]
    assert found.metadata["ocr_confidence"] > 50  # type: ignore[operator]


@needs_tesseract
def test_the_pages_of_a_fax_are_pages() -> None:
    found = parsed("a.tiff", texts.picture("Tidal turbines", "TIFF", frames=2))
    assert [(block.text, block.page) for block in found.blocks] == [("Tidal turbines", 1), ("Tidal turbines", 2)]
    assert found.metadata["pages"] == 2


@needs_tesseract
def test_an_image_without_letters_is_empty() -> None:
    with pytest.raises(Empty, match="OCR sees no text"):
        parsed("a.png", texts.picture(" "))


@needs_tesseract
def test_a_cut_image_is_damaged() -> None:
    content = texts.picture("Tidal turbines")
    with pytest.raises(Damaged, match=r"a\.png"):
        parsed("a.png", content[: len(content) // 2])


@needs_tesseract
@pytest.mark.parametrize("side", [8_000, 60_000])
def test_an_image_that_unpacks_to_very_much_is_refused(side: int) -> None:
    content = bytearray(texts.picture("a"))
    content[16:24] = side.to_bytes(4) * 2  # what the header says, which is looked at before anything is unpacked
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4)
    with pytest.raises(TooLarge, match="pixels"):
        parsed("bomb.png", bytes(content))


def test_images_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unsupported, match=r"sea\.png: .*install tesseract-ocr"):
        parsed("sea.png", texts.picture("a"))
    with pytest.raises(Unsupported, match="install tesseract-ocr"):
        ocr.recognise(b"", "upload:sea.png")


@needs_tesseract
def test_what_tesseract_cannot_read_is_damaged() -> None:
    with pytest.raises(Damaged, match=r"sea\.png: tesseract cannot read"):
        ocr.recognise(b"no picture", "upload:sea.png")


# ── Markdown that would take minutes ────────────────────────────────────────────────────────────────────────────────


def test_brackets_without_end_are_text() -> None:
    assert blocks("a.md", "*a* " + "[" * 5_000) == [("paragraph", "*a* " + "[" * 5_000)]
    assert blocks("a.md", "*a* [b](c) " + "[ ] " * 500)[0][1].startswith("a b [ ]")


def test_html_nested_without_end_in_markdown_is_refused() -> None:
    with pytest.raises(TooLarge, match="nested"):
        parsed("a.md", "<div>" * 10_000)
