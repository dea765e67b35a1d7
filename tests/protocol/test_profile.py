"""The enrollment profile: what devices require of it, and that a simulated one can read it."""

from dataclasses import replace

import pytest

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue, read_plist, write_plist
from muster.protocol.profile import (
    EnrollmentMode,
    EnrollmentProfile,
    Pkcs12Payload,
    ScepPayload,
    TrustAnchor,
    decode_enrollment_profile,
    encode_enrollment_profile,
)

LEAST = EnrollmentProfile(
    payload_identifier="com.example.muster.enrollment",
    payload_uuid="00000000-0000-4000-8000-000000000001",
    mdm_payload_uuid="00000000-0000-4000-8000-000000000002",
    display_name="Example",
    topic="com.apple.mgmt.External.example",
    server_url="https://mdm.example/mdm",
    identity=ScepPayload("00000000-0000-4000-8000-000000000003", "https://mdm.example/scep", (("CN", "device"),)),
)
FULL = replace(
    LEAST,
    organization="Example Ltd",
    description="Puts this device under management.",
    check_in_url="https://mdm.example/checkin",
    access_rights=None,
    server_capabilities=(),
    sign_message=False,
    check_out_when_removed=False,
    trust_anchors=(
        TrustAnchor("00000000-0000-4000-8000-000000000004", "Root", b"der"),
        TrustAnchor("00000000-0000-4000-8000-000000000005", "Other root", b"der2"),
    ),
    identity=ScepPayload(
        "00000000-0000-4000-8000-000000000003",
        "https://mdm.example/scep",
        (("O", "Example"), ("1.2.5.3", "bar")),
        name="example",
        challenge="once",
        key_size=4096,
        key_usage=1,
        ca_fingerprint=b"f" * 32,
        key_is_extractable=True,
    ),
)

ACCOUNT_DRIVEN = replace(
    LEAST,
    enrollment_mode=EnrollmentMode.ADDE,
    assigned_managed_apple_id="ana@example.org",
    consent_text="I agree.",
)
USER_ENROLLMENT = replace(ACCOUNT_DRIVEN, enrollment_mode=EnrollmentMode.BYOD, access_rights=None)
WITH_KEY = replace(
    LEAST,
    identity=Pkcs12Payload("00000000-0000-4000-8000-000000000006", b"pkcs12", "correct horse", "ana.p12"),
    is_removal_disallowed=True,
)


def payload(profile: EnrollmentProfile, payload_type: str) -> dict[str, PlistValue]:
    """The one payload of this type."""
    content = read_plist(encode_enrollment_profile(profile))["PayloadContent"]
    assert isinstance(content, list)
    (found,) = [item for item in content if isinstance(item, dict) and item["PayloadType"] == payload_type]
    return found


@pytest.mark.parametrize(
    "profile",
    [LEAST, FULL, ACCOUNT_DRIVEN, USER_ENROLLMENT, WITH_KEY],
    ids=["least", "full", "account-driven", "user enrollment", "with key"],
)
def test_profile_is_read_as_it_was_written(profile: EnrollmentProfile) -> None:
    assert decode_enrollment_profile(encode_enrollment_profile(profile)) == profile


def test_profile_is_of_the_system() -> None:
    keys = read_plist(encode_enrollment_profile(LEAST))

    assert keys["PayloadType"] == "Configuration"
    assert keys["PayloadVersion"] == 1
    assert keys["PayloadScope"] == "System"
    assert keys["PayloadIdentifier"] == LEAST.payload_identifier


def test_mdm_payload_has_apples_keys() -> None:
    assert payload(LEAST, "com.apple.mdm") == {
        "PayloadType": "com.apple.mdm",
        "PayloadVersion": 1,
        "PayloadIdentifier": "com.example.muster.enrollment.mdm",
        "PayloadUUID": LEAST.mdm_payload_uuid,
        "IdentityCertificateUUID": LEAST.identity.payload_uuid,
        "Topic": LEAST.topic,
        "ServerURL": LEAST.server_url,
        "AccessRights": 8191,
        "ServerCapabilities": [
            "com.apple.mdm.per-user-connections",
            "com.apple.mdm.bootstraptoken",
            "com.apple.mdm.token",
        ],
        "SignMessage": True,
        "CheckOutWhenRemoved": True,
    }


def test_scep_payload_has_apples_keys() -> None:
    assert payload(FULL, "com.apple.security.scep") == {
        "PayloadType": "com.apple.security.scep",
        "PayloadVersion": 1,
        "PayloadIdentifier": "com.example.muster.enrollment.scep",
        "PayloadUUID": FULL.identity.payload_uuid,
        "PayloadContent": {
            "URL": "https://mdm.example/scep",
            "Name": "example",
            "Subject": [[["O", "Example"]], [["1.2.5.3", "bar"]]],
            "Challenge": "once",
            "Keysize": 4096,
            "Key Type": "RSA",
            "Key Usage": 1,
            "CAFingerprint": b"f" * 32,
            "KeyIsExtractable": True,
        },
    }


def test_pkcs12_payload_has_apples_keys() -> None:
    assert payload(WITH_KEY, "com.apple.security.pkcs12") == {
        "PayloadType": "com.apple.security.pkcs12",
        "PayloadVersion": 1,
        "PayloadIdentifier": "com.example.muster.enrollment.pkcs12",
        "PayloadUUID": WITH_KEY.identity.payload_uuid,
        "PayloadCertificateFileName": "ana.p12",
        "PayloadContent": b"pkcs12",
        "Password": "correct horse",
        "KeyIsExtractable": False,
    }
    assert payload(WITH_KEY, "com.apple.mdm")["IdentityCertificateUUID"] == WITH_KEY.identity.payload_uuid


def test_secrets_of_an_identity_are_not_in_its_repr() -> None:
    assert "correct horse" not in repr(WITH_KEY)
    assert "b'pkcs12'" not in repr(WITH_KEY)


def test_account_driven_profile_names_mode_and_account() -> None:
    mdm = payload(ACCOUNT_DRIVEN, "com.apple.mdm")

    assert (mdm["EnrollmentMode"], mdm["AssignedManagedAppleID"]) == ("ADDE", "ana@example.org")
    assert mdm["AccessRights"] == 8191


def test_what_a_user_enrollment_forbids_is_left_out() -> None:
    profile = replace(USER_ENROLLMENT, access_rights=8191, is_removal_disallowed=True)

    assert "AccessRights" not in payload(profile, "com.apple.mdm")
    assert "PayloadRemovalDisallowed" not in read_plist(encode_enrollment_profile(profile))


def test_top_level_keys_are_written_only_where_chosen() -> None:
    assert read_plist(encode_enrollment_profile(WITH_KEY))["PayloadRemovalDisallowed"] is True
    assert read_plist(encode_enrollment_profile(ACCOUNT_DRIVEN))["ConsentText"] == {"default": "I agree."}
    assert not {"PayloadRemovalDisallowed", "ConsentText"} & set(read_plist(encode_enrollment_profile(LEAST)))


def test_payload_identifiers_outlive_the_uuids() -> None:
    renewed = replace(
        FULL,
        payload_uuid="R",
        mdm_payload_uuid="R1",
        identity=replace(FULL.identity, payload_uuid="R2"),
        trust_anchors=tuple(replace(anchor, payload_uuid=f"R{n}") for n, anchor in enumerate(FULL.trust_anchors, 3)),
    )

    def identifiers(profile: EnrollmentProfile) -> list[PlistValue]:
        content = read_plist(encode_enrollment_profile(profile))["PayloadContent"]
        assert isinstance(content, list)
        return [item["PayloadIdentifier"] for item in content if isinstance(item, dict)]

    assert identifiers(renewed) == identifiers(FULL)
    # echo -n der | sha256sum
    assert identifiers(FULL)[0] == "com.example.muster.enrollment.root.5050d80d22ecd471"


def test_payload_identifiers_are_unique() -> None:
    content = read_plist(encode_enrollment_profile(FULL))["PayloadContent"]
    assert isinstance(content, list)
    identifiers = [item["PayloadIdentifier"] for item in content if isinstance(item, dict)]

    assert len(identifiers) == 4
    assert len(set(map(str, identifiers))) == 4


def test_user_enrollment_profile_has_no_access_rights() -> None:
    assert "AccessRights" not in payload(FULL, "com.apple.mdm")


def changed(payload_type: str, **changes: PlistValue | None) -> bytes:
    """The least profile with these keys of one payload changed; None takes a key away."""
    keys = read_plist(encode_enrollment_profile(LEAST))
    content = keys["PayloadContent"]
    assert isinstance(content, list)
    for item in content:
        assert isinstance(item, dict)
        if item["PayloadType"] == payload_type:
            for key, value in changes.items():
                if value is None:
                    del item[key]
                else:
                    item[key] = value
    return write_plist(keys)


@pytest.mark.parametrize(
    ("payload_type", "changes"),
    [
        ("com.apple.mdm", {"PayloadType": "com.apple.mobiledevice"}),
        ("com.apple.mdm", {"Topic": None}),
        ("com.apple.mdm", {"ServerURL": None}),
        ("com.apple.mdm", {"ServerURL": 7}),
        ("com.apple.mdm", {"PayloadUUID": None}),
        ("com.apple.mdm", {"IdentityCertificateUUID": None}),
        ("com.apple.mdm", {"IdentityCertificateUUID": "another"}),
        ("com.apple.mdm", {"AccessRights": "all"}),
        ("com.apple.mdm", {"ServerCapabilities": [7]}),
        ("com.apple.mdm", {"SignMessage": "yes"}),
        ("com.apple.security.scep", {"PayloadType": "com.apple.security.acme"}),
        ("com.apple.security.scep", {"PayloadContent": None}),
        ("com.apple.security.scep", {"PayloadContent": {}}),
        ("com.apple.security.scep", {"PayloadContent": {"URL": "https://mdm.example", "Subject": [["CN", "x"]]}}),
        ("com.apple.security.scep", {"PayloadContent": {"URL": "https://mdm.example", "Subject": "CN=x"}}),
        ("com.apple.security.scep", {"PayloadType": "com.apple.mdm"}),
        ("com.apple.mdm", {"EnrollmentMode": "COPE"}),
        ("com.apple.mdm", {"AssignedManagedAppleID": 7}),
        ("com.apple.security.scep", {"PayloadType": "com.apple.security.pkcs12"}),
        ("com.apple.security.scep", {"PayloadType": "com.apple.security.pkcs12", "PayloadContent": bytes(65537)}),
    ],
    ids=str,
)
def test_profile_that_cannot_enroll_is_refused(payload_type: str, changes: dict[str, PlistValue | None]) -> None:
    decode_enrollment_profile(changed(payload_type))
    with pytest.raises(MalformedMessage):
        decode_enrollment_profile(changed(payload_type, **changes))


@pytest.mark.parametrize(
    "profile_xml",
    [
        b"",
        write_plist({}),
        write_plist({"PayloadType": "Profile Service", "PayloadContent": {}}),
        write_plist({"PayloadType": "Configuration", "PayloadContent": ["x"]}),
        write_plist({"PayloadType": "Configuration"}),
    ],
)
def test_what_is_no_profile_is_refused(profile_xml: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_enrollment_profile(profile_xml)


def test_absent_keys_have_apples_defaults() -> None:
    content: dict[str, PlistValue] = {"URL": "https://mdm.example/scep"}
    scep = decode_enrollment_profile(changed("com.apple.security.scep", PayloadContent=content)).identity

    assert scep == ScepPayload(
        LEAST.identity.payload_uuid, "https://mdm.example/scep", (), key_size=1024, key_usage=0, key_is_extractable=True
    )
