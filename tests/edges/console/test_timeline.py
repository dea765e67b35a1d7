"""The large strip of a device's page."""

from datetime import datetime, timedelta

import pytest
from tests.support import fleet
from tests.support.runner import NOW, InlineRunner

from muster.edges.console.timeline import BAR_PITCH, BAR_ROWS, PUSHES_DRAWN, WIDTH, Timeline, draw_timeline
from muster.operations.views.commands import list_device_commands
from muster.operations.views.devices import show_device
from muster.operations.views.marks import Shape
from muster.operations.views.pushing import recent_pushes
from muster.protocol.identifiers import ChannelId


def _draw(runner: InlineRunner, now: datetime = NOW) -> Timeline:
    details = runner.engine.read(lambda tx: show_device(tx, ChannelId("A"), now))
    assert details is not None
    commands = runner.engine.read(lambda tx: list_device_commands(tx, ChannelId("A")))
    since, limit = now - timedelta(days=30), PUSHES_DRAWN + 1
    pushes = runner.engine.read(lambda tx: recent_pushes(tx, ChannelId("A"), since=since, limit=limit))
    return draw_timeline(details, commands, pushes, now)


def test_the_device_has_the_first_lane_and_each_user_one(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", contacts=[NOW])
    fleet.add_user(runner.engine, "A", "U1", "ana")

    lanes = _draw(runner).lanes

    assert [lane.name for lane in lanes] == ["Contacts", "ana"]
    assert lanes[0].ticks
    assert not lanes[1].ticks


def test_each_push_is_a_dot_hollow_until_the_channel_was_in_contact_after_it(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", contacts=[NOW - timedelta(hours=3)])
    for hours in (2, 4, 6):
        fleet.add_push(runner.engine, "A", "accepted", NOW - timedelta(hours=hours))

    timeline = _draw(runner)

    assert [dot.shape for dot in timeline.pushes] == [Shape.DISC, Shape.DISC, Shape.RING]
    assert timeline.pushes[0].x < timeline.pushes[2].x
    assert timeline.pushes[2].title == (
        "APNs accepted a push, for a command was queued: 22 Nov 2026, 12:31:07 UTC; not in contact since"
    )


def test_a_push_of_a_user_is_hollow_until_that_user_was_in_contact(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", contacts=[NOW])
    user = fleet.add_user(runner.engine, "A", "U1", "ana")
    fleet.add_push(runner.engine, user, "accepted", NOW - timedelta(hours=1))

    [dot] = _draw(runner).pushes

    assert dot.shape is Shape.RING
    assert "for a command was queued, of ana" in dot.title


def test_what_apns_refused_has_a_shape_of_its_own(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", contacts=[NOW])
    fleet.add_push(runner.engine, "A", "token_bad", NOW - timedelta(days=2), reason="BadDeviceToken")
    fleet.add_push(runner.engine, "A", "no_answer", NOW - timedelta(days=1))

    refused, failed = _draw(runner).pushes

    assert (refused.shape, failed.shape) == (Shape.CROSS, Shape.TRIANGLE)
    assert "(BadDeviceToken)" in refused.title


def test_pushes_are_bounded_and_it_is_said(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A")
    for minutes in range(PUSHES_DRAWN + 1):
        fleet.add_push(runner.engine, "A", "accepted", NOW - timedelta(minutes=minutes))

    timeline = _draw(runner)

    assert (len(timeline.pushes), timeline.pushes_left_out) == (PUSHES_DRAWN, True)
    assert timeline.pushes[-1].title.endswith("14:31:07 UTC; not in contact since")


def test_refusals_are_points_at_their_last_time(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A")
    fleet.add_evidence(
        runner.engine, "A", "S2", "identity_expired", first_at=NOW - timedelta(days=3), last_at=NOW, count=5
    )
    fleet.add_evidence(runner.engine, "A", "S2", "identity_expired", last_at=NOW - timedelta(days=40))

    [point] = _draw(runner).refusals

    assert point.since is not None
    assert "5 times since" in point.title


def test_commands_are_bars_from_queueing_to_answer(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A")
    day = timedelta(days=1)
    fleet.add_report(runner.engine, "A", "r1", "Acknowledged", queued_at=NOW - 3 * day, reported_at=NOW - 2 * day)

    [bar] = _draw(runner).bars

    assert bar.width == 36
    assert (bar.y, bar.tone) == (0, "good")
    assert "Acknowledged" in bar.title


def test_bars_that_overlap_are_stacked_and_bounded(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A")
    for number in range(9):
        fleet.add_report(runner.engine, "A", f"r{number}", "Error", queued_at=NOW - timedelta(days=50), reported_at=NOW)

    timeline = _draw(runner)

    assert {bar.y for bar in timeline.bars} == {row * BAR_PITCH for row in range(BAR_ROWS)}
    assert all(bar.x == 0 and bar.x + bar.width <= WIDTH for bar in timeline.bars)


def test_weekends_and_mondays_are_on_the_axis(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A")

    timeline = _draw(runner)

    # 22 November 2026 is a Sunday, and the strip begins on Saturday, 24 October
    assert [day.label for day in timeline.mondays] == ["26 Oct", "2 Nov", "9 Nov", "16 Nov"]
    assert [span.x for span in timeline.weekends] == [0, 252, 504, 756, 1008]
    assert all(span.x + span.width <= WIDTH for span in timeline.weekends)


@pytest.mark.parametrize(("days", "last"), [(1, "16 Nov"), (2.5, "16 Nov"), (4, "23 Nov")])
def test_last_monday_makes_room_for_now(runner: InlineRunner, days: float, last: str) -> None:
    fleet.add_device(runner.engine, "A")

    timeline = _draw(runner, NOW + timedelta(days=days))  # from a Sunday

    assert [day.label for day in timeline.mondays if day.label][-1] == last
