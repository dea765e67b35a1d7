"""Enrollment links: whoever opens one on a device can enroll it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from muster.domain.access import ALL_ACCESS_RIGHTS, DEFAULT_CAPABILITIES, EnrollmentLink, IdentityKind, LinkKind
from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits
from muster.operations.enrollment_links import (
    MAXIMUM_LIFETIME,
    MAXIMUM_USES,
    MINIMUM_LIFETIME,
    LinkOrder,
    create_links,
    revoke_links,
)
from muster.operations.permit import of_fleet
from muster.operations.views.links import ListedLink, MadeLink, made_link
from muster.operations.views.links import list_links as read_links


@endpoint("GET", "/links")
async def list_links(call: Call) -> tuple[ListedLink, ...]:
    """List enrollment links, the newest first."""
    now = call.runner.now()
    return await call.see(of_fleet(lambda tx: read_links(tx, now)))


@dataclass(frozen=True, slots=True)
class LinkBody:
    """A link to make. *uses*: how many devices may enroll with it, null for any number; *serial_numbers*: of those that
    it is for, null for any; *removable*: whether people may remove the profile, heeded in ADE alone;
    *capabilities*: ServerCapabilities of the MDM payload."""

    kind: LinkKind = LinkKind.PROFILE
    uses: Annotated[int | None, Limits("Devices.", 1, MAXIMUM_USES)] = 1
    lifetime_seconds: Annotated[
        int,
        Limits(
            "How long it is good for.", int(MINIMUM_LIFETIME.total_seconds()), int(MAXIMUM_LIFETIME.total_seconds())
        ),
    ] = 7 * 24 * 3600
    note: Annotated[str, Limits("What it is for, for people.", 0, 500)] = ""
    requires_sign_in: bool = False
    serial_numbers: Annotated[tuple[Annotated[str, Limits("", 1, 64)], ...] | None, Limits("", 1, 1000)] = None
    access_rights: Annotated[int, Limits("AccessRights of the MDM payload.", 1, ALL_ACCESS_RIGHTS)] = ALL_ACCESS_RIGHTS
    capabilities: Annotated[tuple[Annotated[str, Limits("", 1, 100)], ...], Limits("", 0, 20)] = DEFAULT_CAPABILITIES
    identity: IdentityKind = IdentityKind.SCEP
    removable: bool = True
    required_os_version: Annotated[str | None, Limits("Version that a device in ADE updates to first.", 1, 50)] = None
    required_build_version: Annotated[str | None, Limits("Its build, where that isn't enough.", 1, 50)] = None


@endpoint("POST", "/links", needs=Permission.ENROLL, status=201)
async def create_link(call: Call, body: LinkBody) -> MadeLink:
    """Make an enrollment link."""
    serials = body.serial_numbers
    order = LinkOrder(
        body.uses,
        timedelta(seconds=body.lifetime_seconds),
        body.note,
        body.access_rights,
        body.kind,
        body.capabilities,
        identity_kind=body.identity,
        is_removal_disallowed=not body.removable,
        requires_sign_in=body.requires_sign_in,
        serial_numbers=None if serials is None else frozenset(one.strip().upper() for one in serials),
        required_os_version=body.required_os_version,
        required_build_version=body.required_build_version,
    )
    made = await call.do(create_links, order)
    return made_link(made, call.site.public_url)


@endpoint("DELETE", "/links/{link_id}", needs=Permission.ENROLL, refuses=(404, 409))
async def revoke_link(call: Call, link_id: str) -> EnrollmentLink:
    """Withdraw a link, and the profiles that were fetched by it and not installed. What is enrolled stays."""
    return await call.do(revoke_links, link_id)


ENDPOINTS = (list_links, create_link, revoke_link)
