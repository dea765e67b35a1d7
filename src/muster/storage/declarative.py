"""What channels said by declarative management: when, and their own view of their enrollment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.control.dossier import DdmRecord
from muster.protocol.declarative import StatusReport
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.schema import channels, ddm_status, push_targets

MAXIMUM_REPORT_BYTES = 64 * 1024
"""Of a report that is kept, the last one of each channel; a larger one is read, and its size noted."""

_OF_CHANNELS = (
    sa.select(
        ddm_status.c.channel_id,
        ddm_status.c.heard_at,
        ddm_status.c.heard_otherwise_at,
        ddm_status.c.status_at,
        ddm_status.c.asked_at,
        ddm_status.c.push_told_at,
        ddm_status.c.push_token,
        ddm_status.c.push_magic,
        push_targets.c.token.label("our_token"),
        push_targets.c.push_magic.label("our_magic"),
        push_targets.c.updated_at,
        channels.c.last_contact_at,
    )
    .join(channels, sa.and_(channels.c.id == ddm_status.c.channel_id, channels.c.epoch == ddm_status.c.epoch))
    .outerjoin(push_targets, push_targets.c.channel_id == ddm_status.c.channel_id)
    .where(among(ddm_status.c.channel_id, "ids"))
)
_LAST_CONTACT = sa.select(channels.c.last_contact_at).where(channels.c.id == sa.bindparam("id"))
_READ = sa.select(ddm_status).where(ddm_status.c.channel_id == sa.bindparam("id"))
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class DdmStanding:
    """What declarative management says of a channel. *heard_otherwise_at*: its last contact by anything else, as far
    as one is known."""

    record: DdmRecord
    heard_otherwise_at: datetime | None


def ddm_of(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, DdmStanding]:
    """Read what channels said by declarative management in their present life; those that said nothing are absent."""
    return {
        ChannelId(row.channel_id): _standing(row) for row in tx.connection.execute(_OF_CHANNELS, {"ids": channel_ids})
    }


def _standing(row: sa.Row[*tuple[Any, ...]]) -> DdmStanding:
    is_fresh = row.push_told_at is not None and row.updated_at is not None and row.push_told_at >= row.updated_at
    record = DdmRecord(
        status_at=row.status_at,
        asked_at=row.asked_at,
        push_magic_differs=is_fresh and row.push_magic is not None and row.push_magic != row.our_magic,
        push_token_differs=is_fresh and row.push_token is not None and row.push_token != row.our_token,
    )
    is_other = row.heard_at is None or (row.last_contact_at is not None and row.last_contact_at > row.heard_at)
    return DdmStanding(record, row.last_contact_at if is_other else row.heard_otherwise_at)


def hear(tx: Transaction, channel_id: ChannelId, *, epoch: int, at: datetime) -> None:
    """Note a message of the declarative protocol. To be called before it is ticked as a contact."""
    contact_at: datetime | None = tx.connection.scalar(_LAST_CONTACT, {"id": channel_id})
    before = tx.connection.execute(_READ, {"id": channel_id}).one_or_none()
    if before is None or before.epoch != epoch:
        _put(tx, channel_id, {**_NOTHING, "epoch": epoch, "heard_at": at, "heard_otherwise_at": contact_at})
        return
    values: dict[str, object] = {"heard_at": at}
    if contact_at is not None and (before.heard_at is None or contact_at > before.heard_at):
        values["heard_otherwise_at"] = contact_at
    _update(tx, channel_id, values)


def keep_status(tx: Transaction, channel_id: ChannelId, report: StatusReport, data: bytes, at: datetime) -> None:
    """Keep what a report tells, after `hear`. What it does not tell stays as it was, unless it is a full one."""
    values: dict[str, object] = {
        "status_at": at,
        "asked_at": None,
        "report": data if len(data) <= MAXIMUM_REPORT_BYTES else None,
        "report_size": len(data),
    }
    told = {
        "push_token": report.push_token,
        "push_magic": report.push_magic,
        "enrollment_type": report.enrollment_type,
        "is_awaiting_configuration": report.is_awaiting_configuration,
    }
    values |= told if report.is_full else {name: value for name, value in told.items() if value is not None}
    if report.push_token is not None or report.push_magic is not None:
        values["push_told_at"] = at
    _update(tx, channel_id, values)


def asked(tx: Transaction, channel_id: ChannelId, *, epoch: int, at: datetime) -> bool:
    """Note that DeclarativeManagement was acknowledged; tells whether no status was being waited for before."""
    before = tx.connection.execute(_READ, {"id": channel_id}).one_or_none()
    if before is None or before.epoch != epoch:
        _put(tx, channel_id, {**_NOTHING, "epoch": epoch, "asked_at": at})
        return True
    if before.asked_at is not None or (before.status_at is not None and before.status_at >= at):
        return False
    _update(tx, channel_id, {"asked_at": at})
    return True


_NOTHING = {column.name: None for column in ddm_status.c if column.nullable}


def _put(tx: Transaction, channel_id: ChannelId, values: dict[str, object]) -> None:
    insert = tx.insert(ddm_status).values(channel_id=channel_id, **values)
    tx.connection.execute(insert.on_conflict_do_update(index_elements=["channel_id"], set_=values))


def _update(tx: Transaction, channel_id: ChannelId, values: dict[str, object]) -> None:
    tx.connection.execute(_UPDATE, {"of_channel": channel_id, **values})


_UPDATE = sa.update(ddm_status).where(ddm_status.c.channel_id == sa.bindparam("of_channel"))
