"""The network between simulated devices and the server, which loses what it is told to lose and notes what it saw.

What it notes is a witness of its own: the server's database is checked against it.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from muster.protocol.connect import Status, looks_like_checkin, read_report_head
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.plist import read_top_level
from muster.simulator.transport import AsgiApp, AsgiTransport, ConnectionLost, Response

FINAL = frozenset({Status.ACKNOWLEDGED, Status.ERROR, Status.COMMAND_FORMAT_ERROR})
"""Statuses that answer a command for good."""
_COMMAND_UUID = frozenset({"CommandUUID"})


@dataclass(slots=True)
class Faults:
    """What goes wrong between one device and the server. Shares are of all requests, 0 to 1.

    lost_requests: the server never sees them. lost_replies: the server has done its part, the device never learns.
    cut_after: so many more requests get through, then none; None: no such cut.
    """

    lost_requests: float = 0.0
    lost_replies: float = 0.0
    cut_after: int | None = None


@dataclass(slots=True)
class CommandTrace:
    """One command on one channel, as it went over the wire, lost or not. *answered*: with a final status."""

    handed_out: int = 0
    not_now: int = 0
    answered: int = 0
    handed_out_after_answer: int = 0


@dataclass(slots=True)
class WireLedger:
    """What passed between one device and the server. *statuses* counts the server's replies by HTTP status."""

    statuses: Counter[int] = field(default_factory=Counter)
    lost_requests: int = 0
    lost_replies: int = 0
    commands: dict[tuple[ChannelId, CommandUUID], CommandTrace] = field(default_factory=dict)

    def note(self, method: str, headers: Mapping[str, str], body: bytes, response: Response) -> None:
        """Note a request that the server replied to."""
        self.statuses[response.status] += 1
        if method != "PUT" or not response.is_success or looks_like_checkin(headers.get("Content-Type"), body):
            return
        try:
            head = read_report_head(body)
        except MalformedMessage:
            return  # the server's to judge
        channel_id = head.channel.id
        if head.command_uuid is not None:
            trace = self._trace(channel_id, head.command_uuid)
            trace.answered += head.status in FINAL
            trace.not_now += head.status is Status.NOT_NOW
        if response.body:
            command_uuid = read_top_level(response.body, _COMMAND_UUID)["CommandUUID"]
            assert isinstance(command_uuid, str)
            trace = self._trace(channel_id, CommandUUID(command_uuid))
            trace.handed_out += 1
            trace.handed_out_after_answer += trace.answered > 0

    def _trace(self, channel_id: ChannelId, command_uuid: CommandUUID) -> CommandTrace:
        return self.commands.setdefault((channel_id, command_uuid), CommandTrace())


class Wire:
    """Carries requests to the application that is plugged in; while there is none, nobody answers."""

    def __init__(self) -> None:
        self._application: AsgiApp | None = None
        self._in_flight = 0
        self._all_answered = asyncio.Event()

    def plug_in(self, application: AsgiApp) -> None:
        """Have *application* answer from now on."""
        self._application = application

    async def unplug(self) -> None:
        """Let nothing more in; returns when what is in flight is answered, as a server that is stopped does."""
        self._application = None
        while self._in_flight:
            self._all_answered.clear()
            await self._all_answered.wait()

    async def carry(
        self, client: tuple[str, int], method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        """Make one request. Raises ConnectionLost while nobody answers, and what the application raises."""
        if self._application is None:
            raise ConnectionLost("the server is down")
        self._in_flight += 1
        try:
            return await AsgiTransport(self._application, client).send(method, url, headers, body)
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._all_answered.set()


class WireTransport:
    """One device's way to its server (`muster.simulator.transport.Transport`). `faults` may be changed at any time."""

    def __init__(self, wire: Wire, client: tuple[str, int], rng: Random) -> None:
        """Requests come from *client*; *rng* decides which are lost."""
        self.faults = Faults()
        self.ledger = WireLedger()
        self._wire = wire
        self._client = client
        self._rng = rng

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """As Transport.send. Raises ConnectionLost."""
        if self._is_cut() or self._is_lost(self.faults.lost_requests):
            self.ledger.lost_requests += 1
            raise ConnectionLost("the request was lost")
        response = await self._wire.carry(self._client, method, url, headers, body)
        self.ledger.note(method, headers, body, response)
        if self._is_lost(self.faults.lost_replies):
            self.ledger.lost_replies += 1
            raise ConnectionLost("the reply was lost")
        return response

    def _is_cut(self) -> bool:
        if self.faults.cut_after is None:
            return False
        self.faults.cut_after -= 1
        return self.faults.cut_after < 0

    def _is_lost(self, share: float) -> bool:
        return share > 0 and self._rng.random() < share
