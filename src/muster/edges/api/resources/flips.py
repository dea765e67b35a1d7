"""Mass flips: so many devices out of control at once that others are told only upon a person's word."""

from dataclasses import dataclass

from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.operations.end_flips import FlipOrder, end_flips, settle_flips
from muster.operations.permit import of_fleet
from muster.operations.views.flips import FlipSettled
from muster.storage import tellings
from muster.storage.tellings import MassFlip


@endpoint("GET", "/flips")
async def list_flips(call: Call) -> tuple[MassFlip, ...]:
    """List mass flips, the one that waits for a word first."""
    return await call.see(of_fleet(tellings.flips))


@dataclass(frozen=True, slots=True)
class FlipBody:
    """Whether others are told of those that are out of control still; else nobody is told of them."""

    release: bool


@endpoint("POST", "/flips/end", needs=Permission.POLICIES, refuses=(404, 409))
async def end_flip(call: Call, body: FlipBody) -> FlipSettled:
    """Decide of the mass flip that waits; of those that came back nobody is told."""
    ended = await call.do(end_flips, FlipOrder(body.release))
    told = 0
    while (settled := await call.do(settle_flips, None)).left:
        told += settled.told
    return FlipSettled(ended.flip_id, ended.waiting, told)


ENDPOINTS = (list_flips, end_flip)
