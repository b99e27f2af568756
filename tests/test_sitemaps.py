"""Sitemaps, from real servers on this machine: what is listed, what is left out and why."""

import gzip
from collections.abc import Iterator

import pytest
import stamina

from ingest.errors import Damaged, Empty, TooLarge
from ingest.types import Failed
from ingest.web import sitemaps
from tests.web_house import (
    HERE,
    LIMIT,
    Reply,
    Server,
    fetcher,
    serving,
)


@pytest.fixture
def site() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


# ── sitemaps ──────────────────────────────────────────────────────────────────────────────────────────────────────────

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*urls: str, modified: str = "") -> bytes:
    date = f"<lastmod>{modified}</lastmod>" if modified else ""
    entries = "".join(f"<url>\n<loc> {url} </loc>{date}</url>" for url in urls)
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset {NAMESPACE}>{entries}</urlset>'.encode()


def index(*urls: str) -> bytes:
    entries = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return f"<sitemapindex {NAMESPACE}>{entries}</sitemapindex>".encode()


def listed(url: str) -> tuple[list[str], list[Failed]]:
    with fetcher() as web:
        found = list(web.sitemap(url))
    return [entry.url for entry in found if isinstance(entry, sitemaps.Entry)], [
        f for f in found if isinstance(f, Failed)
    ]


def test_a_sitemap_lists_pages_with_their_dates(site: Server) -> None:
    places = [
        site.url("/a"),
        site.url("/b?x=1&amp;y=2"),
        site.url("/a#twice"),
        "https://evil.example.org/c",
        "ftp://x/y",
    ]
    site.routes["/sitemap.xml"] = Reply(urlset(*places, modified="2026-01-05"))
    with fetcher() as web:
        found = list(web.sitemap(site.url("/sitemap.xml")))
    assert found[:2] == [
        sitemaps.Entry(site.url("/a"), "2026-01-05"),
        sitemaps.Entry(site.url("/b?x=1&y=2"), "2026-01-05"),
    ]
    assert [failed.uri for failed in found[2:] if isinstance(failed, Failed)] == places[3:]
    assert isinstance(found[2], Failed)
    assert "--allow-host evil.example.org" in found[2].reason


def test_an_index_is_followed_packed_or_not_and_what_fails_is_named(site: Server) -> None:
    site.routes |= {
        "/i.xml": Reply(
            index(
                site.url("/1.xml"), site.url("/2.xml.gz"), site.url("/gone.xml"), site.url("/i.xml"), "http://x.org/s"
            )
        ),
        "/1.xml": Reply(urlset(site.url("/a"))),
        "/2.xml.gz": Reply(
            gzip.compress(urlset(site.url("/b"), site.url("/a"))), headers={"Content-Type": "application/gzip"}
        ),
    }
    pages, failed = listed(site.url("/i.xml"))
    assert pages == [site.url("/a"), site.url("/b")]
    assert [item.uri for item in failed] == ["http://x.org/s", site.url("/gone.xml")]


def test_indexes_within_indexes_end(site: Server) -> None:
    site.routes |= {f"/{n}.xml": Reply(index(site.url(f"/{n + 1}.xml"))) for n in range(9)}
    pages, failed = listed(site.url("/0.xml"))
    assert pages == []
    assert [item.uri for item in failed] == [site.url("/3.xml")]


def test_a_list_over_the_limit_is_cut_and_said(site: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sitemaps.MAX_URLS == 50_000
    monkeypatch.setattr(sitemaps, "MAX_URLS", 100)
    site.routes["/s.xml"] = Reply(urlset(*(site.url(f"/{n}") for n in range(101))))
    pages, failed = listed(site.url("/s.xml"))
    assert len(pages) == 100
    assert ["over 100 pages" in item.reason for item in failed] == [True]


def test_many_pages_are_listed_in_little_memory() -> None:
    import tracemalloc

    content = urlset(*(f"https://example.org/pages/{n}" for n in range(20_000)))
    tracemalloc.start()
    count = sum(1 for _ in sitemaps.read(content, "s.xml", max_bytes=2**30))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < len(content) * 2


@pytest.mark.parametrize(
    "content",
    [
        b"<html><body>no sitemap</body></html>",
        b"<urlset><url><loc>http://127.0.0.1/a</loc>",
        b'<!DOCTYPE u [<!ENTITY a "xxxxxxxx">'
        + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a;" * 9) for n in range(9))
        + b"]><b>&a8;</b>",
        b"just words",
        b"",
        gzip.compress(urlset("http://127.0.0.1/a"), mtime=0)[:-20],
    ],
)
def test_what_is_no_sitemap_is_said(site: Server, content: bytes) -> None:
    site.routes["/s.xml"] = Reply(content)
    with fetcher() as web, pytest.raises((Damaged, Empty), match=r"no sitemap|begins as gzip|no content"):
        list(web.sitemap(site.url("/s.xml")))


def test_entities_read_no_file(site: Server) -> None:
    site.routes["/s.xml"] = Reply(
        b'<!DOCTYPE u [<!ENTITY f SYSTEM "file:///etc/hostname"><!ENTITY g SYSTEM "http://127.0.0.1:9/">]>'
        + urlset(f"http://{HERE}/a&f;", f"http://{HERE}/&g;").partition(b"?>")[2]
    )
    pages, _ = listed(site.url("/s.xml"))
    assert pages == [f"http://{HERE}/a", f"http://{HERE}/"]


def test_a_packed_sitemap_is_bounded(site: Server) -> None:
    site.routes["/s.xml.gz"] = Reply(gzip.compress(b"<urlset>" + b" " * 10 * LIMIT))
    with fetcher() as web, pytest.raises(TooLarge):
        list(web.sitemap(site.url("/s.xml.gz")))


def test_feeds_and_plain_lists_are_sitemaps_too(site: Server) -> None:
    a, b = site.url("/a"), site.url("/b")
    site.routes |= {
        "/list.txt": Reply(f"{a}\r\n{b}\n".encode()),
        "/rss": Reply(
            f"<rss><channel><link>{site.url()}</link><image><url>{site.url('/i.png')}</url></image><item><title>t</title>"
            f"<link>{a}</link><pubDate>Mon, 05 Jan 2026 00:00:00 GMT</pubDate></item></channel></rss>".encode()
        ),
        "/atom": Reply(
            f'<feed xmlns="http://www.w3.org/2005/Atom"><link href="{site.url()}"/><entry>'
            f'<link rel="edit" href="{a}/edit"/>'
            f'<link href="{b}"/><updated>2026-01-05T00:00:00Z</updated></entry></feed>'.encode()
        ),
    }
    assert listed(site.url("/list.txt")) == ([a, b], [])
    assert listed(site.url("/rss")) == ([a], [])
    assert listed(site.url("/atom")) == ([b], [])
