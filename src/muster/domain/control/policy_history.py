"""What limits of control were set at a time that is past, by the acts of the audit log that set them.

Only what is set now is stored in a table; the log has every change, and can't be rewritten without showing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from muster.domain.control.policy_settings import SETTINGS

SET: Final = "control_policy.set"
ORDER: Final = "control_policy.order"
RENAME: Final = "group.rename"
ACTS: Final = (SET, ORDER, RENAME)
"""The acts that have to be given."""
ALL: Final = "all"
"""The subject of SET in place of a group's name."""


@dataclass(frozen=True, slots=True)
class PolicyAct:
    """One act of the log: *act* is one of ACTS."""

    act: str
    subject: str
    detail: Mapping[str, object]
    at: datetime


@dataclass(frozen=True, slots=True)
class SetThen:
    """What was set for a group, by the name that it had, or for all (None), and when that was set last."""

    group: str | None
    settings: Mapping[str, str]
    set_at: datetime


@dataclass(slots=True)
class _Kept:
    settings: dict[str, str] = field(default_factory=dict)
    set_at: datetime | None = None


def set_after(acts: Iterable[PolicyAct]) -> tuple[SetThen, ...]:
    """Tell what was set once *acts*, in the order of the log, were done: for all first, then for groups in the order in
    which they decide. A group without settings is not among them."""
    kept: dict[str, _Kept] = {}  # groups in their order
    for one in acts:
        if one.act == SET:
            _set(kept, one)
        elif one.act == ORDER:
            kept = _ordered(kept, str(one.detail.get("order", "")))
        elif one.act == RENAME:
            new = str(one.detail.get("new_name", one.subject))
            kept = {new if name == one.subject else name: value for name, value in kept.items()}
    told = [
        SetThen(None if name == ALL else name, one.settings, one.set_at) for name, one in kept.items() if one.set_at
    ]
    return tuple(sorted(told, key=lambda one: one.group is not None))


def _set(kept: dict[str, _Kept], act: PolicyAct) -> None:
    one = kept.setdefault(act.subject, _Kept())
    for key in SETTINGS:
        if key in act.detail:
            value = act.detail[key]
            if value is None:
                one.settings.pop(key, None)
            else:
                one.settings[key] = str(value)
    one.set_at = act.at
    if not one.settings:
        del kept[act.subject]  # whoever sets something again comes last


def _ordered(kept: dict[str, _Kept], order: str) -> dict[str, _Kept]:
    names = _names_in(order, sorted(kept, key=len, reverse=True))
    return {name: kept[name] for name in (*names, *(name for name in kept if name not in names))}


def _names_in(text: str, known: Sequence[str]) -> list[str]:
    """Read *known* names, the longest first, out of a list that has commas between them, as names may have as well."""
    found: list[str] = []
    while text:
        name = next((one for one in known if text == one or text.startswith(f"{one}, ")), None)
        if name is None:
            break
        found.append(name)
        text = text[len(name) + len(", ") :]
    return found
