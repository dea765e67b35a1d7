"""Devices put straight into the tables, for tests of what is read and shown."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from tests.support.runner import NOW

from muster.domain.control.contact import ContactDay, fold_contact
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollment_profiles, schema
from muster.storage.engine import Engine, Transaction

AUTHORITY = b"a" * 32
PROFILE = b"p" * 32
TOPIC = "com.apple.mgmt.External.test"


def add_device(
    engine: Engine,
    device_id: str,
    *,
    state: str = "enrolled",
    kind: str = "Device",
    name: str | None = None,
    serial_number: str | None = None,
    os_version: str | None = None,
    model_name: str | None = None,
    contacts: Sequence[datetime] = (),
    first_seen_at: datetime = NOW - timedelta(days=100),
    ended_at: datetime | None = None,
    identity_not_after: datetime | None = None,
    is_profile_known: bool = False,
) -> ChannelId:
    """Store a device with its epoch; *contacts* are in order, the last one is its last contact."""
    finished, current = _fold(contacts)
    enrolled_at = None if state == "enrolling" else first_seen_at
    pin = None if identity_not_after is None else device_id.encode().ljust(32, b".")[:32]
    rows = [
        sa.insert(schema.channels).values(
            id=device_id,
            device_id=device_id,
            kind=kind,
            state=state,
            epoch=1,
            pin=pin,
            first_seen_at=first_seen_at,
            enrolled_at=enrolled_at,
            ended_at=ended_at,
            ended_reason=None if ended_at is None else "checked_out",
            last_contact_at=contacts[-1] if contacts else None,
            contact_day=None if current is None else current.day,
            contact_strip=None if current is None else current.strip,
        ),
        sa.insert(schema.device_facts).values(
            channel_id=device_id,
            device_name=name,
            serial_number=serial_number,
            os_version=os_version,
            model_name=model_name,
            learned_at=NOW,
        ),
        sa.insert(schema.epochs).values(
            device_id=device_id, number=1, identity=b"i" * 32, provenance="link", opened_at=first_seen_at
        ),
        *(
            sa.insert(schema.contact_days).values(channel_id=device_id, day=day.day, strip=day.strip)
            for day in finished
        ),
    ]
    insert(engine, *rows)
    if pin is not None and identity_not_after is not None:
        _add_identity(engine, pin, device_id, identity_not_after, is_profile_known)
    return ChannelId(device_id)


def add_user(engine: Engine, device_id: str, user_id: str, short_name: str) -> ChannelId:
    """Store a user channel of a device."""
    channel_id = f"{device_id}:{user_id}"
    insert(
        engine,
        sa.insert(schema.channels).values(
            id=channel_id, device_id=device_id, kind="User", state="enrolled", epoch=1, first_seen_at=NOW
        ),
        sa.insert(schema.device_facts).values(channel_id=channel_id, user_short_name=short_name, learned_at=NOW),
    )
    return ChannelId(channel_id)


def add_command(engine: Engine, channel_id: str, command_uuid: str, request_type: str = "ProfileList") -> None:
    """Queue a command on a channel."""
    insert(
        engine,
        sa.insert(schema.commands).values(
            command_uuid=command_uuid,
            request_type=request_type,
            body=b"<plist/>",
            is_sealed=False,
            created_at=NOW,
            created_by="ana",
        ),
        sa.insert(schema.queue).values(
            channel_id=channel_id,
            command_uuid=command_uuid,
            epoch=1,
            purpose="command",
            rank=0,
            position=1,
            is_withheld=False,
            queued_at=NOW - timedelta(minutes=5),
            not_now_count=0,
            handed_out_count=0,
            unanswered_count=0,
            follows_any=False,
            has_followers=False,
            retries_left=0,
            failed_count=0,
        ),
    )


def add_report(
    engine: Engine, channel_id: str, command_uuid: str, status: str, *, queued_at: datetime, reported_at: datetime
) -> None:
    """Store the answer to a command."""
    insert(
        engine,
        sa.insert(schema.reports).values(
            is_sealed=False,
            channel_id=channel_id,
            command_uuid=command_uuid,
            request_type="ProfileList",
            status=status,
            epoch=1,
            queued_at=queued_at,
            handed_out_count=1,
            not_now_count=0,
            reported_at=reported_at,
        ),
    )


def add_evidence(
    engine: Engine,
    channel_id: str,
    signal: str,
    observed_class: str,
    *,
    last_at: datetime = NOW,
    first_at: datetime | None = None,
    count: int = 1,
    detail: dict[str, str | int | bool | None] | None = None,
) -> None:
    """Store a row of evidence."""
    insert(
        engine,
        sa.insert(schema.evidence).values(
            id=f"{channel_id}{signal}{observed_class}{last_at}",
            channel_id=channel_id,
            signal=signal,
            observed_class=observed_class,
            first_at=first_at or last_at,
            last_at=last_at,
            count=count,
            epoch=1,
            source="203.0.113.9",
            detail=detail or {},
        ),
    )


def add_push(
    engine: Engine,
    channel_id: str,
    outcome: str,
    at: datetime = NOW,
    *,
    status: int = 200,
    reason: str | None = None,
    unregistered_at: datetime | None = None,
    consequence: str = "pushed",
) -> None:
    """Store a push that was sent to a channel, with what APNs answered."""
    insert(
        engine,
        sa.insert(schema.pushes).values(
            channel_id=channel_id,
            at=at,
            apns_id=f"{channel_id} {at}",
            topic=TOPIC,
            wanted="command_queued",
            outcome=outcome,
            status=status,
            reason=reason,
            unregistered_at=unregistered_at,
            latency_ms=40,
            attempts=1,
            consequence=consequence,
        ),
    )


def add_push_wish(engine: Engine, channel_id: str, *, due_at: datetime, held_because: str | None = None) -> None:
    """Store the wish to push a channel, for a command queued a minute ago."""
    insert(
        engine,
        sa.insert(schema.push_wishes).values(
            channel_id=channel_id,
            reason="command_queued",
            wanted_at=NOW - timedelta(minutes=1),
            due_at=due_at,
            attempts=0,
            failures=0,
            fence=0,
            held_because=held_because,
        ),
    )


def add_push_breaker(engine: Engine, *, is_open: bool, topic: str | None = None) -> None:
    """Store the breaker of a topic whose pushes find no connection."""
    insert(
        engine,
        sa.insert(schema.push_breakers).values(
            topic=topic or TOPIC,
            cause="apns_unreachable",
            failures=10 if is_open else 3,
            since=NOW - timedelta(hours=2),
            opened_at=NOW - timedelta(hours=2) if is_open else None,
            retry_at=NOW + timedelta(minutes=4) if is_open else None,
            probes=3 if is_open else 0,
            is_probing=False,
        ),
    )


def add_push_target(
    engine: Engine,
    channel_id: str,
    outcome: str | None = None,
    refused_at: datetime | None = None,
    *,
    topic: str = TOPIC,
) -> None:
    """Store a push token and what APNs said last."""
    insert(
        engine,
        sa.insert(schema.push_targets).values(
            channel_id=channel_id,
            topic=topic,
            token=b"t" * 32,
            push_magic="magic",
            updated_at=NOW,
            refused_at=refused_at,
            refusals=0 if refused_at is None else 1,
            throttles=0,
            unanswered=0,
            last_outcome=outcome,
            last_outcome_at=None if outcome is None else NOW,
        ),
    )


def clear_push_targets(engine: Engine) -> None:
    """Forget every push token."""
    engine.write(lambda tx: tx.connection.execute(sa.delete(schema.push_targets)))


def add_push_certificate(engine: Engine, not_after: datetime, *, topic: str = TOPIC, at: datetime = NOW) -> None:
    """Store the push certificate in use."""
    insert(
        engine,
        sa.insert(schema.push_certificates).values(
            fingerprint=topic.encode().ljust(32, b"p")[-32:],
            topic=topic,
            certificate_pem=b"",
            key_sealed=b"",
            not_after=not_after,
            uploaded_at=NOW,
            uploaded_by="ana",
            is_current=True,
            chosen_at=at,
        ),
    )


def insert(engine: Engine, *statements: sa.Insert) -> None:
    """Run *statements* in one transaction, in order."""

    def work(tx: Transaction) -> None:
        for statement in statements:
            tx.connection.execute(statement)

    engine.write(work)


def _add_identity(engine: Engine, pin: bytes, device_id: str, not_after: datetime, is_profile_known: bool) -> None:
    def work(tx: Transaction) -> None:
        authority = {"certificate_der": b"", "key_sealed": b"", "created_at": NOW, "is_current": True}
        tx.connection.execute(
            tx.insert(schema.authorities).values(fingerprint=AUTHORITY, **authority).on_conflict_do_nothing()
        )
        if is_profile_known:
            enrollment_profiles.keep_json(tx, PROFILE, {}, NOW)
        tx.connection.execute(
            sa.insert(schema.identities).values(
                fingerprint=pin,
                certificate_der=b"",
                authority=AUTHORITY,
                device_id=device_id,
                provenance="link",
                profile_id=PROFILE if is_profile_known else None,
                issued_at=NOW,
                not_after=not_after,
            )
        )

    engine.write(work)


def _fold(contacts: Sequence[datetime]) -> tuple[list[ContactDay], ContactDay | None]:
    finished: list[ContactDay] = []
    current: ContactDay | None = None
    for at in contacts:
        folded = fold_contact(current, at)
        if folded.finished is not None:
            finished.append(folded.finished)
        current = folded.current
    return finished, current
