"""People who may enroll devices: what their names and passwords may be, and how often a password may be tried."""

import ipaddress
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from muster.domain.errors import Refusal, RefusalCode

MAXIMUM_NAME_CHARACTERS = 254
"""Of an e-mail address (RFC 5321, 4.5.3.1.3 less the brackets)."""
MINIMUM_PASSWORD_CHARACTERS = 8
"""NIST SP 800-63B, 5.1.1.1."""
MAXIMUM_PASSWORD_CHARACTERS = 256
"""Longer ones are no better, and each try hashes them."""
ATTEMPT_WINDOW = timedelta(minutes=15)
"""For how long failed attempts count, from the first of them on."""
FAILURES_PER_USER = 20
"""In a window: some 2000 guesses a day, hopeless against any password that isn't a word, and no person gets there."""
FAILURES_PER_ADDRESS = 60
"""In a window: a school behind one address mistypes that often, a list of leaked passwords is longer."""
SESSION_LIFETIME = timedelta(minutes=30)
"""From signing in to the last download: long enough for a few devices on a desk."""
_IPV6_NETWORK_BITS = 64
"""What one customer of a provider has at least: counting single addresses would limit nobody."""


@dataclass(frozen=True, slots=True)
class EnrollmentUser:
    """A person who may enroll devices. *user_name* is the Managed Apple Account or e-mail address, as normalised."""

    user_name: str
    created_at: datetime
    disabled_at: datetime | None = None


def normalise_user_name(text: str) -> str:
    """Return the one form in which a name is stored and looked up; names differ in case for nobody."""
    return unicodedata.normalize("NFKC", text.strip()).casefold()


def check_user_name(name: str) -> Refusal | None:
    """Tell why a normalised *name* can't be a user's, or None."""
    local, at, host = name.rpartition("@")
    is_plain = all(character.isprintable() and not character.isspace() for character in name)
    if at and local and host and is_plain and len(name) <= MAXIMUM_NAME_CHARACTERS:
        return None
    return Refusal(
        RefusalCode.USER_NAME_UNFIT,
        "a user name is a Managed Apple Account or an e-mail address: name@example.org",
    )


def normalise_password(text: str) -> str:
    """Return the form in which a password is hashed: what one keyboard composes equals what another does (RFC 8265)."""
    return unicodedata.normalize("NFC", text)


def check_password(password: str) -> Refusal | None:
    """Tell why a normalised *password* is not accepted for a user, or None."""
    if MINIMUM_PASSWORD_CHARACTERS <= len(password) <= MAXIMUM_PASSWORD_CHARACTERS:
        return None
    return Refusal(
        RefusalCode.PASSWORD_UNFIT,
        f"a password has {MINIMUM_PASSWORD_CHARACTERS} to {MAXIMUM_PASSWORD_CHARACTERS} characters",
    )


def network_of(source: str) -> str:
    """Return what attempts from *source* are counted under: the address, for IPv6 its /64 network."""
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(address), _IPV6_NETWORK_BITS), strict=False))
    return str(address)


def may_try(attempts_of_user: int, attempts_of_address: int) -> Refusal | None:
    """Tell why a password isn't even looked at, or None. The counts are those of the window, this attempt included."""
    if attempts_of_user <= FAILURES_PER_USER and attempts_of_address <= FAILURES_PER_ADDRESS:
        return None
    minutes = ATTEMPT_WINDOW // timedelta(minutes=1)
    return Refusal(
        RefusalCode.SIGN_IN_LIMITED,
        "there were too many attempts to sign in",
        f"Wait {minutes} minutes, then try again, or ask your administrator for a new password.",
    )
