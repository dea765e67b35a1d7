"""Commands expire and are tried again by the clock, also where nobody connects."""

from datetime import timedelta

import pytest
from tests.operations.test_hand_out import handed, order, statuses
from tests.support.renewing import review
from tests.support.site import MAC, Site, id_of

from muster.domain.command_queue import MAXIMUM_RETRIES, RETRY_PAUSES
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.pause_queues import PauseOrder, pause_queues
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID
from muster.storage import queue_holds

PROFILE = CommandRequest("RemoveProfile", {"Identifier": "org.example.wifi"})
ONE = CommandUUID("one")


def test_command_expires_where_nobody_connects_and_what_follows_it_goes_out_or_ends(site: Site) -> None:
    site.enroll()
    site.hold_proved()
    order(site, "one", PROFILE, expires_at=site.now + timedelta(hours=1))
    order(site, "two", CommandRequest("SecurityInfo"), after=ONE)
    order(site, "three", CommandRequest("ProfileList"), after=ONE, follows_any=True)

    site.wait(minutes=59)
    review(site)
    before = statuses(site)
    site.wait(minutes=1)
    review(site)

    assert before == {"one": "waiting", "two": "after", "three": "after"}
    assert statuses(site) == {"one": "expired", "two": "dependency_failed", "three": "waiting"}
    assert site.wish() is not None


def test_order_that_is_expired_already_is_refused(site: Site) -> None:
    site.enroll()

    refusal = site.do(queue_commands, CommandOrder((id_of(MAC),), PROFILE, expires_at=site.now))[0]

    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.ORDER_UNFIT


def test_error_is_tried_again_after_growing_pauses_and_each_answer_is_kept(site: Site) -> None:
    identity = site.enroll()
    site.hold_proved()
    order(site, "one", PROFILE, retries=2)

    for pause in RETRY_PAUSES[:2]:
        assert handed(site, identity) == "one"
        assert handed(site, identity, "Error", "one") is None
        assert statuses(site)["one"] == "retry"
        site.wait(seconds=pause.total_seconds() - 1)
        review(site)
        assert handed(site, identity) is None
        site.wait(seconds=1)
        review(site)
        assert site.wish() is not None
    assert handed(site, identity) == "one"
    assert handed(site, identity, "Error", "one") is None

    assert site.reports() == [("one", "Error")] * 3
    assert site.queued() == []


def test_same_error_said_again_is_no_second_attempt(site: Site) -> None:
    identity = site.enroll()
    order(site, "one", PROFILE, retries=2)
    handed(site, identity)

    for _ in range(5):
        assert handed(site, identity, "Error", "one") is None

    assert site.reports() == [("one", "Error")]
    assert site.evidence().count(("S5", "Error", 1)) == 1


def test_followers_wait_for_the_last_attempt(site: Site) -> None:
    identity = site.enroll()
    site.hold_proved()
    order(site, "one", PROFILE, retries=1)
    order(site, "two", CommandRequest("SecurityInfo"), after=ONE)
    handed(site, identity)
    handed(site, identity, "Error", "one")
    site.wait(hours=1)
    review(site)

    assert handed(site, identity) == "one"
    assert handed(site, identity, "Acknowledged", "one") == "two"


def test_command_of_the_wrong_form_is_not_tried_again(site: Site) -> None:
    identity = site.enroll()
    order(site, "one", PROFILE, retries=2)
    handed(site, identity)

    handed(site, identity, "CommandFormatError", "one")

    assert site.queued() == []


def test_command_that_is_handed_out_once_is_handed_out_again_for_each_attempt(site: Site) -> None:
    identity = site.enroll()
    site.hold_proved()
    order(site, "one", CommandRequest("RestartDevice"), retries=1)
    assert [handed(site, identity), handed(site, identity)] == ["one", None]
    handed(site, identity, "Error", "one")
    site.wait(hours=1)
    review(site)

    assert [handed(site, identity), handed(site, identity)] == ["one", None]


@pytest.mark.parametrize("retries", [-1, MAXIMUM_RETRIES + 1])
def test_retries_are_bounded(site: Site, retries: int) -> None:
    site.enroll()

    refusal = site.do(queue_commands, CommandOrder((id_of(MAC),), PROFILE, retries=retries))[0]

    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.ORDER_UNFIT


def test_what_is_tried_again_in_a_paused_queue_waits_for_the_end_of_the_pause(site: Site) -> None:
    identity = site.enroll()
    site.hold_proved()
    order(site, "one", PROFILE, retries=1)
    handed(site, identity)
    handed(site, identity, "Error", "one")
    site.do(pause_queues, PauseOrder(id_of(MAC), "moving"))
    site.wait(hours=1)
    review(site)

    assert statuses(site) == {"one": "paused"}
    assert handed(site, identity) is None


def test_review_of_a_queue_with_nothing_due_leaves_it_alone(site: Site) -> None:
    site.enroll()
    order(site, "one", PROFILE)

    review(site)

    assert site.engine.read(lambda tx: queue_holds.next_due(tx, [id_of(MAC)])) == {}
    assert statuses(site) == {"one": "waiting"}
