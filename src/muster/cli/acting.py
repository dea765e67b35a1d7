"""As whom a command acts, and on which server."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

ACTING_AS: ContextVar[str | None] = ContextVar("ACTING_AS", default=None)
"""The administrator whose role and scope hold for this command; None: those of who sits at the server, an owner's."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server elsewhere, and by which token it is asked. *allows_plain*: also by http, on which others can listen."""

    url: str
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_file: Path | None = None
    allows_plain: bool = False


SERVER: ContextVar[ServerAddress | None] = ContextVar("SERVER", default=None)
"""Whom this command asks; None: the data is here."""
