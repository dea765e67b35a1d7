"""What is paused and what waits for a word on a device's channels, on both engines."""

from collections.abc import Collection

import pytest
from tests.support import fleet
from tests.support.runner import NOW

from muster.domain.command_queue import FOR_A_PERSON, HoldReason
from muster.operations.views.devices import DeviceDetails, show_device
from muster.operations.views.holds import HELD_LIMIT, HELD_SHOWN, WHY_HELD, HeldRow, held_left_out
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import queue_holds
from muster.storage.engine import Engine
from muster.storage.queue_holds import Pause


def pause(engine: Engine, channel_id: ChannelId, reason: str = "on its way", spared: Collection[str] = ()) -> None:
    engine.write(lambda tx: queue_holds.pause(tx, Pause(channel_id, NOW, "ana", reason), spared))


def hold(engine: Engine, channel_id: ChannelId, command_uuid: str, because: HoldReason) -> None:
    fleet.add_command(engine, channel_id, command_uuid, "RestartDevice")
    engine.write(lambda tx: queue_holds.hold(tx, channel_id, CommandUUID(command_uuid), because))


def details(engine: Engine, device_id: str = "A") -> DeviceDetails:
    shown = engine.read(lambda tx: show_device(tx, ChannelId(device_id), NOW))
    assert shown is not None
    return shown


def test_pauses_of_a_device_and_its_users_are_told_and_nobody_elses(engine: Engine) -> None:
    device, other = fleet.add_device(engine, "A"), fleet.add_device(engine, "B")
    user = fleet.add_user(engine, "A", "U1", "ana")
    for channel_id in (device, user, other):
        pause(engine, channel_id)

    pauses = details(engine).pauses

    assert [(one.channel_id, one.paused_at, one.paused_by, one.reason) for one in pauses] == [
        (device, NOW, "ana", "on its way"),
        (user, NOW, "ana", "on its way"),
    ]
    assert pauses[1].words == (
        "The queue of A:U1 is paused since 2026-11-22 14:31 UTC, by ana: on its way. What waits is kept, and nobody "
        "is pushed for it. `muster commands resume A:U1` has it go on."
    )


def test_a_reason_is_never_taken_for_a_command(engine: Engine) -> None:
    pause(engine, fleet.add_device(engine, "A"), "`rm -rf /`")

    assert details(engine).pauses[0].words.count("`") == 2


@pytest.mark.parametrize("because", HoldReason)
def test_what_waits_for_a_person_is_told_with_what_can_be_done(engine: Engine, because: HoldReason) -> None:
    device = fleet.add_device(engine, "A")
    hold(engine, device, "c1", because)
    hold(engine, fleet.add_device(engine, "B"), "c2", because)

    held = details(engine).held

    assert [(one.command_uuid, one.because) for one in held] == (
        [("c1", because.value)] if because in FOR_A_PERSON else []
    )
    for one in held:
        assert "`muster commands release c1`" in one.words
        assert "`muster commands cancel c1 A`" in one.words


def test_parked_command_of_a_user_says_why(engine: Engine) -> None:
    fleet.add_device(engine, "A")
    hold(engine, fleet.add_user(engine, "A", "U1", "ana"), "c1", HoldReason.PARKED)

    assert (
        details(engine)
        .held[0]
        .words.startswith("RestartDevice for A:U1 is parked: it was handed out again and again, and never answered.")
    )


def test_a_device_that_gets_its_commands_has_none_of_it(engine: Engine) -> None:
    fleet.add_command(engine, fleet.add_device(engine, "A"), "c1")

    shown = details(engine)

    assert (shown.pauses, shown.held) == ((), ())


def test_an_ended_pause_is_not_told(engine: Engine) -> None:
    device = fleet.add_device(engine, "A")
    pause(engine, device)
    engine.write(lambda tx: queue_holds.resume(tx, device))

    assert details(engine).pauses == ()


def test_every_reason_that_needs_a_person_has_words() -> None:
    assert WHY_HELD.keys() == {reason.value for reason in FOR_A_PERSON}


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (HELD_SHOWN, None),
        (HELD_SHOWN + 1, "1 more waits"),
        (HELD_SHOWN + 2, "2 more wait"),
        (HELD_LIMIT, f"at least {HELD_LIMIT - HELD_SHOWN} more wait"),
    ],
)
def test_what_is_not_told_one_by_one_is_counted(count: int, said: str | None) -> None:
    row = HeldRow(ChannelId("A"), CommandUUID("c"), "RestartDevice", NOW, None, "parked", "")

    told = held_left_out((row,) * count)

    assert told == (None if said is None else f"{said} for your word: see `muster commands held`.")
