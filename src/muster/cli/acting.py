"""As whom a command acts."""

from contextvars import ContextVar

ACTING_AS: ContextVar[str | None] = ContextVar("ACTING_AS", default=None)
"""The administrator whose role and scope hold for this command; None: those of who sits at the server, an owner's."""
