"""What stands in the head of every page."""

import pytest
from tests.support.browser import Browser

from muster.edges.console.navigation import NAVIGATION, is_section


@pytest.mark.parametrize("entry", NAVIGATION, ids=lambda entry: entry.key)
def test_every_section_is_led_to_and_marks_itself(ana: Browser, entry: object) -> None:
    url = getattr(entry, "url", "")
    page = ana.get(url)
    if page.status == 303:  # without a device, the fleet leads to the first steps
        page = ana.get("/devices")

    assert page.status == 200
    assert f'<a href="{url}"' in page.text
    assert page.text.count('aria-current="page"') == 1


def test_nobody_is_led_anywhere_before_signing_in(visitor: Browser) -> None:
    assert "<nav" not in visitor.get("/sign-in").text


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", True),
        ("/devices/A/B", True),
        ("/people", True),
        ("/peoples", False),
        ("//evil", False),
        ("/sign-out", False),
    ],
)
def test_only_pages_of_sections_are_sections(path: str, expected: bool) -> None:
    assert is_section(path) is expected
