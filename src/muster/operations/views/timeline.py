"""A device's story as programs and the command line are given it, and what is told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from muster.domain.control.contact import ContactDay, contacts_of, fold_contact
from muster.operations.views.devices import show_device
from muster.operations.views.evidence import EvidenceRow
from muster.operations.views.pushing import PushMark
from muster.operations.views.story import OrderedCommand, StoryFacts, story_of
from muster.operations.views.verdicts import Held
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.recoveries import Recovery
from muster.storage.verdicts import Step


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to a device and its users' channels since a day began.

    *names*: of the users, by channel. *steps*: how the verdicts changed; *before*: the last step before. *held*: which
    verdict held when. *contacts*: when each channel came, to five minutes. *name*: what the device is called.
    """

    device_id: ChannelId
    since: datetime
    names: Mapping[ChannelId, str]
    steps: tuple[Step, ...]
    before: Step | None
    held: Mapping[ChannelId, tuple[Held, ...]]
    contacts: Mapping[ChannelId, tuple[datetime, ...]]
    evidence: tuple[EvidenceRow, ...]
    pushes: tuple[PushMark, ...]
    commands: tuple[OrderedCommand, ...]
    recoveries: tuple[Recovery, ...]
    name: str

    def facts(self) -> StoryFacts:
        """Return what the story is told of."""
        return StoryFacts(
            self.device_id,
            self.since,
            self.names,
            self.steps,
            self.before,
            self.evidence,
            {channel: _days_of(contacts) for channel, contacts in self.contacts.items()},
            self.pushes,
            self.commands,
            self.held,
            self.recoveries,
        )


def show_timeline(tx: Transaction, device_id: ChannelId, since: datetime, now: datetime) -> Timeline | None:
    """Gather a device's story since *since*; None when there is no such device."""
    facts, details = story_of(tx, device_id, since, now), show_device(tx, device_id, now)
    if facts is None or details is None:
        return None
    return _timeline(facts, details.device.name or details.device.serial_number or device_id)


def _timeline(facts: StoryFacts, name: str) -> Timeline:
    contacts = {
        channel: tuple(at for day in days for at in contacts_of(day)) for channel, days in facts.contact_days.items()
    }
    return Timeline(
        facts.device_id,
        facts.since,
        facts.names,
        facts.steps,
        facts.before,
        facts.held,
        contacts,
        facts.evidence,
        facts.pushes,
        facts.commands,
        facts.recoveries,
        name,
    )


def _days_of(contacts: Sequence[datetime]) -> tuple[ContactDay, ...]:
    days: list[ContactDay] = []
    current: ContactDay | None = None
    for at in contacts:
        folded = fold_contact(current, at)
        current = folded.current
        days += [] if folded.finished is None else [folded.finished]
    return tuple(days if current is None else [*days, current])
