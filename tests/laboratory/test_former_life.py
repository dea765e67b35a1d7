"""The past of a demonstration: it is on the data that the real server opens, and its devices obey that server."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from muster.bootstrap.data_directory import utc_now
from muster.cli.admins import OWNER
from muster.domain.control.states import ControlState
from muster.laboratory.demonstration import ADMINISTRATOR, Figures, demonstration, live_before
from muster.laboratory.former_life import Unwanted, live_through
from muster.laboratory.scenario.model import Scenario
from muster.laboratory.scenario.reading import parse_scenario
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.views.answers import latest_answers
from muster.operations.views.device_lists import DeviceQuery, list_devices
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.storage import verdicts
from muster.storage.engine import Transaction

PATIENCE_SECONDS = 60
"""Beyond anything but a hang, on a machine that does much else."""

PAST = """
[scenario]
days = 12

[[site]]
name = "office"
address = "203.0.113.10"

[[schedule]]
name = "by-day"
nights = "19:00-07:00"

[[cohort]]
name = "phones"
platform = "iPhone"
count = 2

[[cohort]]
name = "macs"
platform = "Mac"
schedule = "by-day"
own_connects = ["2h", "4h"]

[[event]]
do = "power_off"
on = "phones/2"
at = "1d"
"""


def past() -> Scenario:
    return parse_scenario(PAST)


def _states(tx: Transaction) -> dict[ChannelId, ControlState]:
    devices = [row.id for row in list_devices(tx, DeviceQuery()).rows]
    return {channel_id: held.verdict.state for channel_id, held in verdicts.read(tx, devices).items()}


def _have_answered(tx: Transaction, channel_ids: Sequence[ChannelId], since: datetime) -> bool:
    answers = latest_answers(tx, channel_ids)
    return all(channel_id in answers and answers[channel_id].at >= since for channel_id in channel_ids)


def test_devices_of_the_past_are_judged_by_it_and_obey_the_real_server(tmp_path: Path) -> None:
    weeks: list[int] = []
    former = live_through(tmp_path, past(), until=utc_now(), is_wanted=lambda: True, on_week=weeks.append)

    async def ask() -> tuple[list[str], Figures]:
        opening = demonstration(
            tmp_path, devices=1, listen_on="127.0.0.1:0", administrator=OWNER, tell=print, former=former
        )
        async with asyncio.timeout(PATIENCE_SECONDS), opening as shown:
            states = await shown.runner.read(_states)
            obeying = [channel_id for channel_id, state in states.items() if state is ControlState.IN_CONTROL]
            playing = asyncio.create_task(shown.play())
            began_at = utc_now()
            order = CommandOrder(tuple(obeying), CommandRequest("DeviceInformation", {"Queries": ["UDID"]}))
            queued = (await shown.runner.write(queue_commands, [order], ADMINISTRATOR))[0]
            assert isinstance(queued, QueuedCommand)
            while not await shown.runner.read(lambda tx: _have_answered(tx, obeying, began_at)):
                pass
            figures = await shown.figures()
            playing.cancel()
            await asyncio.wait([playing])
        return sorted(state.value for state in states.values()), figures

    states, figures = asyncio.run(ask())

    assert states == ["in_control", "in_control", "inactive"]
    assert figures.former == 3
    assert weeks == [1]


def test_past_that_nobody_wants_any_more_ends(tmp_path: Path) -> None:
    with pytest.raises(Unwanted):
        live_through(tmp_path, past(), until=utc_now(), is_wanted=lambda: False)


def test_data_that_has_a_past_gets_no_other(tmp_path: Path) -> None:
    (tmp_path / "muster.db").write_bytes(b"")

    assert live_before(tmp_path, lambda: True) is None
