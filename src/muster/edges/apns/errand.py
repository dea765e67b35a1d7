"""One push on its way to its outcome."""

from collections.abc import Callable

from muster.operations.ports import PushReceipt
from muster.protocol.apns import Push


class Errand:
    """A push, whom to tell its outcome, and how often it was tried.

    begin_by: when its last attempt has to begin, on the loop's clock. attempts: how often it may have reached APNs.
    refusals: how often the server refused its stream.
    """

    __slots__ = ("attempts", "begin_by", "push", "refusals", "settle")

    def __init__(self, push: Push, settle: Callable[[PushReceipt], None], begin_by: float) -> None:
        self.push = push
        self.settle = settle
        self.begin_by = begin_by
        self.attempts = 0
        self.refusals = 0
