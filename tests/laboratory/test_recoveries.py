"""What the server alone can mend it mends once the cause has ended, and each device proves that it obeys again."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.laboratory.stories import enroll_one

from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import StepKind
from muster.domain.control.states import ControlState
from muster.laboratory.scenario.play import play_scenario
from muster.laboratory.scenario.played import Played
from muster.laboratory.scenario.reading import parse_scenario
from muster.laboratory.world import World, play
from muster.protocol.identifiers import ChannelId
from muster.simulator.facts import Platform
from muster.storage import recoveries, schema
from muster.storage.engine import Transaction
from muster.storage.recoveries import Outcome, Recovery
from muster.storage.sqlite import SqliteEngine

STUCK_AND_OUTAGE = """
[scenario]
days = 5

[[cohort]]
name = "phones"
count = 2
platform = "iPhone"

[[event]]
do = "ignore_commands"
on = "phones/1"
at = "0d"
for = "1d"

[[event]]
do = "outage"
on = "apns"
at = "2d"
for = "1d"
"""
MANY = """
[scenario]
days = 18

[[cohort]]
name = "macs"
count = 6
platform = "Mac"
ddm = true
own_connects = ["4h", "8h"]

[[event]]
do = "change_magic"
on = "macs/1"
at = "2d"

[[event]]
do = "hang_on"
on = "macs/2"
at = "2d"
command = "CertificateList"

[[event]]
do = "stop_ddm"
on = "macs/3"
at = "2d"
for = "4d"

[[event]]
do = "send"
on = "macs/3"
at = "2d 1h"
command = "DeclarativeManagement"

[[event]]
do = "user_dies"
on = "macs/4"
at = "2d"
for = "5d"

[[event]]
do = "reject"
on = "macs/5"
at = "2d"
for = "4d"
reason = "BadDeviceToken"

[[event]]
do = "power_off"
on = "macs/6"
at = "2d"
for = "10d"
"""


def played(text: str, directory: Path) -> tuple[Played, dict[ChannelId, list[Recovery]]]:
    """Play a scenario; returns it with the recoveries of each channel, the first one first."""
    found = play_scenario(parse_scenario(text), directory=directory)
    engine = SqliteEngine(directory / "muster.db")
    table = schema.recoveries

    def read(tx: Transaction) -> dict[ChannelId, list[Recovery]]:
        ids = tx.connection.scalars(sa.select(table.c.channel_id).distinct()).all()
        return {ChannelId(id_): list(recoveries.of_channel(tx, ChannelId(id_), limit=100))[::-1] for id_ in ids}

    kept = engine.read(read)
    engine.close()
    return found, kept


def by_reason(some: list[Recovery]) -> dict[Reason, Recovery]:
    """The last recovery for each reason."""
    return {one.run.reason: one for one in some}


def test_device_that_did_not_obey_and_an_outage_of_pushes_are_over_when_each_has_proved_itself(tmp_path: Path) -> None:
    found, kept = played(STUCK_AND_OUTAGE, tmp_path)

    disobeyed, other = (by_reason(kept[device.channel_id]) for device in found.devices)
    ends = {one.primitive: one.ended_at for one in found.episodes if one.ended_at is not None}
    assert disobeyed[Reason.NOT_YET_PROVED].outcome is Outcome.RECOVERED
    for reason, ended_at, some in (
        (Reason.NOT_YET_PROVED, ends["ignore_commands"], disobeyed),
        (Reason.APNS_OUTAGE, ends["outage"], disobeyed),
        (Reason.APNS_OUTAGE, ends["outage"], other),
    ):
        one = some[reason]
        assert one.outcome is Outcome.RECOVERED, reason
        assert one.proof_at is not None
        assert timedelta(0) < one.proof_at - ended_at < timedelta(days=1), reason


def test_identity_that_expired_is_renewed_in_the_restricted_lane_and_proved(tmp_path: Path) -> None:
    on_at = []

    async def scene(world: World) -> None:
        phone = await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))
        await world.sleep(timedelta(days=2))
        phone.device.power_off()
        await world.sleep(timedelta(days=6))
        on_at.append(world.now())
        phone.device.power_on()
        await world.sleep(timedelta(hours=12))

    settings = {"inventory_hours": 24, "identity_lifetime_days": 6, "renew_before_days": 1}
    play(scene, seed=13, settings=settings, directory=tmp_path)

    engine = SqliteEngine(tmp_path / "muster.db")
    rows = engine.read(lambda tx: [*recoveries.list_open(tx, limit=10)])
    (channel_id,) = engine.read(lambda tx: tx.connection.scalars(sa.select(schema.channels.c.id)).all())
    expired = by_reason(list(engine.read(lambda tx: recoveries.of_channel(tx, ChannelId(channel_id), limit=100)))[::-1])
    engine.close()
    assert rows == []
    assert expired[Reason.IDENTITY_EXPIRED].outcome is Outcome.RECOVERED
    proof_at = expired[Reason.IDENTITY_EXPIRED].proof_at
    assert proof_at is not None
    assert timedelta(0) < proof_at - on_at[0] < timedelta(hours=1)


@pytest.mark.lab
def test_what_the_server_can_mend_it_mends_and_sees_proved(tmp_path: Path) -> None:
    found, kept = played(MANY, tmp_path)

    of = {device.name: by_reason(kept.get(device.channel_id, [])) for device in found.devices}
    of_user = by_reason(kept[found.devices[3].users[1]])
    last = {step.channel_id: step.after.state for step in found.changes}
    assert {last[device.channel_id] for device in found.devices} == {ControlState.IN_CONTROL}
    for some, reason in (
        (of["macs/2"], Reason.COMMAND_BLOCKS_QUEUE),
        (of["macs/3"], Reason.DDM_DEAD),
        (of_user, Reason.USER_CHANNEL_DEAD),
        (of["macs/5"], Reason.PUSH_TOKEN_BAD),
        (of["macs/6"], Reason.SILENT),
    ):
        assert some[reason].outcome is Outcome.RECOVERED, reason
    of_the_way = [one for reason, one in of["macs/1"].items() if reason.value.startswith("push_")]
    assert StepKind.PROFILE_AGAIN in {done.step for one in of_the_way for done in one.log}
    assert {one.outcome for one in of_the_way} == {Outcome.RECOVERED}
