"""The FileVault profile says what Apple's payloads want, and no more."""

from muster.protocol.filevault_profile import ESCROW, FILEVAULT, PKCS1, encode_filevault_profile
from muster.protocol.plist import read_plist

UUIDS = ("P", "F", "E", "C")


def test_escrow_payload_names_the_certificate_in_the_same_profile() -> None:
    profile = read_plist(encode_filevault_profile("org.example.filevault", UUIDS, b"DER", "the service desk"))

    contents = profile["PayloadContent"]
    assert isinstance(contents, list)
    payloads = {one["PayloadType"]: one for one in contents if isinstance(one, dict)}
    assert payloads.keys() == {FILEVAULT, ESCROW, PKCS1}
    assert payloads[ESCROW]["EncryptCertPayloadUUID"] == payloads[PKCS1]["PayloadUUID"] == "C"
    assert payloads[ESCROW]["Location"] == "the service desk"
    assert payloads[PKCS1]["PayloadContent"] == b"DER"
    assert payloads[FILEVAULT]["Enable"] == "On"
    assert payloads[FILEVAULT]["Defer"] is True
    assert profile["PayloadScope"] == "System"
    assert len({one["PayloadIdentifier"] for one in payloads.values()}) == 3
