"""Which hosts may be asked and which network addresses may be connected to: nothing that nobody allowed by name.

A URL is fetched only from a host that was allowed. What its name resolves to must be public: a page of the web, or a
name server, could else make the machine ask its own services, its neighbours or a cloud's metadata address (server-side
request forgery). An address that is not public is connected to only if it was allowed as that address, or the host is
`localhost`, allowed by that name.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.errors import Refused, Unreadable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host name, for a port, in the order to try them. Raises OSError when there are none."""

LOCALHOST = "localhost"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_NOT_PUBLIC = tuple(  # IANA's special-purpose registries; not every Python release knows these as such
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "100::/64", "5f00::/16", "fec0::/10")
)


def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver answers. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet; an IPv6 address that holds an IPv4 one only if both do."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        held = _held(address)
        if held is not None:
            return is_public(held)
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address.version == network.version and address in network for network in _NOT_PUBLIC)
    )


def _held(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a mapped (RFC 4291), 6to4 (RFC 3056), Teredo (RFC 4380) or NAT64 address leads to."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def as_address(host: str) -> Address | None:
    """The address that a host is written as; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Allowed:
    """The hosts that may be asked."""

    hosts: frozenset[str]  # as normalised URLs have them: lower case, IDNA, addresses in their shortest form

    @classmethod
    def of(cls, hosts: Sequence[str]) -> "Allowed":
        """From what a person gave. Raises Refused for what is no host name or address."""
        return cls(frozenset(_host(host) for host in hosts))

    def check(self, host: str, uri: str) -> None:
        """Raise Refused, with the remedy, unless this host was allowed."""
        if host not in self.hosts:
            raise Refused(
                f"{uri}: the host {host} is not allowed; if it is meant to be asked, add: --allow-host {host}"
            )

    def addresses(self, host: str, port: int, uri: str, resolve: Resolve) -> list[str]:
        """The addresses of an allowed host that may be connected to, resolved now, once.

        Raises Refused if any of them may not (a name that leads to both kinds is a trap or a mistake), Unreadable if
        there are none.
        """
        literal = as_address(host)
        try:
            found = [str(literal)] if literal else list(resolve(host, port))
        except (OSError, UnicodeError) as error:
            raise Unreadable(f"{uri}: the name {host} cannot be resolved ({error}); check the address") from error
        if not found:
            raise Unreadable(f"{uri}: the name {host} has no address; check the address")
        for address in found:
            self._check_address(host, address, uri)
        return found

    def _check_address(self, host: str, text: str, uri: str) -> None:
        address = as_address(text)
        if address is None:
            raise Unreadable(f"{uri}: the name {host} was resolved to {text!r}, which is no address")
        if is_public(address) or str(address) in self.hosts or (host == LOCALHOST and address.is_loopback):
            return
        raise Refused(
            f"{uri}: {host} is {address}, an address inside a network and not of the public web; "
            f"if it is meant to be asked, add: --allow-host {address}"
        )


def _host(given: str) -> str:
    address = as_address(given.strip())
    if address is not None:
        return str(address)
    import httpx

    refused = Refused(
        f"{given!r} is not a host name; give it without scheme, port and path: --allow-host www.example.org"
    )
    if not given.strip() or set(given.strip()) & set("/:@?#*\\ "):
        raise refused
    try:
        return httpx.URL(f"http://{given.strip()}/").raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise refused from error
