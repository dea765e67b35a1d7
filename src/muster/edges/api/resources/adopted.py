"""Devices that came from another server: the profile with which they were enrolled is supplied."""

from dataclasses import dataclass
from typing import Annotated

from muster.domain.permissions import Permission
from muster.edges.api.endpoints import MAXIMUM_FILE_BYTES, Call, endpoint
from muster.edges.api.limits import Ids, Limits
from muster.edges.api.property_values import read_base64
from muster.operations.adopt_profiles import AdoptedProfile, ProfileAdopted, adopt_profiles
from muster.protocol.identifiers import DeviceId


@dataclass(frozen=True, slots=True)
class AdoptedProfileBody:
    """Which devices have it. *anyway*: although it isn't known which profiles a device has, or payloads beside the
    enrollment's would go at a renewal; *dry_run*: only tell."""

    ids: Ids
    mobileconfig: Annotated[str, Limits("The enrollment profile, signed or not, in base64.", 1, 1_500_000)]
    anyway: bool = False
    dry_run: bool = False


@endpoint(
    "POST",
    "/adopted-profiles",
    needs=Permission.CERTIFICATES,
    refuses=(404, 409),
    maximum_bytes=MAXIMUM_FILE_BYTES,
)
async def supply_adopted_profile(call: Call, body: AdoptedProfileBody) -> ProfileAdopted:
    """Supply the enrollment profile that devices have from their former server, so that they can be renewed.

    It is held against what each device has: its topic, its URL, its identifier in the device's list of profiles.
    """
    content = read_base64(body.mobileconfig, "body.mobileconfig")
    ids = tuple(map(DeviceId, body.ids))
    order = AdoptedProfile(ids, content, call.site.public_url, body.anyway, body.dry_run)
    return await call.do(adopt_profiles, order)


ENDPOINTS = (supply_adopted_profile,)
