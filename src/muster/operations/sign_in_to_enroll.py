"""A person signs in to enroll a device: counted first, checked outside of any transaction, then let in or not.

Hashing a password takes longer than answering a hundred devices, so it happens between two transactions: the first
counts the attempt as if it were wrong and hands out the hash to check against, the second takes that back where the
password was right. So tries at the same time are counted too.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from muster.crypto.passwords import NOBODYS_PASSWORD, is_password
from muster.domain.enrollment_users import (
    ATTEMPT_WINDOW,
    MAXIMUM_NAME_CHARACTERS,
    MAXIMUM_PASSWORD_CHARACTERS,
    SESSION_LIFETIME,
    EnrollmentUser,
    may_try,
    network_of,
    normalise_password,
    normalise_user_name,
)
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.context import Context
from muster.operations.enrollment_links import of_user
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.storage import enrollment_users, people
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class EnrollmentSignIn:
    """What a person typed, and the address it came from."""

    user_name: str
    password: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class PasswordToCheck:
    """An attempt that is counted, and the hash to check its password against; nobody's hash where there is no user."""

    attempt: EnrollmentSignIn
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckedSignIn:
    """An attempt whose password was checked."""

    attempt: EnrollmentSignIn
    is_right: bool


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person is in. *token* is the secret of the session, for the cookie; only its hash is kept."""

    user: EnrollmentUser
    token: str = field(repr=False)
    expires_at: datetime


AdmissionOutcome: TypeAlias = PasswordToCheck | Refusal
SignInOutcome: TypeAlias = SignedIn | Refusal


def admit_sign_ins(tx: Transaction, attempts: Sequence[EnrollmentSignIn], ctx: Context) -> list[AdmissionOutcome]:
    """Count each attempt, and give what its password is checked against, or refuse to look at it."""
    return [_admit(tx, attempt, ctx) for attempt in attempts]


def _admit(tx: Transaction, attempt: EnrollmentSignIn, ctx: Context) -> AdmissionOutcome:
    if len(attempt.user_name) > MAXIMUM_NAME_CHARACTERS or len(attempt.password) > MAXIMUM_PASSWORD_CHARACTERS:
        return _WRONG
    user_tried, address_tried = _subjects(attempt)
    refusal = may_try(0, enrollment_users.count_attempt(tx, address_tried, ctx.now, ATTEMPT_WINDOW))
    if refusal is not None:
        return refusal  # and counts for no user: it shuts none, and leaves nothing behind for each that it makes up
    refusal = may_try(enrollment_users.count_attempt(tx, user_tried, ctx.now, ATTEMPT_WINDOW), 0)
    if refusal is not None:
        return refusal
    stored = enrollment_users.find(tx, normalise_user_name(attempt.user_name))
    is_open = stored is not None and stored.user.disabled_at is None
    return PasswordToCheck(attempt, stored.password_hash if stored is not None and is_open else NOBODYS_PASSWORD)


def check_password_of(admitted: PasswordToCheck) -> CheckedSignIn:
    """Check the password; takes some 20 ms, so off the event loop and outside of transactions."""
    password = normalise_password(admitted.attempt.password)
    return CheckedSignIn(admitted.attempt, is_password(password, admitted.password_hash))


def sign_in_to_enroll(tx: Transaction, checked: Sequence[CheckedSignIn], ctx: Context) -> list[SignInOutcome]:
    """Open a session for each attempt whose password is right, or refuse."""
    return [_sign_in(tx, one, ctx) for one in checked]


def _sign_in(tx: Transaction, checked: CheckedSignIn, ctx: Context) -> SignInOutcome:
    stored = enrollment_users.find(tx, normalise_user_name(checked.attempt.user_name))
    if not checked.is_right or stored is None or stored.user.disabled_at is not None:
        return _WRONG
    user_tried, address_tried = _subjects(checked.attempt)
    enrollment_users.forget_attempts(tx, user_tried)
    enrollment_users.forgive_attempt(tx, address_tried)
    user = stored.user
    token = random_secret(ctx)
    expires_at = ctx.now + SESSION_LIFETIME
    enrollment_users.add_session(
        tx, token_hash=hash_secret(token), user_name=user.user_name, at=ctx.now, expires_at=expires_at
    )
    people.record_act(
        tx,
        of_user(user.user_name),
        "enrollment_user.sign_in",
        user.user_name,
        {"source": checked.attempt.source},
        ctx.now,
    )
    return SignedIn(user, token, expires_at)


_WRONG = Refusal(
    RefusalCode.SIGN_IN_WRONG,
    "the user name or the password is wrong",
    "Try again, or ask your administrator for a new password.",
)
"""The same for whoever doesn't exist, or is disabled: it tells nobody who does."""


def _subjects(attempt: EnrollmentSignIn) -> tuple[bytes, bytes]:
    """Return what an attempt is counted under: its user, be there one or not, and its address."""
    user = f"user {normalise_user_name(attempt.user_name)}"
    address = f"address {network_of(attempt.source)}"
    return hashlib.sha256(user.encode()).digest(), hashlib.sha256(address.encode()).digest()


def find_enrollment_session(tx: Transaction, token: str, now: datetime) -> EnrollmentUser | None:
    """Tell whose session *token* is; None when it is unknown or over."""
    return enrollment_users.session(tx, hash_secret(token), now)
