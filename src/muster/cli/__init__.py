"""The command line: every command works beside a running server, on the same data."""

import signal
from collections.abc import Sequence

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended, as shells have it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Ctrl-C ends it without a word, while commands are loaded as well."""
    former = signal.getsignal(signal.SIGINT)
    if former is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from muster.cli import application  # noqa: PLC0415 - takes a second, in which people change their minds
    finally:
        signal.signal(signal.SIGINT, former)
    try:
        return application.main(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
