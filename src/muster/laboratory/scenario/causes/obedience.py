"""Devices that are heard, and don't do or don't answer what they are told."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes.silence import ALIVE_ELSEWHERE, is_witnessed, silent
from muster.laboratory.scenario.causes.terms import A_DAY, AT_RISK, LOST, ONE_DAY_ON, SILENCE
from muster.laboratory.scenario.claims import DEVICE, Claim
from muster.laboratory.scenario.life import Life, share_of, text
from muster.laboratory.scenario.played import Episode
from muster.simulator.facts import Platform

FIVE_TIMES: Final = timedelta(days=6)
"""A command is handed out five times before it is said to block the queue: once a day, and when it comes by itself."""
ASKED_BY_ITSELF: Final[Mapping[str, timedelta]] = MappingProxyType(
    {
        "DeviceInformation": A_DAY,
        "SecurityInfo": timedelta(days=2),
        "InstalledApplicationList": timedelta(days=8),
        "ProfileList": timedelta(days=8),
        "CertificateList": timedelta(days=8),
        "UserList": timedelta(days=8),
    }
)
"""What the server asks without being told, and by when it has."""
_DISOBEYS: Final = frozenset({Reason.COMMAND_BLOCKS_QUEUE, Reason.NOT_OBEYING, Reason.NO_INVENTORY})


def locked(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if text(episode, "how") == "disk":
        return silent(life, number, episode)
    return not_now(life, number, episode)


def not_now(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """Only where nothing at all is answered for the whole proof window; phones and tablets answer questions anyhow.

    So does a Mac's device channel, UserList above all, which it is asked now and then: it may have proved itself by
    that. Its users' channels are asked nothing of that kind.
    """
    is_whole = share_of(episode, "share_of_commands") >= 1 and not text(episode, "hours")
    if not is_whole or life.cohort.platform is not Platform.MAC:
        return
    delay = life.policy.proof_window + A_DAY
    reasons = frozenset({Reason.ALWAYS_NOT_NOW, Reason.NO_INVENTORY})
    cause = Reason.ALWAYS_NOT_NOW
    yield life.claim(cause, number, episode, AT_RISK, None, reasons=reasons, is_fault=False)
    for user in life.users():
        one = life.claim(cause, number, episode, AT_RISK, delay, reasons=reasons, user=user)
        deaf = [life.end_of(dead) for dead in life.of("user_dies") if dead.parameters.get("user") == user]
        # who is heard again has a day to obey
        back = [life.awake_after(at, A_DAY) for at in deaf if one.began_at < at < one.ended_at]
        yield replace(one, right_by=max([one.right_by or one.began_at, *back]))
    yield from _inventory_limit(life, number, episode)


def ignore_commands(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    delay = life.policy.proof_window + A_DAY
    is_refusing = text(episode, "answer") == "error"
    cause = Reason.NOT_OBEYING if is_refusing else Reason.COMMAND_BLOCKS_QUEUE
    # its enrollment profile may be sent meanwhile, and is refused as well
    reasons = _DISOBEYS | {Reason.IDENTITY_RENEWAL_REFUSED} if is_refusing else _DISOBEYS
    yield life.claim(cause, number, episode, AT_RISK, delay, reasons=reasons)
    yield from _users_alike(life, cause, number, episode, _DISOBEYS)
    yield from _inventory_limit(life, number, episode)


def _users_alike(
    life: Life, cause: Reason, number: int, episode: Episode, reasons: frozenset[Reason]
) -> Iterable[Claim]:
    """A device's users answer as it does. How often they are asked is not foreseen, so it is never required."""
    for user in life.users():
        yield life.claim(cause, number, episode, AT_RISK, None, reasons=reasons, user=user, is_fault=False)


def _inventory_limit(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    limit = episode.began_at + life.policy.inventory_limit
    if limit < life.end_of(episode):
        span = (limit - A_DAY, life.end_of(episode))
        yield life.claim(Reason.NO_INVENTORY, number, episode, LOST, ONE_DAY_ON, span=span)


def hang_on(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    command, ended = text(episode, "command"), life.end_of(episode)
    if episode.parameters.get("client") is True:
        yield from _client_hangs(life, number, episode, command, ended)
        return
    asks_for_all = command == "DeviceInformation"
    reasons = _DISOBEYS if asks_for_all else frozenset({Reason.COMMAND_BLOCKS_QUEUE})
    yield from _users_alike(life, Reason.COMMAND_BLOCKS_QUEUE, number, episode, reasons)
    first = _asked_after(life, command, episode.began_at)
    if first is None or first >= ended:
        return
    # once it is put aside, and the next is obeyed, nothing is wrong any more: where that is the same contact, at once
    span = (first, ended if asks_for_all else min(ended, life.awake_after(first, FIVE_TIMES)))
    cause = Reason.COMMAND_BLOCKS_QUEUE
    yield life.claim(cause, number, episode, AT_RISK, None, reasons=reasons, span=span, is_fault=False)


def _client_hangs(life: Life, number: int, episode: Episode, command: str, ended: datetime) -> Iterable[Claim]:
    """From the first time that it is asked to the next boot; and so again, until it is asked no more.

    Whom another witness sees meanwhile has lost its identity, for all that anybody knows.
    """
    reasons, at = frozenset({Reason.CLIENT_HUNG, Reason.SILENT}), episode.began_at
    is_seen = is_witnessed(life, episode)
    if is_seen:
        reasons |= ALIVE_ELSEWHERE
    boots = [one.began_at for one in life.of("restart", "os_update")]
    boots += [life.end_of(one) for one in life.of("power_off")]
    if life.is_off_at_rest:
        boots += [ended_at for _, ended_at in life.rests]
    revived_at = min((boot for boot in boots if boot >= ended), default=life.ended_at)
    for until in (*sorted(boot for boot in boots if at < boot < ended), ended):
        first = _asked_after(life, command, at)
        asked_at = until if first is None else min(first, until)
        hangs_until = revived_at if until == ended else until
        for user in (DEVICE, *life.users()):  # it may be asked sooner than it has to be
            states = AT_RISK | SILENCE
            span = (at, asked_at if asked_at < until else hangs_until)
            yield life.claim(Reason.CLIENT_HUNG, number, episode, states, None, reasons=reasons, span=span, user=user)
        if asked_at < until:
            span = (asked_at, hangs_until)
            yield from life.by_silence(Reason.CLIENT_HUNG, number, span, reasons)
            states = AT_RISK | LOST if is_seen else AT_RISK
            for user in (DEVICE, *life.users()) if is_seen else (DEVICE,):
                yield life.claim(
                    Reason.CLIENT_HUNG, number, episode, states, None, reasons=reasons, span=span, user=user
                )
        at = until


def _asked_after(life: Life, command: str, at: datetime) -> datetime | None:
    """When the device has been asked it after *at* at the latest; None: never, as far as can be foreseen."""
    asked = [one.began_at for one in life.of("send") if text(one, "command") == command and not one.note]
    if command in ASKED_BY_ITSELF:
        asked.append(life.awake_after(at, ASKED_BY_ITSELF[command]))
    return min((one for one in asked if one >= at), default=None)


def answer_error(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """One command that fails is no loss of control, unless it is the one by which control is proved."""
    command = text(episode, "command")
    if command == "DeviceInformation":
        yield life.claim(Reason.NOT_OBEYING, number, episode, AT_RISK, None, reasons=_DISOBEYS | {Reason.NO_INVENTORY})
        yield from _inventory_limit(life, number, episode)
    if command == "InstallProfile":
        yield from refuse_renewal(life, number, episode)


def lose_answers(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    cause, reasons = Reason.ACKNOWLEDGEMENT_LOST, _DISOBEYS | {Reason.IDENTITY_RENEWAL_REFUSED}
    yield life.claim(cause, number, episode, AT_RISK, None, reasons=reasons)
    yield from _users_alike(life, cause, number, episode, reasons)


def refuse_renewal(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """It shows when a renewal is due, and goes on until one succeeds."""
    tried = [one for one in life.identities if one.renew_from < life.end_of(episode)]
    for identity in tried:
        began = max(identity.renew_from, episode.began_at)
        until = min(life.end_of(episode), identity.replaced_at or life.ended_at, identity.not_after)
        if began >= until:
            continue
        reasons = frozenset({Reason.IDENTITY_RENEWAL_REFUSED, Reason.IDENTITY_EXPIRING})
        delay = identity.spread + ONE_DAY_ON
        span = (began, until)
        yield life.claim(Reason.IDENTITY_RENEWAL_REFUSED, number, episode, AT_RISK, delay, reasons=reasons, span=span)
