"""Certificates with whatever they shall say, to make chains of them, good and bad."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from muster.crypto import der
from muster.crypto.algorithms import Digest
from muster.crypto.keys import ECPrivateKey, PrivateKey, RSAPrivateKey, generate_ec_key, public_key_der, sign

_SIGNATURE_OIDS = {
    (True, Digest.SHA1): "1.2.840.113549.1.1.5",
    (True, Digest.SHA256): "1.2.840.113549.1.1.11",
    (False, Digest.SHA1): "1.2.840.10045.4.1",
    (False, Digest.SHA256): "1.2.840.10045.4.3.2",
}


@dataclass(frozen=True)
class Certified:
    """A certificate, its key, and the name that others are issued under."""

    certificate_der: bytes
    key: PrivateKey
    common_name: str


@cache
def ec_keys() -> tuple[ECPrivateKey, ...]:
    return tuple(generate_ec_key() for _ in range(8))


def certified(
    common_name: str,
    key: PrivateKey,
    issuer: Certified | None = None,
    *,
    is_ca: bool = False,
    path_length: int | None = None,
    key_usage: int | None = None,
    digest: Digest = Digest.SHA256,
    valid: tuple[datetime, datetime] = (datetime(2007, 4, 16, tzinfo=UTC), datetime(2014, 4, 16, tzinfo=UTC)),
    serial_number: int = 7,
) -> Certified:
    """Certify *key*, self-signed without *issuer*. Expired long ago, as Apple's device authority is.

    *key_usage* is the octet of the bits (0x04 = keyCertSign).
    """
    issuer_name, signing_key = (common_name, key) if issuer is None else (issuer.common_name, issuer.key)
    oid = _SIGNATURE_OIDS[isinstance(signing_key, RSAPrivateKey), digest]
    algorithm = (
        der.sequence(der.oid(oid), der.null()) if isinstance(signing_key, RSAPrivateKey) else der.sequence(der.oid(oid))
    )
    extensions = []
    if is_ca:
        length = b"" if path_length is None else der.integer(path_length)
        constraints = der.sequence(der.element(der.BOOLEAN, b"\xff"), length)
        extensions.append(der.sequence(der.oid("2.5.29.19"), der.octet_string(constraints)))
    if key_usage is not None:
        bits = der.element(der.BIT_STRING, b"\0", bytes([key_usage]))
        extensions.append(der.sequence(der.oid("2.5.29.15"), der.octet_string(bits)))
    to_be_signed = der.sequence(
        der.element(der.CONTEXT_0_CONSTRUCTED, der.integer(2)),
        der.integer(serial_number),
        algorithm,
        _name(issuer_name),
        der.sequence(*map(der.time, valid)),
        _name(common_name),
        public_key_der(key),
        der.element(der.CONTEXT_3_CONSTRUCTED, der.sequence(*extensions)) if extensions else b"",
    )
    certificate = der.sequence(to_be_signed, algorithm, der.bit_string(sign(signing_key, to_be_signed, digest)))
    return Certified(certificate, key, common_name)


def _name(common_name: str) -> bytes:
    return der.sequence(der.element(der.SET, der.sequence(der.oid("2.5.4.3"), der.text(common_name))))
