"""Commands and answers that hold secrets are known, by keys that Apple's commands have."""

import pytest

from muster.domain.command_secrets import (
    SECRET_ANSWER_KEYS,
    SECRET_REQUEST_KEYS,
    answer_holds_secret,
    holds_secret,
)
from muster.protocol.catalogue.commands import find_command
from muster.protocol.command import CommandRequest
from muster.protocol.plist import write_plist


@pytest.mark.parametrize(
    ("request_type", "key"), [(one, key) for one, keys in SECRET_REQUEST_KEYS.items() for key in keys]
)
def test_request_with_a_secret_is_known_and_its_key_is_one_of_apples(request_type: str, key: str) -> None:
    command = find_command(request_type)

    assert command is not None
    assert key in {one.name for one in command.request}
    assert holds_secret(CommandRequest(request_type, {key: "1234"}))
    assert not holds_secret(CommandRequest(request_type))


@pytest.mark.parametrize(("request_type", "key"), SECRET_ANSWER_KEYS.items())
def test_answer_with_a_secret_is_known_also_when_its_command_is_not(request_type: str, key: str) -> None:
    body = write_plist({"Status": "Acknowledged", key: b"1234"})
    command = find_command(request_type)

    assert command is not None
    assert key in {one.name for one in command.response}
    assert answer_holds_secret(request_type, body)
    assert answer_holds_secret(None, body)


def test_what_holds_none_stays_readable() -> None:
    assert not holds_secret(CommandRequest("RestartDevice", {"PIN": "1234"}))
    assert not answer_holds_secret("SecurityInfo", b"")
    assert not answer_holds_secret(None, write_plist({"QueryResponses": {"OSVersion": "26.1"}}))
