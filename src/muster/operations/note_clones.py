"""Another device came by a device's identity: its owner is told, whatever the other one said."""

from muster.domain.control.evidence import CLONED, Detail, Observation, Signal
from muster.domain.events import Event, EventType
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, evidence, outbox, reviews
from muster.storage.engine import Transaction

CLONES_NAMED = 20
"""Of the devices that came by another's identity; who holds it can claim any name, and more tell nothing."""


def note_clone(
    tx: Transaction, owner: ChannelId, newcomer: ChannelId, fingerprint: bytes, source: str, ctx: Context
) -> None:
    """Note with the *owner* of an identity that *newcomer* came by it: a row and an event for each newcomer.

    Of CLONES_NAMED newcomers; an owner that is unknown has nobody to be told of it. Locks the owner's row.
    """
    tx.lock_rows([owner])
    enrollment = enrollments.find(tx, [owner]).get(owner)
    noted = evidence.details_of(tx, owner, Signal.AUTHENTICATE, CLONED, limit=CLONES_NAMED)
    if enrollment is None or len(noted) >= CLONES_NAMED or any(one.get("newcomer") == newcomer for one in noted):
        return
    detail: Detail = {"newcomer": newcomer, "identity": fingerprint.hex()}
    observation = Observation(owner, Signal.AUTHENTICATE, CLONED, ctx.now, enrollment.epoch, source, detail)
    evidence.append(tx, [observation], ctx.new_id)
    outbox.append(tx, [Event(ctx.new_id(), EventType.DEVICE_IDENTITY_CLONED, owner, ctx.now, {"newcomer": newcomer})])
    reviews.schedule(tx, owner, ctx.now)
