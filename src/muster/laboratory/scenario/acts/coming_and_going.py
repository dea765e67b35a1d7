"""Devices that enroll, are erased, or leave."""

from datetime import timedelta
from typing import Final

from muster.laboratory.scenario.acts.parts import LOOK, Act, somebody_comes
from muster.laboratory.scenario.stage import Deed, Stage
from muster.simulator.behaviour import Step


async def _enroll(stage: Stage, deed: Deed) -> None:
    actor = deed.one
    await somebody_comes(stage, deed)
    ends_after = deed.value("ends_after")
    if not isinstance(ends_after, str):
        await come_back(stage, deed, timedelta(0))
        return
    actor.device.behaviour.enrollment_ends_after = Step(ends_after)
    try:
        await stage.enroll(actor, tries_again=False)
    finally:
        actor.device.behaviour.enrollment_ends_after = None
    actor.note_channel()


async def come_back(stage: Stage, deed: Deed, after: timedelta | None) -> None:
    """Have the device enroll again so long after now; then the deed is over. None: it never does."""
    deed.goes_on = True
    if after is None:
        return
    await stage.world.sleep(after)
    if await stage.enroll(deed.one):
        deed.ended_at = stage.world.now()
    else:
        deed.notes.append("it did not come back")


async def _erase(stage: Stage, deed: Deed) -> None:
    actor = deed.one
    deed.goes_on = True
    if deed.text("by") == "administrator":
        await stage.when_enrolled(deed)
        await stage.when_serving(deed)
        former = actor.device.enrollment
        refusal = await stage.send([actor.inhabitant.channel_id], "EraseDevice", {})
        if refusal:
            deed.notes.append(refusal)
            return
        while actor.device.enrollment is former and former is not None:
            await stage.world.sleep(LOOK)
    else:
        await somebody_comes(stage, deed)
        await actor.device.erase_locally()
    if actor.device.enrollment is None:
        await come_back(stage, deed, deed.span("back"))
    else:
        deed.notes.append("it returned to service")
        deed.ended_at = stage.world.now()


async def _remove_profile(stage: Stage, deed: Deed) -> None:
    actor = deed.one
    await stage.when_enrolled(deed)
    await somebody_comes(stage, deed)
    if actor.device.enrollment is None:
        deed.notes.append("it was not enrolled")
        return
    behaviour = actor.device.behaviour
    behaviour.loses_check_out = deed.value("reported") is False
    has_left = await actor.device.leave()
    behaviour.loses_check_out = False
    if not has_left:
        deed.notes.append("the profile can't be removed")
        return
    await come_back(stage, deed, deed.span("back"))


COMING_ACTS: Final[dict[str, Act]] = {
    "enroll": _enroll,
    "erase": _erase,
    "remove_profile": _remove_profile,
}
