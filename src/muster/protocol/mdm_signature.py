"""The Mdm-Signature header: a device's detached CMS signature over the body of its request.

Source: Apple, "MDM" payload, key SignMessage: the header holds the base64 of a detached CMS SignedData (RFC 5652).
"""

import base64
from datetime import datetime
from functools import lru_cache
from typing import Final

from muster.crypto import errors as crypto_errors
from muster.crypto.algorithms import Digest
from muster.crypto.cms.signed_data import Verified, verify_detached
from muster.crypto.cms.signing import SignerIdentity, sign_detached
from muster.protocol.base64_text import read_base64
from muster.protocol.errors import BadSignature, MalformedMessage, RefusedAlgorithm

MAX_HEADER_BYTES: Final = 16 * 1024  # those of devices have 2 to 3 KiB; servers in front seldom pass more than 16

MAX_BODY_REMEMBERED: Final = 768
"""Bytes. A report of Idle is smaller, and a device sends the same one, with the same signature, day after day."""
SIGNATURES_REMEMBERED: Final = 2048
"""That held, the most recent: some 5 KiB each. Whether one holds depends on header and body alone."""


def verify_mdm_signature(header: str | bytes, body: bytes, *, allow_legacy: bool) -> Verified:
    """Check the detached CMS of the Mdm-Signature header over the exact request body.

    Returns the proof, with the signer's certificate. Nothing is verified about who issued that, nor its dates:
    compare its fingerprint with the enrollment's pin next. White space in *header* is passed over.

    Raises MalformedMessage when *header* is not base64 of one CMS message with one signer in at most 16 KiB,
    BadSignature when digest or signature differ from the body, and RefusedAlgorithm when the message is signed with
    an unknown algorithm, or with SHA-1 or RSA below 2048 bits without *allow_legacy*.
    """
    if len(body) <= MAX_BODY_REMEMBERED:
        return _remembered(header, body, allow_legacy)
    return _verify(header, body, allow_legacy)


def _verify(header: str | bytes, body: bytes, allow_legacy: bool) -> Verified:
    cms = read_base64(header, "Mdm-Signature", MAX_HEADER_BYTES)
    try:
        return verify_detached(cms, body, allow_legacy=allow_legacy)
    except crypto_errors.MalformedMessage as error:
        raise MalformedMessage(f"Mdm-Signature: {error}") from error
    except crypto_errors.BadSignature as error:
        raise BadSignature(f"Mdm-Signature: {error}") from error
    except crypto_errors.RefusedAlgorithm as error:
        raise RefusedAlgorithm(f"Mdm-Signature: {error}") from error


_remembered = lru_cache(maxsize=SIGNATURES_REMEMBERED)(_verify)


def make_mdm_signature(
    body: bytes,
    signer: SignerIdentity,
    *,
    digest: Digest = Digest.SHA256,
    with_attributes: bool = False,
    signing_time: datetime | None = None,
) -> str:
    """Return the header with which a device signs *body*; without signed attributes, as Macs send it."""
    cms = sign_detached(body, signer, digest=digest, with_attributes=with_attributes, signing_time=signing_time)
    return base64.b64encode(cms).decode("ascii")
