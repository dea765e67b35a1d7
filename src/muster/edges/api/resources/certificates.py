"""What ends: the push certificate, and the identities of devices."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from muster.domain.permissions import Permission
from muster.domain.push_certificates import Deliberately
from muster.edges.api.cursors import cursor_after, text_place
from muster.edges.api.endpoints import Call, Page, endpoint
from muster.edges.api.limits import DEFAULT_PAGE, Cursor, Limits, PageSize
from muster.edges.api.problems import FaultyMember, malformed
from muster.edges.api.property_values import read_base64
from muster.operations.ask_for_renewals import AskedRenewal, ask_for_renewals
from muster.operations.permit import of_fleet, within_scope
from muster.operations.request_push_certificate import MadeRequest, RequestOrder, request_push_certificates
from muster.operations.upload_push_certificate import (
    AcceptedPushCertificate,
    UploadedPushCertificate,
    upload_push_certificates,
)
from muster.operations.upload_vendor_certificate import (
    AcceptedVendorCertificate,
    UploadedVendorCertificate,
    upload_vendor_certificates,
)
from muster.operations.views.authorities import AuthorityRow, list_authorities
from muster.operations.views.identities import IdentityQuery, IdentityRow, list_identities
from muster.operations.views.push_certificates import PushCertificateOverview, list_push_certificates
from muster.protocol.identifiers import ChannelId
from muster.storage.push_certificates import RequestPurpose


@endpoint("GET", "/push-certificates")
async def list_all_push_certificates(call: Call) -> PushCertificateOverview:
    """List the push certificates by topic, with the days that are left, and the requests that are open."""
    now = call.runner.now()
    return await call.see(of_fleet(lambda tx: list_push_certificates(tx, now)))


@dataclass(frozen=True, slots=True)
class CertificateBody:
    """A push certificate as Apple gave it. *key*: its key, where it isn't that of a request made here, and does not
    stand in the same file. *meant*: what is meant although it looks odd, as a refusal names it."""

    certificate: Annotated[str, Limits("PEM or DER, in base64.", 1, 500_000)]
    key: Annotated[str | None, Limits("PEM or DER, in base64.", 1, 100_000)] = None
    meant: tuple[Deliberately, ...] = ()


@endpoint("POST", "/push-certificates", needs=Permission.CERTIFICATES, refuses=(409,), status=201)
async def upload_push_certificate(call: Call, body: CertificateBody) -> AcceptedPushCertificate:
    """Have devices pushed by a push certificate from now on."""
    certificate = read_base64(body.certificate, "body.certificate")
    key = None if body.key is None else read_base64(body.key, "body.key")
    return await call.do(upload_push_certificates, UploadedPushCertificate(certificate, key, frozenset(body.meant)))


@dataclass(frozen=True, slots=True)
class RequestBody:
    """A request to make. *common_name*: null: the organization's; *renews*: a topic, where several are in use."""

    purpose: RequestPurpose = RequestPurpose.PUSH
    common_name: Annotated[str | None, Limits("The name in it.", 1, 255)] = None
    email: Annotated[str | None, Limits("An e-mail address in it.", 1, 255)] = None
    country: Annotated[str | None, Limits("A country in it: two letters.", 1, 10)] = None
    renews: Annotated[str | None, Limits("The topic to renew.", 1, 255)] = None


@endpoint("POST", "/push-certificates/requests", needs=Permission.CERTIFICATES, refuses=(404, 409), status=201)
async def request_push_certificate(call: Call, body: RequestBody) -> MadeRequest:
    """Make a key, which stays here, and the request for a push certificate, or for an MDM vendor certificate."""
    name = body.common_name or call.site.organization or "Muster"
    return await call.do(
        request_push_certificates, RequestOrder(body.purpose, name, body.email, body.country, body.renews)
    )


@dataclass(frozen=True, slots=True)
class VendorBody:
    """An MDM vendor certificate. *key*: where it isn't that of a request made here; *chain*: authorities above it."""

    certificate: Annotated[str, Limits("PEM or DER, in base64.", 1, 500_000)]
    key: Annotated[str | None, Limits("PEM or DER, in base64.", 1, 100_000)] = None
    chain: Annotated[str | None, Limits("PEM or DER, in base64.", 1, 500_000)] = None


@endpoint("POST", "/push-certificates/vendor", needs=Permission.CERTIFICATES, refuses=(409,), status=201)
async def upload_vendor_certificate(call: Call, body: VendorBody) -> AcceptedVendorCertificate:
    """Sign requests for push certificates by this MDM vendor certificate from now on."""
    key = None if body.key is None else read_base64(body.key, "body.key")
    chain = None if body.chain is None else read_base64(body.chain, "body.chain")
    certificate = read_base64(body.certificate, "body.certificate")
    return await call.do(upload_vendor_certificates, UploadedVendorCertificate(certificate, key, chain))


@endpoint("GET", "/authorities")
async def list_all_authorities(call: Call) -> tuple[AuthorityRow, ...]:
    """List the authorities that issue identities, the current one first, with the devices that hang on each."""
    return await call.see(of_fleet(list_authorities))


@dataclass(frozen=True, slots=True)
class IdentitiesAsked:
    """Which identities."""

    expires_within_days: Annotated[int | None, Limits("Those alone that end so soon, or have.", 0, 3650)] = None
    expires_within_seconds: Annotated[int | None, Limits("The same, finer.", 0, 3650 * 86_400)] = None
    limit: PageSize = DEFAULT_PAGE
    cursor: Cursor | None = None


@endpoint("GET", "/identities")
async def list_all_identities(call: Call, asked: IdentitiesAsked) -> Page[IdentityRow]:
    """List the identities of enrolled devices, the earliest end first, and where the renewal of each is."""
    now, policy, days = call.runner.now(), call.site.policy, asked.expires_within_days
    seconds = asked.expires_within_seconds
    spans = [] if days is None else [timedelta(days=days)]
    spans += [] if seconds is None else [timedelta(seconds=seconds)]
    until = now + min(spans) if spans else None
    query = IdentityQuery(until, _place(text_place(asked)), asked.limit)
    page = await call.see(within_scope(lambda tx, within: list_identities(tx, query, now, policy, within)))
    after = page.next_after
    return Page(page.rows, cursor_after(asked, None if after is None else f"{after[0].isoformat()} {after[1]}"))


def _place(text: str | None) -> tuple[datetime, ChannelId] | None:
    if text is None:
        return None
    at, _, device_id = text.partition(" ")
    try:
        ends = datetime.fromisoformat(at)
    except ValueError as error:
        raise malformed(FaultyMember("query.cursor", "it is no cursor of this list")) from error
    if ends.tzinfo is None:
        raise malformed(FaultyMember("query.cursor", "it is no cursor of this list"))
    return ends, ChannelId(device_id)


@endpoint("POST", "/devices/{device_id}/renewal", needs=Permission.COMMAND, refuses=(404, 409, 422))
async def renew_identity(call: Call, device_id: str) -> AskedRenewal:
    """Renew the identity of a device now, whenever it ends."""
    return await call.do(ask_for_renewals, ChannelId(device_id))


ENDPOINTS = (
    list_all_push_certificates,
    upload_push_certificate,
    request_push_certificate,
    upload_vendor_certificate,
    list_all_authorities,
    list_all_identities,
    renew_identity,
)
