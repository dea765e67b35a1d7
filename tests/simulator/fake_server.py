"""A small MDM server to test simulated devices against.

It checks every signature and decodes every message, issues certificates by SCEP, keeps a queue per channel and offers a
command again until it is answered by something else than NotNow. It lacks: any memory of identities (whoever signs
properly is believed), user channels' refusal, renewal, expiry, persistence, and everything about pushes.
"""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any
from urllib.parse import parse_qs

from muster.crypto.cms.signed_data import Verified
from muster.crypto.issuance import Authority, issue_identity, make_authority
from muster.laboratory.virtual_time import START
from muster.protocol.checkin import (
    CheckinMessage,
    GetBootstrapToken,
    ReturnToService,
    SetBootstrapToken,
    decode_checkin,
)
from muster.protocol.checkin_replies import ReturnToServiceReply, bootstrap_token_reply, return_to_service_reply
from muster.protocol.command import Command, encode_command
from muster.protocol.connect import Report, Status, decode_report, looks_like_checkin
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.mdm_signature import verify_mdm_signature
from muster.protocol.plist import PlistValue
from muster.protocol.profile import EnrollmentProfile, ScepPayload, TrustAnchor, encode_enrollment_profile
from muster.protocol.scep import (
    FailInfo,
    decode_pki_message,
    encode_ca_certificates,
    encode_capabilities,
    encode_cert_rep_failure,
    encode_cert_rep_success,
)
from muster.simulator.keys.published import published_keys

TOPIC = "com.apple.mgmt.External.00000000-0000-0000-0000-000000000001"
ORIGIN = "https://mdm.example"

Reply = tuple[int, str, bytes]


@cache
def authority() -> Authority:
    key = published_keys()[-1]
    certificate = make_authority("Test", key, now=START, lifetime=timedelta(days=3650), serial_number=1)
    return Authority(certificate, key)


@dataclass
class FakeServer:
    """An ASGI application. *script* maps a path to replies which are given instead of its own, in order; a reply of
    status 0 drops the connection."""

    clock: Callable[[], datetime]
    challenge: str = "secret"
    messages: list[CheckinMessage] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    signatures: list[Verified | None] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    queues: defaultdict[str, list[Command]] = field(default_factory=lambda: defaultdict(list))
    script: defaultdict[str, deque[Reply]] = field(default_factory=lambda: defaultdict(deque))
    bootstrap_token: bytes | None = None
    returns_with: bytes | None = None
    allow_legacy: bool = False
    issued: int = 0
    rng: Random = field(default_factory=lambda: Random(99))

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        path = scope["path"]
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        self.requests.append({"method": scope["method"], "path": path, "headers": headers, "body": body})
        scripted = self.script[path].popleft() if self.script[path] else None
        status, content_type, content = scripted or self.answer(path, query, headers, body)
        if status == 0:
            return
        start_headers = [(b"location", content)] if 300 <= status < 400 else [(b"content-type", content_type.encode())]
        await send({"type": "http.response.start", "status": status, "headers": start_headers})
        await send({"type": "http.response.body", "body": content})

    def answer(self, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        if path == "/enroll":
            return 200, "application/x-apple-aspen-config", encode_enrollment_profile(self.profile())
        if path == "/scep":
            return self.answer_scep(query, body)
        self.check_signature(headers, body)
        if looks_like_checkin(headers["content-type"], body):
            return 200, "application/xml", self.answer_checkin(decode_checkin(body))
        return 200, "application/xml", self.answer_report(decode_report(body))

    def profile(self, **changes: Any) -> EnrollmentProfile:
        scep = ScepPayload(
            payload_uuid="S", url=f"{ORIGIN}/scep", subject=(("O", "Test"), ("CN", "link-1")), challenge="secret"
        )
        profile = EnrollmentProfile(
            payload_identifier="org.example.enrollment",
            payload_uuid="P",
            mdm_payload_uuid="M",
            display_name="Enrollment",
            topic=TOPIC,
            server_url=f"{ORIGIN}/mdm",
            check_in_url=f"{ORIGIN}/checkin",
            identity=scep,
            trust_anchors=(TrustAnchor("A", "Test CA", authority().certificate_der),),
        )
        return replace(profile, **changes)

    def mobileconfig(self, **changes: Any) -> bytes:
        return encode_enrollment_profile(self.profile(**changes))

    def queue(self, channel: str, request_type: str, **keys: PlistValue) -> CommandUUID:
        uuid = CommandUUID(f"{request_type}-{len(self.queues[channel])}-{len(self.reports)}")
        self.queues[channel].append(Command(uuid, request_type, keys))
        return uuid

    def answers(self, uuid: str) -> list[Report]:
        return [report for report in self.reports if report.head.command_uuid == uuid]

    def check_signature(self, headers: dict[str, str], body: bytes) -> None:
        header = headers.get("mdm-signature")
        verified = None if header is None else verify_mdm_signature(header, body, allow_legacy=self.allow_legacy)
        self.signatures.append(verified)

    def answer_checkin(self, message: CheckinMessage) -> bytes:
        self.messages.append(message)
        if isinstance(message, SetBootstrapToken):
            self.bootstrap_token = message.bootstrap_token
        if isinstance(message, GetBootstrapToken):
            return bootstrap_token_reply(self.bootstrap_token)
        if isinstance(message, ReturnToService):
            is_enabled = self.returns_with is not None
            return return_to_service_reply(ReturnToServiceReply(is_enabled, mdm_profile_data=self.returns_with))
        return b""

    def answer_report(self, report: Report) -> bytes:
        self.reports.append(report)
        channel: ChannelId = report.head.channel.id
        queue = self.queues[channel]
        if report.head.status is Status.NOT_NOW:
            return b""
        if report.head.command_uuid is not None or report.head.status is Status.COMMAND_FORMAT_ERROR:
            queue[:] = [command for command in queue if command.command_uuid != report.head.command_uuid]
        return encode_command(queue[0]) if queue else b""

    def answer_scep(self, query: dict[str, str], body: bytes) -> Reply:
        if query["operation"] == "GetCACaps":
            return 200, "text/plain", encode_capabilities()
        if query["operation"] == "GetCACert":
            return 200, *encode_ca_certificates([authority().certificate_der])
        message = decode_pki_message(body, authority(), allow_legacy=True)
        nonce = self.rng.randbytes(16)
        if message.request is None or message.request.challenge != self.challenge:
            return (
                200,
                "application/x-pki-message",
                encode_cert_rep_failure(
                    message.transaction_id,
                    message.sender_nonce,
                    FailInfo.BAD_REQUEST,
                    authority(),
                    sender_nonce=nonce,
                ),
            )
        self.issued += 1
        certificate = issue_identity(
            message.request,
            authority(),
            subject_common_name=f"device {self.issued}",
            not_before=self.clock(),
            not_after=self.clock() + timedelta(days=365),
            serial_number=1000 + self.issued,
        )
        reply = encode_cert_rep_success(
            message, certificate, authority(), sender_nonce=nonce, random_bytes=self.rng.randbytes
        )
        return 200, "application/x-pki-message", reply
