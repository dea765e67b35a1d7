"""A paused queue hands out nothing but what keeps the enrollment alive."""

import sqlalchemy as sa
from tests.operations.test_hand_out import handed, order, statuses
from tests.operations.test_release_commands import acts
from tests.support.site import ADA, MAC, Site, id_of

from muster.domain.command_queue import QueuePurpose
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.pause_queues import (
    MAXIMUM_REASON_CHARACTERS,
    PauseOrder,
    PauseOutcome,
    Resumed,
    pause_queues,
    resume_queues,
)
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import commands, push, queues, schema
from muster.storage.queue_holds import Pause

PROFILE = CommandRequest("RemoveProfile", {"Identifier": "org.example.wifi"})


def pause(site: Site, channel_id: ChannelId, reason: str = "moving") -> PauseOutcome:
    return site.do(pause_queues, PauseOrder(channel_id, reason))[0]


def test_paused_queue_keeps_what_waits_and_what_comes_and_pushes_nobody(site: Site) -> None:
    identity = site.enroll()
    order(site, "one", PROFILE)

    paused = pause(site, id_of(MAC))
    order(site, "two", CommandRequest("SecurityInfo"))

    assert isinstance(paused, Pause)
    assert (paused.channel_id, paused.paused_by, paused.reason) == (id_of(MAC), "ana", "moving")
    assert handed(site, identity) is None
    assert statuses(site) == {"one": "paused", "two": "paused"}
    assert site.wish() is None


def test_resumed_queue_goes_on_in_its_order_with_a_push(site: Site) -> None:
    identity = site.enroll()
    site.engine.write(lambda tx: push.drop_wishes(tx, [id_of(MAC)]))
    pause(site, id_of(MAC))
    order(site, "one", PROFILE)
    order(site, "first", CommandRequest("SecurityInfo"), priority=1)

    resumed = site.do(resume_queues, id_of(MAC))[0]

    assert isinstance(resumed, Resumed)
    assert site.wish() is not None
    assert handed(site, identity) == "first"
    assert handed(site, identity, "Acknowledged", "first") == "one"
    assert acts(site)[-1] == "queue.resume"


def test_renewal_passes_a_pause(site: Site) -> None:
    identity = site.enroll()
    pause(site, id_of(MAC))
    new = commands.NewCommand(CommandUUID("renewal"), "InstallProfile", b"<plist/>", "muster")
    target = [(id_of(MAC), 1)]
    site.engine.write(lambda tx: commands.add(tx, new, site.now))
    site.engine.write(
        lambda tx: queues.enqueue(
            tx, CommandUUID("renewal"), target, priority=9, at=site.now, purpose=QueuePurpose.RENEWAL
        )
    )

    assert handed(site, identity) == "renewal"


def test_each_channel_is_paused_for_itself(site: Site) -> None:
    identity = site.enroll()
    site.enroll(ADA, identity)
    pause(site, id_of(MAC))
    site.queue("hers", ADA, request_type="ProfileList")

    assert handed(site, identity, identifiers=ADA) == "hers"


def test_follower_that_is_freed_in_a_paused_queue_waits_on(site: Site) -> None:
    identity = site.enroll()
    order(site, "one", PROFILE)
    order(site, "two", CommandRequest("SecurityInfo"), after=CommandUUID("one"))
    handed(site, identity)
    pause(site, id_of(MAC))

    assert handed(site, identity, "Acknowledged", "one") is None
    assert statuses(site)["two"] == "paused"


def test_command_that_is_handed_out_once_is_not_handed_out_again_after_a_pause(site: Site) -> None:
    identity = site.enroll()
    order(site, "restart", CommandRequest("RestartDevice"))
    handed(site, identity)

    pause(site, id_of(MAC))
    site.do(resume_queues, id_of(MAC))

    assert handed(site, identity) is None


def test_pause_is_refused_twice_for_nobody_and_with_a_novel(site: Site) -> None:
    site.enroll()
    pause(site, id_of(MAC))

    outcomes = [
        pause(site, id_of(MAC)),
        pause(site, ChannelId("unknown")),
        pause(site, id_of(ADA), "x" * (MAXIMUM_REASON_CHARACTERS + 1)),
        site.do(resume_queues, ChannelId("unknown"))[0],
    ]

    codes = [one.code for one in outcomes if isinstance(one, Refusal)]
    assert codes == [RefusalCode.CONFLICT, RefusalCode.NOT_FOUND, RefusalCode.ORDER_UNFIT, RefusalCode.NOT_FOUND]
    assert site.rows(sa.select(sa.func.count()).select_from(schema.queue_pauses)) == [(1,)]
