"""A device that the database has forgotten comes back by itself, out of the journal, and is not sent away meanwhile."""

import asyncio
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from tests.edges.device.doors import Doors
from tests.support import databases
from tests.support.chronicle import Chronicle, replay
from tests.support.site import ADA, MAC, Site, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.secrets import SecretState
from muster.edges.workers.resurrections import SEARCH_INTERVAL, Resurrections, Sought
from muster.operations.keep_secrets import open_secret
from muster.protocol.checkin import CheckOut
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import DeviceId, resolve_channel
from muster.storage import escrow, schema
from muster.storage.journal import JournalRecord

DEVICE = resolve_channel(MAC).device_id


class Forgetful:
    """A site whose database was replaced by an older one, its doors, and the journal it has."""

    def __init__(self, site: Site, records: list[JournalRecord]) -> None:
        self.site = site
        self.records = records
        self.searches = 0
        self.woken: list[datetime] = []
        self.resurrections = Resurrections(site.runner, self.search, self.woken.append)
        self.doors = Doors(site, seek=lambda device, identity: self.resurrections.seek(Sought(device, identity)))

    def search(self, devices: Collection[DeviceId], _: Collection[bytes]) -> list[JournalRecord]:
        self.searches += 1
        known = {DEVICE} & set(devices)
        return sorted([*self.records, *self.doors.journal], key=lambda record: record.at) if known else []

    def step(self) -> datetime | None:
        return asyncio.run(self.resurrections.step())


@pytest.fixture
def lost(sqlite_template: Path, tmp_path: Path) -> Iterator[tuple[Chronicle, SignerIdentity]]:
    """An enrollment that another database knew, journaled."""
    engine = databases.copy_sqlite(sqlite_template, tmp_path / "lost.db")
    chronicle = Chronicle(Site(engine))
    yield chronicle, chronicle.enroll(MAC)
    engine.close()


@pytest.fixture
def forgetful(sqlite_template: Path, tmp_path: Path, lost: tuple[Chronicle, SignerIdentity]) -> Iterator[Forgetful]:
    engine = databases.copy_sqlite(sqlite_template, tmp_path / "restored.db")
    site = Site(engine)
    site.wait(days=1)
    made = Forgetful(site, lost[0].records)
    yield made
    made.doors.close()
    engine.close()


def test_forgotten_device_is_put_off_then_answered(
    forgetful: Forgetful, lost: tuple[Chronicle, SignerIdentity]
) -> None:
    first = forgetful.doors.connect(lost[1])
    forgetful.step()
    second = forgetful.doors.connect(lost[1])

    assert (first.status, second.status) == (503, 200)
    assert forgetful.woken
    assert ("own", "record_lost", 1) in forgetful.site.evidence()


def test_device_whose_return_to_an_earlier_identity_is_forgotten_is_sought(
    forgetful: Forgetful, lost: tuple[Chronicle, SignerIdentity]
) -> None:
    chronicle, first = lost
    chronicle.enroll(MAC)
    replay(forgetful.site, chronicle.records)
    chronicle.enroll(MAC, first)

    before = forgetful.doors.connect(first)
    forgetful.step()
    after = forgetful.doors.connect(first)

    assert (before.status, after.status) == (503, 200)


def test_what_it_said_meanwhile_is_not_lost(forgetful: Forgetful, lost: tuple[Chronicle, SignerIdentity]) -> None:
    reply = forgetful.doors.check_in(token_update(token=b"\x07" * 32), lost[1])
    forgetful.step()

    assert reply.status == 503
    assert forgetful.site.rows(sa.select(schema.push_targets.c.token)) == [(b"\x07" * 32,)]


def test_secrets_of_a_forgotten_device_come_back_with_it(
    forgetful: Forgetful, lost: tuple[Chronicle, SignerIdentity]
) -> None:
    chronicle, identity = lost
    chronicle.site.answers(identity, CommandRequest("SetRecoveryLock", {"NewPassword": "one"}))
    forgetful.site.runner.random_bytes = Random(2).randbytes

    forgetful.doors.connect(identity)
    forgetful.step()

    kept = forgetful.site.engine.read(lambda tx: escrow.of_device(tx, DEVICE))
    assert [(open_secret(one.secret, forgetful.site.runner.context()), one.state) for one in kept] == [
        (b"one", SecretState.IN_FORCE)
    ]


def test_user_of_a_forgotten_device_comes_back_too(
    forgetful: Forgetful, lost: tuple[Chronicle, SignerIdentity]
) -> None:
    first = forgetful.doors.check_in(token_update(ADA), lost[1])
    forgetful.step()
    second = forgetful.doors.check_in(token_update(ADA), lost[1])

    assert (first.status, second.status) == (503, 200)


def test_who_is_not_in_the_journal_is_refused_plainly_and_not_sought_again(forgetful: Forgetful) -> None:
    stranger = forgetful.site.identity()
    forgetful.records.clear()
    replies = [forgetful.doors.connect(stranger)]
    forgetful.step()
    replies += [forgetful.doors.connect(stranger), forgetful.doors.connect(stranger)]
    forgetful.site.wait(days=1, minutes=1)
    replies.append(forgetful.doors.connect(stranger))

    assert [reply.status for reply in replies] == [503, 403, 403, 503]
    assert forgetful.searches == 1


def test_searches_keep_their_distance(forgetful: Forgetful) -> None:
    seek = forgetful.resurrections.seek
    seek(Sought(DeviceId("A"), b"\x01" * 32))
    forgetful.step()
    seek(Sought(DeviceId("B"), b"\x02" * 32))
    seek(Sought(DeviceId("C"), b"\x03" * 32))

    next_at = forgetful.step()
    searches_before = forgetful.searches
    forgetful.site.wait(seconds=SEARCH_INTERVAL.total_seconds())
    forgetful.step()

    assert next_at == forgetful.site.now
    assert (searches_before, forgetful.searches) == (1, 2)


def test_check_out_of_a_forgotten_device_is_no_news(
    forgetful: Forgetful, lost: tuple[Chronicle, SignerIdentity]
) -> None:
    reply = forgetful.doors.check_in(CheckOut(MAC, resolve_channel(MAC)), lost[1])

    assert reply.status == 200


def test_known_device_is_not_sought(forgetful: Forgetful) -> None:
    identity = forgetful.site.enroll()

    forgetful.doors.connect(identity)

    assert forgetful.woken == []
