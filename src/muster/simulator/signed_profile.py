"""Profiles come as bare property lists or signed; a device reads both."""

from muster.crypto.cms.signed_data import verify_attached
from muster.crypto.errors import CryptoError
from muster.protocol.errors import MalformedMessage

BEGINNING_OF_DER = b"\x30"
"""A SEQUENCE: no property list begins with a zero."""


def unwrap_profile(mobileconfig: bytes) -> bytes:
    """The property list in *mobileconfig*. A signature must hold; whose it is, this device doesn't ask.

    Raises MalformedMessage when it is signed and the signature is broken.
    """
    if not mobileconfig.startswith(BEGINNING_OF_DER):
        return mobileconfig
    try:
        return verify_attached(mobileconfig, allow_legacy=True).content
    except CryptoError as error:
        raise MalformedMessage(f"signed profile: {error}") from error
