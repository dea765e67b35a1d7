"""What is said of a command that was to be queued on one channel, and of a channel that is not known."""

import sys

from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.operations.queue_command import QueuedCommand


def require_queued(queued: QueuedCommand) -> None:
    """Raise CommandRefused where the command was left out on its channel."""
    for refusal in queued.refused.values():
        raise CommandRefused(refusal)


def tell_findings(queued: QueuedCommand) -> None:
    """Say on standard error what was found of a command that was queued all the same."""
    for findings in queued.findings.values():
        for finding in findings:
            print(f"{finding.severity}: {finding.message}", file=sys.stderr)


def unknown_channel(channel_id: str) -> CommandFailed:
    """Return what is raised where no such channel is stored."""
    return CommandFailed(f"no channel {channel_id} is known", code=ExitCode.ABSENT)
