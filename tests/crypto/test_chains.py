"""Chains of certificates: what leads to a root, and everything that only seems to."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import rsa_key, small_rsa_key
from tests.support.authorities import Certified, certified, ec_keys

from muster.crypto.algorithms import Digest
from muster.crypto.apple_roots import apple_attestation_roots, apple_device_intermediates, apple_device_roots
from muster.crypto.certificates import fingerprint, inspect_certificate
from muster.crypto.chains import MAX_CHAIN_CERTIFICATES, MAX_INTERMEDIATES, chain_to
from muster.crypto.errors import BadSignature, MalformedMessage

KEYS = ec_keys()
ROOT = certified("Root", KEYS[0], is_ca=True)
MIDDLE = certified("Middle", KEYS[1], ROOT, is_ca=True)
DEVICE_CA = certified("Device CA", KEYS[2], MIDDLE, is_ca=True)
LEAF = certified("leaf", KEYS[3], DEVICE_CA)
CHAIN = (LEAF, DEVICE_CA, MIDDLE, ROOT)


def ders(*certificates: Certified) -> tuple[bytes, ...]:
    return tuple(certificate.certificate_der for certificate in certificates)


def found(leaf: Certified, *intermediates: Certified, root: Certified = ROOT, allow_legacy: bool = False) -> object:
    """The chain from *leaf* to *root*, or None."""
    try:
        return chain_to(leaf.certificate_der, ders(*intermediates), ders(root), allow_legacy=allow_legacy)
    except BadSignature:
        return None


def test_apples_device_authority_leads_to_apples_root() -> None:
    device_ca, certification_authority = apple_device_intermediates()

    chain = chain_to(device_ca, [certification_authority], apple_device_roots(), allow_legacy=True)

    assert chain == (device_ca, certification_authority, *apple_device_roots())
    assert [inspect_certificate(certificate).common_name for certificate in chain] == [
        "Apple iPhone Device CA",
        "Apple iPhone Certification Authority",
        "Apple Root CA",
    ]
    with pytest.raises(BadSignature):
        chain_to(device_ca, [certification_authority], apple_device_roots(), allow_legacy=False)


def test_apples_roots_are_those_that_apple_publishes() -> None:
    (root,), (attestation_root,) = apple_device_roots(), apple_attestation_roots()

    assert fingerprint(root).hex() == "b0b1730ecbc7ff4505142c49f1295e6eda6bcaed7e2c68c5be91b5a11001f024"
    assert inspect_certificate(attestation_root).common_name == "Apple Enterprise Attestation Root CA"
    assert inspect_certificate(attestation_root).is_ca


def test_an_expired_chain_is_found_in_any_order_among_strangers() -> None:
    stranger = certified("Device CA", KEYS[4], MIDDLE, is_ca=True)

    assert found(LEAF, DEVICE_CA, MIDDLE) == ders(*CHAIN)
    assert found(LEAF, stranger, MIDDLE, ROOT, LEAF, DEVICE_CA, DEVICE_CA) == ders(*CHAIN)


def test_a_leaf_under_the_root_needs_nothing_between() -> None:
    leaf = certified("leaf", KEYS[3], ROOT)

    assert found(leaf) == ders(leaf, ROOT)


def test_unreadable_intermediates_are_passed_over() -> None:
    intermediates = [b"", b"0\0", *ders(DEVICE_CA, MIDDLE)]

    assert chain_to(LEAF.certificate_der, intermediates, ders(ROOT), allow_legacy=False) == ders(*CHAIN)


NOT_A_CA = certified("Device CA", KEYS[2], MIDDLE)
NO_CERT_SIGN = certified("Device CA", KEYS[2], MIDDLE, is_ca=True, key_usage=0x80)
NARROW = certified("Middle", KEYS[1], ROOT, is_ca=True, path_length=0)
IMPOSTOR = certified("Device CA", KEYS[5], MIDDLE, is_ca=True)
OTHER_ROOT = certified("Root", KEYS[6], is_ca=True)


@pytest.mark.parametrize(
    ("leaf", "intermediates"),
    [
        (LEAF, ()),
        (LEAF, (DEVICE_CA,)),
        (LEAF, (MIDDLE,)),
        (LEAF, (NOT_A_CA, MIDDLE)),
        (LEAF, (NO_CERT_SIGN, MIDDLE)),
        (LEAF, (DEVICE_CA, NARROW)),
        (LEAF, (IMPOSTOR, MIDDLE)),
        (LEAF, (DEVICE_CA, certified("Middle", KEYS[1], OTHER_ROOT, is_ca=True))),
        (LEAF, (DEVICE_CA, certified("Middle", KEYS[1], is_ca=True))),
        (replace(LEAF, certificate_der=LEAF.certificate_der[:-1] + b"\0"), (DEVICE_CA, MIDDLE)),
        (certified("leaf", KEYS[3]), (DEVICE_CA, MIDDLE)),
        (ROOT, (ROOT, DEVICE_CA, MIDDLE)),
    ],
    ids=[
        "alone",
        "middle missing",
        "device authority missing",
        "no authority",
        "may not sign certificates",
        "path too long",
        "other key",
        "other root of that name",
        "self-signed",
        "signature altered",
        "self-signed leaf",
        "the root itself",
    ],
)
def test_what_leads_to_no_root_is_refused(leaf: Certified, intermediates: tuple[Certified, ...]) -> None:
    assert found(LEAF, DEVICE_CA, MIDDLE) is not None
    assert found(leaf, *intermediates) is None


def test_path_length_and_key_usage_that_suffice_are_no_hindrance() -> None:
    middle = certified("Middle", KEYS[1], ROOT, is_ca=True, path_length=1, key_usage=0x06)
    device_ca = certified("Device CA", KEYS[2], middle, is_ca=True, path_length=0, key_usage=0x04)

    assert found(LEAF, device_ca, middle) == ders(LEAF, device_ca, middle, ROOT)


def test_certificates_in_a_circle_end_the_search() -> None:
    one = certified("One", KEYS[4])
    two = certified("Two", KEYS[5], one, is_ca=True)
    one = certified("One", KEYS[4], two, is_ca=True)

    assert found(certified("leaf", KEYS[3], two), one, two) is None


def test_a_chain_beyond_the_bound_is_refused() -> None:
    chain = [ROOT]
    for number in range(MAX_CHAIN_CERTIFICATES - 2):
        chain.append(certified(f"CA {number}", KEYS[number % 3 + 1], chain[-1], is_ca=True))
    longest = certified("leaf", KEYS[4], chain[-1])
    chain.append(certified("one more", KEYS[5], chain[-1], is_ca=True))
    too_long = certified("leaf", KEYS[4], chain[-1])

    assert found(longest, *chain) is not None
    assert found(too_long, *chain) is None


def test_more_intermediates_than_the_bound_are_refused() -> None:
    with pytest.raises(MalformedMessage):
        chain_to(LEAF.certificate_der, [b""] * (MAX_INTERMEDIATES + 1), ders(ROOT), allow_legacy=False)
    as_many = [*ders(DEVICE_CA, MIDDLE), *[b""] * (MAX_INTERMEDIATES - 2)]
    assert chain_to(LEAF.certificate_der, as_many, ders(ROOT), allow_legacy=False)


def test_sha1_and_short_keys_count_only_where_legacy_is_allowed() -> None:
    sha1 = certified("leaf", KEYS[3], ROOT, digest=Digest.SHA1)
    short_ca = certified("Short", small_rsa_key(), ROOT, is_ca=True)
    under_short = certified("leaf", KEYS[3], short_ca)
    sound_ca = certified("Sound", rsa_key(), ROOT, is_ca=True)

    for allow_legacy in (False, True):
        assert (found(sha1, allow_legacy=allow_legacy) is not None) == allow_legacy
        assert (found(under_short, short_ca, allow_legacy=allow_legacy) is not None) == allow_legacy
        assert found(certified("leaf", KEYS[3], sound_ca), sound_ca, allow_legacy=allow_legacy) is not None


def test_a_leaf_that_is_no_certificate_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        chain_to(b"0\0", [], ders(ROOT), allow_legacy=True)


@settings(max_examples=100)
@given(st.integers(0, len(LEAF.certificate_der) - 1), st.integers(1, 255))
def test_no_altered_leaf_has_a_chain(position: int, change: int) -> None:
    altered = bytearray(LEAF.certificate_der)
    altered[position] ^= change

    with pytest.raises((BadSignature, MalformedMessage)):
        chain_to(bytes(altered), ders(DEVICE_CA, MIDDLE), ders(ROOT), allow_legacy=True)
