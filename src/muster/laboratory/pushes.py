"""The push port over simulated APNs: what the server sends goes through the wire's form and takes no time."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import (
    OutcomeClass,
    Push,
    PushOutcome,
    decode_reply,
    decode_request,
    encode_refusal,
    request_body,
    request_headers,
    request_path,
)
from muster.simulator.apns import Refusal, SimulatedAPNs


class SimulatedPushSender:
    """The `PushSender` of the laboratory. The real one is tested over sockets; connections are not simulated here.

    While *is_unreachable*, no push gets an answer, nor does APNs see it. `outcomes` counts what was answered.
    """

    def __init__(self, apns: SimulatedAPNs, now: Callable[[], datetime]) -> None:
        self.is_unreachable = False
        self.outcomes: Counter[str] = Counter()
        self._apns = apns
        self._now = now

    def send(self, credentials: PushCredentials, pushes: Sequence[Push], settle: Callable[[PushReceipt], None]) -> None:
        """Send *pushes*, and settle each at once."""
        for push in pushes:
            receipt = self._send(credentials, push)
            self.outcomes[receipt.outcome.outcome_class.value] += 1
            settle(receipt)

    async def close(self) -> None:
        """Nothing to let go of; a restarted server goes on with the same APNs."""

    def _send(self, credentials: PushCredentials, push: Push) -> PushReceipt:
        if self.is_unreachable:
            return PushReceipt(push.apns_id, PushOutcome(OutcomeClass.NO_ANSWER, 0), 0.0)
        received = decode_request(request_path(push), request_headers(push), request_body(push))
        refusal = (
            self._apns.receive(received, self._now())
            if received.topic == credentials.topic
            else Refusal("TopicDisallowed")
        )
        headers = {"apns-id": received.apns_id}
        if refusal is None:
            return PushReceipt(push.apns_id, decode_reply(200, headers, b""), 0.0)
        body = encode_refusal(refusal.reason, refusal.unregistered_at)
        return PushReceipt(push.apns_id, decode_reply(refusal.status, headers, body), 0.0)
