"""Users of Macs who log in: what their reports say of it, and what they are handed until they are let in."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from muster.domain.command_queue import QueueEntry, is_expired, is_stuck
from muster.domain.control.evidence import Observation, Signal
from muster.domain.push_policy import PushReason
from muster.domain.user_login import (
    MAC_USERS,
    LoginPhase,
    TokenStanding,
    UserLogin,
    begins_anew,
    may_follow,
    phase_of,
    stays_queued,
    token_standing,
)
from muster.operations.context import Context
from muster.operations.hand_out import opened
from muster.protocol.command import decode_command
from muster.protocol.connect import ReportHead
from muster.protocol.identifiers import ChannelId
from muster.storage import push, queues, user_logins
from muster.storage.engine import Transaction

REST_FOLLOWS_AFTER = timedelta(seconds=30)
"""What was too much to wait for at the login window is pushed for once the user is in."""

_UNKNOWN = UserLogin()


@dataclass(frozen=True, slots=True)
class Attended:
    """The login of a user whose report is to be answered. *began_at* is when the phase began."""

    login: UserLogin
    phase: LoginPhase | None
    standing: TokenStanding
    began_at: datetime
    is_new: bool

    def keeps(self, answered: QueueEntry | None) -> bool:
        """Tell whether a command stays queued in spite of its answer."""
        return answered is not None and stays_queued(self.phase, answered.request_type)


def read_logins(tx: Transaction, heads: Sequence[ReportHead]) -> dict[ChannelId, UserLogin]:
    """Read what is known of the logins of those of *heads* that are users of Macs; without any it costs nothing."""
    users = [head.channel.id for head in heads if head.channel.kind in MAC_USERS]
    if not users:
        return {}
    return dict.fromkeys(users, _UNKNOWN) | user_logins.find(tx, users)


def attend(login: UserLogin, head: ReportHead, now: datetime) -> Attended:
    """Read a report for what it says of the login."""
    standing = token_standing(login, hash_of_token(head.auth_token))
    phase = phase_of(login, head, now)
    is_new = phase is not None and begins_anew(login, phase, head, now)
    return Attended(login, phase, standing, now if is_new else login.phase_began_at or now, is_new)


def hash_of_token(auth_token: str | None) -> bytes | None:
    """Return how an AuthToken is kept, None for none."""
    return None if auth_token is None else hashlib.sha256(auth_token.encode()).digest()


def choose_for_login(
    tx: Transaction, attended: Attended, channel_id: ChannelId, head: QueueEntry | None, ctx: Context
) -> QueueEntry | None:
    """Tell what the user is handed instead of *head*, which would be next; None: nothing, which lets him in.

    Who doesn't carry the token that he was given gets nothing: it may be somebody else at the same Mac.
    """
    if attended.standing is not TokenStanding.GOOD:
        return None
    handed_out = 0 if attended.is_new else attended.login.phase_handed_out
    if attended.phase is None:
        return head
    if attended.phase is LoginPhase.SYNC:
        return head if head is not None and may_follow(attended.phase, head, None, handed_out) else None
    # policies of passwords may stand anywhere in the queue; what was tried in this phase is not tried again
    waiting = queues.waiting_for_set_up(tx, channel_id, before=attended.began_at)
    fit = (entry for entry in waiting if not is_expired(entry, ctx.now) and not is_stuck(entry))
    return next((entry for entry in fit if may_follow(attended.phase, entry, _payload(entry, ctx), handed_out)), None)


def _payload(entry: QueueEntry, ctx: Context) -> bytes | None:
    """Read the profile that a command installs; None where it installs none, or is sealed and can't be opened."""
    found = opened(entry, ctx)
    payload = None if found is None else decode_command(found.body).keys.get("Payload")
    return payload if isinstance(payload, bytes) else None


def note_login(
    tx: Transaction,
    attended: Attended,
    head: ReportHead,
    *,
    next_up: QueueEntry | None,
    handed_out: QueueEntry | None,
    epoch: int,
    source: str,
    ctx: Context,
) -> list[Observation]:
    """Write what a report says of the login, as far as it is news; returns what is evidence.

    *next_up* is what the queue had next, *handed_out* what the user got.
    """
    channel_id, login, phase = head.channel.id, attended.login, attended.phase
    note_console(tx, channel_id, head.not_on_console, login, ctx)
    observed = []
    if attended.standing is not TokenStanding.GOOD:
        observed.append(attended.standing.value)
        phase = None
    if phase is None or handed_out is None:
        if login.phase is not None:
            user_logins.set_phase(tx, channel_id, None, None, 0)
        if phase is LoginPhase.SYNC and next_up is not None:
            due_at = ctx.now + REST_FOLLOWS_AFTER
            push.wish(tx, [channel_id], reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=due_at)
    else:
        count = 1 if attended.is_new else login.phase_handed_out + 1
        user_logins.set_phase(tx, channel_id, phase, attended.began_at, count)
    if phase is not None and attended.is_new:
        observed.append(_BEGINNINGS[phase])
    return [Observation(channel_id, Signal.QUESTION, one, ctx.now, epoch, source) for one in observed]


def note_console(
    tx: Transaction, channel_id: ChannelId, not_on_console: bool | None, login: UserLogin | None, ctx: Context
) -> None:
    """Note whether a user is at the console, where a message says so and it is news."""
    if not_on_console is not None and (login is None or login.is_on_console is not (not not_on_console)):
        user_logins.set_console(tx, channel_id, ctx.now, is_on_console=not not_on_console)


_BEGINNINGS = {LoginPhase.SYNC: "waits_at_login", LoginPhase.SET_UP: "account_set_up"}
