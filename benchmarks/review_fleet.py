"""A fleet that has been managed for weeks: contacts, pushes, answers and evidence as reviews find them.

Six of ten devices rest at weekends, one of twenty has been silent for a while, one of ten puts commands off now and
then, and a third of the Macs has a user's channel. Which is which hangs on the number alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from benchmarks import push_fleet
from benchmarks.push_service import TOPIC
from muster.domain.control.contact import SLOT, ContactDay, fold_contact
from muster.domain.control.evidence import Signal
from muster.domain.control.rhythm import fold_rhythm
from muster.domain.enrollment import EnrollmentState, Provenance
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.os_versions import sortable
from muster.domain.push_outcomes import Consequence
from muster.domain.push_policy import PushReason
from muster.protocol.apns import OutcomeClass
from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId, ChannelKind
from muster.storage import renewals, schema
from muster.storage.engine import Engine, Transaction
from muster.storage.types import to_microseconds

DAYS: Final = 30
"""Of history."""
PUSHES_A_DAY: Final = 2
ANSWERS_KEPT: Final = 8
"""Of each device: the latest of each question of ours, and some commands."""
SITES: Final = 400
ROWS_AT_ONCE: Final = 2000
"""Channels stored in one transaction."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEKEND = (5, 6)

Rows = dict[str, list[Mapping[str, object]]]


def is_user(number: int) -> bool:
    """Tell whether a number is a user's channel rather than a device's."""
    return number % 20 == 7  # the user of the device before it


def name_of(number: int) -> ChannelId:
    """Name a channel."""
    if is_user(number):
        return ChannelId(f"{push_fleet.channel_id(number - 1)}:{number:08X}")
    return ChannelId(push_fleet.channel_id(number))


def serial_number(number: int) -> str:
    """Return the serial number of a device."""
    return f"C{number:011}"


def store(engine: Engine, count: int, now: datetime) -> None:
    """Store *count* channels with their history; all of their reviews are due at *now*."""
    engine.write(lambda tx: _store_push_certificate(tx, now))
    authority = engine.read(renewals.current_authority)
    assert authority is not None, "every server has one"
    for first in range(0, count, ROWS_AT_ONCE):
        rows = _rows(range(first, min(first + ROWS_AT_ONCE, count)), authority.fingerprint, now)
        engine.write(lambda tx, rows=rows: _insert(tx, rows))  # type: ignore[misc]


def _store_push_certificate(tx: Transaction, now: datetime) -> None:
    tx.ensure_partitions(now)
    tx.connection.execute(
        sa.insert(schema.push_certificates).values(
            fingerprint=b"\1" * 32,
            topic=TOPIC,
            certificate_pem=b"",
            key_sealed=b"",
            not_after=now + timedelta(days=200),
            uploaded_at=now - timedelta(days=100),
            uploaded_by="benchmark",
            is_current=True,
        )
    )


_ORDER: Final = (
    "identities",
    "channels",
    "device_facts",
    "push_targets",
    "user_logins",
    "contact_days",
    "pushes",
    "evidence",
    "inventory",
    "inventory_questions",
    "reports",
    "reviews",
)


def _insert(tx: Transaction, rows: Rows) -> None:
    for name in _ORDER:
        if rows[name]:
            table = schema.metadata.tables[name]
            columns = {key: [row[key] for row in rows[name]] for key in rows[name][0]}
            if any(
                isinstance(column.type, type(schema.evidence.c.detail.type))
                for column in table.c
                if column.name in columns
            ):
                tx.connection.execute(sa.insert(table), rows[name])
            else:
                tx.insert_rows(table, columns, {})


def _rows(numbers: Sequence[int], authority: bytes, now: datetime) -> Rows:
    rows: Rows = {name: [] for name in _ORDER}
    for number in numbers:
        _add_channel(rows, number, authority, now)
    return rows


def heard_at(number: int, now: datetime) -> Iterator[datetime]:
    """Tell when a channel was heard, earliest first: twice a day it was at work, answering pushes."""
    silent_for = timedelta(days=2 + number % 30) if number % 20 == 3 else timedelta(minutes=number % 600)
    for ago in range(DAYS, -1, -1):
        day = now - timedelta(days=ago)
        if number % 10 < 6 and day.weekday() in _WEEKEND:
            continue
        for hour in (8, 14):
            at = day.replace(hour=hour, minute=number % 60, second=2)
            if at <= now - silent_for:
                yield at


def _add_channel(rows: Rows, number: int, authority: bytes, now: datetime) -> None:
    name, long_ago = name_of(number), now - timedelta(days=DAYS + 5)
    times = list(heard_at(number, now))
    last_at = times[-1] if times else long_ago
    rows["channels"].append(
        {
            "id": name,
            "device_id": name.partition(":")[0],
            "kind": (ChannelKind.USER if is_user(number) else ChannelKind.DEVICE).value,
            "state": EnrollmentState.ENROLLED.value,
            "epoch": 1,
            "pin": None if is_user(number) else _pin(number),
            "first_seen_at": long_ago,
            "enrolled_at": long_ago,
            "last_contact_at": last_at,
            "last_proof_at": last_at,
            **_add_contacts(rows, name, times),
            "last_source": f"198.51.{number % SITES // 250}.{number % SITES % 250}",
            "is_watched": False,
        }
    )
    rows["push_targets"].append(
        {
            "channel_id": name,
            "topic": TOPIC,
            "token": _pin(number),
            "push_magic": push_fleet.push_magic(number),
            "updated_at": long_ago,
            "refusals": 0,
            "throttles": 0,
            "accepted_at": last_at - timedelta(seconds=2) if number % 20 != 3 else last_at + timedelta(hours=12),
            "unanswered": 0,
        }
    )
    rows["reviews"].append({"channel_id": name, "next_review_at": now})
    _add_history(rows, number, name, times, long_ago)
    if is_user(number):
        _add_user(rows, name, last_at)
    else:
        _add_device(rows, number, authority, long_ago, last_at)


def _pin(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _add_contacts(rows: Rows, name: ChannelId, times: Sequence[datetime]) -> Mapping[str, object]:
    """Add the days that are over; returns what the channel itself keeps of the last one, and of all."""
    current: ContactDay | None = None
    rhythm: bytes | None = None
    for at in times:
        folded = fold_contact(current, at)
        if folded.finished is not None:
            rows["contact_days"].append(
                {"channel_id": name, "day": folded.finished.day, "strip": folded.finished.strip}
            )
        current = folded.current
        rhythm = fold_rhythm(rhythm, current.day)
    return {
        "contact_day": None if current is None else current.day,
        "contact_strip": None if current is None else current.strip,
        "rhythm": rhythm,
    }


def _add_user(rows: Rows, name: ChannelId, last_at: datetime) -> None:
    rows["user_logins"].append(
        {
            "channel_id": name,
            "requires_token": False,
            "is_on_console": True,
            "console_at": last_at,
            "phase_handed_out": 0,
        }
    )


def _add_device(rows: Rows, number: int, authority: bytes, long_ago: datetime, last_at: datetime) -> None:
    name, version = name_of(number), f"{15 + number % 12}.{number % 7}"
    rows["identities"].append(
        {
            "fingerprint": _pin(number),
            "certificate_der": _pin(number),
            "authority": authority,
            "device_id": name,
            "provenance": Provenance.LINK.value,
            "epoch": 1,
            "issued_at": long_ago,
            "not_after": long_ago + timedelta(days=365),
        }
    )
    rows["device_facts"].append(
        {
            "channel_id": name,
            "serial_number": serial_number(number),
            "device_name": f"Mac of desk {number}",
            "product_name": "Mac15,3",
            "family": "macOS",
            "os_version": version,
            "os_version_key": sortable(version),
            "build_version": "25B78",
            "is_supervised": True,
            "is_user_approved": True,
            "has_enrollment_profile": True,
            "has_identity_certificate": True,
            "inventory_at": last_at,
            "learned_at": last_at,
        }
    )
    rows["inventory"].append(
        {
            "channel_id": name,
            "kind": InventoryKind.CERTIFICATE_LIST.value,
            "learned_at": last_at,
            "digest": _pin(number),
            "facts": {},
        }
    )
    asked = {kind.value: to_microseconds(last_at) for kind in InventoryKind}
    rows["inventory_questions"].append({"channel_id": name, "epoch": 1, "asked": asked})


def _add_history(rows: Rows, number: int, name: ChannelId, times: Sequence[datetime], long_ago: datetime) -> None:
    for count, at in enumerate(times):
        if count % 2 < PUSHES_A_DAY:
            rows["pushes"].append(
                {
                    "channel_id": name,
                    "at": at - timedelta(seconds=2),
                    "apns_id": f"{number}-{count}",
                    "topic": TOPIC,
                    "wanted": PushReason.COMMAND_QUEUED.value,
                    "outcome": OutcomeClass.ACCEPTED.value,
                    "status": 200,
                    "latency_ms": 60,
                    "attempts": 1,
                    "consequence": Consequence.PUSHED.value,
                }
            )
    for count, at in enumerate(times[-ANSWERS_KEPT:]):
        rows["reports"].append(
            {
                "channel_id": name,
                "command_uuid": f"{number}-{count}",
                "request_type": "DeviceInformation",
                "purpose": "inventory",
                "status": Status.ACKNOWLEDGED.value,
                "body": b"<plist/>",
                "is_sealed": False,
                "epoch": 1,
                "queued_at": at - timedelta(minutes=1),
                "handed_out_at": at,
                "handed_out_count": 1,
                "not_now_count": 0,
                "reported_at": at,
            }
        )
    seen = [(Signal.AUTHENTICATE, "enrollment", long_ago), (Signal.TOKEN_UPDATE, "enrolled", long_ago)]
    seen += [(Signal.INVENTORY, "enrolled_by_user", long_ago + timedelta(minutes=1))]
    if number % 10 == 4 and times:
        seen.append((Signal.COMMAND_ANSWER, Status.NOT_NOW.value, times[-1] - SLOT))
    for count, (signal, observed, at) in enumerate(seen):
        rows["evidence"].append(
            {
                "id": f"{number}-{count}",
                "channel_id": name,
                "signal": signal.value,
                "observed_class": observed,
                "first_at": at,
                "last_at": at,
                "count": 1,
                "epoch": 1,
                "source": "198.51.100.7",
                "detail": {},
            }
        )
