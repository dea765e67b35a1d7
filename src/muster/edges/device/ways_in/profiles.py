"""An enrollment profile as a reply: signed, off the event loop, and kept by nobody on the way."""

import asyncio

from muster.edges.device import metrics
from muster.edges.device.http import Reply
from muster.protocol.profile import EnrollmentProfile, encode_enrollment_profile
from muster.protocol.profile_signature import ProfileSigner

PROFILE_MEDIA_TYPE = b"application/x-apple-aspen-config"


async def profile_reply(profile: EnrollmentProfile, signer: ProfileSigner) -> Reply:
    """Write *profile*, signed by *signer*."""
    unsigned = encode_enrollment_profile(profile)
    signed = await asyncio.get_running_loop().run_in_executor(None, signer.sign, unsigned)
    metrics.PROFILES.inc()
    headers = (
        (b"content-disposition", b'attachment; filename="enroll.mobileconfig"'),
        (b"cache-control", b"no-store"),
    )
    return Reply(200, signed, PROFILE_MEDIA_TYPE, headers)
