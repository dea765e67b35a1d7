"""Tokens that come beside messages of enrolled devices: looked at in the background, and once each.

The identity proves who speaks; a token is never asked for, and none makes a device be refused.
"""

import asyncio
import hashlib
from collections import OrderedDict

import structlog

from muster.domain.access import SERVER
from muster.operations.note_bearers import BearerHeard, note_bearers
from muster.operations.ports import Runner
from muster.protocol.account_driven import bearer_token
from muster.protocol.identifiers import ChannelId

MAXIMUM_SEEN = 10_000
"""Pairs of channel and token that are not looked at again; beyond it the oldest are."""
MAXIMUM_PENDING = 1000
"""Tokens that wait to be looked at; more are passed over, for they come again with the next message."""

log = structlog.get_logger("muster.device")


class BearerWatch:
    """Looks at tokens; never in the way of a reply."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._pending: list[BearerHeard] = []
        self._task: asyncio.Task[None] | None = None

    def note(self, authorization: bytes | None, channel_id: ChannelId, source: str) -> None:
        """Have the header *authorization* of a message that was accepted looked at."""
        if authorization is None or len(self._pending) >= MAXIMUM_PENDING:
            return
        key = hashlib.sha256(channel_id.encode() + b"\0" + authorization).digest()
        if key in self._seen:
            return
        self._seen[key] = None
        if len(self._seen) > MAXIMUM_SEEN:
            self._seen.popitem(last=False)
        token = bearer_token(authorization.decode("latin-1"))
        if token is None:
            return
        self._pending.append(BearerHeard(channel_id, token, source))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="note-bearers")

    async def drain(self) -> None:
        """Return when everything noted so far was looked at."""
        while self._task is not None:
            await asyncio.shield(self._task)

    async def _run(self) -> None:
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                await self._runner.write(note_bearers, batch, SERVER)
        except Exception as error:  # it is said again after a restart, and the device isn't to suffer for it
            log.warning("bearers_not_noted", error=str(error))
        finally:
            self._task = None
