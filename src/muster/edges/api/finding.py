"""What is answered where there is nothing of the name in the path."""

from typing import TypeVar

from muster.edges.api.problems import Problem

T = TypeVar("T")


def nothing_known(found: T | None, what: str, name: str) -> T:
    """Return *found*. Raises Problem where it is None."""
    if found is None:
        raise Problem("not_found", f"no {what} {name} is known")
    return found
