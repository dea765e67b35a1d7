"""What a device is asked about itself: what it can answer, by its system, its enrollment and what it granted.

By the catalogue, so that no question is sent that a device answers with an error, and none for what it would leave out.
What is not known of a device counts as no, but for the rights that it granted.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from muster.domain.command_findings import CommandTarget, FindingCode
from muster.domain.command_fitness import Part, unfit
from muster.domain.inventory.kinds import InventoryKind
from muster.protocol.catalogue.commands import find_command
from muster.protocol.catalogue.facts import KeyFacts
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue

NOT_ASKED: Final = frozenset({"PushToken", "DevicePropertiesAttestation", "EACSPreflight"})
"""Queries of DeviceInformation that cost the device something, or tell what TokenUpdate tells. An attestation is for
whoever checks it, and may be asked for a few times a week only."""

ASKED_THOUGH_DEPRECATED: Final = frozenset({"IsActivationLockEnabled"})
"""Nothing else tells of it."""

FIRST_QUERIES: Final = ("DeviceName", "OSVersion", "BuildVersion", "ModelName", "ProductName")
"""Every system answers these: by them we learn what else to ask."""

TARGETS_REMEMBERED: Final = 1024
"""Kinds of devices, by system, version and what they granted: a fleet has dozens."""

_OF_USERS: Final = frozenset({InventoryKind.PROFILE_LIST, InventoryKind.CERTIFICATE_LIST})
"""What differs between a device and its users; the rest would be the device's once more."""


@lru_cache(maxsize=TARGETS_REMEMBERED)
def questions_for(target: CommandTarget) -> Mapping[InventoryKind, CommandRequest]:
    """Return what to ask a channel by what is known of it, in the order in which to ask; nothing where nothing fits."""
    if target.family is None or target.os_version is None:
        first: list[PlistValue] = list(FIRST_QUERIES)
        is_device = target.is_user_channel is not True
        request = CommandRequest(InventoryKind.DEVICE_INFORMATION.value, {"Queries": first})
        return MappingProxyType({InventoryKind.DEVICE_INFORMATION: request} if is_device else {})
    careful = replace(
        target,
        is_supervised=target.is_supervised is True,
        is_user_enrollment=target.is_user_enrollment is True,
        is_automated_enrollment=target.is_automated_enrollment is True,
        is_shared_ipad=target.is_shared_ipad is True,
    )
    kinds = _OF_USERS if target.is_user_channel else InventoryKind
    asked = {kind: _question(kind, careful) for kind in InventoryKind if kind in kinds}
    return MappingProxyType({kind: question for kind, question in asked.items() if question is not None})


HARMLESS_QUERY: Final = "OSVersion"
"""Of DeviceInformation: every system answers it, locked or not, whatever its enrollment."""


def harmless_question(target: CommandTarget) -> CommandRequest | None:
    """Return the cheapest question that a channel can answer, for the answer's own sake; None: it can answer none."""
    questions = questions_for(target)
    if InventoryKind.DEVICE_INFORMATION in questions:
        return CommandRequest(InventoryKind.DEVICE_INFORMATION.value, {"Queries": [HARMLESS_QUERY]})
    return next(iter(questions.values()), None)


def _question(kind: InventoryKind, target: CommandTarget) -> CommandRequest | None:
    facts = find_command(kind.value)
    if facts is None or any(unfit(kind.value, "", facts.support, target, Part.COMMAND)):
        return None
    if kind is not InventoryKind.DEVICE_INFORMATION:
        return CommandRequest(kind.value)
    queries = next(key for key in facts.request if key.name == "Queries").members[0].members
    wanted: list[PlistValue] = [query.name for query in queries if query.name not in NOT_ASKED and _fits(query, target)]
    return CommandRequest(kind.value, {"Queries": wanted}) if wanted else None


def _fits(query: KeyFacts, target: CommandTarget) -> bool:
    against = {one.code for one in unfit(query.name, "", query.support, target, Part.QUESTION)}
    if query.name in ASKED_THOUGH_DEPRECATED:
        against.discard(FindingCode.DEPRECATED)
    return not against
