"""Witnesses: who else may say of devices that they were seen."""

from dataclasses import dataclass
from typing import Annotated

from muster.domain.control.witness import Witness, WitnessKind
from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits
from muster.operations.manage_witnesses import (
    NewToken,
    WitnessOrder,
    add_witnesses,
    remove_witnesses,
    rotate_witnesses,
)
from muster.operations.permit import of_fleet
from muster.storage import witnesses


@endpoint("GET", "/witnesses")
async def list_witnesses(call: Call) -> tuple[Witness, ...]:
    """List witnesses: when each spoke last, and how many of the devices it named are not known here."""
    return await call.see(of_fleet(lambda tx: tuple(witnesses.all_witnesses(tx))))


@dataclass(frozen=True, slots=True)
class WitnessBody:
    """A witness to add."""

    name: Annotated[str, Limits("As in sentences and in the policy `agent`.", 1, 100, is_plain=True)]
    kind: WitnessKind


@endpoint("POST", "/witnesses", needs=Permission.TELL, status=201, refuses=(409,))
async def add_witness(call: Call, body: WitnessBody) -> NewToken:
    """Add a witness. The token by which it posts is shown this once."""
    return await call.do(add_witnesses, WitnessOrder(body.name, body.kind))


@endpoint("POST", "/witnesses/{name}/token", needs=Permission.TELL, refuses=(404,))
async def rotate_witness_token(call: Call, name: str) -> NewToken:
    """Give a witness another token; the former one is good no more."""
    return await call.do(rotate_witnesses, name)


@endpoint("DELETE", "/witnesses/{name}", needs=Permission.TELL, refuses=(404,))
async def remove_witness(call: Call, name: str) -> Witness:
    """Let a witness say no more. What it said stays evidence."""
    return await call.do(remove_witnesses, name)


ENDPOINTS = (list_witnesses, add_witness, rotate_witness_token, remove_witness)
