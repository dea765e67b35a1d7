"""All that is shown of one device: what is known of it, what is held of it, and where its renewal is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from muster.domain.policy import Policy
from muster.operations.views.devices import DeviceDetails, show_device
from muster.operations.views.identities import RenewalRow, renewal_of
from muster.operations.views.verdicts import VerdictRow, verdicts_of
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class OneDevice:
    """One device: what is known of it, its verdict and those of its users, and where the renewal of its identity is."""

    details: DeviceDetails
    verdicts: Mapping[ChannelId, VerdictRow]
    renewal: RenewalRow | None


def show_one_device(tx: Transaction, device_id: ChannelId, now: datetime, policy: Policy) -> OneDevice | None:
    """Read one device; None when there is no such device channel."""
    details = show_device(tx, device_id, now)
    if details is None:
        return None
    verdicts = verdicts_of(tx, [channel.id for channel in details.channels], now)
    return OneDevice(details, verdicts, renewal_of(tx, device_id, now, policy))
