"""Why a channel is not in control: the closed list of reasons, numbered as in the manual, and what is said of each."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """The closed list. Their numbers are their places in REASONS."""

    NONE = "none"
    SILENT = "silent"
    PUSH_PATH_BLOCKED = "push_path_blocked"
    NETWORK_BLOCKS_SERVER = "network_blocks_server"
    PUSH_TOKEN_UNREGISTERED = "push_token_unregistered"  # noqa: S105 - a reason's word
    PUSH_TOKEN_BAD = "push_token_bad"  # noqa: S105 - a reason's word
    PUSH_TOPIC_MISMATCH = "push_topic_mismatch"
    PUSH_MAGIC_WRONG = "push_magic_wrong"
    PUSH_THROTTLED = "push_throttled"
    APNS_OUTAGE = "apns_outage"
    PUSH_CERTIFICATE_EXPIRED = "push_certificate_expired"
    IDENTITY_EXPIRING = "identity_expiring"
    IDENTITY_EXPIRED = "identity_expired"
    IDENTITY_RENEWAL_REFUSED = "identity_renewal_refused"
    IDENTITY_MISSING = "identity_missing"
    IDENTITY_CLONED = "identity_cloned"
    IDENTITY_UNRECOGNIZED = "identity_unrecognized"
    CA_CHANGED = "ca_changed"
    DEVICE_CLOCK_WRONG = "device_clock_wrong"
    OWN_CLOCK_WRONG = "own_clock_wrong"
    PROFILE_REMOVED = "profile_removed"
    PROFILE_REMOVED_UNREPORTED = "profile_removed_unreported"
    USER_ENDED_ENROLLMENT = "user_ended_enrollment"
    UNENROLLED_BY_US = "unenrolled_by_us"
    ERASED_BY_US = "erased_by_us"
    ERASED_REENROLLING = "erased_reenrolling"
    ENROLLMENT_INCOMPLETE = "enrollment_incomplete"
    NOT_YET_PROVED = "not_yet_proved"
    RESTORED_OTHER_DEVICE = "restored_other_device"
    RESTORED_OLDER_BACKUP = "restored_older_backup"
    HARDWARE_REPLACED = "hardware_replaced"
    DUPLICATE_SERIAL = "duplicate_serial"
    TAKEN_BY_OTHER_SERVICE = "taken_by_other_service"
    RELEASED = "released"
    USER_CHANNEL_MISSING = "user_channel_missing"
    USER_CHANNEL_DEAD = "user_channel_dead"
    USER_NOT_LOGGED_IN = "user_not_logged_in"
    AWAITING_USER_SIGN_IN = "awaiting_user_sign_in"
    USER_EVICTED = "user_evicted"
    DDM_DEAD = "ddm_dead"
    MDM_DEAD_DDM_ALIVE = "mdm_dead_ddm_alive"
    ALWAYS_NOT_NOW = "always_not_now"
    COMMAND_BLOCKS_QUEUE = "command_blocks_queue"
    NOT_OBEYING = "not_obeying"
    STUCK_AWAITING_CONFIGURATION = "stuck_awaiting_configuration"
    ACKNOWLEDGEMENT_LOST = "acknowledgement_lost"
    NO_INVENTORY = "no_inventory"
    LOST_MODE = "lost_mode"
    CLIENT_HUNG = "client_hung"
    ADE_PROFILE_UNASSIGNED = "ade_profile_unassigned"
    ADE_ASSIGNED_ELSEWHERE = "ade_assigned_elsewhere"
    ADE_TOKEN_EXPIRED = "ade_token_expired"  # noqa: S105 - a reason's word
    OWN_ERRORS = "own_errors"
    OWN_TLS_CHANGED = "own_tls_changed"
    OWN_PROXY_DROPS_IDENTITY = "own_proxy_drops_identity"
    OWN_WORKER_DEAD = "own_worker_dead"
    OWN_DOWNTIME = "own_downtime"
    RECORD_DELETED_WHILE_ENROLLED = "record_deleted_while_enrolled"
    DATABASE_ROLLED_BACK = "database_rolled_back"
    AGENT_DEAD = "agent_dead"


class Recovery(StrEnum):
    """Who brings a channel back; several where it depends on what is at hand, the first is tried first."""

    SERVER = "A"
    """The server alone, once the cause has ended."""
    SERVER_WITH_HELP = "B"
    """The server, where Automated Device Enrollment, an agent or the version of the OS helps."""
    PERSON = "C"
    """One action by a person."""
    BY_HAND = "D"
    NOBODY = "-"
    """Nothing is wrong, or it is a normal end."""


@dataclass(frozen=True, slots=True)
class ReasonFacts:
    """What holds of a reason whomever it befalls. *number* as in the manual. *title*: in a few words, for lists.

    *is_ours*: it is made of attributes of our side, and judges no device.
    """

    number: int
    title: str
    recovery: tuple[Recovery, ...]
    is_ours: bool = False


_A, _B, _C, _D, _NOBODY = Recovery

REASONS: Final = {
    reason: ReasonFacts(number, title, recovery, is_ours)
    for number, (reason, title, recovery, is_ours) in enumerate(
        (
            (Reason.NONE, "nothing is wrong", (_NOBODY,), False),
            (Reason.SILENT, "not heard", (_A, _D), False),
            (Reason.PUSH_PATH_BLOCKED, "pushes don't reach it", (_C,), False),
            (Reason.NETWORK_BLOCKS_SERVER, "its network keeps it from us", (_C,), False),
            (Reason.PUSH_TOKEN_UNREGISTERED, "its push token is gone", (_B,), False),
            (Reason.PUSH_TOKEN_BAD, "its push token is bad", (_A, _B), False),
            (Reason.PUSH_TOPIC_MISMATCH, "it listens to another push topic", (_A, _C), False),
            (Reason.PUSH_MAGIC_WRONG, "it doesn't know our push magic", (_A,), False),
            (Reason.PUSH_THROTTLED, "APNs throttles pushes to it", (_A,), False),
            (Reason.APNS_OUTAGE, "APNs is out of order", (_A,), True),
            (Reason.PUSH_CERTIFICATE_EXPIRED, "the push certificate has expired", (_C,), True),
            (Reason.IDENTITY_EXPIRING, "its identity expires soon", (_A,), False),
            (Reason.IDENTITY_EXPIRED, "its identity has expired", (_A, _C), False),
            (Reason.IDENTITY_RENEWAL_REFUSED, "its renewal fails", (_A,), False),
            (Reason.IDENTITY_MISSING, "it has lost its identity", (_B, _C), False),
            (Reason.IDENTITY_CLONED, "its identity is in other hands, too", (_C,), False),
            (Reason.IDENTITY_UNRECOGNIZED, "its identity is none that was given to it", (_C,), False),
            (Reason.CA_CHANGED, "another authority issued its identity", (_A,), False),
            (Reason.DEVICE_CLOCK_WRONG, "its clock is wrong", (_A,), False),
            (Reason.OWN_CLOCK_WRONG, "our clock is wrong", (_C,), True),
            (Reason.PROFILE_REMOVED, "the enrollment profile was removed", (_B, _C), False),
            (Reason.PROFILE_REMOVED_UNREPORTED, "the enrollment profile is gone without a word", (_B, _C), False),
            (Reason.USER_ENDED_ENROLLMENT, "the user ended the enrollment", (_NOBODY,), False),
            (Reason.UNENROLLED_BY_US, "we let it go", (_NOBODY,), False),
            (Reason.ERASED_BY_US, "we erased it", (_B,), False),
            (Reason.ERASED_REENROLLING, "erased, and on its way back", (_A,), False),
            (Reason.ENROLLMENT_INCOMPLETE, "its enrollment was never finished", (_C,), False),
            (Reason.NOT_YET_PROVED, "it has not obeyed yet", (_A,), False),
            (Reason.RESTORED_OTHER_DEVICE, "its owner moved to another device", (_B, _C), False),
            (Reason.RESTORED_OLDER_BACKUP, "restored from an older backup", (_A,), False),
            (Reason.HARDWARE_REPLACED, "its hardware was replaced", (_B,), False),
            (Reason.DUPLICATE_SERIAL, "several devices have its serial number", (_A,), False),
            (Reason.TAKEN_BY_OTHER_SERVICE, "another service has it", (_C,), False),
            (Reason.RELEASED, "released from the organization", (_C,), False),
            (Reason.USER_CHANNEL_MISSING, "its user's channel never opened", (_B, _C), False),
            (Reason.USER_CHANNEL_DEAD, "the user's channel is dead", (_B,), False),
            (Reason.USER_NOT_LOGGED_IN, "the user is not logged in", (_NOBODY,), False),
            (Reason.AWAITING_USER_SIGN_IN, "the user has to sign in again", (_C,), False),
            (Reason.USER_EVICTED, "the user was removed from the device", (_A,), False),
            (Reason.DDM_DEAD, "its declarative management is dead", (_A,), False),
            (Reason.MDM_DEAD_DDM_ALIVE, "only its declarative management lives", (_B, _C), False),
            (Reason.ALWAYS_NOT_NOW, "it puts everything off", (_A,), False),
            (Reason.COMMAND_BLOCKS_QUEUE, "one command blocks its queue", (_A,), False),
            (Reason.NOT_OBEYING, "it comes and doesn't obey", (_B,), False),
            (Reason.STUCK_AWAITING_CONFIGURATION, "stuck in Setup Assistant", (_A,), False),
            (Reason.ACKNOWLEDGEMENT_LOST, "an answer was lost", (_A,), False),
            (Reason.NO_INVENTORY, "its inventory is too old", (_A,), False),
            (Reason.LOST_MODE, "in lost mode", (_NOBODY,), False),
            (Reason.CLIENT_HUNG, "its MDM client hangs", (_C,), False),
            (Reason.ADE_PROFILE_UNASSIGNED, "without a profile for its next activation", (_A,), False),
            (Reason.ADE_ASSIGNED_ELSEWHERE, "assigned to another service", (_C,), False),
            (Reason.ADE_TOKEN_EXPIRED, "the token of Automated Device Enrollment has expired", (_C,), True),
            (Reason.OWN_ERRORS, "our server fails", (_A,), True),
            (Reason.OWN_TLS_CHANGED, "devices don't accept our TLS certificate", (_C,), True),
            (Reason.OWN_PROXY_DROPS_IDENTITY, "our proxy drops identities", (_C,), True),
            (Reason.OWN_WORKER_DEAD, "one of our workers is dead", (_A,), True),
            (Reason.OWN_DOWNTIME, "our server was down", (_A,), True),
            (Reason.RECORD_DELETED_WHILE_ENROLLED, "its record was deleted", (_A,), False),
            (Reason.DATABASE_ROLLED_BACK, "our database was rolled back", (_A,), True),
            (Reason.AGENT_DEAD, "its agent is dead", (_A,), False),
        )
    )
}
