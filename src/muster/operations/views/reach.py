"""A device's own link to the page that says whether it reaches this server, as it is told."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ReachLinkMade:
    """A link to open in a browser on the device; what it finds there is kept among the device's evidence."""

    device_id: str
    url: str
    expires_at: datetime
