"""Which questions make an older one needless."""

import pytest

from muster.domain.command_queue import QueuePurpose
from muster.domain.superseding import QUESTIONS, covered_purposes, covers
from muster.protocol.catalogue.commands import find_command
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue


def asks(*queries: str, **others: PlistValue) -> CommandRequest:
    return CommandRequest("DeviceInformation", {"Queries": list(queries), **others})


@pytest.mark.parametrize(
    ("newer", "older", "expected"),
    [
        (asks("UDID", "OSVersion"), asks("UDID"), True),
        (asks("OSVersion", "UDID"), asks("UDID", "OSVersion"), True),
        (asks("UDID"), asks("UDID", "OSVersion"), False),
        (asks("UDID", "OSVersion", Other=1), asks("UDID"), False),
        (asks("UDID"), CommandRequest("DeviceInformation"), False),
        (CommandRequest("DeviceInformation", {"Queries": [1]}), asks("UDID"), False),
        (CommandRequest("ProfileList"), CommandRequest("ProfileList"), True),
        (CommandRequest("ProfileList", {"ManagedOnly": True}), CommandRequest("ProfileList"), False),
        (CommandRequest("ProfileList"), CommandRequest("SecurityInfo"), False),
        (CommandRequest("RestartDevice"), CommandRequest("RestartDevice"), False),
        (CommandRequest("InstallProfile"), CommandRequest("InstallProfile"), False),
    ],
)
def test_question_covers_one_that_asks_for_no_more(
    newer: CommandRequest, older: CommandRequest, expected: bool
) -> None:
    assert covers(newer, older) is expected


@pytest.mark.parametrize("request_type", sorted(QUESTIONS))
def test_questions_are_apples(request_type: str) -> None:
    assert find_command(request_type) is not None


@pytest.mark.parametrize(
    ("purpose", "covered"),
    [
        (QueuePurpose.COMMAND, {QueuePurpose.COMMAND, QueuePurpose.INVENTORY}),
        (QueuePurpose.INVENTORY, {QueuePurpose.INVENTORY}),
        (QueuePurpose.RENEWAL, set()),
        (QueuePurpose.UNENROLL, set()),
    ],
)
def test_a_persons_question_never_gives_way_to_ours(purpose: QueuePurpose, covered: set[QueuePurpose]) -> None:
    assert set(covered_purposes(purpose)) == covered
