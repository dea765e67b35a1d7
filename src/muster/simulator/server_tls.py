"""The server's end of a TLS connection, without the connection: ciphertext in, plaintext out, and the other way round.

asyncio's own TLS hangs up on a client whose certificate it refuses before the alert that says so has left. By that
alert an MDM server learns that its push certificate has expired, so it has to be sent.
"""

import ssl
from contextlib import suppress

_READ_SIZE = 65536


class ServerTls:
    """One connection of a server with *context*.

    `is_established` turns true once the client has proved who it is, `has_ended` once it said that it is done.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.is_established = False
        self.has_ended = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def receive(self, ciphertext: bytes) -> bytes:
        """Take what the client sent and return what it says, b"" while that is nothing yet.

        Raises ssl.SSLError when the client's certificate is refused and when it breaks TLS.
        """
        self._incoming.write(ciphertext)
        plaintext = bytearray()
        try:
            if not self.is_established:
                self._tls.do_handshake()
                self.is_established = True
            while piece := self._tls.read(_READ_SIZE):
                plaintext += piece
            self.has_ended = True
        except ssl.SSLWantReadError:
            pass
        return bytes(plaintext)

    def send(self, plaintext: bytes) -> None:
        """Encrypt *plaintext*; `data_to_send` has it."""
        self._tls.write(plaintext)

    def end(self) -> None:
        """Say that nothing more will come."""
        with suppress(ssl.SSLError):  # it would now wait for the client to say so as well
            self._tls.unwrap()

    def data_to_send(self) -> bytes:
        """Return the ciphertext that is due, once; after an error it holds the alert."""
        return self._outgoing.read()

    @property
    def client_certificate_der(self) -> bytes:
        """The client's certificate; b"" when it has shown none."""
        return self._tls.getpeercert(binary_form=True) or b""

    @property
    def speaks_http2(self) -> bool:
        """Client and server agreed on HTTP/2 by ALPN."""
        return self._tls.selected_alpn_protocol() == "h2"
