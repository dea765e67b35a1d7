"""The style sheet: every text can be read, in light and in dark."""

import re
from pathlib import Path

import pytest

from muster.edges import console

STATIC = Path(console.__file__).parent / "static"
TEMPLATES = STATIC.parent / "templates"
CSS = (STATIC / "style.css").read_text()
ENOUGH_BYTES = 60 * 1024
"""Of style sheet and scripts in all, before they are compressed."""
TEXTS = ("text", "faint", "link", "good", "busy", "over", "warning", "away", "blind", "bad")
GROUNDS = ("page", "raised", "hover")
ENOUGH_FOR_TEXT = 4.5  # WCAG 2.2, 1.4.3
ENOUGH_FOR_SHAPES = 3.0  # WCAG 2.2, 1.4.11


def _schemes() -> dict[str, dict[str, str]]:
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    return {
        name: dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for name, block in (("light", light), ("dark", dark))
    }


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_text_stands_out_from_its_ground(scheme: str, ground: str, text: str) -> None:
    colours = _schemes()[scheme]

    assert _contrast(colours[text], colours[ground]) >= ENOUGH_FOR_TEXT


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("shape", ["tick", "focus", "strong-line", "amber"])
def test_shapes_stand_out_from_the_page(scheme: str, shape: str) -> None:
    colours = _schemes()[scheme]

    assert _contrast(colours[shape], colours["page"]) >= ENOUGH_FOR_SHAPES


def test_both_schemes_set_the_same_colours() -> None:
    schemes = _schemes()

    assert schemes["light"].keys() == schemes["dark"].keys()


def test_every_variable_used_is_set() -> None:
    used = set(re.findall(r"var\(--([a-z-]+)\)", CSS))

    assert used - {"code"} == _schemes()["light"].keys()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_in_inverse_stands_out(scheme: str) -> None:
    colours = _schemes()[scheme]

    assert _contrast(colours["page"], colours["text"]) >= ENOUGH_FOR_TEXT  # the main button
    assert _contrast(colours["page"], colours["bad"]) >= ENOUGH_FOR_TEXT  # the one that destroys


def test_style_sheet_and_scripts_are_small() -> None:
    assert sum(one.stat().st_size for one in STATIC.iterdir()) < ENOUGH_BYTES


def test_nothing_is_asked_of_another_host() -> None:
    files = [*STATIC.iterdir(), *TEMPLATES.iterdir()]
    asks = re.compile(r"""(?:src|href|action|srcset)="(?:https?:)?//|[ :,]url\(|@import|fetch\(["'`]https?:""")

    assert {one.name: asks.findall(one.read_text()) for one in files if asks.search(one.read_text())} == {}


def test_who_comes_by_keyboard_sees_where_they_are() -> None:
    assert re.search(r":focus-visible \{[^}]*outline: 2px solid var\(--focus\)", CSS)
    assert "outline: none" not in CSS
    assert "outline: 0" not in CSS
