"""An enrollment link is opened: the reply is the enrollment profile, signed."""

import asyncio

import structlog

from muster.domain.access import DEVICE
from muster.domain.errors import Refusal
from muster.edges.device import metrics
from muster.edges.device.errors import method_reply, refusal_reply, unavailable_reply
from muster.edges.device.http import Receive, Reply, Request, Scope, Send, send_reply
from muster.edges.device.refusals import RefusalRecorder
from muster.operations.enrollment_links import LinkOpened, open_links
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.operations.ports import Runner
from muster.protocol.profile import encode_enrollment_profile
from muster.protocol.profile_signature import ProfileSigner
from muster.storage.errors import Unavailable

PROFILE_MEDIA_TYPE = b"application/x-apple-aspen-config"
ENROLL_PREFIX = "/enroll/"
MAXIMUM_TOKEN_CHARACTERS = 64
"""Of a link's token; ours have 32."""

log = structlog.get_logger("muster.enroll")


class EnrollDoor:
    """Answers `GET /enroll/TOKEN` with a signed .mobileconfig that is good for one device."""

    def __init__(
        self,
        *,
        runner: Runner,
        terms: EnrollmentTerms,
        signer: ProfileSigner,
        recorder: RefusalRecorder,
    ) -> None:
        self._runner = runner
        self._terms = terms
        self._signer = signer
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request on an enrollment link."""
        request = Request(scope, receive)
        await send_reply(send, request, await self._answer(request))

    async def _answer(self, request: Request) -> Reply:
        if request.method != "GET":
            # HEAD too: looking at a link must neither use it up nor make challenges
            return method_reply("GET")
        token = request.scope["path"].removeprefix(ENROLL_PREFIX)[:MAXIMUM_TOKEN_CHARACTERS]
        try:
            outcome = (await self._runner.write(open_links, [LinkOpened(token, self._terms)], DEVICE))[0]
        except Unavailable as error:
            log.warning("unavailable", error=str(error))
            return unavailable_reply()
        if isinstance(outcome, Refusal):
            metrics.REFUSALS.labels(outcome.code.value).inc()
            log.warning("refused", code=outcome.code.value, source=request.source, reason=outcome.message)
            self._recorder.record(outcome.code, claimed_id=None, fingerprint=None, source=request.source)
            return refusal_reply(outcome)
        profile = encode_enrollment_profile(outcome)
        signed = await asyncio.get_running_loop().run_in_executor(None, self._signer.sign, profile)
        metrics.PROFILES.inc()
        log.info("profile_handed_out", source=request.source)
        headers = (
            (b"content-disposition", b'attachment; filename="enroll.mobileconfig"'),
            (b"cache-control", b"no-store"),
        )
        return Reply(200, signed, PROFILE_MEDIA_TYPE, headers)
