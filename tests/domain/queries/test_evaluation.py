"""What queries find, and what they don't where something isn't known."""

from datetime import timedelta

import pytest
from tests.support.runner import NOW

from muster.domain.queries.evaluation import Facts, Item, matches
from muster.domain.queries.parser import parse_query

MAC: Facts = {
    "name": "Ada's MacBook",
    "platform": "macOS",
    "os_version": "26.10",
    "is_supervised": False,
    "last_contact": NOW - timedelta(days=3),
    "app": (Item("com.apple.Pages", "14.1"), Item("com.example.Odd", "beta")),
}
UNKNOWN: Facts = {}


@pytest.mark.parametrize(
    "text",
    [
        "platform = 'macos'",
        "name = 'ada''s macbook'",
        "name contains 'MACB'",
        "name starts with 'ada'",
        "os_version > '26.9'",
        "os_version < '27'",
        "os_version = '26.10.0'",
        "os_version starts with '26'",
        "os_version in ('15', '26.10')",
        "not is_supervised",
        "is_supervised = false",
        "last_contact < 2 days ago",
        "last_contact > 4 days ago and last_contact < now",
        "app = 'com.apple.Pages' version < '14.2'",
        "app starts with 'com.apple.'",
        "app contains 'Pages'",
        "app != 'com.example.Odd' version < '2'",
        "app not in ('com.apple.pages')",
        "serial is unknown",
        "name = 'x' or platform = 'macOS'",
        "state is unknown",
    ],
)
def test_device_is_found(text: str) -> None:
    assert matches(parse_query(text), MAC, NOW)
    assert not matches(parse_query(f"not ({text})"), MAC, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "platform = 'macOS'",
        "platform != 'macOS'",
        "name contains 'a'",
        "name not contains 'a'",
        "os_version < '26'",
        "os_version in ('26')",
        "is_supervised",
        "last_contact < 7 days ago",
        "app = 'com.apple.Pages'",
        "app != 'com.apple.Pages'",
        "platform = 'macOS' and name = 'x'",
        "platform = 'macOS' or not (name = 'x')",
    ],
)
def test_what_is_not_known_matches_neither_a_condition_nor_its_opposite(text: str) -> None:
    assert not matches(parse_query(text), UNKNOWN, NOW)
    assert not matches(parse_query(f"not ({text})"), UNKNOWN, NOW)


@pytest.mark.parametrize(
    ("version", "beginning", "expected"),
    [
        ("26", "26", True),
        ("26.1", "26", True),
        ("260", "26", False),
        ("26.0", "26.0", True),
        ("26.0.1", "26.0", True),
        ("26.1", "26.0", False),
        ("26", "26.0.0", True),
        ("0", "0", True),
        ("0.1", "0", True),
    ],
)
def test_versions_begin_by_their_numbers(version: str, beginning: str, expected: bool) -> None:
    query = parse_query(f"os_version starts with '{beginning}'")

    assert matches(query, {"os_version": version}, NOW) is expected


def test_what_is_no_version_is_not_known_as_one() -> None:
    assert matches(parse_query("os_version is unknown"), {"os_version": "Tahoe"}, NOW)
    assert not matches(parse_query("os_version != '26'"), {"os_version": "Tahoe"}, NOW)
