"""What can't be handed out is set aside, and blocks no other command."""

from datetime import timedelta

import sqlalchemy as sa
from tests.support.site import ADA, IPAD, MAC, Site, id_of

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.command_queue import MAXIMUM_SET_ASIDE, MAXIMUM_UNANSWERED, QueuePurpose
from muster.domain.errors import Refusal
from muster.operations.answer_connect import ConnectReply
from muster.operations.pause_queues import PauseOrder, pause_queues
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.read_query import read_query
from muster.operations.release_commands import Settled, Verdict, settle_held_commands
from muster.operations.views.commands import list_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID, Identifiers
from muster.storage import commands, queries, queues, schema
from muster.storage.engine import Transaction


def handed(
    site: Site,
    identity: SignerIdentity,
    status: str = "Idle",
    command_uuid: str | None = None,
    identifiers: Identifiers = MAC,
) -> str | None:
    reply = site.connect(identity, identifiers, status, command_uuid)
    assert isinstance(reply, ConnectReply), reply
    return reply.command_uuid


def order(site: Site, uuid: str, request: CommandRequest, **parts: object) -> QueuedCommand:
    made = CommandOrder((id_of(MAC),), request, command_uuid=CommandUUID(uuid), anyway=True, **parts)  # type: ignore[arg-type]
    queued = site.do(queue_commands, made)[0]
    assert isinstance(queued, QueuedCommand), queued
    site.wait(microseconds=1)  # so that the next one comes after it
    return queued


def statuses(site: Site, identifiers: Identifiers = MAC) -> dict[str, str]:
    """Where each command of a channel stands."""
    rows = site.engine.read(lambda tx: list_commands(tx, id_of(identifiers)))
    assert rows is not None
    return {str(row.command_uuid): row.status for row in reversed(rows)}


def test_command_that_is_never_answered_is_parked_and_the_rest_goes_on_in_the_same_connect(site: Site) -> None:
    identity = site.enroll()
    order(site, "stuck", CommandRequest("SecurityInfo"))
    order(site, "next", CommandRequest("ProfileList"))

    seen = [handed(site, identity) for _ in range(MAXIMUM_UNANSWERED + 1)]

    assert seen == ["stuck"] * MAXIMUM_UNANSWERED + ["next"]
    assert statuses(site) == {"stuck": "parked", "next": "waiting"}
    assert ("S5", "command_blocks_queue", 1) in site.evidence()


def test_not_now_is_an_answer_and_parks_nothing(site: Site) -> None:
    identity = site.enroll()
    site.queue("busy")

    for _ in range(3 * MAXIMUM_UNANSWERED):
        assert handed(site, identity) == "busy"
        assert handed(site, identity, "NotNow", "busy") is None

    assert statuses(site) == {"busy": "NotNow"}


def test_parked_command_is_released_by_a_person_and_its_late_answer_closes_it(site: Site) -> None:
    identity = site.enroll()
    site.queue("stuck")
    for _ in range(MAXIMUM_UNANSWERED + 1):
        handed(site, identity)

    released = site.do(settle_held_commands, Verdict(CommandUUID("stuck"), does_release=True))[0]

    assert isinstance(released, Settled)
    assert handed(site, identity) == "stuck"
    assert handed(site, identity, "Acknowledged", "stuck") is None
    assert site.reports() == [("stuck", "Acknowledged")]


def test_parked_command_is_closed_by_its_answer_without_anybodys_word(site: Site) -> None:
    identity = site.enroll()
    site.queue("stuck")
    for _ in range(MAXIMUM_UNANSWERED + 1):
        handed(site, identity)

    handed(site, identity, "Acknowledged", "stuck")

    assert statuses(site) == {"stuck": "Acknowledged"}


def test_parked_command_that_is_answered_not_now_waits_again_as_any_other(site: Site) -> None:
    identity = site.enroll()
    site.queue("stuck")
    for _ in range(MAXIMUM_UNANSWERED + 1):
        handed(site, identity)

    assert handed(site, identity, "NotNow", "stuck") is None
    assert statuses(site) == {"stuck": "NotNow"}
    assert handed(site, identity) == "stuck"


def test_parked_installation_is_verified_by_a_question_of_ours_asked_once(site: Site) -> None:
    identity = site.enroll()
    for uuid in ("profile 1", "profile 2"):
        site.queue(uuid, request_type="RemoveProfile")
        for _ in range(MAXIMUM_UNANSWERED):
            assert handed(site, identity) == uuid
        handed(site, identity)

    rows = site.engine.read(lambda tx: list_commands(tx, id_of(MAC)))

    assert rows is not None
    types = sorted((row.request_type or "", row.status) for row in rows)
    assert types == [("ProfileList", "waiting"), ("RemoveProfile", "parked"), ("RemoveProfile", "parked")]


def test_renewal_is_never_parked(site: Site) -> None:
    identity = site.enroll()
    target = [(id_of(MAC), site.enrollment().epoch)]
    new = commands.NewCommand(CommandUUID("renewal"), "InstallProfile", b"<plist/>", "muster")
    site.engine.write(lambda tx: commands.add(tx, new, site.now))
    site.engine.write(
        lambda tx: queues.enqueue(
            tx, CommandUUID("renewal"), target, priority=1, at=site.now, purpose=QueuePurpose.RENEWAL
        )
    )

    assert {handed(site, identity) for _ in range(3 * MAXIMUM_UNANSWERED)} == {"renewal"}


def test_command_that_cant_be_opened_blocks_nothing(site: Site) -> None:
    identity = site.enroll()
    order(site, "sealed", CommandRequest("ProfileList"), is_secret=True)
    order(site, "next", CommandRequest("SecurityInfo"))
    table = schema.commands
    spoilt = sa.update(table).where(table.c.command_uuid == "sealed").values(body=b"spoilt")
    site.engine.write(lambda tx: tx.connection.execute(spoilt))

    assert handed(site, identity) == "next"
    assert statuses(site) == {"sealed": "unreadable", "next": "waiting"}
    assert ("own", "command_not_opened", 1) in site.evidence()


def test_expired_command_is_never_handed_out_though_no_review_came_by(site: Site) -> None:
    identity = site.enroll()
    order(site, "old", CommandRequest("ProfileList"), expires_at=site.now + timedelta(hours=1))
    order(site, "next", CommandRequest("SecurityInfo"))

    site.wait(hours=1)

    assert handed(site, identity) == "next"
    assert site.reports() == [("old", "expired")]


def test_one_connect_sets_aside_so_many_and_the_next_one_goes_on(site: Site) -> None:
    identity = site.enroll()
    for number in range(MAXIMUM_SET_ASIDE + 1):
        expires_at = site.now + timedelta(hours=1)
        order(site, f"old {number:02}", CommandRequest("RestartDevice"), expires_at=expires_at, named_count=1)
    order(site, "next", CommandRequest("SecurityInfo"))
    site.wait(hours=1)

    assert handed(site, identity) is None
    assert handed(site, identity) == "next"


def test_nothing_is_handed_out_after_an_acknowledged_erase(site: Site) -> None:
    identity = site.enroll()
    site.enroll(ADA, identity)
    order(site, "erase", CommandRequest("EraseDevice"))
    order(site, "rest", CommandRequest("ProfileList"))
    site.queue("hers", ADA, request_type="ProfileList")
    assert handed(site, identity) == "erase"

    assert handed(site, identity, "Acknowledged", "erase") is None

    assert handed(site, identity, "Acknowledged", "erase") is None  # said again
    assert handed(site, identity) is None
    assert handed(site, identity, identifiers=ADA) is None
    assert statuses(site) == {"erase": "Acknowledged", "rest": "erased"}


def test_device_that_can_not_erase_itself_gets_the_rest(site: Site) -> None:
    identity = site.enroll()
    order(site, "erase", CommandRequest("EraseDevice"))
    order(site, "rest", CommandRequest("ProfileList"))
    assert handed(site, identity) == "erase"

    assert handed(site, identity, "Error", "erase") == "rest"


def test_device_that_restarts_gets_the_rest_when_it_is_back(site: Site) -> None:
    identity = site.enroll()
    order(site, "restart", CommandRequest("RestartDevice"))
    order(site, "rest", CommandRequest("ProfileList"))
    assert handed(site, identity) == "restart"

    assert handed(site, identity, "Acknowledged", "restart") is None

    assert handed(site, identity) == "rest"


def test_other_channels_of_a_batch_are_not_touched(site: Site) -> None:
    mac, ipad = site.enroll(), site.enroll(IPAD)
    site.queue("stuck")
    site.queue("other", IPAD)
    for _ in range(MAXIMUM_UNANSWERED + 1):
        handed(site, mac)

    assert handed(site, ipad, identifiers=IPAD) == "other"
    assert statuses(site, IPAD) == {"other": "waiting"}


def test_query_finds_who_has_a_parked_command_or_a_paused_queue(site: Site) -> None:
    identity = site.enroll()
    site.enroll(IPAD)
    site.queue("stuck")
    for _ in range(MAXIMUM_UNANSWERED + 1):
        handed(site, identity)
    site.do(pause_queues, PauseOrder(id_of(IPAD), "on its way"))

    def found(text: str) -> tuple[str, ...]:
        def read(tx: Transaction) -> tuple[str, ...]:
            query = read_query(tx, text)
            assert not isinstance(query, Refusal), query
            return queries.find(tx, query, site.now, after=None, limit=9)

        return site.engine.read(read)

    assert found("has_parked_command = true") == found("is_paused = false") == (id_of(MAC),)
    assert found("is_paused = true") == found("has_parked_command = false") == (id_of(IPAD),)
