"""What the pages say first."""

import re
from datetime import timedelta

import pytest
from tests.support import fleet
from tests.support.runner import NOW, InlineRunner

from muster.domain.control.states import ControlState
from muster.domain.letting_go import Departure, DepartureKind
from muster.edges.console.sentences import device_sentence, fleet_sentence
from muster.edges.console.times import Clock
from muster.operations.views.device_lists import DeviceCounts
from muster.operations.views.devices import show_device
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import departures

CLOCK = Clock(NOW)


def _plain(markup: str) -> str:
    return re.sub(r"<[^>]*>", "", markup).replace("&#39;", "'")


def _sentence(runner: InlineRunner) -> str:
    details = runner.engine.read(lambda tx: show_device(tx, ChannelId("A"), NOW))
    assert details is not None
    return _plain(device_sentence(details, CLOCK))


def test_a_device_that_is_well_is_said_in_one_sentence(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", first_seen_at=NOW - timedelta(days=19), contacts=[NOW - timedelta(minutes=4)])

    assert _sentence(runner) == "Enrolled since 3 Nov; in contact 4 minutes ago; nothing waits."


def test_silence_waiting_commands_and_a_refused_token_are_said(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", contacts=[NOW - timedelta(days=9)], identity_not_after=NOW - timedelta(days=3))
    fleet.add_command(runner.engine, "A", "c1")
    fleet.add_push_target(runner.engine, "A", "token_unregistered", refused_at=NOW - timedelta(days=2))

    said = _sentence(runner)

    assert "silent, its last contact was 9 days ago; 1 command waits." in said
    assert "APNs refused its push token 2 days ago" in said
    assert said.endswith("Its identity expired 3 days ago.")


def test_an_identity_near_its_end_is_said(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", contacts=[NOW], identity_not_after=NOW + timedelta(days=12))

    assert _sentence(runner).endswith("Its identity expires in 12 days.")


def test_an_end_says_why(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", state="ended", ended_at=NOW - timedelta(days=1))

    assert _sentence(runner).startswith("Ended 21 Nov: the device checked out")


def test_an_enrollment_that_waits_says_for_what(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", state="enrolling", first_seen_at=NOW - timedelta(minutes=9))

    assert _sentence(runner).startswith(
        "Enrolling since 22 Nov 14:22: its TokenUpdate has not come yet; never in contact"
    )


@pytest.mark.parametrize(
    ("enrolled", "lost", "said"),
    [
        (0, 0, "No device is enrolled."),
        (1, 0, "1 device is enrolled."),
        (1200, 1, "1,200 devices are enrolled; 1 device is not in control."),
        (1200, 12, "1,200 devices are enrolled; 12 devices are not in control."),
    ],
)
def test_the_fleet_is_said_in_one_sentence(enrolled: int, lost: int, said: str) -> None:
    held = {ControlState.IN_CONTROL: enrolled, ControlState.OUT_OF_CONTROL: lost, ControlState.ENDED: 4}

    assert _plain(fleet_sentence(DeviceCounts({"enrolled": enrolled}, held), others_url="/x")) == said


def test_a_departure_that_was_ordered_is_said(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A", contacts=[NOW])
    ordered = Departure("1", DeviceId("A"), DepartureKind.UNENROLL, 1, NOW - timedelta(hours=1), "ana <b>")
    runner.engine.write(lambda tx: departures.add(tx, ordered))

    said = _sentence(runner)

    assert "Its unenrollment was ordered by ana &lt;b&gt; on 2026-11-22 13:31 UTC" in said
