"""One reusable libcurl handle: the request of a push set on it, the answer read from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from ssl import get_default_verify_paths

import pycurl

from muster.operations.ports import PushCredentials
from muster.protocol.apns import (
    MAX_REPLY_BYTES,
    Push,
    PushOutcome,
    decode_reply,
    request_body,
    request_headers,
    request_path,
)

# A front end of APNs that closes an idle connection says so; this notices the firewall that drops it without a word.
_KEEPALIVE_SECONDS = 60
# APNs asks for connections that live for hours; libcurl would not reuse one that was idle for two minutes.
_MAX_IDLE_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where APNs is reached, and how.

    *ca_pem* is the only trust there is for the server's certificate; None means the system's. *proxy* is a URL as
    libcurl reads it ("http://proxy.example:3128"); None means none at all, whatever the environment says.
    """

    host: str
    port: int
    ca_pem: bytes | None
    proxy: str | None
    connect_timeout_seconds: float
    timeout_seconds: float


class Transfer:
    """A libcurl handle for one push at a time under one push certificate."""

    __slots__ = ("_body", "_headers", "_origin", "handle")

    def __init__(self, endpoint: Endpoint, credentials: PushCredentials) -> None:
        self.handle = pycurl.Curl()
        self._origin = f"https://{endpoint.host}:{endpoint.port}"
        self._body = bytearray()
        self._headers: dict[str, str] = {}
        _configure(self.handle, endpoint, credentials)
        self.handle.setopt(pycurl.HEADERFUNCTION, self._on_header)
        self.handle.setopt(pycurl.WRITEFUNCTION, self._on_body)

    def prepare(self, push: Push) -> None:
        """Make the handle ready to be added to a multi handle for *push*, and forget the answer before."""
        self._body.clear()
        self._headers.clear()
        self.handle.setopt(pycurl.URL, self._origin + request_path(push))
        self.handle.setopt(pycurl.HTTPHEADER, _header_lines(request_headers(push)))
        self.handle.setopt(pycurl.POSTFIELDS, request_body(push))

    def read_outcome(self) -> PushOutcome:
        """Return what APNs answered; to be called once libcurl says that the transfer succeeded."""
        status: int = self.handle.getinfo(pycurl.RESPONSE_CODE)
        return decode_reply(status, self._headers, bytes(self._body))

    def read_latency_seconds(self) -> float:
        """Return how long the last transfer took, its wait for a connection included."""
        seconds: float = self.handle.getinfo(pycurl.TOTAL_TIME)
        return seconds

    def close(self) -> None:
        """Release the handle. It must not be in a multi handle any more."""
        self.handle.close()

    def _on_header(self, line: bytes) -> None:
        if line.startswith(b"HTTP/"):  # another answer begins: what came before was a proxy's or an interim one
            self._headers.clear()
            return
        name, colon, value = line.partition(b":")
        if colon:
            self._headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")

    def _on_body(self, piece: bytes) -> None:
        self._body += piece[: MAX_REPLY_BYTES - len(self._body)]


def _configure(handle: pycurl.Curl, endpoint: Endpoint, credentials: PushCredentials) -> None:
    options: Mapping[int, object] = {
        pycurl.POST: 1,
        # Offered by ALPN. PIPEWAIT makes a burst wait for the first connection instead of opening one per request.
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE,
        pycurl.PIPEWAIT: 1,
        pycurl.NOSIGNAL: 1,  # signals belong to the main thread
        pycurl.CONNECTTIMEOUT_MS: round(endpoint.connect_timeout_seconds * 1000),
        pycurl.TIMEOUT_MS: round(endpoint.timeout_seconds * 1000),
        pycurl.TCP_KEEPALIVE: 1,
        pycurl.TCP_KEEPIDLE: _KEEPALIVE_SECONDS,
        pycurl.MAXAGE_CONN: _MAX_IDLE_SECONDS,
        pycurl.PROXY: endpoint.proxy or "",  # "" also keeps libcurl from reading the environment
        pycurl.NOPROXY: "",
        pycurl.SSLVERSION: pycurl.SSLVERSION_TLSv1_2,
        pycurl.SSL_VERIFYPEER: 1,
        pycurl.SSL_VERIFYHOST: 2,
        pycurl.SSLCERTTYPE: "PEM",
        pycurl.SSLCERT_BLOB: credentials.certificate_pem,
        pycurl.SSLKEYTYPE: "PEM",
        pycurl.SSLKEY_BLOB: credentials.key_pem,
    }
    for option, value in chain(options.items(), _trust(endpoint.ca_pem).items()):
        handle.setopt(option, value)


def _trust(ca_pem: bytes | None) -> Mapping[int, object]:
    """pycurl's wheels look for trusted certificates where Red Hat keeps them, so the place is always said."""
    if ca_pem is not None:
        return {pycurl.CAINFO_BLOB: ca_pem}
    system = get_default_verify_paths()
    if system.cafile:  # None or empty when there is no such file
        return {pycurl.CAINFO: system.cafile}
    if system.capath:
        return {pycurl.CAINFO: None, pycurl.CAPATH: system.capath}
    return {pycurl.SSL_OPTIONS: pycurl.SSLOPT_NATIVE_CA}


def _header_lines(headers: Mapping[str, str]) -> list[str]:
    return [f"{name}: {value}" for name, value in headers.items()]
