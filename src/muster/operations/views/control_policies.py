"""What is set for judging control: for all, for groups in their order, and what decides for one device."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from muster.domain.control.policy_settings import texts_of
from muster.domain.control.states import ControlState
from muster.domain.errors import Refusal
from muster.operations.context import Present
from muster.operations.control_policies import policies_for, query_of
from muster.protocol.identifiers import ChannelId
from muster.storage import control_policies, enrollments, groups
from muster.storage.control_policies import OF_ALL
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class ControlPolicyRow:
    """What is set for *group*, or for all (None). *fault*: why it has no effect; empty where it has."""

    group: str | None
    settings: Mapping[str, str]
    changed_at: datetime
    changed_by: str
    fault: str = ""


def list_control_policies(tx: Transaction) -> tuple[ControlPolicyRow, ...]:
    """List what is set: for groups in the order in which they decide, for all at the end."""
    by_id = {group.id: group for group in groups.read_all(tx).values()}
    rows = []
    for one in sorted(control_policies.read(tx), key=lambda one: one.group_id == OF_ALL):
        group = by_id.get(one.group_id)
        query = None if group is None else query_of(tx, group)
        fault = query.message if isinstance(query, Refusal) else ""
        name = None if group is None else group.name
        rows.append(ControlPolicyRow(name, one.settings, one.changed_at, one.changed_by, fault))
    return tuple(rows)


def policy_of_channel(tx: Transaction, channel_id: ChannelId, ctx: Present) -> Mapping[str, str] | None:
    """Tell by which limits a channel is judged, each as a text; None where it isn't known."""
    if not enrollments.find(tx, [channel_id]):
        return None
    return texts_of(policies_for(tx, [channel_id], ctx)[channel_id])


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """By which limits one channel is judged, each by its name as a text."""

    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StateChange:
    """How many channels would go from one state to another."""

    before: ControlState
    after: ControlState
    channels: int


@dataclass(frozen=True, slots=True)
class PolicyPreview:
    """What other limits would do: how many channels would be judged by them, and who would change their state."""

    channels: int
    changes: tuple[StateChange, ...]


@dataclass(frozen=True, slots=True)
class ControlPolicyChanged:
    """A group's settings as they are now, and as they were."""

    group: str | None
    settings: Mapping[str, str]
    former: Mapping[str, str]
