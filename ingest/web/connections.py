"""Requests over connections to checked addresses only, bounded in bytes and in time; what may pass is tried again.

Names are not resolved here: a connection goes to an address that ingest.web.addresses let pass, while the URL's own
name stays in the Host header, in TLS (SNI) and in the check of the certificate. So what was checked is what is
connected to, whatever the name server answers the next moment (DNS rebinding).
"""

import ssl
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpcore
import httpx
import stamina

from ingest.errors import Damaged, TooLarge, Unreadable

ATTEMPTS = 4  # of one request, where another may help
MAX_RETRY_AFTER_S = 60.0  # a server that asks for a longer pause is asked another day

_PASSING = (429, 500, 502, 503, 504)  # may be another the next moment
_SLACK = 65_536  # bytes by which packed content may be longer than the content

Options = Iterable[httpcore.SOCKET_OPTION]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered to one request."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    content: bytes = b""  # unpacked; read where the status is 200 or 203 only


class Connections:
    """Sends requests, one at a time, to hosts that were pinned to their addresses. Not thread-safe."""

    def __init__(self, user_agent: str, *, max_bytes: int, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        self._user_agent = user_agent
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._deadline = Deadline()
        self.network = Pinned(self._deadline)
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls or httpx.create_ssl_context(),
            max_connections=8,
            max_keepalive_connections=4,
            keepalive_expiry=30.0,
            network_backend=self.network,
        )

    def close(self) -> None:
        self._pool.close()

    def get(self, url: httpx.URL, headers: Mapping[str, str]) -> Answer:
        """The server's answer; redirects are not followed. Connections that fail and answers that may pass (429, 5xx)
        are tried again with growing pauses, or those the server asks for.

        Raises Unreadable when there is no answer, TooLarge, Damaged.
        """
        waits = stamina.retry_context(on=_again, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=8.0)
        try:
            for attempt in waits:
                with attempt:
                    return self._once(url, headers)
        except _Passing as passing:
            return passing.answer
        except httpcore.TimeoutException as error:
            raise Unreadable(f"{url}: no whole answer within {self._timeout_s:g} s; try again later") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            if _untrusted(error):
                raise Unreadable(f"{url}: its certificate cannot be trusted ({error}); check the address") from error
            raise Unreadable(
                f"{url}: the connection failed ({error}); check the address, or try again later"
            ) from error
        raise AssertionError("every attempt returns or raises")

    def _once(self, url: httpx.URL, headers: Mapping[str, str]) -> Answer:
        self._deadline.start(self._timeout_s)
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent: list[tuple[bytes | str, bytes | str]] = [
            ("Host", url.netloc),
            ("User-Agent", self._user_agent),
            ("Accept", "text/html, application/xhtml+xml, */*;q=0.8"),
            ("Accept-Encoding", "gzip"),
            *headers.items(),
        ]
        with self._pool.stream("GET", target, headers=sent) as response:  # what is not read closes the connection
            got = httpx.Headers(response.headers)
            if response.status in _PASSING:
                raise _Passing(Answer(url, response.status, got))
            if response.status not in (200, 203):
                return Answer(url, response.status, got)
            return Answer(url, response.status, got, self._content(response, url, got))

    def _content(self, response: httpcore.Response, url: httpx.URL, headers: httpx.Headers) -> bytes:
        """The content, unpacked. Raises TooLarge as soon as it is known to be over the limit."""
        limit = self._max_bytes
        too_large = TooLarge(f"{url}: over the limit of {limit:,} bytes; leave it out, or raise the limit (max_bytes)")
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > limit + _SLACK:
            raise too_large
        unpacker = _unpacker(url, headers)
        content, received = bytearray(), 0
        try:
            for piece in response.iter_stream():
                received += len(piece)
                content += unpacker.decompress(piece, limit + 1 - len(content)) if unpacker else piece
                if len(content) > limit or received > limit + _SLACK:
                    raise too_large
        except zlib.error as error:
            raise Damaged(f"{url}: its content is packed wrongly ({error}); tell whoever runs the site") from error
        if unpacker and received and (not unpacker.eof or unpacker.unused_data):
            raise Damaged(
                f"{url}: its content is packed wrongly (it breaks off or goes on); tell whoever runs the site"
            )
        return bytes(content)


class _Passing(Exception):
    """An answer that may be another the next moment."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _again(error: Exception) -> bool | float:
    """Whether to try again, or the seconds to wait before."""
    if isinstance(error, _Passing):
        return pause(error.answer.headers.get("retry-after"), time.time())
    return isinstance(error, httpcore.NetworkError | httpcore.RemoteProtocolError) and not _untrusted(error)


def pause(said: str | None, now: float) -> bool | float:
    """What a Retry-After header means at a moment (seconds since 1970): seconds to wait, True when it says nothing
    that can be read, False when the wait would be over MAX_RETRY_AFTER_S (RFC 9110 10.2.3)."""
    if said is None:
        return True
    try:
        seconds = float(said) if said.strip().isdigit() else parsedate_to_datetime(said).timestamp() - now
    except (ValueError, OverflowError):
        return True
    return max(seconds, 0.0) if seconds <= MAX_RETRY_AFTER_S else False


def _untrusted(error: Exception) -> bool:
    return isinstance(error.__cause__, ssl.SSLCertVerificationError)


def _unpacker(url: httpx.URL, headers: httpx.Headers) -> "zlib._Decompress | None":
    packing = headers.get("content-encoding", "").strip().lower()
    if packing in ("", "identity"):
        return None
    if packing not in ("gzip", "x-gzip"):
        raise Unreadable(f"{url}: the server packs it as {packing}, which was not asked for; try another address of it")
    return zlib.decompressobj(wbits=31)


class Deadline:
    """When what is being done must be over."""

    def __init__(self) -> None:
        self._end = time.monotonic()

    def start(self, timeout_s: float) -> None:
        self._end = time.monotonic() + timeout_s

    def left(self) -> float:
        """Seconds until then. Raises httpcore.ReadTimeout when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time is over")
        return left


class Pinned(httpcore.NetworkBackend):
    """A network in which every name leads to the addresses it was pinned to, and nowhere else."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()
        self._addresses: dict[tuple[str, int], Sequence[str]] = {}

    def pinned(self, host: str, port: int) -> bool:
        return (host, port) in self._addresses

    def pin(self, host: str, port: int, addresses: Sequence[str]) -> None:
        """Say where a name leads, as long as this lives. The addresses have been checked."""
        self._addresses[host, port] = tuple(addresses)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the pinned addresses that answers."""
        failure: Exception = httpcore.ConnectError(f"{host} was not checked")
        for address in self._addresses.get((host, port), ()):
            try:
                return Timed(self._sockets.connect_tcp(address, port, self._deadline.left()), self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Options | None = None
    ) -> httpcore.NetworkStream:
        raise httpcore.ConnectError("no page lies behind a socket file")


class Timed(httpcore.NetworkStream):
    """A connection whose every step ends at the deadline: a server that sends a byte a second cannot hold it open."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return Timed(self._stream.start_tls(ssl_context, server_hostname, self._deadline.left()), self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
