"""SCEP over HTTP (RFC 8894, section 4): GetCACaps, GetCACert, PKIOperation by GET and POST.

A refusal that can be answered is a CertRep of FAILURE in a 200, with the failInfo it deserves; only what can't even be
read gets a 400.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

import structlog

from muster.crypto.certificates import fingerprint, is_issued_by
from muster.crypto.errors import CryptoError
from muster.crypto.issuance import Authority
from muster.domain.access import DEVICE
from muster.domain.errors import Refusal, RefusalCode
from muster.edges.device import metrics
from muster.edges.device.errors import method_reply, refusal_reply, timed_out_reply, unavailable_reply
from muster.edges.device.http import (
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
from muster.edges.device.presented import MessagePolicy
from muster.edges.device.refusals import RefusalRecorder
from muster.operations.issue_certificate import CertificateOrder, IssuedCertificate, issue_certificates
from muster.operations.ports import Runner
from muster.protocol.errors import BadSignature, MalformedMessage, RefusedAlgorithm
from muster.protocol.scep import (
    MAX_MESSAGE_BYTES,
    PKI_MESSAGE_MEDIA_TYPE,
    FailInfo,
    MessageType,
    PKIMessage,
    ScepRefusal,
    addressed_authority,
    decode_get_message,
    decode_pki_message,
    encode_ca_certificates,
    encode_capabilities,
    encode_cert_rep_failure,
    encode_cert_rep_success,
)
from muster.storage.errors import Unavailable

FAIL_INFO: Final = {
    RefusalCode.KEY_WEAK: FailInfo.BAD_ALG,
    RefusalCode.KEY_PUBLISHED: FailInfo.BAD_ALG,
    RefusalCode.ALGORITHM_REFUSED: FailInfo.BAD_ALG,
    RefusalCode.SIGNATURE_BAD: FailInfo.BAD_MESSAGE_CHECK,
    RefusalCode.IDENTITY_UNKNOWN: FailInfo.BAD_CERT_ID,
    RefusalCode.IDENTITY_SUPERSEDED: FailInfo.BAD_CERT_ID,
    RefusalCode.IDENTITY_EXPIRED: FailInfo.BAD_CERT_ID,
}
"""The failInfo of each refusal (RFC 8894, section 3.2.1.4); all others are badRequest."""

CODE_OF: Final = {
    FailInfo.BAD_ALG: RefusalCode.ALGORITHM_REFUSED,
    FailInfo.BAD_MESSAGE_CHECK: RefusalCode.SIGNATURE_BAD,
}

_NONCE_BYTES: Final = 16  # RFC 8894, section 3.2.1.5

log = structlog.get_logger("muster.scep")


class ScepDoor:
    """Answers SCEP as the authority itself; there is no separate registration authority.

    *authorities* are all there ever were, the current one first. A message is opened, answered and served by the one it
    is addressed to, so that a client that asked for the authority before a rotation does not fail after it;
    *look_again* has them read anew when a message is addressed to none of them.
    """

    def __init__(
        self,
        *,
        runner: Runner,
        authorities: Callable[[], Sequence[Authority]],
        look_again: Callable[[], Awaitable[None]],
        organization: str,
        policy: Callable[[], MessagePolicy],
        recorder: RefusalRecorder,
        bodies: BodyReader,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._runner = runner
        self._authorities = authorities
        self._look_again = look_again
        self._organization = organization
        self._policy = policy
        self._recorder = recorder
        self._bodies = bodies
        self._random_bytes = random_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request on the SCEP URL."""
        request = Request(scope, receive)
        try:
            reply = await self._answer(request)
        except BodyTooLarge as error:
            reply = self._refuse(RefusalCode.BODY_TOO_LARGE, str(error), request.source)
        except ClientGone:
            reply = timed_out_reply()
        except (Unavailable, TooManyBodies) as error:
            log.warning("unavailable", error=str(error))
            reply = unavailable_reply()
        await send_reply(send, request, reply)

    async def _answer(self, request: Request) -> Reply:
        query = _query(request.scope["query_string"])
        operation = query.get(b"operation", b"")
        match request.method, operation:
            case "POST", b"PKIOperation":
                # some clients repeat the message in the query; the body is what counts
                async with self._bodies.body(request, MAX_MESSAGE_BYTES) as body:
                    return await self._pki_operation(body, request.source)
            case "GET", b"PKIOperation":
                try:
                    message = decode_get_message(query.get(b"message", b"").decode("ascii", "replace"))
                except MalformedMessage as error:
                    return self._refuse(RefusalCode.BODY_MALFORMED, str(error), request.source)
                return await self._pki_operation(message, request.source)
            case (("GET" | "HEAD"), _):
                return self._answer_question(operation, request.source)
            case _:
                return method_reply("GET", "POST")

    def _answer_question(self, operation: bytes, address: str) -> Reply:
        match operation:
            case b"GetCACaps":
                return Reply(200, encode_capabilities(), b"text/plain")
            case b"GetCACert":
                media_type, body = encode_ca_certificates([self._authorities()[0].certificate_der])
                return Reply(200, body, media_type.encode())
            case _:
                return self._refuse(RefusalCode.MESSAGE_UNKNOWN, "SCEP: the operation is not served", address)

    async def _pki_operation(self, body: bytes, address: str) -> Reply:
        authority = addressed_authority(body, self._authorities())
        if authority is None:
            await self._look_again()  # another node may have made one
            authority = addressed_authority(body, self._authorities()) or self._authorities()[0]
        loop = asyncio.get_running_loop()
        try:
            message = await loop.run_in_executor(None, self._decode, body, authority)
        except ScepRefusal as error:
            code = CODE_OF.get(error.fail_info, RefusalCode.BODY_MALFORMED)
            self._note(code, str(error), address)
            return self._failure(error.transaction_id, error.sender_nonce, error.fail_info, authority)
        except (MalformedMessage, BadSignature, RefusedAlgorithm) as error:
            return self._refuse(RefusalCode.BODY_MALFORMED, str(error), address)
        if message.is_legacy:
            metrics.LEGACY.labels("scep").inc()
        outcome = await self._order(message, authority, address)
        if isinstance(outcome, Refusal):
            self._note(outcome.code, outcome.message, address)
            fail_info = FAIL_INFO.get(outcome.code, FailInfo.BAD_REQUEST)
            return self._failure(message.transaction_id, message.sender_nonce, fail_info, authority)
        metrics.CERTIFICATES.labels(message.message_type.name).inc()
        log.info(
            "certificate_issued",
            enrollment_id=outcome.renewal_of,
            identity=fingerprint(outcome.certificate_der).hex(),
            message=message.message_type.name,
            transaction_id=message.transaction_id,
            repeated=outcome.is_repeated,
            source=address,
        )
        return _pki_reply(await loop.run_in_executor(None, self._success, message, outcome.certificate_der, authority))

    def _decode(self, body: bytes, authority: Authority) -> PKIMessage:
        return decode_pki_message(body, authority, allow_legacy=self._policy().allow_legacy)

    async def _order(self, message: PKIMessage, authority: Authority, address: str) -> IssuedCertificate | Refusal:
        if message.request is None:
            return Refusal(RefusalCode.MESSAGE_UNKNOWN, "SCEP: nothing is pending, there is nothing to poll for")
        renewing = None
        if message.message_type is MessageType.RENEWAL_REQ:
            if not self._is_ours(message.signer_certificate_der):
                return Refusal(RefusalCode.IDENTITY_UNKNOWN, "the identity to renew was not issued by this server")
            renewing = fingerprint(message.signer_certificate_der)
        order = CertificateOrder(message.request, authority, self._organization, address, renewing)
        return (await self._runner.write(issue_certificates, [order], DEVICE))[0]

    def _is_ours(self, certificate_der: bytes) -> bool:
        try:
            return any(is_issued_by(certificate_der, one) for one in self._policy().authorities_der)
        except CryptoError:
            return False

    def _success(self, message: PKIMessage, certificate_der: bytes, authority: Authority) -> bytes:
        return encode_cert_rep_success(
            message,
            certificate_der,
            authority,
            sender_nonce=self._random_bytes(_NONCE_BYTES),
            random_bytes=self._random_bytes,
        )

    def _failure(self, transaction_id: str, nonce: bytes, fail_info: FailInfo, authority: Authority) -> Reply:
        return _pki_reply(
            encode_cert_rep_failure(
                transaction_id, nonce, fail_info, authority, sender_nonce=self._random_bytes(_NONCE_BYTES)
            )
        )

    def _refuse(self, code: RefusalCode, message: str, address: str) -> Reply:
        self._note(code, message, address)
        return refusal_reply(Refusal(code, message))

    def _note(self, code: RefusalCode, message: str, address: str) -> None:
        metrics.REFUSALS.labels(code.value).inc()
        log.warning("refused", code=code.value, source=address, reason=message)
        self._recorder.record(code, claimed_id=None, fingerprint=None, source=address)


def _pki_reply(body: bytes) -> Reply:
    return Reply(200, body, PKI_MESSAGE_MEDIA_TYPE.encode())


def _query(query_string: bytes) -> dict[bytes, bytes]:
    """Read the query's parameters, the first of each name, as bytes: clients put raw messages there."""
    parameters: dict[bytes, bytes] = {}
    for part in query_string.split(b"&", _MAXIMUM_PARAMETERS):
        name, _, value = part.partition(b"=")
        parameters.setdefault(name, unquote_to_bytes(value))
    return parameters


_MAXIMUM_PARAMETERS = 8
"""SCEP has two; whatever follows stays in one piece."""
