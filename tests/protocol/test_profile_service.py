"""Over-the-air enrollment: the profiles of each phase, and what devices answer them with."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import rsa_identity
from tests.support.authorities import certified, ec_keys

from muster.crypto.algorithms import Digest
from muster.crypto.cms.signing import SignerIdentity, sign_attached, sign_detached
from muster.protocol.device_signature import MAX_SIGNED_BYTES, verify_device_chain
from muster.protocol.errors import BadSignature, MalformedMessage, ProtocolError, RefusedAlgorithm
from muster.protocol.plist import PlistValue, read_plist, write_plist
from muster.protocol.profile import EnrollmentProfile, Pkcs12Payload, ScepPayload, encode_enrollment_profile
from muster.protocol.profile_service import (
    MAX_CHALLENGE_CHARACTERS,
    DeviceAttributes,
    ProfileService,
    ScepOnlyProfile,
    decode_device_attributes,
    decode_profile_service,
    decode_scep_only_profile,
    encode_device_attributes,
    encode_profile_service,
    encode_scep_only_profile,
)

KEYS = ec_keys()
ROOT = certified("Root", KEYS[0], is_ca=True)
DEVICE_CA = certified("Example Device CA", KEYS[1], ROOT, is_ca=True)
LEAF = certified("device", KEYS[2], DEVICE_CA)
DEVICE = SignerIdentity(LEAF.certificate_der, LEAF.key)

LEAST_SERVICE = ProfileService("org.example.service", "S1", "Enroll", "https://mdm.example/ota/1", ())
SERVICE = ProfileService(
    "org.example.service",
    "S1",
    "Enroll",
    "https://mdm.example/ota/1",
    challenge="once",
    organization="Example",
    description="Lets Example manage this device.",
)
SCEP = ScepPayload("S3", "https://mdm.example/scep", (("CN", "device"),), challenge="twice")
SCEP_ONLY = ScepOnlyProfile("org.example.identity", "S2", "Identity", SCEP, organization="Example")

ATTRIBUTES = DeviceAttributes(
    udid="00008140-000A1B2C3D4E5F60",
    version="21A329",
    product="iPhone16,1",
    serial="C02XK0ZZJGH5",
    meid="35209900176148",
    imei="35 209900 176148 1",
    iccid="8949 0200 0010 0000 0000",
    mac_address_en0="00:11:22:33:44:55",
    device_name="Ana's iPhone 🙂",
    challenge="once",
)


@pytest.mark.parametrize("service", [LEAST_SERVICE, SERVICE], ids=["least", "full"])
def test_profile_of_phase_1_is_read_as_it_was_written(service: ProfileService) -> None:
    assert decode_profile_service(encode_profile_service(service)) == service


def test_profile_of_phase_1_has_apples_keys() -> None:
    assert read_plist(encode_profile_service(SERVICE)) == {
        "PayloadType": "Profile Service",
        "PayloadVersion": 1,
        "PayloadIdentifier": "org.example.service",
        "PayloadUUID": "S1",
        "PayloadDisplayName": "Enroll",
        "PayloadDescription": "Lets Example manage this device.",
        "PayloadOrganization": "Example",
        "PayloadContent": {
            "URL": "https://mdm.example/ota/1",
            "DeviceAttributes": ["UDID", "VERSION", "PRODUCT", "SERIAL", "MEID", "IMEI", "DEVICE_NAME"],
            "Challenge": "once",
        },
    }


def test_profile_of_phase_2_holds_a_scep_payload_only() -> None:
    profile_xml = encode_scep_only_profile(SCEP_ONLY)

    content = read_plist(profile_xml)["PayloadContent"]
    assert isinstance(content, list)
    assert [payload["PayloadType"] for payload in content if isinstance(payload, dict)] == ["com.apple.security.scep"]
    assert read_plist(profile_xml)["PayloadType"] == "Configuration"
    assert decode_scep_only_profile(profile_xml) == SCEP_ONLY


def without(profile_xml: bytes, key: str, **changes: PlistValue) -> bytes:
    keys = read_plist(profile_xml)
    del keys[key]
    return write_plist(keys | changes)


ENROLLMENT = EnrollmentProfile("org.example", "P", "M", "Enroll", "com.apple.mgmt.x", "https://mdm.example", SCEP)


@pytest.mark.parametrize(
    "profile_xml",
    [
        b"",
        write_plist({}),
        encode_scep_only_profile(SCEP_ONLY),
        without(encode_profile_service(SERVICE), "PayloadContent"),
        without(encode_profile_service(SERVICE), "PayloadContent", PayloadContent=[]),
        without(encode_profile_service(SERVICE), "PayloadContent", PayloadContent={}),
        without(
            encode_profile_service(SERVICE), "PayloadContent", PayloadContent={"URL": "x", "DeviceAttributes": [1]}
        ),
        without(encode_profile_service(SERVICE), "PayloadUUID"),
    ],
    ids=range(8),
)
def test_what_is_no_profile_service_is_refused(profile_xml: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_profile_service(profile_xml)


@pytest.mark.parametrize(
    "profile_xml",
    [
        b"",
        write_plist({}),
        encode_profile_service(SERVICE),
        encode_enrollment_profile(ENROLLMENT),
        encode_enrollment_profile(replace(ENROLLMENT, identity=Pkcs12Payload("X", b"x", "x"))),
        without(encode_scep_only_profile(SCEP_ONLY), "PayloadContent"),
        without(encode_scep_only_profile(SCEP_ONLY), "PayloadContent", PayloadContent=[{"PayloadUUID": "x"}]),
        without(
            encode_scep_only_profile(SCEP_ONLY),
            "PayloadContent",
            PayloadContent=[
                {
                    "PayloadUUID": "x",
                    "PayloadType": "com.apple.security.pkcs12",
                    "PayloadContent": b"x",
                    "Password": "x",
                }
            ],
        ),
    ],
    ids=range(8),
)
def test_what_holds_not_one_scep_payload_is_refused(profile_xml: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_scep_only_profile(profile_xml)


@pytest.mark.parametrize("attributes", [ATTRIBUTES, DeviceAttributes()], ids=["full", "nothing"])
def test_attributes_are_read_as_they_were_signed(attributes: DeviceAttributes) -> None:
    found = decode_device_attributes(
        encode_device_attributes(attributes, DEVICE, [DEVICE_CA.certificate_der]), allow_legacy=False
    )

    assert found.attributes == attributes
    assert found.signer_certificate_der == DEVICE.certificate_der
    assert found.certificates_der == (DEVICE.certificate_der, DEVICE_CA.certificate_der)
    assert not found.is_legacy


def test_attributes_have_apples_keys() -> None:
    keys: dict[str, PlistValue] = {
        "UDID": "00008140-000A1B2C3D4E5F60",
        "VERSION": "21A329",
        "PRODUCT": "iPhone16,1",
        "SERIAL": "C02XK0ZZJGH5",
        "MEID": "35209900176148",
        "IMEI": "35 209900 176148 1",
        "ICCID": "8949 0200 0010 0000 0000",
        "MAC_ADDRESS_EN0": "00:11:22:33:44:55",
        "DEVICE_NAME": "Ana's iPhone 🙂",
        "CHALLENGE": "once",
        "NotOnConsole": False,
    }

    found = decode_device_attributes(sign_attached(write_plist(keys), DEVICE), allow_legacy=False)

    assert found.attributes == ATTRIBUTES


def test_the_signer_tells_the_phases_apart() -> None:
    roots = (ROOT.certificate_der,)
    phase_2 = decode_device_attributes(
        encode_device_attributes(ATTRIBUTES, DEVICE, [DEVICE_CA.certificate_der]), allow_legacy=False
    )
    phase_3 = decode_device_attributes(encode_device_attributes(ATTRIBUTES, rsa_identity()), allow_legacy=False)

    assert len(verify_device_chain(phase_2.signer_certificate_der, phase_2.certificates_der, roots)) == 3
    with pytest.raises(BadSignature):
        verify_device_chain(phase_3.signer_certificate_der, phase_3.certificates_der, roots)


def test_challenge_may_come_as_data() -> None:
    cms = sign_attached(write_plist({"CHALLENGE": b"once"}), DEVICE)

    assert decode_device_attributes(cms, allow_legacy=False).attributes.challenge == "once"


def test_secrets_are_not_in_the_repr() -> None:
    assert "once" not in repr(ATTRIBUTES) + repr(SERVICE)


def of_keys(**keys: PlistValue) -> bytes:
    return sign_attached(write_plist(keys), DEVICE)


@pytest.mark.parametrize(
    "cms",
    [
        b"",
        write_plist({"UDID": "x"}),
        sign_detached(b"x", DEVICE),
        sign_attached(b"no property list", DEVICE),
        bytes(MAX_SIGNED_BYTES + 1),
        of_keys(UDID="a:b"),
        of_keys(UDID=7),
        of_keys(SERIAL="a\tb"),
        of_keys(SERIAL="x" * 129),
        of_keys(DEVICE_NAME="x" * 1025),
        of_keys(CHALLENGE="x" * (MAX_CHALLENGE_CHARACTERS + 1)),
        of_keys(CHALLENGE=b"x" * (MAX_CHALLENGE_CHARACTERS + 1)),
        of_keys(CHALLENGE=b"\xff"),
        of_keys(CHALLENGE=7),
    ],
    ids=range(14),
)
def test_malformed_attributes_are_refused(cms: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_device_attributes(cms, allow_legacy=True)


def test_altered_attributes_are_refused() -> None:
    with pytest.raises(BadSignature):
        decode_device_attributes(
            encode_device_attributes(ATTRIBUTES, DEVICE).replace(b"iPhone16,1", b"iPhone16,2"), allow_legacy=True
        )


def test_legacy_attributes_are_read_only_where_allowed() -> None:
    cms = encode_device_attributes(ATTRIBUTES, DEVICE, digest=Digest.SHA1)

    assert decode_device_attributes(cms, allow_legacy=True).is_legacy
    with pytest.raises(RefusedAlgorithm):
        decode_device_attributes(cms, allow_legacy=False)


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_device_attributes(data, allow_legacy=True)
    with pytest.raises(MalformedMessage):
        decode_profile_service(data)
    with pytest.raises(MalformedMessage):
        decode_scep_only_profile(data)
