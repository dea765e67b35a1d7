"""The request for a push certificate as Apple's portal takes it: signed by an MDM vendor, a property list in base64.

Source: Apple, "Setting Up Push Notifications for Your MDM Customers", "Sign the CSR": the request in DER and the
vendor's signature over it (RSASSA-PKCS1-v1_5 with SHA-256), each as a string of base64, and the chain of the vendor's
certificate up to and with the root, as PEM with lines of 64 characters.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from muster.crypto.certificates import der_from_pem, pem_from_der
from muster.crypto.errors import CryptoError
from muster.protocol.base64_text import read_base64
from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import required_text
from muster.protocol.plist import PlistValue, read_plist, write_plist

MAX_SIGNED_REQUEST_BYTES: Final = 256 * 1024  # one with a chain of three and keys of 4096 bits has some 12 KiB
MAX_PART_CHARACTERS: Final = 128 * 1024
MAX_CHAIN_CERTIFICATES: Final = 8  # Apple's has three


@dataclass(frozen=True, slots=True)
class SignedPushRequest:
    """A request (PKCS #10, DER), the vendor's signature over its bytes, and the vendor's chain (DER), root last."""

    request_der: bytes
    signature: bytes
    chain_der: tuple[bytes, ...]


def encode_signed_request(signed: SignedPushRequest) -> bytes:
    """Write what is uploaded at Apple's portal: one line of base64, and a line feed."""
    plist = write_plist(
        {
            "PushCertCertificateChain": pem_from_der(signed.chain_der).decode(),
            "PushCertRequestCSR": base64.b64encode(signed.request_der).decode(),
            "PushCertSignature": base64.b64encode(signed.signature).decode(),
        }
    )
    return base64.b64encode(plist) + b"\n"


def decode_signed_request(data: bytes) -> SignedPushRequest:
    """Read what `encode_signed_request` wrote, or another vendor did: base64 may be in lines.

    Raises MalformedMessage when it is none, or exceeds a bound. Nothing is verified: neither the signature nor the
    chain, nor that the parts are a request and certificates.
    """
    plist = read_plist(
        read_base64(data, "the signed request", 2 * MAX_SIGNED_REQUEST_BYTES), maximum_bytes=MAX_SIGNED_REQUEST_BYTES
    )
    try:
        chain = der_from_pem(required_text(plist, "PushCertCertificateChain", MAX_PART_CHARACTERS).encode())
    except (CryptoError, UnicodeEncodeError):
        raise MalformedMessage("PushCertCertificateChain: no certificates in PEM") from None
    if len(chain) > MAX_CHAIN_CERTIFICATES:
        raise MalformedMessage(f"PushCertCertificateChain: more than {MAX_CHAIN_CERTIFICATES} certificates")
    return SignedPushRequest(_part(plist, "PushCertRequestCSR"), _part(plist, "PushCertSignature"), chain)


def _part(plist: Mapping[str, PlistValue], key: str) -> bytes:
    return read_base64(required_text(plist, key, MAX_PART_CHARACTERS), key, MAX_PART_CHARACTERS)
