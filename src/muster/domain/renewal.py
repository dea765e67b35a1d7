"""When a device's identity is renewed, when it is tried again, and when it can't be.

An identity that expires unrenewed is a device lost, so the renewal begins early, is spread over the fleet, and is
closed only by the use of the new identity: a TokenUpdate under it. Sources: docs/protocol/choices.md, "Renewal of
identities"; Apple has no renewal of its own, the enrollment profile is installed once more.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias

from muster.domain.policy import Policy
from muster.protocol.identifiers import DeviceId
from muster.protocol.records import record

CHALLENGE_LIFETIME: Final = timedelta(days=35)
"""Of a renewal's SCEP challenge: longer than APNs keeps a push (30 days), so that a device that comes back by the last
one that was stored for it finds a challenge that still counts."""
RENDER_AGAIN_AFTER: Final = timedelta(days=28)
"""An unanswered renewal is made anew a week before its challenge ends."""
USE_WITHIN: Final = timedelta(days=1)
"""Devices use a new identity within seconds of acknowledging it; one that was not used after a day failed."""
FIRST_RETRIES: Final = (timedelta(hours=1), timedelta(hours=6))
"""After the first failure and after the second; then once a day."""
DAILY: Final = timedelta(days=1)
URGENT_BELOW: Final = timedelta(days=30)
"""With fewer days left a failed renewal is tried again every six hours at least."""
URGENT_RETRY: Final = timedelta(hours=6)
SPREAD: Final = 10
"""A fleet enrolled in one day is renewed over a tenth of the time it has left, not in one hour."""
NOTICES: Final = (timedelta(days=1), timedelta(days=7), timedelta(days=30))
"""How long before its end an identity that is not renewed is told about, once each."""
ACCOUNT_RENEWAL_MARGIN: Final = timedelta(days=30)
"""At most so long before its end the certificate of an account is renewed: losing one costs an account, no device."""


class RenewalReason(StrEnum):
    """Why an identity is to be renewed."""

    EXPIRING = "expiring"
    EXPIRED = "expired"
    """It has expired, and the device is let into the restricted lane for its renewal alone."""
    SUPERSEDED = "superseded"
    """The device was restored from an older backup, and speaks by an identity that was renewed since."""
    AUTHORITY_ROTATED = "authority_rotated"
    ASKED_FOR = "asked_for"


class WhyNot(StrEnum):
    """Why an identity that is due can't be renewed."""

    PROFILE_UNKNOWN = "profile_unknown"
    """With which profile the device was enrolled is not known, and another one would be refused, or strand it."""
    EXPIRED_TOO_LONG = "expired_too_long"
    """It expired longer ago than the restricted lane lasts: nothing that the device says is heard any more."""


@record(frozen=True, slots=True)
class Attempt:
    """The renewal under way, as stored.

    Absent times: that did not happen in the attempt sent last. *is_waiting*: its command is queued, unanswered.
    *failures* counts attempts in a row that failed; a failure of the attempt sent last is not older than *sent_at*.
    """

    reason: RenewalReason
    attempts: int = 0
    failures: int = 0
    sent_at: datetime | None = None
    acknowledged_at: datetime | None = None
    failed_at: datetime | None = None
    asked_at: datetime | None = None
    is_waiting: bool = False


@record(frozen=True, slots=True)
class RenewalSituation:
    """What is known of an enrolled device's pinned identity. *attempt* is absent while no renewal is open.

    *rotated_at*: since when another authority is current than the one that issued it; absent while it is the current
    one's.
    """

    device_id: DeviceId
    issued_at: datetime
    not_after: datetime
    is_profile_known: bool
    rotated_at: datetime | None = None
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class SendRenewal:
    """Make the renewal profile and queue it now. *is_first_news*: the device is to be pushed for it.

    A profile made anew for a silent device is none: the wish that stands goes on as it was.
    """

    reason: RenewalReason
    is_first_news: bool = True


@record(frozen=True, slots=True)
class LookAgain:
    """Nothing is to be done before *at*."""

    at: datetime


@dataclass(frozen=True, slots=True)
class NotUsed:
    """The device acknowledged its renewal and never used it: that attempt failed, and is to be noted as failed."""


@dataclass(frozen=True, slots=True)
class CannotRenew:
    """It is due, and can't be done."""

    why: WhyNot


Decision: TypeAlias = SendRenewal | LookAgain | NotUsed | CannotRenew


def decide_renewal(situation: RenewalSituation, now: datetime, policy: Policy) -> Decision:
    """Decide what is to be done about an identity at *now*."""
    attempt = situation.attempt
    if attempt is None:
        due_at, reason = next_renewal(situation, policy)
        if now < due_at:
            return LookAgain(due_at)
        if now >= situation.not_after:
            reason = RenewalReason.EXPIRED
    else:
        reason = attempt.reason
        if reason is RenewalReason.EXPIRING and now >= situation.not_after:
            reason = RenewalReason.EXPIRED
    why_not = why_not_renewable(situation, now, policy)
    if why_not is not None:
        return CannotRenew(why_not)
    if attempt is None or attempt.sent_at is None:
        return SendRenewal(reason)
    return _go_on(situation, attempt, attempt.sent_at, reason, now)


def _go_on(
    situation: RenewalSituation, attempt: Attempt, sent_at: datetime, reason: RenewalReason, now: datetime
) -> SendRenewal | LookAgain | NotUsed:
    if attempt.failed_at is not None and attempt.failed_at >= sent_at:
        is_asked_for = attempt.asked_at is not None and attempt.asked_at >= attempt.failed_at
        retry_at = attempt.failed_at + retry_delay(attempt.failures, situation.not_after - attempt.failed_at)
        return SendRenewal(reason) if is_asked_for or now >= retry_at else LookAgain(retry_at)
    if attempt.acknowledged_at is not None and attempt.acknowledged_at >= sent_at:
        if attempt.asked_at is not None and attempt.asked_at >= attempt.acknowledged_at:
            return SendRenewal(reason)
        use_by = attempt.acknowledged_at + USE_WITHIN
        return NotUsed() if now >= use_by else LookAgain(use_by)
    if not attempt.is_waiting:
        # neither answered nor queued any more: the database was restored, or somebody cleared the queue
        return SendRenewal(reason)
    again_at = sent_at + RENDER_AGAIN_AFTER
    return SendRenewal(reason, is_first_news=False) if now >= again_at else LookAgain(again_at)


def next_renewal(situation: RenewalSituation, policy: Policy) -> tuple[datetime, RenewalReason]:
    """Tell when the renewal of an identity is due, no renewal being open, and why then."""
    due_at = expiry_renewal(situation, policy)
    if situation.rotated_at is not None:
        # one that the former authority issued after all is not renewed in the same breath
        begins = max(situation.rotated_at, situation.issued_at)
        paced = begins + policy.rotation_span * _place(situation.device_id)
        if paced < due_at:
            return paced, RenewalReason.AUTHORITY_ROTATED
    return due_at, RenewalReason.EXPIRING


def expiry_renewal(situation: RenewalSituation, policy: Policy) -> datetime:
    """Tell when an identity is renewed because it will expire.

    The later of the margin and a third of its lifetime before the end, put off by up to a tenth of what is left then,
    each device by a share of its own.
    """
    return _expiry_renewal(situation.device_id, situation.issued_at, situation.not_after, policy.renew_before)


@lru_cache(maxsize=1024)
def _expiry_renewal(device_id: DeviceId, issued_at: datetime, not_after: datetime, margin: timedelta) -> datetime:
    """Tell it once for all who ask in one review."""
    left = min(margin, (not_after - issued_at) / 3)
    return not_after - left + left / SPREAD * _place(device_id)


def account_renewal(not_before: datetime, not_after: datetime) -> datetime:
    """Tell when the certificate of an account, which is no identity of a device, is renewed: thirty days before its
    end, or when a third of its lifetime is left, whichever is later.
    """
    return not_after - min(ACCOUNT_RENEWAL_MARGIN, (not_after - not_before) / 3)


@lru_cache(maxsize=1024)
def _place(device_id: DeviceId) -> float:
    """Return where a device stands in its fleet, from 0 to below 1: always the same, spread evenly."""
    return int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:6], "big") / 2**48


def retry_delay(failures: int, left: timedelta) -> timedelta:
    """Tell how long to wait after so many failures in a row, the identity being valid for *left* yet."""
    delay = FIRST_RETRIES[failures - 1] if 0 < failures <= len(FIRST_RETRIES) else DAILY
    return min(delay, URGENT_RETRY) if left < URGENT_BELOW else delay


def why_not_renewable(situation: RenewalSituation, now: datetime, policy: Policy) -> WhyNot | None:
    """Tell why an identity can't be renewed whatever is tried; None when it can."""
    if now >= situation.not_after + policy.restricted_lane:
        return WhyNot.EXPIRED_TOO_LONG
    return None if situation.is_profile_known else WhyNot.PROFILE_UNKNOWN


def due_notice(situation: RenewalSituation, told: int | None, now: datetime, policy: Policy) -> int | None:
    """Tell of how many days left an identity is to be told about now; 0: that it has expired. None: of nothing new.

    *told* is the number told last. While its renewal was not due yet, nothing is told: identities may be short-lived.
    """
    left = situation.not_after - now
    passed = [timedelta(0)] if left <= timedelta(0) else [notice for notice in NOTICES if left <= notice]
    if not passed or situation.not_after - passed[0] < expiry_renewal(situation, policy):
        return None
    days = passed[0].days
    return days if told is None or days < told else None


class RenewalState(StrEnum):
    """Where the renewal of an identity stands, for people."""

    NOT_DUE = "not_due"
    DUE = "due"
    SENT = "sent"
    """Queued, and not answered yet."""
    ACKNOWLEDGED = "acknowledged"
    """Installed, says the device; its use is still to come."""
    FAILED = "failed"
    IMPOSSIBLE = "impossible"


def renewal_state(situation: RenewalSituation, now: datetime, policy: Policy) -> RenewalState:
    """Tell where the renewal stands. One that won't be possible is so from the first day, while it can be mended."""
    attempt = situation.attempt
    if why_not_renewable(situation, now, policy) is not None:
        return RenewalState.IMPOSSIBLE
    if attempt is None and now < next_renewal(situation, policy)[0]:
        return RenewalState.NOT_DUE
    if attempt is None or attempt.sent_at is None:
        return RenewalState.DUE
    if attempt.failed_at is not None and attempt.failed_at >= attempt.sent_at:
        return RenewalState.FAILED
    if attempt.acknowledged_at is not None and attempt.acknowledged_at >= attempt.sent_at:
        return RenewalState.ACKNOWLEDGED
    return RenewalState.SENT
