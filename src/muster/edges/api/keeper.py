"""Who asks: whoever shows an API token as a bearer (RFC 6750), with its role and its scope, and no cookie at all."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from starlette.requests import Request

from muster.domain.principals import Principal
from muster.edges.api.problems import Problem
from muster.edges.api.rates import RateLimiter
from muster.operations.limit_guesses import Guesses
from muster.operations.manage_tokens import FoundToken, TokenUse, find_token, is_shaped_like_a_token, note_token_uses
from muster.operations.ports import Runner

CHALLENGE: Final = 'Bearer realm="muster"'

log = structlog.get_logger("muster.api")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, and what is said to them of how often they may."""

    principal: Principal
    token_id: str
    headers: dict[str, str]


class Keeper:
    """Lets those in who show a token, each no oftener than they may."""

    def __init__(self, runner: Runner, requests_per_minute: int) -> None:
        self._runner = runner
        self._rates = RateLimiter(requests_per_minute)
        self._guesses = Guesses()

    async def who(self, request: Request) -> Visitor:
        """Tell who asks. Raises Problem for those without a good token and those who ask too often; Unavailable."""
        source = "" if request.client is None else request.client.host
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        now = self._runner.now()
        found = None
        if scheme.lower() == "bearer" and is_shaped_like_a_token(secret.strip()):
            found = await self._look_up(source, secret.strip(), now)
        if found is None:
            log.warning("token_refused", source=source)
            raise Problem(
                "credentials_missing",
                "no API token that is good stands in Authorization",
                "An owner makes one: `muster tokens create`. It is shown as `Authorization: Bearer TOKEN`.",
                headers={"WWW-Authenticate": CHALLENGE},
            )
        self._guesses.was_right(source, secret.strip().encode())
        allowance = self._rates.take(found.token.id, now)
        if allowance.retry_after_seconds is not None:
            raise Problem(
                "too_many_requests",
                f"this token may ask {allowance.quota:,} times a minute",
                "Wait as long as Retry-After says; lists take `limit`, and exports give all of a list in one answer.",
                headers=allowance.headers(),
            )
        principal = found.principal(source)
        if found.is_use_due:
            await self._runner.write(note_token_uses, [TokenUse(found.token.id, source)], principal.actor)
        return Visitor(principal, found.token.id, allowance.headers())

    async def _look_up(self, source: str, secret: str, now: datetime) -> FoundToken | None:
        """Find the token, unless the address showed too many that are none. Raises Problem then."""
        wait = self._guesses.wait(source, secret.encode(), now)
        if wait is not None:
            raise Problem(
                "too_many_requests",
                "this address showed too many API tokens that are not good",
                "Wait as long as Retry-After says, and see in `muster tokens list` whether the token has ended.",
                headers={"Retry-After": str(wait)},
            )
        found = await self._runner.read(lambda tx: find_token(tx, secret, now))
        if found is None:
            self._guesses.was_wrong(source, secret.encode())
        return found
