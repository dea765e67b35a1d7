"""What a page without any device says: three steps, each with its one command."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from muster.domain.permissions import Permission


@dataclass(frozen=True, slots=True)
class Step:
    """One step of setting up."""

    title: str
    is_done: bool
    explanation: str
    command: str
    url: str = ""
    """The page on which it can be done instead; empty: there is none."""
    permission: str = ""
    """What it takes to do it there."""


def first_steps(public_url: str | None, *, has_push_certificate: bool) -> tuple[Step, ...]:
    """Return the steps to the first device. *public_url* is where devices reach this server, absent when not set."""
    certificate = (
        "This server can wake devices."
        if has_push_certificate
        else "Apple's push certificate lets this server wake devices. Apple's Push Certificates Portal makes it out of "
        "a request, and there it is to be renewed every year."
    )
    return (
        Step(
            "Public address",
            public_url is not None and is_public(public_url),
            _address(public_url),
            "muster serve --public-url https://mdm.example.com",
        ),
        Step(
            "Push certificate",
            has_push_certificate,
            certificate,
            "muster push-cert request --out push-request.txt\nmuster push-cert upload --cert push.pem",
            "/certificates/push",
            Permission.CERTIFICATES.value,
        ),
        Step(
            "First device",
            False,
            "An enrollment link, opened on a Mac, iPhone or iPad, brings the device here.",
            "muster enroll link",
            "/enrollment",
            Permission.ENROLL.value,
        ),
    )


def is_public(url: str) -> bool:
    """Tell whether devices elsewhere could use *url*: by TLS, and not on this machine's own loopback."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" and host != "localhost" and not host.startswith("127.") and host != "::1"


def _address(public_url: str | None) -> str:
    if public_url is None:
        return "Devices reach this server by a name of its own, over TLS, for as long as they are enrolled."
    if is_public(public_url):
        return f"Devices reach this server at {public_url}."
    return f"It is {public_url} now, which devices elsewhere can't reach, or don't trust."
