"""An administrator, signed in, sets up by what they sign in from then on; an owner makes somebody start anew."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeAlias

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.one_time_passwords import SECRET_BYTES, step_of
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.operations.permit import act
from muster.storage import people, sessions, sign_in_ways
from muster.storage.engine import Transaction
from muster.storage.people import Administrator

TOTP_COLUMN: Final = "totp_sealed"
STATE: Final = "totp"
STATE_LIFETIME: Final = timedelta(minutes=15)
"""From seeing the QR code to typing the first one-time password."""
RECOVERY_CODES: Final = 10
"""Made at a time; a person loses a telephone more seldom."""
_CODE_BYTES: Final = 10
"""80 bits: not to be guessed, even by who has their hashes."""


@dataclass(frozen=True, slots=True)
class PasswordOrder:
    """A new password of an administrator, hashed already (`crypto.passwords.hash_password`), and the session it was
    typed in, which stays open."""

    administrator_id: str
    password_hash: str = field(repr=False)
    session_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """A secret that an application may take. *state* comes back with the first one-time password."""

    secret: bytes = field(repr=False)
    state: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TotpConfirmation:
    """The first one-time password, which shows that the secret arrived."""

    administrator_id: str
    state: str = field(repr=False)
    typed: str = field(repr=False)
    session_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecoveryCodes:
    """Codes that are each good once in place of a one-time password; shown once."""

    codes: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrongFirstCode:
    """What was typed is not what the secret gives; *again* offers the same secret, which the application has."""

    refusal: Refusal
    again: TotpOffer


ConfirmOutcome: TypeAlias = RecoveryCodes | WrongFirstCode | Refusal


def set_own_passwords(tx: Transaction, orders: Sequence[PasswordOrder], ctx: Context) -> list[None]:
    """Replace passwords, an act of the audit log each; every other session of the administrator ends."""
    for order in orders:
        sign_in_ways.set_password(tx, order.administrator_id, order.password_hash)
        sessions.end_others(tx, order.administrator_id, hash_secret(order.session_token))
        people.record_act(tx, ctx.actor, "administrator.password", ctx.actor.name, {}, ctx.now)
    return [None] * len(orders)


def offer_totp(tx: Transaction, administrator_ids: Sequence[str], ctx: Context) -> list[TotpOffer]:
    """Make a secret for each administrator's application; nothing changes before its first password is typed."""
    return [_offer(tx, one, ctx.random_bytes(SECRET_BYTES), ctx) for one in administrator_ids]


def _offer(tx: Transaction, administrator_id: str, secret: bytes, ctx: Context) -> TotpOffer:
    state = random_secret(ctx)
    sealed = ctx.seal(secret, table="sign_in_states", column="sealed", row=state_row(state))
    sign_in_ways.add_state(
        tx,
        token_hash=hash_secret(state),
        kind=STATE,
        administrator_id=administrator_id,
        sealed=sealed,
        at=ctx.now,
        expires_at=ctx.now + STATE_LIFETIME,
    )
    return TotpOffer(secret, state)


def confirm_totp(tx: Transaction, confirmations: Sequence[TotpConfirmation], ctx: Context) -> list[ConfirmOutcome]:
    """Keep the secret whose one-time password was typed, and make recovery codes; every other session ends.

    A wrong one is told with another offer of the same secret; an offer that is over or another's is refused.
    The offer is used up either way.
    """
    return [_confirm(tx, one, ctx) for one in confirmations]


def _confirm(tx: Transaction, one: TotpConfirmation, ctx: Context) -> ConfirmOutcome:
    sealed = sign_in_ways.take_state(tx, hash_secret(one.state), STATE, one.administrator_id, ctx.now)
    if sealed is None:
        return Refusal(RefusalCode.SIGN_IN_UNKNOWN, "this set-up is over", "Begin it again.")
    secret = ctx.open(sealed, table="sign_in_states", column="sealed", row=state_row(one.state))
    step = step_of(secret, one.typed, ctx.now, None)
    if step is None:
        refusal = Refusal(
            RefusalCode.SIGN_IN_WRONG,
            "this is not the code that the application shows",
            "Type the one that it shows now, and see that the telephone's clock is right.",
        )
        return WrongFirstCode(refusal, _offer(tx, one.administrator_id, secret, ctx))
    kept = ctx.seal(secret, table="administrators", column=TOTP_COLUMN, row=one.administrator_id)
    sign_in_ways.set_totp(tx, one.administrator_id, kept, step)
    sessions.end_others(tx, one.administrator_id, hash_secret(one.session_token))
    people.record_act(tx, ctx.actor, "administrator.totp", ctx.actor.name, {}, ctx.now)
    return _new_codes(tx, one.administrator_id, ctx)


def _new_codes(tx: Transaction, administrator_id: str, ctx: Context) -> RecoveryCodes:
    codes = tuple(_code(ctx.random_bytes(_CODE_BYTES)) for _ in range(RECOVERY_CODES))
    sign_in_ways.replace_codes(tx, administrator_id, [hash_of_code(one) for one in codes])
    return RecoveryCodes(codes)


def _code(random: bytes) -> str:
    text = base64.b32encode(random).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def hash_of_code(typed: str) -> bytes:
    """Return how a recovery code is kept; case, blanks and hyphens count for nothing."""
    return hash_secret("recovery " + "".join(typed.split()).replace("-", "").lower())


def state_row(state: str) -> str:
    """Return the row that what is kept for *state* is sealed for."""
    return hash_secret(state).hex()


@act(Permission.PEOPLE)
def reset_ways(tx: Transaction, names: Sequence[str], ctx: Context) -> list[Administrator | Refusal]:
    """Forget every way by which administrators sign in, and end their sessions: for a telephone that was stolen.

    They come in again by a link. An act of the audit log each; refused for a name that there is not.
    """
    outcomes: list[Administrator | Refusal] = []
    for name in names:
        known = people.find_administrator(tx, name)
        if known is None:
            outcomes.append(Refusal(RefusalCode.NOT_FOUND, f"there is no administrator {name}"))
            continue
        sign_in_ways.reset(tx, known.id)
        people.end_sessions(tx, known.id)
        people.record_act(tx, ctx.actor, "administrator.reset", name, {}, ctx.now)
        outcomes.append(known)
    return outcomes
