"""Sealing: what was sealed opens in its place, and nowhere else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.crypto.material import NOW, YEAR, CountingBytes

from muster.crypto.errors import CannotDecrypt, CryptoError, MalformedMessage
from muster.crypto.sealing import KeyRing, UnknownSealingKey, associated_data, sealed_key_id

PLACE = associated_data("escrow", "secret", "7")


def ring() -> KeyRing:
    return KeyRing.generate(CountingBytes(), NOW)


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_what_was_sealed_opens(plaintext: bytes, place: bytes) -> None:
    sealed = ring().seal(plaintext, place, CountingBytes())

    assert ring().open(sealed, place) == plaintext
    assert len(sealed) == len(plaintext) + 37


def test_a_secret_does_not_open_in_another_place() -> None:
    sealed = ring().seal(b"secret", PLACE, CountingBytes())

    with pytest.raises(CannotDecrypt):
        ring().open(sealed, associated_data("escrow", "secret", "8"))


def test_every_changed_bit_and_every_truncation_is_noticed() -> None:
    sealed = ring().seal(b"secret", PLACE, CountingBytes())

    for i in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[i // 8] ^= 1 << i % 8
        with pytest.raises((CannotDecrypt, UnknownSealingKey)):
            ring().open(bytes(changed), PLACE)
    for length in range(len(sealed)):
        with pytest.raises(CannotDecrypt):
            ring().open(sealed[:length], PLACE)


def test_the_newest_key_seals_and_all_open() -> None:
    random_bytes = CountingBytes()
    old = KeyRing.generate(random_bytes, NOW)
    new = old.with_new_key(random_bytes, NOW + YEAR)
    sealed_by_old, sealed_by_new = (r.seal(b"secret", PLACE, random_bytes) for r in (old, new))

    assert new.open(sealed_by_old, PLACE) == new.open(sealed_by_new, PLACE) == b"secret"
    assert sealed_key_id(sealed_by_old) == old.keys[0].key_id.hex()
    assert sealed_key_id(sealed_by_new) == new.keys[1].key_id.hex()
    with pytest.raises(UnknownSealingKey, match=new.keys[1].key_id.hex()) as caught:
        old.open(sealed_by_new, PLACE)
    assert caught.value.key_id == new.keys[1].key_id.hex()


def test_equal_secrets_are_sealed_differently() -> None:
    random_bytes = CountingBytes()

    assert ring().seal(b"secret", PLACE, random_bytes) != ring().seal(b"secret", PLACE, random_bytes)


def test_a_ring_is_read_as_written() -> None:
    random_bytes = CountingBytes()
    written = KeyRing.generate(random_bytes, NOW).with_new_key(random_bytes, NOW + YEAR)

    assert KeyRing.from_json(written.to_json()) == written


def test_a_ring_does_not_show_its_keys() -> None:
    assert "key=" not in repr(ring())


def changed(**changes: object) -> str:
    document = json.loads(ring().to_json())
    document["keys"][0] |= changes
    return json.dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"version": 2, "keys": []}',
        '{"version": 1, "keys": []}',
        '{"version": 1, "keys": 5}',
        '{"version": 1, "keys": [5]}',
        "[" * 100_000,
        changed(id="00"),
        changed(id=5),
        changed(key="AAAA"),
        changed(key=None),
        changed(key="\xe4"),
        changed(created_at="yesterday"),
        changed(created_at="2026-11-22T12:00:00"),
        ring().to_json().replace('"keys": [', '"keys": [' + json.dumps(json.loads(ring().to_json())["keys"][0]) + ","),
    ],
)
def test_a_malformed_ring_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        KeyRing.from_json(text)

    assert json.loads(ring().to_json())["keys"][0]["key"] not in str(caught.value)


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_places_are_never_confused(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (associated_data(*one) == associated_data(*other)) == (one == other)
    assert associated_data("ab", "c", "d") != associated_data("a", "bc", "d")


@given(st.binary(max_size=100))
def test_random_bytes_do_not_open(octets: bytes) -> None:
    with pytest.raises(CryptoError):
        ring().open(octets, PLACE)
