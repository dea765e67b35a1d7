"""Which policy each channel is judged by: what is set for all, and for the groups that its device is in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.judging import decide
from muster.domain.control.policy_settings import policy_of
from muster.domain.control.states import ControlState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.queries.fields import OF_VERDICTS
from muster.domain.queries.groups import GroupDefinition
from muster.domain.queries.syntax import Compare, IsKnown, OneOf, Query, conditions_of
from muster.operations.context import Present
from muster.operations.views.groups import meaning_of
from muster.protocol.identifiers import ChannelId
from muster.storage import control_policies, dossiers, groups, queries, renewals
from muster.storage.among import among
from muster.storage.control_policies import OF_ALL, StoredControlPolicy
from muster.storage.engine import Transaction
from muster.storage.schema import channels

Stored = Sequence[StoredControlPolicy]

AT_A_TIME: Final = 500
"""Channels judged in one transaction when it is asked what another policy would change."""

_DEVICES = sa.select(channels.c.id, channels.c.device_id).where(among(channels.c.id, "ids"))
# made once: building a statement costs more than running it on SQLite


def policies_for(
    tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Present, stored: Stored | None = None
) -> Mapping[ChannelId, ControlPolicy]:
    """Tell the policy of each of *channel_ids*; a user's is his device's. *stored*: as if that were set.

    What nobody set is as in `ctx.policy.control`.

    One statement where nothing is set for groups; else one for each group for which something is. A group that is
    gone, or whose query can't be read or asks for verdicts, has nobody in it.
    """
    stored = control_policies.read(tx) if stored is None else stored
    if not stored:
        return dict.fromkeys(channel_ids, ctx.policy.control)
    of_all = [one.settings for one in stored if one.group_id == OF_ALL]
    # the weakest first: a group that comes later in the order gives way to one before
    of_groups = [one for one in reversed(stored) if one.group_id != OF_ALL]
    if not of_groups:
        return dict.fromkeys(channel_ids, policy_of(of_all, ctx.policy.control))
    devices = {ChannelId(row.id): str(row.device_id) for row in tx.connection.execute(_DEVICES, {"ids": channel_ids})}
    members = _members(tx, of_groups, sorted(set(devices.values())), ctx.now)
    return {
        id_: policy_of(
            [*of_all, *(one.settings for one in of_groups if devices.get(id_) in members.get(one.group_id, ()))],
            ctx.policy.control,
        )
        for id_ in channel_ids
    }


def _members(tx: Transaction, stored: Stored, device_ids: Sequence[str], now: datetime) -> Mapping[str, frozenset[str]]:
    by_id = {group.id: group for group in groups.read_all(tx).values()}
    found: dict[str, frozenset[str]] = {}
    for one in stored:
        group = by_id.get(one.group_id)
        query = None if group is None else query_of(tx, group)
        if query is not None and not isinstance(query, Refusal):
            found[one.group_id] = queries.find_among(tx, query, now, device_ids)
    return found


def query_of(tx: Transaction, group: GroupDefinition) -> Query | Refusal:
    """Return what finds the devices of a group for which a policy is set; refused where that depends on verdicts."""
    query = meaning_of(tx, group)
    if isinstance(query, Refusal):
        return query
    names = {one.field.name for one in conditions_of(query) if isinstance(one, Compare | OneOf | IsKnown)}
    if names & OF_VERDICTS:
        named = ", ".join(sorted(names & OF_VERDICTS))
        message = f"the query of {group.name} asks for {named}, and a verdict can't decide by which policy it is made"
        return Refusal(RefusalCode.POLICY_UNFIT, message, "Set the policy for a group that asks for other things.")
    return query


def policy_ids(tx: Transaction) -> frozenset[str]:
    """Name the groups for which a policy is set, by their ids."""
    return frozenset(one.group_id for one in control_policies.read(tx)) - {OF_ALL}


# --- what a change would do -------------------------------------------------------------------------------------------


@dataclass
class BlastRadius:
    """What another policy would do: how many channels would be judged by others limits, and which of them would change
    their state, from which to which."""

    channels: int = 0
    changes: Counter[tuple[ControlState, ControlState]] = field(default_factory=Counter)

    @property
    def changed(self) -> int:
        """How many channels would change their state."""
        return self.changes.total()


def radius_of(
    tx: Transaction, after: ChannelId | None, stored: Stored, ctx: Present, radius: BlastRadius
) -> ChannelId | None:
    """Add to *radius* what *stored* instead of what is set would do to up to AT_A_TIME channels beyond *after*.

    Returns the last of them, None at the end. Nothing is recorded.
    """
    select = sa.select(channels.c.id).order_by(channels.c.id).limit(AT_A_TIME)
    ids = [ChannelId(id_) for id_ in tx.connection.scalars(select if after is None else select.where(_beyond(after)))]
    present, other = policies_for(tx, ids, ctx), policies_for(tx, ids, ctx, stored)
    touched = [id_ for id_ in ids if present[id_] != other[id_]]
    radius.channels += len(touched)
    if touched:
        gathered = dossiers.gather(tx, touched, renewals.read(tx, touched), ctx.now, ctx.policy)
        for id_ in gathered.rows:
            dossier = dossiers.dossier(gathered, id_)
            was, would_be = (decide(dossier, one[id_], ctx.now).state for one in (present, other))
            if was is not would_be:
                radius.changes[was, would_be] += 1
    return ids[-1] if len(ids) == AT_A_TIME else None


def _beyond(after: ChannelId) -> sa.ColumnElement[bool]:
    return channels.c.id > after
