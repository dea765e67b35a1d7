"""Who a request comes from, where trusted proxies stand before us: the nearest address on its way that is not theirs.

What a proxy says is believed only while the connection itself comes from one; whoever else sends its headers is
believed nothing. For the doors it is noted which requests came through a proxy.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from muster.edges.device.application import AsgiApplication
from muster.edges.device.http import Receive, Scope, Send
from muster.edges.device.presented import PROXY

MAXIMUM_HOPS: Final = 16
"""Of an X-Forwarded-For that are looked at, from its end: whoever has more proxies has a loop."""

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_LONGEST_ADDRESS: Final = 64
"""In characters; IPv6 has 45, and the name of an interface may follow."""
_SCHEMES: Final = {b"http": "http", b"https": "https"}


class BehindProxies:
    """The application as seen through *proxies*: addresses, or networks in CIDR, that `muster.settings` has checked."""

    def __init__(self, application: AsgiApplication, proxies: Sequence[str]) -> None:
        self._application = application
        self._proxies = tuple(proxies)
        self._networks: tuple[_Network, ...] = tuple(ipaddress.ip_network(proxy) for proxy in proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, its client and scheme being those that the proxy tells of."""
        if scope["type"] == "http" and scope.get("client"):
            peer: str = scope["client"][0]
            if self._is_proxy(_address(peer)):
                _believe(scope, peer, self._source(scope["headers"]))
        await self._application(scope, receive, send)

    def __reduce__(self) -> tuple[type["BehindProxies"], tuple[AsgiApplication, tuple[str, ...]]]:
        """Travel to a worker process without what is worked out from the arguments."""
        return BehindProxies, (self._application, self._proxies)

    def _source(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Return the client's address; None when no proxy told one.

        Each proxy appends whom it was asked by, so the list is believed from its end, as long as it names proxies. A
        word that is no address ends it: what stands before came from somebody unknown.
        """
        told = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        source = None
        for hop in reversed(told.rsplit(b",", MAXIMUM_HOPS)[-MAXIMUM_HOPS:]):
            address = _address(_without_port(hop.strip().decode("latin-1")))
            if address is None:
                break
            source = str(address)
            if not self._is_proxy(address):
                break
        return source

    def _is_proxy(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _believe(scope: Scope, peer: str, source: str | None) -> None:
    scope["extensions"] = {**scope.get("extensions", {}), PROXY: peer}
    if source is not None:
        scope["client"] = (source, 0)
    for name, value in scope["headers"]:
        if name == b"x-forwarded-proto":
            scope["scheme"] = _SCHEMES.get(value.strip().lower(), scope.get("scheme", "http"))


def _address(text: str) -> _Address | None:
    """Read an address; one of IPv4 that came over a socket of IPv6 is the one of IPv4."""
    return None if len(text) > _LONGEST_ADDRESS else _known_address(text)


@lru_cache(maxsize=4096)  # devices come back, and proxies are few
def _known_address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _without_port(hop: str) -> str:
    """Take the brackets and the port off, which some proxies write."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    host, colon, _port = hop.partition(":")
    return host if colon and ":" not in _port else hop
