"""An installation knows what it is and which keys sealed it, on both engines alike."""

from tests.support.instants import NOON

from muster.storage import installations
from muster.storage.engine import Engine
from muster.storage.installations import Installation


def test_installation_is_nothing_before_its_first_start_and_the_same_after(engine: Engine) -> None:
    assert engine.read(installations.read) is None

    engine.write(lambda tx: installations.add(tx, Installation("id", "net.example.muster"), NOON))

    assert engine.read(installations.read) == Installation("id", "net.example.muster")


def test_canary_of_a_key_stays_the_first(engine: Engine) -> None:
    for key_id, sealed in (("one", b"first"), ("two", b"other"), ("one", b"second")):
        engine.write(lambda tx, key_id=key_id, sealed=sealed: installations.add_canary(tx, key_id, sealed))  # type: ignore[misc]

    assert engine.read(installations.canaries) == {"one": b"first", "two": b"other"}
