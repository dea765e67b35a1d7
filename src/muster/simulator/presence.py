"""A device's presence at APNs: it listens for all its lines or for none, gets tokens, and tells when one has ended.

What APNs knows is what the device could tell it: one that is off or without a network ends its installations unheard,
and APNs learns of that when the device is back.
"""

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Protocol

from muster.protocol.apns import Push
from muster.protocol.identifiers import ChannelId


class Network(Enum):
    """Where the network that a device is in leads to."""

    WHOLE = "to the server and to APNs"
    WITHOUT_APNS = "to the server; a firewall lets nothing through to APNs (port 5223)"
    NONE = "nowhere"

    @property
    def reaches_server(self) -> bool:
        """Whether requests get out."""
        return self is not Network.NONE

    @property
    def reaches_apns(self) -> bool:
        """Whether pushes get in."""
        return self is Network.WHOLE


class PushService(Protocol):
    """What a device needs of APNs; `SimulatedAPNs` has it."""

    def issue_token(self, topic: str) -> bytes:
        """A new push token for *topic*, offline at first."""
        ...

    def go_online(self, token: bytes, wake: Callable[[Push], None], now: datetime) -> None:
        """Hand the stored push and every later one to *wake*, at once."""
        ...

    def go_offline(self, token: bytes) -> None:
        """Keep what comes for later."""
        ...

    def unregister(self, token: bytes, at: datetime) -> None:
        """Refuse *token* from now on."""
        ...


class Presence:
    """`is_online` is whether the device and APNs hear one another now. `tokens` are all that it was ever issued, each
    with the channel it was for: what a server can have been told."""

    def __init__(self, service: PushService, clock: Callable[[], datetime]) -> None:
        self.is_online = True
        self.tokens: dict[bytes, ChannelId] = {}
        self._service = service
        self._clock = clock
        self._listening: dict[bytes, Callable[[Push], None]] = {}
        self._ended: list[bytes] = []
        self.on_token: list[Callable[[bytes], None]] = []  # called with each new one

    def go_online(self) -> None:
        """Hear APNs: what it kept is handed over, and it learns of the tokens that were given up."""
        self.is_online = True
        self.bury_abandoned()
        for token, wake in list(self._listening.items()):
            self._service.go_online(token, wake, self._clock())

    def go_offline(self) -> None:
        """Hear nothing of APNs until `go_online`."""
        self.is_online = False
        for token in self._listening:
            self._service.go_offline(token)

    def issue_token(self, topic: str, channel_id: ChannelId) -> bytes:
        """Get a new push token for a channel."""
        token = self._service.issue_token(topic)
        self.tokens[token] = channel_id
        for heed in self.on_token:
            heed(token)
        return token

    def listen(self, token: bytes, wake: Callable[[Push], None]) -> None:
        """Have pushes to *token* handed to *wake* whenever the device is online, the stored one first."""
        self._listening[token] = wake
        if self.is_online:
            self._service.go_online(token, wake, self._clock())

    def stop_listening(self, token: bytes) -> None:
        """Have pushes to *token* kept for later."""
        self._listening.pop(token, None)
        self._service.go_offline(token)

    def end(self, token: bytes) -> None:
        """Give up *token*; APNs learns at once, or when the device is online again."""
        self.abandon(token)
        if self.is_online:
            self.bury_abandoned()

    def abandon(self, token: bytes) -> None:
        """Give up *token* without a word, as an erase does; APNs learns when the device is set up again."""
        self.stop_listening(token)
        self._ended.append(token)

    def bury_abandoned(self) -> None:
        """Tell APNs of every token that was given up."""
        for token in self._ended:
            self._service.unregister(token, self._clock())
        self._ended.clear()
