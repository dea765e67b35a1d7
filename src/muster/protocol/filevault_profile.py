"""A profile that turns FileVault on and has the Mac encrypt its recovery key to a certificate of the server's.

Sources: Apple, "FDEFileVault" (com.apple.MCX.FileVault2), "FDERecoveryKeyEscrow"
(com.apple.security.FDERecoveryKeyEscrow) and "CertificatePKCS1" (com.apple.security.pkcs1).
"""

from typing import Final

from muster.protocol.plist import PlistValue, write_plist

FILEVAULT: Final = "com.apple.MCX.FileVault2"
ESCROW: Final = "com.apple.security.FDERecoveryKeyEscrow"
PKCS1: Final = "com.apple.security.pkcs1"


def encode_filevault_profile(
    payload_identifier: str, payload_uuids: tuple[str, str, str, str], certificate_der: bytes, location: str
) -> bytes:
    """The profile, an unsigned XML property list, for the whole system, as the escrow payload wants.

    *payload_uuids* are those of the profile and of its payloads. *location* is told to the person who turns FileVault
    on: who keeps the recovery key. FileVault is turned on at the next log-out or log-in, when the person's password is
    at hand; the person is not shown the key.
    """
    profile_uuid, filevault_uuid, escrow_uuid, certificate_uuid = payload_uuids
    return write_plist(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": payload_identifier,
            "PayloadUUID": profile_uuid,
            "PayloadDisplayName": "FileVault",
            "PayloadScope": "System",
            "PayloadContent": [
                _payload(payload_identifier, FILEVAULT, filevault_uuid)
                | {"Enable": "On", "Defer": True, "UseRecoveryKey": True, "ShowRecoveryKey": False},
                _payload(payload_identifier, ESCROW, escrow_uuid)
                | {"Location": location, "EncryptCertPayloadUUID": certificate_uuid},
                _payload(payload_identifier, PKCS1, certificate_uuid)
                | {"PayloadContent": certificate_der, "PayloadCertificateFileName": "recovery-keys.cer"},
            ],
        }
    )


def _payload(identifier: str, kind: str, payload_uuid: str) -> dict[str, PlistValue]:
    return {
        "PayloadType": kind,
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{identifier}.{kind.rpartition('.')[2]}",
        "PayloadUUID": payload_uuid,
    }
