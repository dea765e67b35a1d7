"""What became of a fleet: the report of one run. It holds nothing of the time that the run itself took.

Equal seeds give equal reports, to the byte (`Report.to_json`): keys sorted, no white space, times in UTC as RFC 3339.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum


@dataclass(frozen=True, slots=True)
class CommandReport:
    """One command on one channel. *status* is Apple's word, `waiting` while none came, or `closed`.

    *times_handed_out*, the last time at *handed_out_at*, is as the server counts; the four after it are as seen on the
    wire, replies that were lost included: see `muster.laboratory.wire.CommandTrace`.
    """

    command_uuid: str
    request_type: str | None
    status: str
    epoch: int
    queued_at: datetime | None
    handed_out_at: datetime | None
    reported_at: datetime | None
    times_handed_out: int
    wire_handed_out: int
    wire_not_now: int
    wire_answered: int
    wire_handed_out_after_answer: int


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """One channel as the server has it. *contacts* counts the five-minute slots in which it was heard.

    *commands*: what somebody sent, or waits for; *questions*: what the server asks of itself, for its inventory or for
    a proof.
    """

    id: str
    kind: str
    state: str
    epoch: int
    first_seen_at: datetime
    enrolled_at: datetime | None
    last_contact_at: datetime | None
    last_proof_at: datetime | None
    contacts: int
    commands: tuple[CommandReport, ...]
    questions: tuple[CommandReport, ...]

    def commands_with(self, status: str) -> tuple[CommandReport, ...]:
        """Those commands of *status*."""
        return tuple(command for command in self.commands if command.status == status)


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One enrollment of a device."""

    number: int
    provenance: str
    opened_at: datetime
    current_from: datetime | None
    closed_at: datetime | None
    closed_reason: str | None


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """One device: the truth (*is_powered*, *is_enrolled*, *pushes_seen*), the wire, and what the server knows.

    *channels*: the device's own first; none when the server never stored it. *evidence* counts observations by signal
    and class; *statuses* counts replies by HTTP status.
    """

    name: str
    platform: str
    serial_number: str
    is_powered: bool
    is_enrolled: bool
    pushes_seen: int
    statuses: Mapping[str, int]
    lost_requests: int
    lost_replies: int
    epochs: tuple[EpochReport, ...]
    channels: tuple[ChannelReport, ...]
    evidence: Mapping[str, int]

    @property
    def channel(self) -> ChannelReport:
        """The device channel."""
        return self.channels[0]


@dataclass(frozen=True, slots=True)
class Report:
    """The whole run. *pushes* counts APNs' answers by class, *rumours* refused contacts that nobody vouches for,
    *complaints* what the server logged as warning or worse."""

    seed: int
    began_at: datetime
    ended_at: datetime
    devices: tuple[DeviceReport, ...]
    pushes: Mapping[str, int]
    rumours: Mapping[str, int]
    complaints: Mapping[str, int]

    def to_json(self) -> str:
        """Write the report canonically, with a newline at the end."""
        return json.dumps(plain(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"

    def device(self, name: str) -> DeviceReport:
        """The device called *name*. Raises KeyError."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(name)


def plain(value: object) -> object:
    """*value* as JSON has it; a span in seconds."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value
