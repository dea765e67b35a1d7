"""Enrollment profiles made: for a link, for a device known beforehand, and once more to renew an identity.

What a profile says is kept by content, and the challenge or identity that it carries remembers it: a renewal repeats
the values that the device was enrolled with, whatever the server is set to by then.
"""

import base64
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from muster.crypto.issuance import Authority
from muster.crypto.keys import RSAPrivateKey, load_private_key
from muster.crypto.pkcs12 import make_pkcs12
from muster.crypto.requests import make_request, read_request
from muster.domain.access import Challenge, EnrollmentLink, Grant, IdentityKind
from muster.domain.enrolled_terms import EnrolledTerms
from muster.domain.enrollment import Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.context import Context
from muster.operations.issue_certificate import CertificateOrder, hash_secret, random_secret, sign_and_store
from muster.protocol.profile import (
    EnrollmentMode,
    EnrollmentProfile,
    IdentityPayload,
    Pkcs12Payload,
    ScepPayload,
    TrustAnchor,
)
from muster.storage import enrollment_profiles, identities, installations, push_certificates
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class EnrollmentTerms:
    """What every enrollment profile of this server says alike. URLs are absolute, without a slash at the end."""

    public_url: str
    check_in_url: str | None
    organization: str
    trust_anchors_der: tuple[bytes, ...] = ()
    """Certificates that devices need to trust this server's TLS, where it isn't publicly trusted."""


@dataclass(frozen=True, slots=True)
class IdentityKeyNeeded:
    """The profile holds an identity made here: ask again with its key, which is made outside of any transaction."""


def terms_for_link(
    tx: Transaction,
    server: EnrollmentTerms,
    link: EnrollmentLink,
    *,
    enrollment_mode: EnrollmentMode | None = None,
    account: str | None = None,
) -> EnrolledTerms | Refusal:
    """Put together what a profile made from *link* says.

    Refused while there is no push certificate: such a device could not be woken.
    """
    certificates = push_certificates.current_certificates(tx)
    if not certificates:
        return Refusal(
            RefusalCode.PUSH_CERTIFICATE_MISSING,
            "this server has no push certificate yet, so it could not wake the device",
            "Upload one with `muster push-cert upload`, then open the link again.",
        )
    here = installations.read(tx)
    assert here is not None, "the first start records the installation"
    whose = server.organization
    return EnrolledTerms(
        payload_identifier=here.profile_identifier,
        display_name="Device Management",
        description=f"Lets {whose or 'your organization'} manage this device.",
        organization=whose,
        topic=certificates[0].topic,
        server_url=f"{server.public_url}/mdm",
        check_in_url=server.check_in_url,
        access_rights=None if enrollment_mode is EnrollmentMode.BYOD else link.access_rights,
        capabilities=link.capabilities,
        identity_kind=link.identity_kind,
        scep_url=f"{server.public_url}/scep",
        trust_anchors=tuple((f"{whose or 'Muster'} server", anchor) for anchor in server.trust_anchors_der),
        is_removal_disallowed=link.is_removal_disallowed,
        enrollment_mode=enrollment_mode,
        account=account,
    )


def make_profile(
    tx: Transaction,
    terms: EnrolledTerms,
    grant: Grant,
    ctx: Context,
    *,
    expires_at: datetime,
    common_name: str | None = None,
    key: RSAPrivateKey | None = None,
) -> EnrollmentProfile:
    """Make an enrollment profile that says *terms*, with an identity of its own for one device.

    *grant* says for what and for whom it is; its profile_id is filled in here. SCEP's challenge may be used until
    *expires_at*; a PKCS #12 identity is issued at once, and uses its link up. *common_name* is the identity's subject;
    absent, a random one. *key* is a PKCS #12 identity's; absent, it is made here, which keeps the transaction waiting.
    Secrets of the profile are in it alone.
    """
    grant = replace(grant, profile_id=enrollment_profiles.keep(tx, terms, ctx.now), account=terms.account)
    common_name = common_name or f"device {ctx.random_bytes(8).hex()}"
    identity: IdentityPayload
    if terms.identity_kind is IdentityKind.PKCS12:
        identity = _pkcs12(tx, terms, grant, common_name, key or ctx.new_rsa_key(terms.key_size), ctx)
    else:
        identity = ScepPayload(
            payload_uuid=payload_uuid(ctx),
            url=terms.scep_url,
            subject=(*((("O", terms.organization),) if terms.organization else ()), ("CN", common_name)),
            challenge=make_challenge(tx, grant, ctx, expires_at=expires_at),
            key_size=terms.key_size,
        )
    return EnrollmentProfile(
        payload_identifier=terms.payload_identifier,
        payload_uuid=payload_uuid(ctx),
        mdm_payload_uuid=payload_uuid(ctx),
        display_name=terms.display_name,
        organization=terms.organization or None,
        description=terms.description,
        topic=terms.topic,
        server_url=terms.server_url,
        check_in_url=terms.check_in_url,
        access_rights=terms.access_rights,
        server_capabilities=terms.capabilities,
        identity=identity,
        trust_anchors=tuple(TrustAnchor(payload_uuid(ctx), name, anchor) for name, anchor in terms.trust_anchors),
        enrollment_mode=terms.enrollment_mode,
        assigned_managed_apple_id=terms.account,
        is_removal_disallowed=terms.is_removal_disallowed,
        part_identifiers=terms.part_identifiers,
    )


def make_challenge(tx: Transaction, grant: Grant, ctx: Context, *, expires_at: datetime) -> str:
    """Make a one-time SCEP challenge for *grant*, good until *expires_at*; only its hash is kept."""
    secret = random_secret(ctx)
    identities.add_challenge(tx, Challenge(hash_secret(secret), grant, expires_at, None, None, None), ctx.now)
    return secret


def _pkcs12(
    tx: Transaction, terms: EnrolledTerms, grant: Grant, common_name: str, key: RSAPrivateKey, ctx: Context
) -> Pkcs12Payload:
    request = read_request(make_request(key, common_name=common_name))
    authority = current_authority(tx, ctx)
    issued = sign_and_store(tx, CertificateOrder(request, authority, terms.organization, ""), grant, ctx)
    if grant.link_id is not None and grant.provenance is Provenance.LINK:
        identities.count_link_use(tx, grant.link_id)
    password = base64.b32encode(ctx.random_bytes(15)).decode()
    content = make_pkcs12(issued.certificate_der, key, password, friendly_name=common_name, legacy=True)
    return Pkcs12Payload(payload_uuid(ctx), content, password)


def current_authority(tx: Transaction, ctx: Context) -> Authority:
    """Open the authority that issues identities now."""
    stored = identities.all_authorities(tx)[0]
    sealed = ctx.open(stored.key_sealed, table="authorities", column="key_sealed", row=stored.fingerprint.hex())
    return Authority(stored.certificate_der, load_private_key(sealed, is_ours=True))


def payload_uuid(ctx: Context) -> str:
    """Return a fresh PayloadUUID."""
    return str(UUID(bytes=ctx.random_bytes(16), version=4)).upper()
