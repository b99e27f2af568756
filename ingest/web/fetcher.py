"""Pages of the web become sources: fetched from allowed hosts at checked addresses, as robots.txt permits.

Nothing of the surroundings takes part: no proxy, password file or cookie. What a server sends is bounded in bytes and
in time, packed or not; every redirect is checked like a first address.
"""

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ingest import media_types
from ingest.errors import Empty, Gone, IngestError, Refused, Unreadable
from ingest.types import Failed, Source
from ingest.web import addresses, robots, sitemaps

if TYPE_CHECKING:
    import httpx

    from ingest.web.connections import Answer

USER_AGENT = "rag/0.1"
TIMEOUT_S = 30.0
MAX_REDIRECTS = 5

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_TELLS_NOTHING = ("text/plain", media_types.BINARY, "binary/octet-stream", "application/force-download")
_UNSURE = frozenset(  # what is told from a few words of a text
    ("text/plain", media_types.BINARY, "application/xml", "message/rfc822", "application/mbox", "multipart/related")
)
_USER = re.compile(r"//[^/?#]*@")
_ALIASES = {"text/x-markdown": "text/markdown", "text/xml": "application/xml", "application/csv": "text/csv"}


@dataclass(frozen=True, slots=True)
class Page:
    """What was found at an address."""

    url: str  # as asked, normalised: the address of the source
    final_url: str  # after redirects
    media_type: str
    charset: str | None  # what the server says of a text's encoding
    content: bytes
    etag: str | None  # this and the next are given back to `fetch` the next time
    modified: str | None  # the Last-Modified header as it came

    @property
    def source(self) -> Source:
        return Source(self.url, self.media_type, self.content, charset=self.charset)


@dataclass(frozen=True, slots=True)
class NotModified:
    """The page is what it was when its `etag` and `modified` were given.

    Where `final_url` is not what it was then, the redirects have changed: fetch it again without the two.
    """

    url: str
    final_url: str


def normalised(url: str) -> str:
    """The address as sources have it: scheme and host in lower case, no default port, no fragment, escaped as needed.

    Raises Refused for a user name or password in it and for other schemes than http and https, Unreadable for what is
    no address.
    """
    return str(_parsed(url))


class Fetcher:
    """Fetches pages from the allowed hosts, one at a time; what it learns of a host holds until it is closed.

    `allow_hosts` are names or addresses, without port; no other is asked. `timeout_s` is for each request, from the
    connection to the last byte, `max_bytes` for its content, unpacked. `tls` says whom to trust: by default the
    authorities that come with httpx, or those that SSL_CERT_FILE or SSL_CERT_DIR name. `resolve` and `sleep` are how
    names are resolved and pauses made. Raises Refused for what is no host. Not thread-safe.
    """

    def __init__(
        self,
        allow_hosts: Sequence[str],
        *,
        max_bytes: int,
        timeout_s: float = TIMEOUT_S,
        user_agent: str = USER_AGENT,
        resolve: addresses.Resolve = addresses.resolve,
        tls: ssl.SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from ingest.web.connections import Connections

        self._allowed = addresses.Allowed.of(allow_hosts)
        self._max_bytes = max_bytes
        self._product = user_agent.partition("/")[0].strip()
        self._resolve = resolve
        self._sleep = sleep
        self._connections = Connections(user_agent, max_bytes=max_bytes, timeout_s=timeout_s, tls=tls)
        self._robots: dict[str, robots.Robots | IngestError] = {}
        self._asked_at: dict[str, float] = {}

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connections.close()

    def fetch(self, url: str, etag: str | None = None, modified: str | None = None) -> Page | NotModified:
        """The page at an address, or that it is what it was when it had this `etag` and `modified`.

        Raises Refused (host, address, scheme, robots.txt), Gone (404, 410), Empty, TooLarge, Damaged (packed wrongly),
        Unreadable for all else, failed connections and certificates included.
        """
        asked = _parsed(url)
        conditions = {"If-None-Match": etag, "If-Modified-Since": modified}
        headers = {name: value for name, value in conditions.items() if value}
        answer = self._followed(asked, headers, self._check_robots)
        if answer.status == 304 and headers:
            return NotModified(str(asked), str(answer.url))
        _raise_for(asked, answer.status)
        if not answer.content:
            raise Empty(f"{asked}: the server sends no content; leave it out")
        media_type, charset = _kind(answer)
        etag, modified = answer.headers.get("etag"), answer.headers.get("last-modified")
        return Page(str(asked), str(answer.url), media_type, charset, answer.content, etag, modified)

    def sitemap(self, url: str) -> Iterator[sitemaps.Entry | Failed]:
        """The pages that a sitemap lists, those of the sitemaps of an index included, each once, in order.

        A page or sitemap that is left out is Failed and says why: its host is not allowed, it cannot be read, there are
        over sitemaps.MAX_URLS. Raises what `fetch` raises when the first sitemap cannot be read.
        """
        return sitemaps.walk(normalised(url), self._content, self._listable, max_bytes=self._max_bytes)

    def _content(self, url: str) -> bytes:
        page = self.fetch(url)
        assert isinstance(page, Page)  # no condition was given
        return page.content

    def _listable(self, text: str) -> str:
        url = _parsed(text)
        self._allowed.check(_host(url), str(url))
        return str(url)

    # ── robots.txt ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _check_robots(self, url: "httpx.URL") -> None:
        """Raise Refused unless the site's robots.txt lets the address be read; leave the time it asks for between two
        requests. It is asked for once."""
        site = f"{url.scheme}://{url.netloc.decode('ascii')}"
        rules = self._robots.get(site)
        if rules is None:
            rules = self._robots[site] = self._read_robots(site)
        if isinstance(rules, IngestError):
            raise type(rules)(f"{url}: it is not asked for, since the site's rules cannot be read: {rules}") from rules
        if not rules.allows(str(url)):
            raise Refused(f"{url}: {site}/robots.txt asks programs not to read it; ask whoever runs the site")
        if site in self._asked_at and rules.delay_s:
            self._sleep(max(0.0, self._asked_at[site] + rules.delay_s - time.monotonic()))
        self._asked_at[site] = time.monotonic()

    def _read_robots(self, site: str) -> robots.Robots | IngestError:
        """The rules of a site: all is allowed when there are none (4xx), nothing while they cannot be read."""
        try:
            answer = self._followed(_parsed(f"{site}/robots.txt"), {}, lambda _: None)
        except IngestError as error:
            return error
        if answer.status in (200, 203):
            return robots.read(answer.content, self._product)
        if 400 <= answer.status < 500 and answer.status != 429:
            return robots.Robots(self._product)
        return Refused(f"{answer.url}: the server answers {answer.status}; try again later")

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _followed(
        self, first: "httpx.URL", headers: Mapping[str, str], check: Callable[["httpx.URL"], None]
    ) -> "Answer":
        """The answer at the end of the redirects, each of which is checked before it is followed."""
        answer = self._asked(first, headers, check)
        for _ in range(MAX_REDIRECTS):
            if answer.status not in _REDIRECTS:
                return answer
            try:
                answer = self._asked(_target(answer), headers, check)
            except IngestError as error:
                raise type(error)(f"{first}: it leads elsewhere: {error}") from error
        if answer.status in _REDIRECTS:
            raise Unreadable(f"{first}: over {MAX_REDIRECTS} redirects, the last at {answer.url}; name the page itself")
        return answer

    def _asked(self, url: "httpx.URL", headers: Mapping[str, str], check: Callable[["httpx.URL"], None]) -> "Answer":
        """One answer of a host that is allowed; it is pinned to its checked addresses when it is asked first."""
        host, port = _host(url), url.port or _PORTS[url.scheme]
        self._allowed.check(host, str(url))
        network = self._connections.network
        if not network.pinned(host, port):
            network.pin(host, port, self._allowed.addresses(host, port, str(url), self._resolve))
        check(url)
        return self._connections.get(url, headers)


def _parsed(text: str, base: "httpx.URL | None" = None) -> "httpx.URL":
    import httpx

    shown = _USER.sub("//", text.strip())  # what may hold a password is not repeated
    try:
        url = httpx.URL(text.strip()) if base is None else base.join(text.strip())
        host = url.raw_host.decode("ascii")
        if url.userinfo:
            raise Refused(f"{shown}: it holds a user name or a password; name a page that can be read without")
        if url.scheme not in _PORTS:
            raise Refused(f"{shown}: only http:// and https:// addresses are fetched, not {url.scheme or 'a path'}")
        if not host:
            raise Unreadable(f"{shown}: there is no host in it; name an address as https://www.example.org/page")
        if url.port is not None and not 0 < url.port < 65_536:
            raise Unreadable(f"{shown}: there is no port {url.port}; check the address")
        return url.copy_with(fragment=None, raw_path=url.raw_path)  # "" becomes "/"
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise Unreadable(f"{shown}: this is no address of the web; check how it is written") from error


def _host(url: "httpx.URL") -> str:
    """As it stands in Allowed: an IPv6 address in its shortest form."""
    name = url.raw_host.decode("ascii")
    return str(addresses.as_address(name) or name)


def _target(answer: "Answer") -> "httpx.URL":
    where = answer.headers.get("location")
    if not where:
        raise Unreadable(f"{answer.url}: the server answers {answer.status} without saying where to go")
    return _parsed(where, base=answer.url)


def _raise_for(url: "httpx.URL", status: int) -> None:
    """Raise what an answer without content means."""
    if status in (200, 203):
        return
    if status in (404, 410):
        raise Gone(f"{url}: there is no such page ({status}); check the address")
    if status in (401, 403, 407, 451):
        raise Unreadable(f"{url}: the server does not let it be read ({status}); name pages that need no sign-in")
    if status in (204, 205):
        raise Empty(f"{url}: the server sends no content ({status}); leave it out")
    hint = "try again later" if status == 429 or status >= 500 else "check the address"
    raise Unreadable(f"{url}: the server answers {status}; {hint}")


def _kind(answer: "Answer") -> tuple[str, str | None]:
    """The media type and charset: as unmistakable first bytes tell, else the server, else the name in the address."""
    message = Message()
    message["content-type"] = answer.headers.get("content-type", "")
    said = message.get_content_type() if "/" in message["content-type"] else "text/plain"
    said = _ALIASES.get(said, said)
    name = PurePosixPath(unquote(answer.url.path)).name
    found = media_types.of(name, answer.content)
    bare = media_types.of("", answer.content)
    if bare in _UNSURE and said not in _TELLS_NOTHING:
        found = said
    elif bare == "text/html":
        found = bare
    return found, message.get_content_charset()
