"""The familiar door of a small site, and an APNs that answers in line; it lacks connections, delays and its own ids."""

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from starlette.applications import Starlette
from tests.support.browser import Browser, Reply
from tests.support.pushed_fleet import claim, record
from tests.support.site import Site

from muster.domain.access import SERVER, Actor
from muster.edges.nanomdm.activation_lock import AskApple, UnlockAnswer
from muster.edges.nanomdm.routes import make_nanomdm_api
from muster.operations.context import Context
from muster.operations.ports import PushCredentials
from muster.protocol.apns import OutcomeClass
from muster.storage.engine import Transaction

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

KEY = "the key of the door"
BY_KEY = ("authorization", f"Basic {base64.b64encode(f'nanomdm:{KEY}'.encode()).decode()}")


class AnsweringRunner:
    """Runs operations on *site*; before anything is read, due pushes are sent and answered as `answers` has it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.answers: dict[str, tuple[OutcomeClass, int, str | None, datetime | None]] = {}
        """By channel; others are accepted."""
        self.sent: dict[str, str] = {}
        """The apns-id of the last push of each channel."""
        self.is_answering = True

    async def write(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]],
        items: Sequence[Item],
        actor: Actor = SERVER,
    ) -> list[Outcome]:
        """Run *operation*."""
        return await self.site.runner.write(operation, items, actor)

    async def read(self, view: Callable[[Transaction], T]) -> T:
        """Answer the pushes that are due, and run *view*."""
        if self.is_answering:
            for one in claim(self.site):
                self.sent[one.channel_id] = one.push.apns_id
                outcome, status, reason, dead_since = self.answers.get(
                    one.channel_id, (OutcomeClass.ACCEPTED, 200, None, None)
                )
                record(self.site, [one], outcome, status, reason=reason, unregistered_at=dead_since)
        return await self.site.runner.read(view)

    def now(self) -> datetime:
        """Return the site's time."""
        return self.site.now


async def no_apple(_credentials: PushCredentials, _query: str, _body: bytes) -> UnlockAnswer:
    """Stand for an Apple that is away."""
    raise ConnectionRefusedError("connection refused")


class FamiliarDoor:
    """The door of *site*, and one who knocks with its key."""

    def __init__(self, site: Site, ask_apple: AskApple = no_apple, *, takes_over: bool = False) -> None:
        self.site = site
        self.runner = AnsweringRunner(site)
        routes = make_nanomdm_api(
            self.runner, KEY, version="1.2.3", ask_apple=ask_apple, push_seconds=0, takes_over=takes_over
        )
        self.browser = Browser(Starlette(routes=routes))

    def ask(self, method: str, target: str, body: bytes = b"", *headers: tuple[str, str]) -> Reply:
        """Knock with the key."""
        return self.browser.ask(method, target, (BY_KEY, *headers), body)
