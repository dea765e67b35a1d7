"""What devices answered about managed apps is followed: what is being installed, what is there, what failed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from muster.domain.answered_commands import AnsweredCommand
from muster.domain.faults import Fault
from muster.domain.managed_apps import (
    AppAnswer,
    AppState,
    ManagedApp,
    after_app_installation,
    after_app_list,
    after_app_removal,
)
from muster.operations.context import Context
from muster.operations.follow_profiles import failure_of
from muster.protocol.command import CommandRequest
from muster.protocol.connect import Status
from muster.protocol.plist import PlistValue
from muster.storage import managed_apps, reviews
from muster.storage.engine import Transaction

MAX_IDENTIFIER_CHARACTERS = 255
"""Of a bundle identifier, which is like a domain name."""


def follow_app_installation(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:  # noqa: ARG001 - the shape of readers
    """Note whether an app is being installed, also one that was asked for by a plain command, and when to ask."""
    if not answered.is_of_this_life:
        return []
    channel_id = answered.enrollment.channel.id
    apps = managed_apps.of_channel(tx, channel_id, answered.epoch)
    if all(one.command_uuid != answered.command_uuid for one in apps):
        sent = ManagedApp(
            channel_id=channel_id,
            command_uuid=answered.command_uuid,
            epoch=answered.epoch,
            source=source_of(answered.request),
            identifier=identifier_of(answered.request),
            state=AppState.SENT,
            sent_at=answered.reported_at,
            changed_at=answered.reported_at,
        )
        managed_apps.add(tx, [sent])
        apps = (sent, *apps)
    answer, faults = _answer(answered)
    changes = after_app_installation(apps, answered.command_uuid, answer, answered.reported_at)
    managed_apps.change(tx, changes)
    for one in changes:
        if one.next_question_at is not None:
            reviews.schedule(tx, channel_id, one.next_question_at)
    return faults


def follow_app_list(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:  # noqa: ARG001 - the shape of readers
    """Hold the apps that we had installed against the device's list of those it manages."""
    if answered.status is not Status.ACKNOWLEDGED or not answered.is_of_this_life:
        return []
    listed = answered.report.answer.get("ManagedApplicationList")
    if not isinstance(listed, dict):
        return [Fault("ManagedApplicationList", "is missing or no dictionary")]
    apps = managed_apps.of_channel(tx, answered.enrollment.channel.id, answered.epoch)
    wanted = answered.request.keys.get("Identifiers")
    if isinstance(wanted, list):  # it was asked about some, and says nothing of the others
        apps = tuple(one for one in apps if one.identifier in wanted)
    managed_apps.change(tx, after_app_list(apps, _states(listed), answered.reported_at))
    return []


def follow_app_removal(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:  # noqa: ARG001 - the shape of readers
    """Note whether an app was removed."""
    identifier = answered.request.keys.get("Identifier")
    if answered.is_of_this_life and isinstance(identifier, str):
        apps = managed_apps.of_channel(tx, answered.enrollment.channel.id, answered.epoch)
        own = [one for one in apps if one.identifier == identifier]
        managed_apps.change(tx, after_app_removal(own, failure_of(answered), answered.reported_at))
    return []


def source_of(request: CommandRequest) -> str:
    """Say in a few words what an order asks for."""
    keys = request.keys
    if isinstance(store_id := keys.get("iTunesStoreID"), int):
        return f"store {store_id}"
    if isinstance(url := keys.get("ManifestURL"), str):
        return f"manifest {url[:200]}"
    if "Manifest" in keys:
        return "manifest in the command"
    return f"app {identifier_of(request) or 'without a name'}"


def identifier_of(request: CommandRequest) -> str | None:
    """Return the bundle identifier that an order names, or the first that its manifest does; None when neither."""
    if (named := _identifier(request.keys.get("Identifier"))) is not None:
        return named
    match request.keys.get("Manifest"):
        case {"items": [{"metadata": {"bundle-identifier": identifier}}, *_]}:
            return _identifier(identifier)
    return None


def _answer(answered: AnsweredCommand) -> tuple[AppAnswer, list[Fault]]:
    said = answered.report.answer
    failure = failure_of(answered)
    rejection, state = said.get("RejectionReason"), said.get("State")
    identifier = _identifier(said.get("Identifier"))
    answer = AppAnswer(failure, identifier, state if isinstance(state, str) else None)
    if isinstance(rejection, str) and rejection:
        answer = replace(answer, failure=f"the device rejects it: {rejection[:100]}")
    faults = [
        Fault(key, "is no string, or too long")
        for key, kept in (("Identifier", identifier), ("State", answer.state))
        if key in said and kept is None
    ]
    return answer, faults


def _identifier(value: PlistValue | None) -> str | None:
    is_fit = isinstance(value, str) and 0 < len(value) <= MAX_IDENTIFIER_CHARACTERS and value.isprintable()
    return value if is_fit and isinstance(value, str) else None


def _states(listed: Mapping[str, PlistValue]) -> dict[str, str]:
    """Map bundle identifiers to Status; what has none is passed over."""
    states = {}
    for identifier, item in listed.items():
        if isinstance(item, dict) and isinstance(status := item.get("Status"), str):
            states[identifier] = status[:100]
    return states
