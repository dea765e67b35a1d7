"""The enrollment profile: what devices require of it, and that a simulated one can read it."""

from dataclasses import replace

import pytest

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue, read_plist, write_plist
from muster.protocol.profile import (
    EnrollmentProfile,
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
    scep=ScepPayload("00000000-0000-4000-8000-000000000003", "https://mdm.example/scep", (("CN", "device"),)),
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
    scep=ScepPayload(
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


def payload(profile: EnrollmentProfile, payload_type: str) -> dict[str, PlistValue]:
    """The one payload of this type."""
    content = read_plist(encode_enrollment_profile(profile))["PayloadContent"]
    assert isinstance(content, list)
    (found,) = [item for item in content if isinstance(item, dict) and item["PayloadType"] == payload_type]
    return found


@pytest.mark.parametrize("profile", [LEAST, FULL], ids=["least", "full"])
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
        "IdentityCertificateUUID": LEAST.scep.payload_uuid,
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
        "PayloadUUID": FULL.scep.payload_uuid,
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
    scep = decode_enrollment_profile(changed("com.apple.security.scep", PayloadContent=content)).scep

    assert scep == ScepPayload(
        LEAST.scep.payload_uuid, "https://mdm.example/scep", (), key_size=1024, key_usage=0, key_is_extractable=True
    )
