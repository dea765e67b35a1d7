"""Why a renewal failed: the device's error chain, or our own refusal of its SCEP request, read for people.

Nothing is decided by it but how it is shown, since Apple promises no codes. Source: Apple, "Mobile Device Management
Protocol Reference", Error Codes, which says of them that software should not depend on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from muster.domain.errors import RefusalCode
from muster.protocol.connect import ErrorItem

MAXIMUM_TEXT = 500
"""Characters kept of what a device says of a failure; some quote the whole profile."""


class RenewalFailure(StrEnum):
    """The closed list of what goes wrong with a renewal."""

    SCEP_UNREACHABLE = "scep_unreachable"
    SCEP_REFUSED = "scep_refused"
    CHALLENGE_EXPIRED = "challenge_expired"
    CHALLENGE_USED = "challenge_used"
    CHECK_IN_FAILED = "check_in_failed"
    PROFILE_REJECTED = "profile_rejected"
    DECLINED = "declined"
    NOT_USED = "not_used"
    ROLLED_BACK = "rolled_back"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happened, and what to do about it, a sentence each."""

    what: str
    remedy: str


EXPLANATIONS: Final = {
    RenewalFailure.SCEP_UNREACHABLE: Explanation(
        "The device could not reach the SCEP address it was enrolled with.",
        "See that the public URL of that time still leads here, also from the device's network.",
    ),
    RenewalFailure.SCEP_REFUSED: Explanation(
        "The device's request for a certificate failed.",
        "Look for the refusal in the log of that time; the renewal is tried again by itself.",
    ),
    RenewalFailure.CHALLENGE_EXPIRED: Explanation(
        "The device asked for its certificate after the renewal's challenge had ended.",
        "Nothing: a fresh renewal is sent by itself.",
    ),
    RenewalFailure.CHALLENGE_USED: Explanation(
        "The renewal's challenge had been used before, for another key.",
        "Nothing: a fresh renewal is sent by itself.",
    ),
    RenewalFailure.CHECK_IN_FAILED: Explanation(
        "The device got its new identity and could not check in with it, so it went back to the former one.",
        "Look for refusals of this device in the log of that time; the renewal is tried again by itself.",
    ),
    RenewalFailure.PROFILE_REJECTED: Explanation(
        "The device rejects the renewed enrollment profile.",
        "Compare it with the installed one (`muster commands send ID ProfileList`); where they differ for good, "
        "enroll the device again.",
    ),
    RenewalFailure.DECLINED: Explanation(
        "The device was locked, or its user declined.",
        "Have the user unlock it; the renewal is tried again by itself.",
    ),
    RenewalFailure.NOT_USED: Explanation(
        "The device says that it installed the renewal and has not used the new identity.",
        "A restart of the device often helps; the renewal is tried again by itself.",
    ),
    RenewalFailure.ROLLED_BACK: Explanation(
        "The device used its new identity and then went back to the former one.",
        "Look for what it reported at that time; the renewal is tried again by itself.",
    ),
    RenewalFailure.UNKNOWN: Explanation(
        "The device could not install the renewal.", "See what it says; the renewal is tried again by itself."
    ),
}

_DECLINED_WORDS: Final = ("cancel", "declined", "locked", "user rejected")
_CODES: Final = {
    ("MCInstallationErrorDomain", 4004): RenewalFailure.DECLINED,
    ("MCInstallationErrorDomain", 4009): RenewalFailure.DECLINED,
    ("MCPasscodeErrorDomain", 5010): RenewalFailure.DECLINED,
    ("MCTunnelErrorDomain", 14001): RenewalFailure.DECLINED,
    ("MCMDMErrorDomain", 12063): RenewalFailure.DECLINED,
    ("MCSCEPErrorDomain", 22005): RenewalFailure.SCEP_UNREACHABLE,
    ("MCMDMErrorDomain", 12002): RenewalFailure.CHECK_IN_FAILED,
    ("MCMDMErrorDomain", 12020): RenewalFailure.CHECK_IN_FAILED,
    ("MCMDMErrorDomain", 12000): RenewalFailure.PROFILE_REJECTED,
    ("MCMDMErrorDomain", 12001): RenewalFailure.PROFILE_REJECTED,
    ("MCMDMErrorDomain", 12009): RenewalFailure.PROFILE_REJECTED,
    ("MCMDMErrorDomain", 12011): RenewalFailure.PROFILE_REJECTED,
    ("MCMDMErrorDomain", 12012): RenewalFailure.PROFILE_REJECTED,
    ("MCMDMErrorDomain", 12022): RenewalFailure.PROFILE_REJECTED,
    ("MCInstallationErrorDomain", 4000): RenewalFailure.PROFILE_REJECTED,
    ("MCInstallationErrorDomain", 4008): RenewalFailure.PROFILE_REJECTED,
    ("MCInstallationErrorDomain", 4010): RenewalFailure.PROFILE_REJECTED,
    ("MCInstallationErrorDomain", 4012): RenewalFailure.PROFILE_REJECTED,
    ("MCInstallationErrorDomain", 4015): RenewalFailure.PROFILE_REJECTED,
    ("MCInstallationErrorDomain", 4022): RenewalFailure.PROFILE_REJECTED,
}
_DOMAINS: Final = {
    "MCSCEPErrorDomain": RenewalFailure.SCEP_REFUSED,
    "NSURLErrorDomain": RenewalFailure.SCEP_UNREACHABLE,
    "MCHTTPTransactionErrorDomain": RenewalFailure.CHECK_IN_FAILED,
    "MCPayloadErrorDomain": RenewalFailure.PROFILE_REJECTED,
}
_WORDS: Final = (
    ("mdm payload does not match", RenewalFailure.PROFILE_REJECTED),
    ("scep", RenewalFailure.SCEP_REFUSED),
)
"""What Macs, whose domains say little, have in their descriptions."""


def classify_chain(chain: Sequence[ErrorItem]) -> RenewalFailure:
    """Read the error chain of an InstallProfile, the topmost error first: the deepest code that says anything counts,
    then the deepest domain, then words.
    """
    for item in reversed(chain):
        if (found := _CODES.get((item.error_domain, item.error_code))) is not None:
            return found
    for item in reversed(chain):
        if (found := _DOMAINS.get(item.error_domain)) is not None:
            return found
    text = " ".join(f"{item.us_english_description or ''} {item.localized_description or ''}" for item in chain).lower()
    for word, failure in _WORDS:
        if word in text:
            return failure
    if any(word in text for word in _DECLINED_WORDS):
        return RenewalFailure.DECLINED
    return RenewalFailure.UNKNOWN


def describe_chain(chain: Sequence[ErrorItem]) -> str:
    """Say in one line what the device says of a failure: the deepest error, with its domain and code."""
    if not chain:
        return "the device gave no reason"
    item = chain[-1]
    text = item.us_english_description or item.localized_description or ""
    line = " ".join(f"{text} ({item.error_domain} {item.error_code})".split())
    return line if len(line) <= MAXIMUM_TEXT else f"{line[: MAXIMUM_TEXT - 1]}…"


def classify_refusal(code: RefusalCode) -> RenewalFailure:
    """Tell what it means for a renewal that a SCEP request with its challenge was refused with *code*."""
    match code:
        case RefusalCode.CHALLENGE_EXPIRED:
            return RenewalFailure.CHALLENGE_EXPIRED
        case RefusalCode.CHALLENGE_USED:
            return RenewalFailure.CHALLENGE_USED
        case _:
            return RenewalFailure.SCEP_REFUSED


SAID_BY_US: Final = frozenset({RenewalFailure.CHALLENGE_EXPIRED, RenewalFailure.CHALLENGE_USED})
"""Failures that we know better than the device, which only sees that SCEP failed."""
