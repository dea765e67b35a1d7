"""Our public address, looked at as a device does: over the network, through whatever proxies stand before us.

Not checked: whether devices would trust the certificate, for that is for their profiles to say.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from muster.crypto.certificates import fingerprint, inspect_certificate
from muster.crypto.errors import CryptoError
from muster.operations.ports import PublicFace

PATH: Final = "/healthz"
TIMEOUT_SECONDS: Final = 20
"""For the whole look; devices give up after a minute."""
MAXIMUM_HEAD_BYTES: Final = 16 * 1024
"""Of an answer's status line and headers, as much as is read."""
BAD_GATEWAY: Final = 502
"""From here on to 504 a proxy says that it doesn't reach us. Other errors are answers of whoever stands there."""
GATEWAY_TIMEOUT: Final = 504


async def look_at(url: str, now: Callable[[], datetime]) -> PublicFace:
    """Look at *url*, the public address, and tell what was met. Raises nothing; see PublicFace."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if is_tls else 80)
    certificate_der: bytes | None = None
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=_trusting_anybody() if is_tls else None, limit=MAXIMUM_HEAD_BYTES
            )
            try:
                tls = writer.get_extra_info("ssl_object")
                certificate_der = None if tls is None else tls.getpeercert(binary_form=True)
                head = await _ask(reader, writer, parts.netloc)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        return _face(certificate_der, f"no answer within {TIMEOUT_SECONDS} seconds")
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        return _face(certificate_der, str(error) or type(error).__name__)
    return _read(head, certificate_der, now())


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str) -> bytes:
    host = authority.rpartition("@")[2]
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("ascii"))
    await writer.drain()
    return await reader.readuntil(b"\r\n\r\n")


def _read(head: bytes, certificate_der: bytes | None, now: datetime) -> PublicFace:
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/") or not status.isdecimal():
        return _face(certificate_der, "what answers there speaks no HTTP")
    if BAD_GATEWAY <= int(status) <= GATEWAY_TIMEOUT:
        return _face(certificate_der, f"a proxy answers {status}")
    date = next((line.partition(":")[2] for line in lines if line.lower().startswith("date:")), "")
    return _face(certificate_der, "", date, now)


def _face(certificate_der: bytes | None, failure: str, date: str = "", now: datetime | None = None) -> PublicFace:
    error = None
    with suppress(ValueError):
        at = parsedate_to_datetime(date)  # RFC 9110, 5.6.7: whole seconds, GMT
        error = None if now is None else now - (at if at.tzinfo is not None else at.replace(tzinfo=UTC))
    mark, not_after = None, None
    if certificate_der is not None:
        with suppress(CryptoError):
            mark, not_after = fingerprint(certificate_der), inspect_certificate(certificate_der).not_after
    return PublicFace(failure, mark, not_after, error)


def _trusting_anybody() -> ssl.SSLContext:
    """Devices may trust an authority that this machine doesn't, and nothing that is met there is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
