"""Our own TLS asking for client certificates, and never failing a device that could prove itself otherwise.

A device without a certificate gets in, and so does one whose identity has expired: its signature, or the restricted
lane, is for the doors to judge. What OpenSSL can't be told is to let a stranger's certificate pass unjudged: whoever
presents one that none of our authorities issued is cut off in the handshake.
"""

import ssl
from collections.abc import Callable, Iterable

from uvicorn.config import Config

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h), for which Python has no name: dates are none of the handshake's."""


class ServerTls:
    """The TLS of one process. The context is made by uvicorn's own hook; authorities may be known before or after."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._authorities: set[bytes] = set()

    def make_context(self, _config: Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """Make the context: uvicorn's, that asks for a certificate (`Config.ssl_context_factory`)."""
        context = default()
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= NO_CHECK_TIME
        self._context = context
        trusted, self._authorities = self._authorities, set()
        self.trust(trusted)
        return context

    def trust(self, authorities_der: Iterable[bytes]) -> None:
        """Let identities of these authorities in, from the next handshake on; known ones are passed over."""
        for authority_der in authorities_der:
            if authority_der in self._authorities:
                continue
            self._authorities.add(authority_der)
            if self._context is not None:
                self._context.load_verify_locations(cadata=authority_der)

    def __reduce__(self) -> tuple[type["ServerTls"], tuple[()]]:
        """Travel to a worker process, which makes a context of its own."""
        return ServerTls, ()
