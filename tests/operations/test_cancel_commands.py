"""Commands are taken back: one, or all that waits; renewals never."""

import sqlalchemy as sa
from tests.operations.test_hand_out import handed, order, statuses
from tests.operations.test_release_commands import acts
from tests.support.site import IPAD, MAC, Site, id_of

from muster.domain.command_queue import QueuePurpose
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.cancel_commands import Cancelled, CancelOrder, CancelOutcome, cancel_commands
from muster.operations.let_go import DepartureOrder, unenroll_devices
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.storage import commands, queues, schema

PROFILE = CommandRequest("RemoveProfile", {"Identifier": "org.example.wifi"})
ONE = CommandUUID("one")


def cancel(site: Site, uuid: str | None, *channel_ids: ChannelId) -> CancelOutcome:
    return site.do(cancel_commands, CancelOrder(None if uuid is None else CommandUUID(uuid), channel_ids))[0]


def refused(outcome: CancelOutcome) -> RefusalCode:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def test_cancelled_command_is_never_handed_out_and_what_follows_ends_with_it(site: Site) -> None:
    identity = site.enroll()
    order(site, "one", PROFILE)
    order(site, "two", CommandRequest("SecurityInfo"), after=ONE)
    order(site, "three", CommandRequest("ProfileList"))

    outcome = cancel(site, "one")

    assert isinstance(outcome, Cancelled)
    assert [one.was_handed_out for one in outcome.commands] == [False]
    assert handed(site, identity) == "three"
    assert statuses(site) == {"one": "cancelled", "two": "dependency_failed", "three": "waiting"}
    assert acts(site)[-1] == "command.cancel"


def test_cancelling_says_that_the_device_has_it_and_keeps_what_it_answers(site: Site) -> None:
    identity = site.enroll()
    order(site, "one", PROFILE)
    handed(site, identity)

    outcome = cancel(site, "one")
    handed(site, identity, "Acknowledged", "one")

    assert isinstance(outcome, Cancelled)
    assert outcome.commands[0].was_handed_out
    assert sorted(site.reports()) == [("one", "Acknowledged"), ("one", "cancelled")]


def test_command_is_cancelled_on_the_named_channels_only(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    site.do(queue_commands, CommandOrder((id_of(MAC), id_of(IPAD)), PROFILE, command_uuid=ONE, anyway=True))

    cancel(site, "one", id_of(IPAD))

    assert (site.queued(), site.queued(IPAD)) == (["one"], [])


def test_clearing_takes_back_all_but_the_renewal(site: Site) -> None:
    site.enroll()
    order(site, "one", PROFILE)
    order(site, "two", CommandRequest("SecurityInfo"), after=ONE, follows_any=True)
    new = commands.NewCommand(CommandUUID("renewal"), "InstallProfile", b"<plist/>", "muster")
    target = [(id_of(MAC), 1)]
    site.engine.write(lambda tx: commands.add(tx, new, site.now))
    site.engine.write(
        lambda tx: queues.enqueue(
            tx, CommandUUID("renewal"), target, priority=9, at=site.now, purpose=QueuePurpose.RENEWAL
        )
    )

    outcome = cancel(site, None, id_of(MAC))

    assert isinstance(outcome, Cancelled)
    assert {one.command_uuid for one in outcome.commands} == {"one", "two"}
    assert [refusal.code for _, refusal in outcome.refused] == [RefusalCode.CANCEL_IMPOSSIBLE]
    assert site.queued() == ["renewal"]
    assert refused(cancel(site, "renewal")) is RefusalCode.CANCEL_IMPOSSIBLE


def test_unenrollment_is_taken_back_until_the_device_has_it(site: Site) -> None:
    identity = site.enroll()
    device = DepartureOrder((DeviceId(id_of(MAC)),))
    site.do(unenroll_devices, device)

    taken_back = cancel(site, site.queued()[0])
    site.do(unenroll_devices, device)
    handed(site, identity)

    assert isinstance(taken_back, Cancelled)
    assert refused(cancel(site, site.queued()[0])) is RefusalCode.CANCEL_IMPOSSIBLE
    table = schema.departures
    assert sorted(row[0] is not None for row in site.rows(sa.select(table.c.withdrawn_at))) == [False, True]


def test_what_does_not_wait_can_not_be_cancelled(site: Site) -> None:
    site.enroll()

    assert refused(cancel(site, "unknown")) is RefusalCode.NOT_FOUND
    assert refused(cancel(site, None, id_of(MAC))) is RefusalCode.NOT_FOUND
    assert refused(cancel(site, None)) is RefusalCode.ORDER_UNFIT
