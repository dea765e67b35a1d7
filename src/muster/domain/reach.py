"""What the visit of a browser tells of the way between a device and this server, and what it can't tell.

A person opens a page on the device. That it opens proves the way for this browser, now; not for the device's own
management, which uses other proxies at times, and pins other certificates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PUSH_HOSTS: Final = "*.push.apple.com"
PUSH_NETWORK: Final = "17.0.0.0/8"
"""Apple's own, in which the hosts of APNs are (Apple, "Use Apple products on enterprise networks")."""
_HOPS: Final = ("via", "forwarded", "x-forwarded-for", "x-bluecoat-via", "x-zscaler-client-ip", "x-proxyuser-ip")
"""Headers that nobody but a proxy adds (RFC 9110, 7.6.3; RFC 7239), and those of products that open TLS."""


class Way(StrEnum):
    """How a request came. The words are the classes of S18."""

    SEALED = "reached"
    """By TLS that ends here, or at a proxy of ours; nobody on the way gave themselves away."""
    OPENED = "reached_opened"
    """By TLS, and yet somebody who is no proxy of ours added to the request, and could read it."""
    PLAIN = "reached_plain"
    """Without TLS."""


@dataclass(frozen=True, slots=True)
class Reach:
    """A visit, as it came: from *address*, on a *way*; *hops* names the headers that somebody in between added.

    *is_through_proxy*: by a proxy of ours, which ends the TLS, so that nobody can be seen before it.
    """

    address: str
    way: Way
    hops: tuple[str, ...]
    is_through_proxy: bool


def reach_of(headers: Mapping[str, str], address: str, *, is_tls: bool, is_through_proxy: bool) -> Reach:
    """Tell how a request came, by its *headers*, whose names are in lower case.

    Behind a proxy of ours such headers are its own, and tell nothing.
    """
    hops = () if is_through_proxy else tuple(name for name in _HOPS if name in headers)
    way = Way.PLAIN if not is_tls else Way.OPENED if hops else Way.SEALED
    return Reach(address, way, hops, is_through_proxy)
