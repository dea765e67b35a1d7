"""Sends pushes to APNs over HTTP/2 with the push certificate as client certificate.

Source: "Sending notification requests to APNs" and "Establishing a certificate-based connection to APNs".
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from muster.edges.apns.backoff import Pace
from muster.edges.apns.exchange import MAX_STREAMS
from muster.edges.apns.lane import MAX_CONNECTIONS, Lane
from muster.edges.apns.link import HTTPS_PORT, Endpoint
from muster.edges.apns.tls import make_context
from muster.edges.apns.tunnel import read_proxy
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import Push

PRODUCTION_HOST: Final = "api.push.apple.com"


class ApnsProvider:
    """The `PushSender` which speaks to APNs, or to anything that answers as APNs does, on the running event loop.

    Connections are opened at the first push, kept open, and shared by all calls of `send` under the same certificate.
    A push without an answer (connection lost, stream reset, timeout) is sent again with the same apns-id, as *pace*
    has it; at the end it is `no_answer`. One that the server says it has not touched is sent again and that is not
    counted. Whatever APNs answers is an outcome and final here, 429 and 5xx too: when to push again is for the caller
    to decide. A server that refuses the push certificate makes everything that waits `certificate_refused`; a
    certificate that can't be used makes it `our_fault`.

    APNs also answers on port 2197, which a firewall can open for it alone.
    """

    def __init__(
        self,
        host: str = PRODUCTION_HOST,
        port: int = HTTPS_PORT,
        *,
        rng: Random,
        ca_pem: bytes | None = None,
        proxy: str | None = None,
        pace: Pace | None = None,
        max_connections: int = MAX_CONNECTIONS,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        """Open nothing yet. *ca_pem* replaces the system's trust; *proxy* is the URL of an HTTP proxy, None for a
        direct way, whatever the environment says. *max_connections* is for each push certificate, *max_streams* for
        each connection.

        Raises ValueError when *ca_pem* holds no certificate, or *proxy* is no URL that `read_proxy` takes.
        """
        self._endpoint = Endpoint(host, port, None if proxy is None else read_proxy(proxy))
        if ca_pem is not None:
            make_context(ca_pem)
        self._ca_pem = ca_pem
        self._rng = rng
        self._pace = Pace() if pace is None else pace
        self._max_connections = max_connections
        self._max_streams = max_streams
        self._lanes: dict[PushCredentials, Lane] = {}
        self._newest: dict[str, Lane] = {}
        self._leaving: set[Lane] = set()
        self._is_closed = False

    def send(self, credentials: PushCredentials, pushes: Sequence[Push], settle: Callable[[PushReceipt], None]) -> None:
        """Begin to send *pushes*; *settle* is called once for each, on this event loop, in the order of outcomes.

        The last outcome comes `Pace.push_seconds` from now at the latest. Raises RuntimeError after `close`.
        """
        if self._is_closed:
            raise RuntimeError("the APNs provider is closed")
        if pushes:
            self._lane_of(credentials).submit(pushes, settle)

    async def close(self) -> None:
        """Close all connections. What has no outcome yet gets `no_answer`, before this returns. May be repeated."""
        self._is_closed = True
        lanes = [*self._lanes.values(), *self._leaving]
        for lane in lanes:
            lane.close()
        await asyncio.gather(*(lane.gone for lane in lanes))

    def _lane_of(self, credentials: PushCredentials) -> Lane:
        """A renewed certificate gets a lane of its own; the one of its predecessor is closed as soon as it is idle."""
        lane = self._lanes.get(credentials)
        if lane is not None and lane.is_closed:
            self._leaving.add(lane)
        if lane is None or lane.is_closed:
            lane = Lane(
                self._endpoint,
                credentials,
                ca_pem=self._ca_pem,
                pace=self._pace,
                rng=self._rng,
                on_gone=self._on_gone,
                max_connections=self._max_connections,
                max_streams=self._max_streams,
            )
            self._lanes[credentials] = lane
        former = self._newest.get(credentials.topic)
        if former is not lane:
            self._newest[credentials.topic] = lane
            lane.is_superseded = False
            if former is not None:
                former.supersede()
        return lane

    def _on_gone(self, lane: Lane) -> None:
        self._leaving.discard(lane)
        if self._lanes.get(lane.credentials) is lane:
            del self._lanes[lane.credentials]
