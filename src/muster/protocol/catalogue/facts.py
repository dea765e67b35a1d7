"""What the catalogue says of one command and of one key.

Source: Apple's device management schema (its `docs/schema.yaml` defines the words); the names are those of its fields,
but for `support`, which is its `supportedOS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from muster.protocol.os_family import OsFamily

ANY_KEY: Final = "ANY"
"""The name of a key that stands for all names; the schema also has it with words after it (`ANY app identifier`)."""


class ValueKind(StrEnum):
    """The type of a key's value, as the schema names it."""

    STRING = "string"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    REAL = "real"
    DATE = "date"
    DATA = "data"
    ARRAY = "array"
    DICTIONARY = "dictionary"
    ANY = "any"


class Mode(StrEnum):
    """Whether something is for Shared iPads, or for User Enrollments."""

    ALLOWED = "allowed"
    REQUIRED = "required"
    FORBIDDEN = "forbidden"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Support:
    """What one family of systems asks of a command or key. None: nothing is said, so what holds it decides.

    *introduced*, *deprecated* and *removed* are versions; the removed version is the first without it. *access_right*
    is the bit of AccessRights that must have been granted, 0 when none is. The two channels are those of a Mac;
    *on_shared_device* and *on_shared_user* are those of a Shared iPad.
    """

    introduced: str | None = None
    deprecated: str | None = None
    removed: str | None = None
    needs_supervision: bool = False
    needs_automated_enrollment: bool = False
    access_right: int = 0
    on_device_channel: bool | None = None
    on_user_channel: bool | None = None
    shared_ipad: Mode | None = None
    on_shared_device: bool | None = None
    on_shared_user: bool | None = None
    user_enrollment: Mode | None = None


SupportByFamily = Mapping[OsFamily, Support | None]
"""None: not for that family. A family that is absent is as what holds the key says; of a command, it is not for it."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """One key of a request or of an answer, or the items of an array.

    *members* are the keys of a dictionary (one named ANY: any names), what the items of an array can be, or the words
    that a string can be. None of them: nothing is said about what is inside. *allowed* empty: any value. *bounds* and
    *repetition* are the smallest and the largest, None where open.
    """

    name: str
    kind: ValueKind
    is_required: bool = False
    allowed: tuple[str | int | float, ...] = ()
    bounds: tuple[float | None, float | None] = (None, None)
    default: str | int | float | bool | None = None
    pattern: str | None = None
    repetition: tuple[int | None, int | None] = (None, None)
    support: SupportByFamily = field(default_factory=dict)
    members: tuple["KeyFacts", ...] = ()

    @property
    def stands_for_all(self) -> bool:
        """True when the name is a placeholder for any name."""
        return self.name.split(" ", 1)[0] == ANY_KEY


@dataclass(frozen=True, slots=True)
class CommandFacts:
    """One command: where it is known, the keys of its request beside RequestType, and those of its answer."""

    request_type: str
    support: SupportByFamily
    request: tuple[KeyFacts, ...]
    response: tuple[KeyFacts, ...]
