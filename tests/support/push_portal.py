"""Apple's side of push certificates, simulated: authorities with Apple's names, a portal that checks what it is given.

The portal answers a signed request as Apple's does: a certificate for the key of the request, of the topic of the entry
that is renewed, or of a new one. It lacks accounts, and Apple's own extensions.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from tests.support.runner import NOW

from muster.crypto.algorithms import Digest
from muster.crypto.certificates import fingerprint, inspect_certificate, known_certificate, pem_from_der
from muster.crypto.chains import chain_to
from muster.crypto.keys import RSAPrivateKey, load_public_key, verify
from muster.crypto.requests import read_request
from muster.protocol.push_certificate_request import decode_signed_request
from muster.simulator.keys.published import published_keys

YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Issuer:
    """An authority."""

    name: x509.Name
    key: RSAPrivateKey
    certificate_der: bytes


def name_of(common_name: str, organization: str = "Apple Inc.", user_id: str | None = None) -> x509.Name:
    """A name, as Apple's are."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    if user_id is not None:
        parts.insert(0, x509.NameAttribute(NameOID.USER_ID, user_id))
    return x509.Name(parts)


def certify(
    subject: x509.Name,
    public_key_der: bytes,
    issuer: Issuer | None,
    key: RSAPrivateKey,
    *,
    not_before: datetime = NOW - timedelta(days=1),
    not_after: datetime = NOW + YEAR,
    is_authority: bool = False,
) -> bytes:
    """Issue a certificate by *key*, of *issuer* or self-signed. Returns DER."""
    public_key = serialization.load_der_public_key(public_key_der)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.name)
        .public_key(public_key)  # type: ignore[arg-type] # of a kind that can be certified
        .not_valid_before(not_before.replace(microsecond=0))
        .not_valid_after(not_after.replace(microsecond=0))
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _issuer(common_name: str, number: int, above: Issuer | None, *, not_after: datetime = NOW + 10 * YEAR) -> Issuer:
    key = published_keys()[number]
    subject = name_of(common_name)
    der = certify(
        subject,
        key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        above,
        key if above is None else above.key,
        not_before=NOW - 5 * YEAR,
        not_after=not_after,
        is_authority=True,
    )
    return Issuer(subject, key, der)


@cache
def root() -> Issuer:
    """What stands for Apple's root."""
    return _issuer("Simulated Root CA", 4, None)


@cache
def developer_relations(*, is_over: bool = False) -> Issuer:
    """What stands for the authority above MDM vendor certificates."""
    not_after = NOW - timedelta(days=1) if is_over else NOW + 10 * YEAR
    return _issuer("Simulated Worldwide Developer Relations", 5, root(), not_after=not_after)


@cache
def application_integration() -> Issuer:
    """What stands for the authority above push certificates."""
    return _issuer("Simulated Application Integration", 6, root())


def vendor_certificate(
    public_key_der: bytes,
    *,
    not_before: datetime = NOW - timedelta(days=1),
    not_after: datetime = NOW + YEAR,
    issuer: Issuer | None = None,
) -> bytes:
    """An MDM vendor certificate."""
    issuer = issuer or developer_relations()
    subject = name_of("MDM Vendor: Example", "Example")
    return certify(subject, public_key_der, issuer, issuer.key, not_before=not_before, not_after=not_after)


def push_certificate_of(
    topic: str,
    public_key_der: bytes,
    *,
    not_before: datetime = NOW - timedelta(days=1),
    not_after: datetime = NOW + YEAR,
) -> bytes:
    """A push certificate for *topic*, as Apple's subordinate authority issues them."""
    issuer = application_integration()
    subject = name_of("APSP:test", "", user_id=topic)
    return certify(subject, public_key_der, issuer, issuer.key, not_before=not_before, not_after=not_after)


class RequestNotTaken(Exception):
    """The portal does not take this request."""


@dataclass
class PushPortal:
    """Apple's Push Certificates Portal: entries by topic, with the requests that were taken for each."""

    entries: dict[str, list[bytes]] = field(default_factory=dict)

    def renew(self, topic: str, signed_request: bytes, *, now: datetime = NOW) -> bytes:
        """Make the certificate of the entry *topic* anew, or make the entry. Returns PEM.

        Raises RequestNotTaken when the vendor's chain does not lead to the root or is not valid now, or the vendor's
        signature is not over the request.
        """
        signed = decode_signed_request(signed_request)
        request = read_request(signed.request_der, allow_legacy=False)
        chain = chain_to(signed.chain_der[0], signed.chain_der, [root().certificate_der], allow_legacy=False)
        if chain != signed.chain_der:
            raise RequestNotTaken("the chain is not in order, or has strangers in it")
        if not all(inspect_certificate(one).not_before <= now < inspect_certificate(one).not_after for one in chain):
            raise RequestNotTaken("a certificate of the chain is not valid now")
        vendor = known_certificate(chain[0]).public_key
        assert vendor is not None
        verify(vendor, signed.signature, signed.request_der, Digest.SHA256)
        load_public_key(request.public_key_der)
        certificate = push_certificate_of(topic, request.public_key_der, not_before=now, not_after=now + YEAR)
        self.entries.setdefault(topic, []).append(fingerprint(certificate))
        return pem_from_der([certificate])
