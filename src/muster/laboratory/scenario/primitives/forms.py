"""What a primitive and its parameters are made of."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from muster.laboratory.scenario.model import Value


class Target(StrEnum):
    """What a primitive befalls."""

    DEVICES = "devices"
    SITE = "site"
    APNS = "apns"
    ADE = "ade"
    SERVER = "server"


class Lasts(Enum):
    """How long it goes on."""

    A_MOMENT = "a moment"
    """`for` means nothing with it."""
    A_WHILE = "for `for`; without it to the end"


class Kind(StrEnum):
    """The type of a parameter, as it is written."""

    TEXT = "text"
    WORD = "one of its words"
    SHARE = "share, 0 to 1"
    COUNT = "whole number, 1 or more"
    FLAG = "true or false"
    DURATION = "duration"
    HOURS = "hours, UTC"
    DEVICE = "name of a device"
    SITE = "name of a site"
    KEYS = "table of keys"


@dataclass(frozen=True, slots=True)
class Parameter:
    """*default* None: it may be left out, and then nothing is meant; *needed*: it may not."""

    name: str
    kind: Kind
    help: str
    default: Value | None = None
    needed: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Primitive:
    """*help*: what happens, said for a page. *example*: an event that uses it, TOML without its first line."""

    name: str
    targets: tuple[Target, ...]
    lasts: Lasts
    help: str
    example: str
    parameters: tuple[Parameter, ...] = ()

    def parameter(self, name: str) -> Parameter | None:
        """Its parameter *name*."""
        return next((one for one in self.parameters if one.name == name), None)


DEVICES: Final = (Target.DEVICES,)
"""Of most primitives."""
