"""The audit log as it is read, on each engine."""

from tests.support.instants import NOON

from muster.domain.access import SERVER
from muster.operations.views.audit import list_acts, verify_chain
from muster.storage import people
from muster.storage.engine import Engine


def act(engine: Engine, name: str, subject: str = "A") -> None:
    engine.write(lambda tx: people.record_act(tx, SERVER, name, subject, {"count": 1, "note": "ü"}, NOON))


def test_acts_are_found_by_name_by_family_and_by_subject(engine: Engine) -> None:
    for name, subject in (("secret.reveal", "A"), ("secret.rotate", "B"), ("secrets", "A"), ("secret", "A")):
        act(engine, name, subject)

    def found(**chosen: str) -> list[int]:
        return [
            row.sequence
            for row in engine.read(
                lambda tx: list_acts(tx, limit=10, act=chosen.get("act"), subject=chosen.get("subject"))
            )
        ]

    assert found() == [4, 3, 2, 1]
    assert found(act="secret") == [4, 2, 1]
    assert found(act="secret.reveal") == [1]
    assert found(act="secret", subject="A") == [4, 1]
    assert len(engine.read(lambda tx: list_acts(tx, limit=1))) == 1


def test_chain_of_an_empty_and_of_a_whole_log_verifies(engine: Engine) -> None:
    empty = engine.read(verify_chain)
    act(engine, "secret.reveal")
    act(engine, "secret.rotate")

    whole = engine.read(verify_chain)

    assert (empty.rows, empty.broken_at, empty.last_hash) == (0, None, b"")
    assert (whole.rows, whole.broken_at, len(whole.last_hash)) == (2, None, 32)
