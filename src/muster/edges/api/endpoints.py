"""One address for programs: what it takes, gives and refuses, read off the function that answers it.

The table of these (`table.py`) is what requests are answered by, and what the OpenAPI document is made from.
"""

import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, get_type_hints

from muster.domain.errors import Refusal
from muster.domain.permissions import Permission
from muster.domain.policy import Policy
from muster.domain.principals import Principal
from muster.edges.api.problems import of_refusal
from muster.edges.api.writing import as_json
from muster.operations.answer_once import NamedRequest, once
from muster.operations.context import Context
from muster.operations.permit import Sight, foreseen, permitted, seen
from muster.operations.ports import Runner
from muster.storage.engine import Transaction

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Answering = TypeVar("Answering", bound=Callable[..., Awaitable[object]])

MAXIMUM_BODY_BYTES: Final = 1024 * 1024
"""Five thousand ids have a quarter of it."""
MAXIMUM_FILE_BYTES: Final = 16 * 1024 * 1024
"""Of a body that holds a profile or a command: the same bound as for what devices send, in base64."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list. *next* is the `cursor` of the page after it, absent on the last one."""

    items: tuple[T, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that is sent as it is read, part by part. *name*: of the file, where somebody saves it."""

    media_type: str
    name: str
    parts: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Site:
    """What answers need beside the database. *public_url*: where devices reach us; empty: it was not said; so with the
    *organization*."""

    policy: Policy = field(default_factory=Policy)
    public_url: str = ""
    organization: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, by whom: everything that is read or done goes through `see` and `do`, as *principal*."""

    principal: Principal
    token_id: str
    runner: Runner
    site: Site
    once: "Once | None" = None
    """The Idempotency-Key under which this is done once."""

    async def see(self, sight: Sight[T]) -> T:
        """Read. Raises Problem where it is refused; Unavailable."""
        reader = seen(self.principal, sight, self.runner.now())  # by itself, for its type
        found = await self.runner.read(reader)
        if isinstance(found, Refusal):
            raise of_refusal(found)
        return found

    async def do(
        self, operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome | Refusal]], item: Item
    ) -> Outcome:
        """Do *operation* to *item*. Raises Problem where it is refused; Unavailable."""
        allowed = permitted(self.principal, operation)  # by itself, for its type
        [outcome] = await self.runner.write(allowed, [item], self.principal.actor)
        if isinstance(outcome, Refusal):
            raise of_refusal(outcome)
        return outcome

    async def foresee(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]],
        item: Item,
        view: Callable[[Transaction, Item], T],
    ) -> T:
        """Look by *view* at what *operation* would do to *item*. Raises Problem where it is refused; Unavailable."""
        look = foreseen(self.principal, operation, item, view, self.runner.now())
        found = await self.runner.read(look)
        if isinstance(found, Refusal):
            raise of_refusal(found)
        return found

    async def do_once(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome | Refusal]],
        item: Item,
        tell: Callable[[Outcome], object],
    ) -> "Written":
        """Do *operation* to *item*, and answer what *tell* makes of its outcome: the same again under the same key.

        Raises Problem where it is refused, or the key was another request's; Unavailable.
        """
        if self.once is None:
            return Written(as_json(tell(await self.do(operation, item))))
        named = NamedRequest(self.token_id, self.once.key, self.once.request_hash)
        allowed = permitted(self.principal, operation)
        doing = once(named, allowed, lambda outcome: as_json(tell(outcome)))
        [answer] = await self.runner.write(doing, [item], self.principal.actor)
        if isinstance(answer, Refusal):
            raise of_refusal(answer)
        return Written(answer)


@dataclass(frozen=True, slots=True)
class Written:
    """An answer that is written already: JSON."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Once:
    """What a request names itself by, so that it does nothing when it is sent again. *request_hash*: of all it says."""

    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address with one method. *takes* and *body*: dataclasses, absent where there are none."""

    method: str
    path: str
    name: str
    says: str
    answer: Callable[..., Awaitable[object]]
    takes: type | None
    body: type | None
    gives: Any
    """Its type; of what is written already, that of what was written."""
    status: int
    refuses: tuple[int, ...]
    needs: Permission
    is_once: bool
    maximum_bytes: int
    media_types: tuple[str, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in its path."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def resource(self) -> str:
        """The first part of its path: what it is about."""
        return self.path.split("/")[1]


def endpoint(
    method: str,
    path: str,
    *,
    needs: Permission = Permission.SEE,
    refuses: tuple[int, ...] = (),
    status: int = 200,
    gives: Any = None,
    is_once: bool = False,
    maximum_bytes: int = MAXIMUM_BODY_BYTES,
    media_types: tuple[str, ...] = ("application/json",),
) -> Callable[[Callable[..., Awaitable[object]]], Endpoint]:
    """Make an endpoint of the function that follows.

    It is given the call, the parts of the path by their names, `asked` (the parameters) and `body`, and returns what is
    answered. *refuses*: statuses beside those that all have; *needs*: the least that it takes, for the document alone:
    operations and sights say so themselves. *gives*: what is answered, where the function writes it itself. *is_once*:
    it takes an Idempotency-Key.
    """

    def declare(answer: Callable[..., Awaitable[object]]) -> Endpoint:
        hints = get_type_hints(answer, include_extras=True)
        return Endpoint(
            method,
            path,
            answer.__name__,
            inspect.cleandoc(answer.__doc__ or ""),
            answer,
            hints.get("asked"),
            hints.get("body"),
            hints["return"] if gives is None else gives,
            status,
            refuses,
            needs,
            is_once,
            maximum_bytes,
            media_types,
        )

    return declare
