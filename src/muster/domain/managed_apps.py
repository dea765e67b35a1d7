"""What becomes of apps that devices are told to install: by what they answer, and by what they list.

Sources: Apple, "Install Application" (State, RejectionReason) and "Managed Application List" (Status); which of the
words end a wait is our reading.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from muster.protocol.identifiers import ChannelId, CommandUUID

QUESTION_DELAYS: Final = (
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=8),
    timedelta(days=1),
)
"""After which a device is asked how far an app is, as long as it is not there: downloads take minutes, people who are
asked for their consent take hours, and who has not answered within two days is not asked again."""


class AppState(StrEnum):
    """Where an app stands on a channel."""

    SENT = "sent"
    """Queued or handed out; the device did not say yet."""
    INSTALLING = "installing"
    """Accepted: it is downloaded, or somebody is asked."""
    MANAGED = "managed"
    """Installed, and managed."""
    FAILED = "failed"
    """The device or its user refused it."""
    REMOVING = "removing"
    REMOVED = "removed"
    MISSING = "missing"
    """It was managed, and is not any more."""
    REPLACED = "replaced"
    """It was asked for once more."""


_MANAGED: Final = frozenset(
    {"Managed", "Updating", "ValidatingUpdate", "UpdateRejected", "PromptingForUpdate", "PromptingForUpdateLogin"}
)
_FAILED: Final = frozenset({"UserRejected", "ManagementRejected", "Failed", "UserInstalledApp"})
_GONE: Final = frozenset({"ManagedButUninstalled"})
_REPLACEABLE: Final = frozenset({AppState.INSTALLING, AppState.MANAGED, AppState.MISSING, AppState.REMOVING})


@dataclass(frozen=True, slots=True)
class ManagedApp:
    """One order to install an app on one channel. *source* says what was asked for; *identifier* is None until it is
    known. *device_state* is the device's word. *next_question_at*: when to ask how far it is, None: not by ourselves.
    """

    channel_id: ChannelId
    command_uuid: CommandUUID
    epoch: int
    source: str
    identifier: str | None
    state: AppState
    sent_at: datetime
    changed_at: datetime
    device_state: str | None = None
    reason: str | None = None
    verified_at: datetime | None = None
    questions: int = 0
    next_question_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AppAnswer:
    """What a device said to the order: *failure* where it refused, else what it called the app and its state."""

    failure: str | None
    identifier: str | None = None
    state: str | None = None


def after_app_installation(
    apps: Sequence[ManagedApp], command_uuid: CommandUUID, answer: AppAnswer, at: datetime
) -> list[ManagedApp]:
    """Tell which of *apps*, all those of a channel, change by the answer to an order; said twice it changes nothing."""
    own = next((one for one in apps if one.command_uuid == command_uuid), None)
    if own is None or own.state is not AppState.SENT:
        return []
    identifier = answer.identifier or own.identifier
    if answer.failure is not None:
        return [replace(own, identifier=identifier, state=AppState.FAILED, reason=answer.failure, changed_at=at)]
    accepted = replace(own, identifier=identifier, state=AppState.INSTALLING, changed_at=at)
    if identifier is None:
        return [accepted]
    known = _as_said(accepted, answer.state, at) if answer.state else accepted
    if known.state is AppState.INSTALLING:
        known = replace(known, next_question_at=at + QUESTION_DELAYS[0])
    return [known, *_replaced(apps, known, at)]


def after_app_list(apps: Sequence[ManagedApp], listed: Mapping[str, str], at: datetime) -> list[ManagedApp]:
    """Tell which of *apps*, all those of a channel, change by what it lists: Status by bundle identifier.

    A list from before an app's last change tells nothing of it, and one that leaves an app out nothing of one that is
    being installed.
    """
    changes = []
    for one in apps:
        if at < one.changed_at or one.identifier is None:
            continue
        said = listed.get(one.identifier)
        if one.state in (AppState.INSTALLING, AppState.MANAGED, AppState.MISSING) and said is not None:
            changes.append(_as_said(one, said, at))
        elif one.state is AppState.MANAGED:
            changes.append(
                replace(
                    one,
                    state=AppState.MISSING,
                    reason="the device doesn't list it any more",
                    device_state=None,
                    changed_at=at,
                )
            )
        elif one.state is AppState.REMOVING and (said is None or said in _GONE):
            changes.append(replace(one, state=AppState.REMOVED, reason=None, device_state=said, changed_at=at))
    return changes


def after_app_removal(apps: Sequence[ManagedApp], failure: str | None, at: datetime) -> list[ManagedApp]:
    """Tell which of *apps*, those of one identifier, change by the answer to a RemoveApplication."""
    going = [one for one in apps if one.state is AppState.REMOVING]
    if failure is not None:
        return [replace(one, state=AppState.MANAGED, reason=failure, changed_at=at) for one in going]
    present = [one for one in apps if one.state in (AppState.MANAGED, AppState.INSTALLING, AppState.MISSING)]
    return [
        replace(one, state=AppState.REMOVED, reason=None, next_question_at=None, changed_at=at)
        for one in [*going, *present]
        if one.changed_at <= at
    ]


def is_accepted(status: str) -> bool:
    """Tell whether a device that lists an app with *status* has taken the order to install it."""
    return status not in _FAILED | _GONE


def is_gone(status: str) -> bool:
    """Tell whether *status* says of a listed app that it is not on the device any more."""
    return status in _GONE


def asked(app: ManagedApp, at: datetime) -> ManagedApp:
    """Return *app* after one more question, with when the next is due; None after the last."""
    questions = app.questions + 1
    after = QUESTION_DELAYS[questions] if questions < len(QUESTION_DELAYS) else None
    return replace(app, questions=questions, next_question_at=None if after is None else at + after)


def _as_said(app: ManagedApp, said: str, at: datetime) -> ManagedApp:
    """Read the device's word for an app's state; a word that is not known here leaves it as it is."""
    if said in _MANAGED:
        state, reason = AppState.MANAGED, None
    elif said in _FAILED:
        state, reason = AppState.FAILED, f"the device says {said}"
    elif said in _GONE:
        state, reason = AppState.MISSING, "it was uninstalled"
    else:
        state, reason = app.state if app.state is AppState.MANAGED else AppState.INSTALLING, None
    next_at = app.next_question_at if state is AppState.INSTALLING else None
    since = app.changed_at if state is app.state else at
    return replace(
        app, state=state, device_state=said, reason=reason, changed_at=since, verified_at=at, next_question_at=next_at
    )


def _replaced(apps: Sequence[ManagedApp], by: ManagedApp, at: datetime) -> Iterator[ManagedApp]:
    for one in apps:
        is_same = one.identifier == by.identifier and one.command_uuid != by.command_uuid
        if is_same and one.state in _REPLACEABLE:
            yield replace(one, state=AppState.REPLACED, next_question_at=None, changed_at=at)
