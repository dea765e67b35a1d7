"""Devices as a table for a terminal."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from muster.cli.output import ago, print_table
from muster.domain.control.saying import GRAVITY, STATES
from muster.domain.control.states import ControlState
from muster.operations.views.device_lists import DeviceRow
from muster.operations.views.verdicts import VerdictRow
from muster.protocol.identifiers import ChannelId

Verdicts = Mapping[ChannelId, VerdictRow]
NOT_JUDGED = len(GRAVITY)
"""The place of devices that were never judged: after all others."""


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


def _control(row: DeviceRow, verdict: VerdictRow | None) -> str:
    return f"not judged ({row.state})" if verdict is None else STATES[verdict.state]


def _reason(verdict: VerdictRow | None) -> str:
    return "" if verdict is None or verdict.state is ControlState.IN_CONTROL else verdict.reason.value


def _since(verdict: VerdictRow | None, now: datetime) -> str:
    return "" if verdict is None else ago(verdict.since, now)
