"""Secrets in escrow come into force, are archived, and are never lost, on both engines alike."""

from datetime import datetime

import sqlalchemy as sa
from tests.conformance.fleet import after, rows
from tests.support.instants import NOON

from muster.domain.secrets import SecretKind
from muster.protocol.identifiers import DeviceId
from muster.storage import escrow
from muster.storage.engine import Engine
from muster.storage.escrow import SealedSecret
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
