"""A database restored two days old: no device is lost, none is erased again, what is dangerous waits for a person."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from tests.laboratory.stories import enroll_one

from muster.laboratory.report import Report
from muster.laboratory.server import ADMINISTRATOR
from muster.laboratory.world import World, play
from muster.operations.ask_for_renewals import ask_for_renewals
from muster.operations.release_commands import Settled, Verdict, settle_held_commands
from muster.operations.views.commands import list_held
from muster.simulator.facts import Platform
from muster.storage.journal_marks import last_rollback

A_WHILE = timedelta(hours=1)
MAC, STAYS, ERASED, RENEWED, NEW, LOCKED = range(6)


async def _restored(world: World) -> None:
    """Six devices; the backup is made when an EraseDevice and a DeviceLock wait for two that are off."""
    url = await world.server.make_link(10)
    platforms = (Platform.MAC, Platform.IPHONE, Platform.IPHONE, Platform.IPAD)
    mac, stays, erased, renewed = [await enroll_one(world, platform, url) for platform in platforms]
    locked = await enroll_one(world, Platform.IPHONE, url)
    await world.sleep(A_WHILE)
    for absent, command in ((erased, "EraseDevice"), (locked, "DeviceLock")):
        absent.device.power_off()
        await world.server.send_command([absent.channel_id], command)
    await world.sleep(A_WHILE)
    backup = await _back_up(world)

    erased.device.power_on()
    await world.sleep(A_WHILE)
    assert erased.device.enrollment is None, "it should have been erased"
    await erased.device.open_link(url)
    await stays.device.rotate_token()
    await mac.device.set_bootstrap_token(b"since the backup")
    await world.server.service.runner.write(ask_for_renewals, [renewed.channel_id], ADMINISTRATOR)
    new = await enroll_one(world, Platform.IPHONE, url)
    await world.sleep(timedelta(days=2))

    await _restore(world, backup)
    held = await world.server.service.runner.read(list_held)
    assert [(one.channel_id, one.request_type) for one in held] == [(locked.channel_id, "DeviceLock")]
    locked.device.power_on()
    await world.sleep(A_WHILE)
    everybody = [mac, stays, erased, renewed, locked, new]
    await world.server.send_command([one for who in everybody for one in who.channel_ids], "SecurityInfo")
    await world.sleep(timedelta(days=1))
    assert await mac.device.get_bootstrap_token() == b"since the backup"
    assert await world.server.service.runner.read(last_rollback) is not None
    assert [one.device.enrollment is not None for one in everybody] == [True] * 6
    verdict = Verdict(None, does_release=True)
    (settled,) = await world.server.service.runner.write(settle_held_commands, [verdict], ADMINISTRATOR)
    assert isinstance(settled, Settled)
    await world.sleep(A_WHILE)


async def _back_up(world: World) -> Path:
    database = world.server.service.settings.database_path
    await world.server.stop()
    backup = database.with_suffix(".backup")
    shutil.copyfile(database, backup)
    await world.server.start()
    return backup


async def _restore(world: World, backup: Path) -> None:
    database = world.server.service.settings.database_path
    await world.server.stop()
    for part in database.parent.glob(f"{database.name}*"):
        part.unlink()
    shutil.copyfile(backup, database)
    await world.server.start()


@pytest.fixture(scope="module")
def report() -> Report:
    return play(_restored, seed=5)


def test_every_device_speaks_and_obeys(report: Report) -> None:
    answered = [
        [command.status for command in channel.commands if command.request_type == "SecurityInfo"]
        for device in report.devices
        for channel in device.channels
    ]

    assert answered == [["Acknowledged"]] * len(answered)
    assert all(device.is_enrolled for device in report.devices)


def test_erased_device_was_erased_once(report: Report) -> None:
    (erase,) = [
        one for device in report.devices for one in device.channel.commands if one.request_type == "EraseDevice"
    ]

    assert (erase.status, erase.wire_handed_out) == ("closed", 1)


def test_released_command_is_handed_out_once(report: Report) -> None:
    (lock,) = [one for device in report.devices for one in device.channel.commands if one.request_type == "DeviceLock"]

    assert (lock.status, lock.wire_handed_out) == ("Acknowledged", 1)


def test_nobody_was_refused_and_the_restore_was_noticed(report: Report) -> None:
    assert (report.rumours, report.complaints) == ({}, {"database_rolled_back": 1})
