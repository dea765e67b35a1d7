"""One ASGI application: the doors for devices, and behind them everything else.

Devices are dispatched before any framework: a router would cost more than the answer.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from muster.edges.device.http import Receive, Scope, Send
from muster.edges.device.messages import MessageDoor
from muster.edges.device.refusals import RefusalRecorder
from muster.edges.device.scep import ScepDoor
from muster.edges.device.tally import Tally

AsgiApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MDM_PATH = "/mdm"
"""Connects and check-ins at one URL."""
CHECK_IN_PATH = "/checkin"
"""Check-ins where an operator wants a URL of their own; both paths answer both."""
SCEP_PATH = "/scep"


class DeviceApplication:
    """Dispatches devices to their doors, and all other requests to *others*.

    *ways_in* are the doors before an enrollment, by whole path or by its first segment. *tally* counts what
    they answer.
    """

    def __init__(
        self,
        *,
        messages: MessageDoor,
        scep: ScepDoor,
        ways_in: Mapping[str, AsgiApplication],
        recorder: RefusalRecorder,
        others: AsgiApplication,
        tally: Tally,
    ) -> None:
        self._messages = messages
        self._recorder = recorder
        self._ways_in = ways_in
        self._others = others
        self._tally = tally
        self._doors: dict[str, AsgiApplication] = {MDM_PATH: messages, CHECK_IN_PATH: messages, SCEP_PATH: scep}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection of ASGI."""
        if scope["type"] == "http":
            path: str = scope["path"]
            endpoint, door = path, self._doors.get(path)
            if door is None:
                endpoint = path if path in self._ways_in else f"/{path[1:].partition('/')[0]}"
                door = self._ways_in.get(endpoint)
            if door is not None:
                try:
                    await door(scope, receive, self._tally.counting(endpoint, send))
                except Exception:
                    self._tally.note_fault(endpoint)
                    raise
                return
        await self._others(scope, receive, send)

    async def drain(self) -> None:
        """Return when everything that devices said is written."""
        await self._messages.drain()
        await self._recorder.drain()
