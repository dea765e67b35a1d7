"""An administrator says who else may tell of devices that they were seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from muster.domain.control.witness import Witness, WitnessKind, unfit_name
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.operations.permit import act
from muster.storage import control_policies, people, witnesses
from muster.storage.engine import Transaction

MAXIMUM_WITNESSES = 100
"""Each is a product that an organization runs, not a device."""


@dataclass(frozen=True, slots=True)
class WitnessOrder:
    """A witness to add."""

    name: str
    kind: WitnessKind


@dataclass(frozen=True, slots=True)
class NewToken:
    """A witness with its token, which is shown once: only its hash is kept."""

    witness: Witness
    token: str = field(repr=False)


TokenOutcome: TypeAlias = NewToken | Refusal


@act(Permission.TELL)
def add_witnesses(tx: Transaction, orders: Sequence[WitnessOrder], ctx: Context) -> list[TokenOutcome]:
    """Add witnesses. Refused where the name is unfit or taken, and where there are MAXIMUM_WITNESSES."""
    return [_add(tx, order, ctx) for order in orders]


def _add(tx: Transaction, order: WitnessOrder, ctx: Context) -> TokenOutcome:
    tx.lock_name("witnesses")
    refusal = unfit_name(order.name)
    if refusal is not None:
        return refusal
    if witnesses.find(tx, order.name) is not None:
        remedy = "`muster witnesses rotate` gives it another token."
        return Refusal(RefusalCode.CONFLICT, f"there is a witness {order.name} already", remedy)
    if len(witnesses.all_witnesses(tx)) >= MAXIMUM_WITNESSES:
        return Refusal(RefusalCode.CONFLICT, f"there are {MAXIMUM_WITNESSES} witnesses already, and no more can be")
    token = random_secret(ctx)
    witness = Witness(ctx.new_id(), order.name, order.kind, ctx.now, ctx.actor.name, ctx.now)
    witnesses.add(tx, witness, hash_secret(token))
    people.record_act(tx, ctx.actor, "witness.add", order.name, {"kind": order.kind.value}, ctx.now)
    return NewToken(witness, token)


@act(Permission.TELL)
def rotate_witnesses(tx: Transaction, names: Sequence[str], ctx: Context) -> list[TokenOutcome]:
    """Give witnesses other tokens; the former ones are good no more from now on."""
    outcomes: list[TokenOutcome] = []
    for name in names:
        witness = _find(tx, name)
        if isinstance(witness, Refusal):
            outcomes.append(witness)
            continue
        token = random_secret(ctx)
        witnesses.set_token(tx, witness.id, hash_secret(token), ctx.now)
        people.record_act(tx, ctx.actor, "witness.rotate", name, {}, ctx.now)
        outcomes.append(NewToken(witness, token))
    return outcomes


@act(Permission.TELL)
def remove_witnesses(tx: Transaction, names: Sequence[str], ctx: Context) -> list[Witness | Refusal]:
    """Let witnesses say no more. What they said stays evidence for as long as such evidence counts.

    Refused while a control policy names one: of all its devices the agent would be said to be dead.
    """
    outcomes: list[Witness | Refusal] = []
    for name in names:
        control_policies.lock(tx)
        witness = _find(tx, name)
        if any(one.settings.get("agent") == name for one in control_policies.read(tx)):
            remedy = "`muster policy control unset agent` first, with --group where it is set for one."
            witness = Refusal(RefusalCode.CONFLICT, f"a control policy has {name} for the agent of devices", remedy)
        if isinstance(witness, Witness):
            witnesses.remove(tx, witness.id)
            people.record_act(tx, ctx.actor, "witness.remove", name, {"kind": witness.kind.value}, ctx.now)
        outcomes.append(witness)
    return outcomes


def _find(tx: Transaction, name: str) -> Witness | Refusal:
    witness = witnesses.find(tx, name)
    return witness or Refusal(RefusalCode.NOT_FOUND, f"there is no witness {name[:80]}", "See `muster witnesses list`.")
