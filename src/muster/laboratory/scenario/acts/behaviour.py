"""What a device's behaviour can be made to do: what it answers, refuses, loses, and what its clock says."""

from datetime import timedelta
from typing import Final

from muster.laboratory.scenario.acts.parts import LOOK, Act, undo_by
from muster.laboratory.scenario.stage import Deed, Stage, Undo
from muster.laboratory.scenario.times import is_between, read_hours
from muster.protocol.connect import ErrorItem
from muster.simulator.behaviour import Behaviour, Obedience, Step


def _flag(name: str) -> Act:
    """An act that sets a flag of the device's behaviour."""

    async def act(_stage: Stage, deed: Deed) -> Undo:
        behaviour = deed.one.device.behaviour
        begin, end = (lambda: setattr(behaviour, name, True)), (lambda: setattr(behaviour, name, False))
        return undo_by(deed.one.hold(name, begin, end))

    return act


def _command_in(deed: Deed, kind: str, commands: set[str]) -> Undo:
    command = deed.text("command")
    return undo_by(deed.one.hold(f"{kind} {command}", lambda: commands.add(command), lambda: commands.discard(command)))


async def _ignore_commands(_stage: Stage, deed: Deed) -> Undo:
    behaviour: Behaviour = deed.one.device.behaviour
    wanted = Obedience.REFUSES if deed.text("answer") == "error" else Obedience.NONE

    def apply(obedience: Obedience | None) -> None:
        behaviour.obedience = obedience or Obedience.WHOLE

    return undo_by(deed.one.bear("obedience", wanted, apply))


async def _answer_error(_stage: Stage, deed: Deed) -> Undo:
    failing, command = deed.one.device.behaviour.failing, deed.text("command")
    words = "The command failed."
    chain = (ErrorItem(deed.number("code"), "MCMDMErrorDomain", words, words),)

    def apply(answer: tuple[ErrorItem, ...] | None) -> None:
        failing.pop(command, None)
        if answer is not None:
            failing[command] = answer

    return undo_by(deed.one.bear(f"failing {command}", chain, apply))


async def _lose_answers(_stage: Stage, deed: Deed) -> Undo:
    return _command_in(deed, "forgotten", deed.one.device.behaviour.forgotten)


async def _hang_on(_stage: Stage, deed: Deed) -> Undo:
    actor = deed.one
    undo = _command_in(deed, "unanswered", actor.device.behaviour.unanswered)
    if deed.value("client") is not True:
        return undo
    behaviour = actor.device.behaviour
    begin, end = (
        (lambda: setattr(behaviour, "hangs_until_boot", True)),
        (lambda: setattr(behaviour, "hangs_until_boot", False)),
    )
    release = actor.hold("hangs_until_boot", begin, end)

    async def undo_both() -> None:
        await undo()
        release()

    return undo_both


async def _refuse_renewal(_stage: Stage, deed: Deed) -> Undo:
    behaviour, step = deed.one.device.behaviour, Step(deed.text("after"))

    def apply(after: Step | None) -> None:
        behaviour.rolls_back_after = after

    return undo_by(deed.one.bear("rolls_back_after", step, apply))


async def _not_now(stage: Stage, deed: Deed) -> Undo:
    actor, share = deed.one, deed.share("share_of_commands")
    hours_text = deed.value("hours")
    hours = read_hours(hours_text) if isinstance(hours_text, str) else None
    is_on = False

    def turn(*, on: bool) -> None:
        nonlocal is_on
        if on != is_on:
            is_on = on
            if on:
                actor.not_now.append(share)
            else:
                actor.not_now.remove(share)
            actor.refresh()

    async def keep_hours() -> None:
        while hours is not None:
            turn(on=is_between(stage.world.now().time(), hours))
            await stage.world.sleep(LOOK)

    if hours is None:
        turn(on=True)
        return undo_by(lambda: turn(on=False))
    task = stage.world.background(keep_hours())

    async def undo() -> None:
        task.cancel()
        turn(on=False)

    return undo


async def _clock_offset(stage: Stage, deed: Deed) -> Undo:
    offset = deed.span("offset") or timedelta(0)
    if deed.actor is None:
        return await _server_clock_offset(stage, offset)
    behaviour = deed.one.device.behaviour
    behaviour.clock_error += offset
    behaviour.signs_time = True  # from now on: it says when its clock is right again

    async def undo() -> None:
        behaviour.clock_error -= offset

    return undo


async def _server_clock_offset(stage: Stage, offset: timedelta) -> Undo:
    await stage.turn_clock(offset)

    async def undo() -> None:
        await stage.turn_clock(-offset)

    return undo


BEHAVIOUR_ACTS: Final[dict[str, Act]] = {
    "drop_identity": _flag("lacks_identity"),
    "ignore_commands": _ignore_commands,
    "answer_error": _answer_error,
    "lose_answers": _lose_answers,
    "refuse_renewal": _refuse_renewal,
    "not_now": _not_now,
    "hang_on": _hang_on,
    "clock_offset": _clock_offset,
    "answer_ddm_only": _flag("is_command_channel_dead"),
    "stop_ddm": _flag("is_ddm_stopped"),
    "user_never_appears": _flag("opens_no_user_channel"),
}
