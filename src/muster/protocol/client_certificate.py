"""The header in which a proxy that ends TLS hands on its client's certificate.

Two forms are read, told apart by their first character: the byte sequence `:base64 of DER:` (RFC 9440 section 2.2, RFC
8941 section 3.3.5), and PEM, percent-escaped as nginx ($ssl_client_escaped_cert) and load balancers write it, or plain.
"""

import binascii
import re
from typing import Final

from muster.crypto import errors as crypto_errors
from muster.crypto.certificates import der_from_pem, known_certificate
from muster.protocol.errors import MalformedMessage

MAX_HEADER_BYTES: Final = 16 * 1024  # an identity has 2 to 3 KiB escaped, a chain three times that

_DELIMITER: Final = b":"
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


def decode_client_certificate(header: bytes) -> bytes:
    """Return the DER of the client's certificate; of several, as load balancers send the chain, the first.

    It is a certificate that can be read, and nothing else about it is checked: neither dates nor who issued it, nor
    that the client has its key, which is the proxy's to know. A `+` stands for itself: it is a letter of base64 that
    some proxies leave unescaped. Raises MalformedMessage when *header* is in neither form, or has more than 16 KiB.
    """
    if len(header) > MAX_HEADER_BYTES:
        raise MalformedMessage(f"client certificate: more than {MAX_HEADER_BYTES} bytes")
    value = header.strip()
    try:
        certificate_der = _from_byte_sequence(value) if value.startswith(_DELIMITER) else _from_pem(value)
        known_certificate(certificate_der)
    except crypto_errors.CryptoError as error:
        raise MalformedMessage(f"client certificate: {error}") from error
    return certificate_der


def _from_byte_sequence(value: bytes) -> bytes:
    if len(value) < 2 or not value.endswith(_DELIMITER):
        raise MalformedMessage("client certificate: a byte sequence without its end")
    try:
        return binascii.a2b_base64(value[1:-1], strict_mode=True)
    except binascii.Error:
        raise MalformedMessage("client certificate: not base64") from None


def _from_pem(value: bytes) -> bytes:
    return der_from_pem(_ESCAPE.sub(lambda escape: binascii.unhexlify(escape[1]), value))[0]
