"""Apps are held against the channels they are to be removed from: what a device does not manage it does not remove."""

from collections.abc import Sequence

from muster.domain.command_findings import Finding, FindingCode, Severity
from muster.domain.enrollment import Enrollment
from muster.domain.inventory.kinds import InventoryKind
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.storage import inventory, managed_apps
from muster.storage.engine import Transaction


def check_apps(
    tx: Transaction, request: CommandRequest, enrolled: Sequence[Enrollment]
) -> dict[ChannelId, tuple[Finding, ...]]:
    """Tell of each channel what is to be said of a RemoveApplication; of other commands nothing.

    To remove an app that nobody sent from here is a warning, unless the device lists it among those it manages.
    """
    identifier = request.keys.get("Identifier")
    if request.request_type != "RemoveApplication" or not isinstance(identifier, str):
        return {}
    channel_ids = {one.channel.id for one in enrolled}
    foreign = channel_ids - managed_apps.ordered(tx, channel_ids, identifier)
    if foreign:
        foreign -= inventory.listing(tx, foreign, InventoryKind.MANAGED_APPLICATION_LIST, identifier)
    return {channel_id: (_not_ours(identifier),) for channel_id in foreign}


def _not_ours(identifier: str) -> Finding:
    message = (
        f"no app {identifier[:200]} was installed from here: devices remove none that they do not manage, and answer "
        "with an error"
    )
    return Finding(Severity.WARNING, FindingCode.APP_NOT_OURS, "Identifier", message)
