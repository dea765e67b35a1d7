"""A command goes to everyone whom a query finds, part by part, each once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.support.fleet import add_device, add_user
from tests.support.site import ADMINISTRATOR, Site

from muster.domain.bulk_sends import WOKEN_PER_SECOND
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.queries.fields import FIELDS
from muster.operations import send_by_query
from muster.operations.manage_groups import GroupOrder, create_groups, delete_groups
from muster.operations.send_by_query import FailedSend, SendOrder, continue_sends, order_sends, stop_sends
from muster.operations.views.sends import check_send, preview_part
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID
from muster.storage import schema, sends
from muster.storage.engine import Work
from muster.storage.sends import Send

SECURITY = CommandRequest("SecurityInfo")
LOCK = CommandRequest("DeviceLock")
EVERYBODY = "state is known"
FACTS = schema.device_facts


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_by_query, "CHANNELS_IN_PART", 2)


@pytest.fixture
def fleet(site: Site) -> Site:
    """Five Macs M0 to M4 of which M3 is not enrolled any more, two iPads, and a user of M1."""
    for number in range(5):
        state = "ended" if number == 3 else "enrolled"
        add_device(site.engine, f"M{number}", state=state, serial_number=f"S{number}")
    add_user(site.engine, "M1", "ADA", "ada")
    for number in range(2):
        add_device(site.engine, f"P{number}")
    for beginning, family, product in (("M", "macOS", "Mac14,2"), ("P", "iOS", "iPad14,3")):
        is_such = sa.and_(FACTS.c.channel_id.startswith(beginning), ~FACTS.c.channel_id.contains(":"))
        change(site, sa.update(FACTS).where(is_such).values(family=family, product_name=product))
    return site


def change(site: Site, statement: sa.Update) -> None:
    site.engine.write(lambda tx: tx.connection.execute(statement))


def tell_serial(site: Site, channel_id: str, serial_number: str) -> None:
    change(site, sa.update(FACTS).where(FACTS.c.channel_id == channel_id).values(serial_number=serial_number))


def order(site: Site, query: str, request: CommandRequest = SECURITY, **options: object) -> Send | Refusal:
    return site.do(order_sends, replace(SendOrder(query, request), **options))[0]  # type: ignore[arg-type]


def ordered(site: Site, query: str, request: CommandRequest = SECURITY, **options: object) -> Send:
    outcome = order(site, query, request, **options)
    assert isinstance(outcome, Send), outcome
    return outcome


def finish(site: Site, send_id: str | None = None) -> Send:
    while True:
        (send,) = site.do(continue_sends, send_id)
        assert send is not None
        if send.finished_at is not None:
            return send


def waiting(site: Site) -> list[tuple[str, str]]:
    queue = schema.queue
    return sorted(site.rows(sa.select(queue.c.channel_id, queue.c.command_uuid)))


def test_command_reaches_exactly_those_whom_the_query_finds(fleet: Site) -> None:
    send = ordered(fleet, "platform = 'macOS'")

    done = finish(fleet)

    assert waiting(fleet) == [(name, send.command_uuid) for name in ("M0", "M1", "M2", "M4")]
    assert (done.queued, done.reached, done.matched, done.refused) == (4, 4, 4, {})
    assert len(fleet.rows(sa.select(schema.commands))) == 1


def test_users_channels_get_it_in_place_of_their_devices(fleet: Site) -> None:
    send = ordered(fleet, "platform = 'macOS'", CommandRequest("ProfileList"), to_users=True)

    finish(fleet)

    assert waiting(fleet) == [("M1:ADA", send.command_uuid)]


def test_each_part_is_a_transaction_and_anybody_goes_on(fleet: Site) -> None:
    send = ordered(fleet, "platform = 'macOS'")

    (first,) = fleet.do(continue_sends, send.id)
    after_first = [name for name, _ in waiting(fleet)]
    (second,) = fleet.do(continue_sends, None)
    (last,) = fleet.do(continue_sends, None)
    nothing = fleet.do(continue_sends, None, send.id, "unknown")

    assert first is not None
    assert (first.queued, first.cursor, first.finished_at) == (2, "M1", None)
    assert after_first == ["M0", "M1"]
    assert second is not None
    assert second.queued == 4
    assert last is not None
    assert last.finished_at == fleet.now
    assert nothing == [None, None, None]


def test_who_comes_to_match_is_reached_and_who_matches_no_more_is_not(fleet: Site) -> None:
    ordered(fleet, "serial in ('S0', 'S1', 'S4', 'S9')")
    fleet.do(continue_sends, None)
    tell_serial(fleet, "M4", "S8")
    tell_serial(fleet, "P1", "S9")

    finish(fleet)

    assert [name for name, _ in waiting(fleet)] == ["M0", "M1", "P1"]


def test_named_count_is_never_passed(fleet: Site) -> None:
    send = ordered(fleet, "serial in ('S0', 'S1', 'S4')", LOCK, named_count=3)
    tell_serial(fleet, "M2", "S0")

    done = finish(fleet)

    assert [name for name, _ in waiting(fleet)] == ["M0", "M1", "M2"]
    assert (send.matched, done.reached) == (3, 3)


@pytest.mark.parametrize(
    ("query", "request_", "options", "code"),
    [
        ("platform = 'macOS'", LOCK, {}, RefusalCode.COUNT_WRONG),
        ("platform = 'macOS'", LOCK, {"named_count": 5}, RefusalCode.COUNT_WRONG),
        ("platform = 'macOS'", SECURITY, {"named_count": 5}, RefusalCode.COUNT_WRONG),
        ("platform = 'macOS'", CommandRequest("RemoveProfile", {"Identifier": "org.example.enrollment"}), {},
         RefusalCode.COUNT_WRONG),
        ("state = 'ended'", SECURITY, {}, RefusalCode.NOT_FOUND),
        ("name = ", SECURITY, {}, RefusalCode.QUERY_UNFIT),
        ("group = 'nobody'", SECURITY, {}, RefusalCode.QUERY_UNFIT),
        (EVERYBODY, CommandRequest("DeviceInformation", {"Queries": "UDID"}), {}, RefusalCode.COMMAND_MALFORMED),
    ],
)  # fmt: skip
def test_order_that_can_not_be_is_refused_before_anything_is_queued(
    fleet: Site, query: str, request_: CommandRequest, options: dict[str, object], code: RefusalCode
) -> None:
    outcome = order(fleet, query, request_, **options)

    assert isinstance(outcome, Refusal)
    assert outcome.code is code
    assert fleet.rows(sa.select(schema.commands.c.command_uuid)) == []


def test_uuid_that_was_used_is_refused(fleet: Site) -> None:
    first = ordered(fleet, EVERYBODY, command_uuid=CommandUUID("mine"))

    again = order(fleet, EVERYBODY, command_uuid=CommandUUID("mine"))

    assert first.command_uuid == "mine"
    assert isinstance(again, Refusal)
    assert again.code is RefusalCode.CONFLICT


def test_devices_that_would_refuse_are_left_out_and_counted(fleet: Site) -> None:
    ios_only = CommandRequest("ClearRestrictionsPassword")

    done = (ordered(fleet, EVERYBODY, ios_only), finish(fleet))[1]
    anyway = (ordered(fleet, EVERYBODY, ios_only, anyway=True), finish(fleet))[1]

    assert (done.queued, done.reached) == (2, 6)
    assert list(done.refused) == ["command_unfit"]
    assert done.refused["command_unfit"].count == 4
    assert "is not for macOS" in done.refused["command_unfit"].example
    assert (anyway.queued, anyway.refused) == (6, {})


def test_fleet_is_woken_at_a_pace(fleet: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster.domain.bulk_sends.WOKEN_PER_SECOND", 1)
    ordered(fleet, "platform = 'macOS'")

    finish(fleet)

    wishes = schema.push_wishes
    due = [at for (at,) in fleet.rows(sa.select(wishes.c.due_at).order_by(wishes.c.channel_id))]
    coalescing = fleet.runner.policy.push_coalescing
    assert [(at - fleet.now - coalescing).total_seconds() for at in due] == [0, 0, 2, 2]
    assert WOKEN_PER_SECOND > 1


def test_one_act_is_in_the_audit_log_however_many_get_it(fleet: Site) -> None:
    ordered(fleet, EVERYBODY)

    finish(fleet)

    acts = fleet.rows(sa.select(schema.audit.c.act, schema.audit.c.actor_name))
    assert acts == [("command.send", ADMINISTRATOR.name)]


def test_command_with_a_secret_is_sealed(fleet: Site) -> None:
    secret = CommandRequest("DeviceLock", {"PIN": "123456"})

    ordered(fleet, "serial = 'S0'", secret, named_count=1)
    finish(fleet)

    body, is_sealed = fleet.rows(sa.select(schema.commands.c.body, schema.commands.c.is_sealed))[0]
    assert is_sealed
    assert b"123456" not in body
    assert [name for name, _ in waiting(fleet)] == ["M0"]


def test_order_whose_query_means_nothing_any_more_is_ended_and_says_so(fleet: Site) -> None:
    fleet.do(create_groups, GroupOrder("lab", "platform = 'macOS'"))
    send = ordered(fleet, "group = 'lab'")
    in_use = fleet.do(delete_groups, "lab")[0]
    fleet.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.device_groups)))

    done = finish(fleet, send.id)

    assert isinstance(in_use, Refusal)
    assert done.stopped_because is not None
    assert "there is no group 'lab'" in done.stopped_because


def test_order_that_fails_by_our_fault_gives_way_to_the_others(fleet: Site) -> None:
    first, second = ordered(fleet, "serial = 'S0'"), ordered(fleet, "serial = 'S1'")

    (stopped,) = fleet.do(stop_sends, FailedSend(None, "ValueError: x"))
    finish(fleet)

    assert stopped is not None
    assert (stopped.id, stopped.stopped_because) == (first.id, "a fault of the server's: ValueError: x")
    assert [name for name, _ in waiting(fleet)] == ["M1"]
    assert [one.id for one in fleet.engine.read(sends.latest)] == [second.id, first.id]
    assert not fleet.engine.read(sends.is_any_unfinished)


def test_order_makes_work_due(fleet: Site) -> None:
    context = fleet.runner.context(ADMINISTRATOR)

    due = fleet.engine.write(lambda tx: (order_sends(tx, [SendOrder(EVERYBODY, SECURITY)], context), tx.due)[1])

    assert due == {Work.SENDS: fleet.now}


def test_preview_tells_who_would_get_it_and_writes_nothing(fleet: Site) -> None:
    asked = SendOrder(EVERYBODY, CommandRequest("ClearRestrictionsPassword"))

    matched = fleet.engine.read(lambda tx: check_send(tx, asked, fleet.now))
    first = fleet.engine.read(lambda tx: preview_part(tx, asked, None, fleet.now))

    assert matched == 6
    assert not isinstance(first, Refusal)
    assert (first.next_after, waiting(fleet)) == ("M1", []) or first.next_after is None
    assert set(first.refused) >= {"M0", "M1"}


def test_everyone_reachable_is_one_of_the_states() -> None:
    assert set(send_by_query._REACHABLE.values) < set(FIELDS["state"].words)
    assert EnrollmentState.ENDED.value not in send_by_query._REACHABLE.values


def test_terms_of_an_order_hold_for_each_channel(fleet: Site) -> None:
    until = fleet.now + timedelta(days=1)
    send = ordered(fleet, "platform = 'macOS'", expires_at=until, retries=3)

    finish(fleet)

    table = schema.queue
    rows = fleet.rows(
        sa.select(table.c.expires_at, table.c.retries_left).where(table.c.command_uuid == send.command_uuid).distinct()
    )
    assert rows == [(until, 3)]


def test_who_never_had_the_former_command_is_left_out(fleet: Site) -> None:
    former = ordered(fleet, "id = 'M0'")
    finish(fleet)

    send = ordered(fleet, "platform = 'macOS'", CommandRequest("ProfileList"), after=former.command_uuid)
    done = finish(fleet)

    assert {channel for channel, uuid in waiting(fleet) if uuid == send.command_uuid} == {"M0"}
    assert (done.queued, list(done.refused)) == (1, ["not_found"])


@pytest.mark.parametrize(
    "terms", [{"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, {"retries": 1000}, {"follows_any": True}]
)
def test_terms_that_can_not_be_are_refused_before_anything_is_queued(fleet: Site, terms: dict[str, object]) -> None:
    refused = order(fleet, EVERYBODY, SECURITY, **terms)

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ORDER_UNFIT
    assert waiting(fleet) == []
