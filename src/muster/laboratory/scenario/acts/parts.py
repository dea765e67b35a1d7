"""What acts are made of. An act begins what befalls somebody, and returns how it is undone.

None: it took a moment, or went on by itself (`Deed.goes_on`). Whoever sits before a device waits until it is up.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from muster.laboratory.scenario.actor import Actor
from muster.laboratory.scenario.stage import Deed, Stage, Undo
from muster.simulator.facts import Platform

Act = Callable[[Stage, Deed], Awaitable[Undo | None]]

LOOK: Final = timedelta(minutes=5)
"""How often somebody looks whether what they wait for has come."""


def undo_by(*releases: Callable[[], None]) -> Undo:
    """What undoes an act by all of *releases*."""

    async def undo() -> None:
        for release in releases:
            release()

    return undo


def keep_off(actor: Actor, why: str) -> Undo:
    """Switch a device off, and undone on again, unless it is off for another reason, too."""
    actor.off_for[why] += 1
    actor.refresh()

    async def undo() -> None:
        actor.off_for[why] -= 1
        actor.off_for += type(actor.off_for)()  # drops what is zero
        actor.boot_if_free()
        await users_return(actor)

    return undo


async def users_return(actor: Actor) -> None:
    """Who was logged in to a Mac logs in again after a boot or a restore: a channel that he has not opens then."""
    enrollment = actor.device.enrollment
    if enrollment is None or actor.device.facts.platform is not Platform.MAC or not actor.is_up:
        return
    for user in [user for user, is_logged_in in actor.device.users.items() if is_logged_in]:
        if user not in enrollment.user_lines:
            await actor.device.log_in(user)


async def somebody_comes(stage: Stage, deed: Deed) -> None:
    """Wait until the device is up: what follows is done by somebody who sits before it."""
    await stage.when_up(deed.one)
    deed.began_at = stage.world.now()
