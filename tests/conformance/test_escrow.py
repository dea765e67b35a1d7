"""Secrets in escrow come into force, are archived, and are never lost, on both engines alike."""

from dataclasses import replace
from datetime import datetime
from itertools import permutations

import sqlalchemy as sa
from tests.conformance.fleet import after, rows
from tests.support.instants import NOON

from muster.domain.secrets import SecretKind, SecretState
from muster.protocol.identifiers import CommandUUID, DeviceId
from muster.storage import escrow
from muster.storage.engine import Engine
from muster.storage.escrow import KeptSecret, SealedSecret
from muster.storage.schema import escrow as escrow_table

A, B = DeviceId("A"), DeviceId("B")
UNLOCK, BOOTSTRAP = SecretKind.UNLOCK_TOKEN, SecretKind.BOOTSTRAP_TOKEN


def keep(
    engine: Engine, name: str, *, device: DeviceId = A, kind: SecretKind = UNLOCK, epoch: int = 1, minutes: int = 0
) -> SealedSecret:
    secret = SealedSecret(name, name.encode() + b"\x00", epoch, after(minutes=minutes))
    engine.write(lambda tx: escrow.add(tx, device, kind, secret, origin="TokenUpdate"))
    return secret


def in_force(engine: Engine, device: DeviceId = A, kind: SecretKind = UNLOCK, epoch: int = 1) -> str | None:
    secret = engine.read(lambda tx: escrow.current(tx, device, kind, epoch=epoch))
    return None if secret is None else secret.id


def archived(engine: Engine) -> dict[str, datetime | None]:
    return {row.id: row.archived_at for row in rows(engine, sa.select(escrow_table))}


def test_secret_comes_back_as_it_was_given(engine: Engine) -> None:
    secret = keep(engine, "one")

    assert engine.read(lambda tx: escrow.current(tx, A, UNLOCK, epoch=1)) == secret


def test_secrets_of_another_device_kind_or_epoch_are_not_in_force(engine: Engine) -> None:
    keep(engine, "one")

    assert in_force(engine, device=B) is None
    assert in_force(engine, kind=BOOTSTRAP) is None
    assert in_force(engine, epoch=2) is None


def test_newer_secret_archives_those_of_its_kind_only(engine: Engine) -> None:
    keep(engine, "first")
    keep(engine, "bootstrap", kind=BOOTSTRAP)
    keep(engine, "other", device=B)

    keep(engine, "second", minutes=5)

    assert in_force(engine) == "second"
    assert archived(engine) == {"first": after(minutes=5), "bootstrap": None, "other": None, "second": None}


def test_archiving_below_an_epoch_keeps_the_present_ones_and_old_times(engine: Engine) -> None:
    keep(engine, "replaced")
    keep(engine, "old", minutes=1)
    keep(engine, "new", kind=BOOTSTRAP, epoch=2)

    engine.write(lambda tx: escrow.archive(tx, A, None, at=after(hours=1), below_epoch=2))

    assert archived(engine) == {"replaced": after(minutes=1), "old": after(hours=1), "new": None}


def test_archiving_a_kind_puts_every_one_of_it_out_of_force(engine: Engine) -> None:
    keep(engine, "one", epoch=3)
    keep(engine, "bootstrap", kind=BOOTSTRAP)

    engine.write(lambda tx: escrow.archive(tx, A, UNLOCK, at=NOON))

    assert in_force(engine, epoch=3) is None
    assert in_force(engine, kind=BOOTSTRAP) == "bootstrap"


# --- from the journal


def stood(
    name: str, state: SecretState, *, stored: int = 0, in_force: int | None = None, ended: int | None = None
) -> KeptSecret:
    """How a secret stood; times are minutes."""
    return KeptSecret(
        SealedSecret(name, name.encode() + b"\x00", 1, after(minutes=stored)),
        A,
        None,
        SecretKind.RECOVERY_LOCK,
        "",
        None,
        state,
        "SetRecoveryLock",
        CommandUUID(name),
        None if in_force is None else after(minutes=in_force),
        None if ended is None else after(minutes=ended),
        None,
    )


FIRST_PROPOSED = stood("first", SecretState.PROPOSED)
FIRST_IN_FORCE = stood("first", SecretState.IN_FORCE, in_force=1)
SECOND_PROPOSED = stood("second", SecretState.PROPOSED, stored=5)
SECOND_IN_FORCE = stood("second", SecretState.IN_FORCE, stored=5, in_force=6)
FIRST_REPLACED = stood("first", SecretState.REPLACED, in_force=1, ended=6)
HISTORY = (FIRST_PROPOSED, FIRST_IN_FORCE, SECOND_IN_FORCE, FIRST_REPLACED)


def restore(engine: Engine, *history: KeptSecret) -> list[bool]:
    return [engine.write(lambda tx, one=one: escrow.restore(tx, one)) for one in history]  # type: ignore[misc] # its type is one's


def test_secrets_stand_where_they_stood_last_in_whatever_order_they_come_back(engine: Engine) -> None:
    ends = set()
    for order in permutations(HISTORY):
        engine.write(lambda tx: tx.connection.execute(sa.delete(escrow_table)))
        restore(engine, *order)
        again = restore(engine, *order)
        ends.add((engine.read(lambda tx: escrow.of_device(tx, A)), any(again)))

    assert ends == {((SECOND_IN_FORCE, FIRST_REPLACED), False)}


def test_secret_that_comes_back_late_leaves_the_one_in_force(engine: Engine) -> None:
    restore(engine, SECOND_PROPOSED, SECOND_IN_FORCE)

    is_news = restore(engine, FIRST_IN_FORCE, FIRST_IN_FORCE)

    assert is_news == [True, False]
    assert engine.read(lambda tx: escrow.of_device(tx, A)) == (SECOND_IN_FORCE, FIRST_REPLACED)


def test_account_guid_comes_back(engine: Engine) -> None:
    restore(engine, FIRST_IN_FORCE)

    is_news = restore(engine, *[replace(FIRST_IN_FORCE, account_guid="GUID")] * 2)

    assert is_news == [True, False]
    assert [one.account_guid for one in engine.read(lambda tx: escrow.of_device(tx, A))] == ["GUID"]
