"""Backups that are restored, hardware that is replaced, and identities that aren't the device's own."""

from dataclasses import replace
from typing import Final

from muster.crypto.cms.signing import SignerIdentity
from muster.laboratory.scenario.actor import Actor
from muster.laboratory.scenario.acts.coming_and_going import come_back
from muster.laboratory.scenario.acts.parts import LOOK, Act, keep_off, somebody_comes, undo_by, users_return
from muster.laboratory.scenario.model import Way
from muster.laboratory.scenario.stage import Deed, Stage, Undo
from muster.simulator.enrollment import Backup, EnrollmentFailed
from muster.simulator.facts import make_facts
from muster.simulator.installing import obtain, read_mobileconfig
from muster.simulator.transport import ConnectionLost


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
    await somebody_comes(stage, deed)
    backup = _backup(deed)
    if backup is not None:
        deed.goes_on = True
        await deed.one.device.restore(backup)
        await users_return(deed.one)


async def _backup_for_another(stage: Stage, deed: Deed) -> Backup | None:
    await stage.when_enrolled(deed)
    await somebody_comes(stage, deed)
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
    keep_off(deed.one, "put away")
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
    await somebody_comes(stage, deed)
    actor.device.erase()
    other = make_facts(actor.cohort.platform, deed.rng).udid
    actor.device.facts = replace(actor.device.facts, udid=other)
    await come_back(stage, deed, deed.span("back"))


async def _use_unknown_identity(stage: Stage, deed: Deed) -> Undo | None:
    actor = deed.one
    await stage.when_enrolled(deed)
    await somebody_comes(stage, deed)
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
            await somebody_comes(stage, deed)

    def apply(identity: SignerIdentity | None) -> None:
        if actor.own_identity is None:
            actor.own_identity = enrollment.identity
        enrollment.identity = identity or actor.own_identity
        if identity is None:
            actor.own_identity = None

    return undo_by(actor.bear("identity", strange, apply))


RESTORING_ACTS: Final[dict[str, Act]] = {
    "restore_to_same": _restore_to_same,
    "restore_to_other": _restore_to_other,
    "migrate_identity_to": _migrate_identity_to,
    "replace_board": _replace_board,
    "use_unknown_identity": _use_unknown_identity,
}
