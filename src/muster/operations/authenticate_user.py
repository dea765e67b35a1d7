"""A network or mobile user logs in to a Mac: declined, let in, or asked for the password (UserAuthenticate).

Sources: Apple, "User Authenticate". How the password is shown is in `muster.protocol.user_digest`.
"""

import hashlib
from typing import assert_never

from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment_users import ATTEMPT_WINDOW, may_try
from muster.domain.standing_policies import NetworkUsers
from muster.domain.user_login import CHALLENGE_LIFETIME
from muster.operations.attend_logins import hash_of_token
from muster.operations.checkin import CheckinAnswer, CheckinOutcome, CheckinRequest, Speaking, UserNotManaged
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.protocol.checkin import UserAuthenticate
from muster.protocol.checkin_replies import UserAuthenticateReply, user_authenticate_reply
from muster.protocol.errors import MalformedMessage
from muster.protocol.user_digest import DigestAnswer, digest_challenge, read_digest_answer, shows_password
from muster.storage import enrollment_users, evidence, policies, user_logins
from muster.storage.engine import Transaction


def authenticate_user(
    tx: Transaction, request: CheckinRequest[UserAuthenticate], spoken: Speaking, ctx: Context
) -> CheckinOutcome:
    """Answer one step of a user's login as the policy `network_users` has it; *spoken* is who the Mac speaks for.

    Refused when there were too many attempts, by a reply that costs nobody anything. A wrong password is an answer.
    """
    channel_id = request.message.channel.id
    match policies.read(tx).network_users:
        case NetworkUsers.DECLINE:
            _note(tx, request, spoken, "user_declined", ctx)
            return UserNotManaged()
        case NetworkUsers.ACCEPT:
            user_logins.need_no_token(tx, channel_id)
            if request.message.digest_response is not None:
                return CheckinAnswer(signal="user_let_in")
            _note(tx, request, spoken, "user_let_in", ctx)
            # an empty challenge asks for no password; the Mac has checked it at its own directory
            return _reply(UserAuthenticateReply(digest_challenge=""), "user_let_in")
        case NetworkUsers.DIGEST if request.message.digest_response is None:
            return _challenge(tx, request, spoken, ctx)
        case NetworkUsers.DIGEST:
            return _check(tx, request, spoken, ctx)
        case unknown:
            assert_never(unknown)


def _challenge(
    tx: Transaction, request: CheckinRequest[UserAuthenticate], spoken: Speaking, ctx: Context
) -> CheckinOutcome:
    """Ask for the password. Each time counts as an attempt of the Mac until it is answered rightly."""
    of_device = enrollment_users.count_attempt(tx, _device_subject(request), ctx.now, ATTEMPT_WINDOW)
    limited = may_try(0, of_device)
    if limited is not None:
        _note(tx, request, spoken, "user_limited", ctx)
        return limited
    nonce = random_secret(ctx)
    expires_at = ctx.now + CHALLENGE_LIFETIME
    user_logins.challenge(tx, request.message.channel.id, hash_secret(nonce), expires_at)
    _note(tx, request, spoken, "user_challenged", ctx)
    challenge = digest_challenge(ctx.policy.directory_realm, nonce)
    return _reply(UserAuthenticateReply(digest_challenge=challenge), "user_challenged")


def _check(
    tx: Transaction, request: CheckinRequest[UserAuthenticate], spoken: Speaking, ctx: Context
) -> CheckinOutcome:
    channel_id = request.message.channel.id
    subject = _user_subject(request)
    limited = may_try(enrollment_users.count_attempt(tx, subject, ctx.now, ATTEMPT_WINDOW), 0)
    if limited is not None:
        _note(tx, request, spoken, "user_limited", ctx)
        return limited
    observed = _fault_of(tx, request, ctx)
    if observed is not None:
        _note(tx, request, spoken, observed, ctx)
        return _reply(UserAuthenticateReply(auth_token=""), observed)
    enrollment_users.forget_attempts(tx, subject)
    enrollment_users.forgive_attempt(tx, _device_subject(request))
    token = random_secret(ctx)
    token_hash = hash_of_token(token)
    assert token_hash is not None, "there is a token"
    user_logins.give_token(tx, channel_id, token_hash)
    _note(tx, request, spoken, "user_signed_in", ctx)
    return _reply(UserAuthenticateReply(auth_token=token), "user_signed_in")


def _fault_of(tx: Transaction, request: CheckinRequest[UserAuthenticate], ctx: Context) -> str | None:
    """Tell what is wrong with an answer to a challenge, which is used up by it; None when it shows the password."""
    message = request.message
    assert message.digest_response is not None, "the first step was answered"
    try:
        answer = read_digest_answer(message.digest_response)
    except MalformedMessage:
        return "user_digest_malformed"
    if not user_logins.take_challenge(tx, message.channel.id, hash_secret(answer.nonce), ctx.now):
        return "user_challenge_stale"
    if not _is_of_user(answer, message) or answer.realm != ctx.policy.directory_realm:
        return "user_password_wrong"
    key = request.password_key
    return None if key is not None and shows_password(answer, key) else "user_password_wrong"


def _is_of_user(answer: DigestAnswer, message: UserAuthenticate) -> bool:
    """Tell whether an answer is about the user whose channel is to be opened, as far as the message names him."""
    name = message.identifiers.user_short_name
    return name is None or name.casefold() == answer.user_name.casefold()


def _reply(reply: UserAuthenticateReply, signal: str) -> CheckinAnswer:
    return CheckinAnswer(user_authenticate_reply(reply), signal=signal)


def _note(
    tx: Transaction, request: CheckinRequest[UserAuthenticate], spoken: Speaking, observed: str, ctx: Context
) -> None:
    """Keep a step as evidence of the user's channel, or of the device while the user has none."""
    channel_id = spoken.enrollment.channel.id
    detail = {"user": request.message.identifiers.user_short_name}
    seen = Observation(channel_id, Signal.QUESTION, observed, ctx.now, spoken.epoch, request.source, detail)
    evidence.append(tx, [seen], ctx.new_id)


def _user_subject(request: CheckinRequest[UserAuthenticate]) -> bytes:
    return hashlib.sha256(f"directory user {request.message.channel.id}".encode()).digest()


def _device_subject(request: CheckinRequest[UserAuthenticate]) -> bytes:
    return hashlib.sha256(f"directory device {request.message.channel.device_id}".encode()).digest()
