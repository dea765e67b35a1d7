"""How often somebody may try to sign in to the console, by name and by address: bounded, and never shut out for good.

Whoever signs in right is never counted against: a name that strangers try out opens again with the window's end, and
links from the server's own command line and passkeys don't ask for the name's count at all.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Final

from muster.domain.errors import Refusal, RefusalCode

WINDOW: Final = timedelta(minutes=15)
"""For how long wrong tries count, from the first of them on."""
TRIES_PER_NAME: Final = 10
"""In a window: a thousand a day, each of a password and six digits; nobody mistypes so often."""
TRIES_PER_ADDRESS: Final = 30
"""In a window: an office behind one address mistypes that often."""


class Way(StrEnum):
    """How somebody signed in."""

    LINK = "link"
    PASSWORD = "password"  # noqa: S105 - a way, no secret
    RECOVERY_CODE = "recovery_code"
    PASSKEY = "passkey"
    PROVIDER = "provider"


def may_try(tries_of_name: int, tries_of_address: int) -> Refusal | None:
    """Tell why a try isn't even looked at, or None. The counts are those of the window, this try included."""
    if tries_of_name <= TRIES_PER_NAME and tries_of_address <= TRIES_PER_ADDRESS:
        return None
    minutes = WINDOW // timedelta(minutes=1)
    return Refusal(
        RefusalCode.SIGN_IN_LIMITED,
        "there were too many attempts to sign in",
        f"Wait {minutes} minutes, or use a link: `muster admins link NAME` on the server.",
    )
