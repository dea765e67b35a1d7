"""SECURITY.md names tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
NAMES = sorted(set(re.findall(r"`(test_[a-z0-9_]+)`", PAGE)))
FILES = sorted(set(re.findall(r"`((?:tests/[a-z0-9_/]+/)?test_[a-z0-9_]+\.py)`", PAGE)))
DEFINED = {
    name
    for path in ROOT.glob("tests/**/test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
}


def test_the_page_names_some() -> None:
    assert len(NAMES) > 30
    assert len(FILES) > 15


@pytest.mark.parametrize("name", NAMES)
def test_named_test_is_there(name: str) -> None:
    assert name in DEFINED


@pytest.mark.parametrize("file", FILES)
def test_named_file_is_there(file: str) -> None:
    assert list(ROOT.glob(file if file.startswith("tests/") else f"tests/**/{file}"))


@pytest.mark.parametrize(
    "danger",
    [
        "Cross-site request forgery",
        "Session fixation",
        "IDOR",
        "Injection in filters",
        "SSRF in webhooks",
        "cross-site scripting",
        "Brute force of sign-in",
        "Brute force of links",
        "Secrets in the database, the log",
    ],
)
def test_danger_has_a_line_with_a_test(danger: str) -> None:
    [line, *_] = [one for one in PAGE.splitlines() if danger in one]

    assert "test_" in line.split("|")[3]
