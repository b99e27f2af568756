"""A collection follows pages and sitemaps of a real server: only what changed is asked for again, nothing is lost to
an error."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
from sqlalchemy import select

from ingest.web.fetcher import Fetcher
from rag.corpus import Corpus, sync
from rag.corpus.sync import Difference, Options
from rag.store import syncs as store
from rag.store.syncs import Follows, Location
from rag.store.tables import documents, sources
from tests.web_house import HERE, HTML, Handler, Reply, Server, serving, to

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
TAG = '"one"'


@pytest.fixture
def site() -> Iterator[Server]:
    with serving() as server, stamina.set_testing(True, attempts=1):
        for name in ("a", "b", "c"):
            server.routes[f"/{name}"] = page(f"This is page {name}.")
        server.routes["/sitemap.xml"] = listing(server, "/a", "/b", "/c")
        yield server


def page(text: str, etag: str = "") -> Reply:
    headers = HTML | ({"ETag": etag} if etag else {})
    return Reply(f"<html><title>{text}</title><p>{text}</p></html>".encode(), headers=headers)


def listing(server: Server, *paths: str) -> Reply:
    entries = "".join(f"<url><loc>{path if '//' in path else server.url(path)}</loc></url>" for path in paths)
    return Reply(f"<urlset {NAMESPACE}>{entries}</urlset>".encode(), headers={"Content-Type": "application/xml"})


def tagged(text: str, etag: str) -> object:
    """A page that is sent only to whom does not have it."""

    def answer(handler: Handler) -> Reply:
        if handler.headers.get("If-None-Match") == etag:
            return Reply(status=304)
        return page(text, etag)

    return answer


def follow(corpus: Corpus, *locations: Location, **settings: object) -> None:
    with corpus.database.write() as connection:
        follows = Follows(locations, hosts=(HERE,), **settings)  # type: ignore[arg-type]
        store.register(connection, corpus.collection, "site", follows, actor="local")


def run(corpus: Corpus, *, dry: bool = False) -> Difference:
    with corpus.database.read() as connection:
        stored = store.get(connection, corpus.collection.tenant_id, "site", "default")
    options = Options(2**20, fetcher=lambda hosts, most: Fetcher(hosts, max_bytes=most, sleep=lambda _: None))
    return sync.preview(corpus, stored, options) if dry else sync.run(corpus, stored, options)


def told(difference: Difference) -> dict[str, object]:
    found: dict[str, object] = {
        kind: sorted(uri.rpartition("/")[2] for uri in getattr(difference, kind))
        for kind in ("added", "updated", "removed")
    }
    found["failed"] = sorted(each.uri.rpartition("/")[2] for each in difference.failures)
    found["unchanged"], found["skipped"] = difference.unchanged, difference.skipped
    return {key: value for key, value in found.items() if value}


def pages(corpus: Corpus) -> list[str]:
    with corpus.database.read() as connection:
        rows = connection.execute(select(documents.c.uri).where(documents.c.removed_position.is_(None)))
        return sorted(row[0].rpartition("/")[2] for row in rows)


def test_a_sitemap_is_followed(corpus: Corpus, site: Server) -> None:
    follow(corpus, Location("sitemap", site.url("/sitemap.xml")))
    assert told(run(corpus, dry=True)) == {"added": ["a", "b", "c"]}
    assert told(run(corpus)) == {"added": ["a", "b", "c"]}
    site.routes["/b"] = page("This is page b, written again.")
    site.routes["/d"] = page("This is page d.")
    site.routes["/c"] = Reply(b"", 410)
    site.routes["/sitemap.xml"] = listing(site, "/b", "/c", "/d")
    expected = {"added": ["d"], "updated": ["b"], "removed": ["a", "c"]}
    assert told(run(corpus, dry=True)) == expected
    assert told(run(corpus)) == expected
    assert pages(corpus) == ["b", "d"]


def test_what_the_server_says_is_not_modified_is_not_read_again(corpus: Corpus, site: Server) -> None:
    site.routes["/a"] = tagged("This is page a.", TAG)  # type: ignore[assignment]
    follow(corpus, Location("page", site.url("/a")), Location("page", site.url("/b")))
    assert told(run(corpus)) == {"added": ["a", "b"]}
    with corpus.database.read() as connection:
        assert connection.scalar(select(sources.c.etag).where(sources.c.uri == site.url("/a"))) == TAG
    for dry in (True, False):
        site.headers.clear()
        assert told(run(corpus, dry=dry)) == {"unchanged": 2}
        assert [sent["if-none-match"] for sent in site.headers if "if-none-match" in sent] == [TAG]
    follow(corpus, Location("page", site.url("/a")), Location("page", site.url("/b")), labels=frozenset({"staff"}))
    assert told(run(corpus)) == {"updated": ["a", "b"]}, "all of it is needed again, whatever the server says"
    site.routes["/a"] = tagged("This is page a, written again.", '"two"')  # type: ignore[assignment]
    assert told(run(corpus)) == {"updated": ["a"], "unchanged": 1}


def test_not_modified_behind_a_redirect_is_not_believed(corpus: Corpus, site: Server) -> None:
    site.routes["/old"] = to("/a")
    site.routes["/a"] = tagged("This is page a.", TAG)  # type: ignore[assignment]
    follow(corpus, Location("page", site.url("/old")))
    assert told(run(corpus)) == {"added": ["old"]}
    site.routes["/old"] = to("/b")
    site.routes["/b"] = tagged("This is page b.", TAG)  # type: ignore[assignment]
    assert told(run(corpus)) == {"updated": ["old"]}


@pytest.mark.parametrize("answer", [Reply(b"", 500), Reply(b"", 403), Reply(b"", 200)])
def test_an_error_removes_nothing(corpus: Corpus, site: Server, answer: Reply) -> None:
    follow(corpus, Location("sitemap", site.url("/sitemap.xml")))
    run(corpus)
    site.routes["/a"] = answer
    assert told(run(corpus)) == {"failed": ["a"], "unchanged": 2}
    site.routes["/sitemap.xml"] = answer
    assert told(run(corpus)) == {"failed": ["sitemap.xml"]}
    site.routes["/sitemap.xml"] = listing(site)
    difference = run(corpus)
    assert told(difference) == {"failed": ["sitemap.xml"]}
    assert "--allow-empty" in difference.failures[0].reason
    assert pages(corpus) == ["a", "b", "c"]


def test_a_list_that_is_not_whole_removes_nothing(corpus: Corpus, site: Server) -> None:
    entries = "".join(f"<sitemap><loc>{site.url(f'/{n}.xml')}</loc></sitemap>" for n in (1, 2))
    site.routes["/sitemap.xml"] = Reply(f"<sitemapindex {NAMESPACE}>{entries}</sitemapindex>".encode())
    site.routes["/1.xml"] = listing(site, "/a", "https://elsewhere.example.org/x")
    site.routes["/2.xml"] = listing(site, "/b", "/c")
    follow(corpus, Location("sitemap", site.url("/sitemap.xml")))
    assert told(run(corpus)) == {"added": ["a", "b", "c"], "failed": ["x"]}
    site.routes["/2.xml"] = Reply(b"", 503)
    assert told(run(corpus)) == {"unchanged": 1, "failed": ["2.xml", "x"]}
    assert pages(corpus) == ["a", "b", "c"]
    site.routes["/2.xml"] = listing(site, "/b")
    assert told(run(corpus)) == {"unchanged": 2, "removed": ["c"], "failed": ["x"]}, "a host never asked hides nothing"


def test_pages_and_folders_together(corpus: Corpus, site: Server, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("A file.")
    follow(corpus, Location("path", str(tmp_path / "f.txt")), Location("page", site.url("/a")))
    assert told(run(corpus)) == {"added": ["a", "f.txt"]}
    follow(corpus, Location("path", str(tmp_path / "f.txt")))
    assert told(run(corpus)) == {"unchanged": 1, "removed": ["a"]}
