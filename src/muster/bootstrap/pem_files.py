"""The PEM files that settings name: read, and wrong ones named before they do harm."""

from pathlib import Path

from muster.crypto.certificates import der_from_pem, inspect_certificate, key_matches
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.errors import CryptoError
from muster.crypto.keys import load_private_key
from muster.settings import Settings, SettingsError


def read_certificates(path: Path, name: str) -> tuple[bytes, ...]:
    """Read the certificates in *path*, DER, at least one, in order. *name* is the setting that names the file.

    Raises SettingsError when the file can't be read, and when there is no certificate, or something else, in it.
    """
    try:
        certificates = der_from_pem(_read(path, name))
        for certificate_der in certificates:
            inspect_certificate(certificate_der)
    except CryptoError as error:
        raise SettingsError(f"{name}: {path}: {error}") from error
    return certificates


def read_signer(certificate: Path, key: Path, name: str, key_name: str) -> tuple[SignerIdentity, tuple[bytes, ...]]:
    """Read a certificate with its key, and the chain behind it, DER.

    Raises SettingsError as `read_certificates`, when the key can't be read or is encrypted, and when it is another
    certificate's.
    """
    leaf, *chain = read_certificates(certificate, name)
    try:
        private_key = load_private_key(_read(key, key_name))
    except CryptoError as error:
        raise SettingsError(f"{key_name}: {key}: {error}") from error
    if not key_matches(leaf, private_key):
        raise SettingsError(f"{key_name}: {key} is not the key of the first certificate in {certificate}")
    return SignerIdentity(leaf, private_key), tuple(chain)


def check_pem_files(settings: Settings) -> None:
    """Read every file that *settings* name. Raises SettingsError with a line for each that is wrong."""
    wrong: list[str] = []
    for certificate, key in (("tls_certificate", "tls_key"), ("profile_signer_certificate", "profile_signer_key")):
        certificate_path, key_path = getattr(settings, certificate), getattr(settings, key)
        if certificate_path is not None and key_path is not None:
            try:
                read_signer(certificate_path, key_path, certificate, key)
            except SettingsError as error:
                wrong.append(str(error))
    for name in ("profile_trust_anchors", "apns_ca", "webhook_ca", "escrow_unlock_ca", "migration_ca"):
        path = getattr(settings, name)
        if path is not None:
            try:
                read_certificates(path, name)
            except SettingsError as error:
                wrong.append(str(error))
    if wrong:
        raise SettingsError("\n".join(wrong))


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{name}: {path} can't be read: {error.strerror}") from error
