"""A contact was refused: evidence against the channel where the signature vouches for it, else a rumour."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from muster.domain.control.evidence import Observation, Rumour, Signal
from muster.domain.errors import RefusalCode
from muster.operations.context import Context
from muster.operations.note_clones import note_clone
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, evidence, identities, reviews
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class RefusedContact:
    """A contact that was refused. *claimed_id* is whom it says it is, None when that could not be read.

    *fingerprint* is that of the certificate which was shown to speak, by its signature over the message or by the
    connection; None when there was none.
    """

    code: RefusalCode
    claimed_id: ChannelId | None
    fingerprint: bytes | None
    source: str
    at: datetime


def record_refusals(tx: Transaction, contacts: Sequence[RefusedContact], ctx: Context) -> list[None]:
    """Record refused contacts; one None for each.

    It counts for a device only if a certificate spoke that is bound to that device: then it
    is evidence of that device, whatever the message claims; where it claims to be another, its identity is in other
    hands. All else is a rumour and changes nothing.
    """
    rumours = []
    clones: dict[tuple[ChannelId, ChannelId], RefusedContact] = {}
    for contact in contacts:
        identity = None if contact.fingerprint is None else identities.find(tx, contact.fingerprint)
        if identity is None or identity.device_id is None:
            rumours.append(Rumour(contact.claimed_id or "", contact.code.value, contact.source, contact.at))
            continue
        device = ChannelId(identity.device_id)
        enrollment = enrollments.find(tx, [device]).get(device)
        observation = Observation(
            device,
            Signal.REFUSED_CONTACT,
            contact.code.value,
            contact.at,
            0 if enrollment is None else enrollment.epoch,
            contact.source,
            {"claimed_id": contact.claimed_id},
        )
        if evidence.append(tx, [observation], ctx.new_id) and enrollment is not None:
            reviews.schedule(tx, device, ctx.now)
        newcomer = ChannelId((contact.claimed_id or "").partition(":")[0])
        if newcomer not in ("", device):
            clones[device, newcomer] = contact
    for (owner, newcomer), contact in sorted(clones.items(), key=lambda item: item[0]):  # rows are locked in order
        note_clone(tx, owner, newcomer, contact.fingerprint or b"", contact.source, ctx)
    if rumours:
        evidence.add_rumours(tx, rumours)
    return [None] * len(contacts)
