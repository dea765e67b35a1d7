"""MachineInfo: read as devices sign it, and refused whoever else signed it."""

import base64
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import rsa_identity, small_rsa_key
from tests.support.authorities import Certified, certified, ec_keys

from muster.crypto.algorithms import Digest
from muster.crypto.apple_roots import apple_device_intermediates, apple_device_roots
from muster.crypto.cms.signing import SignerIdentity, certificates_only, sign_attached, sign_detached
from muster.protocol.device_signature import MAX_SIGNED_BYTES, verify_device_chain
from muster.protocol.errors import BadSignature, MalformedMessage, ProtocolError, RefusedAlgorithm
from muster.protocol.machine_info import (
    MAX_HEADER_CHARACTERS,
    MAX_PAIRING_TOKEN_BYTES,
    MachineInfo,
    decode_machine_info,
    decode_machine_info_header,
    encode_machine_info,
    encode_machine_info_header,
)
from muster.protocol.plist import PlistValue, write_plist

KEYS = ec_keys()
ROOT = certified("Root", KEYS[0], is_ca=True)
DEVICE_CA = certified("Example Device CA", KEYS[1], ROOT, is_ca=True)
DEVELOPER_CA = certified("Example Developer Relations CA", KEYS[2], ROOT, is_ca=True)
ROOTS = (ROOT.certificate_der,)

LEAST = MachineInfo(product="iPhone16,1", version="21A329")
FULL = MachineInfo(
    product="Mac15,3",
    version="23A344",
    udid="00008140-000A1B2C3D4E5F60",
    serial="C02XK0ZZJGH5",
    os_version="14.0",
    imei="35 209900 176148 1",
    meid="35209900176148",
    language="de_DE",
    can_request_software_update=True,
    can_request_psso_config=True,
    is_update_mandatory=True,
    software_update_device_id="J516sAP",
    supplemental_build_version="23A344a",
    supplemental_os_version_extra="(a)",
    pairing_token=b"token",
)


def device(issuer: Certified = DEVICE_CA) -> SignerIdentity:
    leaf = certified("device", KEYS[3], issuer)
    return SignerIdentity(leaf.certificate_der, leaf.key)


def signed(info: MachineInfo = LEAST, *, issuer: Certified = DEVICE_CA) -> bytes:
    return encode_machine_info(info, device(issuer), [issuer.certificate_der])


def of_keys(**keys: PlistValue) -> bytes:
    """What a device would send with exactly these keys."""
    return sign_attached(write_plist(keys), device(), chain=[DEVICE_CA.certificate_der])


def decoded(cms: bytes) -> MachineInfo:
    return decode_machine_info(cms, roots=ROOTS, allow_legacy=False).info


@pytest.mark.parametrize("info", [LEAST, FULL], ids=["account-driven", "full"])
def test_machine_info_is_read_as_it_was_signed(info: MachineInfo) -> None:
    found = decode_machine_info(signed(info), roots=ROOTS, allow_legacy=False)

    assert found.info == info
    assert found.signer_certificate_der == device().certificate_der
    assert found.chain_der == (device().certificate_der, DEVICE_CA.certificate_der, ROOT.certificate_der)
    assert found.is_verified
    assert not found.is_legacy


def test_every_field_has_a_key_of_its_own() -> None:
    names = [field.name for field in fields(MachineInfo)]
    for name in names:
        assert replace(LEAST, **{name: getattr(FULL, name)}) == decoded(
            signed(replace(LEAST, **{name: getattr(FULL, name)}))
        )
    assert all(getattr(FULL, name) for name in names)


def test_machine_info_has_apples_keys() -> None:
    keys: dict[str, PlistValue] = {
        "UDID": "00008140-000A1B2C3D4E5F60",
        "SERIAL": "C02XK0ZZJGH5",
        "PRODUCT": "Mac15,3",
        "VERSION": "23A344",
        "OS_VERSION": "14.0",
        "SUPPLEMENTAL_BUILD_VERSION": "23A344a",
        "SUPPLEMENTAL_OS_VERSION_EXTRA": "(a)",
        "IMEI": "35 209900 176148 1",
        "MEID": "35209900176148",
        "LANGUAGE": "de_DE",
        "MDM_CAN_REQUEST_SOFTWARE_UPDATE": True,
        "MDM_CAN_REQUEST_PSSO_CONFIG": True,
        "MANDATORY_SOFTWARE_UPDATE_REQUIRED": True,
        "SOFTWARE_UPDATE_DEVICE_ID": "J516sAP",
        "PAIRING_TOKEN": b"token",
        "SOMETHING_NEW": ["x"],
    }

    assert decoded(of_keys(**keys)) == FULL


def test_the_header_holds_the_same_with_or_without_white_space() -> None:
    header = encode_machine_info_header(FULL, device(), [DEVICE_CA.certificate_der])
    folded = "\r\n ".join(header[i : i + 76] for i in range(0, len(header), 76))

    for form in (header, folded):
        assert decode_machine_info_header(form, roots=ROOTS, allow_legacy=False).info == FULL


@pytest.mark.parametrize("header", ["", "%", "A", "ä", "A" * (MAX_HEADER_CHARACTERS + 4)])
def test_a_header_that_is_no_base64_or_too_long_is_malformed(header: str) -> None:
    with pytest.raises(MalformedMessage):
        decode_machine_info_header(header, roots=ROOTS, allow_legacy=False)


def test_without_roots_anybody_may_have_signed() -> None:
    found = decode_machine_info(encode_machine_info(LEAST, rsa_identity()), roots=None, allow_legacy=False)

    assert found.info == LEAST
    assert not found.is_verified
    assert found.chain_der == (rsa_identity().certificate_der,)


@pytest.mark.parametrize(
    "cms",
    [
        encode_machine_info(LEAST, rsa_identity()),
        encode_machine_info(LEAST, device()),
        signed(issuer=DEVELOPER_CA),
        signed(issuer=certified("Example Devices CA", KEYS[1], ROOT, is_ca=True)),
        signed(issuer=certified("Example Device CA", KEYS[1], ROOT)),
        signed(issuer=certified("Example Device CA", KEYS[4], certified("Root", KEYS[5], is_ca=True), is_ca=True)),
        signed().replace(b"iPhone16,1", b"iPhone16,2"),
        sign_attached(
            write_plist({"PRODUCT": "x", "VERSION": "1"}),
            SignerIdentity(device().certificate_der, KEYS[6]),
            chain=[DEVICE_CA.certificate_der],
        ),
    ],
    ids=[
        "stranger",
        "authority missing",
        "developer",
        "authority for something else",
        "no authority",
        "other root",
        "altered",
        "certificate of another",
    ],
)
def test_what_no_device_signed_is_refused(cms: bytes) -> None:
    with pytest.raises(BadSignature):
        decode_machine_info(cms, roots=ROOTS, allow_legacy=False)


def test_no_roots_trust_nobody() -> None:
    with pytest.raises(BadSignature):
        decode_machine_info(signed(), roots=(), allow_legacy=True)


def test_apples_roots_do_not_trust_our_certificates() -> None:
    with pytest.raises(BadSignature):
        decode_machine_info(signed(), roots=apple_device_roots(), allow_legacy=True)


def test_apples_known_authorities_complete_the_chain() -> None:
    certification_authority = apple_device_intermediates()[1]

    chain = verify_device_chain(certification_authority, (), apple_device_roots())

    assert chain == (certification_authority, *apple_device_roots())


def test_what_apples_other_authorities_signed_is_refused() -> None:
    device_ca = apple_device_intermediates()[0]

    with pytest.raises(BadSignature, match="Apple iPhone Certification Authority is no authority for devices"):
        verify_device_chain(device_ca, (), apple_device_roots())


@pytest.mark.parametrize("weakness", ["digest", "key"])
def test_a_legacy_signature_is_read_only_where_allowed(weakness: str) -> None:
    leaf = certified("device", KEYS[3] if weakness == "digest" else small_rsa_key(), DEVICE_CA, digest=Digest.SHA1)
    signer = SignerIdentity(leaf.certificate_der, leaf.key)
    digest = Digest.SHA1 if weakness == "digest" else Digest.SHA256
    cms = encode_machine_info(LEAST, signer, [DEVICE_CA.certificate_der], digest=digest)

    assert decode_machine_info(cms, roots=ROOTS, allow_legacy=True).is_legacy
    with pytest.raises(RefusedAlgorithm):
        decode_machine_info(cms, roots=ROOTS, allow_legacy=False)


@pytest.mark.parametrize(
    "cms",
    [
        b"",
        write_plist({"PRODUCT": "x", "VERSION": "1"}),
        certificates_only([device().certificate_der]),
        sign_detached(b"x", device()),
        sign_attached(b"no property list", device(), chain=[DEVICE_CA.certificate_der]),
        bytes(MAX_SIGNED_BYTES + 1),
        of_keys(PRODUCT="x"),
        of_keys(VERSION="1"),
        of_keys(PRODUCT="", VERSION="1"),
        of_keys(PRODUCT="x", VERSION=1),
        of_keys(PRODUCT="x", VERSION="1", UDID="a:b"),
        of_keys(PRODUCT="x", VERSION="1", UDID="x" * 129),
        of_keys(PRODUCT="x", VERSION="1", SERIAL="a\nb"),
        of_keys(PRODUCT="x", VERSION="1", SERIAL=b"C02"),
        of_keys(PRODUCT="x", VERSION="1", LANGUAGE="x" * 1025),
        of_keys(PRODUCT="x", VERSION="1", PAIRING_TOKEN=bytes(MAX_PAIRING_TOKEN_BYTES + 1)),
    ],
    ids=range(16),
)
def test_malformed_machine_info_is_refused(cms: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_machine_info(cms, roots=ROOTS, allow_legacy=False)


def test_what_is_no_boolean_and_what_is_empty_says_nothing() -> None:
    cms = of_keys(PRODUCT="x", VERSION="1", UDID="", SERIAL="", MDM_CAN_REQUEST_SOFTWARE_UPDATE="yes")

    assert decoded(cms) == MachineInfo(product="x", version="1")


@settings(max_examples=100)
@given(st.data())
def test_no_altered_message_is_believed(data: st.DataObject) -> None:
    cms = bytearray(signed(FULL))
    cms[data.draw(st.integers(0, len(cms) - 1))] ^= data.draw(st.integers(1, 255))

    try:
        found = decode_machine_info(bytes(cms), roots=ROOTS, allow_legacy=True)
    except ProtocolError:
        return
    assert found.info == FULL  # parts outside the signature were altered: version numbers, other certificates


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_machine_info(data, roots=None, allow_legacy=True)
    with pytest.raises(ProtocolError):
        decode_machine_info_header(base64.b64encode(data).decode(), roots=None, allow_legacy=True)
