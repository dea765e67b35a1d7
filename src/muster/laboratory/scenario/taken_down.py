"""What the server's records say of a run that no verdict is made of: when each channel was heard, by which identities
devices spoke, and when they obeyed last."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.control.contact import ContactDay, contacts_of
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.schema import channels, contact_days, identities


@dataclass(frozen=True, slots=True)
class TakenDown:
    """*heard*: the starts of the five minutes in which a channel was heard, in order. *identities*: of each device
    those that it spoke by, as (issued, ends), in order. *proofs*: when a channel last acknowledged a command."""

    heard: Mapping[ChannelId, tuple[datetime, ...]]
    identities: Mapping[ChannelId, tuple[tuple[datetime, datetime], ...]]
    proofs: Mapping[ChannelId, datetime]


def take_down(tx: Transaction) -> TakenDown:
    """Read it of all channels."""
    days: defaultdict[ChannelId, list[ContactDay]] = defaultdict(list)
    for row in tx.connection.execute(sa.select(contact_days).order_by(contact_days.c.channel_id, contact_days.c.day)):
        days[ChannelId(row.channel_id)].append(ContactDay(row.day, row.strip))
    columns = (channels.c.id, channels.c.contact_day, channels.c.contact_strip, channels.c.last_proof_at)
    proofs = {}
    for row in tx.connection.execute(sa.select(*columns)):
        if row.contact_strip is not None:
            days[ChannelId(row.id)].append(ContactDay(row.contact_day, row.contact_strip))
        if row.last_proof_at is not None:
            proofs[ChannelId(row.id)] = row.last_proof_at
    spoken: defaultdict[ChannelId, list[tuple[datetime, datetime]]] = defaultdict(list)
    used = (
        sa.select(identities.c.device_id, identities.c.issued_at, identities.c.not_after)
        .where(identities.c.device_id.is_not(None), identities.c.epoch.is_not(None))
        .order_by(identities.c.device_id, identities.c.issued_at, identities.c.fingerprint)
    )
    for device_id, issued_at, not_after in tx.connection.execute(used):
        spoken[ChannelId(device_id)].append((issued_at, not_after))
    return TakenDown(
        heard={channel_id: tuple(at for day in of for at in contacts_of(day)) for channel_id, of in days.items()},
        identities={channel_id: tuple(of) for channel_id, of in spoken.items()},
        proofs=proofs,
    )
