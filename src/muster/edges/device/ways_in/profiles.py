"""A profile as a reply: signed, off the event loop, and kept by nobody on the way."""

import asyncio
from collections.abc import Callable

from muster.crypto.keys import RSAPrivateKey
from muster.edges.device import metrics
from muster.edges.device.http import Reply
from muster.protocol.profile import EnrollmentProfile, encode_enrollment_profile
from muster.protocol.profile_signature import ProfileSigner

IDENTITY_KEY_BITS = 2048
"""Of an identity made here."""
PROFILE_MEDIA_TYPE = b"application/x-apple-aspen-config"


async def profile_reply(profile: EnrollmentProfile, signer: ProfileSigner) -> Reply:
    """Write *profile*, signed by *signer*."""
    reply = await signed_reply(encode_enrollment_profile(profile), signer, "enroll.mobileconfig")
    metrics.PROFILES.inc()
    return reply


async def signed_reply(profile_xml: bytes, signer: ProfileSigner, file_name: str) -> Reply:
    """Write a profile of any kind, signed by *signer*."""
    signed = await asyncio.get_running_loop().run_in_executor(None, signer.sign, profile_xml)
    headers = (
        (b"content-disposition", f'attachment; filename="{file_name}"'.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    )
    return Reply(200, signed, PROFILE_MEDIA_TYPE, headers)


async def make_identity_key(new_rsa_key: Callable[[int], RSAPrivateKey]) -> RSAPrivateKey:
    """Make the key of an identity that is made here: before the transaction, for it may take seconds."""
    return await asyncio.get_running_loop().run_in_executor(None, new_rsa_key, IDENTITY_KEY_BITS)
