"""The style sheet: every text can be read, in light and in dark."""

import re
from pathlib import Path

import pytest

from muster.edges import console

CSS = (Path(console.__file__).parent / "static" / "style.css").read_text()
TEXTS = ("text", "faint", "link", "good", "busy", "over", "warning", "bad")
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
@pytest.mark.parametrize("shape", ["tick", "focus", "strong-line"])
def test_shapes_stand_out_from_the_page(scheme: str, shape: str) -> None:
    colours = _schemes()[scheme]

    assert _contrast(colours[shape], colours["page"]) >= ENOUGH_FOR_SHAPES


def test_both_schemes_set_the_same_colours() -> None:
    schemes = _schemes()

    assert schemes["light"].keys() == schemes["dark"].keys()


def test_every_variable_used_is_set() -> None:
    used = set(re.findall(r"var\(--([a-z-]+)\)", CSS))

    assert used - {"code"} == _schemes()["light"].keys()
