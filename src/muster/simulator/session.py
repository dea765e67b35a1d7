"""What became of one session on the command channel, as the device saw it."""

from enum import Enum, auto

from muster.protocol.connect import Status
from muster.protocol.identifiers import CommandUUID
from muster.protocol.records import record


class SessionEnd(Enum):
    """Why a session ended."""

    EMPTY = auto()
    """The server had nothing more: the ordinary end."""
    SILENT = auto()
    """The device said nothing: it is off, mute, not enrolled, or that user is not logged in."""
    CONNECTION_LOST = auto()
    """No whole reply came. A result that was under way is kept and sent again."""
    FAILED = auto()
    """The reply was neither 2xx nor one of those that end an enrollment. A result is kept and sent again."""
    UNENROLLED = auto()
    """The server's reply, or a RemoveProfile, ended the enrollment."""
    USER_NOT_MANAGED = auto()
    """410: no more for this user."""
    UNANSWERED = auto()
    """The device took a command and hung (`Behaviour.unanswered`)."""
    RESTARTED = auto()
    """The device restarts or shuts down, after its answer."""
    ERASED = auto()
    """The device erased itself, after its answer."""
    ENDLESS = auto()
    """The server's commands did not end; the device gave up."""


@record(frozen=True, slots=True)
class Answered:
    """One command and how it was answered. command_uuid and request_type: None when it could not be read."""

    command_uuid: CommandUUID | None
    request_type: str | None
    status: Status


@record(frozen=True, slots=True)
class Session:
    """One session: its end, the commands answered in it, in order, and the status of the last reply, if one came."""

    end: SessionEnd
    answered: tuple[Answered, ...] = ()
    last_http_status: int | None = None
