"""What becomes of mail: headers, bodies in every encoding, attachments, mailboxes, Outlook messages, saved pages."""

import csv
from email.message import EmailMessage
from pathlib import Path

import pytest

from ingest import media_types, parsers, sources
from ingest.clean import assemble
from ingest.errors import Damaged, Empty, Encrypted, IngestError
from ingest.parsers import _mail, _rtf_packed
from ingest.types import Document, Failed, Parsed
from tests.samples import mail as samples


def read(name: str, content: bytes) -> list[Document | Failed]:
    source = sources.from_upload(name, content)
    items = parsers.parse(source)
    return [assemble(source, item) if isinstance(item, Parsed) else item for item in items]


def documents(name: str, content: bytes) -> list[Document]:
    found = read(name, content)
    assert all(isinstance(item, Document) for item in found)
    return [item for item in found if isinstance(item, Document)]


def only(content: bytes) -> Document:
    (found,) = documents("a.eml", content)
    return found


def said(document: Document) -> dict[str, object]:
    """The metadata from the file; the language is told from the text."""
    return {key: value for key, value in document.metadata.items() if key != "language"}


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_with_its_attachments() -> None:
    message, table, inner = documents("sea.eml", samples.eml())
    assert (message.uri, message.title, message.name) == ("upload:sea.eml", "Tidal turbines", "sea.eml")
    assert message.text == "They harvest the moon in Nørrebro.\n\n> Who bought them?"
    assert said(message) == {
        "subject": "Tidal turbines",
        "from": "Søren Mole <mole@example.org>",
        "to": ["Ann <ann@example.org>", "bob@example.org"],
        "date": "2026-01-05T10:00:00+01:00",
        "message_id": "m1@example.org",
        "attachments": ["Bauteile für Søren.csv", "part-2.eml"],
    }
    assert (table.name, table.media_type) == ("Bauteile für Søren.csv", "text/csv")
    assert table.uri == "upload:sea.eml#Bauteile%20f%C3%BCr%20S%C3%B8ren.csv"
    assert table.text == "part: hub; place: Nørrebro"
    assert (inner.title, inner.text, inner.uri) == ("Costs", "They are low.", "upload:sea.eml#part-2.eml")
    assert inner.metadata["from"] == "Bob <bob@example.org>"


def test_html_is_read_where_there_is_no_plain_text() -> None:
    html = b"<html><meta charset=iso-8859-1><p>N\xf8rrebro</p><ul><li>hub</ul></html>"
    head = b"From: a@b\nSubject: x\nMIME-Version: 1.0\nContent-Type: "
    assert only(head + b"text/html; charset=iso-8859-1\n\n" + html).text == "Nørrebro\n\n- hub"
    parts = b"multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n \n--b\nContent-Type: text/html\n\n"
    assert only(head + parts + b"<p>Only here</p>\n--b--\n").text == "Only here"


RUSSIAN = "Однажды, в студёную зимнюю пору, я из лесу вышел; был сильный мороз."


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        ("windows-1252", b"caf\xe9", "café"),
        ("iso-2022-jp", "すみません。".encode("iso2022_jp"), "すみません。"),
        ("gb2312", "镕基".encode("gb18030"), "镕基"),
        ("utf-8", b"caf\xe9 au lait", "café au lait"),
        ("no-such-charset", "Nørrebro".encode(), "Nørrebro"),
        ("a\x00b", "Nørrebro".encode(), "Nørrebro"),
        ("", "Nørrebro".encode(), "Nørrebro"),
        ("", "すみません。".encode("iso2022_jp"), "すみません。"),
        ("us-ascii", "naïve café".encode("cp1252"), "naïve café"),
        ("", RUSSIAN.encode("koi8-r"), RUSSIAN),
    ],
)
def test_charsets_and_their_faults(charset: str, content: bytes, text: str) -> None:
    kind = f"text/plain; charset={charset}" if charset else "text/plain"
    head = f"From: a@b\nMIME-Version: 1.0\nContent-Type: {kind}\n\n".encode()
    assert only(head + content).text == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"=?utf-8?B?w7g=?= =?utf-8?Q?_b?=", "ø b"),
        (b"=?utf-8?B?w?= broken", "=?utf-8?B?w?= broken"),
        (b"=?iso-8859-1?Q?caf=E9?=", "café"),
        (b"=?no-such?Q?caf=C3=A9?=", "café"),
        ("Nørrebro".encode(), "Nørrebro"),
        (b"caf\xe9 au lait", "café au lait"),
        ("すみません".encode("iso2022_jp"), "すみません"),
        (b"folded\n over\r\n\tlines", "folded over lines"),
    ],
)
def test_headers_in_every_spelling(raw: bytes, text: str) -> None:
    assert only(b"Subject: " + raw + b"\nFrom: a@b\n\nText.").title == text


def test_a_message_that_is_utf_16_as_a_whole() -> None:
    text = "From: a@b\nSubject: Nørrebro\nContent-Type: text/plain; charset=windows-1251\n\nSmørrebrød.\n"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        found = only(text.encode(encoding))
        assert (found.title, found.text) == ("Nørrebro", "Smørrebrød.")


def test_soft_line_breaks_are_undone() -> None:
    flowed = "It goes \non here.\n\n> They \n> said\n>> so.\n-- \nSøren"
    assert _mail.unflowed(flowed, delete_space=False) == "It goes on here.\n\n> They said\n>> so.\n-- \nSøren"
    assert _mail.unflowed("月を \n刈る", delete_space=True) == "月を刈る"
    head = b"From: a@b\nContent-Type: text/plain; format=flowed\n\n"
    assert only(head + b"A long \nline.\n").text == "A long line."


@pytest.mark.parametrize(
    ("said", "date"),
    [
        ("Mon, 05 Jan 2026 10:00:00 +0100 (CET)", "2026-01-05T10:00:00+01:00"),
        ("Mon, 05 Jan 2026 10:00:00 -0000", "2026-01-05T10:00:00"),
        ("2026-01-05T10:00:00Z", "2026-01-05T10:00:00+00:00"),
        ("yesterday", ""),
        ("Mon, 99 Jan 2026 10:00:00 +9999999", ""),
        ("", ""),
    ],
)
def test_dates(said: str, date: str) -> None:
    assert _mail.date(said) == date


def test_a_message_without_text_is_found_by_its_subject() -> None:
    assert only(b"From: a@b\nSubject: Only this\n\n").text == "Only this"
    with pytest.raises(Empty, match="neither subject nor text"):
        documents("a.eml", b"From: a@b\n\n \n")


def test_what_is_no_message_says_so() -> None:
    with pytest.raises(Damaged, match="headers"):
        documents("a.eml", b"\n\nJust a text.\n")
    sealed = b"From: a@b\nSubject: s\nContent-Type: multipart/encrypted; boundary=b\n\n--b\nContent-Type: "
    with pytest.raises(Encrypted, match="PGP"):
        documents("a.eml", sealed + b"application/pgp-encrypted\n\nVersion: 1\n--b--\n")


def test_attachments_of_one_name_odd_names_and_kinds_that_are_not_read() -> None:
    message = EmailMessage()
    message["From"] = "a@b"
    message.set_content("See below.\n")
    for name, text in [("a.txt", "One."), ("a.txt", "Two."), ("..\\..\\b.txt", "Three."), ("", "Four.")]:
        message.add_attachment(text, filename=name or None, disposition="attachment")
    message.add_attachment(b"\x00\x01", maintype="application", subtype="x-thing", filename="x.bin")
    message.add_attachment(b"%PDF-1.4 broken", maintype="application", subtype="pdf", filename="p.pdf")
    first, *rest = read("a.eml", message.as_bytes())
    assert isinstance(first, Document)
    assert first.metadata["attachments"] == ["a.txt", "a.txt", "b.txt", "part-4", "x.bin", "p.pdf"]
    assert [(item.uri, getattr(item, "text", "failed")) for item in rest] == [
        ("upload:a.eml#a.txt", "One."),
        ("upload:a.eml#a.txt~2", "Two."),
        ("upload:a.eml#b.txt", "Three."),
        ("upload:a.eml#part-4", "Four."),
        ("upload:a.eml#p.pdf", "failed"),
    ]


def test_messages_in_messages_end() -> None:
    inner = samples.simple("deepest", "Deep.\n")
    for depth in range(8):
        outer = f"From: a@b\nSubject: {depth}\nContent-Type: message/rfc822\n\n".encode()
        inner = outer + inner
    found = read("a.eml", inner)
    assert [item.title for item in found if isinstance(item, Document)] == ["7", "6", "5", "4", "3", "2"]
    (failed,) = [item for item in found if isinstance(item, Failed)]
    assert "at most 5 are opened" in failed.reason


def test_parts_nested_without_end_are_refused() -> None:
    parts = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(3_000))
    with pytest.raises(IngestError, match=r"a\.eml"):
        documents("a.eml", b"From: a@b\n" + parts + b"\n\ntext")


# ── mailboxes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mailbox_is_split_into_messages() -> None:
    first = samples.simple("First", "From here on\nFrom: Ann\n\nFrom Ann we heard\nNothing: new\n", "<a/1@x>")
    second = samples.simple("Second", "Text.\n")
    found = documents("b.mbox", samples.mbox(first, second, first, samples.eml()))
    assert [(item.uri.partition("#")[2], item.title) for item in found] == [
        ("a%2F1%40x", "First"),
        ("message%3D2", "Second"),
        ("a%2F1%40x~2", "First"),
        ("m1%40example.org", "Tidal turbines"),
        ("m1%40example.org%2FBauteile%20f%C3%BCr%20S%C3%B8ren.csv", ""),
        ("m1%40example.org%2Fpart-2.eml", "Costs"),
    ]
    assert found[0].text == "From here on\nFrom: Ann\n\nFrom Ann we heard\nNothing: new"
    assert (found[0].media_type, found[4].media_type) == ("message/rfc822", "text/csv")


def test_a_broken_message_does_not_stop_the_others() -> None:
    content = samples.mbox(samples.simple("First", "One.\n"), b"X: y\n\n", samples.simple("Third", "Three.\n"))
    first, second, third = read("b.mbox", content)
    assert isinstance(second, Failed)
    assert second.uri == "upload:b.mbox#message%3D2"
    assert second.uri in second.reason
    assert [item.title for item in (first, third) if isinstance(item, Document)] == ["First", "Third"]


def test_windows_line_ends_and_no_blank_lines_between() -> None:
    content = samples.mbox(samples.simple("First", "One.\n"), samples.simple("Second", "Two.\n")).replace(
        b"\n\n\nFrom", b"\nFrom"
    )
    assert [item.title for item in documents("b.mbox", content.replace(b"\n", b"\r\n"))] == ["First", "Second"]


def test_a_large_mailbox_is_split_as_it_is_read() -> None:
    content = samples.mbox(*[samples.simple(f"n{n}", "Text.\n") for n in range(100)]) * 10
    items = parsers.parse(sources.from_upload("b.mbox", content))
    assert isinstance(next(items), Parsed)  # the first before the others
    assert sum(isinstance(item, Parsed) for item in items) == 999


def test_what_is_no_mailbox_says_so() -> None:
    with pytest.raises(Damaged, match=r"\.eml"):
        documents("b.mbox", b"Subject: x\n\nFrom here on.\n")


# ── Outlook ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_outlook_message_with_its_attachments() -> None:
    message, parts, inner = documents("sea.msg", samples.msg())
    assert message.text == "They harvest the moon in Nørrebro.\n\n> Who bought them?"
    assert said(message) == {
        "subject": "Tidal turbines",
        "from": "Mole <mole@example.org>",
        "to": ["Ann <ann@example.org>"],
        "cc": ["Bob <bob@example.org>"],
        "date": "2026-01-05T09:00:00+00:00",
        "message_id": "o1@x",
        "attachments": ["parts.txt", "Costs.msg"],
    }
    assert (parts.uri, parts.media_type) == ("upload:sea.msg#parts.txt", "text/plain")
    assert parts.text.count("A hub") == 400
    assert (inner.title, inner.text, inner.media_type) == ("Costs", "They are low.", "application/vnd.ms-outlook")


def test_outlook_bodies_in_code_pages_html_and_packed_rtf() -> None:
    properties = {"__properties_version1.0": samples.properties(32, {0x3FFD0003: 1251, 0x3FDE0003: 1252})}
    russian = {**properties, "__substg1.0_1000001E": "Привет, мир".encode("cp1251")}
    assert documents("a.msg", samples.compound(russian))[0].text == "Привет, мир"
    html = {**properties, "__substg1.0_10130102": "<p>Nørrebro</p>".encode("cp1252")}
    assert documents("a.msg", samples.compound(html))[0].text == "Nørrebro"
    rtf = {**properties, "__substg1.0_10090102": PACKED}
    assert documents("a.msg", samples.compound(rtf))[0].text == "hello world"


PACKED = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a0072637067313235423 20af32068656c090020627705b06c647d0a800fa0".replace(
        " ", ""
    )
)


def test_packed_rtf_as_its_specification_shows_it() -> None:
    assert _rtf_packed.unpacked(PACKED, "a.msg") == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    crossing = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert _rtf_packed.unpacked(crossing, "a.msg") == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"
    with pytest.raises(Damaged, match=r"a\.msg"):
        _rtf_packed.unpacked(b"short", "a.msg")
    with pytest.raises(Damaged, match=r"a\.msg"):
        _rtf_packed.unpacked(bytes(20), "a.msg")


def test_an_outlook_message_that_is_none_or_empty_says_so() -> None:
    with pytest.raises(Damaged, match="no Outlook message"):
        documents("a.msg", samples.compound({"other": b"x"}))
    with pytest.raises(Damaged, match="cut off"):
        documents("a.msg", samples.msg()[:600])
    with pytest.raises(Empty, match="neither"):
        documents("a.msg", samples.compound({"__properties_version1.0": samples.properties(32, {})}))


def test_outlook_messages_in_outlook_messages_end() -> None:
    held = samples.message("0", "Deepest.", 24)
    for depth in range(1, 8):
        attached: samples.Storage = {
            "__properties_version1.0": samples.properties(8, {0x37050003: 5}),
            "__substg1.0_3701000D": held,
        }
        held = {**samples.message(str(depth), "Text.", 24), "__attach_version1.0_#00000000": attached}
    top = {**held, "__properties_version1.0": samples.properties(32, {})}
    found = read("a.msg", samples.compound(top))
    assert [item.title for item in found if isinstance(item, Document)] == ["7", "6", "5", "4", "3", "2"]
    assert [item.reason for item in found if isinstance(item, Failed) and "at most 5" in item.reason]


# ── saved pages ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_root_page_of_a_saved_one() -> None:
    (found,) = documents("sea.mhtml", samples.mhtml())
    assert found.text == "Tidal turbines\n\nThey harvest the moon in Nørrebro."
    with pytest.raises(Empty, match="web page"):
        documents("a.mht", b"MIME-Version: 1.0\nContent-Type: image/png\n\nx")


# ── what is mail ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (samples.eml(), "message/rfc822"),
        (b"Received: from x\n by y\nFrom: a@b\n\nText.", "message/rfc822"),
        (samples.mbox(samples.eml()), "application/mbox"),
        (samples.mhtml(), "multipart/related"),
        (samples.msg(), "application/vnd.ms-outlook"),
        (b"From: Ann\nTo: Bob\n\nA note that somebody typed.", "text/plain"),
        (b"From here on: nothing 10:00\n", "text/plain"),
        (b"Note: this\nis a text", "text/plain"),
    ],
)
def test_mail_is_told_by_its_content(content: bytes, kind: str) -> None:
    assert media_types.of("unnamed", content) == kind


# ── real files ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_mail_of_the_zoo(shared_data: Path) -> None:
    """Every message is read, with two thirds of the words that a correct extraction holds."""
    zoo = shared_data / "zoo-a"
    with (zoo / "manifest.tsv").open(encoding="utf-8", newline="") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t"))
    mail = [row for row in rows if Path(row["file"]).suffix in (".eml", ".mbox", ".msg", ".mhtml")]
    assert len(mail) == 8
    for row in mail:
        source = sources.read(zoo / "files" / row["file"], max_bytes=10_000_000)
        found = [assemble(source, item) for item in parsers.parse(source) if isinstance(item, Parsed)]
        text = " ".join(f"{document.title} {document.text}" for document in found)
        words = row["probe_words"].split()
        assert sum(word in text for word in words) * 3 >= len(words) * 2, row["file"]
        assert len(found) == {"mbox_simple.mbox": 3, "eml_attachment.eml": 2}.get(row["file"], 1)
