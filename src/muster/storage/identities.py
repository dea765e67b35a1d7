"""The device identities we issued, the authorities that signed them, links and challenges that led to them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.access import Challenge, EnrollmentLink, Grant, IdentityKind, LinkKind
from muster.domain.enrollment import EnrollmentState, Identity, Provenance
from muster.protocol.identifiers import DeviceId
from muster.storage.engine import Transaction
from muster.storage.schema import authorities, challenges, channels, enrollment_links, identities


@dataclass(frozen=True, slots=True)
class StoredAuthority:
    """A certification authority of ours, its key still sealed."""

    fingerprint: bytes
    certificate_der: bytes
    key_sealed: bytes
    is_current: bool


def all_authorities(tx: Transaction) -> tuple[StoredAuthority, ...]:
    """Read every authority we ever were, the current one first."""
    rows = tx.connection.execute(
        sa.select(authorities).order_by(authorities.c.is_current.desc(), authorities.c.created_at)
    )
    return tuple(StoredAuthority(row.fingerprint, row.certificate_der, row.key_sealed, row.is_current) for row in rows)


def add_authority(tx: Transaction, authority: StoredAuthority, created_at: datetime) -> None:
    """Store a new authority."""
    tx.connection.execute(
        sa.insert(authorities).values(
            fingerprint=authority.fingerprint,
            certificate_der=authority.certificate_der,
            key_sealed=authority.key_sealed,
            created_at=created_at,
            is_current=authority.is_current,
        )
    )


def make_current(tx: Transaction, authority: StoredAuthority, at: datetime) -> None:
    """Store a new authority that issues from now on; those before it are kept, and trusted, for ever."""
    tx.connection.execute(sa.update(authorities).values(is_current=False))
    add_authority(tx, authority, at)


def current_since(tx: Transaction) -> datetime | None:
    """Tell when the current authority was made; None when there is none."""
    value: datetime | None = tx.connection.scalar(
        sa.select(sa.func.max(authorities.c.created_at)).where(authorities.c.is_current)
    )
    return value


def find(tx: Transaction, fingerprint: bytes, *, for_update: bool = False) -> Identity | None:
    """Read an identity; None when we issued no such certificate.

    With *for_update* its row is held, so that one device alone comes to use it, and one successor replaces it.
    """
    select = sa.select(identities).where(identities.c.fingerprint == fingerprint)
    row = tx.connection.execute(select.with_for_update() if for_update else select).one_or_none()
    if row is None:
        return None
    return Identity(
        row.fingerprint,
        row.device_id,
        Provenance(row.provenance),
        row.renewal_of,
        row.not_after,
        row.link_id,
        row.replaced_by is not None,
        row.profile_id,
        row.expected_udid,
        row.expected_serial,
        row.account,
        row.epoch,
        row.retired_at,
        row.issued_at,
    )


def certificate_of(tx: Transaction, fingerprint: bytes) -> bytes | None:
    """Read the certificate (DER) of an identity."""
    return tx.connection.scalar(sa.select(identities.c.certificate_der).where(identities.c.fingerprint == fingerprint))


def successors(tx: Transaction, fingerprint: bytes, device_id: DeviceId | None) -> tuple[bytes, ...]:
    """Read the certificates (DER) issued to renew the identity *fingerprint*: its own successor where no device had
    used it, those that were issued to renew *device_id* and not used since."""
    renewed = identities.alias("renewed")
    condition: sa.ColumnElement[bool] = identities.c.fingerprint.in_(
        sa.select(renewed.c.replaced_by).where(renewed.c.fingerprint == fingerprint)
    )
    if device_id is not None:
        condition = condition | sa.and_(identities.c.renewal_of == device_id, identities.c.device_id.is_(None))
    rows = tx.connection.scalars(sa.select(identities.c.certificate_der).where(condition))
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """An identity as issued; *made_for* says for what and for whom."""

    fingerprint: bytes
    certificate_der: bytes
    authority: bytes
    made_for: Grant
    issued_at: datetime
    not_after: datetime
    awaited: bytes | None = None
    """Where it stands in for one that another server issued: the SHA-256 of that; empty: any that is trusted."""


def add(tx: Transaction, new: NewIdentity) -> None:
    """Store an issued identity; it is nobody's until an Authenticate uses it. One that is stored already stays."""
    tx.connection.execute(
        tx.insert(identities)
        .values(
            fingerprint=new.fingerprint,
            certificate_der=new.certificate_der,
            authority=new.authority,
            issued_at=new.issued_at,
            not_after=new.not_after,
            awaited=new.awaited,
            **_grant_values(new.made_for),
        )
        .on_conflict_do_nothing()
    )


def _grant_values(grant: Grant) -> dict[str, object]:
    return {
        "provenance": grant.provenance.value,
        "link_id": grant.link_id,
        "renewal_of": grant.renewal_of,
        "profile_id": grant.profile_id,
        "expected_udid": grant.expected_udid,
        "expected_serial": grant.expected_serial,
        "account": grant.account,
    }


def issued(tx: Transaction, fingerprint: bytes) -> NewIdentity | None:
    """Read an identity as it was issued; None when we issued no such certificate."""
    row = tx.connection.execute(sa.select(identities).where(identities.c.fingerprint == fingerprint)).one_or_none()
    if row is None:
        return None
    return NewIdentity(
        row.fingerprint,
        row.certificate_der,
        row.authority,
        _grant_of_row(row),
        row.issued_at,
        row.not_after,
        row.awaited,
    )


def _grant_of_row(row: sa.Row[Any]) -> Grant:
    return Grant(
        Provenance(row.provenance),
        row.link_id,
        row.renewal_of,
        row.profile_id,
        row.expected_udid,
        row.expected_serial,
        row.account,
    )


def bind(tx: Transaction, fingerprint: bytes, device_id: DeviceId) -> None:
    """Pin an identity to the device that used it first."""
    tx.connection.execute(
        sa.update(identities)
        .where(identities.c.fingerprint == fingerprint, identities.c.device_id.is_(None))
        .values(device_id=device_id)
    )


def mark_pinned(
    tx: Transaction, fingerprint: bytes, device_id: DeviceId, *, epoch: int, begins_life: bool, at: datetime
) -> None:
    """Record that an identity is the pin of its device's *epoch* now; the pins before it are retired.

    Where the epoch *begins_life* of the device, so are all others of it, those issued to renew the life before among
    them. Else these stay: a device may yet use the one of another renewal, and would be lost if that were refused.
    """
    retire = _RETIRE_ALL if begins_life else _RETIRE_PINNED
    tx.connection.execute(retire, {"of_device": device_id, "but": fingerprint, "at": at})
    pinned = {"device_id": device_id, "epoch": epoch, "retired_at": None}
    tx.connection.execute(_UPDATE, {"of_identity": fingerprint, **pinned})


_UPDATE = sa.update(identities).where(identities.c.fingerprint == sa.bindparam("of_identity"))
_RETIRE = (
    sa.update(identities)
    .where(identities.c.fingerprint != sa.bindparam("but"), identities.c.retired_at.is_(None))
    .values(retired_at=sa.bindparam("at"))
)
_IS_OF_DEVICE = identities.c.device_id == sa.bindparam("of_device")
_RETIRE_PINNED = _RETIRE.where(identities.c.epoch.is_not(None), _IS_OF_DEVICE)
_RETIRE_ALL = _RETIRE.where(
    _IS_OF_DEVICE | (identities.c.device_id.is_(None) & (identities.c.renewal_of == sa.bindparam("of_device")))
)
# made once: building a statement costs more than running it on SQLite


def set_profile(tx: Transaction, fingerprint: bytes, profile_id: bytes) -> None:
    """Note with which profile the device of an identity was enrolled, of which that was not known."""
    unknown = sa.and_(identities.c.fingerprint == fingerprint, identities.c.profile_id.is_(None))
    tx.connection.execute(sa.update(identities).where(unknown).values(profile_id=profile_id))


def replace(tx: Transaction, fingerprint: bytes, replaced_by: bytes) -> None:
    """Record that an identity was renewed before any device used it: only its successor may enroll."""
    tx.connection.execute(
        sa.update(identities).where(identities.c.fingerprint == fingerprint).values(replaced_by=replaced_by)
    )


# --- links and challenges ---------------------------------------------------------------------------------------------


def add_link(tx: Transaction, link: EnrollmentLink, *, token_hash: bytes, created_by: str) -> None:
    """Store a new enrollment link; only the hash of its token is kept."""
    serials = link.serial_numbers
    tx.connection.execute(
        sa.insert(enrollment_links).values(
            id=link.id,
            token_hash=token_hash,
            created_at=link.created_at,
            created_by=created_by,
            expires_at=link.expires_at,
            uses_allowed=link.uses_allowed,
            uses=link.uses,
            revoked_at=link.revoked_at,
            note=link.note,
            kind=link.kind.value,
            access_rights=link.access_rights,
            capabilities=list(link.capabilities),
            identity_kind=link.identity_kind.value,
            is_removal_disallowed=link.is_removal_disallowed,
            requires_sign_in=link.requires_sign_in,
            serial_numbers=sa.null() if serials is None else sorted(serials),
            required_os_version=link.required_os_version,
            required_build_version=link.required_build_version,
        )
    )


def link_by_token(tx: Transaction, token_hash: bytes) -> EnrollmentLink | None:
    """Read the link of a token."""
    return _link(tx, _LINK_BY_TOKEN, token_hash)


def link_by_id(tx: Transaction, link_id: str, *, for_update: bool = False) -> EnrollmentLink | None:
    """Read a link; with *for_update* its row is held, so that its uses are counted one at a time."""
    return _link(tx, _LINK_HELD if for_update else _LINK_BY_ID, link_id)


@dataclass(frozen=True, slots=True)
class ListedLink:
    """A link, and who made it."""

    link: EnrollmentLink
    created_by: str


def all_links(tx: Transaction, limit: int) -> list[ListedLink]:
    """Read the newest *limit* links, newest first."""
    order = (enrollment_links.c.created_at.desc(), enrollment_links.c.id.desc())
    rows = tx.connection.execute(sa.select(enrollment_links).order_by(*order).limit(limit))
    return [ListedLink(_read_link(row), row.created_by) for row in rows]


def revoke_link(tx: Transaction, link_id: str, at: datetime) -> None:
    """Withdraw a link; one that was withdrawn before keeps that time."""
    tx.connection.execute(
        sa.update(enrollment_links)
        .where(enrollment_links.c.id == link_id, enrollment_links.c.revoked_at.is_(None))
        .values(revoked_at=at)
    )


_LINK_BY_TOKEN = sa.select(enrollment_links).where(enrollment_links.c.token_hash == sa.bindparam("named"))
_LINK_BY_ID = sa.select(enrollment_links).where(enrollment_links.c.id == sa.bindparam("named"))
_LINK_HELD = _LINK_BY_ID.with_for_update()
_COUNT_USE = (
    sa.update(enrollment_links)
    .where(enrollment_links.c.id == sa.bindparam("named"))
    .values(uses=enrollment_links.c.uses + 1)
)
_OUTSTANDING = (
    sa.select(sa.func.count())
    .select_from(challenges)
    .where(
        challenges.c.link_id == sa.bindparam("of_link"),
        challenges.c.used_at.is_(None),
        challenges.c.expires_at > sa.bindparam("now"),
    )
)
_CHALLENGE = sa.select(challenges).where(challenges.c.secret_hash == sa.bindparam("named")).with_for_update()
_USE = (
    sa.update(challenges)
    .where(challenges.c.secret_hash == sa.bindparam("named"))
    .values(
        used_at=sa.bindparam("at"),
        used_for_key=sa.bindparam("for_key"),
        identity_fingerprint=sa.bindparam("for_identity"),
    )
)
# made once: building a statement costs more than running it on SQLite


def _link(tx: Transaction, select: sa.Select[Any], named: bytes | str) -> EnrollmentLink | None:
    row = tx.connection.execute(select, {"named": named}).one_or_none()
    return None if row is None else _read_link(row)


def _read_link(row: sa.Row[tuple[object, ...]]) -> EnrollmentLink:
    return EnrollmentLink(
        row.id,
        row.created_at,
        row.expires_at,
        row.uses_allowed,
        row.uses,
        row.revoked_at,
        row.access_rights,
        row.note,
        kind=LinkKind(row.kind),
        capabilities=tuple(row.capabilities),
        identity_kind=IdentityKind(row.identity_kind),
        is_removal_disallowed=row.is_removal_disallowed,
        requires_sign_in=row.requires_sign_in,
        serial_numbers=None if row.serial_numbers is None else frozenset(row.serial_numbers),
        required_os_version=row.required_os_version,
        required_build_version=row.required_build_version,
    )


def count_link_use(tx: Transaction, link_id: str) -> None:
    """Count one more identity issued through a link."""
    tx.connection.execute(_COUNT_USE, {"named": link_id})


def outstanding_challenges(tx: Transaction, link_id: str, now: datetime) -> int:
    """Count a link's challenges that may still be used."""
    return tx.connection.execute(_OUTSTANDING, {"of_link": link_id, "now": now}).scalar_one()


def forget_unused_challenges(tx: Transaction, made_for: Grant, *, keep: int) -> None:
    """Drop the unused challenges of *made_for*'s link, device and account, but for the *keep* latest."""
    mine = sa.and_(
        challenges.c.link_id == made_for.link_id,
        challenges.c.expected_udid.is_not_distinct_from(made_for.expected_udid),
        challenges.c.account.is_not_distinct_from(made_for.account),
        challenges.c.used_at.is_(None),
    )
    latest = sa.select(challenges.c.secret_hash).where(mine).order_by(challenges.c.created_at.desc()).limit(keep)
    tx.connection.execute(sa.delete(challenges).where(mine, challenges.c.secret_hash.not_in(latest)))


def add_challenge(tx: Transaction, challenge: Challenge, created_at: datetime) -> None:
    """Store a fresh challenge; only its hash is kept."""
    tx.connection.execute(
        sa.insert(challenges).values(
            secret_hash=challenge.secret_hash,
            created_at=created_at,
            expires_at=challenge.expires_at,
            **_grant_values(challenge.made_for),
        )
    )


def challenge(tx: Transaction, secret_hash: bytes) -> Challenge | None:
    """Read a challenge and hold its row, so that it is used once."""
    row = tx.connection.execute(_CHALLENGE, {"named": secret_hash}).one_or_none()
    if row is None:
        return None
    return Challenge(
        row.secret_hash,
        _grant_of_row(row),
        row.expires_at,
        row.used_at,
        row.used_for_key,
        row.identity_fingerprint,
    )


def count_ending(tx: Transaction, before: datetime) -> int:
    """Count the enrolled devices whose identity ends before a time: beginning with the identities, few of which do."""
    device = channels.c
    select = (
        sa.select(sa.func.count())
        .select_from(identities)
        .join(channels, device.id == identities.c.device_id)  # by its key: a pin has no index
        .where(identities.c.not_after < before, device.pin == identities.c.fingerprint)
        .where(device.state == EnrollmentState.ENROLLED.value)
    )
    return tx.connection.execute(select).scalar_one()


def use_challenge(tx: Transaction, secret_hash: bytes, *, key: bytes, identity: bytes, at: datetime) -> None:
    """Record what a challenge was used for."""
    tx.connection.execute(_USE, {"named": secret_hash, "at": at, "for_key": key, "for_identity": identity})
