"""Commands that come after others of the same channel: when they wait, and what they do when the former fails."""

from enum import StrEnum
from typing import assert_never

from muster.domain.command_queue import SUCCESSES, QueuePurpose
from muster.domain.errors import Refusal, RefusalCode
from muster.protocol.identifiers import ChannelId, CommandUUID


class Start(StrEnum):
    """When a command that comes after another may be handed out."""

    NOW = "now"
    WHEN_ANSWERED = "when_answered"


def start_after(
    former: CommandUUID,
    channel_id: ChannelId,
    *,
    queued_for: QueuePurpose | None,
    recorded: str | None,
    follows_any: bool,
) -> Start | Refusal:
    """Tell when a command starts that comes after *former* on a channel, or why it can't.

    *queued_for* is for what *former* waits there, None when it doesn't; *recorded* the status it ended with there,
    None when none is known. *follows_any*: it goes out also when *former* fails.
    """
    match queued_for:
        case QueuePurpose.COMMAND | QueuePurpose.INVENTORY | QueuePurpose.PROBE:
            return Start.WHEN_ANSWERED
        case QueuePurpose.RENEWAL | QueuePurpose.UNENROLL:
            return Refusal(
                RefusalCode.CONFLICT, f"{former} is the enrollment profile of {channel_id}: nothing comes after it"
            )
        case None:
            pass
        case _:
            assert_never(queued_for)
    if recorded is None:
        return Refusal(
            RefusalCode.NOT_FOUND,
            f"no command {former} was sent to {channel_id}",
            "See `muster commands list`; a command and what comes after it are of the same channel.",
        )
    if recorded in SUCCESSES or follows_any:
        return Start.NOW
    return Refusal(
        RefusalCode.FORMER_FAILED,
        f"the command {former} ended on {channel_id} already: {recorded}",
        "Send it again first, or send this one whatever became of it (--after-any).",
    )


def goes_out(*, is_success: bool, follows_any: bool) -> bool:
    """Tell whether a command is handed out now that the one before it ended; else it is closed."""
    return is_success or follows_any
