"""What a report does to the queue: every status, and which command may follow it."""

import pytest

from muster.domain.command_queue import HeadQuery, QueueEffect, effect_of, head_query, is_once_only
from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId, CommandUUID

A, UUID = ChannelId("A"), CommandUUID("one")


@pytest.mark.parametrize(
    ("status", "effect"),
    [
        (Status.IDLE, QueueEffect.NONE),
        (Status.ACKNOWLEDGED, QueueEffect.CLOSE),
        (Status.ERROR, QueueEffect.CLOSE),
        (Status.COMMAND_FORMAT_ERROR, QueueEffect.CLOSE),
        (Status.NOT_NOW, QueueEffect.COUNT_NOT_NOW),
        (None, QueueEffect.NONE),
    ],
)
def test_report_has_the_effect_of_its_status(status: Status | None, effect: QueueEffect) -> None:
    assert effect_of(status) is effect


@pytest.mark.parametrize("status", [*Status, None])
def test_command_just_answered_is_not_handed_out_again(status: Status | None) -> None:
    query = head_query(A, status, UUID)

    assert query == HeadQuery(A, None if status is Status.IDLE else UUID, skip_not_now=status is Status.NOT_NOW)


def test_idle_answers_nothing_whatever_command_it_names() -> None:
    assert head_query(A, Status.IDLE, UUID).answered is None


@pytest.mark.parametrize("request_type", ["EraseDevice", "DeviceLock", "RestartDevice", "ShutDownDevice"])
def test_command_that_acts_at_once_is_handed_out_once(request_type: str) -> None:
    assert is_once_only(request_type)


@pytest.mark.parametrize("request_type", ["DeviceInformation", "InstallProfile", "erasedevice", ""])
def test_other_commands_are_handed_out_until_they_are_answered(request_type: str) -> None:
    assert not is_once_only(request_type)
