"""Signatures of simulated devices, made by a second process while the first plays on: they are a tenth of its work.

What is signed and by which key decides every byte, so that it is of no consequence who does it: with one processor, or
by a key that is none of the published ones, it is done in place, at the same step. The process ends with its pipe.
"""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from datetime import datetime
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

from muster.crypto.algorithms import Digest
from muster.crypto.cms.signing import SignerIdentity
from muster.laboratory.virtual_time import VirtualTimeLoop
from muster.protocol.mdm_signature import make_mdm_signature
from muster.simulator.keys.published import published_keys

MAX_UNDER_WAY: Final = 16
"""Signatures that nobody has taken yet: they have some 3 KB each, and a pipe holds 64 KB before its writer waits."""


class SigningAside:
    """Makes signatures for devices of the world in *loop*; a context, at whose end the process ends.

    *processors*: how many there are; with one it signs in place.
    """

    def __init__(self, loop: VirtualTimeLoop, *, processors: int | None = None) -> None:
        self._loop = loop
        self._has_company = (processors or os.cpu_count() or 1) > 1
        self._numbers = {id(key): number for number, key in enumerate(published_keys())}
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._under_way: deque[list[str]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.wait()

    async def sign(
        self,
        body: bytes,
        identity: SignerIdentity,
        digest: Digest,
        with_attributes: bool,
        signing_time: datetime | None,
    ) -> str:
        """As `mdm_requests.sign_in_place`, at the same instant and after all else that is ready."""
        number = self._numbers.get(id(identity.key)) if self._has_company else None
        if number is None:
            return await self._loop.aside(
                lambda: make_mdm_signature(
                    body, identity, digest=digest, with_attributes=with_attributes, signing_time=signing_time
                )
            )
        return await self._loop.aside(
            self._asked((body, identity.certificate_der, number, digest, with_attributes, signing_time))
        )

    def _asked(self, question: object) -> Callable[[], str]:
        """Send *question*; returns what waits for its answer."""
        pipe = self._pipe or self._start()
        if len(self._under_way) >= MAX_UNDER_WAY:
            self._receive(pipe)
        pipe.send(question)
        answer: list[str] = []
        self._under_way.append(answer)

        def take() -> str:
            while not answer:
                self._receive(pipe)
            return answer[0]

        return take

    def _receive(self, pipe: Connection) -> None:
        self._under_way.popleft().append(pipe.recv())

    def _start(self) -> Connection:
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves, with a number of our own
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        return self._pipe


def _answer_all(pipe: Connection) -> None:
    """Sign whatever is asked for, until the other end is closed."""
    keys = published_keys()
    while True:
        try:
            body, certificate_der, number, digest, with_attributes, signing_time = pipe.recv()
        except EOFError:
            return
        pipe.send(
            make_mdm_signature(
                body,
                SignerIdentity(certificate_der, keys[number]),
                digest=digest,
                with_attributes=with_attributes,
                signing_time=signing_time,
            )
        )


if __name__ == "__main__":
    _answer_all(Connection(int(sys.argv[1])))
