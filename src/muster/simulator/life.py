"""A device's days: it waits for pushes, and now and then speaks up of its own accord."""

import asyncio
from collections.abc import Callable

from muster.protocol.connect import Status
from muster.simulator.behaviour import Habits
from muster.simulator.declarative import report_status
from muster.simulator.dialogue import connect
from muster.simulator.enrollment import Line
from muster.simulator.machine import Machine
from muster.simulator.session import SessionEnd


async def live(device: Machine, habits: Habits) -> None:
    """Live until cancelled, by *habits*.

    Waits for `device.wanted`: a push, a boot. Comes back by itself after a session that ended with NotNow,
    and with results or TokenUpdates it still owes; reports its status where declarative management was begun. A restart
    takes its time. What a device that is
    off could not do waits for the next occasion. One device lives once at a time.
    """
    loop = asyncio.get_running_loop()

    def draw(span: tuple[float, float]) -> float:
        return device.rng.uniform(*span)

    next_status = loop.time()
    next_own = loop.time() + draw(habits.own_connects) if habits.own_connects else None
    come_back: dict[str, float] = {}  # channel id to the time at which it returns by itself
    while True:
        moments = (next_own, next_status if device.ddm_begun else None, *come_back.values())
        due = min((time for time in moments if time is not None), default=None)
        await _wait(device, due)
        now = loop.time()
        if device.restart_due and device.is_powered:
            device.power_off()
            await asyncio.sleep(draw(habits.boot))
            device.power_on()
        ripe = {channel_id for channel_id, time in come_back.items() if now >= time}
        for channel_id in ripe:
            del come_back[channel_id]
        enrollment = device.enrollment
        if next_own is not None and habits.own_connects and now >= next_own:
            next_own = now + draw(habits.own_connects)
            if enrollment is not None:
                device.want_connect(enrollment.device_line)
        if device.ddm_begun and (device.status_due or now >= next_status):
            next_status = now + draw(habits.status_reports)
            device.status_due = not await report_status(device)  # what failed is tried at the next occasion
        for line in enrollment.lines if enrollment is not None else ():
            if (line.wants_connect or line.channel.id in ripe) and device.is_powered:
                await _connect(device, line, habits, come_back, draw)


async def _wait(device: Machine, due: float | None) -> None:
    """Until something is wanted, at the latest until *due* on the loop's clock; None: for ever."""
    try:
        async with asyncio.timeout_at(due):
            await device.wanted.wait()
    except TimeoutError:
        return
    device.wanted.clear()


async def _connect(
    device: Machine,
    line: Line,
    habits: Habits,
    come_back: dict[str, float],
    draw: Callable[[tuple[float, float]], float],
) -> None:
    come_back.pop(line.channel.id, None)
    await asyncio.sleep(draw(habits.push_delay))
    session = await connect(device, line.user)
    loop = asyncio.get_running_loop()
    if session.end is SessionEnd.EMPTY and line.last_status is Status.NOT_NOW:
        come_back[line.channel.id] = loop.time() + draw(habits.after_not_now)
    elif line.unsent_report is not None or line.owes_token_update:
        come_back[line.channel.id] = loop.time() + draw(habits.after_failure)
    elif line.is_awaiting_configuration:
        come_back[line.channel.id] = loop.time() + draw(habits.in_setup)
