"""Other witnesses: each gathers which devices it saw, and posts that to the server's door over the wire."""

import json
from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.witness import WitnessKind
from muster.laboratory.server import ADMINISTRATOR, PUBLIC_URL
from muster.laboratory.world import World
from muster.operations.manage_witnesses import NewToken, WitnessOrder, add_witnesses, rotate_witnesses
from muster.protocol.sightings import MAX_AGE, MAX_SIGHTINGS
from muster.simulator.transport import ConnectionLost

POST_EVERY: Final = timedelta(minutes=5)
"""How often a witness posts what it saw meanwhile, if anything."""
KEPT: Final = MAX_AGE - timedelta(hours=1)
"""For how long it keeps what it could not post; the server hears nothing older than MAX_AGE."""
SIGHTINGS_URL: Final = f"{PUBLIC_URL}/api/witness/v1/sightings"
COLLECTOR: Final = ("2001:db8:ffff::1", 443)
"""Where witnesses post from."""
KINDS: Final = {
    "agent": WitnessKind.AGENT,
    "edr": WitnessKind.EDR,
    "idp": WitnessKind.IDP,
    "osquery": WitnessKind.AGENT,
    "vpn": WitnessKind.NETWORK,
    "wifi": WitnessKind.NETWORK,
}
"""The words for witnesses, and what the server takes each for."""
ON_THE_DEVICE: Final = frozenset({"agent", "edr", "osquery"})
"""Those that run on the device itself: they can die there, know its UDID, and whether there is a profile on it."""


class Witnesses:
    """Those that saw anything so far."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: dict[str, list[tuple[datetime, dict[str, object]]]] = {}

    def see(self, name: str, device: dict[str, str], *, network: str, is_unmanaged: bool) -> None:
        """Have the witness *name*, one of KINDS, see a device (`udid` or `serial`) now, from the address *network*."""
        if name not in self._pending:
            self._pending[name] = []
            self._world.background(self._keep_posting(name))
        now = self._world.now()
        sighting: dict[str, object] = {"device": device, "at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "network": network}
        if is_unmanaged:
            sighting["says_unmanaged"] = True
        self._pending[name].append((now, sighting))

    async def _keep_posting(self, name: str) -> None:
        token = ""
        while True:
            await self._world.sleep(POST_EVERY)
            oldest = self._world.now() - KEPT
            pending = self._pending[name] = [one for one in self._pending[name] if one[0] > oldest]
            while pending and self._world.server.is_running:
                token = token or await self._get_token(name)
                status = await self._post(token, [sighting for _, sighting in pending[:MAX_SIGHTINGS]])
                if status == 401:
                    token = ""  # of before a restore of the database
                    break
                if status is None or (status != 400 and status >= 300):
                    break  # it is posted the next time
                del pending[:MAX_SIGHTINGS]

    async def _post(self, token: str, sightings: list[dict[str, object]]) -> int | None:
        """Post; returns the status of the answer, or None when there was none."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = json.dumps({"sightings": sightings}).encode()
        try:
            return (await self._world.wire.carry(COLLECTOR, "POST", SIGHTINGS_URL, headers, body)).status
        except ConnectionLost:
            return None

    async def _get_token(self, name: str) -> str:
        runner = self._world.server.service.runner
        [made] = await runner.write(add_witnesses, [WitnessOrder(name, KINDS[name])], ADMINISTRATOR)
        if not isinstance(made, NewToken):  # there is one of that name, whose token nobody has
            [made] = await runner.write(rotate_witnesses, [name], ADMINISTRATOR)
        assert isinstance(made, NewToken), made
        return made.token
