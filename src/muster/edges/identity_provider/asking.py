"""One request to an identity provider: bounded, over TLS, and what keeps it from being answered in words."""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from muster.domain.provider_errors import explanation
from muster.operations.ports import ProviderFailed

TIMEOUT_SECONDS: Final = 10
"""Of one request; a person waits."""
MAXIMUM_REPLY_BYTES: Final = 512 * 1024
"""Of one answer: sets of keys and long lists of groups are a tenth of that."""
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def ask(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], tls: ssl.SSLContext
) -> Mapping[str, Any]:
    """Return the JSON object that is answered with status 200. Raises ProviderFailed.

    Redirects are not followed, for the addresses are the provider's own. Only this machine itself is asked without TLS.
    """
    host = urlsplit(url).hostname
    try:
        status, reply = _send(method, url, body, headers, tls)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ProviderFailed(_unreached(error, host)) from error
    if len(reply) > MAXIMUM_REPLY_BYTES:
        raise ProviderFailed(f"{host} answered more than {MAXIMUM_REPLY_BYTES:,} bytes")
    try:
        told = json.loads(reply)
    except (ValueError, RecursionError):
        told = None
    if status != http.client.OK:
        raise ProviderFailed(f"{host} answered {status}{explanation(told)}")
    if not isinstance(told, dict):
        raise ProviderFailed(f"{host} said what is no JSON object")
    return told


def _send(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], tls: ssl.SSLContext
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_SECONDS, context=tls)
    elif parts.scheme == "http" and host in _LOCAL:
        connection = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_SECONDS)
    else:
        raise ValueError("it is not https")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, path, body, {"Accept": "application/json", **headers})
        response = connection.getresponse()
        return response.status, response.read(MAXIMUM_REPLY_BYTES + 1)
    finally:
        connection.close()


def _unreached(error: Exception, host: str | None) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"the certificate of {host} is not trusted here ({error.verify_message})"
        case ssl.SSLError():
            return f"TLS with {host} fails ({error.reason})"
        case TimeoutError():
            return f"{host} says nothing for {TIMEOUT_SECONDS} s"
        case socket.gaierror():
            return f"{host} is not found ({error.strerror})"
        case OSError():
            return f"{host} can't be reached ({error.strerror or 'the connection broke off'})"
        case http.client.HTTPException():
            return f"{host} broke off, or speaks no HTTP"
        case _:
            return f"it names an address that can't be asked: {error}"
