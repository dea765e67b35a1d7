"""Devices as a table for a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from muster.cli.output import ago, print_table
from muster.cli.server_calls import Server
from muster.domain.control.reasons import Reason
from muster.domain.control.saying import GRAVITY, STATES
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.operations.views.device_lists import DeviceRow
from muster.operations.views.verdicts import VerdictRow
from muster.protocol.identifiers import ChannelId


@dataclass(frozen=True, slots=True)
class ListedVerdict:
    """As much of a verdict as a list has."""

    state: ControlState
    reason: Reason
    since: datetime
    proof_level: ProofLevel
    forecast: Forecast


Verdicts = Mapping[ChannelId, VerdictRow | ListedVerdict]
NOT_JUDGED = len(GRAVITY)
"""The place of devices that were never judged: after all others."""


@dataclass(frozen=True, slots=True)
class DeviceListed(DeviceRow):
    """A device as a server lists it, with its verdict where there is one."""

    control: ControlState | None
    reason: Reason | None
    control_since: datetime | None
    forecast: Forecast | None
    proof: ProofLevel | None


def listed_by(server: Server, **asked: object) -> tuple[list[DeviceRow], Verdicts]:
    """Ask a server for all devices that it lists, with their verdicts."""
    found = list(server.pages("/devices", DeviceListed, **asked))
    rows = [DeviceRow(**{one.name: getattr(row, one.name) for one in fields(DeviceRow)}) for row in found]
    return rows, {row.id: verdict for row in found if (verdict := _verdict(row)) is not None}


def _verdict(row: DeviceListed) -> ListedVerdict | None:
    if row.control is None or row.reason is None or row.control_since is None:
        return None
    if row.proof is None or row.forecast is None:
        return None
    return ListedVerdict(row.control, row.reason, row.control_since, row.proof, row.forecast)


def by_gravity(rows: Sequence[DeviceRow], verdicts: Verdicts) -> list[DeviceRow]:
    """Order devices by what somebody should look at first; among equals those that have been so for longest."""

    def place(row: DeviceRow) -> tuple[int, datetime, str]:
        verdict = verdicts.get(row.id)
        if verdict is None:
            return NOT_JUDGED, row.first_seen_at, row.id
        return GRAVITY.index(verdict.state), verdict.since, row.id

    return sorted(rows, key=place)


def print_devices(rows: Sequence[DeviceRow], verdicts: Verdicts, now: datetime) -> None:
    """Print *rows* as a table, or that there are none."""
    if not rows:
        print("No such devices.")
        return
    print_table(
        ("ID", "SERIAL", "NAME", "MODEL", "OS", "CONTROL", "REASON", "SINCE", "LAST CONTACT", "WAITING"),
        [
            (
                row.id,
                row.serial_number,
                row.name,
                row.model,
                row.os_version,
                _control(row, verdicts.get(row.id)),
                _reason(verdicts.get(row.id)),
                _since(verdicts.get(row.id), now),
                ago(row.last_contact_at, now),
                row.commands_waiting,
            )
            for row in rows
        ],
    )


def _control(row: DeviceRow, verdict: VerdictRow | ListedVerdict | None) -> str:
    return f"not judged ({row.state})" if verdict is None else STATES[verdict.state]


def _reason(verdict: VerdictRow | ListedVerdict | None) -> str:
    return "" if verdict is None or verdict.state is ControlState.IN_CONTROL else verdict.reason.value


def _since(verdict: VerdictRow | ListedVerdict | None, now: datetime) -> str:
    return "" if verdict is None else ago(verdict.since, now)
