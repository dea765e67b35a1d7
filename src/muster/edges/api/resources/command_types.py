"""What commands there are: Apple's facts of each, as the catalogue has them."""

from dataclasses import dataclass

from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.finding import nothing_known
from muster.operations.permit import of_no_device
from muster.protocol.catalogue.commands import all_commands, find_command
from muster.protocol.catalogue.facts import CommandFacts, SupportByFamily
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class CommandType:
    """One command, and which systems know it since when."""

    request_type: str
    support: SupportByFamily


@endpoint("GET", "/command-types")
async def list_command_types(call: Call) -> tuple[CommandType, ...]:
    """List the commands that there are."""
    return await call.see(of_no_device(_types))


def _types(_tx: Transaction) -> tuple[CommandType, ...]:
    return tuple(CommandType(one.request_type, one.support) for one in all_commands())


@endpoint("GET", "/command-types/{request_type}", refuses=(404,))
async def describe_command_type(call: Call, request_type: str) -> CommandFacts:
    """Describe a command: its keys, what each may be, and who knows it."""
    return nothing_known(await call.see(of_no_device(lambda _tx: find_command(request_type))), "command", request_type)


ENDPOINTS = (list_command_types, describe_command_type)
