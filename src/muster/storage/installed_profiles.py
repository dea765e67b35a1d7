"""The profiles that we had devices install, and what became of each."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from muster.domain.installed_profiles import OURS, InstalledProfile, ProfileState
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction, slices
from muster.storage.schema import channels, installed_profiles, queue

_OURS = [state.value for state in OURS]
_ORDER = (installed_profiles.c.sent_at.desc(), installed_profiles.c.command_uuid.desc())


def add(tx: Transaction, profiles: Sequence[InstalledProfile]) -> None:
    """Store installations; one of the same command on the same channel is left as it is."""
    for some in slices(profiles):
        rows = [{**_changing(one), **_lasting(one)} for one in some]
        tx.connection.execute(tx.insert(installed_profiles).on_conflict_do_nothing(), rows)


def change(tx: Transaction, profiles: Sequence[InstalledProfile]) -> None:
    """Store what changed of installations that are stored: state, reason, and the times of both."""
    for one in profiles:
        tx.connection.execute(
            sa.update(installed_profiles)
            .where(
                installed_profiles.c.channel_id == one.channel_id,
                installed_profiles.c.command_uuid == one.command_uuid,
            )
            .values(**_changing(one))
        )


_OF_CHANNEL = (
    sa.select(installed_profiles)
    .where(
        installed_profiles.c.channel_id == sa.bindparam("of_channel"),
        installed_profiles.c.epoch == sa.bindparam("of_epoch"),
    )
    .order_by(*_ORDER)
)
_OF_ONE = _OF_CHANNEL.where(installed_profiles.c.identifier == sa.bindparam("of_profile"))
# made once: building a statement costs more than running it on SQLite


def of_channel(
    tx: Transaction, channel_id: ChannelId, epoch: int, identifier: str | None = None
) -> tuple[InstalledProfile, ...]:
    """Read the installations on a channel in one life of its device, the latest first; *identifier*: of one profile."""
    named = {"of_channel": channel_id, "of_epoch": epoch}
    if identifier is None:
        return tuple(_profile(row) for row in tx.connection.execute(_OF_CHANNEL, named))
    return tuple(_profile(row) for row in tx.connection.execute(_OF_ONE, {**named, "of_profile": identifier}))


def holding(tx: Transaction, channel_ids: Collection[ChannelId], identifier: str) -> frozenset[ChannelId]:
    """Name those of *channel_ids* on which a profile of ours is, or may be, installed in the life of the device that
    is now."""
    table = installed_profiles.c
    found = {
        ChannelId(channel_id)
        for ids in slices(sorted(channel_ids))
        for channel_id in tx.connection.scalars(
            sa.select(table.channel_id)
            .join(channels, sa.and_(channels.c.id == table.channel_id, channels.c.epoch == table.epoch))
            .where(table.channel_id.in_(ids), table.identifier == identifier, table.state.in_(_OURS))
        )
    }
    return frozenset(found)


def is_one_queued(tx: Transaction, channel_id: ChannelId, identifier: str) -> bool:
    """Tell whether an installation of a profile is queued on a channel, also one that is held back."""
    table = installed_profiles.c
    is_queued = sa.exists().where(queue.c.command_uuid == table.command_uuid, queue.c.channel_id == table.channel_id)
    found = sa.select(sa.exists().where(table.channel_id == channel_id, table.identifier == identifier, is_queued))
    return bool(tx.connection.scalar(found))


def start_removal(tx: Transaction, profiles: Sequence[InstalledProfile]) -> None:
    """Record that these are being removed. The times stay: what counts is when the device last spoke of them."""
    for one in profiles:
        tx.connection.execute(
            sa.update(installed_profiles)
            .where(
                installed_profiles.c.channel_id == one.channel_id,
                installed_profiles.c.command_uuid == one.command_uuid,
            )
            .values(state=ProfileState.REMOVING.value, reason=None)
        )


def _lasting(profile: InstalledProfile) -> dict[str, object]:
    return {
        "channel_id": profile.channel_id,
        "command_uuid": profile.command_uuid,
        "epoch": profile.epoch,
        "identifier": profile.identifier,
        "payload_uuid": profile.payload_uuid,
        "name": profile.name,
        "digest": profile.digest,
        "account_id": profile.account_id,
        "sent_at": profile.sent_at,
    }


def _changing(profile: InstalledProfile) -> dict[str, object]:
    return {
        "state": profile.state.value,
        "reason": profile.reason,
        "changed_at": profile.changed_at,
        "verified_at": profile.verified_at,
    }


def _profile(row: Any) -> InstalledProfile:
    return InstalledProfile(
        channel_id=ChannelId(row.channel_id),
        command_uuid=CommandUUID(row.command_uuid),
        epoch=row.epoch,
        identifier=row.identifier,
        payload_uuid=row.payload_uuid,
        name=row.name,
        digest=row.digest,
        account_id=row.account_id,
        state=ProfileState(row.state),
        reason=row.reason,
        sent_at=row.sent_at,
        changed_at=row.changed_at,
        verified_at=row.verified_at,
    )
