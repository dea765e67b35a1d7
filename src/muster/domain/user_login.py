"""A user logs in to a Mac: what he has to have shown, and what is handed out while he waits at the login window.

Sources: Apple, "User Authenticate" (AuthToken), "Command Response" (NeedSyncResponse, UserConfiguration, NotOnConsole).
"""

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from muster.domain.command_queue import UNASKED_FOR, QueueEntry
from muster.protocol.connect import ReportHead, Status
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelKind
from muster.protocol.profile_contents import read_profile_contents

MAC_USERS = frozenset({ChannelKind.USER, ChannelKind.USER_ENROLLMENT_USER})
"""The kinds of channels of which this speaks."""

CHALLENGE_LIFETIME = timedelta(minutes=5)
"""A Mac answers at once, with the password that was just typed."""

PHASE_LIFETIME = timedelta(minutes=10)
"""After which a dialogue at a login that was never ended is forgotten: no Mac keeps somebody waiting so long."""

SYNC_LIMIT = 50
"""Commands handed out while a user waits at the login window, so that he is let in whatever is queued: at a fifth of a
second each, ten seconds. What is left follows by a push."""

SET_UP_LIMIT = 10
"""Commands handed out while an account is made; there is hardly more than one policy of passwords."""

PASSCODE_PAYLOAD = "com.apple.mobiledevice.passwordpolicy"
"""What holds for the password of an account that is about to be made."""

ENDS_SET_UP = "DeviceConfigured"
"""On the user's channel, it ends the wait as an empty reply does."""


class LoginPhase(StrEnum):
    """A dialogue for whose end somebody waits: it ends with the first empty reply."""

    SYNC = "sync"
    """NeedSyncResponse: the user waits at the login window."""
    SET_UP = "set_up"
    """UserConfiguration: Setup Assistant is about to make the account, and wants policies of passwords only. Nothing of
    it lasts: all is sent again once the user has logged in."""


@dataclass(frozen=True, slots=True)
class UserLogin:
    """What is known of a user's login. *requires_token*: he showed a password, or was asked to; *token_hash* is absent
    until he has. *phase_handed_out* counts commands since *phase_began_at*."""

    requires_token: bool = False
    token_hash: bytes | None = field(default=None, repr=False)
    is_on_console: bool | None = None
    phase: LoginPhase | None = None
    phase_began_at: datetime | None = None
    phase_handed_out: int = 0


class TokenStanding(StrEnum):
    """How a message of a user stands to the AuthToken that he was given; the words stand in evidence."""

    GOOD = "auth_token_good"
    """It is there, or there need be none."""
    MISSING = "auth_token_missing"
    WRONG = "auth_token_wrong"


def token_standing(login: UserLogin, shown_hash: bytes | None) -> TokenStanding:
    """Tell whether a message that shows the token of SHA-256 *shown_hash* comes from who logged in."""
    if not login.requires_token:
        return TokenStanding.GOOD
    if shown_hash is None:
        return TokenStanding.MISSING
    is_right = login.token_hash is not None and hmac.compare_digest(login.token_hash, shown_hash)
    return TokenStanding.GOOD if is_right else TokenStanding.WRONG


def phase_of(login: UserLogin, head: ReportHead, now: datetime) -> LoginPhase | None:
    """Tell in which phase a report is. A flag begins one, or goes on with it; an Idle without one is in none."""
    if head.is_user_configuration:
        return LoginPhase.SET_UP
    if head.needs_sync:
        return LoginPhase.SYNC
    if head.status is Status.IDLE or login.phase_began_at is None:
        return None
    return login.phase if now - login.phase_began_at < PHASE_LIFETIME else None


def begins_anew(login: UserLogin, phase: LoginPhase, head: ReportHead, now: datetime) -> bool:
    """Tell whether a report in *phase* begins it, rather than going on with one that was begun."""
    if login.phase is not phase or login.phase_began_at is None:
        return True
    return head.status is Status.IDLE or now - login.phase_began_at >= PHASE_LIFETIME


def stays_queued(phase: LoginPhase | None, request_type: str) -> bool:
    """Tell whether a command stays queued though it is answered: what was done before there was an account is lost."""
    return phase is LoginPhase.SET_UP and request_type != ENDS_SET_UP


def may_follow(phase: LoginPhase, entry: QueueEntry, payload: bytes | None, handed_out: int) -> bool:
    """Tell whether *entry* is handed out in *phase*, after *handed_out* others. Our own questions keep nobody waiting.

    *payload* is the profile that it installs, absent where it installs none; it is looked at in SET_UP only.
    """
    match phase:
        case LoginPhase.SYNC:
            return handed_out < SYNC_LIMIT and entry.purpose not in UNASKED_FOR
        case LoginPhase.SET_UP:
            is_fit = entry.request_type == ENDS_SET_UP or (payload is not None and sets_passwords(payload))
            return handed_out < SET_UP_LIMIT and is_fit
        case _:
            assert_never(phase)


def sets_passwords(mobileconfig: bytes) -> bool:
    """Tell whether a profile holds a policy of passwords. False for one that can't be read."""
    try:
        return PASSCODE_PAYLOAD in read_profile_contents(mobileconfig).payload_types
    except MalformedMessage:
        return False
