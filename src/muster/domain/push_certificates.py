"""Which push certificate may be put into use, and when the end of one is told about.

A topic is for ever: an enrolled device listens to the topic that its enrollment profile named, and no update changes
that. So a certificate of another topic cuts off everybody who is enrolled, once the present one ends; it is put into
use only when an administrator says that this is meant. Sources: Apple, "Setting Up Push Notifications for Your MDM
Customers"; Apple, "MDM" payload, Topic (an update that changes it is refused by the device).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

NOTICES: Final = tuple(timedelta(days=days) for days in (0, 1, 3, 7, 14, 30, 60))
"""How long before its end a push certificate is told about, once each; 0: that it has ended."""
URGENT_WITHIN: Final = timedelta(days=7)
"""With less than that left, and once it has ended, a notice is an error in the log, not a warning."""
CLOCK_SLACK: Final = timedelta(days=1)
"""By so much the clocks of nodes may differ without a notice being told twice."""
_DAY: Final = timedelta(days=1)


class KeyFit(StrEnum):
    """How a certificate and the key that came with it go together."""

    MATCHES = "matches"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    """No key was given, and no request of ours has the certificate's."""
    OF_VENDOR_REQUEST = "of_vendor_request"
    """No key was given, and it is the key of a request for an MDM vendor certificate."""


@dataclass(frozen=True, slots=True)
class OfferedCertificate:
    """What an uploaded certificate says. *user_id*: the UID of its subject; *topic*: the same where it is of MDM's.

    *unusable*: why TLS can't show it with its key; absent when it can, or the key is not there or another's.
    """

    fingerprint: bytes
    user_id: str | None
    topic: str | None
    not_before: datetime
    not_after: datetime
    is_authority: bool
    is_of_apple: bool
    key: KeyFit
    unusable: str | None = None


@dataclass(frozen=True, slots=True)
class CertificateInUse:
    """The certificate in use of one topic."""

    fingerprint: bytes
    not_after: datetime
    is_of_apple: bool


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who listens to one topic: so many *enrollments* (channels, of users too) on so many *devices*."""

    enrollments: int
    devices: int


@dataclass(frozen=True, slots=True)
class PushSetup:
    """What there is before an upload: the certificate in use of each topic, and who listens to which.

    *topic_of_new* is the topic that new enrollments get; absent while no certificate is in use.
    """

    topic_of_new: str | None = None
    in_use: Mapping[str, CertificateInUse] = field(default_factory=dict)
    listeners: Mapping[str, Listeners] = field(default_factory=dict)


class Deliberately(StrEnum):
    """What an administrator says is meant, though it looks like a mistake."""

    REPLACE_TOPIC = "replace_topic"
    ALLOW_OLDER = "allow_older"


class Change(StrEnum):
    """What putting a certificate into use changes."""

    FIRST = "first"
    """There was none of its topic."""
    RENEWED = "renewed"
    """It takes the place of the certificate of its topic, and everybody goes on as before."""
    SAME = "same"
    """It is in use already."""
    ANOTHER_TOPIC = "another_topic"
    """New enrollments get its topic from now on; who is enrolled stays with the topic of the enrollment."""


class Unfit(StrEnum):
    """Why a certificate is not put into use."""

    AUTHORITY = "authority"
    NOT_OF_MDM = "not_of_mdm"
    VENDOR_CERTIFICATE = "vendor_certificate"
    KEY_UNKNOWN = "key_unknown"
    KEY_DIFFERS = "key_differs"
    UNUSABLE = "unusable"
    """TLS here does not show it, so APNs would never see it."""
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    NOT_OF_APPLE = "not_of_apple"
    """The one in use is Apple's, and this is not: APNs would refuse it."""
    OLDER = "older"
    """The one in use for the same topic ends later."""
    ANOTHER_TOPIC = "another_topic"
    """Enrollments listen to another topic."""


Verdict: TypeAlias = Change | Unfit


def judge_certificate(
    offered: OfferedCertificate, setup: PushSetup, now: datetime, meant: frozenset[Deliberately] = frozenset()
) -> Verdict:
    """Judge an uploaded push certificate against what is in use and who is enrolled.

    What is wrong with the certificate itself comes before what is wrong with it here. Not checked: who signed it (APNs
    does that), and whether Apple revoked it.
    """
    unfit = _unfit_anywhere(offered, now)
    if unfit is not None:
        return unfit
    assert offered.topic is not None, "a certificate without a topic is unfit anywhere"
    present = setup.in_use.get(offered.topic)
    replaces = Deliberately.REPLACE_TOPIC in meant
    is_of_new = offered.topic == setup.topic_of_new
    if present is not None and present.fingerprint == offered.fingerprint:
        return Change.ANOTHER_TOPIC if replaces and not is_of_new else Change.SAME
    if setup.listeners and offered.topic not in setup.listeners and not (is_of_new or replaces):
        return Unfit.ANOTHER_TOPIC
    if present is not None and present.is_of_apple and not offered.is_of_apple:
        return Unfit.NOT_OF_APPLE
    if present is not None and offered.not_after < present.not_after and Deliberately.ALLOW_OLDER not in meant:
        return Unfit.OLDER
    if not is_of_new and (replaces or not setup.listeners) and (setup.in_use or setup.listeners):
        return Change.ANOTHER_TOPIC
    return Change.FIRST if present is None else Change.RENEWED


def _unfit_anywhere(offered: OfferedCertificate, now: datetime) -> Unfit | None:
    if offered.is_authority:
        return Unfit.AUTHORITY
    if offered.key is KeyFit.OF_VENDOR_REQUEST:
        return Unfit.VENDOR_CERTIFICATE
    if offered.topic is None:
        return Unfit.NOT_OF_MDM
    if offered.key is KeyFit.UNKNOWN:
        return Unfit.KEY_UNKNOWN
    if offered.key is KeyFit.DIFFERS:
        return Unfit.KEY_DIFFERS
    if offered.unusable is not None:
        return Unfit.UNUSABLE
    if now >= offered.not_after:
        return Unfit.EXPIRED
    return Unfit.NOT_YET_VALID if now < offered.not_before else None


def due_notice(not_after: datetime, told_days: int | None, now: datetime) -> int | None:
    """Tell of how many days left a push certificate is to be told about now; 0: that it has ended. None: nothing new.

    *told_days* is what was told last; absent for a certificate that was just put into use. Of steps that were missed
    only the most urgent one is told. What was told more than CLOCK_SLACK too early, by a clock that has been put right
    since, counts for nothing: else it would keep every later step silent.
    """
    left = not_after - now
    if told_days is not None and left > timedelta(days=told_days) + CLOCK_SLACK:
        told_days = None
    passed = next((notice for notice in NOTICES if left <= notice), None)
    if passed is None or (told_days is not None and passed.days >= told_days):
        return None
    return passed.days


def next_notice_at(not_after: datetime, now: datetime) -> datetime | None:
    """Tell when the next step of the notices about a certificate is reached; None when its end was the last."""
    return next((at for notice in reversed(NOTICES) if (at := not_after - notice) > now), None)


def days_left(not_after: datetime, now: datetime) -> int:
    """Count the days that are left, a day begun for a whole one; 0 once it has ended."""
    return max(0, -(-(not_after - now) // _DAY))
