"""Our end of TLS towards APNs, without the connection; and what a server's refusal of our certificate looks like.

Apart from asyncio's own TLS, so that it is the same under uvloop and through a proxy's tunnel, and that the alert by
which a server refuses the push certificate is always seen. Source: RFC 8446, 6.2 (alerts).
"""

import re
import ssl
from contextlib import suppress
from typing import Final

from muster.crypto.client_certificates import UnusableCertificate, load_client_certificate, words_of
from muster.operations.ports import PushCredentials

ALPN: Final = "h2"
_READ_BYTES: Final = 65536

# With TLS 1.3 they come after our end of the handshake, as an error of reading.
_CERTIFICATE_ALERT: Final = re.compile(
    r"alert (bad certificate|unsupported certificate|certificate revoked|certificate expired|certificate unknown"
    r"|unknown ca|access denied|certificate required)"
)


def refuses_our_certificate(error: ssl.SSLError) -> bool:
    """Say whether *error* is the alert of a server that refuses our certificate."""
    return _CERTIFICATE_ALERT.search(str(error)) is not None


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
        load_client_certificate(context, credentials.certificate_pem, credentials.key_pem)
    except UnusableCertificate as error:
        raise UnusableCertificate(f"the push certificate can't be used: {error}") from error


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
