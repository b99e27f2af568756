"""Which addresses are fetched, against real servers on this machine: hosts, redirects, name servers, certificates."""

import ipaddress
import socket
import ssl
from collections.abc import Iterator

import pytest
import stamina
import trustme

from ingest.errors import Gone, IngestError, Refused, Unreadable
from ingest.web.addresses import is_public
from ingest.web.fetcher import Fetcher, Page, normalised
from tests.web_house import (
    HERE,
    HTML,
    LIMIT,
    PAGE,
    Reply,
    Resolver,
    Server,
    fetcher,
    leading_to,
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


# ── which hosts and addresses ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_is_read_with_all_that_is_known_of_it(site: Server) -> None:
    site.routes["/a?b=1"] = Reply(
        PAGE.content, headers={**HTML, "ETag": '"1"', "Last-Modified": "Mon, 05 Jan 2026 00:00:00 GMT"}
    )
    with fetcher() as web:
        found = page(web.fetch(site.url("/a?b=1#part")))
    assert found == Page(
        url=site.url("/a?b=1"),
        final_url=site.url("/a?b=1"),
        media_type="text/html",
        charset="utf-8",
        content=PAGE.content,
        etag='"1"',
        modified="Mon, 05 Jan 2026 00:00:00 GMT",
    )
    assert found.source.uri == site.url("/a?b=1")
    assert site.headers[-1]["user-agent"] == "rag/0.1"
    assert site.headers[-1]["host"] == f"{HERE}:{site.port}"


def test_no_host_is_asked_that_was_not_allowed(site: Server) -> None:
    with Fetcher([], max_bytes=LIMIT) as web, pytest.raises(Refused, match=r"--allow-host 127\.0\.0\.1"):
        web.fetch(site.url())
    assert "--allow-host sub.example.org" in refusal("http://sub.example.org/", Refused, "example.org")
    assert site.asked == []


@pytest.mark.parametrize(
    "host", ["", "https://example.org", "example.org/docs", "example.org:80", "*.example.org", "a@b", "0177.0.0.1"]
)
def test_what_is_no_host_cannot_be_allowed(host: str) -> None:
    with pytest.raises(Refused, match="--allow-host"):
        Fetcher([host], max_bytes=LIMIT)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("192.0.0.8", False),
        ("198.18.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%1", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("::ffff:8.8.8.8", True),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("64:ff9b:1::1", False),
        ("2002:7f00:1::", False),
        ("2002:a9fe:a9fe::1", False),
    ],
)
def test_public_addresses_are_told_from_all_others(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", "::ffff:10.0.0.7", "fe80::1%eth0"]
)
def test_a_name_that_leads_inside_is_refused(site: Server, address: str) -> None:
    said = refusal(site.url(host="docs.example.org"), Refused, "docs.example.org", resolve=leading_to(address))
    assert "--allow-host" in said
    said = refusal(
        site.url(host="docs.example.org"), Refused, "docs.example.org", resolve=leading_to("8.8.8.8", address)
    )
    assert str(ipaddress.ip_address(address)) in said
    assert site.asked == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1"])
def test_other_spellings_of_an_address_lead_no_further(site: Server, host: str) -> None:
    said = refusal(site.url(host=host), Refused, host)
    assert "127.0.0.1" in said
    assert site.asked == []


def test_an_address_inside_is_asked_when_it_is_allowed_itself(site: Server) -> None:
    site.routes["/"] = PAGE
    with fetcher("docs.example.org", HERE, resolve=leading_to(HERE)) as web:
        assert page(web.fetch(site.url(host="docs.example.org"))).content == PAGE.content
    assert site.headers[-1]["host"] == f"docs.example.org:{site.port}"
    with fetcher("localhost", resolve=leading_to(HERE)) as web:
        assert page(web.fetch(site.url(host="LOCALHOST"))).content == PAGE.content
    assert "10.0.0.7" in refusal(site.url(host="localhost"), Refused, "localhost", resolve=leading_to("10.0.0.7"))


def test_ipv6_addresses_are_asked() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    Server.address_family, before = socket.AF_INET6, Server.address_family
    try:
        with serving("::1") as site:
            site.routes["/"] = PAGE
            with fetcher("[0:0::1]") as web:
                assert page(web.fetch(site.url(host="[::1]"))).content == PAGE.content
            assert site.headers[-1]["host"] == f"[::1]:{site.port}"
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    finally:
        Server.address_family = before


def test_a_name_server_that_changes_its_mind_changes_nothing(site: Server) -> None:
    """DNS rebinding: the address that was checked is the one that is connected to, for every request."""
    site.routes["/"] = site.routes["/b"] = Reply(PAGE.content, headers={**HTML, "Connection": "close"})
    resolver = Resolver([[HERE], ["127.0.0.2"]])
    with serving("127.0.0.2", site.port) as other:
        with fetcher("docs.example.org", HERE, "127.0.0.2", resolve=resolver) as web:
            web.fetch(site.url(host="docs.example.org"))
            web.fetch(site.url("/b", host="docs.example.org"))
        assert other.asked == []
        with fetcher("docs.example.org", HERE, "127.0.0.2", resolve=resolver) as web, pytest.raises(Gone):
            web.fetch(site.url(host="docs.example.org"))
        assert other.asked == ["/robots.txt", "/"]  # the second answer would have led there
    assert site.asked == ["/robots.txt", "/", "/b"]


def test_the_next_address_of_a_name_is_tried_when_one_is_down(site: Server) -> None:
    site.routes["/"] = PAGE
    with fetcher("docs.example.org", HERE, "127.0.0.3", resolve=leading_to("127.0.0.3", HERE)) as web:
        assert page(web.fetch(site.url(host="docs.example.org"))).content == PAGE.content


def test_names_that_lead_nowhere_are_unreadable() -> None:
    def fails(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    assert "cannot be resolved" in refusal("http://a.example.org/", Unreadable, "a.example.org", resolve=fails)
    assert "no address" in refusal("http://a.example.org/", Unreadable, "a.example.org", resolve=leading_to())


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("ftp://127.0.0.1/a", Refused),
        ("file:///etc/passwd", Refused),
        ("/etc/passwd", Refused),
        ("http://user:secret@127.0.0.1/", Refused),
        ("ftp://user:secret@127.0.0.1/", Refused),
        ("http://user:secret@127.0.0.1:x/", Unreadable),
        ("http://127.0.0.1:999999/", Unreadable),
        ("http://", Unreadable),
        ("http:///a", Unreadable),
        ("http://[::1", Unreadable),
        ("http://127.0.0.1\\@evil.example.org/", Refused),
    ],
)
def test_addresses_that_are_none_are_refused_without_repeating_passwords(url: str, kind: type[IngestError]) -> None:
    assert "secret" not in refusal(url, kind)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Example.ORG:80", "http://example.org/"),
        ("https://example.org:443/a/../b?x=1#top", "https://example.org/b?x=1"),
        ("https://example.org:8443/", "https://example.org:8443/"),
        (" https://example.org/ä b ", "https://example.org/%C3%A4%20b"),
        ("https://Bücher.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_addresses_have_one_form(url: str, expected: str) -> None:
    assert normalised(url) == normalised(expected)
    assert normalised(normalised(url)) == normalised(url)


def test_normalised_is_what_it_says() -> None:
    assert normalised("HTTP://Example.ORG:80") == "http://example.org/"
    assert normalised("https://example.org:443/b?x=1#top") == "https://example.org/b?x=1"


# ── redirects ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("where", "kind", "named"),
    [
        ("http://evil.example.org/", Refused, "--allow-host evil.example.org"),
        ("//evil.example.org/", Refused, "--allow-host evil.example.org"),
        ("http://169.254.169.254/latest/meta-data/", Refused, "--allow-host 169.254.169.254"),
        ("http://[::ffff:a9fe:a9fe]/", Refused, "--allow-host ::ffff:"),
        ("file:///etc/passwd", Refused, "not file"),
        ("gopher://127.0.0.1:6379/_x", Refused, "not gopher"),
        ("http://user:secret@127.0.0.1/", Refused, "user name"),
        ("http://inside.example.org/", Refused, "--allow-host 10.0.0.7"),
        ("", Unreadable, "where to go"),
    ],
)
def test_a_redirect_is_checked_like_a_first_address(
    site: Server, where: str, kind: type[IngestError], named: str
) -> None:
    site.routes["/"] = to(where)
    said = refusal(site.url(), kind, HERE, "inside.example.org", resolve=leading_to("10.0.0.7"))
    assert named in said
    assert "secret" not in said
    assert said.startswith(site.url())
    assert site.asked == ["/robots.txt", "/"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(site: Server, status: int) -> None:
    site.routes |= {"/a/b": to("../c?d", status), "/c?d": to(site.url("/e", host=HERE), status), "/e": PAGE}
    with fetcher() as web:
        found = page(web.fetch(site.url("/a/b")))
    assert (found.url, found.final_url) == (site.url("/a/b"), site.url("/e"))
    assert found.source.uri == site.url("/a/b")


def test_redirects_end(site: Server) -> None:
    site.routes |= {"/a": to("/b"), "/b": to("/a")} | {f"/{n}": to(f"/{n + 1}") for n in range(5)} | {"/5": PAGE}
    assert "over 5 redirects" in refusal(site.url("/a"), Unreadable)
    with fetcher() as web:
        assert page(web.fetch(site.url("/0"))).final_url == site.url("/5")


def test_redirects_across_schemes_and_robots_are_checked_too(site: Server) -> None:
    site.routes |= {"/robots.txt": Reply(b"User-agent: *\nDisallow: /hidden"), "/": to("/hidden/x"), "/hidden/x": PAGE}
    assert "robots.txt" in refusal(site.url(), Refused)
    assert "/hidden/x" not in site.asked


# ── certificates ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def served_as(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trusting(*authorities: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for one in authorities:
        one.configure_trust(context)
    return context


def test_the_certificate_is_that_of_the_name_though_the_address_is_connected_to(authority: trustme.CA) -> None:
    with serving(context=served_as(authority, "docs.example.org")) as site:
        site.routes["/"] = PAGE
        resolve = leading_to(HERE)
        said = {"resolve": resolve, "tls": trusting(authority)}
        with fetcher("docs.example.org", HERE, **said) as web:
            found = page(web.fetch(site.url(host="docs.example.org", scheme="https")))
        assert found.content == PAGE.content
        assert set(site.names) == {"docs.example.org"}
        other = refusal(
            site.url(host="other.example.org", scheme="https"), Unreadable, "other.example.org", HERE, **said
        )
        assert "certificate" in other
        assert "other.example.org" in other
        assert "certificate" in refusal(site.url(scheme="https"), Unreadable, HERE, **said)
        strict = {"resolve": resolve}
        unknown = refusal(
            site.url(host="docs.example.org", scheme="https"), Unreadable, "docs.example.org", HERE, **strict
        )
        assert "certificate" in unknown
    assert site.asked == ["/robots.txt", "/"]


def test_two_names_at_one_address_share_no_connection(authority: trustme.CA) -> None:
    """A connection whose certificate was checked for one name is not used for another."""
    with serving(context=served_as(authority, "a.example.org")) as site:
        site.routes["/"] = PAGE
        with fetcher("a.example.org", "b.example.org", HERE, resolve=leading_to(HERE), tls=trusting(authority)) as web:
            web.fetch(site.url(host="a.example.org", scheme="https"))
            with pytest.raises(Unreadable, match="certificate"):
                web.fetch(site.url(host="b.example.org", scheme="https"))


def test_a_server_that_speaks_no_tls_is_unreadable(site: Server) -> None:
    assert "connection failed" in refusal(site.url(scheme="https"), Unreadable)
