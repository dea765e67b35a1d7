"""Enrollment links as people see them: where each is opened, whom it lets in, and whether it still does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from muster.domain.access import EnrollmentLink, LinkKind, may_use_link
from muster.operations.enrollment_links import NewLink
from muster.storage import identities
from muster.storage.engine import Transaction

LISTED: Final = 1000
"""Of the newest; a site has some dozens."""
OPEN: Final = "open"
BY_ACCOUNT: Final = (LinkKind.ACCOUNT_USER, LinkKind.ACCOUNT_DEVICE)
"""There the sign-in is the secret, and devices are told the address by service discovery."""
LINK_PATHS: Final[Mapping[LinkKind, str]] = MappingProxyType(
    {
        LinkKind.PROFILE: "/enroll/",
        LinkKind.OTA: "/ota/",
        LinkKind.ADE: "/ade/",
        LinkKind.ACCOUNT_USER: "/account/enroll/",
        LinkKind.ACCOUNT_DEVICE: "/account/enroll/",
    }
)
"""Under the public address, each followed by the link's token, or its id by account."""


@dataclass(frozen=True, slots=True)
class ListedLink:
    """A link. *state*: open, or why it opens nothing any more. Its secret is not kept."""

    link: EnrollmentLink
    state: str
    created_by: str


def link_address(public_url: str, made: NewLink) -> str:
    """Return where a link is opened."""
    last = made.link.id if made.link.kind in BY_ACCOUNT else made.token
    return f"{public_url}{LINK_PATHS[made.link.kind]}{last}"


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A link that was made. *url* and *token* are shown this once."""

    id: str
    kind: LinkKind
    url: str
    token: str
    uses: int | None
    expires_at: datetime


def made_link(made: NewLink, public_url: str) -> MadeLink:
    """Say where a link that was made is opened."""
    url = link_address(public_url, made)
    return MadeLink(made.link.id, made.link.kind, url, made.token, made.link.uses_allowed, made.link.expires_at)


def list_links(tx: Transaction, now: datetime) -> tuple[ListedLink, ...]:
    """List the newest LISTED links, the newest first."""
    return tuple(
        ListedLink(one.link, link_state(one.link, now), one.created_by) for one in identities.all_links(tx, LISTED)
    )


def link_state(link: EnrollmentLink, now: datetime) -> str:
    """Say in a word whether *link* is open: else revoked, expired or used_up."""
    refusal = may_use_link(link, now)
    return OPEN if refusal is None else refusal.code.value.removeprefix("link_")
