"""Renewals of devices' identities: one row a device, opened when a renewal begins and closed when it was used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from muster.domain.command_queue import QueuePurpose
from muster.domain.enrollment import EnrollmentState
from muster.domain.renewal import Attempt, RenewalReason, RenewalSituation
from muster.domain.renewal_failures import RenewalFailure
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.protocol.records import record
from muster.storage.among import among
from muster.storage.device_channels import are_devices
from muster.storage.engine import Transaction, slices
from muster.storage.schema import authorities, channels, identities, queue, renewals


class ClosedBecause(StrEnum):
    """Why a renewal is open no more."""

    USED = "used"
    ENDED = "ended"
    """The device left, was erased or enrolled anew."""


@record(frozen=True, slots=True)
class DueIdentity:
    """A device's pinned identity and what is known of its renewal.

    *told_days* is what its end was last told about. *failure* and *failure_text*: the last failure of the renewal that
    is open. *is_enrolled*: the device is; where it is not, nothing is renewed. *has_leftover*: the command of a renewal
    that is over is still queued, over since *over_since* where that is known. *is_over*: a renewal is open that belongs
    to a life of the device which has ended.
    """

    situation: RenewalSituation
    fingerprint: bytes
    epoch: int
    is_enrolled: bool
    told_days: int | None
    has_leftover: bool
    over_since: datetime | None
    is_over: bool
    command_uuid: CommandUUID | None
    failure: RenewalFailure | None
    failure_text: str | None
    authority: bytes
    """Fingerprint of the authority that issued it."""


_current = authorities.alias("current")
_CURRENT = (
    sa.select(_current.c.fingerprint, _current.c.created_at)
    .where(_current.c.is_current)
    .order_by(_current.c.created_at.desc())
    .limit(1)
)
_QUEUED = (
    sa.select(queue.c.command_uuid)
    .where(queue.c.channel_id == channels.c.id, queue.c.purpose == QueuePurpose.RENEWAL.value)
    .order_by(queue.c.position.desc())
    .limit(1)
    .scalar_subquery()
)
IDENTITIES = (
    sa.select(
        channels.c.id,
        channels.c.state,
        channels.c.epoch.label("current_epoch"),
        identities.c.fingerprint,
        identities.c.authority,
        identities.c.issued_at,
        identities.c.not_after,
        identities.c.profile_id,
        identities.c.told_days,
        _QUEUED.label("queued"),
        *renewals.c,
    )
    .select_from(
        channels.join(identities, identities.c.fingerprint == channels.c.pin).outerjoin(
            renewals, renewals.c.device_id == channels.c.id
        )
    )
    .where(are_devices())
)
"""Every device that has a pin, with its identity and renewal; `read_identity` reads the rows."""
_SOME = IDENTITIES.where(among(channels.c.id, "ids"))
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class CurrentAuthority:
    """The authority that issues now, and since when it does."""

    fingerprint: bytes
    since: datetime


def current_authority(tx: Transaction) -> CurrentAuthority | None:
    """Read which authority issues now; None before the first start."""
    row = tx.connection.execute(_CURRENT).one_or_none()
    return None if row is None else CurrentAuthority(row.fingerprint, row.created_at)


def read(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, DueIdentity]:
    """Read the pinned identities of those of *channel_ids* that are devices with a pin; the others are absent."""
    authority = current_authority(tx)
    return {
        ChannelId(row.id): read_identity(row, authority)
        for ids in slices(channel_ids)
        for row in tx.connection.execute(_SOME, {"ids": ids}).all()
    }


def read_identity(row: sa.Row[*tuple[Any, ...]], authority: CurrentAuthority | None) -> DueIdentity:
    """Read one row of `IDENTITIES`."""
    is_open = row.device_id is not None and row.closed_at is None
    is_enrolled = row.state == EnrollmentState.ENROLLED.value
    is_of_this_life = is_open and row.epoch == row.current_epoch and is_enrolled
    attempt = None
    if is_of_this_life:
        attempt = Attempt(
            RenewalReason(row.reason),
            row.attempts,
            row.failures,
            row.sent_at,
            row.acknowledged_at,
            row.failed_at,
            row.asked_at,
            is_waiting=row.queued is not None and row.queued == row.command_uuid,
        )
    is_of_current = authority is None or row.authority == authority.fingerprint
    return DueIdentity(
        RenewalSituation(
            DeviceId(row.id),
            row.issued_at,
            row.not_after,
            is_profile_known=row.profile_id is not None,
            rotated_at=None if is_of_current or authority is None else authority.since,
            attempt=attempt,
        ),
        row.fingerprint,
        row.current_epoch,
        is_enrolled,
        row.told_days,
        has_leftover=row.queued is not None and not is_of_this_life,
        over_since=row.closed_at,
        is_over=is_open and not is_of_this_life,
        command_uuid=row.command_uuid if is_of_this_life else None,
        failure=RenewalFailure(row.failure) if is_of_this_life and row.failure is not None else None,
        failure_text=row.failure_text if is_of_this_life else None,
        authority=row.authority,
    )


def open_if_none(
    tx: Transaction,
    device_id: DeviceId,
    *,
    epoch: int,
    reason: RenewalReason,
    at: datetime,
    asked_at: datetime | None = None,
) -> None:
    """Begin a renewal, unless one is open in this *epoch*; then only *asked_at* is noted."""
    insert = tx.insert(renewals).values(
        device_id=device_id,
        epoch=epoch,
        reason=reason.value,
        opened_at=at,
        asked_at=asked_at,
        attempts=0,
        failures=0,
    )
    begun = {
        column.name: insert.excluded[column.name]
        for column in renewals.c
        if column.name not in ("device_id", "asked_at")
    }
    is_over = sa.or_(renewals.c.closed_at.is_not(None), renewals.c.epoch != epoch)
    tx.connection.execute(
        insert.on_conflict_do_update(index_elements=["device_id"], set_={**begun, "asked_at": asked_at}, where=is_over)
    )
    if asked_at is not None:
        _update(tx, device_id, renewals.c.closed_at.is_(None), asked_at=asked_at)


def note_sent(
    tx: Transaction,
    device_id: DeviceId,
    *,
    reason: RenewalReason,
    command_uuid: CommandUUID,
    challenge_hash: bytes | None,
    at: datetime,
) -> None:
    """Record that the open renewal was queued as *command_uuid*, for *reason* by now."""
    _update(
        tx,
        device_id,
        renewals.c.closed_at.is_(None),
        reason=reason.value,
        attempts=renewals.c.attempts + 1,
        command_uuid=command_uuid,
        challenge_hash=challenge_hash,
        sent_at=at,
        acknowledged_at=None,
        failed_at=None,
    )


def note_acknowledged(tx: Transaction, device_id: DeviceId, command_uuid: CommandUUID, at: datetime) -> bool:
    """Record that the device acknowledged the attempt *command_uuid*; tells whether that is the open one's last."""
    return _update(tx, device_id, _is_attempt(command_uuid), acknowledged_at=at)


def note_failed(
    tx: Transaction,
    device_id: DeviceId,
    failure: RenewalFailure,
    text: str,
    *,
    at: datetime,
    command_uuid: CommandUUID | None = None,
    challenge_hash: bytes | None = None,
) -> bool:
    """Record that the attempt sent last failed, named by its command or by its challenge.

    An attempt is counted as failed once, however often it is said. Tells whether it is the open renewal's last one.
    """
    is_it = _is_attempt(command_uuid) if command_uuid is not None else _is_of_challenge(challenge_hash)
    is_first = sa.or_(renewals.c.failed_at.is_(None), renewals.c.failed_at < renewals.c.sent_at)
    _update(tx, device_id, sa.and_(is_it, is_first), failures=renewals.c.failures + 1, failed_at=at)
    return _update(tx, device_id, is_it, failure=failure.value, failure_text=text)


def reopen(
    tx: Transaction,
    device_id: DeviceId,
    failure: RenewalFailure,
    text: str,
    *,
    epoch: int,
    at: datetime,
    command_uuid: CommandUUID | None = None,
) -> bool:
    """Open the renewal again that was closed by its use, for that came to nothing; it counts as one more failure.

    With *command_uuid* only where that was the attempt sent last. Tells whether there was such a renewal.
    """
    was_used = sa.and_(renewals.c.closed_because == ClosedBecause.USED.value, renewals.c.epoch == epoch)
    if command_uuid is not None:
        was_used = sa.and_(was_used, renewals.c.command_uuid == command_uuid)
    return _update(
        tx,
        device_id,
        was_used,
        closed_at=None,
        closed_because=None,
        failures=renewals.c.failures + 1,
        failed_at=at,
        failure=failure.value,
        failure_text=text,
    )


def used_at(tx: Transaction, device_id: DeviceId) -> datetime | None:
    """Tell when the last renewal was closed by its use; None while one is open, and where there was none."""
    found: datetime | None = tx.connection.scalar(
        sa.select(renewals.c.closed_at).where(
            renewals.c.device_id == device_id, renewals.c.closed_because == ClosedBecause.USED.value
        )
    )
    return found


def failure_of(tx: Transaction, device_id: DeviceId) -> RenewalFailure | None:
    """Read the failure of the attempt sent last; None when it did not fail."""
    found: str | None = tx.connection.scalar(
        sa.select(renewals.c.failure).where(
            renewals.c.device_id == device_id,
            renewals.c.closed_at.is_(None),
            renewals.c.failed_at >= renewals.c.sent_at,
        )
    )
    return None if found is None else RenewalFailure(found)


def close(tx: Transaction, device_id: DeviceId, because: ClosedBecause, at: datetime) -> None:
    """End the renewal of a device; where none is open, nothing happens."""
    _update(tx, device_id, renewals.c.closed_at.is_(None), closed_at=at, closed_because=because.value)


def note_told(tx: Transaction, fingerprint: bytes, days: int) -> None:
    """Record that it was told that an identity ends in *days* (0: has ended)."""
    tx.connection.execute(sa.update(identities).where(identities.c.fingerprint == fingerprint).values(told_days=days))


def _is_attempt(command_uuid: CommandUUID) -> sa.ColumnElement[bool]:
    return sa.and_(renewals.c.closed_at.is_(None), renewals.c.command_uuid == command_uuid)


def _is_of_challenge(challenge_hash: bytes | None) -> sa.ColumnElement[bool]:
    return sa.and_(renewals.c.closed_at.is_(None), renewals.c.challenge_hash == challenge_hash)


def _update(tx: Transaction, device_id: DeviceId, condition: sa.ColumnElement[bool], **values: object) -> bool:
    result = tx.connection.execute(
        sa.update(renewals).where(renewals.c.device_id == device_id, condition).values(**values)
    )
    return result.rowcount > 0
