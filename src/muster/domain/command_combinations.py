"""Rules across the keys of a command, which no table of single keys can say.

Sources: Apple, "Install Application", "Install Enterprise Application" (one way to name the app), "Device Lock" and
"Erase Device" (the PIN of a Mac has six digits).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from muster.domain.command_findings import CommandTarget, Finding, FindingCode, Severity
from muster.protocol.os_family import OsFamily
from muster.protocol.plist import PlistValue

Rule: TypeAlias = Callable[[Mapping[str, PlistValue], CommandTarget], Iterator[Finding]]


def check_combination(request_type: str, keys: Mapping[str, PlistValue], target: CommandTarget) -> Iterator[Finding]:
    """Tell which rules across keys a request breaks; that each key is right by itself is not checked here."""
    for rule in _RULES.get(request_type, ()):
        yield from rule(keys, target)


def _exactly_one(*names: str) -> Rule:
    def check(keys: Mapping[str, PlistValue], _target: CommandTarget) -> Iterator[Finding]:
        named = [name for name in names if name in keys]
        if len(named) != 1:
            has = " and ".join(named) or "none of them"
            message = f"the app is named by exactly one of {', '.join(names)}, and here by {has}"
            yield Finding(Severity.ERROR, FindingCode.WRONG_COMBINATION, named[-1] if named else "", message)

    return check


def _pin_of_a_mac(keys: Mapping[str, PlistValue], target: CommandTarget) -> Iterator[Finding]:
    pin = keys.get("PIN")
    if isinstance(pin, str) and not (len(pin) == _PIN_DIGITS and pin.isascii() and pin.isdigit()):
        message = "PIN must have six digits: a Mac takes no other"
        yield Finding(Severity.ERROR, FindingCode.WRONG_FORMAT, "PIN", message)
    if pin is None and target.family is OsFamily.MACOS:
        message = "without PIN a Mac with an Intel processor answers with an error; give six digits, and keep them"
        yield Finding(Severity.NOTICE, FindingCode.WRONG_COMBINATION, "PIN", message)


_PIN_DIGITS: Final = 6

_RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "DeviceLock": (_pin_of_a_mac,),
    "EraseDevice": (_pin_of_a_mac,),
    "InstallApplication": (_exactly_one("iTunesStoreID", "Identifier", "ManifestURL"),),
    "InstallEnterpriseApplication": (_exactly_one("Manifest", "ManifestURL"),),
}
