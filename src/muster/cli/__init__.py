"""The command line: every command works beside a running server, on the same data."""

from muster.cli.application import main

__all__ = ["main"]
