"""Messages that a device signs with its built-in identity, and who vouches for that.

Sources: Apple, "MachineInfo": CMS-signed with the device identity certificate, whose chain should validate against
the Apple Root CA; "Over-the-Air Profile Delivery", phase 2.
"""

from collections.abc import Sequence
from typing import Final

from muster.crypto import errors as crypto_errors
from muster.crypto.apple_roots import apple_device_intermediates
from muster.crypto.certificates import inspect_certificate
from muster.crypto.chains import chain_to
from muster.crypto.cms.signed_data import Verified, verify_attached
from muster.protocol.errors import BadSignature, MalformedMessage, RefusedAlgorithm

MAX_SIGNED_BYTES: Final = 64 * 1024
"""Of a whole message: some keys and up to four certificates take 3 to 8 KiB."""

DEVICE_AUTHORITY: Final = "Device"
"""A word in the names of Apple's authorities for devices ("Apple iPhone Device CA"). Not in the others' names: under
the same root are those of developers and of push certificates, which anybody can get."""


def open_signed_by_device(cms: bytes, *, allow_legacy: bool) -> Verified:
    """Check that *cms* is content signed by the certificate in it. Who issued that: ask `verify_device_chain`.

    Raises MalformedMessage when *cms* is longer than 64 KiB or not one SignedData that carries its content and the
    certificate of its one signer; BadSignature when the signature does not cover the content; RefusedAlgorithm when
    an algorithm is unknown, or legacy (SHA-1, RSA below 2048 bits) without *allow_legacy*.
    """
    if len(cms) > MAX_SIGNED_BYTES:
        raise MalformedMessage(f"the signed message is longer than {MAX_SIGNED_BYTES} bytes")
    try:
        return verify_attached(cms, allow_legacy=allow_legacy)
    except crypto_errors.MalformedMessage as error:
        raise MalformedMessage(f"signed message: {error}") from error
    except crypto_errors.BadSignature as error:
        raise BadSignature(f"signed message: {error}") from error
    except crypto_errors.RefusedAlgorithm as error:
        raise RefusedAlgorithm(f"signed message: {error}") from error


def verify_device_chain(
    signer_certificate_der: bytes, certificates_der: Sequence[bytes], roots: Sequence[bytes]
) -> tuple[bytes, ...]:
    """Find the chain from the signer to one of *roots*. Returns it, the signer first, the root last.

    *certificates_der* are those of the message; Apple's known authorities fill in what it leaves out. Whether dates
    have passed is not looked at, and SHA-1 is good enough in the chain, since Apple's own is made with it.

    Raises BadSignature when no chain leads to a root, and when an authority between signed the signer that is none
    for devices by its name (see DEVICE_AUTHORITY); MalformedMessage when the signer is no certificate.
    """
    intermediates = (*certificates_der, *apple_device_intermediates())
    try:
        chain = chain_to(signer_certificate_der, intermediates, roots, allow_legacy=True)
        issuer = inspect_certificate(chain[1]) if len(chain) > 2 else None
    except crypto_errors.BadSignature as error:
        raise BadSignature(f"the device's certificate: {error}") from error
    except crypto_errors.MalformedMessage as error:
        raise MalformedMessage(f"the device's certificate: {error}") from error
    if issuer is not None and DEVICE_AUTHORITY not in (issuer.common_name or "").split():
        raise BadSignature(f"the device's certificate: {issuer.common_name} is no authority for devices")
    return chain
