"""What is stored of devices that tells whether a command is for them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from muster.domain.access import LinkKind
from muster.domain.enrolled_terms import EnrolledTerms, terms_from_json
from muster.protocol.identifiers import ChannelKind, DeviceId
from muster.protocol.os_family import OsFamily, family_of
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import channels, device_facts, enrollment_links, enrollment_profiles, identities


class StoredTarget(NamedTuple):
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
_TERMS = sa.select(enrollment_profiles.c.id, enrollment_profiles.c.terms).where(
    enrollment_profiles.c.id.in_(sa.bindparam("ids", expanding=True))
)
_SHARED = sa.select(channels.c.device_id).where(
    among(channels.c.device_id, "ids"), channels.c.kind == ChannelKind.SHARED_IPAD.value
)


def find(tx: Transaction, device_ids: Sequence[DeviceId]) -> dict[DeviceId, StoredTarget]:
    """Read what is stored of *device_ids*; those that are not stored are absent. Devices that are alike share a record.

    Of Shared iPads' users is told only where a device isn't something else by its own word.
    """
    said = {row[0]: tuple(row[1:]) for row in tx.connection.execute(_FIND, {"ids": device_ids}).all()}
    # a fleet has many devices, but few kinds of them
    kinds = set(said.values())
    terms = _terms(tx, sorted({profile_id for *_, profile_id, _ in kinds if profile_id is not None}))
    targets = {one: _target(one, terms) for one in kinds}
    found = {device_id: targets[one] for device_id, one in said.items()}
    maybe_shared = {one for one, target in targets.items() if not _is_no_ipad(target)}
    ids = [device_id for device_id, one in said.items() if one in maybe_shared] if maybe_shared else []
    shared = {one: target._replace(has_shared_ipad_users=True) for one, target in targets.items()}
    for device_id in tx.connection.scalars(_SHARED, {"ids": ids}) if ids else ():
        found[device_id] = shared[said[device_id]]
    return found


def _target(said: tuple[Any, ...], terms: Mapping[bytes, EnrolledTerms]) -> StoredTarget:
    product_name, model, os_version, is_supervised, is_multi_user, is_automated, profile_id, kind = said
    return StoredTarget(
        product_name,
        model,
        os_version,
        terms.get(profile_id),
        None if kind is None else LinkKind(kind),
        is_supervised=is_supervised,
        is_multi_user=is_multi_user,
        is_automated_enrollment=is_automated,
    )


def _is_no_ipad(target: StoredTarget) -> bool:
    """Tell whether a device says that it is something else: then no users of a Shared iPad are looked for."""
    family = family_of(target.product_name) or family_of(target.model)
    return family not in (None, OsFamily.IOS)


def _terms(tx: Transaction, profile_ids: Sequence[bytes]) -> dict[bytes, EnrolledTerms]:
    """Read terms by their ids; a fleet has few of them."""
    return {
        row.id: terms_from_json(row.terms)
        for ids in slices(profile_ids)
        for row in tx.connection.execute(_TERMS, {"ids": ids})
    }
