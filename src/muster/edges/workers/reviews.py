"""The review worker: each channel is looked at when its review is due."""

from datetime import datetime

from muster.operations.ports import Runner
from muster.operations.review_channels import review_channels


class ReviewWorker:
    """Reviews the channels that are due."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def step(self) -> datetime | None:
        """Review everything that is due; returns when the next review is."""
        while True:
            reviewed = (await self._runner.write(review_channels, [None]))[0]
            if not reviewed.more:
                return reviewed.next_due_at
