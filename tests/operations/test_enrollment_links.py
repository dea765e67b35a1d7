"""Enrollment links: made by an administrator, opened by anybody who has one, within bounds."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.simulator.apns_pki import TOPIC, push_certificate
from tests.support.profiles import scep_of
from tests.support.site import ADMINISTRATOR, Site

from muster.domain import access
from muster.domain.errors import Refusal, RefusalCode
from muster.operations import enrollment_links
from muster.operations.enrollment_links import LinkOpened, LinkOrder, NewLink, open_links
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.operations.issue_certificate import hash_secret
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.protocol.profile import EnrollmentProfile, decode_enrollment_profile, encode_enrollment_profile
from muster.storage import schema

DAY = timedelta(days=1)
TERMS = EnrollmentTerms("https://mdm.example.org", None, "Example", (b"0\x00",))


@pytest.fixture
def site(site: Site) -> Site:
    pem = push_certificate()
    site.do(upload_push_certificates, UploadedPushCertificate(pem.certificate_pem, pem.key_pem))
    return site


def make(site: Site, uses_allowed: int | None = 1, *, access_rights: int = 8191) -> NewLink:
    return site.link(LinkOrder(uses_allowed, DAY, "for the school", access_rights))


def open_link(site: Site, token: str) -> EnrollmentProfile | Refusal:
    return site.do(open_links, LinkOpened(token, TERMS))[0]


def opened(site: Site, token: str) -> EnrollmentProfile:
    profile = open_link(site, token)
    assert isinstance(profile, EnrollmentProfile), profile
    return profile


def code(outcome: EnrollmentProfile | Refusal) -> RefusalCode:
    assert isinstance(outcome, Refusal)
    return outcome.code


def test_link_is_kept_by_its_hash_and_written_into_the_audit_log(site: Site) -> None:
    new = make(site)

    columns = schema.enrollment_links.c
    stored = site.rows(sa.select(columns.token_hash, columns.created_by, columns.uses, columns.note))
    assert stored == [(hash_secret(new.token), ADMINISTRATOR.name, 0, "for the school")]
    acts = site.rows(sa.select(schema.audit.c.act, schema.audit.c.subject))
    assert ("enrollment_link.create", new.link.id) in acts
    assert new.token not in str(site.rows(sa.select(schema.audit)))


def test_profile_says_where_to_enroll_and_with_which_rights(site: Site) -> None:
    profile = opened(site, make(site, access_rights=6163).token)

    assert (profile.server_url, scep_of(profile).url) == ("https://mdm.example.org/mdm", "https://mdm.example.org/scep")
    assert (profile.topic, profile.access_rights, profile.sign_message) == (TOPIC, 6163, True)
    assert profile.payload_identifier == "org.example.enrollment"
    assert [anchor.certificate_der for anchor in profile.trust_anchors] == [b"0\x00"]
    assert decode_enrollment_profile(encode_enrollment_profile(profile)) == profile


def test_every_opening_has_a_challenge_and_payloads_of_its_own_and_uses_nothing_up(site: Site) -> None:
    token = make(site).token

    profiles = [opened(site, token) for _ in range(3)]

    assert len({scep_of(profile).challenge for profile in profiles}) == 3
    assert len({profile.payload_uuid for profile in profiles}) == 3
    assert site.rows(sa.select(schema.enrollment_links.c.uses)) == [(0,)]


def test_challenge_ends_with_its_link_at_the_latest(site: Site) -> None:
    token = make(site).token
    site.wait(hours=23)

    opened(site, token)

    assert site.rows(sa.select(schema.challenges.c.expires_at)) == [(site.now + timedelta(hours=1),)]


@pytest.mark.parametrize("token", ["", "x" * 32, "\N{SNOWMAN}", "' OR 1=1 --"])
def test_unknown_token_opens_nothing(site: Site, token: str) -> None:
    make(site)

    assert code(open_link(site, token)) is RefusalCode.LINK_UNKNOWN


def test_expired_link_opens_nothing(site: Site) -> None:
    token = make(site).token
    site.wait(days=1)

    assert code(open_link(site, token)) is RefusalCode.LINK_EXPIRED


def test_link_opened_too_often_is_busy_until_its_challenges_expire(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.OUTSTANDING_CHALLENGES_PER_LINK == 1000
    monkeypatch.setattr(enrollment_links, "OUTSTANDING_CHALLENGES_PER_LINK", 3)
    token = site.link(LinkOrder(1, 9 * DAY)).token
    for _ in range(3):
        opened(site, token)

    assert code(open_link(site, token)) is RefusalCode.LINK_BUSY
    site.wait(days=1)
    opened(site, token)


def test_link_opens_nothing_without_a_push_certificate(site: Site) -> None:
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.push_certificates)))

    assert code(open_link(site, make(site).token)) is RefusalCode.PUSH_CERTIFICATE_MISSING
    assert site.rows(sa.select(schema.challenges)) == []
