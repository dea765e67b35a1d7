"""Administrators add passkeys, and sign in by them: a challenge each time, good once and for minutes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeAlias

from muster.crypto.passkeys import (
    BadPasskey,
    Credential,
    Site,
    authentication_options,
    credential_named,
    read_authentication,
    read_registration,
    registration_options,
)
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.sign_in_limits import Way
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.operations.limit_sign_ins import count_address, forgive_address
from muster.operations.set_up_sign_in import state_row
from muster.operations.sign_in import Session, Visit, begin_session
from muster.storage import passkeys, people, sign_in_ways
from muster.storage.engine import Transaction
from muster.storage.passkeys import StoredPasskey

CHALLENGE_BYTES: Final = 32
CHALLENGE_LIFETIME: Final = timedelta(minutes=5)
"""From the question to the answer: a person looks for the key first."""
MAXIMUM_PASSKEYS: Final = 20
"""Of one administrator."""
MAXIMUM_NAME: Final = 64
"""Characters of what somebody calls a passkey."""
_ADDING, _SIGNING_IN = "passkey_adding", "passkey_signing_in"


@dataclass(frozen=True, slots=True)
class Question:
    """What a browser is asked, as JSON; *state* comes back with its answer."""

    options: str
    state: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AddingBegun:
    """Somebody who is signed in wants to add a passkey."""

    administrator_id: str
    name: str
    site: Site


@dataclass(frozen=True, slots=True)
class PasskeyMade:
    """What the browser of somebody who is signed in made, and what they call it."""

    administrator_id: str
    name: str
    state: str = field(repr=False)
    answer: str = field(repr=False)
    site: Site


@dataclass(frozen=True, slots=True)
class SigningInBegun:
    """Somebody wants to sign in by a passkey."""

    source: str
    site: Site


@dataclass(frozen=True, slots=True)
class PasskeyShown:
    """What the browser of somebody who signs in answered."""

    state: str = field(repr=False)
    answer: str = field(repr=False)
    visit: Visit
    site: Site


@dataclass(frozen=True, slots=True)
class PasskeyRemoval:
    """A passkey to forget, if it is this administrator's."""

    administrator_id: str
    credential_id: bytes


QuestionOutcome: TypeAlias = Question | Refusal
SignInOutcome: TypeAlias = Session | Refusal

_WRONG: Final = Refusal(
    RefusalCode.SIGN_IN_WRONG, "this passkey signs nobody in here", "Use another, or a link: `muster admins link NAME`."
)


def begin_adding(tx: Transaction, begun: Sequence[AddingBegun], ctx: Context) -> list[QuestionOutcome]:
    """Make what a browser is asked to make a passkey by; refused where somebody has MAXIMUM_PASSKEYS."""
    return [_begin_adding(tx, one, ctx) for one in begun]


def _begin_adding(tx: Transaction, begun: AddingBegun, ctx: Context) -> QuestionOutcome:
    known = passkeys.ids_of(tx, begun.administrator_id)
    if len(known) >= MAXIMUM_PASSKEYS:
        return Refusal(RefusalCode.CONFLICT, f"you have {MAXIMUM_PASSKEYS} passkeys already", "Remove one first.")
    challenge = ctx.random_bytes(CHALLENGE_BYTES)
    options = registration_options(
        begun.site, user_id=begun.administrator_id.encode(), name=begun.name, challenge=challenge, known=known
    )
    return Question(options, _keep(tx, challenge, _ADDING, begun.administrator_id, ctx))


def add_passkeys(tx: Transaction, made: Sequence[PasskeyMade], ctx: Context) -> list[Refusal | None]:
    """Keep passkeys, an act of the audit log each; refused where the answer is not to our question, or not right."""
    return [_add(tx, one, ctx) for one in made]


def _add(tx: Transaction, made: PasskeyMade, ctx: Context) -> Refusal | None:
    name = made.name.strip()
    if not name or len(name) > MAXIMUM_NAME or not name.isprintable():
        return Refusal(RefusalCode.ORDER_UNFIT, f"a passkey's name has 1 to {MAXIMUM_NAME} printable characters")
    challenge = _take(tx, made.state, _ADDING, made.administrator_id, ctx)
    if challenge is None:
        return Refusal(RefusalCode.SIGN_IN_UNKNOWN, "it took too long", "Begin again.")
    try:
        credential = read_registration(made.answer, made.site, challenge)
    except BadPasskey:
        return Refusal(RefusalCode.SIGN_IN_WRONG, "this is no passkey for here", "Begin again, or try another.")
    stored = StoredPasskey(credential.id, made.administrator_id, name, credential.public_key, credential.sign_count)
    if not passkeys.add(tx, stored, ctx.now):
        return Refusal(RefusalCode.CONFLICT, "this passkey is known already")
    people.record_act(tx, ctx.actor, "administrator.passkey", ctx.actor.name, {"name": name}, ctx.now)
    return None


def remove_passkeys(tx: Transaction, removals: Sequence[PasskeyRemoval], ctx: Context) -> list[bool]:
    """Forget passkeys, an act of the audit log each; False where there is none of theirs."""
    outcomes = []
    for one in removals:
        was_there = passkeys.remove(tx, one.administrator_id, one.credential_id)
        if was_there:
            people.record_act(tx, ctx.actor, "administrator.passkey_removed", ctx.actor.name, {}, ctx.now)
        outcomes.append(was_there)
    return outcomes


def begin_signing_in(tx: Transaction, begun: Sequence[SigningInBegun], ctx: Context) -> list[QuestionOutcome]:
    """Make what a browser is asked; counted as a try of its address until it was right."""
    return [_begin_signing_in(tx, one, ctx) for one in begun]


def _begin_signing_in(tx: Transaction, begun: SigningInBegun, ctx: Context) -> QuestionOutcome:
    refusal = count_address(tx, Way.PASSKEY, begun.source, ctx)
    if refusal is not None:
        return refusal
    challenge = ctx.random_bytes(CHALLENGE_BYTES)
    return Question(authentication_options(begun.site, challenge), _keep(tx, challenge, _SIGNING_IN, None, ctx))


def sign_in_by_passkey(tx: Transaction, shown: Sequence[PasskeyShown], ctx: Context) -> list[SignInOutcome]:
    """Open a session for whoever has the key, or refuse in the same words whatever was wrong.

    The name's count of tries is not asked for: a key isn't guessed, and nobody shuts somebody out who has one.
    """
    return [_sign_in(tx, one, ctx) for one in shown]


def _sign_in(tx: Transaction, shown: PasskeyShown, ctx: Context) -> SignInOutcome:
    challenge = _take(tx, shown.state, _SIGNING_IN, None, ctx)
    if challenge is None:
        return _WRONG
    try:
        known = passkeys.find(tx, credential_named(shown.answer))
        if known is None:
            return _WRONG
        credential = Credential(known.credential_id, known.public_key, known.sign_count)
        count = read_authentication(shown.answer, shown.site, challenge, credential)
    except BadPasskey:
        return _WRONG
    ways = sign_in_ways.of_id(tx, known.administrator_id)
    if ways is None:
        return _WRONG
    passkeys.note_use(tx, known.credential_id, count, ctx.now)
    forgive_address(tx, Way.PASSKEY, shown.visit.source)
    return begin_session(tx, ways.administrator, shown.visit, Way.PASSKEY, ctx)


def _keep(tx: Transaction, challenge: bytes, kind: str, administrator_id: str | None, ctx: Context) -> str:
    state = random_secret(ctx)
    sign_in_ways.add_state(
        tx,
        token_hash=hash_secret(state),
        kind=kind,
        administrator_id=administrator_id,
        sealed=ctx.seal(challenge, table="sign_in_states", column="sealed", row=state_row(state)),
        at=ctx.now,
        expires_at=ctx.now + CHALLENGE_LIFETIME,
    )
    return state


def _take(tx: Transaction, state: str, kind: str, administrator_id: str | None, ctx: Context) -> bytes | None:
    sealed = sign_in_ways.take_state(tx, hash_secret(state), kind, administrator_id, ctx.now)
    return None if sealed is None else ctx.open(sealed, table="sign_in_states", column="sealed", row=state_row(state))
