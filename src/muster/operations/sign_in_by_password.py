"""An administrator signs in by a password and a one-time password, or a recovery code in its place.

As with people who enroll (`sign_in_to_enroll`), the hash is checked between two transactions, and a try counts as wrong
until it was right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from muster.crypto.passwords import NOBODYS_PASSWORD, is_password
from muster.domain.enrollment_users import MAXIMUM_PASSWORD_CHARACTERS, normalise_password
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.one_time_passwords import step_of
from muster.domain.sign_in_limits import Way
from muster.operations.context import Context
from muster.operations.limit_sign_ins import count_try, forgive_try
from muster.operations.set_up_sign_in import TOTP_COLUMN, hash_of_code
from muster.operations.sign_in import Session, Visit, begin_session
from muster.storage import people, sign_in_ways
from muster.storage.engine import Transaction
from muster.storage.sign_in_ways import Ways

MAXIMUM_NAME_CHARACTERS: Final = 64
"""Of an administrator's name."""
MAXIMUM_CODE_CHARACTERS: Final = 40
"""Of a one-time password or a recovery code, with the blanks that people type."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody typed, and who they are. *code* is a one-time password, or a recovery code."""

    name: str
    password: str = field(repr=False)
    code: str = field(repr=False)
    visit: Visit


@dataclass(frozen=True, slots=True)
class PasswordToCheck:
    """A try that is counted, and the hash to check its password against; nobody's where there is no such name."""

    attempt: Attempt
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckedAttempt:
    """A try whose password was checked."""

    attempt: Attempt
    is_right: bool


AdmissionOutcome: TypeAlias = PasswordToCheck | Refusal
SignInOutcome: TypeAlias = Session | Refusal


def admit_attempts(tx: Transaction, attempts: Sequence[Attempt], ctx: Context) -> list[AdmissionOutcome]:
    """Count each try, and give what its password is checked against, or refuse to look at it."""
    return [_admit(tx, attempt, ctx) for attempt in attempts]


def _admit(tx: Transaction, attempt: Attempt, ctx: Context) -> AdmissionOutcome:
    if (
        len(attempt.name) > MAXIMUM_NAME_CHARACTERS
        or len(attempt.password) > MAXIMUM_PASSWORD_CHARACTERS
        or len(attempt.code) > MAXIMUM_CODE_CHARACTERS
        or not attempt.name.isprintable()
    ):
        return WRONG
    refusal = count_try(tx, attempt.name, attempt.visit.source, ctx)
    if refusal is not None:
        return refusal
    ways = sign_in_ways.of_name(tx, attempt.name)
    password_hash = None if ways is None or ways.totp_sealed is None else ways.password_hash
    return PasswordToCheck(attempt, password_hash or NOBODYS_PASSWORD)


def check_attempt(admitted: PasswordToCheck) -> CheckedAttempt:
    """Check the password; takes some 20 ms, so off the event loop and outside of transactions."""
    password = normalise_password(admitted.attempt.password)
    return CheckedAttempt(admitted.attempt, is_password(password, admitted.password_hash))


def sign_in_by_password(tx: Transaction, checked: Sequence[CheckedAttempt], ctx: Context) -> list[SignInOutcome]:
    """Open a session for each try whose password and code are right, or refuse in the same words whatever was wrong."""
    return [_sign_in(tx, one, ctx) for one in checked]


def _sign_in(tx: Transaction, checked: CheckedAttempt, ctx: Context) -> SignInOutcome:
    attempt = checked.attempt
    ways = sign_in_ways.of_name(tx, attempt.name)
    if not checked.is_right or ways is None or ways.totp_sealed is None:
        return WRONG
    way = _second_factor(tx, ways, attempt.code, ctx)
    if way is None:
        return WRONG
    forgive_try(tx, attempt.name, attempt.visit.source)
    session = begin_session(tx, ways.administrator, attempt.visit, way, ctx)
    if way is Way.RECOVERY_CODE:
        left: people.AuditDetail = {"left": sign_in_ways.count_codes(tx, ways.administrator.id)}
        people.record_act(tx, ctx.actor, "administrator.recovery_code", attempt.name, left, ctx.now)
    return session


def _second_factor(tx: Transaction, ways: Ways, code: str, ctx: Context) -> Way | None:
    """Tell by which second factor somebody shows themselves, and use it up; None by none."""
    assert ways.totp_sealed is not None, "it was asked before"
    id_ = ways.administrator.id
    secret = ctx.open(ways.totp_sealed, table="administrators", column=TOTP_COLUMN, row=id_)
    step = step_of(secret, code, ctx.now, ways.last_step)
    if step is not None and sign_in_ways.use_step(tx, id_, step):
        return Way.PASSWORD
    return Way.RECOVERY_CODE if sign_in_ways.use_code(tx, id_, hash_of_code(code), ctx.now) else None


WRONG: Final = Refusal(
    RefusalCode.SIGN_IN_WRONG,
    "the name, the password or the code is wrong",
    "Try again, or use a link: `muster admins link NAME` on the server.",
)
"""The same whatever was wrong: it tells nobody who there is."""
