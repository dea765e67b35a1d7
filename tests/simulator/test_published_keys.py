"""The published keys are few, fixed, and known to everybody who must refuse them."""

from muster.crypto import well_known_keys
from muster.crypto.keys import generate_ec_key, public_key_der
from muster.simulator.keys.published import published_keys


def test_there_are_32_different_keys() -> None:
    fingerprints = {public_key_der(key) for key in published_keys()}

    assert len(published_keys()) == len(fingerprints) == 32


def test_every_published_key_is_well_known_and_no_other_is() -> None:
    assert all(well_known_keys.is_well_known(public_key_der(key)) for key in published_keys())
    assert len(well_known_keys.FINGERPRINTS) == 32
    assert not well_known_keys.is_well_known(public_key_der(generate_ec_key()))


def test_every_key_has_2048_bits() -> None:
    assert {key.key_size for key in published_keys()} == {2048}
