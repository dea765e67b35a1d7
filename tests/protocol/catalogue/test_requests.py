"""Every command of the catalogue can be built, comes back from the wire as it was, and is as Apple's schema has it."""

from collections.abc import Callable

import pytest
from tests.support.apple_schema import apple_commands, objections_to_request
from tests.support.valid_commands import full_request, minimal_request

from muster.protocol.catalogue.commands import all_commands, command_names
from muster.protocol.catalogue.facts import CommandFacts
from muster.protocol.command import Command, CommandRequest, decode_command, encode_command
from muster.protocol.identifiers import CommandUUID

UUID = CommandUUID("8C6B0E52")
EVERY_COMMAND = pytest.mark.parametrize("command", all_commands(), ids=lambda one: one.request_type)
SMALLEST_AND_LARGEST = pytest.mark.parametrize("make", [minimal_request, full_request])

MAY_BE_LEFT_OUT = {"DefaultApplications": ".Item is unknown"}
"""What tests/support adds because the schema forgot it."""


@SMALLEST_AND_LARGEST
@EVERY_COMMAND
def test_request_comes_back_from_the_wire_as_it_was(
    make: Callable[[CommandFacts], CommandRequest], command: CommandFacts
) -> None:
    request = make(command)
    sent = Command(UUID, request.request_type, request.keys)

    assert decode_command(encode_command(sent)) == sent


@SMALLEST_AND_LARGEST
@EVERY_COMMAND
def test_request_is_as_the_schema_has_it(make: Callable[[CommandFacts], CommandRequest], command: CommandFacts) -> None:
    request = make(command)
    keys = {key: value for key, value in request.keys.items() if key != "RequestRequiresNetworkTether"}

    objections = objections_to_request(request.request_type, keys)

    assert [one for one in objections if not one.endswith(MAY_BE_LEFT_OUT["DefaultApplications"])] == []


@EVERY_COMMAND
def test_the_schema_objects_to_a_request_without_a_key_that_it_requires(command: CommandFacts) -> None:
    request = minimal_request(command)
    required = [key.name for key in command.request if key.is_required]

    for name in required:
        rest = {key: value for key, value in request.keys.items() if key != name}
        assert objections_to_request(request.request_type, rest) == [f".{name} is missing"]


def test_the_catalogue_has_every_command_of_the_schema() -> None:
    assert set(apple_commands()) == set(command_names())
