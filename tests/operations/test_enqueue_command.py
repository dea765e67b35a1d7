"""A newer question closes an older one that no device has seen."""

import sqlalchemy as sa
from tests.operations.test_hand_out import handed, order, statuses
from tests.support.site import IPAD, MAC, Site, id_of

from muster.domain.command_queue import INVENTORY_PRIORITY, QueuePurpose
from muster.operations.queue_own import queue_own
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID
from muster.storage import schema

ASKED = CommandRequest("ProfileList")


def ask_ourselves(site: Site, request: CommandRequest = ASKED) -> CommandUUID:
    """Ask as the server does by itself."""
    context = site.runner.context()
    target = [(id_of(MAC), site.enrollment().epoch)]
    purpose = QueuePurpose.INVENTORY
    return site.engine.write(
        lambda tx: queue_own(tx, request, target, context, purpose=purpose, priority=INVENTORY_PRIORITY, wakes=False)
    )


def test_newer_question_takes_the_place_of_an_older_one_and_says_so(site: Site) -> None:
    site.enroll()
    order(site, "old", ASKED)
    order(site, "new", ASKED)

    assert statuses(site) == {"old": "superseded", "new": "waiting"}
    assert site.rows(sa.select(schema.reports.c.because)) == [("new",)]


def test_question_that_a_device_has_seen_stays(site: Site) -> None:
    identity = site.enroll()
    order(site, "old", ASKED)
    handed(site, identity)

    order(site, "new", ASKED)

    assert statuses(site) == {"old": "waiting", "new": "waiting"}


def test_question_that_others_wait_for_stays(site: Site) -> None:
    site.enroll()
    order(site, "old", ASKED)
    order(site, "follower", CommandRequest("SecurityInfo"), after=CommandUUID("old"))

    order(site, "new", ASKED)

    assert statuses(site) == {"old": "waiting", "follower": "after", "new": "waiting"}


def test_question_with_a_higher_priority_stays(site: Site) -> None:
    site.enroll()
    order(site, "old", ASKED, priority=5)

    order(site, "new", ASKED)

    assert statuses(site) == {"old": "waiting", "new": "waiting"}


def test_question_that_would_last_longer_stays(site: Site) -> None:
    site.enroll()
    order(site, "old", ASKED)

    order(site, "new", ASKED, expires_at=site.now.replace(year=site.now.year + 1))

    assert statuses(site) == {"old": "waiting", "new": "waiting"}


def test_question_on_another_channel_stays(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    site.queue("old", IPAD, request_type="ProfileList")

    order(site, "new", ASKED)

    assert statuses(site, IPAD) == {"old": "waiting"}


def test_a_persons_question_covers_ours_and_not_the_other_way_round(site: Site) -> None:
    site.enroll()
    ours = [ask_ourselves(site), ask_ourselves(site)]
    order(site, "hers", ASKED)
    ours.append(ask_ourselves(site))

    assert statuses(site) == {
        ours[0]: "superseded",
        ours[1]: "superseded",
        "hers": "waiting",
        ours[2]: "waiting",
    }


def test_commands_that_change_something_are_all_kept(site: Site) -> None:
    site.enroll()
    for name in ("one", "two"):
        order(site, name, CommandRequest("RemoveProfile", {"Identifier": "org.example.wifi"}))

    assert site.queued() == ["one", "two"]
    assert site.enrollment().channel.id == id_of(MAC)
