"""Faults of ours: the database is down, or trips over a message. Devices keep what they have, and nothing is lost."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.edges.device.doors import Doors, Reply
from tests.support import databases
from tests.support.postgresql import PostgresqlServer
from tests.support.site import (
    ADA,
    IPAD,
    MAC,
    SOURCE,
    TOPIC,
    Site,
    authenticate,
    id_of,
    print_of,
    token_update,
)

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import RefusalCode
from muster.edges.device import batcher
from muster.edges.device.refusals import MAXIMUM_PENDING, RefusalRecorder
from muster.edges.workers.deferred import DeferredWorker
from muster.operations.enrollment_links import LinkOrder
from muster.operations.record_refusals import RefusedContact
from muster.protocol.checkin import CheckOut, GetBootstrapToken, encode_checkin
from muster.protocol.identifiers import ChannelId, resolve_channel
from muster.storage import schema
from muster.storage.errors import Unavailable
from muster.storage.postgresql import PostgresqlEngine
from muster.storage.sqlite import SqliteEngine

POISON = {
    "sqlite": [
        (
            "CREATE TRIGGER poison BEFORE {change} ON {table} WHEN NEW.{column} = '{value}' "
            "BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )
    ],
    "postgresql": [
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poison'; END $$",
        (
            "CREATE TRIGGER poison BEFORE {change} ON {table} FOR EACH ROW WHEN (NEW.{column} = '{value}') "
            "EXECUTE FUNCTION poison()"
        ),
    ],
}
CURE = {
    "sqlite": ["DROP TRIGGER IF EXISTS poison"],
    "postgresql": ["DROP FUNCTION IF EXISTS poison CASCADE"],
}


@contextmanager
def poison(site: Site, table: str = "channels", value: str = id_of(MAC), *, change: str = "UPDATE") -> Iterator[None]:
    """Have every change of a device's rows fail, as a mistake of ours would."""
    column = "id" if table == "channels" else "claimed_id" if table == "rumours" else "channel_id"

    def execute(statements: list[str]) -> None:
        with site.engine.sqlalchemy.begin() as connection:
            for statement in statements:
                text = statement.format(table=table, value=value, change=change, column=column)
                connection.exec_driver_sql(text.replace("%", "%%"))

    execute(POISON[site.engine.name])
    try:
        yield
    finally:
        execute(CURE[site.engine.name])


def retry(site: Site) -> None:
    """Have the worker try what is due."""
    asyncio.run(DeferredWorker(site.runner).step())


def waiting(site: Site) -> list[str]:
    return [message for (message,) in site.rows(sa.select(schema.deferred_messages.c.message))]


# Poison


def test_report_that_trips_over_a_fault_is_accepted_kept_and_processed_when_the_fault_is_cured(
    both_doors: Doors,
) -> None:
    doors, site = both_doors, both_doors.site
    identity = site.enroll()
    site.queue("one")

    with poison(site):
        reply = doors.connect(identity, status="Acknowledged", command_uuid="one")
        site.wait(minutes=1)
        retry(site)
        assert waiting(site) == ["connect"]

    assert (reply.status, reply.body) == (200, b"")
    assert ("own", "connect", 1) in site.evidence()
    assert site.reports() == []
    site.wait(minutes=10)
    retry(site)
    assert site.reports() == [("one", "Acknowledged")]
    assert waiting(site) == []


def test_error_of_the_last_attempt_is_kept(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    with poison(site):
        doors.connect(identity, status="Acknowledged", command_uuid="one")
        site.wait(minutes=1)
        retry(site)

    ((error, attempts),) = site.rows(sa.select(schema.deferred_messages.c.error, schema.deferred_messages.c.attempts))
    assert "poison" in error
    assert attempts == 1


def test_token_update_that_trips_over_a_fault_is_accepted_journaled_and_processed_later(both_doors: Doors) -> None:
    doors, site = both_doors, both_doors.site
    identity = site.enroll()

    with poison(site):
        reply = doors.check_in(token_update(token=b"\x02" * 32), identity)

    assert reply.status == 200
    assert "TokenUpdate" in [record.message for record in doors.journal]
    site.wait(minutes=1)
    retry(site)
    assert site.rows(sa.select(schema.push_targets.c.token)) == [(b"\x02" * 32,)]


def test_check_out_that_trips_over_a_fault_is_accepted_and_processed_later(doors: Doors, site: Site) -> None:
    identity = site.enroll()

    with poison(site):
        reply = doors.check_in(CheckOut(MAC, resolve_channel(MAC), TOPIC), identity)

    assert reply.status == 200
    site.wait(minutes=1)
    retry(site)
    assert site.enrollment().state is EnrollmentState.ENDED


def test_authenticate_that_was_not_stored_is_never_accepted(both_doors: Doors) -> None:
    doors, site = both_doors, both_doors.site
    identity = site.identity()

    with poison(site, change="INSERT"):
        reply = doors.check_in(authenticate(), identity)

    assert (reply.status, waiting(site)) == (503, [])
    assert "retry-after" in reply.headers
    assert doors.check_in(authenticate(), identity).status == 200


def test_question_that_trips_over_a_fault_is_put_off(doors: Doors, site: Site) -> None:
    identity = site.enroll()

    with poison(site):
        reply = doors.check_in(GetBootstrapToken(MAC, resolve_channel(MAC)), identity)

    assert (reply.status, waiting(site)) == (503, [])


def test_message_of_a_stranger_that_trips_over_a_fault_is_not_kept(doors: Doors, site: Site) -> None:
    site.enroll()
    stranger = site.identity()

    with poison(site, "rumours", change="INSERT"):
        reply = doors.connect(stranger, status="Acknowledged", command_uuid="one")

    assert (reply.status, waiting(site)) == (403, [])


def test_message_that_can_not_even_be_kept_is_put_off(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    site.queue("one")

    with poison(site, "evidence", change="INSERT"):
        reply = doors.connect(identity, status="Error", command_uuid="one")

    assert (reply.status, waiting(site), site.queued()) == (503, [], ["one"])


def test_poison_of_one_device_spoils_no_other_in_its_batch(both_doors: Doors) -> None:
    doors, site = both_doors, both_doors.site
    mac, ipad = site.enroll(), site.enroll(IPAD)
    site.check_in(token_update(ADA), mac)

    with poison(site):
        replies = [doors.connect(mac), doors.connect(ipad, IPAD), doors.connect(mac, ADA)]

    assert [reply.status for reply in replies] == [200, 200, 200]
    assert waiting(site) == ["connect"]


def test_refusal_that_can_not_be_written_spoils_no_other(doors: Doors, site: Site) -> None:
    contacts = [
        RefusedContact(RefusalCode.SIGNATURE_BAD, ChannelId(name), None, SOURCE, site.now) for name in ("A", "B", "C")
    ]

    async def record() -> None:
        recorder = RefusalRecorder(site.runner)
        for one in contacts:
            recorder.record(one.code, claimed_id=one.claimed_id, fingerprint=None, source=one.source)
        await recorder.drain()

    with poison(site, "rumours", "B", change="INSERT"):
        asyncio.run(record())

    assert [claimed for claimed, _, _ in site.rumours()] == ["A", "C"]


# The database is down


@contextmanager
def down_sqlite(template: Path, tmp_path: Path) -> Iterator[tuple[Site, sa.Connection]]:
    databases.copy_sqlite(template, tmp_path / "down.db").close()
    engine = SqliteEngine(tmp_path / "down.db", synchronous="OFF", busy_timeout_milliseconds=1)
    other = SqliteEngine(tmp_path / "down.db", synchronous="OFF")
    with other.sqlalchemy.connect() as connection:
        yield Site(engine), connection
    other.close()
    engine.close()


def assert_put_off(reply: Reply) -> None:
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0


def requests(doors: Doors, identity: SignerIdentity, token: str) -> Iterator[Reply]:
    """Every request that needs the database, one after the other; *token* is an enrollment link's."""
    yield doors.connect(identity)
    yield doors.connect(identity, status="Acknowledged", command_uuid="one")
    yield doors.check_in(token_update(token=b"\x02" * 32), identity)
    yield doors.check_in(authenticate(IPAD), identity)
    yield doors.check_in(CheckOut(MAC, resolve_channel(MAC), TOPIC), identity)
    yield doors.ask("GET", f"/enroll/{token}")


def test_everything_is_put_off_while_sqlite_is_held_and_works_again_afterwards(
    sqlite_template: Path, tmp_path: Path
) -> None:
    with down_sqlite(sqlite_template, tmp_path) as (site, connection):
        doors = Doors(site)
        identity = site.enroll()
        site.queue("one")
        token = site.link(LinkOrder(1, timedelta(days=1))).token
        transaction = connection.begin()  # BEGIN IMMEDIATE: another process writes, and does not end

        for reply in requests(doors, identity, token):
            assert_put_off(reply)
        transaction.rollback()

        assert doors.connect(identity, status="Acknowledged", command_uuid="one").status == 200
        assert site.reports() == [("one", "Acknowledged")]
        doors.close()


def test_everything_is_put_off_while_postgresql_is_gone(postgresql_server: PostgresqlServer) -> None:
    url = postgresql_server.create_database("falls_over", "muster_template")
    engine = PostgresqlEngine(url, connections=2)
    site = Site(engine)
    doors = Doors(site)
    identity = site.enroll()
    token = site.link(LinkOrder(1, timedelta(days=1))).token
    postgresql_server.drop_database("falls_over")

    for reply in requests(doors, identity, token):
        assert_put_off(reply)
    doors.close()
    engine.close()


def test_malformed_messages_are_refused_though_the_database_is_down(sqlite_template: Path, tmp_path: Path) -> None:
    with down_sqlite(sqlite_template, tmp_path) as (site, connection):
        doors = Doors(site)
        identity = site.enroll()
        with connection.begin():
            reply = doors.put(b"hello", identity)
        doors.close()

        assert reply.status == 400


def test_check_in_that_can_not_be_journaled_is_put_off_and_changes_nothing(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    doors.journal_error = Unavailable("the disk is full")

    assert_put_off(doors.check_in(token_update(token=b"\x02" * 32), identity))
    assert_put_off(doors.check_in(authenticate(IPAD), site.identity()))

    assert site.rows(sa.select(schema.push_targets.c.token)) == [(b"\x01" * 32,)]
    assert not site.is_known(IPAD)
    assert doors.connect(identity).status == 200


def test_too_many_waiting_messages_are_put_off(doors: Doors, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = site.enroll()
    monkeypatch.setattr(batcher, "MAXIMUM_WAITING_ITEMS", 0)

    assert_put_off(doors.connect(identity))
    assert_put_off(doors.check_in(token_update(), identity))


# Refusals on their way to evidence


def test_refusals_beyond_what_can_wait_are_counted_only(site: Site) -> None:
    async def record() -> None:
        recorder = RefusalRecorder(site.runner)
        for _ in range(MAXIMUM_PENDING + 500):
            recorder.record(RefusalCode.SIGNATURE_BAD, claimed_id=id_of(MAC), fingerprint=None, source=SOURCE)
        await recorder.drain()

    asyncio.run(record())

    assert site.rumours() == [(id_of(MAC), "signature_bad", MAXIMUM_PENDING)]


def test_refusals_are_dropped_while_the_database_is_down(sqlite_template: Path, tmp_path: Path) -> None:
    with down_sqlite(sqlite_template, tmp_path) as (site, connection):

        async def record() -> None:
            recorder = RefusalRecorder(site.runner)
            recorder.record(RefusalCode.SIGNATURE_BAD, claimed_id=id_of(MAC), fingerprint=None, source=SOURCE)
            await recorder.drain()

        with connection.begin():
            asyncio.run(record())

        assert site.rumours() == []
        asyncio.run(record())
        assert len(site.rumours()) == 1


def test_refusal_names_the_device_whose_identity_signed_it_whatever_it_claims(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    body = encode_checkin(authenticate(IPAD)).replace(b"Authenticate", b"Unheard-of")

    doors.put(body, identity)

    table = schema.evidence.c
    ((detail,),) = site.rows(sa.select(table.detail).where(table.signal == "S2"))
    assert detail == {"claimed_id": id_of(IPAD)}
    assert print_of(identity) == site.enrollment().pins.current
