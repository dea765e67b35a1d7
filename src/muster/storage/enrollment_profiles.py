"""What devices were enrolled with: each set of terms once, by the hash of its content."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.enrolled_terms import EnrolledTerms, terms_from_json, terms_id, terms_json
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import channels, enrollment_profiles, identities


def keep(tx: Transaction, terms: EnrolledTerms, at: datetime) -> bytes:
    """Store *terms*, unless they are stored already; returns their id."""
    profile_id = terms_id(terms)
    values = {"id": profile_id, "terms": dict(terms_json(terms)), "created_at": at}
    tx.connection.execute(tx.insert(enrollment_profiles).values(values).on_conflict_do_nothing())
    return profile_id


def find(tx: Transaction, profile_id: bytes) -> EnrolledTerms | None:
    """Read the terms named *profile_id*; None when there are none."""
    stored = tx.connection.scalar(sa.select(enrollment_profiles.c.terms).where(enrollment_profiles.c.id == profile_id))
    return None if stored is None else terms_from_json(stored)


def json_of(tx: Transaction, profile_id: bytes) -> Mapping[str, Any] | None:
    """Read the terms named *profile_id* as they are stored; None when there are none."""
    stored: Mapping[str, Any] | None = tx.connection.scalar(
        sa.select(enrollment_profiles.c.terms).where(enrollment_profiles.c.id == profile_id)
    )
    return stored


def keep_json(tx: Transaction, profile_id: bytes, terms: Mapping[str, Any], at: datetime) -> None:
    """Store terms as `json_of` gave them, unless they are stored already; that *profile_id* is theirs isn't checked."""
    values = {"id": profile_id, "terms": dict(terms), "created_at": at}
    tx.connection.execute(tx.insert(enrollment_profiles).values(values).on_conflict_do_nothing())


def of_device(tx: Transaction, device_id: DeviceId) -> EnrolledTerms | None:
    """Read what a device is enrolled with: the terms of its pinned identity.

    None when the device is not known, has no pin yet, or came from elsewhere with a profile that we never saw.
    """
    stored = tx.connection.scalar(
        sa.select(enrollment_profiles.c.terms)
        .join(identities, identities.c.profile_id == enrollment_profiles.c.id)
        .join(channels, channels.c.pin == identities.c.fingerprint)
        .where(channels.c.id == device_id)
    )
    return None if stored is None else terms_from_json(stored)


_PINNED = (
    sa.select(channels.c.id, enrollment_profiles.c.id.label("profile_id"), enrollment_profiles.c.terms)
    .join(identities, identities.c.fingerprint == channels.c.pin)
    .join(enrollment_profiles, enrollment_profiles.c.id == identities.c.profile_id)
    .where(among(channels.c.id, "ids"))
)
# made once: building a statement costs more than running it on SQLite


def lacking(tx: Transaction, device_ids: Sequence[ChannelId], capability: str) -> set[ChannelId]:
    """Name those of *device_ids* whose profile is known, and has not *capability* among its ServerCapabilities."""
    granted: dict[bytes, bool] = {}
    found: set[ChannelId] = set()
    for ids in slices(sorted(device_ids)):
        for device_id, profile_id, terms in tx.connection.execute(_PINNED, {"ids": ids}):
            if profile_id not in granted:
                granted[profile_id] = capability in terms_from_json(terms).capabilities
            if not granted[profile_id]:
                found.add(ChannelId(device_id))
    return found


def payload_identifiers(tx: Transaction) -> frozenset[str]:
    """Return the PayloadIdentifiers of all enrollment profiles that were ever given; a fleet has few."""
    stored = tx.connection.scalars(sa.select(enrollment_profiles.c.terms)).all()
    return frozenset(terms_from_json(terms).payload_identifier for terms in stored)
