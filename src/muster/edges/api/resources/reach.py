"""A device's own link to the page that says whether it reaches this server."""

from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.operations.note_reach import make_reach_links
from muster.operations.views.reach import ReachLinkMade
from muster.protocol.identifiers import ChannelId


@endpoint("POST", "/devices/{device_id}/reach-link", needs=Permission.WAKE, refuses=(404,), status=201)
async def make_reach_link(call: Call, device_id: str) -> ReachLinkMade:
    """Make a device's own link to the page “Can this device reach us?”."""
    made = await call.do(make_reach_links, ChannelId(device_id))
    return ReachLinkMade(made.device_id, f"{call.site.public_url}/reach/{made.token}", made.expires_at)


ENDPOINTS = (make_reach_link,)
