"""Users who log in and out, fall silent or are deleted."""

from typing import Final

from muster.laboratory.scenario.actor import Actor
from muster.laboratory.scenario.acts.parts import Act, somebody_comes, undo_by
from muster.laboratory.scenario.stage import Deed, Stage, Undo
from muster.simulator.facts import User


def _user(deed: Deed) -> User | None:
    number = deed.number("user")
    if number > len(deed.one.users):
        deed.notes.append("it has no such user")
        return None
    return deed.one.users[number - 1]


async def _log_in(stage: Stage, actor: Actor, user: User) -> None:
    await stage.when_up(actor)
    await actor.device.log_in(user)


async def _user_login(stage: Stage, deed: Deed) -> Undo | None:
    user = _user(deed)
    if user is None:
        return None
    await somebody_comes(stage, deed)
    await _log_in(stage, deed.one, user)

    async def undo() -> None:
        deed.one.device.log_out(user)

    return undo


async def _user_logout(stage: Stage, deed: Deed) -> Undo | None:
    user = _user(deed)
    if user is None:
        return None
    deed.one.device.log_out(user)

    async def undo() -> None:
        await _log_in(stage, deed.one, user)

    return undo


async def _user_dies(_stage: Stage, deed: Deed) -> Undo | None:
    user = _user(deed)
    if user is None:
        return None
    silent = deed.one.device.behaviour.silent_users
    return undo_by(deed.one.hold(f"silent {user.guid}", lambda: silent.add(user), lambda: silent.discard(user)))


async def _user_deleted(stage: Stage, deed: Deed) -> None:
    user = _user(deed)
    if user is not None:
        await somebody_comes(stage, deed)
        deed.goes_on = True
        deed.one.device.delete_user(user)


USER_ACTS: Final[dict[str, Act]] = {
    "user_login": _user_login,
    "user_logout": _user_logout,
    "user_dies": _user_dies,
    "user_deleted": _user_deleted,
}
