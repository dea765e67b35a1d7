"""Over-the-air enrollments under way: one row for each profile of phase 1, with the device that answered it."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.schema import ota_enrollments


@dataclass(frozen=True, slots=True)
class OtaEnrollment:
    """One over-the-air enrollment, known by the hash of the challenge in its profile of phase 1.

    *udid* and *serial_number* are what the device named in phase 2, *answered_at* when; *completed_at* is when it got
    its enrollment profile. *account* is who signed in, *is_attested* whether Apple vouched for the device.
    """

    challenge_hash: bytes
    link_id: str
    account: str | None
    expires_at: datetime
    udid: str | None = None
    serial_number: str | None = None
    is_attested: bool = False
    answered_at: datetime | None = None
    completed_at: datetime | None = None


def begin(tx: Transaction, new: OtaEnrollment, at: datetime) -> None:
    """Store one that begins; those of its link that came to nothing in time go."""
    table = ota_enrollments
    tx.connection.execute(sa.delete(table).where(table.c.link_id == new.link_id, table.c.expires_at <= at))
    tx.connection.execute(
        sa.insert(table).values(
            challenge_hash=new.challenge_hash,
            link_id=new.link_id,
            account=new.account,
            created_at=at,
            expires_at=new.expires_at,
            is_attested=new.is_attested,
        )
    )


def outstanding(tx: Transaction, link_id: str, now: datetime) -> int:
    """Count a link's enrollments that may still come to something."""
    table = ota_enrollments
    return tx.connection.execute(
        sa.select(sa.func.count())
        .select_from(table)
        .where(table.c.link_id == link_id, table.c.completed_at.is_(None), table.c.expires_at > now)
    ).scalar_one()


def find(tx: Transaction, challenge_hash: bytes) -> OtaEnrollment | None:
    """Read one and hold its row, so that each phase is gone through once."""
    table = ota_enrollments
    row = tx.connection.execute(
        sa.select(table).where(table.c.challenge_hash == challenge_hash).with_for_update()
    ).one_or_none()
    if row is None:
        return None
    return OtaEnrollment(
        row.challenge_hash,
        row.link_id,
        row.account,
        row.expires_at,
        row.udid,
        row.serial_number,
        row.is_attested,
        row.answered_at,
        row.completed_at,
    )


def answer(
    tx: Transaction, challenge_hash: bytes, *, udid: str, serial_number: str | None, is_attested: bool, at: datetime
) -> None:
    """Record which device answered phase 2."""
    tx.connection.execute(
        sa.update(ota_enrollments)
        .where(ota_enrollments.c.challenge_hash == challenge_hash)
        .values(udid=udid, serial_number=serial_number, is_attested=is_attested, answered_at=at)
    )


def complete(tx: Transaction, challenge_hash: bytes, at: datetime) -> None:
    """Record that the device got its enrollment profile."""
    tx.connection.execute(
        sa.update(ota_enrollments).where(ota_enrollments.c.challenge_hash == challenge_hash).values(completed_at=at)
    )
