"""What ends one day, with the days that are left; and the push certificate renewed, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.push_certificate_refusals import PORTAL
from muster.domain.push_certificates import URGENT_WITHIN, Deliberately
from muster.edges.console.banners import push_certificate_banners
from muster.edges.console.forms import Form
from muster.edges.console.office import Office, Refused, back_to
from muster.edges.console.rendering import PAGE_HEADERS
from muster.edges.console.sessions import SignedIn
from muster.edges.console.times import Clock
from muster.edges.console.uploads import read_upload
from muster.operations.permit import of_fleet
from muster.operations.request_push_certificate import (
    MadeRequest,
    RequestOrder,
    request_push_certificates,
    write_requests_again,
)
from muster.operations.upload_push_certificate import (
    AcceptedPushCertificate,
    UploadedPushCertificate,
    upload_push_certificates,
)
from muster.operations.views.expiring import Expiring, ExpiringKind, list_expiring
from muster.operations.views.fleet_needs import EXPIRY_NOTICE
from muster.operations.views.marks import Mark, Shape, Tone
from muster.operations.views.push_certificates import list_push_certificates, what_changed
from muster.storage.push_certificates import RequestPurpose

BAR_DAYS: Final = 400
"""As long as the calendar bars are: push certificates are good for a year, and some days more."""
BAR_WIDTH: Final = 200
KINDS: Final[Mapping[ExpiringKind, str]] = {
    ExpiringKind.PUSH: "Push certificate",
    ExpiringKind.VENDOR: "MDM vendor certificate",
    ExpiringKind.AUTHORITY: "Authority of identities",
    ExpiringKind.TLS: "TLS at the public address",
    ExpiringKind.TOKEN: "Token of a program",
}
_CONSEQUENCES: Final[Mapping[ExpiringKind, str]] = {
    ExpiringKind.PUSH: "Without it no device of its topic can be woken.",
    ExpiringKind.VENDOR: "Without it requests for push certificates go to an MDM vendor.",
    ExpiringKind.AUTHORITY: "Devices whose identity is of it are renewed before it ends: `muster authority rotate`.",
    ExpiringKind.TLS: "Without a valid one no device reaches this server; whoever made it renews it.",
    ExpiringKind.TOKEN: "The program is refused from then on.",
}
_OVER: Final = Mark("Ended", Shape.CROSS, Tone.BAD)
_URGENT: Final = Mark("Urgent", Shape.TRIANGLE, Tone.BAD)
_SOON: Final = Mark("Soon", Shape.TRIANGLE, Tone.WARNING)
_FAR: Final = Mark("Good", Shape.DISC, Tone.GOOD)
_DELIBERATE: Final[Mapping[Deliberately, str]] = {
    Deliberately.REPLACE_TOPIC: "I mean another topic: new enrollments get it, and all others have to enroll again.",
    Deliberately.ALLOW_OLDER: "I mean this one, which ends before the one that is in use.",
}


@dataclass(frozen=True, slots=True)
class EndingLine:
    """One line of the list, and the length of its bar in pixels."""

    row: Expiring
    kind: str
    mark: Mark
    width: int
    consequence: str


class CertificatePages:
    """The pages about what expires."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def routes(self) -> list[Route]:
        """Return the addresses of these pages."""
        return [
            Route("/certificates", self.page),
            Route("/certificates/push", self.renewal),
            Route("/certificates/push", self.upload, methods=["POST"]),
            Route("/certificates/push/requests", self.request, methods=["POST"]),
            Route("/certificates/push/requests/{made}", self.download, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show what ends, the earliest first."""
        now = self._office.runner.now()
        signed_in = await self._office.see(request, of_fleet(lambda tx: list_expiring(tx, now)))
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        sees_tokens = signed_in.principal.may(Permission.PEOPLE)
        shown = [one for one in signed_in.value if sees_tokens or one.kind is not ExpiringKind.TOKEN]
        clock = Clock(now)
        context = {
            "banners": push_certificate_banners(signed_in.push_certificates, clock),
            "lines": [_line(one) for one in shown],
            "has_push": any(one.kind is ExpiringKind.PUSH for one in shown),
            "bar_width": BAR_WIDTH,
            "months": [round(BAR_WIDTH * month * 30 / BAR_DAYS) for month in range(0, BAR_DAYS // 30, 3)],
        }
        return self._office.page(request, "certificates.html", signed_in, context)

    async def renewal(self, request: Request) -> Response:
        """Show how far the push certificate is, and the next step of it."""
        return await self._show(request)

    async def request(self, request: Request) -> Response:
        """Make a request, whose key stays here."""
        sent = await self._office.form(request, Permission.CERTIFICATES)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        order = RequestOrder(
            RequestPurpose.PUSH,
            form["common_name"].strip(),
            form["email"].strip() or None,
            form["country"].strip().upper() or None,
        )
        made = await self._office.do(signed_in, request_push_certificates, order)
        if isinstance(made, Refusal):
            return await self._show(request, Refused(made, form, "request"))
        return back_to("/certificates/push")

    async def download(self, request: Request) -> Response:
        """Give a request once more that was made before."""
        sent = await self._office.form(request, Permission.CERTIFICATES)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        made = await self._office.do(signed_in, write_requests_again, request.path_params["made"])
        if isinstance(made, Refusal):
            return await self._show(request, Refused(made, form, "request"))
        return _file(made)

    async def upload(self, request: Request) -> Response:
        """Take a push certificate into use, and say what that changed."""
        signed_in = await self._office.see(request, of_fleet(lambda _tx: None, Permission.CERTIFICATES))
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        form, files = await read_upload(request, self._office.sessions.token(request) or "")
        accepted = await self._take(signed_in, form, files)
        if not isinstance(accepted, AcceptedPushCertificate):
            return await self._show(request, Refused(accepted, form, "upload"))
        context = {"accepted": accepted, "changes": what_changed(accepted)}
        return self._office.page(request, "push_certificate_taken.html", signed_in, context)

    async def _take(
        self, signed_in: SignedIn[None], form: Form, files: Mapping[str, bytes]
    ) -> AcceptedPushCertificate | Refusal:
        certificate = files.get("certificate") or form["certificate_text"].strip().encode()
        if not certificate:
            what = "no file was chosen, and no text was put in"
            return Refusal(RefusalCode.PUSH_CERTIFICATE_UNFIT, what, "Choose the file that Apple's portal gave you.")
        meant = frozenset(one for one in Deliberately if form[one.value] == "yes")
        uploaded = UploadedPushCertificate(certificate, files.get("key"), meant)
        return await self._office.do(signed_in, upload_push_certificates, uploaded)

    async def _show(self, request: Request, refused: Refused | None = None) -> Response:
        now = self._office.runner.now()
        sight = of_fleet(lambda tx: list_push_certificates(tx, now), Permission.CERTIFICATES)
        signed_in = await self._office.see(request, sight)
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        overview = signed_in.value
        context = {
            "overview": overview,
            "pending": [one for one in overview.pending_requests if one.purpose == RequestPurpose.PUSH.value],
            "is_signed": overview.vendor is not None and overview.vendor.days_left > 0,
            "renewed": [one for one in overview.topics if one.in_use is not None],
            "portal": PORTAL,
            "choices": {} if refused is None else _choices(refused.refusal),
        }
        return self._office.page(request, "push_certificate.html", signed_in, context, refused)


def _choices(refusal: Refusal) -> dict[str, str]:
    """Return what somebody may say that they mean, by its name: what the remedy names as an option."""
    return {
        one.value: words for one, words in _DELIBERATE.items() if f"--{one.value.replace('_', '-')}" in refusal.remedy
    }


def _line(row: Expiring) -> EndingLine:
    width = min(BAR_WIDTH, max(row.days_left and 2, round(BAR_WIDTH * row.days_left / BAR_DAYS)))
    if row.days_left == 0:
        mark = _OVER
    elif row.kind is ExpiringKind.TOKEN:
        mark = _FAR
    elif row.days_left <= URGENT_WITHIN.days:
        mark = _URGENT
    else:
        mark = _SOON if row.days_left <= EXPIRY_NOTICE.days else _FAR
    return EndingLine(row, KINDS[row.kind], mark, width, _CONSEQUENCES[row.kind])


def _file(made: MadeRequest) -> Response:
    """Hand a request to the browser as a file, signed where we have what to sign it by."""
    is_signed = made.signed_request is not None
    name = "push-request.txt" if is_signed else "push-request.csr"
    headers = {**PAGE_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(made.signed_request or made.request_pem, media_type="application/octet-stream", headers=headers)
