"""Devices as a table for a terminal."""

from collections.abc import Sequence
from datetime import datetime

from muster.cli.output import ago, print_table
from muster.operations.views.devices import DeviceRow


def print_devices(rows: Sequence[DeviceRow], now: datetime) -> None:
    """Print *rows* as a table, or that there are none."""
    if not rows:
        print("No such devices.")
        return
    print_table(
        ("ID", "SERIAL", "NAME", "MODEL", "OS", "STATE", "LAST CONTACT", "WAITING"),
        [
            (
                row.id,
                row.serial_number,
                row.name,
                row.model,
                row.os_version,
                row.state,
                ago(row.last_contact_at, now),
                row.commands_waiting,
            )
            for row in rows
        ],
    )
