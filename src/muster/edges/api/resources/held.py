"""What waits for a person: commands that were held after a restore."""

from dataclasses import dataclass
from typing import Annotated

from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits
from muster.operations.permit import of_fleet
from muster.operations.release_commands import Settled, Verdict, settle_held_commands
from muster.operations.views.commands import HeldCommand, list_held
from muster.protocol.identifiers import CommandUUID


@endpoint("GET", "/held-commands")
async def list_held_commands(call: Call) -> tuple[HeldCommand, ...]:
    """List the commands that were held because an old database came back: nobody knows whether the device has them."""
    return await call.see(of_fleet(list_held))


@dataclass(frozen=True, slots=True)
class HeldBody:
    """Which of them go on, or are dropped. *command_uuid*: null for all that are held."""

    release: bool
    command_uuid: Annotated[str | None, Limits("A CommandUUID.", 1, 255, is_plain=True)] = None


@endpoint("POST", "/held-commands/settle", needs=Permission.COMMAND, refuses=(404, 409))
async def settle_held(call: Call, body: HeldBody) -> Settled:
    """Let held commands go on, or drop them."""
    uuid = None if body.command_uuid is None else CommandUUID(body.command_uuid)
    return await call.do(settle_held_commands, Verdict(uuid, body.release))


ENDPOINTS = (list_held_commands, settle_held)
