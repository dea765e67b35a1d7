"""What is to be said of a command before it is queued, and what must be known of its target to say it."""

from dataclasses import dataclass
from enum import StrEnum

from muster.protocol.os_family import OsFamily


class Severity(StrEnum):
    """What a finding means for the command."""

    ERROR = "error"
    """It can't be carried out as it is, by any device; it is not queued."""
    WARNING = "warning"
    """This device would refuse or ignore it, as far as is known here; it is queued when somebody insists."""
    NOTICE = "notice"
    """It is queued, and told."""


class FindingCode(StrEnum):
    """What was found. The words are stable."""

    # the form
    MISSING_KEY = "missing_key"
    UNKNOWN_KEY = "unknown_key"
    MISPLACED_KEY = "misplaced_key"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_VALUE = "unknown_value"
    OUT_OF_RANGE = "out_of_range"
    WRONG_FORMAT = "wrong_format"
    WRONG_COUNT = "wrong_count"
    WRONG_COMBINATION = "wrong_combination"
    UNKNOWN_COMMAND = "unknown_command"
    # profiles
    PROFILE_UNREADABLE = "profile_unreadable"
    PROFILE_ENCRYPTED = "profile_encrypted"
    PROFILE_INCOMPLETE = "profile_incomplete"
    MDM_PAYLOAD = "mdm_payload"
    SEVERAL_ACCOUNTS = "several_accounts"
    REPLACES_ENROLLMENT = "replaces_enrollment"
    PROFILE_NOT_OURS = "profile_not_ours"
    APP_NOT_OURS = "app_not_ours"
    # the target
    NOT_FOR_OS = "not_for_os"
    OS_TOO_OLD = "os_too_old"
    REMOVED = "removed"
    DEPRECATED = "deprecated"
    NEEDS_SUPERVISION = "needs_supervision"
    NEEDS_AUTOMATED_ENROLLMENT = "needs_automated_enrollment"
    WRONG_CHANNEL = "wrong_channel"
    RIGHT_NOT_GRANTED = "right_not_granted"
    NOT_IN_USER_ENROLLMENT = "not_in_user_enrollment"
    USER_ENROLLMENT_ONLY = "user_enrollment_only"
    NOT_ON_SHARED_IPAD = "not_on_shared_ipad"
    SHARED_IPAD_ONLY = "shared_ipad_only"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to be said. *key_path* is where (`Settings[0].Enabled`), empty for the command as a whole; *message*
    says in a sentence what would happen, and what to do. It holds no value that may be a secret."""

    severity: Severity
    code: FindingCode
    key_path: str
    message: str


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """What is known of the channel that a command goes to. None: it is not known, and nothing is held against it."""

    family: OsFamily | None = None
    os_version: str | None = None
    """The newest that the device told of."""
    is_user_channel: bool | None = None
    is_supervised: bool | None = None
    is_user_enrollment: bool | None = None
    is_automated_enrollment: bool | None = None
    is_shared_ipad: bool | None = None
    access_rights: int | None = None
