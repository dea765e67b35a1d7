"""What a device's list of users, and the deletion or logging out of users, say of the users' channels.

Sources: Apple, "UserList", "DeleteUser" and "LogOutUser".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from muster.domain.enrollment import EnrollmentState
from muster.domain.faults import Fault
from muster.protocol.identifiers import Channel, ChannelKind
from muster.protocol.plist import PlistValue

MAXIMUM_USERS = 10_000
"""Of one list that are looked at; a Shared iPad holds some dozens, and a Mac in a lab some hundreds."""


@dataclass(frozen=True, slots=True)
class ListedUser:
    """One user of a list. *guid*: Macs say it. *is_logged_in* is absent where the device did not say."""

    name: str
    guid: str | None
    is_logged_in: bool | None


@dataclass(frozen=True, slots=True)
class UserChannel:
    """A user's channel as it is known. *heard_at* is its last contact, *short_name* what the user is called."""

    channel: Channel
    state: EnrollmentState
    short_name: str | None
    heard_at: datetime | None


class UserFate(StrEnum):
    """What follows for a user's channel."""

    NOTHING = "nothing"
    LOGGED_IN = "logged_in"
    LOGGED_OUT = "logged_out"
    GONE = "gone"
    """The device has the user no more."""


def read_user_list(answer: Mapping[str, PlistValue]) -> tuple[tuple[ListedUser, ...], tuple[Fault, ...]]:
    """Read the users in an answer to UserList, and what is wrong with it."""
    users = answer.get("Users")
    if not isinstance(users, list):
        return (), (Fault("Users", "is missing or no array"),)
    listed: list[ListedUser] = []
    faults: list[Fault] = []
    if len(users) > MAXIMUM_USERS:
        faults.append(Fault("Users", f"has more than {MAXIMUM_USERS} items"))
    for index, user in enumerate(users[:MAXIMUM_USERS]):
        name = user.get("UserName") if isinstance(user, dict) else None
        if not isinstance(user, dict) or not isinstance(name, str) or not name:
            faults.append(Fault(f"Users[{index}].UserName", "is missing or no text"))
            continue
        guid, is_logged_in = user.get("UserGUID"), user.get("IsLoggedIn")
        if is_logged_in is not None and not isinstance(is_logged_in, bool):
            faults.append(Fault(f"Users[{index}].IsLoggedIn", "is no boolean"))
            is_logged_in = None
        listed.append(ListedUser(name, guid if isinstance(guid, str) else None, is_logged_in))
    return tuple(listed), tuple(faults)


def fate_by_list(user: UserChannel, listed: Sequence[ListedUser], *, is_whole: bool, said_at: datetime) -> UserFate:
    """Tell what a list of users says of one.

    Whoever was heard after the list was made is there, whatever it says. A list that could not be read whole proves
    nobody absent; nor does a Mac's, for its network users need no account.
    """
    if user.state is EnrollmentState.ENDED or _was_heard_since(user, said_at):
        return UserFate.NOTHING
    found = next((one for one in listed if _is(user, one)), None)
    if found is None:
        is_evicted = is_whole and user.channel.kind is ChannelKind.SHARED_IPAD
        return UserFate.GONE if is_evicted else UserFate.NOTHING
    if found.is_logged_in is None:
        return UserFate.NOTHING
    return UserFate.LOGGED_IN if found.is_logged_in else UserFate.LOGGED_OUT


def fate_by_deletion(user: UserChannel, user_name: str, said_at: datetime) -> UserFate:
    """Tell what the deletion of *user_name* means for a user."""
    if user.state is EnrollmentState.ENDED or _was_heard_since(user, said_at):
        return UserFate.NOTHING
    return UserFate.GONE if _names(user, user_name) else UserFate.NOTHING


def fate_by_log_out(user: UserChannel, said_at: datetime) -> UserFate:
    """Tell what LogOutUser means for a user: a Shared iPad has one user logged in, and names nobody."""
    if user.channel.kind is not ChannelKind.SHARED_IPAD or user.state is not EnrollmentState.ENROLLED:
        return UserFate.NOTHING
    return UserFate.NOTHING if _was_heard_since(user, said_at) else UserFate.LOGGED_OUT


def _was_heard_since(user: UserChannel, said_at: datetime) -> bool:
    return user.heard_at is not None and user.heard_at > said_at


def _is(user: UserChannel, listed: ListedUser) -> bool:
    if user.channel.kind is ChannelKind.SHARED_IPAD:
        return _names(user, listed.name)
    return listed.guid is not None and listed.guid.casefold() == _suffix(user.channel).casefold()


def _names(user: UserChannel, name: str) -> bool:
    """Tell whether *name* is that of a user; on a Shared iPad it stands in the channel's id."""
    known = _suffix(user.channel) if user.channel.kind is ChannelKind.SHARED_IPAD else user.short_name
    return known is not None and known.casefold() == name.casefold()


def _suffix(channel: Channel) -> str:
    return channel.id.removeprefix(f"{channel.device_id}:")
