"""Texts and markup made to do harm: nesting without end, entities that grow, backtracking, lines without end."""

import json
import random

from tests.hostile.case import Hostile, of
from tests.hostile.packed import EXTERNAL, LAUGHS, MB

GOOD = "Tidal turbines harvest the moon."
DEEP = 100_000


def quadratic() -> bytes:
    return f"<!DOCTYPE x [<!ENTITY a '{'tide ' * 20_000}'>]><x>{'&a;' * 20_000}</x>".encode()


def noise(size: int) -> bytes:
    return random.Random(7).randbytes(size)


def yaml_bomb() -> bytes:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(["---", *lines, "---", "", GOOD]).encode()


def formatting() -> bytes:
    """Elements that a parser of HTML has to open again in every paragraph."""
    tags = "".join(f"<{tag} class={n}>" for n in range(40) for tag in ("b", "i", "font", "a", "nobr", "s"))
    return f"<html><body>{tags}{'<p>tide' * 3000}</body></html>".encode()


def wrong_types() -> bytes:
    cells = [{"cell_type": 7, "source": {"a": 1}}, None, {"cell_type": "code", "source": 5, "outputs": "no"}, [1]]
    return json.dumps({"cells": cells, "metadata": "x", "nbformat": "4"}).encode()


def large_output() -> bytes:
    output = {
        "output_type": "display_data",
        "data": {"image/png": "iVBOR" * MB, "text/plain": ["tide"]},
        "metadata": {},
    }
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [GOOD]},
        {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": ["turn()"], "outputs": [output]},
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def lines(count: int) -> bytes:
    return b"".join(b'{"_id": "%d", "text": "Tide number %d."}\n' % (n, n) for n in range(count))


def wide_csv() -> bytes:
    return b"\n".join([b",".join(b"column%d" % n for n in range(1_000_000)), b",".join([b"1"] * 1_000_000)])


HOSTILE: list[Hostile] = [
    # ── XML ──
    of("laughs.xml", lambda: f"{LAUGHS}<x>&a10;</x>".encode(), "refused"),
    of("quadratic.xml", quadratic, "refused"),
    of("external.xml", lambda: f"{EXTERNAL}<x><p>tide</p><p>&e;</p></x>".encode(), "read"),
    of("parameter.xml", lambda: b'<!DOCTYPE x [<!ENTITY % p "%p;%p;"> %p;]><x>tide</x>', "read"),
    of("remote.xml", lambda: b'<!DOCTYPE x SYSTEM "http://192.0.2.1/x.dtd"><x><p>tide</p></x>', "read"),
    of("deep.xml", lambda: b"<a>" * DEEP + b"tide" + b"</a>" * DEEP, "refused"),
    of("attributes.xml", lambda: b"<x %s>tide</x>" % b" ".join(b'a%d="1"' % n for n in range(300_000)), "any"),
    of("cut.xml", lambda: b"<x><p>tide</p><p>" + b"tide " * 1000, "refused"),
    # ── HTML ──
    of("deep.html", lambda: b"<div>" * DEEP + b"tide" + b"</div>" * DEEP, "refused"),
    of("tables.html", lambda: b"<table><tr><td>" * 20_000 + b"tide", "refused"),
    of("lists.html", lambda: b"<ul><li>" * 50_000 + b"tide", "refused"),
    of("unclosed.html", lambda: b"<html><p>tide" * 10_000, "read"),
    of("formatting.html", formatting, "read"),
    of("attributes.html", lambda: b"<p %s>tide</p>" % b" ".join(b"a%d" % n for n in range(200_000)), "any"),
    of("comment.html", lambda: b"<html><p>tide<!--" + b"- " * (5 * MB), "read"),
    of("entities.html", lambda: b"<html><p>tide " + b"&amp" * MB + b"&#x110000;&#0;", "read"),
    of("select.html", lambda: b"<html><p>tide<select>" + b"<option>x" * 30_000, "any"),
    of("title.html", lambda: b"<title>%s</title><p>%s" % (b"x" * 2 * MB, b"tide " * 300_000), "any"),
    # ── JSON ──
    of("deep.json", lambda: b"[" * DEEP + b"]" * DEEP, "refused"),
    of("objects.json", lambda: b'{"a":' * DEEP + b'"tide"' + b"}" * DEEP, "refused"),
    of("digits.json", lambda: b'{"a": %s, "b": "tide"}' % (b"9" * 1_000_000), "read"),
    of("surrogates.json", lambda: b'{"a": "\\ud800 tide", "\\udfff": NaN, "a": Infinity}', "read"),
    of("paths.json", lambda: b'{"k":' * 150 + b"[" + b'"t",' * 50_000 + b'"t"]' + b"}" * 150, "refused"),
    of("documents.jsonl", lambda: lines(3_000), "partly", "parse_documents"),
    of("deep.jsonl", lambda: b'{"text": "tide"}\n{"text": %s}\n' % (b"[" * DEEP + b"]" * DEEP), "partly"),
    of("types.ipynb", wrong_types, "refused"),
    of("list.ipynb", lambda: b"[]", "refused"),
    of("output.ipynb", large_output, "read"),
    # ── Markdown and RTF ──
    of("quotes.md", lambda: b">" * DEEP + b" tide", "any"),
    of("lists.md", lambda: b"".join(b"  " * n + b"- tide\n" for n in range(1500)), "read"),
    of("markers.md", lambda: b"- " * 20_000 + b"tide", "any"),
    of("brackets.md", lambda: b"[" * DEEP + b"tide", "any"),
    of("links.md", lambda: b"[a](" * 50_000 + b"tide", "any"),
    of("emphasis.md", lambda: b"*a **a " * 20_000, "any"),
    of("backticks.md", lambda: b"".join(b"e" + b"`" * n for n in range(1200)), "read"),
    of("html.md", lambda: b"<" * DEEP + b"tide", "read"),
    of("table.md", lambda: b"|a" * 5000 + b"|\n" + b"|-" * 5000 + b"|\n" + b"|b|\n" * 500, "any"),
    of("references.md", lambda: b"".join(b"[%d]: x\n" % n for n in range(20_000)) + b"[tide] " * 5000, "read"),
    of("yaml.md", yaml_bomb, "read"),
    of("groups.rtf", lambda: rb"{\rtf1 tide " + b"{" * DEEP + b"}" * DEEP + b"}", "read"),
    of("unclosed.rtf", lambda: rb"{\rtf1 tide " + b"{" * DEEP, "read"),
    of("binary.rtf", lambda: rb"{\rtf1 tide\bin999999999999 x}", "read"),
    # ── tables ──
    of("columns.csv", wide_csv, "any"),
    of("quote.csv", lambda: b'part,count\nhub,"1\n' + b"tide,2\n" * 30_000, "any"),
    of("nul.csv", lambda: b"part,count\nhub,\x00\x00\nblade,3\n", "refused"),
    of("ragged.csv", lambda: b"a,b\n" + b"\n".join(b",".join([b"tide"] * (n % 900)) for n in range(1500)), "read"),
    # ── plain text ──
    of("nuls.txt", lambda: bytes(MB) + GOOD.encode(), "refused"),
    of("word.txt", lambda: b"x" * (4 * MB), "read"),
    of("surrogates.txt", lambda: b"tide \xed\xa0\x80\xed\xbf\xbf moon\n" * 99, "read"),
    of("mixed.txt", lambda: "Nørrebro tide\n".encode() * 9 + "Nørrebro tide\n".encode("cp1252") * 9, "read"),
    of("no-mark.txt", lambda: (GOOD * 99).encode("utf-16-le"), "read"),
    of("odd.txt", lambda: (GOOD * 99).encode("utf-16")[:-1], "refused"),
    of("noise.txt", lambda: noise(200_000), "refused"),
    of("noise.pdf", lambda: b"%PDF-1.7\n" + noise(200_000), "refused"),
    of("noise.bin", lambda: b"\x00" + noise(200_000), "refused", "no parser"),
    of("combining.txt", lambda: ("tide e" + "\u0301" * 300_000).encode(), "read"),
    of("marks.txt", lambda: ("tide a" + "\u0316\u0301" * 100_000).encode(), "any"),
    of("joiners.txt", lambda: ("tide " + "\U0001f468\u200d" * 200_000).encode(), "read"),
    of("overrides.txt", lambda: ("tide \u202e\u2066moon " * 50_000).encode(), "read"),
    of("letters.txt", lambda: b"a" * 500_000 + b"!", "read"),
    of("dots.txt", lambda: b"tide. " + b". " * 300_000 + b"!" * 300_000, "read"),
    of("blanks.txt", lambda: b"tide" + b" " * (4 * MB) + b"x", "any"),
    of("newlines.txt", lambda: b"tide" + b"\n" * (4 * MB) + b"x", "read"),
    of("tabs.txt", lambda: b"tide" + b" \t\r\n" * MB + b"x", "read"),
    of("underlines.rst", lambda: b"tide\n" + b"=" * MB + b"\n" + b"=\n" * 100_000, "read"),
    of("headings.md", lambda: b"".join(b"#" * (n % 6 + 1) + b" tide %d\n" % n for n in range(10_000)), "read"),
    of("nothing.txt", lambda: b"", "refused", "empty"),
    of("blank.txt", lambda: b" \n\t\n" * 999, "refused", "empty|no text"),
    of("deep.py", lambda: b"(" * DEEP + b")" * DEEP, "read"),
]
