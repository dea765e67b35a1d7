"""The transmitter's addresses: what it is, its keys, a stream's configuration, status, subjects, verification, polls.

Source: OpenID Shared Signals Framework 1.0, sections 7 and 8; RFC 8936.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Final, TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from muster.domain.errors import Refusal
from muster.domain.signals import published_keys
from muster.edges.signals.replies import as_json, empty, error, polled, refuse, said, unavailable
from muster.operations.limit_guesses import Guesses
from muster.operations.ports import Runner
from muster.operations.serve_signals import (
    ByReceiver,
    PollOrder,
    StatusOrder,
    StreamOrder,
    SubjectOrder,
    VerificationOrder,
    change_streams,
    change_subjects,
    create_streams,
    delete_streams,
    is_anything_waiting,
    poll_streams,
    read_status,
    read_streams,
    set_statuses,
    verify_streams,
)
from muster.operations.write_tokens import token_issuer
from muster.protocol.account_driven import bearer_token
from muster.protocol.errors import MalformedMessage
from muster.protocol.shared_signals import (
    MAX_BODY_BYTES,
    DeliveryMethod,
    StreamStatus,
    optional_text,
    read_object,
    read_poll_request,
    read_stream_request,
    read_subject,
    required_text,
)
from muster.storage import signals
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable

BODY_SECONDS: Final = 30
"""For the body of a request."""
LONG_POLL_SECONDS: Final = 20.0
"""For so long a poll waits for something to come, which is less than proxies have patience for."""
LOOK_EVERY_SECONDS: Final = 1.0
MAXIMUM_LONG_POLLS: Final = 40
"""Polls that wait in this process: two of each receiver; those beyond are answered at once."""
_BY_WHOM_IS_KNOWN: Final = frozenset({200, 201, 202, 204, 404, 409})
"""Answers for which the token was found; that to a body which can't be read says nothing of it."""
KEPT_AN_HOUR: Final = {"Cache-Control": "max-age=3600"}
"""For so long receivers may keep our keys; a new one is published a day before it signs."""
SPEC_VERSION: Final = "1_0"


class Call:
    """One request: its *token*, and its *body* where it has one."""

    def __init__(self, request: Request, token: str, body: bytes) -> None:
        self.token = token
        self.body = body
        self.query = request.query_params
        self.path = request.path_params


Answer: TypeAlias = Callable[[Call], Awaitable[Response]]


def make_signals_api(runner: Runner, *, long_poll_seconds: float = LONG_POLL_SECONDS) -> list[BaseRoute]:
    """Make the routes. All but the first two want a receiver's token; errors are JSON with `err` and `description`."""
    endpoints, guesses = _Endpoints(runner, long_poll_seconds), Guesses()
    doors: Mapping[str, Mapping[str, Answer]] = {
        "/signals/streams": {
            "GET": endpoints.read,
            "POST": endpoints.create,
            "PATCH": partial(endpoints.change, is_whole=False),
            "PUT": partial(endpoints.change, is_whole=True),
            "DELETE": endpoints.delete,
        },
        "/signals/status": {"GET": endpoints.read_status, "POST": endpoints.set_status},
        "/signals/subjects/add": {"POST": partial(endpoints.change_subject, is_added=True)},
        "/signals/subjects/remove": {"POST": partial(endpoints.change_subject, is_added=False)},
        "/signals/verify": {"POST": endpoints.verify},
        "/signals/poll/{stream_id}": {"POST": endpoints.poll},
    }
    return [
        Route("/.well-known/ssf-configuration", endpoints.describe),
        Route("/signals/jwks", endpoints.keys),
        *(
            Route(path, _door(answers, runner, guesses), methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
            for path, answers in doors.items()
        ),
    ]


class _Endpoints:
    def __init__(self, runner: Runner, long_poll_seconds: float) -> None:
        self._runner = runner
        self._long_poll_seconds = long_poll_seconds
        self._long_polls = 0

    async def describe(self, _request: Request) -> Response:
        """What this transmitter is (SSF 1.0, 7.1)."""
        try:
            issuer = await self._runner.read(token_issuer)
        except Unavailable as fault:
            return unavailable(fault)
        return as_json(
            {
                "spec_version": SPEC_VERSION,
                "issuer": issuer,
                "jwks_uri": f"{issuer}/signals/jwks",
                "delivery_methods_supported": [one.value for one in DeliveryMethod],
                "configuration_endpoint": f"{issuer}/signals/streams",
                "status_endpoint": f"{issuer}/signals/status",
                "add_subject_endpoint": f"{issuer}/signals/subjects/add",
                "remove_subject_endpoint": f"{issuer}/signals/subjects/remove",
                "verification_endpoint": f"{issuer}/signals/verify",
                "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6750"}],
                "critical_subject_members": ["device"],
                "default_subjects": "ALL",
            },
            headers=KEPT_AN_HOUR,
        )

    async def keys(self, _request: Request) -> Response:
        """The keys that sign, will sign, or signed lately (RFC 7517, 5)."""
        now = self._runner.now()
        try:
            found = await self._runner.read(lambda tx: published_keys(signals.keys(tx), now))
        except Unavailable as fault:
            return unavailable(fault)
        return as_json({"keys": [dict(one.jwk) for one in found]}, headers=KEPT_AN_HOUR)

    async def read(self, call: Call) -> Response:
        stream_id = call.query.get("stream_id")
        order = ByReceiver(call.token, stream_id)
        found = await self._runner.read(lambda tx: read_streams(tx, order))
        if isinstance(found, Refusal):
            return refuse(found)
        return as_json(found if stream_id is None else found[0])

    async def create(self, call: Call) -> Response:
        order = StreamOrder(call.token, None, read_stream_request(call.body), is_whole=True)
        return said((await self._runner.write(create_streams, [order]))[0], 201)

    async def change(self, call: Call, *, is_whole: bool) -> Response:
        request = read_stream_request(call.body)
        if request.stream_id is None:
            raise MalformedMessage("stream_id is missing")
        order = StreamOrder(call.token, request.stream_id, request, is_whole)
        return said((await self._runner.write(change_streams, [order]))[0])

    async def delete(self, call: Call) -> Response:
        order = ByReceiver(call.token, _stream_id(call))
        outcome = (await self._runner.write(delete_streams, [order]))[0]
        return refuse(outcome) if isinstance(outcome, Refusal) else empty(204)

    async def read_status(self, call: Call) -> Response:
        order = ByReceiver(call.token, _stream_id(call))
        return said(await self._runner.read(lambda tx: read_status(tx, order)))

    async def set_status(self, call: Call) -> Response:
        members = read_object(call.body)
        status = required_text(members, "status")
        if status not in tuple(StreamStatus):
            raise MalformedMessage(f"status is one of {', '.join(StreamStatus)}")
        stream_id = required_text(members, "stream_id")
        order = StatusOrder(call.token, stream_id, StreamStatus(status), optional_text(members, "reason"))
        return said((await self._runner.write(set_statuses, [order]))[0])

    async def change_subject(self, call: Call, *, is_added: bool) -> Response:
        members = read_object(call.body)
        device_id = read_subject(members, await self._runner.read(token_issuer))
        order = SubjectOrder(call.token, required_text(members, "stream_id"), device_id, is_added)
        outcome = (await self._runner.write(change_subjects, [order]))[0]
        return refuse(outcome) if isinstance(outcome, Refusal) else empty(200 if is_added else 204)

    async def verify(self, call: Call) -> Response:
        members = read_object(call.body)
        order = VerificationOrder(call.token, required_text(members, "stream_id"), optional_text(members, "state"))
        outcome = (await self._runner.write(verify_streams, [order]))[0]
        return refuse(outcome) if isinstance(outcome, Refusal) else empty(204)

    async def poll(self, call: Call) -> Response:
        request = read_poll_request(call.body)
        order = PollOrder(call.token, str(call.path["stream_id"]), request)
        settles = bool(request.acknowledged or request.errors)
        if not settles and not request.returns_immediately and request.max_events != 0:
            await self._wait(partial(is_anything_waiting, order=order))
        outcome = (await self._runner.write(poll_streams, [order]))[0]
        return refuse(outcome) if isinstance(outcome, Refusal) else polled(outcome)

    async def _wait(self, is_there: Callable[[Transaction], bool]) -> None:
        """Wait until there is something, or patience ends."""
        if self._long_polls >= MAXIMUM_LONG_POLLS:
            return
        self._long_polls += 1
        try:
            loop = asyncio.get_running_loop()
            until = loop.time() + self._long_poll_seconds
            while not await self._runner.read(is_there) and loop.time() < until:  # noqa: ASYNC110 - it may be another node's
                await asyncio.sleep(min(LOOK_EVERY_SECONDS, self._long_poll_seconds))
        finally:
            self._long_polls -= 1


def _door(answers: Mapping[str, Answer], runner: Runner, guesses: Guesses) -> Callable[[Request], Awaitable[Response]]:
    """Make what answers at one address: its method and how often its token was guessed at first, then all else."""

    async def answer(request: Request) -> Response:
        token = bearer_token(request.headers.get("authorization"))
        if token is None:
            return await _answer(answers, request)
        source, shown = "" if request.client is None else request.client.host, token.encode()
        wait = guesses.wait(source, shown, runner.now())
        if wait is not None:
            words = "this address showed too many tokens that are not known"
            return error(429, "authentication_failed", words, {"Retry-After": str(wait)})
        response = await _answer(answers, request)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            guesses.was_wrong(source, shown)
        elif response.status_code in _BY_WHOM_IS_KNOWN:
            guesses.was_right(source, shown)
        return response

    return answer


async def _answer(answers: Mapping[str, Answer], request: Request) -> Response:
    """Answer one request: its method and its token first, then its body."""
    answer = answers.get(request.method)
    if answer is None:
        return error(405, "invalid_request", "not by this method", {"Allow": ", ".join(answers)})
    token = bearer_token(request.headers.get("authorization"))
    if token is None:
        words = "the request carries no token: Authorization: Bearer TOKEN"
        return error(401, "authentication_failed", words, {"WWW-Authenticate": "Bearer"})
    try:
        body = await _body(request) if request.method in ("POST", "PUT", "PATCH") else b""
        return await answer(Call(request, token, body))
    except MalformedMessage as fault:
        return error(400, "invalid_request", str(fault))
    except (ClientDisconnect, TimeoutError):
        return error(408, "invalid_request", f"the body did not come within {BODY_SECONDS} seconds")
    except Unavailable as fault:
        return unavailable(fault)


async def _body(request: Request) -> bytes:
    """Read the body. Raises MalformedMessage beyond MAX_BODY_BYTES, ClientDisconnect, TimeoutError."""
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise MalformedMessage(f"the body has more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _stream_id(call: Call) -> str:
    stream_id = call.query.get("stream_id")
    if stream_id is None:
        raise MalformedMessage("stream_id is missing")
    return stream_id
