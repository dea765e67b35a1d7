"""A new authority issues from now on; those before it are kept, and who runs learns of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.runner import NOW, InlineRunner

from muster.bootstrap.authorities import LOOK_AT_MOST, AuthorityBook
from muster.crypto.certificates import fingerprint, inspect_certificate, key_matches
from muster.crypto.issuance import Authority
from muster.crypto.keys import RSAPrivateKey
from muster.domain.access import SERVER, Actor
from muster.operations.context import Context
from muster.operations.first_start import AUTHORITY_LIFETIME, Foundation, lay_foundation
from muster.operations.rotate_authority import RotatedAuthority, rotate_authorities
from muster.operations.views.authorities import list_authorities
from muster.simulator.keys.published import published_keys
from muster.storage import schema
from muster.storage.engine import Engine
from muster.storage.journal_records import read_authority


class Starting(InlineRunner):
    """A runner whose keys are ready-made, another one each time."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._made = 0

    def context(self, actor: Actor = SERVER) -> Context:
        return replace(super().context(actor), new_rsa_key=self._key)

    def _key(self, _bits: int) -> RSAPrivateKey:
        self._made += 1
        return published_keys()[self._made]


@pytest.fixture
def runner(engine: Engine) -> Starting:
    return Starting(engine)


def start(runner: Starting) -> Foundation:
    return asyncio.run(runner.write(lay_foundation, ["Example"]))[0]


def rotate(runner: Starting) -> RotatedAuthority:
    return asyncio.run(runner.write(rotate_authorities, ["Example"]))[0]


def names(authorities: Sequence[Authority]) -> list[str | None]:
    return [inspect_certificate(one.certificate_der).common_name for one in authorities]


def test_the_new_authority_is_the_current_one_and_the_former_is_kept(runner: Starting) -> None:
    first = start(runner).authority
    runner.time += timedelta(days=100)

    made = rotate(runner)

    later = start(runner)
    assert names(later.authorities) == ["Example Device Identity Authority 2", "Example Device Identity Authority"]
    assert later.authority.certificate_der == made.certificate_der
    assert later.authorities[1].certificate_der == first.certificate_der
    assert all(key_matches(one.certificate_der, one.key) for one in later.authorities)
    assert made.not_after == runner.time + AUTHORITY_LIFETIME


def test_rotation_is_in_the_log_and_in_the_journal(runner: Starting) -> None:
    first = start(runner).authority

    made = rotate(runner)

    rows = sa.select(schema.audit.c.act, schema.audit.c.subject, schema.audit.c.detail)
    logged = runner.engine.read(lambda tx: tx.connection.execute(rows).all())
    former = fingerprint(first.certificate_der).hex()
    assert [tuple(row) for row in logged] == [("authority.rotate", made.fingerprint.hex(), {"former": former})]
    assert read_authority(runner.journal[-1]).authority.fingerprint == made.fingerprint


def test_rotating_again_numbers_on(runner: Starting) -> None:
    start(runner)

    assert [rotate(runner).name, rotate(runner).name] == [
        "Example Device Identity Authority 2",
        "Example Device Identity Authority 3",
    ]


def test_list_has_the_current_one_first_and_no_devices_yet(runner: Starting) -> None:
    start(runner)
    runner.time += timedelta(days=1)
    rotate(runner)

    rows = runner.engine.read(list_authorities)

    assert [(row.name[-1], row.is_current, row.devices, row.not_renewable) for row in rows] == [
        ("2", True, 0, 0),
        ("y", False, 0, 0),
    ]
    assert [row.created_at for row in rows] == [NOW + timedelta(days=1), NOW]


def test_running_process_notices_the_new_authority_and_tells(runner: Starting) -> None:
    book = AuthorityBook(runner, start(runner).authorities)
    told: list[tuple[bytes, ...]] = []
    book.tell = told.append
    asyncio.run(book.step())
    made = rotate(runner)

    asyncio.run(book.step())

    assert book.all()[0].certificate_der == made.certificate_der
    assert len(book.certificates_der()) == 2
    assert told == [book.certificates_der()]


def test_who_addresses_nobody_has_the_database_asked_no_more_than_once_a_second(runner: Starting) -> None:
    book = AuthorityBook(runner, start(runner).authorities)
    asyncio.run(book.look_again())
    rotate(runner)

    asyncio.run(book.look_again())
    within_the_second = len(book.all())
    runner.time += LOOK_AT_MOST
    asyncio.run(book.look_again())

    assert (within_the_second, len(book.all())) == (1, 2)
