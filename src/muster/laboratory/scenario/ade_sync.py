"""How the server hears of Apple's list of an organization's devices: it asks every hour what changed."""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.ade import AdeObservation, AdeProfileStatus, AdeTokenObservation
from muster.laboratory.server import ADMINISTRATOR
from muster.laboratory.world import World
from muster.operations.note_ade import note_ade, note_ade_token
from muster.simulator.ade import AdeEntry, SimulatedADE

SYNC_EVERY: Final = timedelta(hours=1)
TOKEN: Final = "organization"  # noqa: S105 - its name


class AdeSync:
    """The server's side of the sync. It lasts as long as the world does."""

    def __init__(self, world: World, ade: SimulatedADE) -> None:
        self._world = world
        self._ade = ade
        self._cursor = 0
        self._was_good: bool | None = True  # None: what the server holds of its token is not known
        self._heard_at: datetime | None = None

    def start_over(self) -> None:
        """Read the whole list the next time: the database has forgotten how far it came."""
        self._cursor, self._was_good = 0, None

    async def keep_up(self) -> None:
        """Have the server hear what changed in the list, and whether its token is taken, for ever."""
        while True:
            if self._world.server.is_running:
                await self._sync()
            await self._world.sleep(SYNC_EVERY)

    async def _sync(self) -> None:
        runner, ade = self._world.server.service.runner, self._ade
        if ade.token_is_good != self._was_good:
            why = "" if ade.token_is_good else "T_C_NOT_SIGNED"
            told = [AdeTokenObservation(TOKEN, ade.token_is_good, runner.now(), why)]
            if self._was_good and self._heard_at is not None:  # it is told once, not every hour, that all was well
                told.insert(0, AdeTokenObservation(TOKEN, is_ok=True, at=self._heard_at))
            self._was_good = ade.token_is_good
            await runner.write(note_ade_token, told, ADMINISTRATOR)
        if not ade.token_is_good:
            return
        self._heard_at = runner.now()
        changes, self._cursor = ade.changes_since(self._cursor)
        if changes:
            await runner.write(note_ade, [_observed(one) for one in changes], ADMINISTRATOR)


def _observed(entry: AdeEntry) -> AdeObservation:
    return AdeObservation(
        serial_number=entry.serial_number,
        profile_status=AdeProfileStatus(entry.profile_status.value),
        assigned_here=entry.is_here,
        is_deleted=entry.is_deleted,
        at=entry.changed_at,
        token=TOKEN,
    )
