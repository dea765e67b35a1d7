"""A program names its request, so that it is done once however often it is sent: a replay gets the same answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from muster.domain.errors import Refusal, RefusalCode
from muster.operations.context import Context
from muster.storage import kept_answers
from muster.storage.engine import Transaction
from muster.storage.kept_answers import KeptAnswer

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class NamedRequest:
    """A request of the token *token_id*, by the program's own name for it. *request_hash*: of all that it says."""

    token_id: str
    key: str
    request_hash: bytes


def once(
    named: NamedRequest,
    operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome | Refusal]],
    write: Callable[[Outcome], bytes],
) -> Callable[[Transaction, Sequence[Item], Context], list[bytes | Refusal]]:
    """Return what does *operation* to one item, in one transaction with keeping what is answered, as *write* has it.

    *operation* is one that is permitted already. Refused: a key under which something else was asked. A refusal of the
    operation is not kept, for nothing was done.
    """

    def done_once(tx: Transaction, items: Sequence[Item], ctx: Context) -> list[bytes | Refusal]:
        tx.lock_name(f"answer:{named.token_id}:{named.key}")
        kept = kept_answers.find(tx, named.token_id, named.key, ctx.now)
        if kept is not None:
            return [kept.answer if kept.request_hash == named.request_hash else _REUSED]
        [outcome] = operation(tx, items, ctx)
        if isinstance(outcome, Refusal):
            return [outcome]
        answer = write(outcome)
        kept_answers.keep(tx, named.token_id, named.key, KeptAnswer(named.request_hash, answer), ctx.now)
        return [answer]

    return done_once


_REUSED = Refusal(
    RefusalCode.KEY_REUSED,
    "another request came under this Idempotency-Key within the last day, and was done",
    "Take a new key for each request, and the same one only to send the same request again.",
)


def forget_answers(tx: Transaction, items: Sequence[None], ctx: Context) -> list[bool]:
    """Forget answers that are out of date, a bounded part for each of *items*; tells whether there are more."""
    return [kept_answers.forget(tx, ctx.now) for _ in items]
