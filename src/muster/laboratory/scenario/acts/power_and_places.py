"""Devices that are switched off, restarted, locked, updated or carried elsewhere."""

from datetime import timedelta
from typing import Final

from muster.laboratory.scenario.acts.parts import LOOK, Act, keep_off, somebody_comes, undo_by, users_return
from muster.laboratory.scenario.stage import Deed, Stage, Undo

RESTART: Final = timedelta(minutes=2)


async def _power_off(_stage: Stage, deed: Deed) -> Undo:
    return keep_off(deed.one, "power_off")


async def _restart(stage: Stage, deed: Deed) -> None:
    """Somebody switches it off and on; one that was shut down only on. At a Mac that was locked they enter its PIN."""
    actor = deed.one
    while actor.is_resting or actor.off_for:
        await stage.world.sleep(LOOK)
        deed.began_at = stage.world.now()
    pin = actor.device.contents.lock_pin
    if pin is not None:
        actor.device.enter_pin(pin)
        return
    undo = keep_off(deed.one, "restart")
    await stage.world.sleep(RESTART)
    await undo()


async def _locked(_stage: Stage, deed: Deed) -> Undo:
    actor = deed.one
    if deed.text("how") == "disk":
        return keep_off(actor, "locked")
    actor.not_now.append(1.0)
    actor.refresh()

    async def undo() -> None:
        actor.not_now.remove(1.0)
        actor.refresh()

    return undo


async def _join_network(stage: Stage, deed: Deed) -> Undo:
    actor, site = deed.one, deed.value("site")

    def apply(place: tuple[str | None] | None) -> None:
        stage.move(actor, actor.cohort.site if place is None else place[0])

    return undo_by(actor.bear("place", (site if isinstance(site, str) else None,), apply))


async def _os_update(stage: Stage, deed: Deed) -> None:
    await somebody_comes(stage, deed)
    await deed.one.device.update_os(deed.text("version"), deed.text("build"))
    await users_return(deed.one)


POWER_ACTS: Final[dict[str, Act]] = {
    "power_off": _power_off,
    "restart": _restart,
    "os_update": _os_update,
    "locked": _locked,
    "join_network": _join_network,
}
