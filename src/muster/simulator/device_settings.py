"""The command Settings: each item has its own conditions, and its own status in the answer.

Source: Apple, "Settings" and the pages of its items.
"""

from collections.abc import Mapping

from muster.protocol.catalogue.commands import find_command
from muster.protocol.catalogue.facts import KeyFacts
from muster.protocol.connect import Status
from muster.protocol.plist import PlistValue
from muster.simulator.answers import (
    INVALID_REQUEST,
    MALFORMED,
    NOT_AUTHORIZED,
    UNFIT,
    Answer,
    Respond,
    Responder,
    Situation,
    badly_formed,
    refused,
)
from muster.simulator.applications import set_attributes, set_configuration
from muster.simulator.contents import Keys
from muster.simulator.fitness import Obstacle, fault_in, heeded, obstacle

_REFUSALS: Mapping[Obstacle, tuple[int, str]] = {
    Obstacle.UNKNOWN: (INVALID_REQUEST, "is not known here"),
    Obstacle.USER_ENROLLMENT: (INVALID_REQUEST, "is not allowed in a user enrollment"),
    Obstacle.NOT_SUPERVISED: (UNFIT, "needs a supervised device"),
    Obstacle.NO_RIGHT: (NOT_AUTHORIZED, "takes a right that the MDM server does not have"),
}


def change_settings(situation: Situation, keys: Keys) -> Answer:
    """Apply each item that can be. The command is acknowledged, whatever became of them."""
    items = keys["Settings"]
    if not isinstance(items, list):
        return badly_formed(situation, "Settings", "Settings")
    statuses: list[PlistValue] = [_status(_apply(situation, item)) for item in items]
    return Answer(keys={"Settings": statuses})


def _apply(situation: Situation, item: PlistValue) -> Answer:
    name = item.get("Item") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(name, str):
        return refused(MALFORMED, "The setting has no Item.")
    facts = _items().get(name)
    found = Obstacle.UNKNOWN if facts is None else obstacle(facts.support, situation.addressee)
    if facts is None or found is not None:
        code, words = _REFUSALS[found or Obstacle.UNKNOWN]
        return refused(code, f"The setting “{name}” {words}.")
    item = heeded(facts.members, item, situation.addressee)
    fault = fault_in(facts.members, item, situation.addressee)
    if fault is not None:
        return refused(MALFORMED, f"“{fault}” is missing in “{name}”, or has another type.")
    return _SPECIAL.get(name, _keep)(situation, item)


def _keep(situation: Situation, item: Keys) -> Answer:
    """Add what an item says to what was set before."""
    name = str(item["Item"])
    former = situation.contents.settings.get(name, {})
    situation.contents.settings[name] = former | {key: value for key, value in item.items() if key != "Item"}
    return Answer()


def _name_device(situation: Situation, item: Keys) -> Answer:
    situation.contents.device_name = str(item["DeviceName"])
    return Answer()


def _set_organization(situation: Situation, item: Keys) -> Answer:
    organization_info = item["OrganizationInfo"]
    situation.contents.organization_info = organization_info if isinstance(organization_info, dict) else {}
    return Answer()


def _share_device(situation: Situation, item: Keys) -> Answer:
    match item.get("AwaitUserConfiguration"):
        case {"Enabled": bool(is_enabled)}:
            situation.contents.awaits_user_configuration = is_enabled
    return _keep(situation, item)


_SPECIAL: Mapping[str, Respond] = {
    "ApplicationAttributes": set_attributes,
    "ApplicationConfiguration": set_configuration,
    "DeviceName": _name_device,
    "OrganizationInfo": _set_organization,
    "SharedDeviceConfiguration": _share_device,
}


def _status(outcome: Answer) -> PlistValue:
    if outcome.status is Status.ACKNOWLEDGED:
        return {"Status": outcome.status.value, **outcome.keys}
    chain: list[PlistValue] = [
        {
            "ErrorCode": error.error_code,
            "ErrorDomain": error.error_domain,
            "LocalizedDescription": error.localized_description or "",
        }
        for error in outcome.error_chain
    ]
    return {"Status": outcome.status.value, "ErrorChain": chain}


def _items() -> Mapping[str, KeyFacts]:
    """What the catalogue says of each item."""
    command = find_command("Settings")
    assert command is not None
    settings = next(key for key in command.request if key.name == "Settings")
    return {item.name: item for item in settings.members}


SETTINGS_RESPONDERS = {
    "Settings": Responder(change_settings, "applies each item that is for this device; each has its own status"),
}
