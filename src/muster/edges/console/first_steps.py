"""What a page without any device says: three steps, each with its one command."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step of setting up."""

    title: str
    is_done: bool
    explanation: str
    command: str


def first_steps(public_url: str | None, *, has_push_certificate: bool) -> tuple[Step, ...]:
    """Return the steps to the first device. *public_url* is where devices reach this server, absent when not set."""
    address = (
        f"Devices reach this server at {public_url}."
        if public_url
        else "Devices reach this server by a name of its own, over TLS, and keep it for as long as they are enrolled."
    )
    certificate = (
        "This server can wake devices."
        if has_push_certificate
        else "Apple's push certificate lets this server wake devices. It comes from Apple's Push Certificates Portal."
    )
    return (
        Step("Public address", bool(public_url), address, "muster serve --public-url https://mdm.example.com"),
        Step("Push certificate", has_push_certificate, certificate, "muster push-cert upload mdm.pem mdm.key"),
        Step(
            "First device",
            False,
            "An enrollment link, opened on a Mac, iPhone or iPad, brings the device here.",
            "muster links create",
        ),
    )
