"""The manual says what the code does."""

from pathlib import Path

from muster.cli.manual import settings_page

MANUAL = Path(__file__).parents[2] / "docs" / "manual"


def test_the_page_of_settings_is_the_list_of_settings() -> None:
    page = (MANUAL / "settings.md").read_text()

    assert page == settings_page(), "run `make manual`"
