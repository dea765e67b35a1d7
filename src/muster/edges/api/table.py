"""All endpoints: what requests are answered by, and what the OpenAPI document is made from."""

from typing import Final

from muster.edges.api.endpoints import Endpoint
from muster.edges.api.openapi import page
from muster.edges.api.resources import (
    adopted,
    apps,
    audit,
    bulk_acts,
    certificates,
    channels,
    command_types,
    commands,
    devices,
    enrollment_users,
    fleet,
    flips,
    groups,
    held,
    leaving,
    links,
    people,
    policies,
    reach,
    recoveries,
    reports,
    returning,
    secrets,
    signals,
    verdicts,
    webhooks,
    witnesses,
)

TABLE: Final[tuple[Endpoint, ...]] = (
    *people.ENDPOINTS,
    *fleet.ENDPOINTS,
    *flips.ENDPOINTS,
    *devices.ENDPOINTS,
    *verdicts.ENDPOINTS,
    *channels.ENDPOINTS,
    *apps.ENDPOINTS,
    *commands.ENDPOINTS,
    *bulk_acts.ENDPOINTS,
    *held.ENDPOINTS,
    *adopted.ENDPOINTS,
    *command_types.ENDPOINTS,
    *reach.ENDPOINTS,
    *recoveries.ENDPOINTS,
    *leaving.ENDPOINTS,
    *certificates.ENDPOINTS,
    *groups.ENDPOINTS,
    *links.ENDPOINTS,
    *secrets.ENDPOINTS,
    *webhooks.ENDPOINTS,
    *audit.ENDPOINTS,
    *policies.ENDPOINTS,
    *reports.ENDPOINTS,
    *enrollment_users.ENDPOINTS,
    *returning.ENDPOINTS,
    *signals.ENDPOINTS,
    *witnesses.ENDPOINTS,
)


def openapi_page() -> str:
    """Return what docs/api/openapi.json says."""
    return page(TABLE)
