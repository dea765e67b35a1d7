"""Sends pushes to APNs over HTTP/2 with the push certificate as client certificate.

Source: "Sending notification requests to APNs" and "Establishing a certificate-based connection to APNs".
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

from muster.edges.apns.backoff import next_attempt_delay
from muster.edges.apns.batch import Batch
from muster.edges.apns.courier import Courier
from muster.edges.apns.transfer import Endpoint
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import Push

PRODUCTION_HOST = "api.push.apple.com"

# Four connections of at least 100 streams each, the least that HTTP/2 advises a server to allow (RFC 9113, 6.5.2): what
# the server has no stream for would wait inside libcurl, and that wait counts against the timeout.
MAX_IN_FLIGHT = 400


class ApnsProvider:
    """The `PushSender` which speaks to APNs, or to anything that answers as APNs does.

    Connections are opened at the first push, kept open, and shared by all calls of `send` under the same certificate.
    A push without an answer (connection lost, stream reset, timeout) is sent again with the same apns-id, after the
    delay which *next_delay* gives for the attempt that failed; None ends it as `no_answer`. Whatever APNs answers is an
    outcome and final here, 429 and 5xx too: when to push again is for the caller to decide.

    APNs also answers on port 2197, which a firewall can open for it alone.

    *ca_pem* replaces the system's trust; *proxy* is an HTTP proxy's URL, None for a direct way. *timeout_seconds* is
    for one attempt. *max_in_flight* is for each push certificate. Owns a thread from the start until `close`.
    """

    def __init__(
        self,
        host: str = PRODUCTION_HOST,
        port: int = 443,
        *,
        rng: Random,
        ca_pem: bytes | None = None,
        proxy: str | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
        connect_timeout_seconds: float = 10.0,
        timeout_seconds: float = 30.0,
        next_delay: Callable[[int, Random], float | None] = next_attempt_delay,
    ) -> None:
        endpoint = Endpoint(host, port, ca_pem, proxy, connect_timeout_seconds, timeout_seconds)
        self._courier = Courier(endpoint, max_in_flight=max_in_flight, rng=rng, next_delay=next_delay)

    async def send(self, credentials: PushCredentials, pushes: Sequence[Push]) -> list[PushReceipt]:
        """Send *pushes* and return one receipt for each, in the same order.

        Never raises for what the network or APNs does. Cancelling drops the pushes which were not begun; those under
        way may still arrive. Raises RuntimeError after `close`.
        """
        if not pushes:
            return []
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[PushReceipt]] = loop.create_future()

        def hand_over(receipts: list[PushReceipt]) -> None:
            if not done.done():
                done.set_result(receipts)

        def deliver(receipts: list[PushReceipt]) -> None:
            with suppress(RuntimeError):  # the loop is closed: its callers are gone
                loop.call_soon_threadsafe(hand_over, receipts)

        batch = Batch(credentials, pushes, deliver)
        self._courier.submit(batch)
        try:
            return await done
        except asyncio.CancelledError:
            batch.abandon()
            raise

    def close(self) -> None:
        """Close all connections and end the thread, after which no push is under way. May be repeated.

        Calls of `send` which still wait end with `no_answer` for the pushes that had no answer yet.
        """
        self._courier.stop()
