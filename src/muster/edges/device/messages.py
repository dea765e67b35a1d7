"""Check-in and connect: a signed property list in, a command or a short answer out.

The order is that of trust: bounds, signature, form, and only then the database.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from muster.domain.access import DEVICE
from muster.domain.enrollment import STRAY
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import LetGo
from muster.edges.device import metrics
from muster.edges.device.batcher import Batcher, Overloaded
from muster.edges.device.bearers import BearerWatch
from muster.edges.device.clocks import ClockWatch
from muster.edges.device.errors import (
    declaration_unknown_reply,
    method_reply,
    refusal_reply,
    timed_out_reply,
    unavailable_reply,
    user_not_managed_reply,
)
from muster.edges.device.http import (
    LARGE_BODY_BYTES,
    BodyReader,
    BodyTooLarge,
    ClientGone,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    TooManyBodies,
    send_reply,
)
from muster.edges.device.issuers import Issuers
from muster.edges.device.leaving import leaving_reply
from muster.edges.device.presented import (
    SIGNATURE_MISSING,
    MessagePolicy,
    Presented,
    presents_something,
    who_presents,
)
from muster.edges.device.refusals import RefusalRecorder
from muster.edges.device.relay import MessageRelay
from muster.edges.device.tally import Tally
from muster.operations.answer_checkin import JOURNALED, AnyCheckin, answer_journaled
from muster.operations.answer_connect import ConnectOutcome, ConnectReply, ConnectRequest, answer_connects
from muster.operations.checkin import (
    CheckinAnswer,
    CheckinOutcome,
    CheckinRequest,
    DeclarationUnknown,
    UserNotManaged,
)
from muster.operations.ports import JournalWriter, Runner, UserDirectory
from muster.operations.retry_deferred import CONNECT, Deferral, defer_messages
from muster.protocol.checkin import (
    CheckinMessage,
    CheckOut,
    SetBootstrapToken,
    TokenUpdate,
    UserAuthenticate,
    decode_checkin,
)
from muster.protocol.connect import ReportHead, Status, looks_like_checkin, read_report_head
from muster.protocol.errors import MalformedMessage, UnknownMessageType
from muster.protocol.identifiers import (
    IDENTIFIER_KEYS,
    Channel,
    ChannelId,
    CommandUUID,
    DeviceId,
    read_identifiers,
    resolve_channel,
)
from muster.protocol.plist import read_top_level
from muster.protocol.records import record
from muster.protocol.user_digest import read_digest_answer
from muster.storage.errors import Unavailable
from muster.storage.journal import JournalRecord

MAXIMUM_BODY_BYTES = 16 * 1024 * 1024
"""Lists of applications and certificates reach several megabytes; a report of 16 MB is accepted."""

OK = 200
METHODS = ("PUT", "POST")
"""Devices PUT; some other clients POST, and nothing is lost by hearing them."""

CLOCK_STEP = timedelta(seconds=1)
"""Within this, a clock that stands still or steps back is stepped over."""

ACCEPTED_UNPROCESSED = (TokenUpdate, CheckOut, SetBootstrapToken)
"""Messages that are accepted when only a fault of ours keeps them from being processed. Never an Authenticate."""

log = structlog.get_logger("muster.device")

_T = TypeVar("_T")


@record(frozen=True, slots=True)
class ProvenRequest:
    """A request of which it is proven who speaks: by its signature, or by the certificate of its connection."""

    body: bytes
    speaker: Presented
    source: str
    parameters: Mapping[str, str] | None = None
    """Of the address, where others are told what devices say."""

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 of the certificate that speaks."""
        return self.speaker.fingerprint


MAY_BE_LOST = frozenset({RefusalCode.CHANNEL_UNKNOWN, RefusalCode.IDENTITY_UNKNOWN}) | STRAY
"""How the transaction refuses those by an identity of ours whom a restored database has forgotten. One of an earlier
life among them: that the device was enrolled with it once more may be what was forgotten."""


def _seek_nobody(device_id: DeviceId, fingerprint: bytes) -> bool:  # noqa: ARG001 - stands for a search
    return False


class RefusedRequest(Exception):
    """The request is refused before the database is asked. *claimed_id* is whom it says it is, where readable."""

    def __init__(self, refusal: Refusal, fingerprint: bytes | None = None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.fingerprint = fingerprint


class MessageDoor:
    """Answers check-ins and connects. *connects* runs the hot path apart from everything else; *lookups* only reads.

    *seek* is told of a device that the database doesn't know by an identity of ours, and tells whether the journal is
    searched for it; until then nothing it says may be lost. *tally* is told which requests bring an identity.
    """

    def __init__(
        self,
        *,
        connects: Runner,
        checkins: Runner,
        lookups: Runner,
        journal: JournalWriter,
        recorder: RefusalRecorder,
        policy: Callable[[], MessagePolicy],
        bodies: BodyReader,
        bearers: BearerWatch,
        directory: UserDirectory,
        tally: Tally,
        seek: Callable[[DeviceId, bytes], bool] = _seek_nobody,
        relay: MessageRelay | None = None,
        adopted_der: tuple[bytes, ...] = (),
    ) -> None:
        self._relay = relay
        self._seek = seek
        self._connect_runner = connects
        self._checkin_runner = checkins
        self._journal = journal
        self._recorder = recorder
        self._policy = policy
        self._issuers = Issuers(lookups, policy, adopted_der)
        self._bodies = bodies
        self._bearers = bearers
        self._directory = directory
        self._tally = tally
        self._clocks = ClockWatch()
        self._last_instant = datetime.min.replace(tzinfo=UTC)
        self._connects: Batcher[ConnectRequest, ConnectOutcome] = Batcher(
            self._flush_connects, key=lambda r: r.head.channel.id, size=lambda r: len(r.body)
        )
        self._checkins: Batcher[tuple[AnyCheckin, bytes], CheckinOutcome] = Batcher(
            self._flush_checkins, key=lambda r: r[0].message.channel.device_id, size=lambda r: len(r[0].body)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request on the URL of check-ins and connects."""
        request = Request(scope, receive)
        await send_reply(send, request, await self._answer(request))

    async def drain(self) -> None:
        """Return when every message taken in is written."""
        await self._connects.drain()
        await self._checkins.drain()
        await self._bearers.drain()

    # --- one request -------------------------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> Reply:
        if request.method not in METHODS:
            return method_reply(*METHODS)
        may_be_known = presents_something(request, self._policy())
        # without a proof the body only says who lost it
        limit = MAXIMUM_BODY_BYTES if may_be_known else LARGE_BODY_BYTES
        try:
            async with self._bodies.body(request, limit) as body:
                return await self._answer_body(request, body)
        except BodyTooLarge as error:
            refusal = Refusal(RefusalCode.BODY_TOO_LARGE, str(error)) if may_be_known else SIGNATURE_MISSING
            self._note_refusal(refusal, None, None, request.source)
            return refusal_reply(refusal)
        except ClientGone:
            return timed_out_reply()
        except (Unavailable, Overloaded, TooManyBodies) as error:
            log.error("unavailable", error=str(error))
            return unavailable_reply()

    async def _answer_body(self, request: Request, body: bytes) -> Reply:
        try:
            signed = await _off_loop_if_large(body, self._verify, request, body)
            self._tally.note_identity()
            message = await _off_loop_if_large(body, _decode, request.header(b"content-type"), signed)
            if not await self._issuers.know(signed.speaker, message.channel.device_id, signed.source):
                raise RefusedRequest(_IDENTITY_UNKNOWN, signed.fingerprint)
            if isinstance(message, ReportHead):
                reply = await self._answer_connect(signed, message)
            else:
                reply = await self._answer_checkin(signed, message)
            if reply.status == OK:
                self._bearers.note(request.header(b"authorization"), message.channel.id, request.source)
            return reply
        except RefusedRequest as error:
            claimed = await _off_loop_if_large(body, _claimed_id, body)
            if error.refusal is SIGNATURE_MISSING:
                self._tally.note_none(claimed)
            self._note_refusal(error.refusal, claimed, error.fingerprint, request.source)
            return refusal_reply(error.refusal)

    def _verify(self, request: Request, body: bytes) -> ProvenRequest:
        presented = who_presents(request, body, self._policy())
        if isinstance(presented, Refusal):
            raise RefusedRequest(presented)
        parameters = None if self._relay is None else self._relay.parameters(request.query)
        return ProvenRequest(body, presented, request.source, parameters)

    # --- connects ----------------------------------------------------------------------------------------------------

    async def _answer_connect(self, request: ProvenRequest, head: ReportHead) -> Reply:
        item = ConnectRequest(
            head,
            request.fingerprint,
            request.body,
            request.source,
            identity_not_after=request.speaker.not_after,
            beside=request.speaker.beside,
            clock_seconds=self._clock_seconds(request, head.channel.device_id),
            parameters=request.parameters,
        )
        try:
            outcome = await self._connects.submit(item)
        except (Unavailable, Overloaded) as error:
            log.error("unavailable", enrollment_id=head.channel.id, command_uuid=head.command_uuid, error=str(error))
            return unavailable_reply()
        except Exception as error:
            log.exception("connect_failed", enrollment_id=head.channel.id, command_uuid=head.command_uuid)
            return await self._accept_unprocessed(request, head.channel, CONNECT, error, head.command_uuid)
        metrics.CONNECTS_OF[head.status].inc()
        if isinstance(outcome, LetGo):
            return self._let_go(outcome, head.channel.id, request.source)
        if isinstance(outcome, Refusal):
            self._log_refusal(outcome, head.channel.id, request.source, head.command_uuid)
            return self._refuse_speaker(outcome, head.channel, request.fingerprint)
        _log_connect(head, outcome)
        if not outcome.body:
            return _NOTHING
        return Reply(200, outcome.body, b"application/xml")

    def _clock_seconds(self, request: ProvenRequest, device_id: DeviceId) -> int | None:
        signed_at = request.speaker.signing_time
        if signed_at is None:
            return None  # as nearly all do
        now = self._connect_runner.now()
        self._tally.note_clock(request.fingerprint, device_id, round((signed_at - now).total_seconds()))
        return self._clocks.to_note(device_id, signed_at, now)

    async def _flush_connects(self, batch: list[ConnectRequest]) -> list[ConnectOutcome]:
        metrics.BATCH_SIZE.observe(len(batch))
        return await self._connect_runner.write(answer_connects, batch, DEVICE)

    # --- check-ins ---------------------------------------------------------------------------------------------------

    async def _answer_checkin(self, request: ProvenRequest, message: CheckinMessage) -> Reply:
        name = type(message).__name__
        channel_id = message.channel.id
        item = CheckinRequest(
            message,
            request.fingerprint,
            request.body,
            request.source,
            identity_not_after=request.speaker.not_after,
            beside=request.speaker.beside,
            password_key=await self._password_key(message),
            parameters=request.parameters,
        )
        try:
            outcome = await self._checkins.submit((item, request.speaker.certificate_der))
        except (Unavailable, Overloaded) as error:
            log.error("unavailable", enrollment_id=channel_id, message=name, error=str(error))
            return unavailable_reply()
        except Exception as error:
            log.exception("checkin_failed", enrollment_id=channel_id, message=name)
            if isinstance(message, ACCEPTED_UNPROCESSED):
                return await self._accept_unprocessed(request, message.channel, name, error)
            return unavailable_reply()
        metrics.CHECKINS.labels(name).inc()
        match outcome:
            case CheckinAnswer():
                log.info("checkin", enrollment_id=channel_id, message=name, meaning=outcome.signal or None)
                return Reply(200, outcome.body, outcome.content_type.encode())
            case UserNotManaged():
                log.info("user_not_managed", enrollment_id=channel_id)
                return user_not_managed_reply()
            case DeclarationUnknown():
                log.info("declaration_unknown", enrollment_id=channel_id)
                return declaration_unknown_reply()
            case LetGo():
                return self._let_go(outcome, channel_id, request.source)
            case Refusal():
                self._log_refusal(outcome, channel_id, request.source)
                return self._refuse_speaker(outcome, message.channel, request.fingerprint)

    async def _password_key(self, message: CheckinMessage) -> str | None:
        """Ask the directory about whom the second step of a UserAuthenticate names; None for everything else."""
        if not isinstance(message, UserAuthenticate) or message.digest_response is None:
            return None
        try:
            answer = read_digest_answer(message.digest_response)
        except MalformedMessage:
            return None  # the operation says what is wrong with it
        return await self._directory.find_key(answer.user_name)

    def _refuse_speaker(self, refusal: Refusal, channel: Channel, fingerprint: bytes) -> Reply:
        """Refuse; where the database may have lost the speaker, put off what it says until the journal was searched."""
        if refusal.code in MAY_BE_LOST and self._seek(channel.device_id, fingerprint):
            return unavailable_reply()
        return refusal_reply(refusal)

    async def _flush_checkins(self, batch: list[tuple[AnyCheckin, bytes]]) -> list[CheckinOutcome]:
        at = self._next_instant()
        requests, records = [], []
        for request, certificate_der in batch:
            if not isinstance(request.message, JOURNALED):
                requests.append(request)
                continue
            requests.append(replace(request, received_at=at))
            name, channel_id = type(request.message).__name__, request.message.channel.id
            records.append(
                JournalRecord(at, channel_id, name, certificate_der, request.source, request.body, request.beside)
            )
        position = await self._journal(records) if records else None
        return await self._checkin_runner.write(answer_journaled(position), requests, DEVICE)

    def _next_instant(self) -> datetime:
        """Return the time of a batch in the journal: no two have the same, so that a device's messages have an order.

        A clock that is set back by more than a moment is believed: two batches a second apart are told apart anyway.
        """
        now = self._checkin_runner.now()
        if timedelta(0) <= self._last_instant - now < CLOCK_STEP:
            now = self._last_instant + timedelta(microseconds=1)
        self._last_instant = now
        return now

    # --- who is let go, and what goes wrong --------------------------------------------------------------------------

    def _let_go(self, outcome: LetGo, channel_id: ChannelId, address: str) -> Reply:
        """Say the last word to a device, as an administrator or a policy has it."""
        metrics.REFUSALS.labels(outcome.code.value).inc()
        log.warning(
            "let_go", enrollment_id=channel_id, code=outcome.code.value, reply=outcome.how.value, source=address
        )
        return leaving_reply(outcome.how)

    async def _accept_unprocessed(
        self,
        request: ProvenRequest,
        channel: Channel,
        message: str,
        error: Exception,
        command_uuid: CommandUUID | None = None,
    ) -> Reply:
        """Keep a message that trips over a fault of ours, and accept it: the device would resend it for ever."""
        deferral = Deferral(
            channel, message, request.body, request.fingerprint, request.source, f"{type(error).__name__}: {error}"
        )
        try:
            refusal = (await self._checkin_runner.write(defer_messages, [deferral], DEVICE))[0]
        except Exception:
            log.exception("message_not_deferred", enrollment_id=channel.id, command_uuid=command_uuid, message=message)
            return unavailable_reply()
        if refusal is not None:
            self._log_refusal(refusal, channel.id, request.source, command_uuid)
            return refusal_reply(refusal)
        metrics.DEFERRED.labels(message).inc()
        return _NOTHING

    def _log_refusal(
        self,
        refusal: Refusal,
        channel_id: ChannelId | None,
        address: str,
        command_uuid: CommandUUID | None = None,
    ) -> None:
        metrics.REFUSALS.labels(refusal.code.value).inc()
        log.warning(
            "refused",
            code=refusal.code.value,
            enrollment_id=channel_id,
            command_uuid=command_uuid,
            source=address,
            reason=refusal.message,
        )

    def _note_refusal(
        self, refusal: Refusal, claimed_id: ChannelId | None, fingerprint: bytes | None, address: str
    ) -> None:
        self._log_refusal(refusal, claimed_id, address)
        self._recorder.record(refusal.code, claimed_id=claimed_id, fingerprint=fingerprint, source=address)


_NOTHING = Reply(200)
_IDENTITY_UNKNOWN = Refusal(RefusalCode.IDENTITY_UNKNOWN, "the identity was not issued by this server")


def _decode(content_type: bytes | None, request: ProvenRequest) -> ReportHead | CheckinMessage:
    """Decode a body. Raises RefusedRequest when it is neither a report nor a check-in."""
    try:
        media_type = None if content_type is None else content_type.decode("latin-1")
        if looks_like_checkin(media_type, request.body):
            return decode_checkin(request.body)
        return read_report_head(request.body)
    except UnknownMessageType as error:
        refusal = Refusal(RefusalCode.MESSAGE_UNKNOWN, str(error))
    except MalformedMessage as error:
        refusal = Refusal(RefusalCode.BODY_MALFORMED, str(error))
    raise RefusedRequest(refusal, request.fingerprint)


def _claimed_id(body: bytes) -> ChannelId | None:
    """Read whom a refused body claims to come from; None when that can't be read."""
    try:
        return resolve_channel(read_identifiers(read_top_level(body, IDENTIFIER_KEYS))).id
    except MalformedMessage:
        return None


async def _off_loop_if_large(body: bytes, work: Callable[..., _T], *arguments: object) -> _T:
    """Run *work* at once, or in a thread when *body* is so large that everybody else would wait for it."""
    if len(body) <= LARGE_BODY_BYTES:
        return work(*arguments)
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


def _log_connect(head: ReportHead, reply: ConnectReply) -> None:
    if head.status is Status.IDLE and not reply.body:
        log.debug("connect", enrollment_id=head.channel.id, status=head.status_text)
        return
    log.info(
        "connect",
        enrollment_id=head.channel.id,
        status=head.status_text,
        command_uuid=head.command_uuid,
        next_command_uuid=reply.command_uuid,
        next_request_type=reply.request_type,
    )
