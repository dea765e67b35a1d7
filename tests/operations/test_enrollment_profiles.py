"""Profiles remember what they said: the identity that comes of one carries the terms it was made with."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.simulator.apns_pki import push_certificate
from tests.support.site import MAC, Site, id_of

from muster.crypto.certificates import fingerprint, inspect_certificate
from muster.crypto.pkcs12 import read_pkcs12
from muster.domain.access import ALL_ACCESS_RIGHTS, EnrollmentLink, Grant, IdentityKind
from muster.domain.enrolled_terms import EnrolledTerms
from muster.domain.enrollment import Provenance
from muster.operations.enrollment_profiles import EnrollmentTerms, make_profile, terms_for_link
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.protocol.identifiers import DeviceId
from muster.protocol.profile import EnrollmentMode, EnrollmentProfile, Pkcs12Payload, ScepPayload
from muster.storage import enrollment_profiles, identities, schema
from muster.storage.engine import Transaction

TERMS = EnrollmentTerms("https://mdm.example.org", None, "Example", (b"0\x00",))


@pytest.fixture
def site(site: Site) -> Site:
    pem = push_certificate()
    site.do(upload_push_certificates, UploadedPushCertificate(pem.certificate_pem, pem.key_pem))
    return site


def link_of(site: Site, **changes: object) -> EnrollmentLink:
    base = EnrollmentLink("link", site.now, site.now + timedelta(days=1), 5, 0, None, ALL_ACCESS_RIGHTS, "")
    link = replace(base, **changes)  # type: ignore[arg-type]  # the fields of a link
    site.engine.write(lambda tx: identities.add_link(tx, link, token_hash=link.id.encode(), created_by="ana"))
    return link


def terms_of(site: Site, link: EnrollmentLink, **changes: object) -> EnrolledTerms:
    terms = site.engine.read(lambda tx: terms_for_link(tx, TERMS, link, **changes))  # type: ignore[arg-type]
    assert isinstance(terms, EnrolledTerms)
    return terms


def profile_of(site: Site, terms: EnrolledTerms, grant: Grant) -> EnrollmentProfile:
    def make(tx: Transaction) -> EnrollmentProfile:
        return make_profile(tx, terms, grant, site.runner.context(), expires_at=site.now + timedelta(days=1))

    return site.engine.write(make)


def test_challenge_remembers_what_the_profile_said_and_for_whom(site: Site) -> None:
    link = link_of(site)
    terms = terms_of(site, link)

    profile = profile_of(site, terms, Grant(Provenance.LINK, link.id, expected_udid="U", expected_serial="S"))

    assert isinstance(profile.identity, ScepPayload)
    stored = site.rows(sa.select(schema.challenges.c.profile_id, schema.challenges.c.expected_udid))
    assert stored == [(site.rows(sa.select(schema.enrollment_profiles.c.id))[0][0], "U")]
    assert site.engine.read(lambda tx: enrollment_profiles.find(tx, stored[0][0])) == terms


def test_terms_of_many_profiles_are_kept_once(site: Site) -> None:
    link = link_of(site)
    terms = terms_of(site, link)

    for _ in range(3):
        profile_of(site, terms, Grant(Provenance.LINK, link.id))

    assert site.rows(sa.select(sa.func.count()).select_from(schema.enrollment_profiles)) == [(1,)]


def test_user_enrollment_has_an_account_and_no_rights(site: Site) -> None:
    terms = terms_of(site, link_of(site), enrollment_mode=EnrollmentMode.BYOD, account="ada@example.org")

    profile = profile_of(site, terms, Grant(Provenance.LINK, "link"))

    assert profile.access_rights is None
    assert profile.assigned_managed_apple_id == "ada@example.org"
    assert site.rows(sa.select(schema.challenges.c.account)) == [("ada@example.org",)]


def test_identity_made_by_the_server_is_issued_at_once_and_uses_the_link(site: Site) -> None:
    link = link_of(site, identity_kind=IdentityKind.PKCS12)

    profile = profile_of(site, terms_of(site, link), Grant(Provenance.LINK, link.id))

    assert isinstance(profile.identity, Pkcs12Payload)
    identity = read_pkcs12(profile.identity.content, profile.identity.password)
    issued = site.engine.read(lambda tx: identities.find(tx, fingerprint(identity.certificate_der)))
    assert issued is not None
    assert issued.link_id == link.id
    assert inspect_certificate(identity.certificate_der).not_after == issued.not_after
    assert site.rows(sa.select(schema.enrollment_links.c.uses)) == [(1,)]
    assert site.rows(sa.select(schema.challenges.c.secret_hash)) == []


def test_device_is_enrolled_with_the_terms_of_its_pinned_identity(site: Site) -> None:
    link = link_of(site, identity_kind=IdentityKind.PKCS12)
    terms = terms_of(site, link)
    profile = profile_of(site, terms, Grant(Provenance.LINK, link.id))
    assert isinstance(profile.identity, Pkcs12Payload)
    site.enroll(MAC, read_pkcs12(profile.identity.content, profile.identity.password))

    of_device = site.engine.read(lambda tx: enrollment_profiles.of_device(tx, DeviceId(id_of(MAC))))

    assert of_device == terms


def test_terms_of_a_device_that_came_from_elsewhere_are_not_known(site: Site) -> None:
    site.enroll()

    assert site.engine.read(lambda tx: enrollment_profiles.of_device(tx, DeviceId(id_of(MAC)))) is None
