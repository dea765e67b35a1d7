"""Commands and pushes: `/v1/enqueue/IDS` and `/v1/push/IDS`, with what became of each push in the answer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from muster.domain.errors import Refusal
from muster.domain.principals import Principal
from muster.edges.nanomdm.replies import ApiResult, ChannelStatus, api_result
from muster.edges.nanomdm.requests import BodyTooLarge, read_body
from muster.operations.permit import of_devices, permitted, seen
from muster.operations.ports import Runner
from muster.operations.send_raw_command import RawOrder, RawSent, send_raw_commands
from muster.operations.views.push_results import PushResult, push_results
from muster.protocol.apns import OutcomeClass
from muster.protocol.command import Command, CommandRequest, decode_command
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId

PUSH_SECONDS: Final = 5.0
"""For so long a request waits for APNs' answer, which comes within a second; the push goes on by itself after that."""
FIRST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.5
"""Between two looks at what became of the pushes."""
MAXIMUM_IDS: Final = 5_000
"""More than an address has room for."""
_NOT_KNOWN: Final = "push data missing for id"
_NUL: Final = "\x00"
"""Which PostgreSQL takes in no text."""
_BLANKS: Final = b" \t\r\n"
"""Which scripts leave before the first line."""
_NO_PATH: Final = "getting enrollment ids: empty path"
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

log = structlog.get_logger("muster.nanomdm")


class CommandDoors:
    """The doors for commands and pushes."""

    def __init__(self, runner: Runner, *, push_seconds: float = PUSH_SECONDS) -> None:
        self._runner = runner
        self._push_seconds = push_seconds

    async def enqueue(self, request: Request, principal: Principal) -> Response:
        """Queue the command in the body for each id of the path, and push them unless `nopush` says not to.

        Without a body they are pushed, and nothing is queued.
        """
        named = _named(request)
        if not named:
            return api_result(ApiResult(0, command_error=_NO_PATH))
        is_pushed = not request.query_params.get("nopush")
        result = ApiResult(len(named), no_push=not is_pushed)
        try:
            body = (await read_body(request)).lstrip(_BLANKS)
            command = decode_command(body) if body else None
        except MalformedMessage as error:
            return api_result(ApiResult(len(named), command_error=f"decoding command: {error}"))
        except (BodyTooLarge, ClientDisconnect, TimeoutError) as error:
            return api_result(ApiResult(len(named), command_error=f"reading body: {error}"))
        if command is None and not is_pushed:
            return api_result(replace(result, command_error="must enqueue or push"))
        return await self._send(principal, result, named, command, is_pushed=is_pushed)

    async def push(self, request: Request, principal: Principal) -> Response:
        """Push each id of the path."""
        named = _named(request)
        if not named:
            return api_result(ApiResult(0, push_error=_NO_PATH))
        return await self._send(principal, ApiResult(len(named)), named, None, is_pushed=True)

    async def _send(
        self,
        principal: Principal,
        result: ApiResult,
        named: Sequence[ChannelId],
        command: Command | None,
        *,
        is_pushed: bool,
    ) -> Response:
        if len(named) > MAXIMUM_IDS:
            return _failed(result, command, f"more than {MAXIMUM_IDS} ids are named")
        if any(_NUL in one for one in named):
            return _failed(result, command, "an id has a character that stands in none")
        if command is None:
            order = RawOrder(tuple(named))
        else:
            request = CommandRequest(command.request_type, command.keys)
            order = RawOrder(tuple(named), request, command.command_uuid, is_pushed)
            result = replace(result, command_uuid=command.command_uuid, request_type=command.request_type)
        send = permitted(principal, send_raw_commands)
        sent = (await self._runner.write(send, [order], principal.actor))[0]
        refusal = sent if isinstance(sent, Refusal) else sent.refusal
        if isinstance(sent, Refusal) or refusal is not None:
            assert refusal is not None, "it is one of the two"
            log.warning("refused", code=refusal.code.value, reason=refusal.message)
            return _failed(result, command, _words(refusal))
        pushed = await self._await_pushes(principal, sent)
        return api_result(replace(result, status=_statuses(sent, pushed)))

    async def _await_pushes(self, principal: Principal, sent: RawSent) -> Mapping[ChannelId, PushResult]:
        """Wait until APNs answered all pushes that are sent, or patience ends; those still under way are absent."""
        found: dict[ChannelId, PushResult] = {}
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._push_seconds, FIRST_PAUSE_SECONDS
        while True:
            rest = [one for one in sent.pushed if one not in found]
            if not rest:
                return found
            now = self._runner.now()
            sight = of_devices(rest, partial(push_results, channel_ids=rest, since=sent.at, now=now))
            look = seen(principal, sight, now)
            read = await self._runner.read(look)
            found |= {} if isinstance(read, Refusal) else read  # out of sight since: nothing is told
            if loop.time() >= until:
                return found
            if len(found) < len(sent.pushed):
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _failed(result: ApiResult, command: Command | None, words: str) -> Response:
    """Answer that all of it failed: the command, or the push where there is none."""
    return api_result(replace(result, push_error=words) if command is None else replace(result, command_error=words))


def _named(request: Request) -> list[ChannelId]:
    """Return the ids in the path, as they are written there, each as often as it is named."""
    path: str = request.path_params["ids"]
    return [ChannelId(one) for one in path.split(",")] if path else []


def _statuses(sent: RawSent, pushed: Mapping[ChannelId, PushResult]) -> dict[str, ChannelStatus]:
    statuses = {one: ChannelStatus(command_error=_words(refusal)) for one, refusal in sent.failed.items()}
    for one in sent.pushed:
        error, apns_id = _push_words(pushed.get(one))
        statuses[one] = replace(statuses.get(one, ChannelStatus()), push_error=error, push_result=apns_id)
    return {one: status for one, status in statuses.items() if status != ChannelStatus()}


def _push_words(result: PushResult | None) -> tuple[str, str]:
    """Return what went wrong with a push, and its apns-id; each is empty where there is none."""
    if result is None:
        return "APNs has not answered yet; the push goes on by itself", ""
    if not result.is_known:
        return _NOT_KNOWN, ""
    if result.push is None:
        if result.refusal is not None and result.refusal.status:
            refusal = result.refusal
            return _apns_words(refusal.status or 0, refusal.reason, refusal.unregistered_at), ""
        return result.words, ""
    outcome = result.push.outcome
    if outcome.outcome_class is OutcomeClass.ACCEPTED:
        return "", result.push.apns_id
    if outcome.status == 0:
        return f"no answer from APNs: {outcome.reason or 'none came'}", ""
    return _apns_words(outcome.status, outcome.reason, outcome.unregistered_at), result.push.apns_id


def _apns_words(status: int, reason: str | None, unregistered_at: datetime | None) -> str:
    words = f"push HTTP status: {status}: APNs push error"
    if reason:
        words += f": {reason}"
    if unregistered_at is not None:
        words += f": timestamp {(unregistered_at - _EPOCH) // timedelta(milliseconds=1)}"
    return words


def _words(refusal: Refusal) -> str:
    return f"{refusal.message}. {refusal.remedy}" if refusal.remedy else refusal.message
