"""What is read of a page, against real servers on this machine: rules, changes, limits, attempts, kinds."""

import gzip
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from ingest import parsers
from ingest.errors import Damaged, Empty, Gone, IngestError, Refused, TooLarge, Unreadable
from ingest.types import Parsed
from ingest.web.connections import MAX_RETRY_AFTER_S, pause
from ingest.web.fetcher import NotModified
from tests.web_house import (
    HTML,
    LIMIT,
    PAGE,
    Handler,
    Reply,
    Server,
    fetcher,
    page,
    refusal,
    serving,
    to,
)


@pytest.fixture
def site() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


# ── robots.txt ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_robots_are_asked_once_and_honoured(site: Server) -> None:
    rules = b"User-agent: other\nDisallow: /\n\nUser-agent: Rag\nDisallow: /a\nAllow: /a/b\nDisallow: /*.pdf$\n"
    site.routes |= {"/robots.txt": Reply(rules), "/": PAGE, "/a/b/c": PAGE, "/x.pdf?y": PAGE}
    with fetcher() as web:
        web.fetch(site.url())
        web.fetch(site.url("/a/b/c"))
        web.fetch(site.url("/x.pdf?y"))
        for path in ("/a", "/a/c", "/y/x.pdf"):
            with pytest.raises(Refused, match=r"robots\.txt"):
                web.fetch(site.url(path))
    assert site.asked == ["/robots.txt", "/", "/a/b/c", "/x.pdf?y"]


@pytest.mark.parametrize("status", [401, 403, 404, 410, 418])
def test_no_robots_allow_all(site: Server, status: int) -> None:
    site.routes |= {"/robots.txt": Reply(b"User-agent: *\nDisallow: /", status), "/": PAGE}
    with fetcher() as web:
        assert page(web.fetch(site.url())).content == PAGE.content


@pytest.mark.parametrize("status", [429, 500, 503])
def test_robots_that_cannot_be_read_allow_nothing(site: Server, status: int) -> None:
    site.routes |= {"/robots.txt": Reply(b"", status), "/": PAGE, "/b": PAGE}
    with fetcher() as web:
        for path in ("/", "/b"):
            with pytest.raises(Refused, match=f"{status}; try again later") as caught:
                web.fetch(site.url(path))
            assert str(caught.value).startswith(site.url(path))
    assert site.asked == ["/robots.txt"] * 4


def test_robots_may_stand_elsewhere_on_allowed_hosts(site: Server) -> None:
    site.routes |= {"/robots.txt": to("/rules"), "/rules": Reply(b"User-agent: *\nDisallow: /a"), "/a": PAGE}
    assert "asks programs not to" in refusal(site.url("/a"), Refused)
    site.routes["/robots.txt"] = to("http://www.example.org/robots.txt")
    assert "--allow-host www.example.org" in refusal(site.url("/a"), Refused)


def test_the_pause_that_a_site_asks_for_is_kept(site: Server) -> None:
    pauses: list[float] = []
    site.routes |= {"/robots.txt": Reply(b"User-agent: *\nCrawl-delay: 7"), "/": PAGE}
    with fetcher(sleep=pauses.append) as web:
        for _ in range(3):
            web.fetch(site.url())
        assert [6 < pause <= 7 for pause in pauses] == [True, True]
    pauses.clear()
    site.routes["/robots.txt"] = Reply(b"User-agent: *\nCrawl-delay: 86400")
    with fetcher(sleep=pauses.append) as web:
        web.fetch(site.url())
        web.fetch(site.url())
    assert [29 < pause <= 30 for pause in pauses] == [True]


def test_hostile_robots_are_read_quickly(site: Server) -> None:
    rules = b"User-agent: *\n" + b"Disallow: /" + b"a*" * 5_000 + b"b\n" + b"Disallow: /*x*y\n" * 5_000 + b"\xff\x00\n"
    site.routes |= {"/robots.txt": Reply(rules[:LIMIT]), "/" + "a" * 2_000: PAGE}
    with fetcher() as web:
        assert page(web.fetch(site.url("/" + "a" * 2_000)))


# ── what has not changed ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_that_is_the_same_is_not_sent_again(site: Server) -> None:
    state = {"etag": '"1"'}

    def answer(handler: Handler) -> Reply:
        headers = {"ETag": state["etag"], "Last-Modified": "Mon, 05 Jan 2026 00:00:00 GMT", **HTML}
        if handler.headers.get("If-None-Match") == state["etag"]:
            return Reply(status=304, headers=headers)
        return Reply(PAGE.content, headers=headers)

    site.routes |= {"/": answer, "/old": to("/")}
    with fetcher() as web:
        first = page(web.fetch(site.url("/old")))
        again = web.fetch(site.url("/old"), first.etag, first.modified)
        assert again == NotModified(site.url("/old"), site.url("/"))
        assert site.headers[-1]["if-modified-since"] == "Mon, 05 Jan 2026 00:00:00 GMT"
        state["etag"] = '"2"'
        assert page(web.fetch(site.url("/old"), first.etag, first.modified)).etag == '"2"'


def test_not_modified_without_being_asked_is_an_error(site: Server) -> None:
    site.routes["/"] = Reply(status=304)
    assert "304" in refusal(site.url(), Unreadable)


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def packed(content: bytes) -> Reply:
    return Reply(gzip.compress(content), headers={**HTML, "Content-Encoding": "gzip"})


def test_packed_pages_are_unpacked_up_to_the_limit(site: Server) -> None:
    site.routes |= {"/fits": packed(b"<p>" + b"a" * (LIMIT - 3)), "/over": packed(b"<p>" + b"a" * (LIMIT - 2))}
    with fetcher() as web:
        assert len(page(web.fetch(site.url("/fits"))).content) == LIMIT
        with pytest.raises(TooLarge, match="100,000 bytes"):
            web.fetch(site.url("/over"))


def test_a_bomb_is_not_unpacked(site: Server) -> None:
    import tracemalloc

    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(60)) + packer.flush()  # 60 kB for 60 MB
    site.routes["/"] = Reply(bomb, headers={**HTML, "Content-Encoding": "gzip"})
    with fetcher() as web:
        tracemalloc.start()
        with pytest.raises(TooLarge):
            web.fetch(site.url())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 * 2**20


@pytest.mark.parametrize(
    ("content", "packing", "kind"),
    [
        (gzip.compress(b"whole page " * 99, mtime=0)[:-9], "gzip", Damaged),
        (b"no gzip at all", "gzip", Damaged),
        (gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0), "gzip", Damaged),
        (b"packed by another", "br", Unreadable),
        (gzip.compress(b"twice", mtime=0), "gzip, gzip", Unreadable),
    ],
)
def test_wrong_packing_is_named(site: Server, content: bytes, packing: str, kind: type[IngestError]) -> None:
    site.routes["/"] = Reply(content, headers={"Content-Encoding": packing})
    assert "packed" in refusal(site.url(), kind) or "packs" in refusal(site.url(), kind)


def test_an_endless_body_is_stopped(site: Server) -> None:
    sent: list[int] = []

    def endless(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not handler.server.over.is_set():
            handler.wfile.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            sent.append(4096)

    site.routes["/"] = endless
    assert "over the limit of 100,000 bytes" in refusal(site.url(), TooLarge)
    assert sum(sent) < 50 * 2**20


def test_endless_packing_that_unpacks_to_nothing_is_stopped(site: Server) -> None:
    def endless(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        packer = zlib.compressobj(wbits=31)
        handler.wfile.write(packer.compress(b"a"))
        while not handler.server.over.is_set():
            handler.wfile.write(packer.flush(zlib.Z_FULL_FLUSH) or b"\x00\x00\x00\xff\xff" * 1000)

    site.routes["/"] = endless
    assert "over the limit" in refusal(site.url(), TooLarge)


def test_a_length_over_the_limit_is_enough(site: Server) -> None:
    def promises(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n")
        handler.server.over.wait(20)

    site.routes["/"] = promises
    assert "over the limit" in refusal(site.url(), TooLarge)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: ", b""]
)
def test_a_server_that_drips_is_left(site: Server, head: bytes) -> None:
    """Each byte comes well within the time limit; all of them together never would."""

    def drips(handler: Handler) -> None:
        handler.wfile.write(head)
        while head and not handler.server.over.wait(0.02):
            handler.wfile.write(b"x")
        handler.server.over.wait(20)

    site.routes["/"] = drips
    assert "within 0.3 s" in refusal(site.url(), Unreadable, timeout_s=0.3)


def test_headers_without_end_are_refused(site: Server) -> None:
    def heads(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 500_000)
        handler.server.over.wait(20)

    site.routes["/"] = heads
    assert "connection failed" in refusal(site.url(), Unreadable)


# ── trying again ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_passes_is_tried_again(site: Server) -> None:
    waiting = [Reply(status=503), Reply(status=429, headers={"Retry-After": "1"}), Reply(status=502)]

    def recovers(handler: Handler) -> Reply:
        return waiting.pop(0) if waiting else PAGE

    site.routes["/"] = recovers
    with fetcher() as web:
        assert page(web.fetch(site.url())).content == PAGE.content
    assert site.asked.count("/") == 4


def test_a_connection_that_breaks_is_tried_again(site: Server) -> None:
    broken: list[bytes] = [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", b"nonsense\r\n\r\n"]

    def recovers(handler: Handler) -> Reply | None:
        if not broken:
            return PAGE
        handler.wfile.write(broken.pop(0))
        return None

    site.routes["/"] = recovers
    with fetcher() as web:
        assert page(web.fetch(site.url())).content == PAGE.content


def test_what_does_not_pass_is_said_after_four_attempts(site: Server) -> None:
    site.routes["/"] = Reply(status=503)
    assert "503; try again later" in refusal(site.url(), Unreadable)
    assert site.asked.count("/") == 4


def test_a_long_wait_is_not_waited(site: Server) -> None:
    site.routes["/"] = Reply(status=503, headers={"Retry-After": "86400"})
    assert "try again later" in refusal(site.url(), Unreadable)
    assert site.asked.count("/") == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, True),
        ("soon", True),
        ("0", 0.0),
        ("7", 7.0),
        ("86400", False),
        ("9" * 400, False),
        ("Thu, 01 Jan 1970 00:01:50 GMT", 10.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("Thu, 01 Jan 2099 00:00:10 GMT", False),
    ],
)
def test_retry_after_is_understood(said: str | None, expected: bool | float) -> None:
    found = pause(said, 100.0)
    assert found == expected
    assert type(found) is type(expected)
    assert MAX_RETRY_AFTER_S < 86_400


def test_a_server_that_is_down_is_unreadable(site: Server) -> None:
    with serving() as gone:
        url = gone.url()
    assert "connection failed" in refusal(url, Unreadable)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *[(status, Gone) for status in (404, 410)],
        *[(status, Unreadable) for status in (206, 300, 401, 403, 418, 501)],
        (204, Empty),
    ],
)
def test_other_answers_are_errors_that_say_what_to_do(site: Server, status: int, kind: type[IngestError]) -> None:
    site.routes["/"] = Reply(b"" if status == 204 else b"text", status)
    assert str(status) in refusal(site.url(), kind)
    site.routes["/"] = Reply(b"")
    assert "no content" in refusal(site.url(), Empty)


# ── what the content is ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "encoding"),
    [
        ("windows-1251", "windows-1251"),
        ("iso-8859-1", "utf-8"),  # what many servers say of everything
        ("iso-8859-1", "windows-1252"),
        ("utf-8", "windows-1252"),  # wrong, and the page itself says nothing
        ("no-such-charset", "utf-8"),
        ("punycode", "utf-8"),
        ('"UTF-8"', "utf-8"),
    ],
)
@pytest.mark.parametrize("kind", ["text/html", "text/plain"])
def test_the_charset_reaches_the_parser_and_may_be_wrong(site: Server, said: str, encoding: str, kind: str) -> None:
    sentence = "Съешь ещё этих мягких булок." if encoding == "windows-1251" else "Größe über Straßen in Nørrebro, café."
    body = f"<html><body><p>{sentence}</p></body></html>" if kind == "text/html" else sentence
    site.routes["/"] = Reply(body.encode(encoding), headers={"Content-Type": f"{kind}; charset={said}"})
    with fetcher() as web:
        found = page(web.fetch(site.url()))
    (parsed,) = parsers.parse(found.source)
    assert isinstance(parsed, Parsed)
    assert [block.text for block in parsed.blocks] == [sentence]


@pytest.mark.parametrize(
    ("kind", "said", "content", "expected"),
    [
        ("text/html", "koi8-r", "<p>Шум моря</p>".encode("koi8-r"), "Шум моря"),  # too short to be guessed
        ("text/plain", "koi8-r", "Шум моря".encode("koi8-r"), "Шум моря"),
        ("text/plain", "utf-7", b"2 +AGE- 2", "2 +AGE- 2"),  # not read so by anybody since it let scripts hide
    ],
)
def test_what_only_the_server_knows_is_believed(
    site: Server, kind: str, said: str, content: bytes, expected: str
) -> None:
    site.routes["/"] = Reply(content, headers={"Content-Type": f"{kind}; charset={said}"})
    with fetcher() as web:
        (parsed,) = parsers.parse(page(web.fetch(site.url())).source)
    assert isinstance(parsed, Parsed)
    assert parsed.blocks[0].text == expected


def test_what_the_page_says_counts_where_the_server_is_wrong(site: Server) -> None:
    body = '<html><meta charset="windows-1251"><p>Съешь ещё этих мягких французских булок.</p>'.encode("windows-1251")
    site.routes["/"] = Reply(body, headers={"Content-Type": "text/html; charset=utf-8"})
    with fetcher() as web:
        (parsed,) = parsers.parse(page(web.fetch(site.url())).source)
    assert isinstance(parsed, Parsed)
    assert parsed.blocks[0].text.startswith("Съешь ещё")


@pytest.mark.parametrize(
    ("path", "said", "content", "expected"),
    [
        ("/a", "text/html", b"<p>x", "text/html"),
        ("/a.md", "text/plain; charset=utf-8", b"# x", "text/markdown"),
        ("/a.md", "text/html", b"<p>x", "text/html"),
        ("/a", "text/x-markdown", b"# x", "text/markdown"),
        ("/a.pdf", "text/html", b"<!doctype html><p>x", "text/html"),
        ("/a", "text/html", b"%PDF-1.7 x", "application/pdf"),
        ("/a", "application/octet-stream", b"%PDF-1.7 x", "application/pdf"),
        ("/a%2Ecsv", "", b"a,b\n1,2", "text/csv"),
        ("/a", "application/json", b"{}", "application/json"),
        ("/a", "nonsense", b"text", "text/plain"),
        ("/a", "application/xhtml+xml", b'<?xml version="1.0"?><html/>', "application/xhtml+xml"),
        ("/a", "application/x-thing", b"\x00\x01", "application/x-thing"),
    ],
)
def test_the_kind_is_told_by_content_then_server_then_name(
    site: Server, path: str, said: str, content: bytes, expected: str
) -> None:
    site.routes[path] = Reply(content, headers={"Content-Type": said} if said else {})
    with fetcher() as web:
        assert page(web.fetch(site.url(path))).media_type == expected


def test_nothing_of_the_surroundings_takes_part(site: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    site.routes["/"] = Reply(PAGE.content, headers={**HTML, "Set-Cookie": "a=b; Path=/"})
    with fetcher() as web:
        web.fetch(site.url())
        web.fetch(site.url())
    assert site.asked == ["/robots.txt", "/", "/"]
    assert not any({"cookie", "authorization"} & set(headers) for headers in site.headers)


def test_the_module_is_light_until_it_is_used() -> None:
    heavy = ("httpx", "httpcore", "lxml", "protego")
    program = f"import sys, ingest.web.fetcher; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
