"""The way through an HTTP proxy: CONNECT, without the connection. Sources: RFC 9110, 9.3.6; RFC 7617."""

import base64
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

MAX_REPLY_BYTES: Final = 16 * 1024
"""A proxy's reply to CONNECT, its headers; far more than any has."""

_DEFAULT_PORT: Final = 80
_MAX_STATUS_LINE_CHARACTERS: Final = 120


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is, and the Proxy-Authorization it wants, None for none."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)


class TunnelRefused(Exception):
    """The proxy did not let us through. *is_final*: it would not the next time either."""

    def __init__(self, words: str, *, is_final: bool) -> None:
        super().__init__(words)
        self.is_final = is_final


def read_proxy(url: str) -> Proxy:
    """Read [http://][USER:PASSWORD@]HOST[:PORT], user and password percent-encoded where need be.

    Raises ValueError, without the password in it, for anything else: TLS to the proxy itself (https://) isn't spoken.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme != "http" or not host or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must be http://[USER:PASSWORD@]HOST[:PORT]; a proxy that is spoken to in TLS can't be used")
    authorization = None
    if parts.username is not None:
        user_and_password = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(user_and_password.encode()).decode("ascii")
    return Proxy(host, _DEFAULT_PORT if port is None else port, authorization)


class Tunnel:
    """One CONNECT through *proxy* to *host*:*port*."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self._proxy = proxy
        self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._received = b""

    def request(self) -> bytes:
        """What is sent first."""
        lines = [f"CONNECT {self._target} HTTP/1.1", f"Host: {self._target}"]
        if self._proxy.authorization is not None:
            lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def receive(self, data: bytes) -> bytes | None:
        """Take what the proxy sent; once the tunnel stands return what came through it, None until then.

        Raises TunnelRefused when the proxy answers anything but 2xx, or more than MAX_REPLY_BYTES.
        """
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            if len(self._received) > MAX_REPLY_BYTES:
                raise TunnelRefused("the proxy's reply does not end", is_final=True)
            return None
        status_line = head.split(b"\r\n")[0].decode("latin-1")
        status = status_line.split(" ")[1:2]
        if not status_line.startswith("HTTP/1.") or not status or len(status[0]) != 3 or not status[0].isdigit():
            raise TunnelRefused("the proxy does not speak HTTP/1", is_final=True)
        if not status[0].startswith("2"):
            words = f"the proxy answers {status_line.partition(' ')[2][:_MAX_STATUS_LINE_CHARACTERS]}"
            raise TunnelRefused(words, is_final=status[0].startswith("4"))
        return rest
