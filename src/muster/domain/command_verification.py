"""Which question shows whether a command was carried out whose answer was lost, and what in its answer shows it."""

from collections.abc import Mapping
from typing import Final

from muster.domain.managed_apps import is_accepted, is_gone
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue
from muster.protocol.profile_contents import ProfileContents

VERIFYING_REQUEST_TYPES: Final = {
    "DisableRemoteDesktop": "SecurityInfo",
    "EnableRemoteDesktop": "SecurityInfo",
    "InstallApplication": "ManagedApplicationList",
    "InstallProfile": "ProfileList",
    "RemoveApplication": "ManagedApplicationList",
    "RemoveProfile": "ProfileList",
    "RemoveProvisioningProfile": "ProvisioningProfileList",
}
"""By the type of the command, the question in whose answer its effect is seen."""
_NAMES: Final = frozenset({"DeviceName", "HostName"})
"""What Settings may set and DeviceInformation tells; what else it sets, no device tells."""
VERIFIED_BY: Final = {
    question: tuple(sorted(one for one, its in VERIFYING_REQUEST_TYPES.items() if its == question))
    for question in sorted(set(VERIFYING_REQUEST_TYPES.values()))
} | {"DeviceInformation": ("Settings",)}
"""By the type of a question, the commands whose effect its answer may show."""


def verifying_query(request: CommandRequest) -> CommandRequest | None:
    """Return the question whose answer shows whether *request* was carried out; None where there is no such question.

    Of Settings, names alone are told; where something else is set with them, nothing shows all of it.
    """
    query = VERIFYING_REQUEST_TYPES.get(request.request_type)
    if query is not None:
        return CommandRequest(query)
    names = _names_set(request)
    return CommandRequest("DeviceInformation", {"Queries": [*sorted(names)]}) if names else None


def shows_effect(
    sent: CommandRequest,
    profile: ProfileContents | None,
    app: str | None,
    question: Mapping[str, PlistValue],
    answer: Mapping[str, PlistValue],
) -> bool:
    """Tell whether the *answer* to a question with the keys *question* shows that *sent* was carried out.

    *profile* is what an InstallProfile installs, where that can be read; *app* the bundle identifier of which an
    InstallApplication or RemoveApplication is, where that is known. False where the answer says nothing of it, and
    of what is to be gone also where the list is not whole. Not checked: whether things stood so before, and whether
    it is the answer to the question that VERIFYING_REQUEST_TYPES names.
    """
    match sent.request_type:
        case "InstallProfile":
            return profile is not None and _lists_profile(profile, answer)
        case "RemoveProfile":
            return _is_missing(sent, "Identifier", "ProfileList", "PayloadIdentifier", question, answer)
        case "RemoveProvisioningProfile":
            return _is_missing(sent, "UUID", "ProvisioningProfileList", "UUID", question, answer)
        case "InstallApplication":
            status = _status_of_app(app, answer)
            return status is not None and is_accepted(status)
        case "RemoveApplication":
            return _is_without_app(app, question, answer)
        case "EnableRemoteDesktop" | "DisableRemoteDesktop":
            told = answer.get("SecurityInfo")
            wanted = sent.request_type == "EnableRemoteDesktop"
            return isinstance(told, dict) and told.get("RemoteDesktopEnabled") is wanted
        case "Settings":
            names, told = _names_set(sent), answer.get("QueryResponses")
            return bool(names) and isinstance(told, dict) and all(told.get(key) == name for key, name in names.items())
        case _:
            return False


def _names_set(request: CommandRequest) -> dict[str, str]:
    """Return the names that a command sets and nothing else, by key; empty where it is another command."""
    settings = request.keys.get("Settings")
    if request.request_type != "Settings" or not isinstance(settings, list):
        return {}
    names: dict[str, str] = {}
    for one in settings:
        item = one.get("Item") if isinstance(one, dict) else None
        name = one.get(item) if isinstance(one, dict) and isinstance(item, str) and item in _NAMES else None
        if not isinstance(item, str) or not isinstance(name, str):
            return {}
        names[item] = name
    return names


def _lists_profile(profile: ProfileContents, answer: Mapping[str, PlistValue]) -> bool:
    listed = answer.get("ProfileList")
    if profile.identifier is None or profile.payload_uuid is None or not isinstance(listed, list):
        return False
    return any(
        isinstance(one, dict)
        and one.get("PayloadIdentifier") == profile.identifier
        and one.get("PayloadUUID") == profile.payload_uuid
        for one in listed
    )


def _is_missing(
    sent: CommandRequest,
    key: str,
    answer_key: str,
    item_key: str,
    question: Mapping[str, PlistValue],
    answer: Mapping[str, PlistValue],
) -> bool:
    """Tell whether a list that names all there is doesn't name what *sent* removes."""
    removed, listed = sent.keys.get(key), answer.get(answer_key)
    if not isinstance(removed, str) or not isinstance(listed, list) or question.get("ManagedOnly") is True:
        return False
    named = [one.get(item_key) if isinstance(one, dict) else None for one in listed]
    return all(isinstance(one, str) and one != removed for one in named)


def _status_of_app(app: str | None, answer: Mapping[str, PlistValue]) -> str | None:
    listed = answer.get("ManagedApplicationList")
    one = listed.get(app) if isinstance(listed, dict) and app is not None else None
    status = one.get("Status") if isinstance(one, dict) else None
    return status if isinstance(status, str) else None


def _is_without_app(app: str | None, question: Mapping[str, PlistValue], answer: Mapping[str, PlistValue]) -> bool:
    asked, listed = question.get("Identifiers"), answer.get("ManagedApplicationList")
    if app is None or not isinstance(listed, dict):
        return False
    if asked is not None and not (isinstance(asked, list) and app in asked):
        return False
    status = _status_of_app(app, answer)
    return app not in listed or (status is not None and is_gone(status))
