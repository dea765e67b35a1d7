"""Apps are installed on channels as managed ones, and removed; what became of each is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from muster.domain.errors import Refusal
from muster.domain.managed_apps import AppState, ManagedApp
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.follow_apps import identifier_of, source_of
from muster.operations.permit import act
from muster.operations.queue_command import CommandOrder, QueuedCommand, QueueOutcome, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, managed_apps
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class AppOrder:
    """An app for each of *channel_ids*. *request* is an InstallApplication or InstallEnterpriseApplication."""

    channel_ids: tuple[ChannelId, ...]
    request: CommandRequest
    anyway: bool = False


@dataclass(frozen=True, slots=True)
class AppRemovalOrder:
    """A managed app to remove from each of *channel_ids*."""

    channel_ids: tuple[ChannelId, ...]
    identifier: str
    anyway: bool = False


AppOutcome: TypeAlias = QueuedCommand | Refusal


@act(Permission.COMMAND, about=lambda _tx, order: order.channel_ids)
def install_apps(tx: Transaction, orders: Sequence[AppOrder], ctx: Context) -> list[AppOutcome]:
    """Queue each of *orders*, and note what was asked for; refused as commands are."""
    return [_install(tx, order, ctx) for order in orders]


@act(Permission.COMMAND, about=lambda _tx, order: order.channel_ids)
def remove_apps(tx: Transaction, orders: Sequence[AppRemovalOrder], ctx: Context) -> list[QueueOutcome]:
    """Queue RemoveApplication for each of *orders*; refused as commands are. Devices remove managed apps only."""
    return [_remove(tx, order, ctx) for order in orders]


def _install(tx: Transaction, order: AppOrder, ctx: Context) -> AppOutcome:
    queued = queue_commands(tx, [CommandOrder(order.channel_ids, order.request, anyway=order.anyway)], ctx)[0]
    if isinstance(queued, Refusal):
        return queued
    stored = enrollments.find(tx, queued.queued_on)
    asked_for = [
        ManagedApp(
            channel_id=channel_id,
            command_uuid=queued.command_uuid,
            epoch=stored[channel_id].epoch,
            source=source_of(order.request),
            identifier=identifier_of(order.request),
            state=AppState.SENT,
            sent_at=ctx.now,
            changed_at=ctx.now,
        )
        for channel_id in queued.queued_on
    ]
    managed_apps.add(tx, asked_for)
    return queued


def _remove(tx: Transaction, order: AppRemovalOrder, ctx: Context) -> QueueOutcome:
    request = CommandRequest("RemoveApplication", {"Identifier": order.identifier})
    queued = queue_commands(tx, [CommandOrder(order.channel_ids, request, anyway=order.anyway)], ctx)[0]
    if isinstance(queued, Refusal):
        return queued
    for enrollment in enrollments.find(tx, queued.queued_on).values():
        apps = managed_apps.of_channel(tx, enrollment.channel.id, enrollment.epoch)
        present = (AppState.INSTALLING, AppState.MANAGED, AppState.MISSING)
        going = [one for one in apps if one.identifier == order.identifier and one.state in present]
        managed_apps.change(tx, [replace(one, state=AppState.REMOVING, next_question_at=None) for one in going])
    return queued
