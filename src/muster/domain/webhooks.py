"""To whom events go: addresses that may be used, when an attempt is repeated, and how a request is signed."""

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.events import EventType, MessageTopic

MAXIMUM_URL_CHARACTERS: Final = 2048
"""As browsers and proxies take them."""
FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(hours=1)
"""Between two attempts to deliver one event: a receiver that is mended hears of it within the hour."""
FAILURES_BEFORE_PROBING: Final = 3
"""After so many failures in a row a receiver is asked by one request at a time, whatever waits for it."""
LONGEST_PROBE_PAUSE: Final = timedelta(minutes=5)
FORMER_SECRET_FOR: Final = timedelta(days=1)
"""How long requests are signed by the former secret, too, once there is a new one."""
_SECRET: Final = re.compile(r"[!-~][ -~]{6,254}[!-~]")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class SubscriptionKind(StrEnum):
    """How somebody is told."""

    WEBHOOK = "webhook"
    STREAM = "stream"
    """By Shared Signals: the status of each device, to a receiver that set up a stream."""


class SubscriptionState(StrEnum):
    """Whether somebody is told."""

    ENABLED = "enabled"
    PAUSED = "paused"
    """What happens is kept for later."""
    DISABLED = "disabled"
    """What happens is not kept."""


class BodyFormat(StrEnum):
    """What the body of a webhook's request looks like; `muster.domain.event_bodies` writes them."""

    MUSTER = "muster"
    CLOUDEVENTS = "cloudevents"
    """CloudEvents 1.0, structured."""
    MICROMDM = "micromdm"
    """What devices say, as MicroMDM and NanoMDM hand it on; nothing else is told so."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go: *target* is path and query. *is_tls* false: plain HTTP, which somebody allowed."""

    is_tls: bool
    host: str
    port: int
    target: str

    @property
    def host_header(self) -> str:
        """The host as it stands in a request, with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<target>(?:/[!-~]*)?(?:\?[!-~]*)?)",
    re.ASCII,
)
"""What is taken of RFC 3986: no name or password, no characters outside of ASCII. Two parsers can't differ over it."""


def read_address(url: str, *, allows_plain: bool = False) -> Address | Refusal:
    """Read the URL to which requests are to go.

    Refused: another scheme than https (http where *allows_plain*), a host that is no name and no address, a name or
    password in it, a fragment, characters that stand in no URL, and more than MAXIMUM_URL_CHARACTERS. Not checked:
    where the host's name leads; that is checked for each connection.
    """
    if len(url) > MAXIMUM_URL_CHARACTERS:
        return _unfit(f"it has more than {MAXIMUM_URL_CHARACTERS} characters")
    found = _URL.fullmatch(url)
    if found is None:
        return _unfit("it has to be https://HOST[:PORT]/PATH in ASCII, without a name or password in it")
    if "#" in found["target"]:
        return _unfit("what stands behind # is never sent")
    is_tls = found["scheme"] == "https"
    if not is_tls and not allows_plain:
        return _unfit("it has to begin with https://; plain HTTP has to be allowed (--allow-http)")
    port = int(found["port"] or (443 if is_tls else 80))
    if not 1 <= port <= 65535:
        return _unfit(f"there is no port {port}")
    target = found["target"] if found["target"].startswith("/") else f"/{found['target']}"
    return Address(is_tls, found["host"].strip("[]").lower(), port, target)


_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_OF_PROTOCOLS: Final = tuple(
    ipaddress.ip_network(one) for one in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20")
)
"""Assigned to protocols and to documentation, as clouds have their metadata in the first; Python 3.11 misses some."""


def is_public(address: str) -> bool:
    """Tell whether a numeric address is one of the public Internet, and not of a network that we are in.

    An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) counts as the IPv4 address; Teredo, multicast, reserved
    ranges and those of documentation are not public, nor is what is no address.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is None and parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if parsed.teredo is not None or parsed.is_site_local:
            return False
    if any(parsed in one for one in _OF_PROTOCOLS if one.version == parsed.version):
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def is_surely_private(host: str) -> bool:
    """Tell whether a host is the numeric address of a network that we are in; where a name leads is not looked at."""
    try:
        return not is_public(str(ipaddress.ip_address(host)))
    except ValueError:
        return False


def pause_after(attempts: int, jitter: float) -> timedelta:
    """Return how long to wait after the *attempts*-th attempt in vain, from 1; *jitter* is from 0 to 1."""
    longest = min(_doubled(attempts - 1), LONGEST_PAUSE)
    return longest * (0.5 + jitter / 2)


def probe_after(failures: int) -> timedelta | None:
    """Return how long a receiver that failed so often in a row is left alone; None: it is asked on."""
    if failures < FAILURES_BEFORE_PROBING:
        return None
    return min(_doubled(failures - FAILURES_BEFORE_PROBING), LONGEST_PROBE_PAUSE)


def _doubled(times: int) -> timedelta:
    return FIRST_PAUSE * (1 << min(times, 16))


def signature_header(secrets: Sequence[str], at: datetime, body: bytes) -> str:
    """Sign a body as the header `Muster-Signature` has it: `t=SECONDS,v1=HEX`, one v1 for each of *secrets*.

    Each is the HMAC-SHA256 (RFC 2104), under the secret's own characters as the key, of the seconds since 1970 in
    digits, a full stop, and the body.
    """
    seconds = int(at.timestamp())
    signed = f"{seconds}.".encode() + body
    marks = (hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={seconds}", *(f"v1={mark}" for mark in marks)])


def read_secret(secret: str | None) -> str | Refusal | None:
    """Read a secret that somebody brings along: from 8 to 256 characters of ASCII, no blank at its ends."""
    if secret is None or _SECRET.fullmatch(secret):
        return secret
    return Refusal(RefusalCode.ORDER_UNFIT, "this secret can't be used: it has to have 8 to 256 characters of ASCII")


def message_signature(secret: str, body: bytes) -> str:
    """Sign a body as the header `X-Hmac-Signature` of NanoMDM has it: base64 of the HMAC-SHA256 of the body."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def read_event_types(
    names: Sequence[str], body_format: BodyFormat = BodyFormat.MUSTER
) -> tuple[EventType | MessageTopic, ...] | Refusal:
    """Read which events somebody wants: their names, or `control.*` for all that begin so; none named: all.

    By the format of MicroMDM these are messages of devices, and all of them are named: so no other event is meant.
    """
    known: tuple[EventType | MessageTopic, ...] = tuple(EventType)
    if body_format is BodyFormat.MICROMDM:
        known = tuple(MessageTopic)
        names = names or [_ALL_MESSAGES]
    wanted: list[EventType | MessageTopic] = []
    for name in names:
        found = [one for one in known if _is_meant(name, one)]
        if not found:
            return Refusal(
                RefusalCode.ORDER_UNFIT, f"there is no event {name[:80]!r}", f"There are {', '.join(known)}."
            )
        wanted += [one for one in found if one not in wanted]
    return tuple(wanted)


def read_name(name: str) -> str | Refusal:
    """Read the name that somebody gives a webhook or a receiver."""
    if _NAME.fullmatch(name):
        return name
    return Refusal(
        RefusalCode.ORDER_UNFIT,
        f"{name[:80]!r} can't be a name: a name has small letters, digits, dots, hyphens and underscores, 64 at most",
    )


_ALL_MESSAGES: Final = "mdm.*"


def _is_meant(name: str, event_type: EventType | MessageTopic) -> bool:
    return event_type.value.startswith(name[:-1]) if name.endswith(".*") else event_type.value == name


def _unfit(why: str) -> Refusal:
    return Refusal(RefusalCode.ORDER_UNFIT, f"this URL can't be used: {why}")
