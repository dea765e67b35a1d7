"""Chains of certificates, from an end entity up to a trusted root (RFC 5280 section 6, without dates).

Validity is not looked at, on purpose: Apple's device authority has expired, and goes on vouching for devices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from muster.crypto import der
from muster.crypto.certificates import CertificateParts, is_issued_by, known_certificate, parse_certificate
from muster.crypto.errors import BadSignature, MalformedMessage

MAX_CHAIN_CERTIFICATES: Final = 8  # Apple's have four, leaf and root included
MAX_INTERMEDIATES: Final = 32  # 16 of a message and those that are known; each costs up to 31 verifications

_BASIC_CONSTRAINTS: Final = "2.5.29.19"
_KEY_USAGE: Final = "2.5.29.15"
_KEY_CERT_SIGN: Final = 0x04  # bit 5 of the first octet


@dataclass(frozen=True, slots=True)
class _Issuer:
    """A certificate that may sign others. path_length: how many authorities may stand below it; None: any number."""

    certificate_der: bytes
    subject: bytes
    path_length: int | None


def chain_to(
    leaf_der: bytes, intermediates_der: Sequence[bytes], roots_der: Sequence[bytes], *, allow_legacy: bool
) -> tuple[bytes, ...]:
    """Find the shortest chain from *leaf_der* to one of *roots_der*. Returns it, leaf first, root last.

    Names match, each signature holds, and whatever signs is an authority by its basic constraints, path length and
    key usage. *intermediates_der* may come in any order, with strangers among them; those that cannot be read are
    passed over. SHA-1 and RSA keys of authorities below 2048 bits count only with *allow_legacy*. The roots are
    trusted as they are, whatever they say about themselves; none of them is a leaf.

    Raises MalformedMessage when the leaf is no certificate or there are more than 32 intermediates, and BadSignature
    when no chain of at most 8 certificates leads to a root. Not checked: dates, revocation, name constraints,
    policies, purposes of the leaf, and critical extensions that are unknown here.
    """
    if len(intermediates_der) > MAX_INTERMEDIATES:
        raise MalformedMessage(f"more than {MAX_INTERMEDIATES} intermediate certificates")
    parse_certificate(leaf_der)
    roots = [_Issuer(root, parse_certificate(root).subject, None) for root in dict.fromkeys(roots_der)]
    unused = [
        issuer
        for certificate in dict.fromkeys(intermediates_der)
        if certificate not in roots_der and (issuer := _read_issuer(certificate)) is not None
    ]
    chains: list[tuple[bytes, ...]] = [(leaf_der,)] if leaf_der not in roots_der else []
    for length in range(1, MAX_CHAIN_CERTIFICATES):
        longer: list[tuple[bytes, ...]] = []
        for chain in chains:
            for root in roots:
                if _signed(chain[-1], root, allow_legacy=allow_legacy):
                    return (*chain, root.certificate_der)
            for issuer in [issuer for issuer in unused if issuer.certificate_der not in chain]:
                has_room = issuer.path_length is None or length - 1 <= issuer.path_length
                if has_room and _signed(chain[-1], issuer, allow_legacy=allow_legacy):
                    # Each once, in the shortest chain it is in: so loops end, and work is bounded.
                    unused.remove(issuer)
                    longer.append((*chain, issuer.certificate_der))
        chains = longer
    raise BadSignature("no chain of certificates leads to a trusted root")


def _signed(certificate_der: bytes, issuer: _Issuer, *, allow_legacy: bool) -> bool:
    if parse_certificate(certificate_der).issuer != issuer.subject:
        return False
    if known_certificate(issuer.certificate_der).is_legacy and not allow_legacy:
        return False
    return is_issued_by(certificate_der, issuer.certificate_der, allow_legacy=allow_legacy)


def _read_issuer(certificate_der: bytes) -> _Issuer | None:
    """Read a certificate that may issue others; None when it may not, or cannot be read."""
    try:
        parts = parse_certificate(certificate_der)
        is_authority, path_length = _basic_constraints(parts)
        may_sign = _may_sign_certificates(parts)
        known_certificate(certificate_der)
    except MalformedMessage:
        return None
    return _Issuer(certificate_der, parts.subject, path_length) if is_authority and may_sign else None


def _basic_constraints(parts: CertificateParts) -> tuple[bool, int | None]:
    """Read cA and pathLenConstraint (RFC 5280 section 4.2.1.9)."""
    extension = parts.extensions.get(_BASIC_CONSTRAINTS)
    if extension is None:
        return False, None
    constraints = der.Reader.of_single(extension, der.SEQUENCE)
    is_authority = False
    if constraints.next_tag() == der.BOOLEAN:
        is_authority = constraints.content(der.BOOLEAN) not in (b"", b"\0")
    path_length = None
    if constraints.next_tag() == der.INTEGER:
        path_length = int.from_bytes(constraints.content(der.INTEGER), "big", signed=True)
    constraints.finish()
    return is_authority, path_length


def _may_sign_certificates(parts: CertificateParts) -> bool:
    """Tell whether keyCertSign is among the uses; without the extension every use is allowed (section 4.2.1.3)."""
    extension = parts.extensions.get(_KEY_USAGE)
    if extension is None:
        return True
    bits = der.Reader(extension).content(der.BIT_STRING)  # the count of unused bits, then the bits
    return len(bits) > 1 and bool(bits[1] & _KEY_CERT_SIGN)
