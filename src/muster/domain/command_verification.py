"""Which question shows whether a command was carried out whose answer was lost."""

from typing import Final

from muster.protocol.command import CommandRequest

VERIFYING_REQUEST_TYPES: Final = {
    "InstallApplication": "ManagedApplicationList",
    "InstallProfile": "ProfileList",
    "InstallProvisioningProfile": "ProvisioningProfileList",
    "RemoveApplication": "ManagedApplicationList",
    "RemoveProfile": "ProfileList",
    "RemoveProvisioningProfile": "ProvisioningProfileList",
}
"""By the type of the command, the list in whose answer its effect is seen."""


def verifying_query(request: CommandRequest) -> CommandRequest | None:
    """Return the question whose answer shows whether *request* was carried out; None where there is no such question.

    A device's name is asked for; what else Settings may set, no device tells.
    """
    query = VERIFYING_REQUEST_TYPES.get(request.request_type)
    if query is not None:
        return CommandRequest(query)
    if request.request_type == "Settings" and _sets_the_name(request):
        return CommandRequest("DeviceInformation", {"Queries": ["DeviceName"]})
    return None


def _sets_the_name(request: CommandRequest) -> bool:
    settings = request.keys.get("Settings")
    if not isinstance(settings, list):
        return False
    return any(isinstance(one, dict) and one.get("Item") == "DeviceName" for one in settings)
