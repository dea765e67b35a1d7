"""What one channel is pushed for, how often, and what ends it."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa
from tests.support.push_files import have_push_certificate
from tests.support.pushed_fleet import claim, due_times, record, refused
from tests.support.site import ADA, MAC, Site, id_of, token_update

from muster.domain.push_outcomes import THROTTLE
from muster.domain.push_policy import AFTER_NOT_NOW, AFTER_TOKEN_UPDATE, BUDGET_BURST, REVIVED_AFTER
from muster.operations.ask_for_push import ask_for_push
from muster.operations.push_devices import ClaimedPush
from muster.operations.review_channels import review_channels
from muster.protocol.apns import OutcomeClass
from muster.storage import schema

ACCEPTED, GONE = OutcomeClass.ACCEPTED, OutcomeClass.TOKEN_UNREGISTERED
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def site(site: Site) -> Site:
    """A site that has the push certificate of its devices' topic."""
    have_push_certificate(site)
    return site


def push_all(site: Site, outcome_class: OutcomeClass = ACCEPTED) -> list[ClaimedPush]:
    """Push what is due now, and have APNs answer so."""
    claimed = claim(site)
    record(site, claimed, outcome_class)
    return claimed


def play(site: Site, lasting: timedelta) -> list[datetime]:
    """Let time pass, APNs accept every push, and nobody answer; returns when MAC was pushed."""
    ends_at, pushed_at = site.now + lasting, []
    while (due_at := due_times(site).get(id_of(MAC))) is not None and due_at <= ends_at:
        site.wait(seconds=max(0.0, (due_at - site.now).total_seconds()))
        pushed_at += [site.now for _ in push_all(site)]
    site.wait(seconds=(ends_at - site.now).total_seconds())
    return pushed_at


def test_ten_commands_are_one_push(site: Site) -> None:
    identity = site.enroll()
    push_all(site)
    site.wait(minutes=5)
    site.connect(identity)
    for number in range(10):
        site.wait(seconds=0.05)
        site.queue(f"command {number}")

    pushed = play(site, timedelta(minutes=30))

    assert len(pushed) == 1


def test_command_queued_right_after_an_enrollment_leaves_the_early_pushes_of_its_token(site: Site) -> None:
    site.enroll()
    enrolled_at = site.now
    push_all(site)
    site.wait(seconds=0.5)
    site.queue("one")

    pushed = play(site, timedelta(minutes=30))

    assert pushed == [*(enrolled_at + pause for pause in AFTER_TOKEN_UPDATE)]


def test_command_for_a_device_that_did_not_hear_the_first_pushes_is_pushed_at_once(site: Site) -> None:
    site.enroll()
    play(site, timedelta(minutes=10))
    site.queue("one")

    pushed = play(site, MINUTE)

    assert len(pushed) == 1


def test_device_channel_and_users_channel_are_pushed_by_their_own_token_and_magic(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA, token=b"\x0a" * 32, push_magic="ada's magic"), identity)
    push_all(site)
    site.wait(minutes=5)
    site.connect(identity)
    site.connect(identity, ADA)
    site.queue("for ada", ADA)
    site.wait(seconds=1)
    (hers,) = push_all(site)
    site.queue("for the mac")
    site.wait(seconds=1)
    (its,) = push_all(site)

    assert (hers.channel_id, hers.push.token, hers.push.push_magic) == (id_of(ADA), b"\x0a" * 32, "ada's magic")
    assert (its.channel_id, its.push.token, its.push.push_magic) == (id_of(MAC), b"\x01" * 32, "magic")


def test_token_update_while_a_push_is_under_way_is_pushed_itself(site: Site) -> None:
    identity = site.enroll()
    former = claim(site)
    site.wait(seconds=1)
    site.check_in(token_update(token=b"\x02" * 32, push_magic="new"), identity)

    record(site, former, GONE, 410)

    assert refused(site) == []
    (again,) = claim(site)
    assert (again.push.token, again.push.push_magic) == (b"\x02" * 32, "new")


def test_of_two_pushes_under_way_each_outcome_is_logged_and_the_later_one_settles_the_wish(site: Site) -> None:
    identity = site.enroll()
    first = claim(site)
    site.wait(seconds=1)
    site.connect(identity)
    site.queue("one")
    site.wait(seconds=1)
    second = claim(site)

    record(site, second, ACCEPTED)
    settled = site.wish()
    record(site, first, OutcomeClass.APNS_UNAVAILABLE, 503)

    assert site.wish() == settled
    assert len(site.rows(sa.select(schema.pushes.c.apns_id))) == 2


def test_410_from_before_the_token_update_is_ignored_and_tried_again(site: Site) -> None:
    site.enroll()

    record(site, claim(site), GONE, 410, unregistered_at=site.now - MINUTE)

    assert refused(site) == []
    assert len(play(site, timedelta(minutes=25))) >= 1


def test_contact_revives_a_refused_token_and_later_each_time(site: Site) -> None:
    identity = site.enroll()
    for number, revived_after in enumerate(REVIVED_AFTER):
        record(site, claim(site), GONE, 410)
        refused_at = site.now
        site.queue(f"before it is heard {number}")
        site.wait(seconds=1)
        assert claim(site) == []
        assert due_times(site) == {}

        site.connect(identity)
        site.queue(f"after it was heard {number}")
        site.wait(seconds=1)
        assert claim(site) == []
        assert due_times(site) == {id_of(MAC): refused_at + revived_after}
        site.wait(seconds=(refused_at + revived_after - site.now).total_seconds())


def test_token_is_pushed_no_more_often_than_its_budget_whoever_asks(site: Site) -> None:
    site.enroll()
    pushed = 0
    for _ in range(BUDGET_BURST + 10):
        site.do(ask_for_push, id_of(MAC))
        pushed += len(push_all(site))

    assert pushed == BUDGET_BURST
    site.wait(minutes=1)
    assert len(push_all(site)) == 1
    assert push_all(site) == []


def test_throttled_token_waits_although_commands_are_queued_and_loses_none(site: Site) -> None:
    site.enroll()
    record(site, claim(site), OutcomeClass.THROTTLED, 429, reason="TooManyRequests")
    throttled_at = site.now
    site.wait(seconds=5)
    site.queue("one")

    (pushed_at, *_) = play(site, timedelta(hours=1))

    assert THROTTLE[0] <= pushed_at - throttled_at <= THROTTLE[0] * 1.5


def test_device_that_declines_is_pushed_again_ever_later_but_every_day(site: Site) -> None:
    identity = site.enroll()
    site.hold_proved()
    site.wait(minutes=5)
    site.connect(identity)
    site.do(review_channels, None)
    push_all(site)
    site.queue("later")
    pushed: list[datetime] = []
    for _ in range(14):
        due_at = due_times(site)[id_of(MAC)]
        site.wait(seconds=max(0.0, (due_at - site.now).total_seconds()))
        if push_all(site):
            pushed.append(site.now)
            site.wait(seconds=2)
            site.connect(identity)
            site.connect(identity, status="NotNow", command_uuid="later")

    pauses = [later - earlier for earlier, later in pairwise(pushed)]
    a_little = timedelta(seconds=2)
    assert pauses == [*(pause + a_little for pause in AFTER_NOT_NOW), DAY + a_little, DAY + a_little]


def test_device_that_comes_back_and_declines_is_not_left_to_the_weekly_push(site: Site) -> None:
    identity = site.enroll()
    site.hold_proved()
    site.wait(minutes=5)
    site.connect(identity)
    site.queue("later")
    play(site, timedelta(days=20))
    (weekly,) = due_times(site).values()
    assert weekly - site.now > DAY
    site.connect(identity)
    site.connect(identity, status="NotNow", command_uuid="later")

    site.wait(days=1, minutes=-5)
    site.do(review_channels, None)
    pushed = play(site, timedelta(hours=2))

    assert len(pushed) == 1
