"""The secrets that a simulated device gives to its server, and those that its server gives it.

Sources: Apple, "Rotate FileVault Key", "FDERecoveryKeyEscrow", "Set Recovery Lock", "Set Firmware Password",
"Activation Lock Bypass Code". What a Mac encrypts is encrypted in truth, to the certificate that it was given.
"""

import base64

from muster.crypto.cms.enveloped_data import envelope
from muster.crypto.errors import CryptoError
from muster.protocol.connect import Status
from muster.protocol.plist import PlistValue
from muster.simulator.answers import MALFORMED, UNFIT, Answer, Responder, Situation, refused
from muster.simulator.contents import InstalledProfile, Keys, make_recovery_key

ESCROW_PAYLOAD = "com.apple.security.FDERecoveryKeyEscrow"
BYPASS_ALPHABET = "0123456789ACDEFGHJKLMNPQRTUVWXYZ"
BYPASS_GROUPS = (5, 5, 4, 4, 4, 4)
"""How the 26 characters of a bypass code are set apart by dashes."""
WRONG_PASSWORD = "The password is not correct."  # noqa: S105 - words


def rotate_file_vault_key(situation: Situation, keys: Keys) -> Answer:
    """Make another recovery key, given a password or the present key, and return it encrypted where it may."""
    contents = situation.contents
    unlock = keys["FileVaultUnlock"]
    password = unlock.get("Password") if isinstance(unlock, dict) else None
    if not contents.is_disk_encrypted:
        return refused(UNFIT, "FileVault is not enabled.")
    if password is None or password not in (contents.account_password, contents.recovery_key):
        return refused(MALFORMED, WRONG_PASSWORD)
    match keys["KeyType"]:
        case "personal":
            return _rotate_personal_key(situation, keys.get("ReplyEncryptionCertificate"))
        case "institutional" if isinstance(keys.get("NewCertificate"), bytes):
            contents.has_institutional_key = True
            return Answer()
        case _:
            return Answer(Status.COMMAND_FORMAT_ERROR)


def escrowed_recovery_key(situation: Situation) -> Keys:
    """What SecurityInfo holds of the recovery key: it, encrypted, once a profile says to whom; else nothing."""
    recovery_key = situation.contents.recovery_key
    if recovery_key is None:
        return {}
    for profile in situation.contents.profiles.values():
        for payload in profile.payloads:
            if payload.get("PayloadType") != ESCROW_PAYLOAD:
                continue
            cms = _encrypted(situation, recovery_key, _certificate_in(profile, payload.get("EncryptCertPayloadUUID")))
            if cms is not None:
                device_key = payload.get("DeviceKey") or situation.facts.serial_number
                return {"FDE_PersonalRecoveryKeyCMS": cms, "FDE_PersonalRecoveryKeyDeviceKey": device_key}
    return {}


def set_recovery_lock(situation: Situation, keys: Keys) -> Answer:
    """Set, change or clear (by an empty one) the recovery lock of a Mac with Apple silicon, given the present one."""
    contents = situation.contents
    if not situation.facts.is_apple_silicon:
        return refused(UNFIT, "Recovery Lock is for Macs with Apple silicon.")
    if contents.recovery_lock is not None and keys.get("CurrentPassword") != contents.recovery_lock:
        return refused(MALFORMED, WRONG_PASSWORD)
    contents.recovery_lock = str(keys["NewPassword"]) or None
    return Answer()


def verify_recovery_lock(situation: Situation, keys: Keys) -> Answer:
    """Tell whether a password is the one that was set."""
    if not situation.facts.is_apple_silicon:
        return refused(UNFIT, "Recovery Lock is for Macs with Apple silicon.")
    return Answer(keys={"PasswordVerified": keys["Password"] == situation.contents.recovery_lock})


def set_firmware_password(situation: Situation, keys: Keys) -> Answer:
    """Set, change or clear (by an empty one) the firmware password of an older Mac, given the present one."""
    contents = situation.contents
    if situation.facts.is_apple_silicon:
        return refused(UNFIT, "A Mac with Apple silicon has no firmware password.")
    is_right = contents.firmware_password is None or keys.get("CurrentPassword") == contents.firmware_password
    if is_right:
        contents.firmware_password = str(keys["NewPassword"]) or None
    return Answer(keys={"SetFirmwarePassword": {"PasswordChanged": is_right}})


def verify_firmware_password(situation: Situation, keys: Keys) -> Answer:
    """Tell whether a password is the one that was set."""
    if situation.facts.is_apple_silicon:
        return refused(UNFIT, "A Mac with Apple silicon has no firmware password.")
    is_right = keys["Password"] == situation.contents.firmware_password
    return Answer(keys={"VerifyFirmwarePassword": {"PasswordVerified": is_right}})


def activation_lock_bypass_code(situation: Situation, _keys: Keys) -> Answer:
    """Hand over the code, as long as it wasn't cleared."""
    raw = situation.contents.bypass_code
    if raw is None:
        return refused(UNFIT, "There is no Activation Lock bypass code.")
    return Answer(keys={"ActivationLockBypassCode": bypass_code_text(raw)})


def clear_activation_lock_bypass_code(situation: Situation, _keys: Keys) -> Answer:
    """Forget the code."""
    situation.contents.bypass_code = None
    return Answer()


def bypass_code_text(raw: bytes) -> str:
    """The 26 characters that stand for the 16 bytes of a bypass code (Apple, "Creating and using bypass codes")."""
    number = int.from_bytes(raw) << 2
    characters = "".join(BYPASS_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
    groups, start = [], 0
    for length in BYPASS_GROUPS:
        groups.append(characters[start : start + length])
        start += length
    return "-".join(groups)


def _rotate_personal_key(situation: Situation, certificate_der: PlistValue | None) -> Answer:
    recovery_key = make_recovery_key(situation.rng)
    if certificate_der is None:
        situation.contents.recovery_key = recovery_key
        return Answer()
    cms = _encrypted(situation, recovery_key, certificate_der)
    if cms is None:
        return refused(MALFORMED, "The certificate is not valid.")
    situation.contents.recovery_key = recovery_key
    return Answer(keys={"RotateResult": {"EncryptedNewRecoveryKey": cms}})


def _encrypted(situation: Situation, recovery_key: str, certificate_der: PlistValue | None) -> bytes | None:
    """The recovery key for whoever has the key of *certificate_der*; None when that is no certificate for it."""
    if not isinstance(certificate_der, bytes):
        return None
    try:
        return envelope(recovery_key.encode(), certificate_der, random_bytes=situation.rng.randbytes)
    except CryptoError:
        return None


def _certificate_in(profile: InstalledProfile, payload_uuid: PlistValue | None) -> bytes | None:
    """The certificate (DER) of another payload of *profile*; None when there is no such payload."""
    for payload in profile.payloads:
        if payload.get("PayloadUUID") == payload_uuid and isinstance(content := payload.get("PayloadContent"), bytes):
            return _unarmoured(content)
    return None


def _unarmoured(certificate: bytes) -> bytes:
    """DER of a certificate that may be PEM."""
    if not certificate.startswith(b"-----BEGIN"):
        return certificate
    lines = [line for line in certificate.split(b"\n") if not line.startswith(b"-----")]
    return base64.b64decode(b"".join(lines))


ESCROW_RESPONDERS = {
    "ActivationLockBypassCode": Responder(activation_lock_bypass_code, "hands over the code until it is cleared"),
    "ClearActivationLockBypassCode": Responder(clear_activation_lock_bypass_code, "forgets the code"),
    "RotateFileVaultKey": Responder(
        rotate_file_vault_key,
        "makes another key, given the user's password or the present key, and encrypts it to the certificate sent",
    ),
    "SetFirmwarePassword": Responder(set_firmware_password, "sets it on a Mac with an Intel processor"),
    "SetRecoveryLock": Responder(set_recovery_lock, "sets it on a Mac with Apple silicon, given the present one"),
    "VerifyFirmwarePassword": Responder(verify_firmware_password, "compares"),
    "VerifyRecoveryLock": Responder(verify_recovery_lock, "compares"),
}
