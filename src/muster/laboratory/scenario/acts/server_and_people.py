"""What befalls the server itself, Apple's list of devices, and what administrators and witnesses do, by primitive."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from muster.laboratory.scenario.acts.parts import Act
from muster.laboratory.scenario.stage import Deed, Stage, Undo
from muster.laboratory.scenario.witnesses import ON_THE_DEVICE
from muster.laboratory.server import ADMINISTRATOR, PUSH_CERTIFICATE_LIFETIME
from muster.operations.let_go import DepartureOrder, DeparturesOrdered, unenroll_devices
from muster.protocol.identifiers import DeviceId
from muster.simulator.ade import ProfileStatus

LOST: Final = "This device is lost. Please call."


def _held(stage: Stage, key: str, begin: Callable[[], None], end: Callable[[], None]) -> Undo:
    """Begin what is not held already; undone by the last who holds it."""
    stage.holds[key] += 1
    if stage.holds[key] == 1:
        begin()

    async def undo() -> None:
        stage.holds[key] -= 1
        if stage.holds[key] == 0:
            end()

    return undo


# --- the server -------------------------------------------------------------------------------------------------------


async def _server_down(stage: Stage, _deed: Deed) -> Undo:
    down = stage.server_down()
    await down.__aenter__()

    async def undo() -> None:
        await down.__aexit__(None, None, None)

    return undo


async def _worker_dead(stage: Stage, deed: Deed) -> Undo:
    server, name = stage.world.server, deed.text("worker")
    return _held(stage, f"worker {name}", lambda: server.kill_worker(name), lambda: server.revive_worker(name))


async def _errors(stage: Stage, deed: Deed) -> Undo:
    failing, endpoint = stage.world.wire.faults.failing, deed.value("endpoint")
    one = (deed.share("answered_500"), endpoint if isinstance(endpoint, str) else "/")
    failing.append(one)

    async def undo() -> None:
        failing.remove(one)

    return undo


async def _proxy_drops_identity(stage: Stage, _deed: Deed) -> Undo:
    faults = stage.world.wire.faults
    begin, end = (
        (lambda: setattr(faults, "drops_identity", True)),
        (lambda: setattr(faults, "drops_identity", False)),
    )
    return _held(stage, "drops_identity", begin, end)


async def _tls_changed(stage: Stage, _deed: Deed) -> Undo:
    faults = stage.world.wire.faults
    begin, end = (lambda: setattr(faults, "is_untrusted", True)), (lambda: setattr(faults, "is_untrusted", False))
    return _held(stage, "is_untrusted", begin, end)


def next_lifetime(stage: Stage) -> timedelta:
    """For how long a push certificate that is made now is good: to the next event that has it expire."""
    elapsed = stage.world.now() - stage.scenario.begins_at
    to_come = [expiry - elapsed for expiry in stage.expiries if expiry > elapsed]
    return min(to_come, default=stage.scenario.duration + PUSH_CERTIFICATE_LIFETIME)


def _renewed_in_the_end(stage: Stage) -> Undo:
    async def undo() -> None:
        await stage.when_serving()
        await stage.world.server.upload_push_certificate(next_lifetime(stage))

    return undo


async def _push_certificate_expires(stage: Stage, _deed: Deed) -> Undo:
    return _renewed_in_the_end(stage)  # it was made to end now


async def _push_certificate_revoked(stage: Stage, deed: Deed) -> Undo:
    await stage.when_serving(deed)
    stage.world.revoke_push_certificate()
    return _renewed_in_the_end(stage)


async def _push_certificate_replaced(stage: Stage, deed: Deed) -> Undo:
    await stage.when_serving(deed)
    await stage.world.server.upload_push_certificate(next_lifetime(stage), topic=deed.text("topic"))
    return _renewed_in_the_end(stage)


async def _rotate_ca(stage: Stage, deed: Deed) -> None:
    await stage.when_serving(deed)
    await stage.world.server.rotate_authority()


async def copy_database(stage: Stage, deed: Deed) -> None:
    """Back the database up for a rollback that is still to come."""
    async with stage.server_down():
        stage.copies[deed.planned.occurrence] = stage.world.server.copy_database()


async def _database_rolled_back(stage: Stage, deed: Deed) -> None:
    async with stage.server_down():
        copy = stage.copies.get(deed.planned.occurrence)
        if copy is None:
            deed.notes.append("the backup is of this moment")
            return
        stage.world.server.put_back(copy)
    stage.ade_sync.start_over()


# --- Automated Device Enrollment --------------------------------------------------------------------------------------


async def _unassign(stage: Stage, deed: Deed) -> Undo:
    serial = deed.one.device.facts.serial_number
    stage.ade.set_profile(serial, ProfileStatus.REMOVED, stage.world.now())

    async def undo() -> None:
        stage.ade.set_profile(serial, ProfileStatus.ASSIGNED, stage.world.now())

    return undo


async def _assign_elsewhere(stage: Stage, deed: Deed) -> Undo | None:
    serial = deed.one.device.facts.serial_number
    stage.ade.assign(serial, stage.world.now(), is_here=False)
    await _leave(stage, deed)

    async def undo() -> None:
        stage.ade.assign(serial, stage.world.now(), is_here=True)
        if deed.one.device.enrollment is None:
            await stage.enroll(deed.one)

    return undo


async def _release(stage: Stage, deed: Deed) -> None:
    deed.goes_on = True
    stage.ade.release(deed.one.device.facts.serial_number, stage.world.now())
    await _leave(stage, deed)


async def _leave(stage: Stage, deed: Deed) -> None:
    """Have the device be erased, and set up where Apple's list leads it now."""
    leaves = deed.span("leaves")
    if leaves is None:
        return
    await stage.world.sleep(leaves)
    await stage.when_up(deed.one)
    deed.one.device.erase()
    deed.one.device.presence.bury_abandoned()


async def _token_expired(stage: Stage, _deed: Deed) -> Undo:
    ade = stage.ade
    begin, end = (lambda: setattr(ade, "token_is_good", False)), (lambda: setattr(ade, "token_is_good", True))
    return _held(stage, "ade token", begin, end)


# --- administrators ---------------------------------------------------------------------------------------------------


async def _send(stage: Stage, deed: Deed) -> None:
    await stage.when_enrolled(deed)
    await stage.when_serving(deed)
    actor, user, keys = deed.one, deed.value("user"), deed.value("keys")
    if isinstance(user, int) and user > len(actor.users):
        deed.notes.append("it has no such user")
        return
    channel_id = actor.user_channel(user) if isinstance(user, int) else actor.inhabitant.channel_id
    named = {} if keys is None or isinstance(keys, str | int | float | timedelta | tuple) else keys
    refusal = await stage.send([channel_id], deed.text("command"), named)
    if refusal:
        deed.notes.append(refusal)


async def _unenroll(stage: Stage, deed: Deed) -> None:
    deed.goes_on = True
    await stage.when_enrolled(deed)
    await stage.when_serving(deed)
    order = DepartureOrder((DeviceId(deed.one.inhabitant.channel_id),), named_count=1)
    [outcome] = await stage.world.server.service.runner.write(unenroll_devices, [order], ADMINISTRATOR)
    if not isinstance(outcome, DeparturesOrdered):
        deed.notes.append(outcome.message)
    elif outcome.refused:
        deed.notes += [refusal.message for refusal in outcome.refused.values()]


async def _lost_mode(stage: Stage, deed: Deed) -> Undo:
    await stage.when_enrolled(deed)
    await stage.when_serving(deed)
    channel_id = deed.one.inhabitant.channel_id
    refusal = await stage.send([channel_id], "EnableLostMode", {"Message": LOST})
    if refusal:
        deed.notes.append(refusal)

    async def undo() -> None:
        await stage.when_serving()
        await stage.send([channel_id], "DisableLostMode", {})

    return undo


# --- witnesses --------------------------------------------------------------------------------------------------------


async def _sees(stage: Stage, deed: Deed) -> Undo:
    actor, witness = deed.one, deed.text("by")
    again = deed.span("again") or timedelta(hours=6)
    says_no_profile = deed.value("says_no_profile") is True

    is_there = witness in ON_THE_DEVICE

    async def keep_looking() -> None:
        await stage.world.sleep(min(again, deed.planned.lasts or again) * deed.rng.random())  # not all at one instant
        while True:
            if actor.has_network and not (actor.is_agent_dead and is_there) and actor.channel_ids:
                facts = actor.device.facts
                names_udid = is_there or actor.cohort.is_virtual
                stage.witnesses.see(
                    witness,
                    {"udid": facts.udid} if names_udid else {"serial": facts.serial_number},
                    network=actor.address,
                    is_unmanaged=says_no_profile and is_there and actor.device.enrollment is None,
                )
            await stage.world.sleep(again)

    task = stage.world.background(keep_looking())

    async def undo() -> None:
        task.cancel()

    return undo


async def _agent_dies(_stage: Stage, deed: Deed) -> Undo:
    actor = deed.one
    begin, end = (lambda: setattr(actor, "is_agent_dead", True)), (lambda: setattr(actor, "is_agent_dead", False))
    release = actor.hold("agent", begin, end)

    async def undo() -> None:
        release()

    return undo


SERVER_ACTS: Final[dict[str, Act]] = {
    "server_down": _server_down,
    "worker_dead": _worker_dead,
    "errors": _errors,
    "push_certificate_expires": _push_certificate_expires,
    "push_certificate_replaced": _push_certificate_replaced,
    "push_certificate_revoked": _push_certificate_revoked,
    "rotate_ca": _rotate_ca,
    "database_rolled_back": _database_rolled_back,
    "proxy_drops_identity": _proxy_drops_identity,
    "tls_changed": _tls_changed,
    "unassign": _unassign,
    "assign_elsewhere": _assign_elsewhere,
    "release": _release,
    "token_expired": _token_expired,
    "send": _send,
    "unenroll": _unenroll,
    "lost_mode": _lost_mode,
    "sees": _sees,
    "agent_dies": _agent_dies,
}
