"""The worker that looks at our public address now and then, as devices meet it."""

from datetime import datetime, timedelta

import structlog

from muster.operations.note_self_tests import note_self_tests
from muster.operations.ports import PublicTest, Runner

FIRST_AFTER = timedelta(minutes=1)
"""After the start: what stands before us needs a moment to notice that we are back."""

log = structlog.get_logger("muster.self_test")


class SelfTestWorker:
    """Looks *every* so often by *test*, and has noted what it met."""

    def __init__(self, runner: Runner, test: PublicTest, every: timedelta) -> None:
        self._runner = runner
        self._test = test
        self._every = every
        self._began_at = runner.now()
        self._failure = ""

    async def step(self) -> datetime | None:
        """Look, unless the server has just started; returns when to look again."""
        now = self._runner.now()
        if timedelta(0) <= now - self._began_at < FIRST_AFTER:
            return self._began_at + FIRST_AFTER
        face = await self._test()
        if face.failure != self._failure:
            if face.failure:
                log.warning("public_address_does_not_answer", reason=face.failure)
            else:
                log.info("public_address_answers_again")
            self._failure = face.failure
        for outage in (await self._runner.write(note_self_tests, [face]))[0]:
            log.error("own_fault_found", reason=outage.reason.value, what=outage.words)
        return now + self._every
