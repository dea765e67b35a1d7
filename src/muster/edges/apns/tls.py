"""Our end of TLS towards APNs, without the connection; and what a server's refusal of our certificate looks like.

Apart from asyncio's own TLS, so that it is the same under uvloop and through a proxy's tunnel, and that the alert by
which a server refuses the push certificate is always seen. Source: RFC 8446, 6.2 (alerts).
"""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from muster.operations.ports import PushCredentials

ALPN: Final = "h2"
_READ_BYTES: Final = 65536

# With TLS 1.3 they come after our end of the handshake, as an error of reading.
_CERTIFICATE_ALERT: Final = re.compile(
    r"alert (bad certificate|unsupported certificate|certificate revoked|certificate expired|certificate unknown"
    r"|unknown ca|access denied|certificate required)"
)
_OPENSSL_PLACE: Final = re.compile(r"\s*\(_ssl\.c:\d+\)$|^\[[^]]*\]\s*")


class UnusableCertificate(Exception):
    """The push certificate or its key can't be read, or they don't belong together."""


def refuses_our_certificate(error: ssl.SSLError) -> bool:
    """Say whether *error* is the alert of a server that refuses our certificate."""
    return _CERTIFICATE_ALERT.search(str(error)) is not None


def words_of(error: Exception) -> str:
    """*error* in OpenSSL's own words, without the place in its sources."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is refused: {error.verify_message}"
    return _OPENSSL_PLACE.sub("", str(error)) or type(error).__name__


def make_context(ca_pem: bytes | None) -> ssl.SSLContext:
    """TLS 1.2 or later with HTTP/2, trusting *ca_pem* alone, or what the system trusts.

    Raises ValueError when *ca_pem* holds no certificate.
    """
    try:
        context = ssl.create_default_context(cadata=None if ca_pem is None else ca_pem.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise ValueError(f"no certificates to trust: {words_of(error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([ALPN])
    return context


def load_credentials(context: ssl.SSLContext, credentials: PushCredentials) -> None:
    """Have *context* show the push certificate. Raises UnusableCertificate."""
    try:
        with _as_files(credentials.certificate_pem, credentials.key_pem) as (certificate, key):
            # without a password of ours OpenSSL would ask for one at the terminal
            context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UnusableCertificate(f"the push certificate can't be used: {words_of(error)}") from error


@contextmanager
def _as_files(*contents: bytes) -> Iterator[list[str]]:
    """Paths of *contents* for a moment: in memory where the system has that, else private files."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptors = []
        try:
            for content in contents:
                descriptors.append(os.memfd_create("muster-apns"))
                os.write(descriptors[-1], content)
            yield [f"/proc/self/fd/{descriptor}" for descriptor in descriptors]
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
    else:
        with TemporaryDirectory(prefix="muster-apns-") as directory:  # for this user alone
            paths = [Path(directory, str(number)) for number in range(len(contents))]
            for path, content in zip(paths, contents, strict=True):
                path.write_bytes(content)
            yield [str(path) for path in paths]


class ClientTls:
    """One connection's TLS: ciphertext in, plaintext out, and the other way round.

    `is_established` turns true when the server's certificate was accepted, `has_ended` when the server said that it is
    done. `failure` is set when either side refuses the other's certificate or TLS is broken: then nothing is read any
    more, and `data_to_send` may hold our alert.
    """

    __slots__ = ("_incoming", "_outgoing", "_tls", "failure", "has_ended", "is_established")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self.failure: ssl.SSLError | None = None
        self.is_established = False
        self.has_ended = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    @property
    def speaks_http2(self) -> bool:
        """Both sides agreed on HTTP/2 by ALPN."""
        return self._tls.selected_alpn_protocol() == ALPN

    def receive(self, ciphertext: bytes) -> bytes:
        """Take what the server sent (at first b"") and return what it says, also when it fails after that."""
        self._incoming.write(ciphertext)
        pieces = []
        try:
            if not self.is_established:
                self._tls.do_handshake()
                self.is_established = True
            while piece := self._tls.read(_READ_BYTES):
                pieces.append(piece)
            self.has_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.has_ended = True
        except ssl.SSLError as error:
            self.failure = error
        return b"".join(pieces)

    def send(self, plaintext: bytes) -> None:
        """Encrypt *plaintext*, which is not empty; `data_to_send` has it."""
        self._tls.write(plaintext)

    def end(self) -> None:
        """Say that nothing more will come."""
        with suppress(ssl.SSLError):  # it would now wait for the server to say so as well
            self._tls.unwrap()

    def data_to_send(self) -> bytes:
        """Return the ciphertext that is due, once."""
        return self._outgoing.read()
