"""SCEP's PKCSReq and RenewalReq: issue a device identity, and remember for what it was issued.

A challenge buys one certificate. The same device asking again for the same key, its reply having been lost, gets the
same certificate again.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from muster.crypto.certificates import certified_key, inspect_certificate, known_certificate
from muster.crypto.certificates import fingerprint as fingerprint_of
from muster.crypto.issuance import Authority, issue_identity
from muster.crypto.keys import spki_fingerprint
from muster.crypto.names import COMMON_NAME, MAXIMUM_COMMON_NAME_OCTETS, first_value
from muster.crypto.requests import CertificateRequest
from muster.crypto.well_known_keys import is_well_known
from muster.domain.access import Grant, IssueAgain, may_use_challenge
from muster.domain.control.evidence import REFUSED_RENEWAL, Observation, Signal
from muster.domain.enrollment import Identity, Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.renewal import FIRST_RETRIES
from muster.domain.renewal_failures import classify_refusal
from muster.operations.context import Context
from muster.operations.journal_identity import journal_identity
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import enrollments, evidence, identities, renewals, reviews
from muster.storage.engine import Transaction
from muster.storage.identities import NewIdentity


@dataclass(frozen=True, slots=True)
class CertificateOrder:
    """A verified request for a certificate. *renewing* is the fingerprint of the identity that signed a RenewalReq."""

    request: CertificateRequest
    authority: Authority
    organization: str
    source: str
    renewing: bytes | None = None


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """The certificate, DER. *is_repeated*: it had been issued before, for the same challenge and key. *renewal_of*:
    the device whose identity it renews, None where a link let it in or it had been issued before.
    """

    certificate_der: bytes
    is_repeated: bool = False
    renewal_of: DeviceId | None = None


IssueOutcome: TypeAlias = IssuedCertificate | Refusal


def issue_certificates(tx: Transaction, orders: Sequence[CertificateOrder], ctx: Context) -> list[IssueOutcome]:
    """Issue a certificate for each of *orders*, or refuse it; one outcome for each, in order.

    What is refused with the challenge of a device's renewal is evidence of that device, even if the challenge is over.
    """
    outcomes = []
    for order in orders:
        outcome = _issue(tx, order, ctx)
        if isinstance(outcome, Refusal) and order.request.challenge:
            _note_refused_renewal(tx, order, outcome, hash_secret(order.request.challenge), ctx)
        outcomes.append(outcome)
    return outcomes


def _note_refused_renewal(
    tx: Transaction, order: CertificateOrder, refusal: Refusal, secret_hash: bytes, ctx: Context
) -> None:
    challenge = identities.challenge(tx, secret_hash)
    device_id = None if challenge is None else challenge.made_for.renewal_of
    if device_id is None:
        return
    device = ChannelId(device_id)
    enrollment = enrollments.find(tx, [device]).get(device)
    if enrollment is None:
        return
    failure = classify_refusal(refusal.code)
    renewals.note_failed(tx, device_id, failure, refusal.message, at=ctx.now, challenge_hash=secret_hash)
    detail = {"code": refusal.code.value, "failure": failure.value}
    observation = Observation(
        device, Signal.IDENTITY_ISSUED, REFUSED_RENEWAL, ctx.now, enrollment.epoch, order.source, detail
    )
    if evidence.append(tx, [observation], ctx.new_id):
        reviews.schedule(tx, device, ctx.now)
    else:
        reviews.schedule(tx, device, ctx.now + FIRST_RETRIES[0])


def _issue(tx: Transaction, order: CertificateOrder, ctx: Context) -> IssueOutcome:
    if is_well_known(order.request.public_key_der) and not ctx.policy.accepts_published_keys:
        return Refusal(RefusalCode.KEY_PUBLISHED, "the key is one of the published test keys; anyone may have it")
    authority_ends = known_certificate(order.authority.certificate_der).not_after
    if ctx.now >= authority_ends:
        return Refusal(RefusalCode.AUTHORITY_EXPIRED, f"the authority asked for expired on {authority_ends:%Y-%m-%d}")
    if order.renewing is not None:
        return _renew(tx, order, order.renewing, ctx)
    return _issue_for_challenge(tx, order, ctx)


def _issue_for_challenge(tx: Transaction, order: CertificateOrder, ctx: Context) -> IssueOutcome:
    secret = order.request.challenge
    if not secret:
        return Refusal(RefusalCode.CHALLENGE_UNKNOWN, "the request carries no challenge")
    secret_hash = hash_secret(secret)
    challenge = identities.challenge(tx, secret_hash)
    link = (
        None
        if challenge is None or challenge.made_for.link_id is None
        else identities.link_by_id(tx, challenge.made_for.link_id, for_update=True)
    )
    key = spki_fingerprint(order.request.public_key_der)
    verdict = may_use_challenge(challenge, link, key, ctx.now)
    if isinstance(verdict, Refusal):
        return verdict
    if isinstance(verdict, IssueAgain):
        certificate_der = identities.certificate_of(tx, verdict.identity_fingerprint)
        assert certificate_der is not None, "a used challenge names a stored identity"
        journal_identity(tx, verdict.identity_fingerprint, ctx, source=order.source, challenge=(secret_hash, key))
        return IssuedCertificate(certificate_der, is_repeated=True)
    assert challenge is not None, "may_use_challenge refuses an unknown challenge"
    issued = sign_and_store(tx, order, challenge.made_for, ctx)
    identities.use_challenge(tx, secret_hash, key=key, identity=fingerprint_of(issued.certificate_der), at=ctx.now)
    if challenge.made_for.link_id is not None and challenge.made_for.provenance is Provenance.LINK:
        identities.count_link_use(tx, challenge.made_for.link_id)
    return issued


def _renew(tx: Transaction, order: CertificateOrder, renewing: bytes, ctx: Context) -> IssueOutcome:
    """Issue a successor to the identity that signed the request (RFC 8894, RenewalReq)."""
    identity = identities.find(tx, renewing, for_update=True)
    if identity is None:
        return Refusal(RefusalCode.IDENTITY_UNKNOWN, "the identity to renew was not issued by this server")
    for certificate_der in identities.successors(tx, renewing, identity.device_id):
        if certified_key(certificate_der) == order.request.public_key_der:
            journal_identity(tx, fingerprint_of(certificate_der), ctx, source=order.source)
            return IssuedCertificate(certificate_der, is_repeated=True)  # asked again, its reply having been lost
    if identity.is_replaced:
        return Refusal(RefusalCode.IDENTITY_SUPERSEDED, "the identity was renewed before")
    if ctx.now >= identity.not_after:
        return Refusal(RefusalCode.IDENTITY_EXPIRED, f"the identity expired on {identity.not_after:%Y-%m-%d}")
    if identity.device_id is None:
        # No device has used it yet: the successor takes its place, so that one link use stays one device.
        issued = sign_and_store(tx, order, _grant_of(identity), ctx, replaces=renewing)
        identities.replace(tx, renewing, fingerprint_of(issued.certificate_der))
        return issued
    device = ChannelId(identity.device_id)
    enrollment = enrollments.find(tx, [device]).get(device)
    if enrollment is None or enrollment.pins.current != renewing:
        return Refusal(RefusalCode.IDENTITY_SUPERSEDED, "the identity is not the one its device uses now")
    renewal = replace(_grant_of(identity), provenance=Provenance.RENEWAL, link_id=None, renewal_of=identity.device_id)
    return sign_and_store(tx, order, renewal, ctx)


def _grant_of(identity: Identity) -> Grant:
    return Grant(
        identity.provenance,
        identity.link_id,
        identity.renewal_of,
        identity.profile_id,
        identity.expected_udid,
        identity.expected_serial,
        identity.account,
    )


def sign_and_store(
    tx: Transaction, order: CertificateOrder, grant: Grant, ctx: Context, *, replaces: bytes | None = None
) -> IssuedCertificate:
    """Issue a certificate for *order* and remember that it is for *grant*; whether it may be is not asked here.

    It is journaled before it leaves. *replaces* is the identity in whose place it is, no device having used that.
    """
    # an identity that outlives its authority is refused by whoever looks at the chain
    authority_ends = known_certificate(order.authority.certificate_der).not_after
    not_after = min(ctx.now + ctx.policy.identity_lifetime, authority_ends)
    certificate_der = issue_identity(
        order.request,
        order.authority,
        subject_common_name=_common_name(order.request, ctx),
        subject_organization=order.organization or None,
        not_before=ctx.now - ctx.policy.identity_backdating,
        not_after=not_after,
        # 127 bits, never 0: unpredictable and unique (RFC 5280, 4.1.2.2)
        serial_number=int.from_bytes(ctx.random_bytes(16), "big") >> 1 | 1,
    )
    fingerprint = fingerprint_of(certificate_der)
    identities.add(
        tx,
        NewIdentity(
            fingerprint,
            certificate_der,
            fingerprint_of(order.authority.certificate_der),
            grant,
            ctx.now,
            inspect_certificate(certificate_der).not_after,
        ),
    )
    secret = order.request.challenge
    challenge = (hash_secret(secret), spki_fingerprint(order.request.public_key_der)) if secret else None
    journal_identity(tx, fingerprint, ctx, source=order.source, challenge=challenge, replaces=replaces)
    if grant.renewal_of is not None:
        device = ChannelId(grant.renewal_of)
        enrollment = enrollments.find(tx, [device]).get(device)
        epoch = 0 if enrollment is None else enrollment.epoch
        detail = {"identity": fingerprint.hex(), "not_after": f"{not_after:%Y-%m-%dT%H:%M:%SZ}"}
        evidence.append(
            tx,
            [Observation(device, Signal.IDENTITY_ISSUED, "renewal", ctx.now, epoch, order.source, detail)],
            ctx.new_id,
        )
    return IssuedCertificate(certificate_der, renewal_of=grant.renewal_of)


def _common_name(request: CertificateRequest, ctx: Context) -> str:
    """Keep the name the client asks for, for people to recognise; nothing is ever decided by it."""
    asked = first_value(request.subject, COMMON_NAME)
    if asked and asked.isprintable() and len(asked.encode()) <= MAXIMUM_COMMON_NAME_OCTETS:
        return asked
    return f"device {ctx.random_bytes(8).hex()}"


def hash_secret(secret: str) -> bytes:
    """Return how a random secret (challenge, link, session) is stored and found: its SHA-256.

    The secrets are random and long, so a plain hash keeps them, and looking one up by its hash tells nothing by time.
    """
    return hashlib.sha256(secret.encode()).digest()


def random_secret(ctx: Context) -> str:
    """Return a secret of 192 random bits as 32 characters that survive URLs, profiles and terminals.

    It never begins with a hyphen, which a command line would take for an option's.
    """
    secret = base64.urlsafe_b64encode(ctx.random_bytes(24)).decode()
    return "A" + secret[1:] if secret.startswith("-") else secret  # a bit at most
