"""The rows that are there once for each channel, read together: channel, facts, token, set-up, login."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from muster.domain.inventory.kinds import InventoryKind
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.schema import (
    channels,
    device_facts,
    epochs,
    inventory,
    push_targets,
    reports,
    set_ups,
    user_logins,
    verdicts,
)

Row: TypeAlias = sa.Row[*tuple[Any, ...]]
"""One channel: columns of `channels` by their names, those of others as `facts_...`, `push_...` and so on."""

_device = channels.alias("device")
_FACTS: Final = (
    "serial_number",
    "family",
    "os_version",
    "build_version",
    "is_supervised",
    "is_user_approved",
    "is_lost",
    "has_enrollment_profile",
    "has_identity_certificate",
    "is_enrollment_removable",
    "inventory_at",
    "account",
)
_latest_answer = (
    sa.select(reports.c.reported_at)
    .where(reports.c.channel_id == channels.c.id, reports.c.body.is_not(None))
    .order_by(reports.c.reported_at.desc())
    .limit(1)
    .scalar_subquery()
)
_latest_handed_out = (
    sa.select(reports.c.handed_out_at)
    .where(reports.c.channel_id == channels.c.id, reports.c.handed_out_at.is_not(None))
    .order_by(reports.c.reported_at.desc())
    .limit(1)
    .scalar_subquery()
)


def _named(prefix: str, table: sa.FromClause, names: Sequence[str]) -> list[sa.Label[Any]]:
    return [table.c[name].label(f"{prefix}_{name}") for name in names]


_TARGET: Final = (
    "topic",
    "updated_at",
    "token_since",
    "magic_changed_at",
    "refused_at",
    "throttled_until",
    "accepted_at",
    "unanswered",
    "last_outcome",
    "last_outcome_at",
)
_LOGIN: Final = ("is_on_console", "console_at", "is_logged_in", "logged_in_at", "logged_in_changed_at")
_ROWS = (
    sa.select(
        *channels.c,
        _device.c.state.label("device_state"),
        _device.c.provisional_epoch.label("device_provisional_epoch"),
        _device.c.last_contact_at.label("device_heard_at"),
        *_named("device", _device, ("rhythm", "contact_day", "contact_strip")),
        epochs.c.opened_at.label("provisional_since"),
        *_named("facts", device_facts, _FACTS),
        *_named("push", push_targets, _TARGET),
        *_named("set_up", set_ups, ("epoch", "since", "released_by")),
        *_named("login", user_logins, _LOGIN),
        *_named("device_verdict", verdicts, ("state", "reason", "since")),
        inventory.c.learned_at.label("certificates_at"),
        _latest_answer.label("answered_at"),
        _latest_handed_out.label("handed_out_at"),
    )
    .select_from(
        channels.join(_device, _device.c.id == channels.c.device_id)
        .outerjoin(device_facts, device_facts.c.channel_id == channels.c.id)
        .outerjoin(push_targets, push_targets.c.channel_id == channels.c.id)
        .outerjoin(set_ups, set_ups.c.channel_id == channels.c.id)
        .outerjoin(user_logins, user_logins.c.channel_id == channels.c.id)
        .outerjoin(verdicts, verdicts.c.channel_id == channels.c.device_id)
        .outerjoin(
            epochs,
            sa.and_(epochs.c.device_id == channels.c.device_id, epochs.c.number == _device.c.provisional_epoch),
        )
        .outerjoin(
            inventory,
            sa.and_(inventory.c.channel_id == channels.c.id, inventory.c.kind == InventoryKind.CERTIFICATE_LIST.value),
        )
    )
    .where(among(channels.c.id, "ids"))
)
# made once: building a statement costs more than running it on SQLite


def read_rows(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, Row]:
    """Read the rows of *channel_ids*; those not stored are absent."""
    return {ChannelId(row.id): row for row in tx.connection.execute(_ROWS, {"ids": channel_ids}).all()}
