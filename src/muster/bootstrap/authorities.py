"""The authorities as a running process knows them: read again every half minute, for one may be made any time."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from muster.crypto.certificates import fingerprint
from muster.crypto.issuance import Authority
from muster.operations.first_start import load_authorities
from muster.operations.ports import Runner
from muster.operations.views.authorities import authority_names

NOTICE_WITHIN = timedelta(seconds=30)
"""How long a node may issue by an authority that was replaced; both are good, so it is no matter of seconds."""
LOOK_AT_MOST = timedelta(seconds=1)
"""Who sends messages to authorities that there are not makes the database be asked no more often than this."""

log = structlog.get_logger("muster.authorities")


class AuthorityBook:
    """Every authority ever ours, the current one first. `tell` is called with all certificates when one was made."""

    def __init__(self, runner: Runner, authorities: tuple[Authority, ...]) -> None:
        self._runner = runner
        self._authorities = authorities
        self._looked_at: datetime | None = None
        self.tell: Callable[[tuple[bytes, ...]], None] | None = None

    def all(self) -> tuple[Authority, ...]:
        """Return every authority with its key."""
        return self._authorities

    def certificates_der(self) -> tuple[bytes, ...]:
        """Return every authority's certificate."""
        return tuple(one.certificate_der for one in self._authorities)

    async def look_again(self) -> None:
        """Look whether one was made that isn't known here, unless that was done just now. Raises Unavailable."""
        now = self._runner.now()
        if self._looked_at is None or now - self._looked_at >= LOOK_AT_MOST:
            await self.step()

    async def step(self) -> datetime | None:
        """Read the authorities again where they changed; for the loop that polls."""
        self._looked_at = self._runner.now()
        known = tuple(fingerprint(one.certificate_der) for one in self._authorities)
        if await self._runner.read(authority_names) == known:
            return None
        self._authorities = (await self._runner.write(load_authorities, [None]))[0]
        log.info("authorities_changed", current=fingerprint(self._authorities[0].certificate_der).hex())
        if self.tell is not None:
            self.tell(self.certificates_der())
        return None
