"""What befalls devices and their users, by primitive: each begins it, and returns how it is undone.

None: it took a moment, or went on by itself (`Deed.goes_on`). Whoever sits before a device waits until it is up.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from muster.crypto.cms.signing import SignerIdentity
from muster.laboratory.scenario.actor import Actor
from muster.laboratory.scenario.model import Way
from muster.laboratory.scenario.stage import Deed, Stage, Undo
from muster.laboratory.scenario.times import is_between, read_hours
from muster.protocol.connect import ErrorItem
from muster.simulator.behaviour import Behaviour, Obedience, Step
from muster.simulator.enrollment import Backup, EnrollmentFailed
from muster.simulator.facts import Platform, User, make_facts, make_uuid
from muster.simulator.installing import obtain, read_mobileconfig
from muster.simulator.transport import ConnectionLost

Act = Callable[[Stage, Deed], Awaitable[Undo | None]]

RESTART: Final = timedelta(minutes=2)
LOOK: Final = timedelta(minutes=5)
HALF_MINUTE: Final = timedelta(seconds=30)


# --- what a device's behaviour can be made to do ----------------------------------------------------------------------


def _undo(*releases: Callable[[], None]) -> Undo:
    async def undo() -> None:
        for release in releases:
            release()

    return undo


def _flag(name: str) -> Act:
    """An act that sets a flag of the device's behaviour."""

    async def act(_stage: Stage, deed: Deed) -> Undo:
        behaviour = deed.one.device.behaviour
        begin, end = (lambda: setattr(behaviour, name, True)), (lambda: setattr(behaviour, name, False))
        return _undo(deed.one.hold(name, begin, end))

    return act


def _command_in(deed: Deed, kind: str, commands: set[str]) -> Undo:
    command = deed.text("command")
    return _undo(deed.one.hold(f"{kind} {command}", lambda: commands.add(command), lambda: commands.discard(command)))


async def _ignore_commands(_stage: Stage, deed: Deed) -> Undo:
    behaviour: Behaviour = deed.one.device.behaviour
    wanted = Obedience.REFUSES if deed.text("answer") == "error" else Obedience.NONE

    def apply(obedience: Obedience | None) -> None:
        behaviour.obedience = obedience or Obedience.WHOLE

    return _undo(deed.one.bear("obedience", wanted, apply))


async def _answer_error(_stage: Stage, deed: Deed) -> Undo:
    failing, command = deed.one.device.behaviour.failing, deed.text("command")
    words = "The command failed."
    chain = (ErrorItem(deed.number("code"), "MCMDMErrorDomain", words, words),)

    def apply(answer: tuple[ErrorItem, ...] | None) -> None:
        failing.pop(command, None)
        if answer is not None:
            failing[command] = answer

    return _undo(deed.one.bear(f"failing {command}", chain, apply))


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

    return _undo(deed.one.bear("rolls_back_after", step, apply))


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
        return _undo(lambda: turn(on=False))
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


# --- power and places -------------------------------------------------------------------------------------------------


def _keep_off(actor: Actor, why: str) -> Undo:
    actor.off_for[why] += 1
    actor.refresh()

    async def undo() -> None:
        actor.off_for[why] -= 1
        actor.off_for += type(actor.off_for)()  # drops what is zero
        actor.boot_if_free()
        await _users_return(actor)

    return undo


async def _users_return(actor: Actor) -> None:
    """Who was logged in to a Mac logs in again after a boot or a restore: a channel that he has not opens then."""
    enrollment = actor.device.enrollment
    if enrollment is None or actor.device.facts.platform is not Platform.MAC or not actor.is_up:
        return
    for user in [user for user, is_logged_in in actor.device.users.items() if is_logged_in]:
        if user not in enrollment.user_lines:
            await actor.device.log_in(user)


async def _power_off(_stage: Stage, deed: Deed) -> Undo:
    return _keep_off(deed.one, "power_off")


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
    undo = _keep_off(deed.one, "restart")
    await stage.world.sleep(RESTART)
    await undo()


async def _locked(_stage: Stage, deed: Deed) -> Undo:
    actor = deed.one
    if deed.text("how") == "disk":
        return _keep_off(actor, "locked")
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

    return _undo(actor.bear("place", (site if isinstance(site, str) else None,), apply))


async def _os_update(stage: Stage, deed: Deed) -> None:
    await _somebody_comes(stage, deed)
    await deed.one.device.update_os(deed.text("version"), deed.text("build"))
    await _users_return(deed.one)


async def _somebody_comes(stage: Stage, deed: Deed) -> None:
    """Wait until the device is up: what follows is done by somebody who sits before it."""
    await stage.when_up(deed.one)
    deed.began_at = stage.world.now()


# --- coming and going -------------------------------------------------------------------------------------------------


async def _enroll(stage: Stage, deed: Deed) -> None:
    actor = deed.one
    await _somebody_comes(stage, deed)
    ends_after = deed.value("ends_after")
    if not isinstance(ends_after, str):
        await _come_back(stage, deed, timedelta(0))
        return
    actor.device.behaviour.enrollment_ends_after = Step(ends_after)
    try:
        await stage.enroll(actor, tries_again=False)
    finally:
        actor.device.behaviour.enrollment_ends_after = None
    actor.note_channel()


async def _come_back(stage: Stage, deed: Deed, after: timedelta | None) -> None:
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
        await _somebody_comes(stage, deed)
        await actor.device.erase_locally()
    if actor.device.enrollment is None:
        await _come_back(stage, deed, deed.span("back"))
    else:
        deed.notes.append("it returned to service")
        deed.ended_at = stage.world.now()


async def _remove_profile(stage: Stage, deed: Deed) -> None:
    actor = deed.one
    await stage.when_enrolled(deed)
    await _somebody_comes(stage, deed)
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
    await _come_back(stage, deed, deed.span("back"))


async def take_backup(_stage: Stage, deed: Deed) -> None:
    """Back a device up for an event that is still to come; at the earliest once it has enrolled."""
    await deed.one.has_enrolled.wait()
    if deed.one.device.enrollment is not None:
        deed.one.backups[deed.planned.occurrence] = deed.one.device.back_up()


def _backup(deed: Deed) -> Backup | None:
    device = deed.one.device
    kept = deed.one.backups.get(deed.planned.occurrence)
    if kept is not None:
        return kept
    if device.enrollment is None:
        deed.notes.append("there was nothing to restore")
        return None
    return device.back_up()


async def _restore_to_same(stage: Stage, deed: Deed) -> None:
    await stage.when_enrolled(deed)
    await _somebody_comes(stage, deed)
    backup = _backup(deed)
    if backup is not None:
        deed.goes_on = True
        await deed.one.device.restore(backup)
        await _users_return(deed.one)


async def _backup_for_another(stage: Stage, deed: Deed) -> Backup | None:
    await stage.when_enrolled(deed)
    await _somebody_comes(stage, deed)
    if deed.value("to") == deed.one.name:
        deed.notes.append("it is the other device itself")
        return None
    return _backup(deed)


def _other(stage: Stage, deed: Deed) -> Actor:
    """The device that is named, or a new one at the same place."""
    name = deed.value("to")
    if isinstance(name, str):
        return stage.actors[name]
    actor = deed.one
    name = f"{actor.name}+"
    while name in stage.actors:
        name += "+"
    guest = stage.add(name, replace(actor.cohort, is_virtual=False))
    guest.is_guest = True
    return guest


async def _restore_to_other(stage: Stage, deed: Deed) -> None:
    backup = await _backup_for_another(stage, deed)
    if backup is None:
        return
    deed.goes_on = True
    other = _other(stage, deed)
    deed.notes.append(f"onto {other.name}")
    _keep_off(deed.one, "put away")
    await other.device.restore(backup)
    other.note_channel()


async def _migrate_identity_to(stage: Stage, deed: Deed) -> None:
    backup = await _backup_for_another(stage, deed)
    if backup is None:
        return
    deed.goes_on = True
    other = _other(stage, deed)
    deed.notes.append(f"to {other.name}")
    await other.device.restore(backup)
    other.note_channel()


async def _replace_board(stage: Stage, deed: Deed) -> None:
    actor = deed.one
    await _somebody_comes(stage, deed)
    actor.device.erase()
    other = make_facts(actor.cohort.platform, deed.rng).udid
    actor.device.facts = replace(actor.device.facts, udid=other)
    await _come_back(stage, deed, deed.span("back"))


async def _use_unknown_identity(stage: Stage, deed: Deed) -> Undo | None:
    actor = deed.one
    await stage.when_enrolled(deed)
    await _somebody_comes(stage, deed)
    enrollment = actor.device.enrollment
    if enrollment is None or actor.cohort.way is not Way.LINK:
        deed.notes.append('it is not enrolled by way = "link"')
        return None
    while True:
        try:
            response = await actor.device.requests.get(stage.link_of(actor.cohort))
            strange = await obtain(actor.device, read_mobileconfig(response.body).profile.identity)
            break
        except (ConnectionLost, EnrollmentFailed):  # whoever plays with it tries again
            await stage.world.sleep(LOOK)
            await _somebody_comes(stage, deed)

    def apply(identity: SignerIdentity | None) -> None:
        if actor.own_identity is None:
            actor.own_identity = enrollment.identity
        enrollment.identity = identity or actor.own_identity
        if identity is None:
            actor.own_identity = None

    return _undo(actor.bear("identity", strange, apply))


# --- tokens -----------------------------------------------------------------------------------------------------------


async def _change_token(stage: Stage, deed: Deed) -> None:
    await stage.when_enrolled(deed)
    await _somebody_comes(stage, deed)
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

    return _undo(deed.one.hold(f"magic {former}", begin, end))


# --- users ------------------------------------------------------------------------------------------------------------


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
    await _somebody_comes(stage, deed)
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
    return _undo(deed.one.hold(f"silent {user.guid}", lambda: silent.add(user), lambda: silent.discard(user)))


async def _user_deleted(stage: Stage, deed: Deed) -> None:
    user = _user(deed)
    if user is not None:
        await _somebody_comes(stage, deed)
        deed.goes_on = True
        deed.one.device.delete_user(user)


DEVICE_ACTS: Final[dict[str, Act]] = {
    "enroll": _enroll,
    "power_off": _power_off,
    "restart": _restart,
    "erase": _erase,
    "restore_to_same": _restore_to_same,
    "restore_to_other": _restore_to_other,
    "migrate_identity_to": _migrate_identity_to,
    "replace_board": _replace_board,
    "drop_identity": _flag("lacks_identity"),
    "use_unknown_identity": _use_unknown_identity,
    "remove_profile": _remove_profile,
    "change_token": _change_token,
    "change_magic": _change_magic,
    "ignore_commands": _ignore_commands,
    "answer_error": _answer_error,
    "lose_answers": _lose_answers,
    "refuse_renewal": _refuse_renewal,
    "not_now": _not_now,
    "hang_on": _hang_on,
    "clock_offset": _clock_offset,
    "os_update": _os_update,
    "answer_ddm_only": _flag("is_command_channel_dead"),
    "stop_ddm": _flag("is_ddm_stopped"),
    "user_login": _user_login,
    "user_logout": _user_logout,
    "user_never_appears": _flag("opens_no_user_channel"),
    "user_dies": _user_dies,
    "user_deleted": _user_deleted,
    "locked": _locked,
    "join_network": _join_network,
}
