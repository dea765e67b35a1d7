"""Whether anybody is told what devices say: asked now and then, so that no message costs a look for it."""

from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl

from muster.operations.ports import Runner
from muster.storage.outbox import wants_messages

NOTICE_WITHIN: Final = timedelta(seconds=10)
"""How long messages may go untold once there is a webhook that wants them."""
MAXIMUM_PARAMETERS: Final = 20
"""Of an address that are read."""


class MessageRelay:
    """Tells of each request what is to be handed on beside its body; *is_wanted*: whether anything is."""

    def __init__(self, runner: Runner, *, is_wanted: bool) -> None:
        self._runner = runner
        self.is_wanted = is_wanted

    async def step(self) -> datetime | None:
        """Look again; for the loop that polls."""
        self.is_wanted = await self._runner.read(wants_messages)
        return None

    def parameters(self, query: bytes) -> dict[str, str] | None:
        """Read the parameters of an address, the first of each name; None where nobody is told.

        A NUL, which not every database keeps, stands as U+FFFD: no message is lost for it.
        """
        if not self.is_wanted:
            return None
        try:
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAXIMUM_PARAMETERS)
        except ValueError:
            return {}  # too many: none that we gave a device
        return {name.replace("\0", "\ufffd"): value.replace("\0", "\ufffd") for name, value in reversed(pairs)}
