"""The fleet in figures, for gauges, the console's first line and the demonstration."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_breaker import Breaker
from muster.protocol.identifiers import ChannelKind
from muster.storage.engine import Transaction
from muster.storage.push_breakers import read_all
from muster.storage.schema import channels, deferred_messages, push_certificates, push_targets, push_wishes, queue

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
    push_breakers: dict[str, Breaker]
    """Breakers by topic, those too that only count failures; a topic without any is absent."""
    pushes_held: dict[str, int]
    """Wishes to push that something holds, by that."""
    tokens_refused: dict[str, int]
    """Tokens that are not pushed any more, by what APNs said last."""

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
    commands_waiting, messages_deferred = (
        tx.connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for table in (queue, deferred_messages)
    )
    wishes = _counts(tx, sa.select(push_wishes.c.held_because, sa.func.count()).group_by(push_wishes.c.held_because))
    refused = sa.select(push_targets.c.last_outcome, sa.func.count()).where(push_targets.c.refused_at.is_not(None))
    return FleetFigures(
        {(row[0], row[1]): row[2] for row in by_state},
        commands_waiting,
        sum(wishes.values()),
        messages_deferred,
        push_certificate_ends(tx),
        read_all(tx),
        {because: count for because, count in wishes.items() if because is not None},
        {outcome or "": count for outcome, count in _counts(tx, refused.group_by(push_targets.c.last_outcome)).items()},
    )


def _counts(tx: Transaction, select: sa.Select[str | None, int]) -> dict[str | None, int]:
    return {row[0]: row[1] for row in tx.connection.execute(select)}


def push_certificate_ends(tx: Transaction) -> dict[str, datetime]:
    """Tell when the push certificate in use of each topic expires; empty before the first was uploaded."""
    certificates = tx.connection.execute(
        sa.select(push_certificates.c.topic, push_certificates.c.not_after).where(push_certificates.c.is_current)
    )
    return {row.topic: row.not_after for row in certificates}
