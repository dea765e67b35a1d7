"""An administrator uploads an MDM vendor certificate, by which requests for push certificates are signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from muster.crypto.apple_roots import apple_device_roots
from muster.crypto.certificate_files import (
    certified_key_hash,
    end_entity,
    has_key,
    read_certificate_file,
    read_key_file,
)
from muster.crypto.certificates import (
    inspect_certificate,
    is_issued_by,
    issuer_name,
    key_matches,
    pem_from_der,
    push_topic,
    subject_name,
)
from muster.crypto.chains import chain_to
from muster.crypto.errors import BadSignature, CryptoError, UnreadableFile
from muster.crypto.keys import PrivateKey, RSAPrivateKey, load_private_key, private_key_pem
from muster.crypto.names import rfc4514
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.permit import act
from muster.storage import people, push_certificates
from muster.storage.engine import Transaction
from muster.storage.push_certificates import RequestPurpose, StoredVendorCertificate

APPLES_AUTHORITIES: Final = "https://www.apple.com/certificateauthority/"


@dataclass(frozen=True, slots=True)
class UploadedVendorCertificate:
    """What an administrator uploads: files with the certificate, its key, and the authorities above it.

    *key* absent: it is in the certificate's file, or is that of a request made here. *chain* absent: the authorities
    are in the certificate's file, or Apple's root, which is known, is the issuer.
    """

    certificate: bytes
    key: bytes | None = None
    chain: bytes | None = None


@dataclass(frozen=True, slots=True)
class AcceptedVendorCertificate:
    """The certificate that signs requests from now on. *chain*: the names of it and of those above it, root last."""

    subject: str
    not_after: datetime
    fingerprint: bytes
    chain: tuple[str, ...]
    is_of_apple: bool


VendorOutcome: TypeAlias = AcceptedVendorCertificate | Refusal


@act(Permission.CERTIFICATES)
def upload_vendor_certificates(
    tx: Transaction, uploads: Sequence[UploadedVendorCertificate], ctx: Context
) -> list[VendorOutcome]:
    """Sign requests by these certificates, the last one counting, or refuse.

    Refused: a certificate of an authority or for push; one that is not valid now; a key that is another's, or not RSA,
    for Apple's portal takes RSA only; a chain that does not lead to a root or is not valid now. Not checked: whether
    Apple allowed this vendor to sign; the portal does.
    """
    tx.lock_name("vendor_certificates")
    return [_upload(tx, upload, ctx) for upload in uploads]


def _upload(tx: Transaction, upload: UploadedVendorCertificate, ctx: Context) -> VendorOutcome:
    try:
        certificates = read_certificate_file(upload.certificate)
        others = certificates + (() if upload.chain is None else read_certificate_file(upload.chain))
        leaf, _ = end_entity(certificates)
        refused = _unfit_certificate(leaf, ctx.now)
        if refused is not None:
            return refused
        key = _key(tx, upload, leaf, ctx)
        if isinstance(key, Refusal):
            return key
        chain = _chain(leaf, others, ctx.now)
    except UnreadableFile as error:
        return _unfit(f"the files can't be read: {error}", error.remedy)
    except CryptoError as error:
        return _unfit(f"the files can't be read: {error}", "Give certificates as PEM or DER.")
    return chain if isinstance(chain, Refusal) else _accept(tx, chain, key, ctx)


def _unfit(message: str, remedy: str) -> Refusal:
    return Refusal(
        RefusalCode.VENDOR_CERTIFICATE_UNFIT, f"the MDM vendor certificate was not accepted: {message}", remedy
    )


def _unfit_certificate(leaf: bytes, now: datetime) -> Refusal | None:
    facts = inspect_certificate(leaf)
    if facts.is_ca:
        return _unfit("it is the certificate of an authority", "Give the vendor certificate itself with --cert.")
    if push_topic(leaf) is not None:
        return _unfit("it is a push certificate", "Give it to `muster push-cert upload`.")
    if now >= facts.not_after:
        return _unfit(f"it expired on {facts.not_after:%Y-%m-%d}", "Make a new one in Apple's developer account.")
    if now < facts.not_before:
        what = f"it is valid from {facts.not_before:%Y-%m-%d %H:%M} UTC on, and it is {now:%Y-%m-%d %H:%M} UTC here"
        return _unfit(what, "See that this server's clock is right.")
    return None


def _key(tx: Transaction, upload: UploadedVendorCertificate, leaf: bytes, ctx: Context) -> PrivateKey | Refusal:
    given = upload.key if upload.key is not None else upload.certificate if has_key(upload.certificate) else None
    if given is None:
        request = push_certificates.find_request(tx, certified_key_hash(leaf))
        if request is None or request.purpose is not RequestPurpose.VENDOR:
            return _unfit(
                "no key was given with it, and it answers no request that was made here",
                "Give the key of its request with --key, or begin with `muster push-cert vendor request`.",
            )
        opened = ctx.open(request.key_sealed, table="push_certificate_requests", column="key_sealed", row=request.id)
        return load_private_key(opened, is_ours=True)
    key = read_key_file(given)
    if not key_matches(leaf, key):
        return _unfit("the key does not belong to the certificate", "Give the key that the request was made with.")
    if not isinstance(key, RSAPrivateKey):
        return _unfit("its key is not RSA, which Apple's portal asks for", "Make a new one with an RSA key.")
    return key


def _chain(leaf: bytes, others: Sequence[bytes], now: datetime) -> tuple[bytes, ...] | Refusal:
    """Find the chain from *leaf* to Apple's root, or to a root among *others*; each of it has to be valid now."""
    roots = [*apple_device_roots(), *(one for one in others if _is_root(one))]
    try:
        chain = chain_to(leaf, others, roots, allow_legacy=False)
    except BadSignature:
        return _unfit(
            f"the certificate of its issuer is missing: {_missing(leaf, others)}",
            f"Give it with --chain; Apple's are at {APPLES_AUTHORITIES}.",
        )
    for one in chain[1:]:
        facts = inspect_certificate(one)
        if not facts.not_before <= now < facts.not_after:
            what = f"{facts.subject} above it is valid from {facts.not_before:%Y-%m-%d} to {facts.not_after:%Y-%m-%d}"
            return _unfit(what, f"Give the one that is valid now with --chain; Apple's are at {APPLES_AUTHORITIES}.")
    return chain


def _is_root(certificate: bytes) -> bool:
    is_own_issuer = subject_name(certificate) == issuer_name(certificate)
    return is_own_issuer and inspect_certificate(certificate).is_ca and is_issued_by(certificate, certificate)


def _missing(leaf: bytes, others: Sequence[bytes]) -> str:
    """Name the first issuer above *leaf* whose certificate is not among *others*."""
    by_name = {subject_name(one): one for one in others if one != leaf}
    issuer = issuer_name(leaf)
    seen = set()
    while issuer in by_name and issuer not in seen:
        seen.add(issuer)
        issuer = issuer_name(by_name[issuer])
    return rfc4514(issuer) or "one without a name"


def _accept(tx: Transaction, chain: tuple[bytes, ...], key: PrivateKey, ctx: Context) -> AcceptedVendorCertificate:
    facts = inspect_certificate(chain[0])
    name = facts.fingerprint.hex()
    sealed = ctx.seal(private_key_pem(key), table="vendor_certificates", column="key_sealed", row=name)
    stored = StoredVendorCertificate(facts.fingerprint, pem_from_der(chain), sealed, facts.not_after)
    push_certificates.store_vendor_certificate(tx, stored, ctx.now, by=ctx.actor.name)
    push_certificates.note_answered(tx, certified_key_hash(chain[0]), ctx.now)
    detail = {"fingerprint": name, "not_after": f"{facts.not_after:%Y-%m-%dT%H:%M:%SZ}"}
    people.record_act(tx, ctx.actor, "vendor_certificate.upload", facts.subject, detail, ctx.now)
    return AcceptedVendorCertificate(
        facts.subject,
        facts.not_after,
        facts.fingerprint,
        tuple(inspect_certificate(one).subject for one in chain),
        is_of_apple=chain[-1] in apple_device_roots(),
    )
