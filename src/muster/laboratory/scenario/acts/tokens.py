"""What a device listens to for pushes: its tokens and its PushMagic."""

from typing import Final

from muster.laboratory.scenario.acts.parts import Act, somebody_comes, undo_by
from muster.laboratory.scenario.stage import Deed, Stage, Undo
from muster.simulator.facts import make_uuid


async def _change_token(stage: Stage, deed: Deed) -> None:
    await stage.when_enrolled(deed)
    await somebody_comes(stage, deed)
    if deed.one.device.enrollment is None:
        deed.notes.append("it was not enrolled")
        return
    is_told = deed.value("reported") is not False
    deed.goes_on = not is_told
    await deed.one.device.rotate_token(is_told=is_told)


async def _change_magic(stage: Stage, deed: Deed) -> Undo | None:
    await stage.when_enrolled(deed)
    enrollment = deed.one.device.enrollment
    if enrollment is None:
        deed.notes.append("it was not enrolled")
        return None
    line = enrollment.device_line
    former, strange = line.push_magic, make_uuid(deed.rng)

    def begin() -> None:
        line.push_magic = strange

    def end() -> None:
        if line.push_magic == strange:  # else a renewal gave it another one meanwhile
            line.push_magic = former

    return undo_by(deed.one.hold(f"magic {former}", begin, end))


TOKEN_ACTS: Final[dict[str, Act]] = {
    "change_token": _change_token,
    "change_magic": _change_magic,
}
