"""What a restored database holds back goes out, or is closed, by a person's word alone."""

import pytest
import sqlalchemy as sa
from tests.support.site import IPAD, MAC, Site, id_of

from muster.domain.errors import Refusal, RefusalCode
from muster.operations.answer_connect import ConnectReply
from muster.operations.release_commands import Settled, Verdict, settle_held_commands
from muster.operations.views.commands import list_commands, list_held
from muster.protocol.identifiers import CommandUUID
from muster.storage import queue_holds, schema


def settle(site: Site, command_uuid: str | None, *, does_release: bool) -> Settled | Refusal:
    uuid = None if command_uuid is None else CommandUUID(command_uuid)
    return site.do(settle_held_commands, Verdict(uuid, does_release))[0]


def acts(site: Site) -> list[str]:
    return [row[0] for row in site.rows(sa.select(schema.audit.c.act).order_by(schema.audit.c.sequence))]


def test_released_command_is_handed_out_once(site: Site) -> None:
    identity = site.enroll()
    site.queue("erase", request_type="EraseDevice")
    site.engine.write(queue_holds.hold_once_only)

    settled = settle(site, "erase", does_release=True)

    assert settled == Settled(((id_of(MAC), CommandUUID("erase")),))
    replies = [site.connect(identity), site.connect(identity)]
    assert [isinstance(one, ConnectReply) and one.command_uuid for one in replies] == ["erase", None]
    assert acts(site)[-1] == "command.release"


def test_cancelled_command_is_closed_and_never_handed_out(site: Site) -> None:
    identity = site.enroll()
    site.queue("erase", request_type="EraseDevice")
    site.engine.write(queue_holds.hold_once_only)

    settle(site, None, does_release=False)

    reply = site.connect(identity)
    assert isinstance(reply, ConnectReply)
    assert reply.command_uuid is None
    assert site.rows(sa.select(schema.reports.c.status)) == [("cancelled",)]
    assert acts(site)[-1] == "command.cancel"


def test_all_settles_every_device_and_leaves_other_commands(site: Site) -> None:
    for who in (MAC, IPAD):
        site.enroll(who)
        site.queue(f"lock {who.udid}", who, request_type="DeviceLock")
        site.queue(f"query {who.udid}", who)
    site.engine.write(queue_holds.hold_once_only)

    settled = settle(site, None, does_release=False)

    assert isinstance(settled, Settled)
    assert len(settled.entries) == 2
    assert sorted(row[0] for row in site.rows(sa.select(schema.queue.c.command_uuid))) == sorted(
        f"query {who.udid}" for who in (MAC, IPAD)
    )


@pytest.mark.parametrize("command_uuid", [None, "query", "other"])
def test_what_is_not_held_is_not_settled(site: Site, command_uuid: str | None) -> None:
    site.enroll()
    site.queue("query")

    refusal = settle(site, command_uuid, does_release=True)

    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.NOT_FOUND


def test_not_now_does_not_release_what_is_held(site: Site) -> None:
    identity = site.enroll()
    site.queue("erase", request_type="EraseDevice")
    site.engine.write(queue_holds.hold_once_only)

    site.connect(identity, status="NotNow", command_uuid="erase")
    reply = site.connect(identity)

    assert isinstance(reply, ConnectReply)
    assert reply.command_uuid is None


def test_command_handed_out_before_the_backup_is_not_released_for_a_second_time(site: Site) -> None:
    identity = site.enroll()
    site.queue("erase", request_type="EraseDevice")
    site.connect(identity)

    held = site.engine.write(queue_holds.hold_once_only)

    assert held == 0


def test_held_commands_are_shown_as_such(site: Site) -> None:
    site.enroll()
    site.queue("erase", request_type="EraseDevice")
    site.engine.write(queue_holds.hold_once_only)

    (held,) = site.engine.read(list_held)
    listed = site.engine.read(lambda tx: list_commands(tx, id_of(MAC)))

    assert (held.command_uuid, held.because) == ("erase", "rolled_back")
    assert listed is not None
    assert [row.status for row in listed] == ["held"]
