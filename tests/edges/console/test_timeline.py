"""The large strip of a device's page."""

from datetime import timedelta

from tests.support import fleet
from tests.support.runner import NOW, InlineRunner

from muster.edges.console.timeline import BAR_PITCH, BAR_ROWS, WIDTH, Timeline, draw_timeline
from muster.operations.views.commands import list_device_commands
from muster.operations.views.devices import show_device
from muster.protocol.identifiers import ChannelId


def _draw(runner: InlineRunner) -> Timeline:
    details = runner.engine.read(lambda tx: show_device(tx, ChannelId("A"), NOW))
    assert details is not None
    return draw_timeline(details, runner.engine.read(lambda tx: list_device_commands(tx, ChannelId("A"))), NOW)


def test_the_device_has_the_first_lane_and_each_user_one(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", contacts=[NOW])
    fleet.add_user(runner.engine, "A", "U1", "ana")

    lanes = _draw(runner).lanes

    assert [lane.name for lane in lanes] == ["Contacts", "ana"]
    assert lanes[0].ticks
    assert not lanes[1].ticks


def test_pushes_and_refusals_are_points_at_their_last_time(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A")
    for hours in range(0, 10, 2):
        fleet.add_push(runner.engine, "A", "accepted", NOW - timedelta(hours=hours))
    fleet.add_push(runner.engine, "A", "token_bad", NOW - timedelta(days=2))
    fleet.add_evidence(runner.engine, "A", "S2", "identity_expired", last_at=NOW - timedelta(days=40))

    timeline = _draw(runner)

    assert [(point.is_good, point.since is None) for point in timeline.pushes] == [(True, False), (False, True)]
    assert "5 times since" in timeline.pushes[0].title
    assert timeline.refusals == ()


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
