"""Where a command stands, in words."""

from datetime import timedelta
from typing import Any

import pytest
from tests.support.instants import NOON

from muster.cli.command_words import standing, times
from muster.operations.views.commands import CommandRow
from muster.protocol.identifiers import ChannelId, CommandUUID


def row(status: str, **parts: Any) -> CommandRow:
    fixed = {"queued_at": NOON, "handed_out_at": None, "handed_out_count": 0, "not_now_count": 0, "reported_at": None}
    return CommandRow(ChannelId("A"), CommandUUID("one"), "ProfileList", status, **{**fixed, **parts})


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (row("Acknowledged"), "Acknowledged"),
        (row("waiting"), "waiting"),
        (row("held", because="rolled_back"), "held back since a restore"),
        (row("after", after_uuid=CommandUUID("two")), "waits for two"),
        (row("retry", retry_at=NOON + timedelta(hours=4)), "failed, tried again in 4 h"),
        (row("parked"), "parked: never answered"),
        (row("unreadable"), "held back: can't be opened"),
        (row("erased"), "held back: the device erases itself"),
        (row("cancelled", because="ana"), "cancelled by ana"),
        (row("superseded", because="two"), "superseded by two"),
        (row("dependency_failed", because="two"), "closed with two"),
        (row("verified", because="ProfileList"), "done, verified: ProfileList"),
        (row("paused"), "paused"),
        (row("SomethingNew"), "SomethingNew"),
        (
            row("Error", failure="No such profile (MCProfileErrorDomain 7)"),
            "Error: No such profile (MCProfileErrorDomain 7)",
        ),
        (row("Error"), "Error"),
    ],
)
def test_standing_says_what_is_behind_it(shown: CommandRow, words: str) -> None:
    assert standing(shown, NOON) == words


def test_times_stand_with_their_distances() -> None:
    lines = times(
        row(
            "Acknowledged",
            pushed_at=NOON + timedelta(seconds=1.5),
            handed_out_at=NOON + timedelta(minutes=3),
            reported_at=NOON + timedelta(days=3),
        )
    )

    assert [line.split("Z")[1].strip() for line in lines] == ["", "+1.5 s", "+3.0 min", "+3.0 d"]
