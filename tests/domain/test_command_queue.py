"""What a report does to the queue: every status, and which command may follow it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.instants import NOON

from muster.domain.command_queue import (
    MAXIMUM_UNANSWERED,
    RETRY_PAUSES,
    HeadQuery,
    QueueEffect,
    QueueEntry,
    QueuePurpose,
    effect_of,
    head_query,
    is_expired,
    is_once_only,
    is_parting,
    is_stuck,
    retry_at,
)
from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId, CommandUUID

A, UUID = ChannelId("A"), CommandUUID("one")
ENTRY = QueueEntry(UUID, "DeviceInformation", b"", 1, NOON, 0, 1, NOON, unanswered_count=1)


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
    assert effect_of(status, ENTRY) is effect


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


def entry(**parts: Any) -> QueueEntry:
    return replace(ENTRY, **parts)


@pytest.mark.parametrize(
    ("status", "answered", "effect"),
    [
        (Status.ERROR, entry(retries_left=1), QueueEffect.RETRY),
        (Status.ERROR, entry(retries_left=0), QueueEffect.CLOSE),
        (Status.COMMAND_FORMAT_ERROR, entry(retries_left=1), QueueEffect.CLOSE),
        (Status.ACKNOWLEDGED, entry(retries_left=1), QueueEffect.CLOSE),
        (Status.ERROR, entry(retries_left=1, failed_count=1, unanswered_count=0), QueueEffect.NONE),
        (Status.ERROR, entry(retries_left=0, failed_count=1, unanswered_count=0), QueueEffect.NONE),
        (Status.ERROR, entry(retries_left=1, failed_count=1, unanswered_count=1), QueueEffect.RETRY),
        (Status.ERROR, entry(retries_left=0, failed_count=1, unanswered_count=1), QueueEffect.CLOSE),
    ],
)
def test_error_is_tried_again_once_for_each_hand_out(status: Status, answered: QueueEntry, effect: QueueEffect) -> None:
    assert effect_of(status, answered) is effect


def test_pauses_between_attempts_grow_and_then_stay() -> None:
    pauses = [retry_at(entry(failed_count=number), NOON) - NOON for number in range(6)]

    assert pauses[: len(RETRY_PAUSES)] == list(RETRY_PAUSES)
    assert sorted(pauses) == pauses
    assert pauses[-1] == RETRY_PAUSES[-1]


@pytest.mark.parametrize(
    ("expires_at", "expected"), [(None, False), (NOON, True), (NOON + timedelta(microseconds=1), False)]
)
def test_command_is_expired_from_its_time_on(expires_at: datetime | None, expected: bool) -> None:
    assert is_expired(entry(expires_at=expires_at), NOON) is expected


@pytest.mark.parametrize(
    ("purpose", "unanswered", "expected"),
    [
        (QueuePurpose.COMMAND, MAXIMUM_UNANSWERED - 1, False),
        (QueuePurpose.COMMAND, MAXIMUM_UNANSWERED, True),
        (QueuePurpose.INVENTORY, MAXIMUM_UNANSWERED, True),
        (QueuePurpose.RENEWAL, 10 * MAXIMUM_UNANSWERED, False),
    ],
)
def test_command_is_stuck_when_nothing_was_ever_said_to_it(
    purpose: QueuePurpose, unanswered: int, expected: bool
) -> None:
    assert is_stuck(entry(purpose=purpose, unanswered_count=unanswered)) is expected


@pytest.mark.parametrize(
    ("request_type", "status", "expected"),
    [
        ("EraseDevice", Status.ACKNOWLEDGED, True),
        ("ShutDownDevice", Status.ACKNOWLEDGED, True),
        ("RestartDevice", Status.ERROR, False),
        ("DeviceLock", Status.ACKNOWLEDGED, False),
    ],
)
def test_device_parts_that_has_acknowledged_what_ends_its_dialogue(
    request_type: str, status: Status, expected: bool
) -> None:
    assert is_parting(entry(request_type=request_type), status) is expected
