"""An administrator asks for a push certificate, or an MDM vendor certificate: a key is made and kept, and a request.

Where an MDM vendor certificate is in use, the request for a push certificate is signed by it, as Apple's portal asks.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from muster.crypto.algorithms import Digest
from muster.crypto.certificates import der_from_pem
from muster.crypto.keys import load_private_key, private_key_der, public_key_der, sign, spki_fingerprint
from muster.crypto.names import MAXIMUM_COMMON_NAME_OCTETS
from muster.crypto.requests import make_request
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.permit import act
from muster.protocol.push_certificate_request import SignedPushRequest, encode_signed_request
from muster.storage import people, push_certificates
from muster.storage.engine import Transaction
from muster.storage.journal_records import push_request_record
from muster.storage.push_certificates import RequestPurpose, StoredRequest, StoredVendorCertificate

KEY_BITS: Final = 2048
"""What Apple's portal takes."""
MAX_EMAIL_CHARACTERS: Final = 255
"""RFC 5280, ub-emailaddress-length."""


@dataclass(frozen=True, slots=True)
class RequestOrder:
    """What is asked for. *email* and *country* (two letters) stand in the request where given.

    *renews*: the topic that is to be renewed; absent: whichever. It does not stand in the request; the entry that one
    picks in Apple's portal decides.
    """

    purpose: RequestPurpose
    common_name: str
    email: str | None = None
    country: str | None = None
    renews: str | None = None


@dataclass(frozen=True, slots=True)
class TopicToRenew:
    """The certificate in use of a topic, and how many enrollments would have to enroll again without it."""

    topic: str
    not_after: datetime
    enrollments: int


@dataclass(frozen=True, slots=True)
class MadeRequest:
    """A request, whose key stays here, sealed.

    *signed_request* is what Apple's portal takes; absent for a vendor certificate, and where no MDM vendor certificate
    that is valid is in use: then *vendor_not_after* tells when the last one ended, if there was one. *renew*: the
    topics in use, the one that new enrollments get first.
    """

    id: str
    purpose: RequestPurpose
    request_pem: str
    signed_request: str | None
    vendor_not_after: datetime | None
    renew: tuple[TopicToRenew, ...]


RequestOutcome: TypeAlias = MadeRequest | Refusal


@act(Permission.CERTIFICATES)
def request_push_certificates(tx: Transaction, orders: Sequence[RequestOrder], ctx: Context) -> list[RequestOutcome]:
    """Make a key and a request for each order, or refuse: a name that no request can hold, a topic that is not in use.

    Nothing that is in use changes. A key that was made once is kept, so that the answer fits whenever it comes.
    """
    return [_request(tx, order, ctx) for order in orders]


def _request(tx: Transaction, order: RequestOrder, ctx: Context) -> RequestOutcome:
    unfit = _unfit_subject(order)
    if unfit is not None:
        return unfit
    renew = _topics_in_use(tx, order.renews) if order.purpose is RequestPurpose.PUSH else ()
    if order.renews is not None and not renew:
        return Refusal(
            RefusalCode.NOT_FOUND,
            f"no push certificate for {order.renews} is in use",
            "See the topics in use with `muster push-cert list`.",
        )
    key = ctx.new_rsa_key(KEY_BITS)
    request_der = make_request(key, common_name=order.common_name, country=order.country, email=order.email)
    request_id = ctx.new_id()
    stored = StoredRequest(
        id=request_id,
        purpose=order.purpose,
        request_der=request_der,
        key_sealed=ctx.seal(
            private_key_der(key), table="push_certificate_requests", column="key_sealed", row=request_id
        ),
        key_hash=spki_fingerprint(public_key_der(key)),
    )
    push_certificates.add_request(tx, stored, ctx.now, by=ctx.actor.name)
    tx.to_journal.append(push_request_record(stored, by=ctx.actor.name, at=ctx.now))
    made = _write(tx, stored, renew, ctx)
    detail = {
        "purpose": order.purpose.value,
        "key": stored.key_hash.hex(),
        "signed": made.signed_request is not None,
    }
    people.record_act(tx, ctx.actor, "push_certificate.request", request_id, detail, ctx.now)
    return made


@act(Permission.CERTIFICATES)
def write_requests_again(tx: Transaction, request_ids: Sequence[str], ctx: Context) -> list[RequestOutcome]:
    """Write requests once more that were made here, signed by the vendor certificate that is in use now.

    Refused where there is no such request.
    """
    return [_write_again(tx, request_id, ctx) for request_id in request_ids]


def _write_again(tx: Transaction, request_id: str, ctx: Context) -> RequestOutcome:
    stored = push_certificates.request_by_id(tx, request_id)
    if stored is None:
        return Refusal(RefusalCode.NOT_FOUND, f"there is no request {request_id[:80]}", "Make another one.")
    made = _write(tx, stored, _topics_in_use(tx, None) if stored.purpose is RequestPurpose.PUSH else (), ctx)
    detail = {"purpose": stored.purpose.value, "signed": made.signed_request is not None}
    people.record_act(tx, ctx.actor, "push_certificate.write_request_again", stored.id, detail, ctx.now)
    return made


def _write(tx: Transaction, stored: StoredRequest, renew: tuple[TopicToRenew, ...], ctx: Context) -> MadeRequest:
    vendor = push_certificates.current_vendor_certificate(tx) if stored.purpose is RequestPurpose.PUSH else None
    is_signed = vendor is not None and ctx.now < vendor.not_after
    return MadeRequest(
        id=stored.id,
        purpose=stored.purpose,
        request_pem=_pem(stored.request_der),
        signed_request=_sign(stored.request_der, vendor, ctx) if vendor is not None and is_signed else None,
        vendor_not_after=None if vendor is None else vendor.not_after,
        renew=renew,
    )


def _unfit_subject(order: RequestOrder) -> Refusal | None:
    name, email, country = order.common_name, order.email, order.country
    if not name.strip() or len(name.encode()) > MAXIMUM_COMMON_NAME_OCTETS or not name.isprintable():
        what = f"a common name has 1 to {MAXIMUM_COMMON_NAME_OCTETS} octets, and no control characters"
        return Refusal(RefusalCode.PUSH_REQUEST_UNFIT, what, "Give another --common-name.")
    if country is not None and not (len(country) == 2 and country.isascii() and country.isupper()):
        what = "a country has two letters in upper case (ISO 3166-1)"
        return Refusal(RefusalCode.PUSH_REQUEST_UNFIT, what, "Give another --country, as DE or US.")
    if email is not None and not (
        email.isascii() and email.isprintable() and 0 < email.find("@") < len(email) - 1 <= MAX_EMAIL_CHARACTERS - 1
    ):
        what = f"an e-mail address has an @, ASCII only, and at most {MAX_EMAIL_CHARACTERS} characters"
        return Refusal(RefusalCode.PUSH_REQUEST_UNFIT, what, "Give another --email.")
    return None


def _topics_in_use(tx: Transaction, renews: str | None) -> tuple[TopicToRenew, ...]:
    listeners = push_certificates.listeners(tx)
    return tuple(
        TopicToRenew(one.topic, one.not_after, listeners[one.topic].enrollments if one.topic in listeners else 0)
        for one in push_certificates.told_certificates(tx)
        if renews in (None, one.topic)
    )


def _sign(request_der: bytes, vendor: StoredVendorCertificate, ctx: Context) -> str:
    opened = ctx.open(vendor.key_sealed, table="vendor_certificates", column="key_sealed", row=vendor.fingerprint.hex())
    signature = sign(load_private_key(opened, is_ours=True), request_der, Digest.SHA256)
    return encode_signed_request(
        SignedPushRequest(request_der, signature, der_from_pem(vendor.certificate_pem))
    ).decode()


def _pem(request_der: bytes) -> str:
    encoded = base64.b64encode(request_der).decode()
    lines = [encoded[i : i + 64] for i in range(0, len(encoded), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE REQUEST-----", *lines, "-----END CERTIFICATE REQUEST-----", ""])
