"""What is stored of devices that tells whether a command is for them."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from muster.domain.access import LinkKind
from muster.domain.enrolled_terms import EnrolledTerms, terms_from_json
from muster.protocol.identifiers import ChannelKind, DeviceId
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import channels, device_facts, enrollment_links, enrollment_profiles, identities


@dataclass(frozen=True, slots=True)
class StoredTarget:
    """One device. None: it did not say, or that it enrolled by something of ours is not known."""

    product_name: str | None = None
    model: str | None = None
    os_version: str | None = None
    terms: EnrolledTerms | None = None
    """Of its pinned identity."""
    link_kind: LinkKind | None = None
    """By which its pinned identity came; a renewal's is not known."""
    has_shared_ipad_users: bool = False
    is_supervised: bool | None = None
    is_multi_user: bool | None = None
    is_automated_enrollment: bool | None = None
    """As the device itself says, in this life of it."""


_FIND = (
    sa.select(
        channels.c.id,
        device_facts.c.product_name,
        device_facts.c.model,
        device_facts.c.os_version,
        device_facts.c.is_supervised,
        device_facts.c.is_multi_user,
        device_facts.c.is_automated_enrollment,
        identities.c.profile_id,
        enrollment_links.c.kind,
    )
    .outerjoin(device_facts, device_facts.c.channel_id == channels.c.id)
    .outerjoin(identities, identities.c.fingerprint == channels.c.pin)
    .outerjoin(enrollment_links, enrollment_links.c.id == identities.c.link_id)
    .where(among(channels.c.id, "ids"))
)
_SHARED = sa.select(channels.c.device_id).where(
    among(channels.c.device_id, "ids"), channels.c.kind == ChannelKind.SHARED_IPAD.value
)


def find(tx: Transaction, device_ids: Sequence[DeviceId]) -> dict[DeviceId, StoredTarget]:
    """Read what is stored of *device_ids*; those that are not stored are absent."""
    rows = tx.connection.execute(_FIND, {"ids": device_ids}).all()
    shared = set(tx.connection.scalars(_SHARED, {"ids": device_ids}))
    terms = _terms(tx, sorted({row.profile_id for row in rows if row.profile_id is not None}))
    return {
        device_id: StoredTarget(
            product_name,
            model,
            os_version,
            terms.get(profile_id),
            None if kind is None else LinkKind(kind),
            device_id in shared,
            is_supervised,
            is_multi_user,
            is_automated,
        )
        for (
            device_id,
            product_name,
            model,
            os_version,
            is_supervised,
            is_multi_user,
            is_automated,
            profile_id,
            kind,
        ) in rows
    }


def _terms(tx: Transaction, profile_ids: Sequence[bytes]) -> dict[bytes, EnrolledTerms]:
    """Read terms by their ids; a fleet has few of them."""
    table = enrollment_profiles.c
    return {
        row.id: terms_from_json(row.terms)
        for ids in slices(profile_ids)
        for row in tx.connection.execute(sa.select(table.id, table.terms).where(table.id.in_(ids)))
    }
