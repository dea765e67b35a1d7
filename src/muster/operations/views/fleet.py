"""The fleet in figures, for gauges, the console's first line and the demonstration."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.enrollment import EnrollmentState
from muster.protocol.identifiers import ChannelKind
from muster.storage.engine import Transaction
from muster.storage.schema import channels, deferred_messages, push_certificates, push_wishes, queue

DEVICE_KINDS = frozenset({ChannelKind.DEVICE.value, ChannelKind.USER_ENROLLMENT_DEVICE.value})
"""Kinds of channels that are a device's own."""


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """Counts at one moment. *channels* is by (kind, state)."""

    channels: dict[tuple[str, str], int]
    commands_waiting: int
    pushes_wanted: int
    messages_deferred: int
    push_certificates: dict[str, datetime]
    """When the certificate in use of each topic expires."""

    @property
    def enrolled_devices(self) -> int:
        """Count the devices that are enrolled now."""
        return sum(
            count
            for (kind, state), count in self.channels.items()
            if state == EnrollmentState.ENROLLED and kind in DEVICE_KINDS
        )


def fleet_figures(tx: Transaction) -> FleetFigures:
    """Count the fleet."""
    by_state = tx.connection.execute(
        sa.select(channels.c.kind, channels.c.state, sa.func.count()).group_by(channels.c.kind, channels.c.state)
    )
    commands_waiting, pushes_wanted, messages_deferred = (
        tx.connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for table in (queue, push_wishes, deferred_messages)
    )
    return FleetFigures(
        {(row[0], row[1]): row[2] for row in by_state},
        commands_waiting,
        pushes_wanted,
        messages_deferred,
        push_certificate_ends(tx),
    )


def push_certificate_ends(tx: Transaction) -> dict[str, datetime]:
    """Tell when the push certificate in use of each topic expires; empty before the first was uploaded."""
    certificates = tx.connection.execute(
        sa.select(push_certificates.c.topic, push_certificates.c.not_after).where(push_certificates.c.is_current)
    )
    return {row.topic: row.not_after for row in certificates}
