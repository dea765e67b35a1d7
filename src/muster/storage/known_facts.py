"""What devices said of themselves when they enrolled and since, and how they stand by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.inventory.standing import STANDING_NAMES
from muster.domain.os_versions import sortable
from muster.protocol.identifiers import ChannelId
from muster.protocol.os_family import family_of
from muster.storage.engine import Transaction
from muster.storage.made_once import upsert
from muster.storage.schema import device_facts


@dataclass(frozen=True, slots=True)
class Facts:
    """What the device said of itself when it enrolled, or of the user. Absent: it did not say."""

    serial_number: str | None = None
    product_name: str | None = None
    model: str | None = None
    model_name: str | None = None
    device_name: str | None = None
    os_version: str | None = None
    build_version: str | None = None
    imei: str | None = None
    meid: str | None = None
    user_short_name: str | None = None
    user_long_name: str | None = None
    awaiting_configuration: bool | None = None
    account: str | None = None


_STANDING = sa.select(*(device_facts.c[name] for name in STANDING_NAMES)).where(
    device_facts.c.channel_id == sa.bindparam("of_channel")
)
_FACTS = sa.select(*(device_facts.c[name] for name in Facts.__dataclass_fields__)).where(
    device_facts.c.channel_id == sa.bindparam("of_channel")
)
_TOUCH_STANDING = (
    sa.update(device_facts)
    .where(device_facts.c.channel_id == sa.bindparam("of_channel"))
    .values(inventory_at=sa.bindparam("at"))
)
_UPDATE_FACTS = sa.update(device_facts).where(device_facts.c.channel_id == sa.bindparam("of_channel"))
# made once: building a statement costs more than running it on SQLite


def store_facts(tx: Transaction, channel_id: ChannelId, facts: Facts, learned_at: datetime) -> None:
    """Store what was said; what was not said this time stays as it was."""
    said = {name: value for name in Facts.__dataclass_fields__ if (value := getattr(facts, name)) is not None}
    said |= _derived(facts) | {"learned_at": learned_at}
    tx.connection.execute(upsert(tx, device_facts, "channel_id", said), {"channel_id": channel_id, **said})


def _derived(facts: Facts) -> dict[str, str]:
    """Tell what follows from what was said, and is asked for by queries."""
    family = family_of(facts.product_name) or family_of(facts.model)
    derived = {"family": None if family is None else family.value, "os_version_key": sortable(facts.os_version)}
    return {name: value for name, value in derived.items() if value is not None}


def facts_of(tx: Transaction, channel_id: ChannelId) -> Facts:
    """Read what a channel said of itself; nothing where it said nothing."""
    row = tx.connection.execute(_FACTS, {"of_channel": channel_id}).one_or_none()
    return Facts() if row is None else Facts(*row)


def account_of(tx: Transaction, channel_id: ChannelId) -> str | None:
    """Read the account in whose name a device was enrolled; None where there was none."""
    return tx.connection.scalar(sa.select(device_facts.c.account).where(device_facts.c.channel_id == channel_id))


def with_serial(tx: Transaction, serial_number: str, *, but: ChannelId, limit: int) -> tuple[ChannelId, ...]:
    """Name up to *limit* channels that said they have *serial_number*, sorted, other than *but*."""
    rows = tx.connection.scalars(
        sa.select(device_facts.c.channel_id)
        .where(device_facts.c.serial_number == serial_number, device_facts.c.channel_id != but)
        .order_by(device_facts.c.channel_id)
        .limit(limit)
    )
    return tuple(ChannelId(channel_id) for channel_id in rows)


def standing_of(tx: Transaction, channel_id: ChannelId) -> dict[str, bool | float | str | None]:
    """Read how a device stands by its inventory, by the names of `Standing`; empty where nothing is stored."""
    row = tx.connection.execute(_STANDING, {"of_channel": channel_id}).one_or_none()
    return {} if row is None else dict(zip(STANDING_NAMES, row, strict=True))


def store_standing(
    tx: Transaction, channel_id: ChannelId, standing: Mapping[str, bool | float | str], inventory_at: datetime | None
) -> None:
    """Store how a device stands; what is not in *standing* stays. *inventory_at* is absent where it stays, too."""
    if not standing and inventory_at is not None:
        tx.connection.execute(_TOUCH_STANDING, {"of_channel": channel_id, "at": inventory_at})
        return
    values: dict[str, object] = dict(standing)
    if inventory_at is not None:
        values["inventory_at"] = inventory_at
    if values:
        tx.connection.execute(_UPDATE_FACTS, {"of_channel": channel_id, **values})


def forget_standing(tx: Transaction, channel_id: ChannelId) -> None:
    """Forget how a device stood, for a new life of it begins. Its inventory stays, with the times it is of."""
    nothing: dict[str, None] = dict.fromkeys((*STANDING_NAMES, "inventory_at"))
    tx.connection.execute(_UPDATE_FACTS, {"of_channel": channel_id, **nothing})
