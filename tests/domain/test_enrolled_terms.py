"""What a device was enrolled with is kept by content, and read back as it was."""

import json
from dataclasses import replace

import pytest

from muster.domain.access import IdentityKind
from muster.domain.enrolled_terms import EnrolledTerms, terms_from_json, terms_id, terms_json
from muster.protocol.profile import EnrollmentMode

TERMS = EnrolledTerms(
    payload_identifier="org.example.enrollment",
    display_name="Device Management",
    description="Lets Café manage this device.",
    organization="Café",
    topic="com.apple.mgmt.External.test",
    server_url="https://mdm.example.org/mdm",
    check_in_url=None,
    access_rights=8191,
    capabilities=("com.apple.mdm.per-user-connections",),
    identity_kind=IdentityKind.SCEP,
    scep_url="https://mdm.example.org/scep",
    trust_anchors=(("Café server", b"\x30\x00\xff"),),
)
BYOD = replace(TERMS, access_rights=None, enrollment_mode=EnrollmentMode.BYOD, account="ada@example.org")


@pytest.mark.parametrize("terms", [TERMS, BYOD, replace(TERMS, identity_kind=IdentityKind.PKCS12, capabilities=())])
def test_terms_come_back_from_json_as_they_were(terms: EnrolledTerms) -> None:
    assert terms_from_json(json.loads(json.dumps(terms_json(terms)))) == terms


def test_equal_terms_have_one_name_and_others_another() -> None:
    names = {terms_id(TERMS), terms_id(replace(TERMS)), terms_id(BYOD), terms_id(replace(TERMS, access_rights=1))}

    assert len(names) == 3
