"""NAME=VALUE on a command line."""

from collections.abc import Sequence

import typer


def read_assignments(assignments: Sequence[str] | None) -> dict[str, str]:
    """Take NAME=VALUE apart at the first equals sign; the last of a name wins. Raises BadParameter."""
    given = {}
    for one in assignments or ():
        name, separator, value = one.partition("=")
        if not name or not separator:
            raise typer.BadParameter(f"{one!r} is not NAME=VALUE", param_hint="--set")
        given[name] = value
    return given
