"""The profile that adopted devices have is supplied, held against what is known of each, and then they are renewed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.operations.test_adopt_enrollments import DEVICE, elsewhere, meet, order
from tests.support.chronicle import replay
from tests.support.runner import NOW
from tests.support.site import MAC, TOPIC, Site, authority, id_of, print_of

from muster.domain.access import IdentityKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.policy import Policy
from muster.operations.adopt_enrollments import adopt_enrollments
from muster.operations.adopt_profiles import AdoptedProfile, ProfileAdopted, adopt_profiles
from muster.operations.answer_connect import ConnectReply
from muster.operations.ask_for_renewals import ask_for_renewals
from muster.operations.renew_identities import RenewalOrder, renew_identities
from muster.protocol.command import CommandRequest, decode_command
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.protocol.plist import PlistValue, read_plist, write_plist
from muster.protocol.profile import (
    EnrollmentProfile,
    ScepPayload,
    TrustAnchor,
    decode_enrollment_profile,
    encode_enrollment_profile,
)
from muster.protocol.profile_payloads import Pkcs12Payload
from muster.storage import enrollment_profiles, schema

US = "https://mdm.example"
IDENTIFIER = "com.github.micromdm.nanomdm"
THEIRS = EnrollmentProfile(
    payload_identifier=IDENTIFIER,
    payload_uuid="F639C3F6-0000-4000-8000-000000000001",
    mdm_payload_uuid="F639C3F6-0000-4000-8000-000000000002",
    display_name="Enrollment Profile",
    topic=TOPIC,
    server_url="https://nano.example/mdm",
    check_in_url="https://nano.example/checkin",
    access_rights=8191,
    server_capabilities=("com.apple.mdm.per-user-connections",),
    identity=ScepPayload(
        "F639C3F6-0000-4000-8000-000000000003",
        "https://scep.example/scep",
        (("CN", "Identity"),),
        "secret",
        key_size=1024,
    ),
    trust_anchors=(TrustAnchor("F639C3F6-0000-4000-8000-000000000004", "Root", authority(3).certificate_der),),
    part_identifiers=(("mdm", "com.github.micromdm.nanomdm.their-mdm"), ("scep", "com.github.micromdm.scep")),
)


def supplied(profile: EnrollmentProfile | bytes = THEIRS, *ids: str, **how: bool) -> AdoptedProfile:
    content = profile if isinstance(profile, bytes) else encode_enrollment_profile(profile)
    return AdoptedProfile(tuple(map(DeviceId, ids or (DEVICE,))), content, US, **how)


def supply(site: Site, given: AdoptedProfile) -> ProfileAdopted:
    [done] = site.do(adopt_profiles, given)
    assert isinstance(done, ProfileAdopted), done
    return done


def why_not(site: Site, given: AdoptedProfile) -> Refusal:
    [done] = site.do(adopt_profiles, given)
    if isinstance(done, ProfileAdopted):
        assert not done.device_ids
        [done] = done.refused.values()
    assert isinstance(done, Refusal)
    return done


def listing(site: Site, *identifiers: str) -> None:
    """Have the device answer which profiles it has."""
    listed: list[PlistValue] = [
        {"PayloadIdentifier": one, "PayloadUUID": one, "PayloadVersion": 1, "PayloadContent": []} for one in identifiers
    ]
    site.answers(elsewhere(), CommandRequest("ProfileList"), {"ProfileList": listed})


@pytest.fixture
def adopted(site: Site) -> Site:
    """A site with a device of another server, which told its profiles."""
    site.hold_authority_key()
    site.do(adopt_enrollments, order(elsewhere()))
    listing(site, IDENTIFIER, "org.example.wifi")
    return site


def renewal_of(site: Site) -> Mapping[str, Any]:
    """Have the device's identity renewed, and return the profile that is sent."""
    site.do(ask_for_renewals, ChannelId(DEVICE))
    [is_sent] = site.do(renew_identities, RenewalOrder(ChannelId(DEVICE), lambda xml: xml))
    assert is_sent
    handed = site.connect(elsewhere())
    assert isinstance(handed, ConnectReply), handed
    payload = decode_command(handed.body).keys["Payload"]
    assert isinstance(payload, bytes)
    return {"xml": payload, **read_plist(payload)}


def test_device_is_renewed_with_the_profile_that_it_has(adopted: Site) -> None:
    refused = adopted.do(ask_for_renewals, ChannelId(DEVICE))[0]
    done = supply(adopted, supplied())
    sent = renewal_of(adopted)

    assert isinstance(refused, Refusal)
    assert done == ProfileAdopted(IDENTIFIER, TOPIC, THEIRS.server_url, IdentityKind.SCEP, (DEVICE,), {})
    again = decode_enrollment_profile(sent["xml"])
    assert isinstance(again.identity, ScepPayload)
    assert (again.identity.url, again.identity.key_size) == (f"{US}/scep", 2048)
    for name in ("payload_identifier", "topic", "server_url", "check_in_url", "access_rights", "server_capabilities"):
        assert getattr(again, name) == getattr(THEIRS, name)
    assert (again.display_name, again.part_identifiers) == (THEIRS.display_name, THEIRS.part_identifiers)
    assert [one.certificate_der for one in again.trust_anchors] == [authority(3).certificate_der]
    named = {one["PayloadType"]: one["PayloadIdentifier"] for one in sent["PayloadContent"]}
    assert named["com.apple.mdm"] == "com.github.micromdm.nanomdm.their-mdm"
    assert named["com.apple.security.scep"] == "com.github.micromdm.scep"


def test_rehearsal_changes_nothing(adopted: Site) -> None:
    told = supply(adopted, supplied(is_rehearsal=True))

    assert told.device_ids == (DEVICE,)
    assert adopted.engine.read(lambda tx: enrollment_profiles.of_device(tx, DEVICE)) is None
    assert supply(adopted, supplied()) == told


def test_what_is_known_already_is_not_changed(adopted: Site) -> None:
    supply(adopted, supplied())

    assert why_not(adopted, supplied()).code is RefusalCode.CONFLICT


def test_device_of_our_own_needs_none(site: Site) -> None:
    site.enroll()

    refused = why_not(site, supplied(THEIRS, id_of(MAC), anyway=True))

    assert refused.code is RefusalCode.CONFLICT
    assert why_not(site, supplied(THEIRS, "NOBODY")).code is RefusalCode.NOT_FOUND


def test_each_device_is_judged_by_itself(adopted: Site) -> None:
    done = supply(adopted, supplied(THEIRS, "NOBODY", DEVICE))

    assert done.device_ids == (DEVICE,)
    assert list(done.refused) == ["NOBODY"]


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (replace(THEIRS, topic="com.apple.mgmt.External.other"), "listens to the topic"),
        (
            replace(THEIRS, payload_identifier="org.example.other"),
            "has no profile org.example.other; it has com.",
        ),
        (replace(THEIRS, server_url="https://nano.example/v1/commands"), "which this server does not answer"),
        (replace(THEIRS, check_in_url="http://nano.example/checkin"), "which this server does not answer"),
        (replace(THEIRS, access_rights=None), "has no AccessRights"),
        (replace(THEIRS, identity=Pkcs12Payload("U", b"p12", "password")), "PKCS #12, which is not allowed here"),
        (b"nonsense", "it is no enrollment profile"),
        (b"\x30\x80nonsense", "it is no enrollment profile"),
        (write_plist({"PayloadType": "Configuration", "PayloadContent": []}), "not exactly one MDM payload"),
    ],
)
def test_another_profile_is_refused(adopted: Site, profile: EnrollmentProfile | bytes, said: str) -> None:
    assert said in why_not(adopted, supplied(profile)).message
    assert said in why_not(adopted, supplied(profile, anyway=True)).message


def test_identity_as_pkcs12_may_be_repeated_where_it_is_allowed(adopted: Site) -> None:
    adopted.runner.policy = Policy(inventory_interval=timedelta(0), allows_pkcs12_identities=True)

    done = supply(adopted, supplied(replace(THEIRS, identity=Pkcs12Payload("U", b"p12", "password"))))

    assert done.identity_kind is IdentityKind.PKCS12


def test_server_without_an_address_of_its_own_issues_no_identities(adopted: Site) -> None:
    refused = why_not(adopted, replace(supplied(), public_url=""))

    assert refused.remedy == "Set public_url, and start the server once."


def test_device_whose_profiles_are_not_known_is_asked_first(site: Site) -> None:
    site.do(adopt_enrollments, order(elsewhere()))

    refused = why_not(site, supplied())

    assert refused.remedy == f"Ask it first: `muster devices refresh {DEVICE} --kind ProfileList`."
    assert supply(site, supplied(anyway=True)).device_ids == (DEVICE,)


def test_other_payloads_would_go_and_so_have_to_be_insisted_on(adopted: Site) -> None:
    keys = read_plist(encode_enrollment_profile(THEIRS))
    content = keys["PayloadContent"]
    assert isinstance(content, list)
    content.append({"PayloadType": "com.apple.wifi.managed", "PayloadIdentifier": "w", "PayloadUUID": "W"})
    given = supplied(write_plist(keys))

    refused = why_not(adopted, given)

    assert "beside the enrollment it has com.apple.wifi.managed" in refused.message
    assert supply(adopted, replace(given, anyway=True)).device_ids == (DEVICE,)


def test_device_that_was_not_met_yet_has_its_profile_when_it_is(site: Site) -> None:
    site.do(adopt_enrollments, order(awaited=print_of(elsewhere())))
    supply(site, supplied(anyway=True))

    assert meet(site, elsewhere())

    terms = site.engine.read(lambda tx: enrollment_profiles.of_device(tx, DEVICE))
    assert terms is not None
    assert terms.payload_identifier == IDENTIFIER


def test_restored_database_learns_it_from_the_journal(adopted: Site) -> None:
    supply(adopted, supplied())
    records = list(adopted.runner.journal)
    forget = sa.update(schema.identities).values(profile_id=None)
    adopted.engine.write(lambda tx: tx.connection.execute(forget))

    replay(adopted, records)

    terms = adopted.engine.read(lambda tx: enrollment_profiles.of_device(tx, DEVICE))
    assert terms is not None
    assert terms.part_identifiers == THEIRS.part_identifiers


def test_it_is_an_act_of_the_audit_log(adopted: Site) -> None:
    supply(adopted, supplied())

    table = schema.audit
    acts = adopted.rows(sa.select(table.c.subject, table.c.at).where(table.c.act == "enrollment.profile"))
    assert acts == [(DEVICE, NOW)]
