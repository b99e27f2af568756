"""Records by a stated mapping: templates, values, files of records, rows as sources."""

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import mapping, parsers, sources
from ingest.clean import assemble
from ingest.errors import Damaged, Empty, IngestError, Unsupported
from ingest.mapping import RecordMapping, Template
from ingest.types import Document, Failed, MetadataValue, Parsed, Source


class Colour(Enum):
    RED = "red"


def documents(source: Source) -> list[Document]:
    return [assemble(source, item) for item in parsers.parse(source) if isinstance(item, Parsed)]


def said(document: Document) -> dict[str, MetadataValue]:
    """The metadata without what was told from the text."""
    return {name: value for name, value in document.metadata.items() if name != "language"}


def failures(source: Source) -> list[Failed]:
    return [item for item in parsers.parse(source) if isinstance(item, Failed)]


# ── templates ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a}", "1"),
        ("{a}{a}-{b c}", "11-x"),
        ("{{a}} {a}", "{a} 1"),
        ("{{{a}}}", "{1}"),
        ("no place", "no place"),
        ("{a.real}", "dotted"),
        ("{a[0]}", "indexed"),
        ("{a!r:>10}", ""),
        ("{none}{missing}", ""),
        ("{ü}", "ü"),
    ],
)
def test_a_template_takes_columns_by_their_whole_name(text: str, expected: str) -> None:
    record = {"a": 1, "b c": "x", "a.real": "dotted", "a[0]": "indexed", "none": None, "ü": "ü"}
    assert Template(text).fill(record) == expected


def test_what_a_column_holds_is_not_read_as_a_template() -> None:
    assert Template("{a} {b}").fill({"a": "{b} {{", "b": "}} {a}"}) == "{b} {{ }} {a}"


@pytest.mark.parametrize("text", ["{", "}", "{a", "a}", "{}", "{{a}", "{a{b}}"])
def test_a_single_brace_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"has a single .* at character"):
        Template(text)


def test_a_text_without_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="names no column"):
        RecordMapping.of("id", "always the same")


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    by = RecordMapping.of("id", "{text} {more}", "{title}", ["year"])
    with pytest.raises(ValueError, match="no column 'more', 'year'; there are: id, text, title"):
        by.check(["id", "text", "title"])
    by.check(["id", "text", "title", "more", "year"])


def test_a_mapping_is_what_it_was_after_json() -> None:
    for by in (
        RecordMapping.of("id", "{a}"),
        RecordMapping.of("id", "{a}", "{b}", []),
        RecordMapping.of("i", "{a}", None, ["c"]),
    ):
        assert RecordMapping.from_json(json.loads(json.dumps(by.to_json()))) == by


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────

ID = uuid.UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("cell", "kept", "read"),
    [
        (None, None, ""),
        ("a", "a", "a"),
        (True, True, "true"),
        (0, 0, "0"),
        (-(10**30), str(-(10**30)), str(-(10**30))),
        (1.5, 1.5, "1.5"),
        (float("nan"), None, "null"),
        (Decimal("19.90"), 19.9, "19.90"),
        (Decimal("20"), 20, "20"),
        (Decimal("2E+3"), 2000, "2000"),
        (Decimal("0.1234567890123456789"), "0.1234567890123456789", "0.1234567890123456789"),
        (Decimal("1E+99999"), "1E+99999", "1E+99999"),
        (Decimal("NaN"), None, "null"),
        (date(2026, 1, 5), "2026-01-05", "2026-01-05"),
        (datetime(2026, 1, 5, 12, 30, tzinfo=UTC), "2026-01-05T12:30:00+00:00", "2026-01-05T12:30:00+00:00"),
        (time(12, 30), "12:30:00", "12:30:00"),
        (timedelta(minutes=1), 60.0, "60.0"),
        (b"caf\xc3\xa9", "café", "café"),
        (b"\x00\xff", "00ff", "00ff"),
        (memoryview(b"\x80"), "80", "80"),
        (ID, str(ID), str(ID)),
        (Colour.RED, "red", "red"),
        (ip_address("10.0.0.1"), "10.0.0.1", "10.0.0.1"),
        (Fraction(1, 3), "1/3", "1/3"),
        ([1, Decimal("2.50"), None], [1, 2.5, None], "1, 2.5, "),
        ({"a": {1: date(2026, 1, 5)}}, {"a": {"1": "2026-01-05"}}, '{"a": {"1": "2026-01-05"}}'),
        ({"b", "a"}, ["a", "b"], "a, b"),
    ],
)  # fmt: skip
def test_what_a_cell_becomes(cell: object, kept: MetadataValue, read: str) -> None:
    assert mapping.value(cell) == kept
    assert type(mapping.value(cell)) is type(kept)
    assert json.loads(json.dumps(mapping.value(cell), allow_nan=False)) == kept
    if read != "null":
        assert mapping.shown(cell, "c") == read


def test_long_bytes_are_no_metadata_and_no_text() -> None:
    assert mapping.value(b"\xff" * 65) is None
    with pytest.raises(ValueError, match="the column 'photo' holds bytes"):
        Template("{photo}").fill({"photo": b"\xff" * 65})


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_decimal_loses_a_digit(number: Decimal) -> None:
    kept = mapping.value(number)
    assert not isinstance(kept, list | dict | None)
    assert Decimal(repr(kept) if isinstance(kept, float) else kept) == number


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────

BY = RecordMapping.of("id", "{body}", "{name}")
FIELDS = ("id", "name", "title", "text", "metadata")


def test_a_row_is_a_source_whose_parser_gives_back_the_document() -> None:
    record = {"id": 7, "name": "Sea", "body": "One.\r\n\r\nTwo\nlines.", "price": Decimal("19.90"), "gone": None}
    source = mapping.row("sql:shop", "shop", BY.document(record))
    (found,) = documents(source)
    assert source.uri == found.uri == "sql:shop#7"
    assert (found.external_id, found.title, found.name) == ("7", "Sea", "shop#7")
    assert found.text == "One.\n\nTwo\nlines."
    assert said(found) == {"price": 19.9, "gone": None}


def test_equal_rows_have_equal_bytes_whatever_the_order_of_columns() -> None:
    one = mapping.row("sql:x", "x", BY.document({"id": 1, "body": "a", "name": "", "p": 1, "q": {"b": 1, "a": 2}}))
    two = mapping.row("sql:x", "x", BY.document({"q": {"a": 2, "b": 1}, "p": 1, "name": None, "body": "a", "id": 1}))
    assert one == two
    assert one != mapping.row("sql:x", "x", BY.document({"id": 1, "body": "a", "name": "", "p": 2, "q": {}}))


def test_odd_ids_stay_apart() -> None:
    uris = {
        mapping.row("sql:x", "x", BY.document({"id": key, "body": "a"})).uri
        for key in ("a/b", "a b", "a#b", "a%2Fb", "ä")
    }
    assert uris == {"sql:x#a%2Fb", "sql:x#a%20b", "sql:x#a%23b", "sql:x#a%252Fb", "sql:x#%C3%A4"}


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_row_without_an_id_is_refused(key: object) -> None:
    with pytest.raises(ValueError, match="its id is empty"):
        BY.document({"id": key, "body": "a"})
    with pytest.raises(ValueError, match="its id is empty"):
        BY.document({"body": "a"})


def test_named_metadata_are_the_only_ones() -> None:
    by = RecordMapping.of("id", "{body}", None, ["id", "body", "year"])
    assert by.document({"id": 1, "body": "a", "year": 2026, "other": 1}).metadata == {
        "id": 1,
        "body": "a",
        "year": 2026,
    }


def test_a_row_without_text_says_so() -> None:
    with pytest.raises(Empty, match="sql:x#1"):
        documents(mapping.row("sql:x", "x", BY.document({"id": 1, "body": None})))


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"{}", b'"text"', b"\xff\xfe", b"[" * 200_000, json.dumps(dict.fromkeys(FIELDS, 1)).encode()],
)
def test_other_bytes_are_no_row(content: bytes) -> None:
    with pytest.raises(Damaged, match="sql:x#1: it is no record"):
        documents(Source("sql:x#1", mapping.RECORD, content))


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


FIRST = r'{"id": 1, "name": "Sea", "body": "a, \"b\"\nc", "price": "19.90"}'


def file(name: str, content: str, by: RecordMapping = BY) -> Source:
    return mapping.mapped(sources.from_upload(name, content.encode()), by)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'id,name,body,price\r\n1,Sea,"a, ""b""\nc",19.90\r\n\r\n2,,"d",\r\n'),
        ("a.csv", 'name;id;body;price\nSea;1;"a, ""b""\nc";19.90\n;2;d\n'),
        ("a.tsv", 'id\tname\tbody\tprice\n1\tSea\t"a, ""b""\nc"\t19.90\n2\t\td\t\n'),
        ("a.jsonl", f'{FIRST}\n\n{{"id": "2", "body": "d", "price": ""}}\n'),
        ("a.json", f'[{FIRST}, {{"id": "2", "body": "d"}}]'),
        ("a.json", f'{{"n": 2, "rows": [{FIRST}, {{"id": 2, "body": "d"}}]}}'),
    ],
)
def test_each_record_of_a_file_is_a_document(name: str, content: str) -> None:
    source = file(name, content)
    assert failures(source) == []
    first, second = documents(source)
    assert (first.uri, first.external_id, first.title, first.text) == (f"upload:{name}#1", "1", "Sea", 'a, "b"\nc')
    assert (second.uri, second.external_id, second.title, second.text) == (f"upload:{name}#2", "2", "", "d")
    assert said(first) == {"price": "19.90"}
    assert first.media_type == sources.from_upload(name, content.encode()).media_type
    assert first.name == f"{name}#1"


def test_numbers_of_json_keep_their_digits_in_texts() -> None:
    by = RecordMapping.of("id", "{price} of {count}", None, ["price", "count"])
    (found,) = documents(file("a.json", '{"id": 1, "price": 19.90, "count": 3}', by))
    assert found.text == "19.90 of 3"
    assert said(found) == {"price": 19.9, "count": 3}


def test_what_is_no_record_is_failed_and_the_others_are_read() -> None:
    source = file(
        "a.jsonl",
        '{"id": 1, "body": "a", "name": ""}\nnonsense\n[1]\n{"body": "no id"}\n{"id": 5}\n{"id": 6, "body": "f"}',
    )
    assert [found.external_id for found in documents(source)] == ["1", "6"]
    assert [item.uri for item in failures(source)] == [f"upload:a.jsonl#line={n}" for n in (2, 3, 4, 5)]
    source = file("a.csv", 'id,name,body\n1,a,b,c\n,x,y\n3,"a"b,c\n4,ok,yes\n5,"never closed\n6,a,b\n')
    assert [found.external_id for found in documents(source)] == ["4"]
    assert [item.uri.partition("#")[2] for item in failures(source)] == ["line=2", "line=3", "line=4", "line=7"]


@pytest.mark.parametrize(
    ("name", "content", "kind", "said"),
    [
        ("a.csv", "nr,name,body\n1,a,b\n", Damaged, "there is no column 'id'; there are: nr, name, body"),
        ("a.csv", "id,id,body\n1,a,b\n", Damaged, "stands twice"),
        ("a.csv", '"id\n', Damaged, "quotation marks"),
        ("a.csv", "id,name,body\n", Empty, "no record"),
        ("a.json", "[]", Empty, "no record"),
        ("a.json", "3", Damaged, "no list of records"),
        ("a.json", "{nonsense", Damaged, "it is no JSON"),
        ("a.json", "[" * 100_000, Damaged, "it is no JSON"),
        ("a.jsonl", "\n\n", Empty, "no record"),
        ("a.md", "# id", Unsupported, "not of text/markdown"),
        ("a.csv", "", Empty, "no record"),
    ],
)
def test_a_file_that_does_not_fit_says_why(name: str, content: str, kind: type[IngestError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        list(parsers.parse(file(name, content)))
    assert str(caught.value).startswith(f"upload:{name}: ")


@pytest.mark.parametrize("head", [b"", b"[]", b"{}", b'{"id": 1, "text": "{a}"}', b'{"id": "a", "text": "{"}', b"\xff"])
def test_a_mapping_that_is_none_is_said(head: bytes) -> None:
    with pytest.raises(Damaged, match="does not begin with a mapping"):
        list(parsers.parse(Source("upload:a.csv", mapping.MAPPED, head + b"\nid,body\n1,a")))


def test_the_mapping_is_part_of_the_bytes_and_the_rest_of_the_source_is_kept() -> None:
    source = Source(
        "file:///a.csv", "text/csv", "id,body,name\n1,Grün,\n".encode("windows-1252"), charset="windows-1252"
    )
    assert mapping.mapped(source, BY) != mapping.mapped(source, RecordMapping.of("id", "{body}!"))
    (found,) = documents(mapping.mapped(source, BY))
    assert found.text == "Grün"
