"""Channels, facts and epochs are kept alike on both engines, and nothing of them is ever lost."""

from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conformance.fleet import PIN, after, channel, enroll, rows
from tests.support.instants import NOON

from muster.domain.control.contact import ContactDay
from muster.domain.enrollment import EndReason, Enrollment, EnrollmentState, Pins, Provenance
from muster.domain.inventory.standing import STANDING_NAMES
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import enrollments, epoch_records, known_facts
from muster.storage.engine import Engine, Transaction
from muster.storage.enrollments import KnownContact
from muster.storage.known_facts import Facts
from muster.storage.schema import channels, contact_days, device_facts, epochs

A, DEVICE = ChannelId("A"), DeviceId("A")
NEXT_PIN = b"\x02" * 32


def found(engine: Engine, name: str = "A") -> Enrollment:
    return engine.read(lambda tx: enrollments.find(tx, [ChannelId(name)]))[ChannelId(name)]


def test_unknown_channels_are_absent(engine: Engine) -> None:
    enroll(engine, "A")

    assert engine.read(lambda tx: enrollments.find(tx, [A, ChannelId("B")])).keys() == {"A"}
    assert engine.read(lambda tx: enrollments.find(tx, [])) == {}


@pytest.mark.parametrize("names", [["A:u", "A", "B", "unknown"], ["A:u"], ["B", "A:u"], []])
def test_locked_channels_are_read_as_they_are_found_those_of_users_with_what_is_their_devices(
    engine: Engine, names: list[str]
) -> None:
    enroll(engine, "A", "A:u", "B", epoch=3)
    engine.write(lambda tx: enrollments.set_provisional(tx, DEVICE, pin=NEXT_PIN, epoch=4))
    wanted = [ChannelId(name) for name in names]

    locked = engine.write(lambda tx: enrollments.lock(tx, wanted))
    assert locked == engine.read(lambda tx: enrollments.find(tx, wanted))
    assert list(locked) == sorted({*names} - {"unknown"})
    assert all(one.pins.provisional == NEXT_PIN for name, one in locked.items() if name != "B")


def test_fleet_of_tens_of_thousands_is_found_in_one_call(engine: Engine) -> None:
    enroll(engine, "A", "B")
    wanted = [A, *(ChannelId(f"unknown {number}") for number in range(70_000)), ChannelId("B")]

    assert engine.read(lambda tx: enrollments.find(tx, wanted)).keys() == {"A", "B"}


def test_channel_that_is_stored_already_is_left_as_it_is(engine: Engine) -> None:
    enroll(engine, "A", epoch=3)

    engine.write(
        lambda tx: enrollments.add(
            tx, channel("A"), state=EnrollmentState.ENROLLING, epoch=0, first_seen_at=after(days=1)
        )
    )

    assert (found(engine).state, found(engine).epoch) == (EnrollmentState.ENROLLED, 3)


def test_user_channels_of_a_device_are_named_sorted_and_without_the_device(engine: Engine) -> None:
    enroll(engine, "A", "A:b", "A:B", "A:a", "AB", "B", "B:a")

    assert engine.read(lambda tx: enrollments.user_channels_of(tx, DEVICE)) == ("A:B", "A:a", "A:b")
    assert engine.read(lambda tx: enrollments.user_channels_of(tx, DeviceId("nobody"))) == ()


def test_provisional_pin_leaves_the_current_enrollment_in_force(engine: Engine) -> None:
    enroll(engine, "A")

    engine.write(lambda tx: enrollments.set_provisional(tx, DEVICE, pin=NEXT_PIN, epoch=2))

    assert found(engine) == Enrollment(
        channel("A"), EnrollmentState.ENROLLED, 1, 2, Pins(current=PIN, provisional=NEXT_PIN)
    )


def test_renewal_is_provisional_without_an_epoch(engine: Engine) -> None:
    enroll(engine, "A")
    engine.write(lambda tx: enrollments.set_provisional(tx, DEVICE, pin=NEXT_PIN, epoch=None))
    assert found(engine).provisional_epoch is None

    renewed = Pins(current=NEXT_PIN, former=PIN, former_until=after(days=7))
    engine.write(lambda tx: enrollments.set_renewed(tx, A, renewed))

    assert found(engine) == Enrollment(channel("A"), EnrollmentState.ENROLLED, 1, None, renewed)


def test_current_epoch_replaces_everything_provisional_and_ended(engine: Engine) -> None:
    enroll(engine, "A")

    def work(tx: Transaction) -> None:
        enrollments.set_provisional(tx, DEVICE, pin=NEXT_PIN, epoch=2)
        enrollments.set_ended(tx, [A], at=NOON, reason=EndReason.CHECKED_OUT)
        enrollments.set_current(tx, A, epoch=2, pins=Pins(current=NEXT_PIN), enrolled_at=after(hours=1))

    engine.write(work)

    assert found(engine) == Enrollment(channel("A"), EnrollmentState.ENROLLED, 2, None, Pins(current=NEXT_PIN))
    (row,) = rows(engine, sa.select(channels.c.enrolled_at, channels.c.ended_at, channels.c.first_seen_at))
    assert tuple(row) == (after(hours=1), None, NOON)


def test_ended_channel_keeps_what_it_was_and_its_first_end(engine: Engine) -> None:
    enroll(engine, "A", "A:ada", "B")
    both = [A, ChannelId("A:ada")]
    engine.write(lambda tx: enrollments.set_ended(tx, both, at=NOON, reason=EndReason.CHECKED_OUT))

    engine.write(lambda tx: enrollments.set_ended(tx, both, at=after(hours=1), reason=EndReason.RE_ENROLLED))

    assert found(engine) == Enrollment(
        channel("A"), EnrollmentState.ENDED, 1, None, Pins(current=PIN), EndReason.CHECKED_OUT
    )
    assert found(engine, "B").state is EnrollmentState.ENROLLED
    ends = rows(engine, sa.select(channels.c.ended_at).order_by(channels.c.id))
    assert [row.ended_at for row in ends] == [NOON, NOON, None]


def test_user_channel_comes_back_with_its_next_token_update(engine: Engine) -> None:
    enroll(engine, "A", "A:ada")
    user = ChannelId("A:ada")
    engine.write(lambda tx: enrollments.set_ended(tx, [user], at=NOON, reason=EndReason.CHECKED_OUT))

    engine.write(lambda tx: enrollments.set_enrolled(tx, user, epoch=2, enrolled_at=after(hours=1)))

    assert found(engine, "A:ada") == Enrollment(channel("A:ada"), EnrollmentState.ENROLLED, 2, None, Pins(current=PIN))


def test_touch_is_what_the_contact_is_read_from(engine: Engine) -> None:
    enroll(engine, "A")
    day = ContactDay(7, b"\x01\x00")
    nothing = KnownContact(None, None, is_watched=False)
    assert engine.read(lambda tx: enrollments.contact_of(tx, A)) == nothing
    assert engine.read(lambda tx: enrollments.contact_of(tx, ChannelId("nobody"))) == nothing

    touch(engine, at=after(microseconds=1), day=day, rhythm=b"sketch", source="198.51.100.7")

    assert engine.read(lambda tx: enrollments.contact_of(tx, A)) == KnownContact(day, b"sketch", is_watched=False)
    (row,) = rows(engine, sa.select(channels.c.last_contact_at, channels.c.last_source))
    assert tuple(row) == (after(microseconds=1), "198.51.100.7")


def test_touch_that_says_nothing_of_rhythm_and_source_leaves_them(engine: Engine) -> None:
    enroll(engine, "A")
    touch(engine, at=NOON, day=ContactDay(7, b"\x01"), rhythm=b"sketch", source="198.51.100.7")

    touch(engine, at=after(hours=1), day=ContactDay(7, b"\x03"), rhythm=None, source=None)

    (row,) = rows(engine, sa.select(channels.c.rhythm, channels.c.last_source))
    assert tuple(row) == (b"sketch", "198.51.100.7")


def test_channels_are_watched_until_they_are_not(engine: Engine) -> None:
    enroll(engine, "A", "B", "C")
    watched = sa.select(channels.c.id).where(channels.c.is_watched).order_by(channels.c.id)

    engine.write(lambda tx: enrollments.set_watched(tx, [ChannelId("C"), A, ChannelId("gone")], is_watched=True))
    assert [row.id for row in rows(engine, watched)] == ["A", "C"]
    assert engine.read(lambda tx: enrollments.contact_of(tx, A)).is_watched

    engine.write(lambda tx: enrollments.set_watched(tx, [A], is_watched=False))
    assert [row.id for row in rows(engine, watched)] == ["C"]


def touch(engine: Engine, *, at: datetime, day: ContactDay, rhythm: bytes | None, source: str | None) -> None:
    engine.write(lambda tx: enrollments.touch(tx, A, at=at, day=day, rhythm=rhythm, source=source))


def test_kept_day_is_replaced_by_a_later_strip_of_it(engine: Engine) -> None:
    for strip in (b"\x01", b"\x03"):
        engine.write(lambda tx, strip=strip: enrollments.keep_day(tx, A, day=7, strip=strip))  # type: ignore[misc]

    assert [tuple(row) for row in rows(engine, sa.select(contact_days))] == [("A", 7, b"\x03")]


def test_facts_that_are_not_said_again_stay(engine: Engine) -> None:
    enroll(engine, "A")
    first = Facts(serial_number="C02", device_name="Ada's Mac", awaiting_configuration=True)
    engine.write(lambda tx: known_facts.store_facts(tx, A, first, NOON))

    later = Facts(device_name="Ada's other Mac", awaiting_configuration=False)
    engine.write(lambda tx: known_facts.store_facts(tx, A, later, after(hours=1)))

    (row,) = rows(engine, sa.select(device_facts))
    assert (row.serial_number, row.device_name, row.imei) == ("C02", "Ada's other Mac", None)
    assert (row.awaiting_configuration, row.learned_at) == (False, after(hours=1))


def test_every_fact_has_its_column(engine: Engine) -> None:
    enroll(engine, "A")
    flags = {"awaiting_configuration": True}
    texts = {name: name.upper() for name in Facts.__dataclass_fields__ if name not in flags}
    values: dict[str, Any] = {**texts, **flags}

    engine.write(lambda tx: known_facts.store_facts(tx, A, Facts(**values), NOON))

    (row,) = rows(engine, sa.select(device_facts))
    derived = {"family": None, "os_version_key": None}  # from a product and a version that nobody has
    standing = dict.fromkeys((*STANDING_NAMES, "inventory_at"))  # said by inventory, not here
    searched = {"search_text": "a serial_number device_name model_name product_name user_short_name user_long_name"}
    said = {"channel_id": "A", **texts, **flags, **derived, **standing, **searched, "learned_at": NOON}
    assert row._asdict() == said


def test_family_and_a_sortable_version_are_derived_from_what_was_said(engine: Engine) -> None:
    enroll(engine, "A")

    engine.write(lambda tx: known_facts.store_facts(tx, A, Facts(product_name="Mac16,10", os_version="15.10"), NOON))
    engine.write(lambda tx: known_facts.store_facts(tx, A, Facts(device_name="Ada's Mac"), after(hours=1)))

    (row,) = rows(engine, sa.select(device_facts))
    assert (row.family, row.os_version_key) == ("macOS", "000000015.000000010")


def test_epoch_opened_again_is_no_news(engine: Engine) -> None:
    for identity in (PIN, NEXT_PIN):
        engine.write(
            lambda tx, identity=identity: epoch_records.add(  # type: ignore[misc]
                tx, DEVICE, number=1, identity=identity, provenance=Provenance.LINK, at=NOON
            )
        )

    (row,) = rows(engine, sa.select(epochs))
    assert tuple(row) == ("A", 1, PIN, "link", NOON, None, None, None)


def test_earlier_epochs_close_as_what_they_were(engine: Engine) -> None:
    def work(tx: Transaction) -> None:
        for number in (1, 2, 3, 4):
            epoch_records.add(tx, DEVICE, number=number, identity=PIN, provenance=Provenance.LINK, at=NOON)
        epoch_records.start(tx, DEVICE, number=1, at=after(minutes=1))
        epoch_records.close(tx, DEVICE, before=2, at=after(minutes=2))
        epoch_records.start(tx, DEVICE, number=3, at=after(minutes=3))
        epoch_records.close(tx, DEVICE, before=3, at=after(minutes=4))

    engine.write(work)

    stored = rows(engine, sa.select(epochs).order_by(epochs.c.number))
    assert [(row.number, row.current_from, row.closed_at, row.closed_reason) for row in stored] == [
        (1, after(minutes=1), after(minutes=2), "re_enrolled"),
        (2, None, after(minutes=4), "never_completed"),
        (3, after(minutes=3), None, None),
        (4, None, None, None),
    ]


@pytest.mark.parametrize("name", ["A", "B"])
def test_epoch_that_starts_after_all_is_open_again(engine: Engine, name: str) -> None:
    device = DeviceId(name)

    def work(tx: Transaction) -> None:
        for number in (1, 2):
            epoch_records.add(tx, device, number=number, identity=PIN, provenance=Provenance.RENEWAL, at=NOON)
        epoch_records.close(tx, device, before=2, at=NOON)
        epoch_records.start(tx, device, number=1, at=after(hours=1))

    engine.write(work)

    stored = rows(engine, sa.select(epochs).order_by(epochs.c.number))
    assert [(row.current_from, row.closed_at, row.closed_reason) for row in stored] == [
        (after(hours=1), None, None),
        (None, None, None),
    ]
