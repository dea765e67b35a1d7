"""The command channel: what a device reports, with which it also asks for its next command.

Sources: Apple, "Implementing device management", "Sending MDM commands to a device" and "Command Response".
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from muster.protocol.connect_salvage import salvage_head
from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import (
    optional_array,
    optional_flag,
    optional_text,
    present,
    required_integer,
    required_text,
)
from muster.protocol.identifiers import (
    IDENTIFIER_KEYS,
    Channel,
    CommandUUID,
    Identifiers,
    identifier_keys,
    read_identifiers,
    resolve_channel,
)
from muster.protocol.plist import PlistValue, read_plist, read_top_level, write_plist
from muster.protocol.records import record

MAX_COMMAND_UUID_CHARACTERS: Final = 255
"""A UUID where we make them; other servers' commands, taken over with their fleet, may be named otherwise."""

MAX_STATUS_CHARACTERS: Final = 64
"""The longest defined status has 18 characters."""

MAX_ERRORS: Final = 64
"""Items of one ErrorChain. Devices send one to three."""

MAX_DESCRIPTION_CHARACTERS: Final = 16 * 1024
"""Of one error; some quote a whole profile's complaints."""

MAX_AUTH_TOKEN_CHARACTERS: Final = 4096
"""The AuthToken is ours; see UserAuthenticate."""

MAX_BODY_REMEMBERED: Final = 768
"""Bytes. A report of Idle is smaller, and a device sends the same one day after day."""

HEADS_REMEMBERED: Final = 2048
"""Of such reports, the most recent: some 2 KiB each."""

_MEDIA_TYPE_CHECKIN: Final = "application/x-apple-aspen-mdm-checkin"
_MEDIA_TYPE_CONNECT: Final = "application/x-apple-aspen-mdm"


class Status(StrEnum):
    """What became of a command. Others are not defined; `ReportHead.status_text` keeps what was sent."""

    IDLE = "Idle"
    ACKNOWLEDGED = "Acknowledged"
    ERROR = "Error"
    COMMAND_FORMAT_ERROR = "CommandFormatError"
    NOT_NOW = "NotNow"


_STATUS: Final = {status.value: status for status in Status}

_LENIENT_KEYS: Final = frozenset({"NotOnConsole", "NeedSyncResponse", "UserConfiguration", "AuthToken"})
_HEAD_KEYS: Final = IDENTIFIER_KEYS | _LENIENT_KEYS | {"Status", "CommandUUID"}


@record(frozen=True, slots=True)
class ReportHead:
    """What decides on the reply to a report: who, which command, and what became of it.

    status: None = a status that is not defined; the command stays queued. command_uuid: None = absent or empty, as with
    Idle, and with CommandFormatError when the device could not read it.

    The rest comes from users of Macs: not_on_console, None = not said. needs_sync: the user waits at the login window
    for the end of this session. is_user_configuration: the account is about to be made, in Setup Assistant.
    auth_token: what we gave a directory user, None = absent.
    """

    channel: Channel
    identifiers: Identifiers
    status: Status | None
    status_text: str
    command_uuid: CommandUUID | None
    not_on_console: bool | None = None
    needs_sync: bool = False
    is_user_configuration: bool = False
    auth_token: str | None = field(default=None, repr=False)


@record(frozen=True, slots=True)
class ErrorItem:
    """One error of a chain. Codes are no contract between releases: show and count them, never decide on them."""

    error_code: int
    error_domain: str
    localized_description: str | None = None
    us_english_description: str | None = None


@record(frozen=True, slots=True)
class Report:
    """A whole report. error_chain begins with the topmost error. answer holds the keys that belong to the command."""

    head: ReportHead
    error_chain: tuple[ErrorItem, ...] = ()
    answer: Mapping[str, PlistValue] = field(default_factory=dict)


_REPORT_KEYS: Final = _HEAD_KEYS | {"ErrorChain"}


def read_report_head(body: bytes) -> ReportHead:
    """The head of a report, without decoding the rest: a report may have megabytes, and its reply must not wait for
    them.

    Raises MalformedMessage when *body* is no property list, when Status is absent, empty or too long, when
    CommandUUID is no string or too long, and when the identifiers name no channel. That CommandUUID is there is not
    checked, nor that the rest of the body can be decoded; what a user's keys hold in another form counts as absent.
    An answer to a command is accepted although it is no property list, where its head can be told (`salvage_head`).
    """
    return _remembered(body) if len(body) <= MAX_BODY_REMEMBERED else _read_head(body)


def _read_head(body: bytes) -> ReportHead:
    try:
        return _head(read_top_level(body, _HEAD_KEYS, _LENIENT_KEYS))
    except MalformedMessage:
        salvaged = salvage_head(body)
        if salvaged is None:
            raise
        return _head(salvaged)


_remembered = lru_cache(maxsize=HEADS_REMEMBERED)(_read_head)


def decode_report(body: bytes) -> Report:
    """The whole report.

    Raises MalformedMessage as `read_report_head` does, and when anything in *body* is no property list or when
    ErrorChain or one of the flags has another form. What the command's own keys hold is not checked.
    """
    keys = read_plist(body)
    for flag in ("NotOnConsole", "NeedSyncResponse", "UserConfiguration"):
        optional_flag(keys, flag)
    optional_text(keys, "AuthToken", MAX_AUTH_TOKEN_CHARACTERS)
    return Report(
        head=_head(keys),
        error_chain=_error_chain(keys),
        answer={key: value for key, value in keys.items() if key not in _REPORT_KEYS},
    )


def read_report(body: bytes) -> tuple[Report, tuple[str, ...]]:
    """What of a report can be read, and in words what of it can't be: an item of ErrorChain that is none, a flag of
    another type, or, where *body* is no property list, all but its head.

    Raises MalformedMessage as `read_report_head` does.
    """
    try:
        keys = read_plist(body)
    except MalformedMessage as error:
        return Report(read_report_head(body)), (f"it can't be decoded: {error}",)
    try:
        head = _head(keys)
    except MalformedMessage:
        head = read_report_head(body)
    faults = [f"{key} is not as it should be" for key in _LENIENT_KEYS if _is_odd(key, keys.get(key))]
    try:
        chain = _error_chain(keys)
    except MalformedMessage as error:
        faults.append(str(error))
        chain = _readable_errors(keys.get("ErrorChain"))
    answer = {key: value for key, value in keys.items() if key not in _REPORT_KEYS}
    return Report(head, chain, answer), tuple(sorted(faults))


def _is_odd(key: str, value: PlistValue | None) -> bool:
    return value is not None and not isinstance(value, str if key == "AuthToken" else bool)


def _readable_errors(chain: PlistValue | None) -> tuple[ErrorItem, ...]:
    """The errors among the first items of a chain that is not as it should be."""
    found = []
    for item in chain[:MAX_ERRORS] if isinstance(chain, list) else ():
        try:
            found.append(_error_item(item))
        except MalformedMessage:
            continue
    return tuple(found)


def encode_report(report: Report) -> bytes:
    """The body with which a device sends *report*; the reverse of `decode_report`."""
    head = report.head
    keys = present(
        {
            "Status": head.status_text,
            "CommandUUID": head.command_uuid,
            "ErrorChain": [_error_keys(item) for item in report.error_chain] or None,
            "NotOnConsole": head.not_on_console,
            "NeedSyncResponse": head.needs_sync or None,
            "UserConfiguration": head.is_user_configuration or None,
            "AuthToken": head.auth_token,
        }
    )
    return write_plist(identifier_keys(head.identifiers) | keys | dict(report.answer))


def looks_like_checkin(content_type: str | None, body: bytes) -> bool:
    """Whether a request to a URL which serves both is a check-in: by its media type, else by its keys.

    Some devices send reports without a Content-Type. Raises MalformedMessage when only the body can tell, and it has
    neither MessageType nor Status.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type == _MEDIA_TYPE_CHECKIN:
        return True
    if media_type == _MEDIA_TYPE_CONNECT:
        return False
    keys = read_top_level(body, frozenset({"MessageType", "Status"}))
    if not keys:
        raise MalformedMessage("neither MessageType nor Status is present")
    return "MessageType" in keys


def _head(keys: Mapping[str, PlistValue]) -> ReportHead:
    identifiers = read_identifiers(keys)
    status_text = required_text(keys, "Status", MAX_STATUS_CHARACTERS)
    command_uuid = optional_text(keys, "CommandUUID", MAX_COMMAND_UUID_CHARACTERS)
    return ReportHead(
        resolve_channel(identifiers),
        identifiers,
        _STATUS.get(status_text),
        status_text,
        CommandUUID(command_uuid) if command_uuid else None,
        not_on_console=_flag(keys.get("NotOnConsole")),
        needs_sync=keys.get("NeedSyncResponse") is True,
        is_user_configuration=keys.get("UserConfiguration") is True,
        auth_token=_auth_token(keys.get("AuthToken")),
    )


def _flag(value: PlistValue | None) -> bool | None:
    return value if isinstance(value, bool) else None


def _auth_token(value: PlistValue | None) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_AUTH_TOKEN_CHARACTERS else None


def _error_chain(keys: Mapping[str, PlistValue]) -> tuple[ErrorItem, ...]:
    chain = optional_array(keys, "ErrorChain") or []
    if len(chain) > MAX_ERRORS:
        raise MalformedMessage(f"ErrorChain has more than {MAX_ERRORS} items")
    return tuple(_error_item(item) for item in chain)


def _error_item(item: PlistValue) -> ErrorItem:
    if not isinstance(item, dict):
        raise MalformedMessage("an item of ErrorChain is not a dictionary")
    return ErrorItem(
        error_code=required_integer(item, "ErrorCode"),
        error_domain=required_text(item, "ErrorDomain"),
        localized_description=optional_text(item, "LocalizedDescription", MAX_DESCRIPTION_CHARACTERS),
        us_english_description=optional_text(item, "USEnglishDescription", MAX_DESCRIPTION_CHARACTERS),
    )


def _error_keys(item: ErrorItem) -> PlistValue:
    return present(
        {
            "ErrorCode": item.error_code,
            "ErrorDomain": item.error_domain,
            "LocalizedDescription": item.localized_description,
            "USEnglishDescription": item.us_english_description,
        }
    )
