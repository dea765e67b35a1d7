"""Devices that a server knows before it starts: one with an identity that is good, one whose identity has expired.

They enrolled with operations, days ago by the clock that those were given; then real servers serve them by real time.
"""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests.service.stage import keys, now
from tests.support.site import IPAD, MAC, TOPIC, authenticate, head, print_of, token_update

from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.service import Service, open_service
from muster.crypto.certificates import pem_from_der
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import Authority, issue_identity
from muster.crypto.keys import private_key_pem
from muster.crypto.requests import make_request, read_request
from muster.domain.access import ALL_ACCESS_RIGHTS, DEFAULT_CAPABILITIES, DEVICE, Grant, IdentityKind
from muster.domain.enrolled_terms import EnrolledTerms
from muster.domain.enrollment import Provenance
from muster.operations.answer_checkin import answer_checkins
from muster.operations.checkin import CheckinAnswer, CheckinRequest
from muster.operations.ensure_partitions import ensure_partitions
from muster.protocol.checkin import Authenticate, TokenUpdate, encode_checkin
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import Identifiers
from muster.protocol.mdm_signature import make_mdm_signature
from muster.settings import read_settings
from muster.storage import enrollment_profiles, identities
from muster.storage.engine import Transaction
from muster.storage.identities import NewIdentity

DAY = timedelta(days=1)
ENROLLED_WITH = EnrolledTerms(
    payload_identifier="org.example.enrollment",
    display_name="Device Management",
    description="",
    organization="",
    topic=TOPIC,
    server_url="https://mdm.example.org/mdm",
    check_in_url=None,
    access_rights=ALL_ACCESS_RIGHTS,
    capabilities=DEFAULT_CAPABILITIES,
    identity_kind=IdentityKind.SCEP,
    scep_url="https://mdm.example.org/scep",
)
PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Identities:
    """The Mac's identity is good, the iPad's has expired, and a stranger's was issued by nobody that we know."""

    mac: SignerIdentity
    ipad: SignerIdentity
    stranger: SignerIdentity


@dataclass(frozen=True)
class Files:
    """A certificate and its key, as TLS wants them."""

    certificate: Path
    key: Path


def enroll_devices(data_dir: Path, database: str | None = None) -> Identities:
    """Have the Mac and the iPad enroll four days ago, the iPad's identity being good for a day."""
    then = now() - 4 * DAY
    settings = read_settings({"data_dir": data_dir, "database": database}, {})
    service = open_service(settings, Surroundings(now=lambda: then))
    try:
        service.runner.write_now(ensure_partitions, [None])
        mac, ipad = _issue(service, 1, then, then + 30 * DAY), _issue(service, 2, then, then + DAY)
        for identifiers, identity, not_after in ((MAC, mac, then + 30 * DAY), (IPAD, ipad, then + DAY)):
            _enroll(service, identifiers, identity, not_after)
        stranger = _identity(Authority(mac.certificate_der, mac.key), 3, then, then + 30 * DAY)
        return Identities(mac, ipad, stranger)
    finally:
        service.close()


def _issue(service: Service, number: int, not_before: datetime, not_after: datetime) -> SignerIdentity:
    authority = service.foundation.authority
    identity = _identity(authority, number, not_before, not_after)

    def store(tx: Transaction) -> None:
        new = NewIdentity(
            print_of(identity),
            identity.certificate_der,
            print_of(SignerIdentity(authority.certificate_der, authority.key)),
            Grant(Provenance.LINK, profile_id=enrollment_profiles.keep(tx, ENROLLED_WITH, not_before)),
            issued_at=not_before,
            not_after=not_after,
        )
        identities.add(tx, new)

    service.engine.write(store)
    return identity


def _identity(authority: Authority, number: int, not_before: datetime, not_after: datetime) -> SignerIdentity:
    key = keys()[number]
    certificate = issue_identity(
        read_request(make_request(key, common_name=f"device {number}")),
        authority,
        subject_common_name=f"device {number}",
        not_before=not_before,
        not_after=not_after,
        serial_number=1000 + number,
    )
    return SignerIdentity(certificate, key)


def _enroll(service: Service, identifiers: Identifiers, identity: SignerIdentity, not_after: datetime) -> None:
    messages: tuple[Authenticate | TokenUpdate, ...] = (authenticate(identifiers), token_update(identifiers))
    for message in messages:
        request = CheckinRequest(
            message, print_of(identity), encode_checkin(message), "192.0.2.1", identity_not_after=not_after
        )
        assert isinstance(service.runner.write_now(answer_checkins, [request], DEVICE)[0], CheckinAnswer)


def write(identity: SignerIdentity, directory: Path, name: str) -> Files:
    """Write an identity into files in *directory*."""
    files = Files(directory / f"{name}.pem", directory / f"{name}.key")
    files.certificate.write_bytes(pem_from_der([identity.certificate_der]))
    files.key.write_bytes(private_key_pem(identity.key))
    return files


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    server: str


def connect(
    url: str,
    identifiers: Identifiers,
    *,
    signer: SignerIdentity | None = None,
    headers: Mapping[str, str] | None = None,
    trust: Path | None = None,
    presenting: Files | None = None,
    source: str = "127.0.0.1",
    body: bytes | None = None,
) -> Answer:
    """Connect as a device: over TLS that trusts *trust*, *presenting* a certificate, signed by *signer*, each if given.

    Raises OSError (ssl.SSLError is one) when the connection fails.
    """
    scheme, _, address = url.partition("://")
    body = encode_report(Report(head(identifiers))) if body is None else body
    signed = {} if signer is None else {"Mdm-Signature": make_mdm_signature(body, signer)}
    line: http.client.HTTPConnection
    if scheme == "https":
        context = ssl.create_default_context(cafile=str(trust))
        if presenting is not None:
            context.load_cert_chain(presenting.certificate, presenting.key)
        line = http.client.HTTPSConnection(address, timeout=PATIENCE_SECONDS, context=context)
    else:
        line = http.client.HTTPConnection(address, timeout=PATIENCE_SECONDS, source_address=(source, 0))
    try:
        line.request(
            "PUT", "/mdm", body, {"Content-Type": "application/x-apple-aspen-mdm", **signed, **(headers or {})}
        )
        reply = line.getresponse()
        return Answer(reply.status, reply.read(), reply.getheader("Server", ""))
    finally:
        line.close()
