"""A device under a site whose identity is renewed: enrolled by a known profile, reviewed, and about its own renewal."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from tests.support.site import MAC, SOURCE, Site, authority, head, id_of, print_of

from muster.crypto.certificates import fingerprint, inspect_certificate
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import Authority
from muster.crypto.keys import PrivateKey, generate_ec_key, private_key_der
from muster.crypto.requests import make_request, read_request
from muster.domain.access import DEVICE, SERVER, IdentityKind
from muster.domain.enrolled_terms import EnrolledTerms
from muster.domain.renewal import expiry_renewal
from muster.operations.answer_checkin import AnyCheckin, answer_checkins
from muster.operations.answer_connect import ConnectOutcome, ConnectReply, ConnectRequest, answer_connects
from muster.operations.checkin import CheckinOutcome, CheckinRequest
from muster.operations.issue_certificate import CertificateOrder, IssuedCertificate, IssueOutcome, issue_certificates
from muster.operations.renew_identities import RenewalOrder, renew_identities
from muster.operations.review_channels import review_channels
from muster.operations.tend_queues import tend_queues
from muster.protocol.checkin import CheckinMessage, encode_checkin
from muster.protocol.command import decode_command
from muster.protocol.connect import ErrorItem, Report, encode_report
from muster.protocol.identifiers import Identifiers
from muster.protocol.profile import EnrollmentProfile, ScepPayload, decode_enrollment_profile
from muster.storage import enrollment_profiles, identities, renewals, reviews, schema
from muster.storage.engine import Transaction
from muster.storage.identities import StoredAuthority
from muster.storage.renewals import DueIdentity

TERMS = EnrolledTerms(
    payload_identifier="org.example.enrollment",
    display_name="Device Management",
    description="Lets Example manage this device.",
    organization="Example",
    topic="com.apple.mgmt.External.test",
    server_url="https://old.example.org/mdm",
    check_in_url="https://old.example.org/checkin",
    access_rights=3,
    capabilities=("com.apple.mdm.token",),
    identity_kind=IdentityKind.SCEP,
    scep_url="https://old.example.org/scep",
    trust_anchors=(("Example server", b"0\x00"),),
    is_removal_disallowed=True,
)


def enroll(
    site: Site,
    identifiers: Identifiers = MAC,
    *,
    terms: EnrolledTerms | None = TERMS,
    identity: SignerIdentity | None = None,
) -> SignerIdentity:
    """Enroll a device whose profile said *terms*; None: as one that came from elsewhere."""
    identity = identity or site.identity()

    def remember(tx: Transaction) -> None:
        profile_id = None if terms is None else enrollment_profiles.keep(tx, terms, site.now)
        tx.connection.execute(
            sa.update(schema.identities)
            .where(schema.identities.c.fingerprint == print_of(identity))
            .values(profile_id=profile_id)
        )

    site.engine.write(remember)
    return site.enroll(identifiers, identity)


def review(site: Site) -> int:
    """Review everything that is due, and do what is found; returns how many renewals were queued."""
    sent = 0
    while True:
        reviewed = site.do(review_channels, None, actor=SERVER)[0]
        if reviewed.to_tend:
            site.do(tend_queues, *reviewed.to_tend, actor=SERVER)
        for device in reviewed.to_renew:
            sent += site.do(renew_identities, RenewalOrder(device, lambda profile: profile), actor=SERVER)[0]
        if not reviewed.more:
            return sent


def next_review(site: Site) -> datetime:
    """When the next review is due."""
    at = site.engine.read(reviews.next_due)
    assert at is not None
    return at


def state(site: Site, identifiers: Identifiers = MAC) -> DueIdentity:
    """What is stored of a device's pinned identity and its renewal."""
    return site.engine.read(lambda tx: renewals.read(tx, [id_of(identifiers)]))[id_of(identifiers)]


def wait_until_due(site: Site, identifiers: Identifiers = MAC) -> None:
    """Let time pass until the device's identity is to be renewed."""
    site.runner.time = expiry_renewal(state(site, identifiers).situation, site.runner.policy)


def row(site: Site, identifiers: Identifiers = MAC) -> dict[str, Any]:
    """The device's renewal as stored."""
    table = schema.renewals
    with site.engine.sqlalchemy.connect() as connection:
        found = connection.execute(sa.select(table).where(table.c.device_id == id_of(identifiers))).mappings().one()
        return dict(found)


@dataclass(frozen=True)
class Handed:
    """A renewal as the device was handed it."""

    command_uuid: str
    profile: EnrollmentProfile

    @property
    def challenge(self) -> str:
        """The SCEP challenge in it."""
        assert isinstance(self.profile.identity, ScepPayload)
        assert self.profile.identity.challenge is not None
        return self.profile.identity.challenge


def not_after(identity: SignerIdentity) -> datetime:
    """Until when an identity is valid."""
    return inspect_certificate(identity.certificate_der).not_after


def connect(
    site: Site,
    identity: SignerIdentity,
    status: str = "Idle",
    command_uuid: str | None = None,
    *,
    errors: tuple[ErrorItem, ...] = (),
    identifiers: Identifiers = MAC,
) -> ConnectOutcome:
    """Have the device connect with a report."""
    asked = head(identifiers, status, command_uuid)
    body = encode_report(Report(asked, error_chain=errors))
    request = ConnectRequest(asked, print_of(identity), body, SOURCE, not_after(identity))
    return site.do(answer_connects, request, actor=DEVICE)[0]


def check_in(site: Site, message: CheckinMessage, identity: SignerIdentity) -> CheckinOutcome:
    """Have the device check in."""
    request: AnyCheckin = CheckinRequest(
        message, print_of(identity), encode_checkin(message), SOURCE, not_after(identity)
    )
    return site.do(answer_checkins, request, actor=DEVICE)[0]


def fetch(site: Site, identity: SignerIdentity, identifiers: Identifiers = MAC) -> Handed:
    """Have the device connect, and take the renewal that it is handed."""
    outcome = connect(site, identity, identifiers=identifiers)
    assert isinstance(outcome, ConnectReply), outcome
    command = decode_command(outcome.body)
    assert command.request_type == "InstallProfile"
    payload = command.keys["Payload"]
    assert isinstance(payload, bytes)
    return Handed(command.command_uuid, decode_enrollment_profile(payload))


def ask(site: Site, challenge: str, key: PrivateKey | None = None, issuer: Authority | None = None) -> IssueOutcome:
    """Ask SCEP for a certificate with *challenge*, for a key of its own unless given."""
    request = read_request(make_request(key or generate_ec_key(), common_name="renewed", challenge=challenge))
    return site.do(issue_certificates, CertificateOrder(request, issuer or authority(), "Example", SOURCE))[0]


def obtain(site: Site, handed: Handed) -> SignerIdentity:
    """Get the new identity by the challenge of a renewal."""
    key = generate_ec_key()
    outcome = ask(site, handed.challenge, key)
    assert isinstance(outcome, IssuedCertificate), outcome
    return SignerIdentity(outcome.certificate_der, key)


def give_pkcs12_authority(site: Site) -> None:
    """Make the site's authority's key available to operations that issue by themselves."""
    ours = authority()
    name = fingerprint(ours.certificate_der)
    sealed = site.runner.context().seal(
        private_key_der(ours.key), table="authorities", column="key_sealed", row=name.hex()
    )
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.authorities).values(key_sealed=sealed)))


def rotate(site: Site, to: Authority) -> None:
    """Make another authority the current one."""
    stored = StoredAuthority(fingerprint(to.certificate_der), to.certificate_der, b"sealed", is_current=True)
    site.engine.write(lambda tx: identities.make_current(tx, stored, site.now))
