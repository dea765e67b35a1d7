"""The three steps to the first device."""

import pytest

from muster.edges.console.first_steps import first_steps


@pytest.mark.parametrize(
    ("public_url", "is_done"),
    [
        (None, False),
        ("http://mdm.example.com", False),
        ("https://localhost:8443", False),
        ("https://127.0.0.1", False),
        ("https://[::1]:8443", False),
        ("https://mdm.example.com", True),
        ("https://192.0.2.7:8443", True),
    ],
)
def test_an_address_is_public_when_devices_elsewhere_can_use_it(public_url: str | None, is_done: bool) -> None:
    address, _, _ = first_steps(public_url, has_push_certificate=True)

    assert address.is_done is is_done
    assert public_url is None or public_url in address.explanation


def test_each_step_has_its_one_command() -> None:
    commands = [step.command for step in first_steps(None, has_push_certificate=False)]

    assert len(set(commands)) == 3
    assert all(command.startswith("muster ") for command in commands)
