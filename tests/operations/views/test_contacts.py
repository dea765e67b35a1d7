"""Contacts of channels, on both engines."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support import fleet
from tests.support.runner import NOW

from muster.domain.control.contact import ContactDay
from muster.operations.views.contacts import contact_days_of, contacts_since
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Engine, Transaction


def test_days_of_many_channels_come_in_order_in_one_statement(engine: Engine) -> None:
    ids = [fleet.add_device(engine, name, contacts=[NOW - timedelta(days=n) for n in (9, 4, 0)]) for name in "AB"]
    statements: list[str] = []

    def work(tx: Transaction) -> dict[ChannelId, tuple[ContactDay, ...]]:
        sa.event.listen(tx.connection, "before_execute", lambda *arguments: statements.append(str(arguments[1])))
        return contact_days_of(tx, ids, NOW - timedelta(days=5))

    days = engine.read(work)

    assert len(statements) == 1
    today = int(NOW.timestamp()) // 86400
    assert {each: [day.day - today for day in days[each]] for each in ids} == {"A": [-4, 0], "B": [-4, 0]}


def test_a_channel_without_contacts_is_absent(engine: Engine) -> None:
    quiet = fleet.add_device(engine, "A")

    assert engine.read(lambda tx: contact_days_of(tx, [quiet], NOW)) == {}


@pytest.mark.parametrize(("hours", "expected"), [(1, 1), (30, 2)])
def test_contacts_since_are_cut_within_the_day(engine: Engine, hours: int, expected: int) -> None:
    fleet.add_device(engine, "A", contacts=[NOW - timedelta(hours=29), NOW - timedelta(minutes=5)])

    found = engine.read(lambda tx: contacts_since(tx, ChannelId("A"), NOW - timedelta(hours=hours)))

    assert len(found) == expected
