"""Device identities: what edges ask about them, how long they last, and how their renewal stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from muster.domain.policy import Policy
from muster.domain.renewal import Attempt, RenewalReason, RenewalState, renewal_state, why_not_renewable
from muster.domain.renewal_failures import EXPLANATIONS, RenewalFailure
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import identities as stored_identities
from muster.storage import renewals
from muster.storage.engine import Transaction
from muster.storage.queries import Bounds
from muster.storage.renewals import IDENTITIES, DueIdentity, current_authority, read_identity
from muster.storage.schema import channels, device_facts, identities

PAGE_LIMIT = 500
"""Identities on one page at most."""


class Acquaintance(StrEnum):
    """What is known of a certificate that none of our authorities issued."""

    KNOWN = "known"
    """It is an identity that we keep, whoever issued it, expired or not."""
    AWAITED = "awaited"
    """It isn't, and the device that shows it came over from another server; its identity is still to be met."""
    UNKNOWN = "unknown"


def acquaintance(tx: Transaction, fingerprint: bytes, device_id: DeviceId) -> Acquaintance:
    """Tell what is known of the certificate with this SHA-256, shown by a device that says it is *device_id*."""
    if stored_identities.find(tx, fingerprint) is not None:
        return Acquaintance.KNOWN
    stands_in = sa.select(sa.literal(1)).where(
        channels.c.id == device_id, identities.c.fingerprint == channels.c.pin, identities.c.awaited.is_not(None)
    )
    return Acquaintance.UNKNOWN if tx.connection.scalar(stands_in) is None else Acquaintance.AWAITED


@dataclass(frozen=True, slots=True)
class RenewalRow:
    """How the renewal of a device's identity stands. *reason* is absent while none is open; *words* say it."""

    state: RenewalState
    reason: RenewalReason | None
    attempts: int
    sent_at: datetime | None
    failure: RenewalFailure | None
    failure_text: str | None
    words: str


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """The identity of one enrolled device. *days_left* is rounded down, negative once it has expired."""

    device_id: ChannelId
    serial_number: str | None
    name: str | None
    fingerprint: bytes
    issued_at: datetime
    not_after: datetime
    days_left: int
    is_of_current_authority: bool
    renewal: RenewalRow


@dataclass(frozen=True, slots=True)
class IdentityPage:
    """A page of a list, the earliest end first. *next_after* is where the next page begins, None on the last one."""

    rows: tuple[IdentityRow, ...]
    next_after: tuple[datetime, ChannelId] | None


@dataclass(frozen=True, slots=True)
class IdentityQuery:
    """Which identities to list: those that end at *until* or before (absent: all), after *after*."""

    until: datetime | None = None
    after: tuple[datetime, ChannelId] | None = None
    limit: int = PAGE_LIMIT


def list_identities(
    tx: Transaction, query: IdentityQuery, now: datetime, policy: Policy, within: Bounds | None = None
) -> IdentityPage:
    """List the pinned identities of enrolled devices, a page at a time; *within* bounds, where there are any."""
    select = IDENTITIES.add_columns(device_facts.c.serial_number, device_facts.c.device_name).outerjoin(
        device_facts, device_facts.c.channel_id == channels.c.id
    )
    select = select.where(channels.c.state == "enrolled")
    if within is not None:
        select = select.where(within.condition(tx))
    if query.until is not None:
        select = select.where(identities.c.not_after <= query.until)
    if query.after is not None:
        ends_at, device_id = query.after
        select = select.where(
            sa.or_(
                identities.c.not_after > ends_at, sa.and_(identities.c.not_after == ends_at, channels.c.id > device_id)
            )
        )
    limit = min(query.limit, PAGE_LIMIT)
    select = select.order_by(identities.c.not_after, channels.c.id).limit(limit + 1)
    authority = current_authority(tx)
    found = tx.connection.execute(select).all()
    rows = tuple(
        _row(read_identity(row, authority), row.serial_number, row.device_name, now, policy) for row in found[:limit]
    )
    return IdentityPage(rows, (rows[-1].not_after, rows[-1].device_id) if len(found) > limit else None)


def _row(
    identity: DueIdentity, serial_number: str | None, name: str | None, now: datetime, policy: Policy
) -> IdentityRow:
    situation = identity.situation
    return IdentityRow(
        ChannelId(situation.device_id),
        serial_number,
        name,
        identity.fingerprint,
        situation.issued_at,
        situation.not_after,
        (situation.not_after - now).days,
        situation.rotated_at is None,
        _renewal(identity, now, policy),
    )


def renewal_of(tx: Transaction, device_id: ChannelId, now: datetime, policy: Policy) -> RenewalRow | None:
    """Read how the renewal of a device's identity stands; None when the device is not enrolled."""
    identity = renewals.read(tx, [device_id]).get(device_id)
    return None if identity is None or not identity.is_enrolled else _renewal(identity, now, policy)


def _renewal(identity: DueIdentity, now: datetime, policy: Policy) -> RenewalRow:
    attempt = identity.situation.attempt
    state = renewal_state(identity.situation, now, policy)
    return RenewalRow(
        state,
        None if attempt is None else attempt.reason,
        0 if attempt is None else attempt.attempts,
        None if attempt is None else attempt.sent_at,
        identity.failure,
        identity.failure_text,
        _words(identity, state, attempt, now, policy),
    )


_REASONS: Mapping[RenewalReason, str] = {
    RenewalReason.EXPIRING: "the identity is near its end",
    RenewalReason.EXPIRED: "the identity has expired",
    RenewalReason.SUPERSEDED: "the device was restored from an older backup",
    RenewalReason.AUTHORITY_ROTATED: "the authority was rotated",
    RenewalReason.ASKED_FOR: "an administrator asked for it",
}


def _words(identity: DueIdentity, state: RenewalState, attempt: Attempt | None, now: datetime, policy: Policy) -> str:
    """Say in a sentence or two how the renewal stands, and what a person can do; nothing while nothing is due."""
    because = "" if attempt is None else f", because {_REASONS[attempt.reason]}"
    sent = "" if attempt is None or attempt.sent_at is None else f" on {_moment(attempt.sent_at)}"
    match state:
        case RenewalState.NOT_DUE:
            return ""
        case RenewalState.DUE:
            return f"Its renewal is due and sent shortly{because}."
        case RenewalState.SENT:
            before = _failed_before(identity)
            return f"Its renewal was sent{sent}{because}; the device has not answered yet.{before}"
        case RenewalState.ACKNOWLEDGED:
            return f"Its renewal was sent{sent}; the device installed it and has not used it yet."
        case RenewalState.FAILED:
            said = f" It says: {identity.failure_text}." if identity.failure_text else ""
            explanation = EXPLANATIONS[identity.failure or RenewalFailure.UNKNOWN]
            return f"Its renewal, sent{sent}, failed: {explanation.what} {explanation.remedy}{said}"
        case RenewalState.IMPOSSIBLE:
            if why_not_renewable(identity.situation, now, policy) == "profile_unknown":
                return (
                    "It can't be renewed: with which profile the device was enrolled is not known. Supply it by "
                    "`muster import profile`, or enroll the device again before the identity ends."
                )
            return "It expired too long ago to be renewed: enroll the device again."


def _failed_before(identity: DueIdentity) -> str:
    return "" if identity.failure is None else f" Last time: {EXPLANATIONS[identity.failure].what}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
