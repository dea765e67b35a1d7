"""What stands in the head of every page: the sections of the console, and who is led to each."""

from dataclasses import dataclass
from typing import Final

from muster.domain.permissions import Permission


@dataclass(frozen=True, slots=True)
class Entry:
    """One section. A page is of it whose template says `{% set section = "KEY" %}`.

    *permission*: without it, for the whole fleet, nobody is led there; absent: everybody is.
    """

    key: str
    label: str
    url: str
    permission: Permission | None = None


NAVIGATION: Final = (
    Entry("fleet", "Fleet", "/"),
    Entry("devices", "Devices", "/devices"),
    Entry("enrollment", "Enrollment", "/enrollment", Permission.SEE),
    Entry("groups", "Groups", "/groups", Permission.SEE),
    Entry("policies", "Policies", "/policies", Permission.SEE),
    Entry("webhooks", "Webhooks", "/webhooks", Permission.SEE),
    Entry("certificates", "Certificates", "/certificates", Permission.SEE),
    Entry("people", "People", "/people", Permission.PEOPLE),
    Entry("audit", "Audit log", "/audit", Permission.READ_AUDIT),
)
"""In the order in which they stand. A section has a line here and a class of pages in `pages.all_pages`."""


def is_section(path: str) -> bool:
    """Tell whether *path* (without its query) is a page of a section."""
    return any(path == entry.url or (entry.url != "/" and path.startswith(f"{entry.url}/")) for entry in NAVIGATION)
