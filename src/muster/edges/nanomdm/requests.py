"""Who asks, by basic authentication, and the bounded body of the request."""

import asyncio
import base64
import binascii
import hmac
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from muster.domain.access import Actor, ActorKind
from muster.domain.principals import Principal
from muster.domain.roles import Role
from muster.operations.limit_guesses import Guesses
from muster.operations.manage_tokens import TokenUse, find_token, is_shaped_like_a_token, note_token_uses
from muster.operations.ports import Runner

USER: Final = "nanomdm"
BODY_SECONDS: Final = 60
"""For the body of a request: a profile or a command, from a script near by."""
MAXIMUM_BODY_BYTES: Final = 16 * 1024 * 1024
"""A command that installs a large profile has a few; the same bound as for what devices send."""


class BodyTooLarge(Exception):
    """The body has more than MAXIMUM_BODY_BYTES."""


class TooManyGuesses(Exception):
    """The address showed too much that opens nothing; *seconds* are to be waited."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many guesses; wait {seconds} s")
        self.seconds = seconds


class DoorKeeper:
    """Tells who comes: by *key*, which opens everything, or by an API token, with its role and scope."""

    def __init__(self, runner: Runner, key: str) -> None:
        self._runner = runner
        self._key = key.encode()
        self._guesses = Guesses()

    async def who(self, request: Request) -> Principal | None:
        """Tell who shows what opens the door (RFC 7617); None: nobody does. Raises TooManyGuesses, Unavailable."""
        shown = _credentials(request.headers.get("authorization", ""))
        if shown is None:
            return None
        source = source_of(request)
        wait = self._guesses.wait(source, shown, self._runner.now())
        if wait is not None:
            raise TooManyGuesses(wait)
        found = await self._look_at(shown, source)
        if found is None:
            self._guesses.was_wrong(source, shown)
        else:
            self._guesses.was_right(source, shown)
        return found

    async def _look_at(self, shown: bytes, source: str) -> Principal | None:
        user, _, password = shown.partition(b":")
        is_user = hmac.compare_digest(user, USER.encode())
        is_key = hmac.compare_digest(password, self._key)  # both, whichever differs
        if is_user and is_key:
            return Principal(Actor(ActorKind.PROGRAM, USER, Role.OWNER, source))
        return await self._by_token(password, source) if is_user else None

    async def _by_token(self, password: bytes, source: str) -> Principal | None:
        secret, now = password.decode("latin-1"), self._runner.now()
        if not is_shaped_like_a_token(secret):
            return None
        found = await self._runner.read(lambda tx: find_token(tx, secret, now))
        if found is None:
            return None
        principal = found.principal(source)
        if found.is_use_due:
            await self._runner.write(note_token_uses, [TokenUse(found.token.id, source)], principal.actor)
        return principal


def _credentials(header: str) -> bytes | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        shown = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return shown if b":" in shown else None


async def read_body(request: Request, limit: int = MAXIMUM_BODY_BYTES) -> bytes:
    """Read the body. Raises BodyTooLarge beyond *limit* bytes, ClientDisconnect, TimeoutError."""
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for part in request.stream():
            body += part
            if len(body) > limit:
                raise BodyTooLarge(f"the body has more than {limit} bytes")
    return bytes(body)


def source_of(request: Request) -> str:
    """The address that asks."""
    return "" if request.client is None else request.client.host


def is_of_another_site(request: Request) -> bool:
    """Tell whether a page of another site has somebody's browser ask, which shows what that person once typed.

    By Sec-Fetch-Site where the browser sends it, else by Origin; programs send neither.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
