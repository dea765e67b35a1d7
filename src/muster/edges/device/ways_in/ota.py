"""The Profile Service: `GET /ota/TOKEN` begins over-the-air enrollment, `POST` hears the device's two answers."""

import asyncio
from collections.abc import Callable

import structlog

from muster.crypto.certificates import fingerprint, is_issued_by
from muster.crypto.errors import CryptoError
from muster.domain.access import DEVICE, LinkKind
from muster.domain.enrollment_users import EnrollmentUser
from muster.domain.errors import Refusal, RefusalCode
from muster.edges.device import metrics
from muster.edges.device.errors import method_reply, timed_out_reply, unavailable_reply
from muster.edges.device.http import (
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
from muster.edges.device.ways_in.profile_page import LinkPages, split_token
from muster.edges.device.ways_in.profiles import profile_reply, signed_reply
from muster.edges.device.ways_in.reception import Reception
from muster.operations.enroll_over_the_air import (
    OtaAnswered,
    OtaBegun,
    OtaRepeated,
    answer_ota,
    begin_ota,
    complete_ota,
)
from muster.protocol.device_signature import MAX_SIGNED_BYTES, verify_device_chain
from muster.protocol.errors import BadSignature, MalformedMessage, RefusedAlgorithm
from muster.protocol.profile_service import (
    SignedDeviceAttributes,
    decode_device_attributes,
    encode_profile_service,
    encode_scep_only_profile,
)
from muster.storage.errors import Unavailable

OTA_PATH = "/ota"

log = structlog.get_logger("muster.enroll")


class OtaDoor:
    """Answers `/ota/TOKEN`. *roots* are the authorities above those that vouch for devices: Apple's."""

    def __init__(self, reception: Reception, *, policy: Callable[[], MessagePolicy], roots: tuple[bytes, ...]) -> None:
        self._reception = reception
        self._policy = policy
        self._roots = roots
        self._pages = LinkPages(reception, OTA_PATH, LinkKind.OTA, self._begin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request on an OTA link."""
        request = Request(scope, receive)
        try:
            reply = await self._answer(request)
        except BodyTooLarge as error:
            reply = self._reception.refuse(request, Refusal(RefusalCode.BODY_TOO_LARGE, str(error)))
        except ClientGone:
            reply = timed_out_reply()
        except (Unavailable, TooManyBodies) as error:
            log.warning("unavailable", error=str(error))
            reply = unavailable_reply()
        await send_reply(send, request, reply)

    async def _answer(self, request: Request) -> Reply:
        token, rest = split_token(request.scope["path"], OTA_PATH)
        match request.method, rest:
            case "POST", "":
                return await self._hear(request, token)
            case "POST", "sign-in":
                return await self._pages.sign_in(request, token)
            case "GET", _:
                return await self._pages.get(request, token, rest)
            case _:
                return method_reply(*({"sign-in": ("POST",), "": ("GET", "POST")}.get(rest, ("GET",))))

    async def _begin(self, request: Request, token: str, user: EnrollmentUser | None) -> Reply:
        reception = self._reception
        [outcome] = await reception.runner.write(begin_ota, [OtaBegun(token, reception.terms, user)], DEVICE)
        if isinstance(outcome, Refusal):
            return reception.refuse(request, outcome)
        log.info("ota_begun", source=request.source)
        return await signed_reply(encode_profile_service(outcome), reception.signer, "enroll.mobileconfig")

    async def _hear(self, request: Request, token: str) -> Reply:
        """Tell phase 2 from phase 3 by who signed: whoever has an identity of ours is in phase 3."""
        async with self._reception.bodies.body(request, MAX_SIGNED_BYTES) as body:
            loop = asyncio.get_running_loop()
            try:
                signed = await loop.run_in_executor(None, self._open, body)
            except BadSignature as error:
                return self._reception.refuse(request, Refusal(RefusalCode.SIGNATURE_BAD, str(error)))
            except RefusedAlgorithm as error:
                return self._reception.refuse(request, Refusal(RefusalCode.ALGORITHM_REFUSED, str(error)))
            except MalformedMessage as error:
                return self._reception.refuse(request, Refusal(RefusalCode.BODY_MALFORMED, str(error)))
            if signed.is_legacy:
                metrics.LEGACY.labels("ota").inc()
            if self._is_ours(signed.signer_certificate_der):
                return await self._complete(request, token, signed)
            is_attested = await loop.run_in_executor(None, self._is_attested, signed)
            return await self._continue(request, token, signed, is_attested=is_attested)

    def _open(self, body: bytes) -> SignedDeviceAttributes:
        return decode_device_attributes(body, allow_legacy=self._policy().allow_legacy)

    def _is_ours(self, certificate_der: bytes) -> bool:
        try:
            return any(is_issued_by(certificate_der, one) for one in self._policy().authorities_der)
        except CryptoError:
            return False

    def _is_attested(self, signed: SignedDeviceAttributes) -> bool:
        try:
            verify_device_chain(signed.signer_certificate_der, signed.certificates_der, self._roots)
        except (BadSignature, MalformedMessage) as error:
            log.info("ota_not_attested", reason=str(error))
            return False
        return True

    async def _continue(
        self, request: Request, token: str, signed: SignedDeviceAttributes, *, is_attested: bool
    ) -> Reply:
        reception = self._reception
        answered = OtaAnswered(token, reception.terms, signed.attributes, is_attested)
        [outcome] = await reception.runner.write(answer_ota, [answered], DEVICE)
        if isinstance(outcome, Refusal):
            return reception.refuse(request, outcome)
        said = signed.attributes
        log.info("ota_answered", udid=said.udid, serial=said.serial, attested=is_attested, source=request.source)
        return await signed_reply(encode_scep_only_profile(outcome), reception.signer, "identity.mobileconfig")

    async def _complete(self, request: Request, token: str, signed: SignedDeviceAttributes) -> Reply:
        reception = self._reception
        signer = fingerprint(signed.signer_certificate_der)
        repeated = OtaRepeated(token, reception.terms, signed.attributes, signer)
        [outcome] = await reception.runner.write(complete_ota, [repeated], DEVICE)
        if isinstance(outcome, Refusal):
            return reception.refuse(request, outcome, fingerprint=signer)
        log.info("profile_handed_out", udid=signed.attributes.udid, source=request.source)
        return await profile_reply(outcome, reception.signer)
