"""The MDM vendor certificate of one's own, by which requests for push certificates are signed here."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.edges.console.office import Office, Refused, back_to
from muster.edges.console.uploads import read_upload
from muster.operations.permit import of_fleet
from muster.operations.request_push_certificate import RequestOrder, request_push_certificates
from muster.operations.upload_vendor_certificate import (
    APPLES_AUTHORITIES,
    AcceptedVendorCertificate,
    UploadedVendorCertificate,
    upload_vendor_certificates,
)
from muster.operations.views.push_certificates import list_push_certificates
from muster.storage.push_certificates import RequestPurpose


class VendorCertificatePages:
    """The page about the MDM vendor certificate."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def routes(self) -> list[Route]:
        """Return the addresses of this page."""
        return [
            Route("/certificates/vendor", self.page),
            Route("/certificates/vendor", self.upload, methods=["POST"]),
            Route("/certificates/vendor/requests", self.request, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show the vendor certificate in use, and how one comes by another."""
        return await self._show(request)

    async def request(self, request: Request) -> Response:
        """Make a request for a vendor certificate, whose key stays here."""
        sent = await self._office.form(request, Permission.CERTIFICATES)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        order = RequestOrder(RequestPurpose.VENDOR, form["common_name"].strip(), form["email"].strip() or None)
        made = await self._office.do(signed_in, request_push_certificates, order)
        if isinstance(made, Refusal):
            return await self._show(request, Refused(made, form, "request"))
        return back_to("/certificates/vendor")

    async def upload(self, request: Request) -> Response:
        """Sign requests by the certificate that is brought."""
        signed_in = await self._office.see(request, of_fleet(lambda _tx: None, Permission.CERTIFICATES))
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        form, files = await read_upload(request, self._office.sessions.token(request) or "")
        if not files.get("certificate"):
            return await self._show(request, Refused(_NO_FILE, form, "upload"))
        uploaded = UploadedVendorCertificate(files["certificate"], files.get("key"), files.get("chain"))
        accepted = await self._office.do(signed_in, upload_vendor_certificates, uploaded)
        if not isinstance(accepted, AcceptedVendorCertificate):
            return await self._show(request, Refused(accepted, form, "upload"))
        return back_to("/certificates/push")

    async def _show(self, request: Request, refused: Refused | None = None) -> Response:
        now = self._office.runner.now()
        sight = of_fleet(lambda tx: list_push_certificates(tx, now), Permission.CERTIFICATES)
        signed_in = await self._office.see(request, sight)
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        overview = signed_in.value
        context = {
            "vendor": overview.vendor,
            "pending": [one for one in overview.pending_requests if one.purpose == RequestPurpose.VENDOR.value],
            "authorities": APPLES_AUTHORITIES,
        }
        return self._office.page(request, "vendor_certificate.html", signed_in, context, refused)


_NO_FILE = Refusal(
    RefusalCode.VENDOR_CERTIFICATE_UNFIT, "no file was chosen", "Choose the certificate from Apple's developer account."
)
