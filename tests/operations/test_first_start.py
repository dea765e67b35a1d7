"""The first start makes what is missing, once, and knows the key ring that belongs to the database."""

import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from tests.support.runner import NOW, InlineRunner

from muster.crypto.certificates import inspect_certificate, key_matches
from muster.crypto.keys import RSAPrivateKey, private_key_der
from muster.crypto.sealing import KeyRing
from muster.operations.context import Context
from muster.operations.first_start import AUTHORITY_LIFETIME, Address, Foundation, announce_address, lay_foundation
from muster.simulator.keys.published import published_keys
from muster.storage import installations, schema
from muster.storage.engine import Engine
from muster.storage.errors import WrongKeyRing
from muster.storage.postgresql import PostgresqlEngine

LONG_NAME = "Gesellschaft für ausführlich benannte Geräteverwaltung mbH & Co."


def circumstances(engine: Engine, seed: int = 1) -> Context:
    """Those of one process; its new key is a ready-made one, for making one takes a second."""

    def ready_made(bits: int) -> RSAPrivateKey:
        return published_keys()[seed]

    return replace(InlineRunner(engine, seed=seed).context(), new_rsa_key=ready_made)


def start(engine: Engine, ctx: Context, organization: str = "Example") -> Foundation:
    return engine.write(lambda tx: lay_foundation(tx, [organization], ctx))[0]


def count(engine: Engine, table: sa.Table) -> int:
    return engine.read(lambda tx: tx.connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_first_start_makes_an_authority_that_can_answer_scep(engine: Engine) -> None:
    foundation = start(engine, circumstances(engine))

    facts = inspect_certificate(foundation.authority.certificate_der)
    assert facts.is_ca
    assert facts.common_name == "Example Device Identity Authority"
    assert facts.not_after == NOW + AUTHORITY_LIFETIME
    assert key_matches(foundation.authority.certificate_der, foundation.authority.key)
    assert foundation.authorities_der == (foundation.authority.certificate_der,)
    assert foundation.installation.profile_identifier.endswith(foundation.installation.id)


def test_later_starts_find_what_the_first_one_made(engine: Engine) -> None:
    ctx = circumstances(engine)
    first = start(engine, ctx)

    later = start(engine, replace(ctx, now=NOW + timedelta(days=9)), "Renamed")

    assert later.installation == first.installation
    assert later.authorities_der == first.authorities_der
    assert private_key_der(later.authority.key) == private_key_der(first.authority.key)
    assert [count(engine, table) for table in (schema.installation, schema.authorities, schema.ring_canaries)] == [
        1
    ] * 3


@pytest.mark.parametrize("organization", ["", "x" * 64, LONG_NAME, "漢" * 64])
def test_organization_of_every_name_that_settings_take_can_start(sqlite_engine: Engine, organization: str) -> None:
    foundation = start(sqlite_engine, circumstances(sqlite_engine), organization)

    common_name = inspect_certificate(foundation.authority.certificate_der).common_name
    assert common_name is not None
    assert common_name.endswith("Device Identity Authority")
    assert common_name.startswith(organization[:8] or "Muster")


def test_two_processes_that_start_at_once_agree(postgresql_engine: PostgresqlEngine) -> None:
    first = circumstances(postgresql_engine, 1)
    second = replace(circumstances(postgresql_engine, 2), ring=first.ring)
    together = threading.Barrier(2)
    made: list[Foundation] = []

    def start_one(ctx: Context) -> None:
        together.wait()
        made.append(start(postgresql_engine, ctx))

    threads = [threading.Thread(target=start_one, args=(ctx,)) for ctx in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [foundation.installation for foundation in made] == [made[0].installation] * 2
    assert made[0].authorities_der == made[1].authorities_der
    assert count(postgresql_engine, schema.authorities) == 1


def test_key_of_the_authority_is_sealed(engine: Engine) -> None:
    foundation = start(engine, circumstances(engine))

    (sealed,) = engine.read(lambda tx: tx.connection.scalars(sa.select(schema.authorities.c.key_sealed)).all())
    assert private_key_der(foundation.authority.key)[64:128] not in sealed


def test_another_key_ring_is_told_from_the_right_one(engine: Engine) -> None:
    ctx = circumstances(engine)
    start(engine, ctx)
    stranger = KeyRing.generate(ctx.random_bytes, NOW)

    with pytest.raises(WrongKeyRing, match=ctx.ring.keys[0].key_id.hex()):
        start(engine, replace(ctx, ring=stranger))

    assert count(engine, schema.ring_canaries) == 1


def test_ring_with_a_new_key_gets_a_canary_and_the_old_ring_fits_no_more(engine: Engine) -> None:
    ctx = circumstances(engine)
    start(engine, ctx)
    rotated = replace(ctx, ring=ctx.ring.with_new_key(ctx.random_bytes, NOW))

    start(engine, rotated)

    assert count(engine, schema.ring_canaries) == 2
    with pytest.raises(WrongKeyRing):
        start(engine, ctx)


def test_address_of_the_server_is_that_of_its_last_start(engine: Engine) -> None:
    ctx = circumstances(engine)
    start(engine, ctx)

    for url, check_in in (("https://old.example", "https://old.example/checkin"), ("https://new.example", None)):
        addresses = [Address(url, check_in)]
        engine.write(partial(announce_address, addresses=addresses, ctx=ctx))

    stored = engine.read(installations.read)
    assert stored is not None
    assert (stored.public_url, stored.check_in_url) == ("https://new.example", None)
