"""Whom a page with a form is about: a device or a user's channel, by the names that people know."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from muster.domain.errors import Refusal, RefusalCode
from muster.edges.console import facts
from muster.edges.console.rendering import device_url
from muster.edges.console.sessions import NotForThem, SignedIn
from muster.operations.permit import Sight, of_devices
from muster.operations.views.device_lists import DeviceRow
from muster.operations.views.devices import DeviceDetails, show_device
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments
from muster.storage.engine import Transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """A channel and its device."""

    channel_id: ChannelId
    details: DeviceDetails

    @property
    def device(self) -> DeviceRow:
        """The device."""
        return self.details.device

    @property
    def is_device(self) -> bool:
        """Tell whether it is the device's own channel."""
        return self.channel_id == self.device.id

    @property
    def name(self) -> str:
        """What people call the device, and the user where it is one's channel."""
        device = self.device.name or self.device.serial_number or self.device.id
        if self.is_device:
            return device
        return f"{facts.channel_names(self.details).get(self.channel_id, 'User')} on {device}"

    @property
    def url(self) -> str:
        """The page of the device."""
        return device_url(self.device.id)

    @property
    def proof_of_meaning(self) -> str:
        """What somebody types who really means this device: its serial number, its id where it has none."""
        return self.device.serial_number or self.device.id


def of_subject(channel_id: ChannelId, now: datetime) -> Sight[Subject | None]:
    """See whom *channel_id* names; None: nobody."""
    return of_devices([channel_id], lambda tx: read_subject(tx, channel_id, now))


def read_subject(tx: Transaction, channel_id: ChannelId, now: datetime) -> Subject | None:
    """Read whom *channel_id* names; None where it was never heard of."""
    if not channel_id.isprintable():
        return None  # no id of ours has control characters, and PostgreSQL refuses NUL
    stored = enrollments.find(tx, [channel_id]).get(channel_id)
    if stored is None:
        return None
    details = show_device(tx, ChannelId(stored.channel.device_id), now)
    return None if details is None else Subject(channel_id, details)


def not_meant(subject: Subject, typed: str) -> Refusal | None:
    """Tell that *typed* is not what somebody types who really means this device; None when it is."""
    if typed.strip().casefold() == subject.proof_of_meaning.casefold():
        return None
    what = "serial number" if subject.device.serial_number else "id"
    return Refusal(
        RefusalCode.ORDER_UNFIT,
        f"what was typed is not the {what} of {subject.name}",
        f"Type its {what}, to be sure that it is the one you mean.",
    )


def nobody(signed_in: SignedIn[T]) -> NotForThem:
    """Return what to raise where there is no such device: told as it is of one outside of somebody's scope."""
    refusal = Refusal(RefusalCode.NOT_FOUND, "no such device is known", "See the list of devices.")
    return NotForThem(refusal, signed_in.administrator)
