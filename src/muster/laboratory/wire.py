"""The network between simulated devices and the server, which loses what it is told to lose and notes what it saw.

What it notes is a witness of its own: the server's database is checked against it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import NoReturn
from urllib.parse import urlsplit

from muster.protocol.connect import ReportHead, Status, looks_like_checkin, read_report_head
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.plist import read_top_level
from muster.simulator.transport import AsgiApp, AsgiMessage, AsgiTransport, ConnectionLost, Response

FINAL = frozenset({Status.ACKNOWLEDGED, Status.ERROR, Status.COMMAND_FORMAT_ERROR})
"""Statuses that answer a command for good."""
_COMMAND_UUID = frozenset({"CommandUUID"})


@dataclass(slots=True)
class Faults:
    """What goes wrong between one device and the server. Shares are of all requests, 0 to 1.

    lost_requests: the server never sees them. lost_replies: the server has done its part, the device never learns.
    cut_after: so many more requests get through, then none; None: no such cut. is_blocked: none gets through, for a
    firewall or a middlebox whose certificate devices refuse. delay_seconds: how much longer each takes.
    """

    lost_requests: float = 0.0
    lost_replies: float = 0.0
    cut_after: int | None = None
    is_blocked: bool = False
    delay_seconds: float = 0.0


@dataclass(slots=True)
class CommandTrace:
    """One command on one channel, as it went over the wire, lost or not. *answered*: with a final status."""

    handed_out: int = 0
    not_now: int = 0
    answered: int = 0
    handed_out_after_answer: int = 0


@dataclass(slots=True)
class WireLedger:
    """What passed between one device and the server. *statuses* counts the server's replies by HTTP status.

    *tap* is called with each request that the server replied to and the reply: for whoever looks closer.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    lost_requests: int = 0
    lost_replies: int = 0
    commands: dict[tuple[ChannelId, CommandUUID], CommandTrace] = field(default_factory=dict)
    tap: Callable[[str, Mapping[str, str], bytes, Response], None] | None = None

    def note(self, method: str, url: str, headers: Mapping[str, str], body: bytes, response: Response) -> None:
        """Note a request that the server replied to."""
        self.statuses[response.status] += 1
        if self.tap is not None:
            self.tap(url, headers, body, response)
        if method != "PUT" or not response.is_success or looks_like_checkin(headers.get("Content-Type"), body):
            return
        head = _head_of(body)
        if head is None:
            return  # the server's to judge
        channel_id = head.channel.id
        if head.command_uuid is not None:
            trace = self._trace(channel_id, head.command_uuid)
            trace.answered += head.status in FINAL
            trace.not_now += head.status is Status.NOT_NOW
        if response.body:
            trace = self._trace(channel_id, _command_uuid_of(response.body))
            trace.handed_out += 1
            trace.handed_out_after_answer += trace.answered > 0

    def _trace(self, channel_id: ChannelId, command_uuid: CommandUUID) -> CommandTrace:
        return self.commands.setdefault((channel_id, command_uuid), CommandTrace())


@lru_cache(maxsize=4096)
def _head_of(body: bytes) -> ReportHead | None:
    """What a report says of itself; a device that has nothing to say says it in the same bytes, day after day."""
    try:
        return read_report_head(body)
    except MalformedMessage:
        return None


@lru_cache(maxsize=64)
def _command_uuid_of(body: bytes) -> CommandUUID:
    """Which command it is; one goes to many."""
    command_uuid = read_top_level(body, _COMMAND_UUID)["CommandUUID"]
    assert isinstance(command_uuid, str)
    return CommandUUID(command_uuid)


@dataclass(slots=True)
class OwnFaults:
    """What goes wrong on the server's side of the wire, for everybody.

    failing: shares of requests that end in a fault of the application, each of those whose path begins so.
    drops_identity: a proxy drops what says who speaks. is_untrusted: devices don't trust the server's TLS certificate.
    """

    failing: list[tuple[float, str]] = field(default_factory=list)
    drops_identity: bool = False
    is_untrusted: bool = False


class InducedFault(Exception):
    """What the application meets where it is to fail."""


async def _fail() -> NoReturn:
    raise InducedFault("a fault of the server was asked for")


class Wire:
    """Carries requests to the application that is plugged in; while there is none, nobody answers.

    *rng* decides which requests `faults` strike.
    """

    def __init__(self, rng: Random | None = None) -> None:
        self.faults = OwnFaults()
        self._rng = rng or Random(0)  # noqa: S311 - to be repeated is the point
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
        if self.faults.is_untrusted:
            raise ConnectionLost("the server's TLS certificate is not trusted")
        if self.faults.drops_identity:
            headers = {name: value for name, value in headers.items() if name.lower() != "mdm-signature"}
        application, is_to_fail = self._application, self._is_to_fail(url)
        if is_to_fail:
            application = _failing(application)
        self._in_flight += 1
        try:
            transport = AsgiTransport(application, client, raise_faults=not is_to_fail)
            return await transport.send(method, url, headers, body)
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._all_answered.set()

    def _is_to_fail(self, url: str) -> bool:
        path = urlsplit(url).path if self.faults.failing else ""
        return any(path.startswith(begins) and self._rng.random() < share for share, begins in self.faults.failing)


def _failing(application: AsgiApp) -> AsgiApp:
    """*application*, which meets a fault as soon as it reads a request's body."""

    async def fail_at_body(
        scope: AsgiMessage,
        _receive: Callable[[], Awaitable[AsgiMessage]],
        send: Callable[[AsgiMessage], Awaitable[None]],
    ) -> None:
        await application(scope, _fail, send)

    return fail_at_body


class WireTransport:
    """One device's way to its server (`muster.simulator.transport.Transport`). `faults` may be changed at any time."""

    def __init__(self, wire: Wire, client: tuple[str, int], rng: Random) -> None:
        """Requests come from *client*, which may be changed as well; *rng* decides which are lost."""
        self.client = client
        self.faults = Faults()
        self.ledger = WireLedger()
        self._wire = wire
        self._rng = rng

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """As Transport.send. Raises ConnectionLost."""
        if self.faults.delay_seconds:
            await asyncio.sleep(self.faults.delay_seconds)
        if self.faults.is_blocked or self._is_cut() or self._is_lost(self.faults.lost_requests):
            self.ledger.lost_requests += 1
            raise ConnectionLost("the request was lost")
        response = await self._wire.carry(self.client, method, url, headers, body)
        self.ledger.note(method, url, headers, body, response)
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
