"""The families of Apple's operating systems, and which one a product runs."""

from enum import StrEnum
from functools import lru_cache
from typing import Final


class OsFamily(StrEnum):
    """A family as Apple's device management schema names it; iPadOS goes as iOS there."""

    IOS = "iOS"
    MACOS = "macOS"
    TVOS = "tvOS"
    VISIONOS = "visionOS"
    WATCHOS = "watchOS"


_BEGINNINGS: Final = (
    ("iPhone", OsFamily.IOS),
    ("iPad", OsFamily.IOS),
    ("iPod", OsFamily.IOS),
    ("AppleTV", OsFamily.TVOS),
    ("RealityDevice", OsFamily.VISIONOS),
    ("Watch", OsFamily.WATCHOS),
    ("Mac", OsFamily.MACOS),
    ("iMac", OsFamily.MACOS),
    ("VirtualMac", OsFamily.MACOS),
)
"""How ProductName begins (Apple, "Authenticate"): iPhone16,1 and Mac14,2 are such names."""


@lru_cache(maxsize=1024)
def family_of(product_name: str | None) -> OsFamily | None:
    """The family that a product of this ProductName runs; None when it is absent, or begins in no known way."""
    name = product_name or ""
    return next((family for beginning, family in _BEGINNINGS if name.startswith(beginning)), None)
