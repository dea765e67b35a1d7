"""What the doors for enrollment links have in common: how a link is looked at, and how a refusal is told."""

from dataclasses import dataclass

import structlog

from muster.domain.access import EnrollmentLink, LinkKind
from muster.domain.errors import Refusal
from muster.edges.device import metrics
from muster.edges.device.errors import refusal_reply
from muster.edges.device.http import BodyReader, Reply, Request
from muster.edges.device.refusals import RefusalRecorder
from muster.edges.device.ways_in.forms import wants_page
from muster.edges.device.ways_in.rendering import PageRenderer
from muster.edges.device.ways_in.sign_in import SignInDesk
from muster.operations.enrollment_links import find_open_link
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.operations.ports import Runner
from muster.protocol.profile_signature import ProfileSigner

MAXIMUM_TOKEN_CHARACTERS = 64
"""Of a link's token; ours have 32."""

log = structlog.get_logger("muster.enroll")


@dataclass(frozen=True, slots=True)
class Reception:
    """Whatever the doors for enrollment links need."""

    runner: Runner
    terms: EnrollmentTerms
    signer: ProfileSigner
    recorder: RefusalRecorder
    bodies: BodyReader
    renderer: PageRenderer
    desk: SignInDesk

    async def find_link(self, token: str, kind: LinkKind) -> EnrollmentLink | Refusal:
        """Look at a link, which uses nothing up. Raises Unavailable."""
        now = self.runner.now()
        return await self.runner.read(lambda tx: find_open_link(tx, token[:MAXIMUM_TOKEN_CHARACTERS], kind, now))

    def refuse(self, request: Request, refusal: Refusal, fingerprint: bytes | None = None) -> Reply:
        """Tell why something is refused: a page for who reads pages, else plain text. Counted, logged, recorded.

        *fingerprint* is that of the identity which signed what is refused, if there is one.
        """
        self.note(request, refusal, fingerprint)
        return self.renderer.refusal(refusal) if wants_page(request) else refusal_reply(refusal)

    def note(self, request: Request, refusal: Refusal, fingerprint: bytes | None = None) -> None:
        """Count, log and record a refusal that is told in another way."""
        metrics.REFUSALS.labels(refusal.code.value).inc()
        log.warning("refused", code=refusal.code.value, source=request.source, reason=refusal.message)
        self.recorder.record(refusal.code, claimed_id=None, fingerprint=fingerprint, source=request.source)
