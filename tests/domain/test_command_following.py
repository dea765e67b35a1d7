"""When a command starts that comes after another."""

import pytest

from muster.domain.command_following import Start, goes_out, start_after
from muster.domain.command_queue import OwnStatus, QueuePurpose
from muster.domain.errors import Refusal, RefusalCode
from muster.protocol.identifiers import ChannelId, CommandUUID


def start(queued_for: QueuePurpose | None, recorded: str | None, *, follows_any: bool = False) -> Start | RefusalCode:
    found = start_after(
        CommandUUID("former"), ChannelId("A"), queued_for=queued_for, recorded=recorded, follows_any=follows_any
    )
    return found.code if isinstance(found, Refusal) else found


@pytest.mark.parametrize(
    ("queued_for", "recorded", "follows_any", "expected"),
    [
        (QueuePurpose.COMMAND, None, False, Start.WHEN_ANSWERED),
        (QueuePurpose.INVENTORY, None, False, Start.WHEN_ANSWERED),
        (QueuePurpose.COMMAND, "Error", False, Start.WHEN_ANSWERED),  # it is tried again
        (QueuePurpose.RENEWAL, None, True, RefusalCode.CONFLICT),
        (QueuePurpose.UNENROLL, None, True, RefusalCode.CONFLICT),
        (None, None, False, RefusalCode.NOT_FOUND),
        (None, None, True, RefusalCode.NOT_FOUND),
        (None, "Acknowledged", False, Start.NOW),
        (None, OwnStatus.VERIFIED.value, False, Start.NOW),
        (None, "Error", False, RefusalCode.FORMER_FAILED),
        (None, OwnStatus.EXPIRED.value, False, RefusalCode.FORMER_FAILED),
        (None, "Error", True, Start.NOW),
    ],
)
def test_start_is_decided_by_what_became_of_the_former(
    queued_for: QueuePurpose | None, recorded: str | None, follows_any: bool, expected: Start | RefusalCode
) -> None:
    assert start(queued_for, recorded, follows_any=follows_any) is expected


@pytest.mark.parametrize(
    ("is_success", "follows_any", "expected"),
    [(True, False, True), (True, True, True), (False, False, False), (False, True, True)],
)
def test_follower_of_a_failure_goes_out_only_where_that_was_wished_for(
    is_success: bool, follows_any: bool, expected: bool
) -> None:
    assert goes_out(is_success=is_success, follows_any=follows_any) is expected
