"""The refusals of the domain: we understood, and say no, with a reason that can be counted and shown.

A refusal is a value that operations return, never an exception: raising would roll the transaction back and
erase the evidence of the refusal.
"""

from dataclasses import dataclass
from enum import StrEnum


class RefusalCode(StrEnum):
    """Why a device's or a client's request was refused. The words are stable: they stand in evidence and metrics."""

    # who speaks
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_BAD = "signature_bad"
    CERTIFICATE_MALFORMED = "certificate_malformed"
    ALGORITHM_REFUSED = "algorithm_refused"
    IDENTITY_UNKNOWN = "identity_unknown"
    IDENTITY_OF_ANOTHER_DEVICE = "identity_of_another_device"
    IDENTITY_NOT_PINNED = "identity_not_pinned"
    IDENTITY_SUPERSEDED = "identity_superseded"
    IDENTITY_EXPIRED = "identity_expired"
    IDENTITY_OF_EARLIER_LIFE = "identity_of_earlier_life"
    IDENTITY_NOT_FOR_ENROLLMENT = "identity_not_for_enrollment"
    IDENTITY_MISMATCH = "identity_mismatch"
    CHANNEL_UNKNOWN = "channel_unknown"
    DEVICE_NOT_YET_ENROLLED = "device_not_yet_enrolled"
    REJECTED = "rejected"
    REFUSED_ON_ENROLL = "refused_on_enroll"
    REFUSED_ON_RESTORE = "refused_on_restore"
    # what was said
    BODY_TOO_LARGE = "body_too_large"
    BODY_MALFORMED = "body_malformed"
    MESSAGE_UNKNOWN = "message_unknown"
    SERVICE_UNKNOWN = "service_unknown"
    # how it came in
    LINK_UNKNOWN = "link_unknown"
    LINK_EXPIRED = "link_expired"
    LINK_USED_UP = "link_used_up"
    LINK_REVOKED = "link_revoked"
    LINK_BUSY = "link_busy"
    LINK_UNFIT = "link_unfit"
    DEVICE_NOT_ATTESTED = "device_not_attested"
    DEVICE_NOT_EXPECTED = "device_not_expected"
    CHALLENGE_UNKNOWN = "challenge_unknown"
    CHALLENGE_EXPIRED = "challenge_expired"
    CHALLENGE_USED = "challenge_used"
    AUTHORITY_EXPIRED = "authority_expired"
    KEY_WEAK = "key_weak"
    KEY_PUBLISHED = "key_published"
    # what an administrator asked
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    KEY_REUSED = "key_reused"
    NOT_ENROLLED = "not_enrolled"
    RENEWAL_IMPOSSIBLE = "renewal_impossible"
    CANNOT_RETURN = "cannot_return"
    PROFILE_UNFIT = "profile_unfit"
    PUSH_CERTIFICATE_MISSING = "push_certificate_missing"
    PUSH_CERTIFICATE_UNFIT = "push_certificate_unfit"
    PUSH_TOPIC_CHANGES = "push_topic_changes"
    PUSH_REQUEST_UNFIT = "push_request_unfit"
    VENDOR_CERTIFICATE_UNFIT = "vendor_certificate_unfit"
    ROLE_MISSING = "role_missing"
    SCOPE_EXCEEDED = "scope_exceeded"
    SECRET_UNFIT = "secret_unfit"  # noqa: S105 - no secret
    SIGN_IN_UNKNOWN = "sign_in_unknown"
    POLICY_UNFIT = "policy_unfit"
    COUNT_WRONG = "count_wrong"
    LEAVINGS_LIMITED = "leavings_limited"
    DEVICE_CHANNEL_ONLY = "device_channel_only"
    COMMAND_MALFORMED = "command_malformed"
    COMMAND_UNFIT = "command_unfit"
    QUERY_UNFIT = "query_unfit"
    TEMPLATE_UNFIT = "template_unfit"
    VARIABLE_UNKNOWN = "variable_unknown"
    ACCOUNT_UNFIT = "account_unfit"
    ORDER_UNFIT = "order_unfit"
    FORMER_FAILED = "former_failed"
    DISRUPTIONS_LIMITED = "disruptions_limited"
    CANCEL_IMPOSSIBLE = "cancel_impossible"
    # people who enroll
    BEARER_UNKNOWN = "bearer_unknown"
    BEARER_EXPIRED = "bearer_expired"
    BEARER_USED = "bearer_used"
    BEARER_OF_ANOTHER_ACCOUNT = "bearer_of_another_account"
    SIGN_IN_NEEDED = "sign_in_needed"
    SIGN_IN_WRONG = "sign_in_wrong"
    SIGN_IN_LIMITED = "sign_in_limited"
    USER_NAME_UNFIT = "user_name_unfit"
    PASSWORD_UNFIT = "password_unfit"  # noqa: S105 - no password


@dataclass(frozen=True, slots=True)
class Refusal:
    """We say no: *code* for machines, *message* for the log and the administrator, *remedy* when a person can act.

    Neither text ever carries a secret or a whole body.
    """

    code: RefusalCode
    message: str
    remedy: str = ""
