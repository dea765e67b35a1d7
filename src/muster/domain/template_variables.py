"""The language of templates: `${name}` stands for a value, `$$` for a dollar sign, and everything else for itself.

There is nothing else in it: no defaults, no conditions, no nesting. A value is never read for names again.
"""

import re
from collections.abc import Mapping
from typing import Final

from muster.domain.errors import Refusal, RefusalCode

MAX_NAME_CHARACTERS: Final = 64
MAX_VALUE_CHARACTERS: Final = 4096
"""Of a value, and of what a template makes of one: the longest address or name is far below."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_PART: Final = re.compile(r"\$(?:\$|\{([^{}$]*)\})?")


def check_name(name: str) -> Refusal | None:
    """Tell why *name* is no name of a variable, or None: letters, digits and underscores in parts set off by dots."""
    if len(name) <= MAX_NAME_CHARACTERS and _NAME.fullmatch(name) is not None:
        return None
    return Refusal(
        RefusalCode.TEMPLATE_UNFIT,
        f"{name[:MAX_NAME_CHARACTERS]!r} is no name of a variable",
        "Names are small letters, digits and underscores, in parts set off by dots, such as user.email.",
    )


def names_in(text: str) -> frozenset[str] | Refusal:
    """Name the variables of *text*. Refused where a dollar sign begins neither `$$` nor a whole `${name}`."""
    names = set()
    for part in _PART.finditer(text):
        if part.group() == "$$":
            continue
        name = part.group(1)
        if name is None or check_name(name) is not None:
            return Refusal(
                RefusalCode.TEMPLATE_UNFIT,
                f"the dollar sign at character {part.start() + 1} begins no ${{name}}",
                "Write $$ for a dollar sign, and ${user.email} for a value.",
            )
        names.add(name)
    return frozenset(names)


def fill_in(text: str, values: Mapping[str, str]) -> str | Refusal:
    """Put values in the place of their names. Refused where `names_in` is, and where a name has no value or an empty
    one, or the whole becomes longer than MAX_VALUE_CHARACTERS."""
    names = names_in(text)
    if isinstance(names, Refusal):
        return names
    missing = sorted(name for name in names if not values.get(name))
    if missing:
        return Refusal(
            RefusalCode.VARIABLE_UNKNOWN,
            f"no value is known for {', '.join(f'${{{name}}}' for name in missing)}",
            f"Give one: --set {missing[0]}=...",
        )
    filled = _PART.sub(lambda part: "$" if part.group() == "$$" else values[part.group(1)], text)
    if len(filled) > MAX_VALUE_CHARACTERS:
        return Refusal(
            RefusalCode.TEMPLATE_UNFIT, f"a value has more than {MAX_VALUE_CHARACTERS} characters", "Shorten it."
        )
    return filled
