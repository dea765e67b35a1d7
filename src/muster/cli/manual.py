"""The manual's page of settings, made from the one list of them."""

from pydantic.fields import FieldInfo

from muster.settings import PREFIX, Settings

_HEAD = """\
# Settings

Precedence: flag, then `MUSTER_*` in the environment, then `muster.toml` in the data directory, then the default.
Unknown names are refused. `muster check` prints what will be used. This page is made from `src/muster/settings.py`.

| setting | environment | default | what it is |
|---|---|---|---|
"""


def settings_page() -> str:
    """Return the page, Markdown."""
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    default = "" if field.default in (None, "", ()) else f"`{_shown(field.default)}`"
    return f"| `{name}` | `{PREFIX}{name.upper()}` | {default} | {field.description} |\n"


def _shown(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
