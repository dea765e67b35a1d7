"""The connect path's two hot methods mean the same on both engines."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from tests.conformance.fleet import (
    DAY,
    PIN,
    STRIP,
    TOUCH,
    after,
    apply,
    channel,
    enroll,
    head,
    locked,
    query,
    queue,
    rows,
)
from tests.support.instants import NOON

from muster.domain.control.contact import EMPTY_STRIP, ContactDay, FoldedContact
from muster.domain.enrollment import EndReason, EnrollmentState, Pins
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.storage import enrollments
from muster.storage.engine import Engine, Transaction
from muster.storage.hot import AppliedConnect, ClosedEntry
from muster.storage.schema import channels, contact_days, reports
from muster.storage.schema import queue as queue_table

A = ChannelId("A")


def test_channel_never_stored_is_absent(engine: Engine) -> None:
    enroll(engine, "A")

    assert locked(engine, query("A"), query("B")).keys() == {"A"}


def test_nothing_wanted_and_nothing_applied_is_no_error(engine: Engine) -> None:
    assert locked(engine) == {}
    apply(engine)


def test_locked_channel_of_a_fresh_device_has_nothing_but_its_enrollment(engine: Engine) -> None:
    enroll(engine, "A")

    seen = locked(engine, query("A", "no-such-command"))["A"]

    assert seen.enrollment.channel == channel("A")
    assert seen.enrollment.state is EnrollmentState.ENROLLED
    assert (seen.enrollment.epoch, seen.enrollment.provisional_epoch, seen.enrollment.ended_reason) == (1, None, None)
    assert seen.enrollment.pins == Pins(current=PIN)
    assert (seen.contact, seen.last_contact_at, seen.answered, seen.head) == (None, None, None, None)
    assert (seen.rhythm, seen.is_watched) == (None, False)


@pytest.mark.parametrize("is_proof", [False, True], ids=["contact", "proof"])
def test_contact_that_is_processed_late_moves_no_time_back(engine: Engine, is_proof: bool) -> None:
    enroll(engine, "A")
    apply(engine, AppliedConnect(A, TOUCH, is_proof=True), at=after(hours=1))

    apply(engine, AppliedConnect(A, TOUCH, is_proof=is_proof), at=NOON)

    times = rows(engine, sa.select(channels.c.last_contact_at, channels.c.last_proof_at))
    assert [tuple(row) for row in times] == [(after(hours=1), after(hours=1))]


def test_locked_user_channel_carries_its_devices_pins(engine: Engine) -> None:
    enroll(engine, "A", "A:ada")
    pins = Pins(b"\x02" * 32, PIN, after(days=7, microseconds=1), b"\x03" * 32)

    def renew(tx: Transaction) -> None:
        enrollments.set_renewed(tx, A, pins)
        enrollments.set_provisional(tx, DeviceId("A"), pin=b"\x03" * 32, epoch=2)

    engine.write(renew)
    alone = locked(engine, query("A:ada"))
    together = locked(engine, query("A"), query("A:ada"))

    assert alone["A:ada"].enrollment.pins == pins
    assert alone["A:ada"].enrollment.provisional_epoch == 2
    assert {seen.enrollment.pins for seen in together.values()} == {pins}


def test_locked_and_found_enrollments_are_equal(engine: Engine) -> None:
    enroll(engine, "A", "A:ada", "B")
    engine.write(lambda tx: enrollments.set_ended(tx, [ChannelId("B")], at=NOON, reason=EndReason.CHECKED_OUT))
    names = [ChannelId(name) for name in ("A", "A:ada", "B", "C")]

    found = engine.read(lambda tx: enrollments.find(tx, names))

    assert found == {name: seen.enrollment for name, seen in locked(engine, *map(query, names)).items()}
    assert found[ChannelId("B")].ended_reason is EndReason.CHECKED_OUT


def test_head_is_the_command_of_highest_priority_then_the_oldest(engine: Engine) -> None:
    enroll(engine, "A")
    queue(engine, "A", "later", at=after(seconds=1))
    queue(engine, "A", "sooner", at=NOON)
    assert head(engine, "A") == "sooner"

    queue(engine, "A", "urgent", priority=5, at=after(seconds=2))

    assert head(engine, "A") == "urgent"
    assert head(engine, "A", "urgent") == "sooner"


def test_commands_of_one_moment_go_in_the_order_of_their_identifiers_bytes(engine: Engine) -> None:
    enroll(engine, "A")
    for uuid in ("b", "B", "a", "é"):
        queue(engine, "A", uuid)

    order: list[str] = []
    while (entry := locked(engine, query("A"))["A"].head) is not None:
        order.append(entry.command_uuid)
        apply(engine, AppliedConnect(A, TOUCH, is_proof=False, closed=ClosedEntry(entry, "Acknowledged", b"")))

    assert order == sorted(order) == ["B", "a", "b", "é"]


def test_head_has_the_commands_stored_bytes_and_its_counts(engine: Engine) -> None:
    enroll(engine, "A", epoch=3)
    queue(engine, "A", "one", epoch=3, at=after(microseconds=7))

    entry = locked(engine, query("A"))["A"].head

    assert entry is not None
    assert (entry.command_uuid, entry.request_type, entry.body) == ("one", "DeviceInformation", b"<plist>one</plist>")
    assert (entry.epoch, entry.queued_at) == (3, after(microseconds=7))
    assert (entry.not_now_count, entry.handed_out_count, entry.handed_out_at) == (0, 0, None)


def test_answered_entry_is_found_without_its_body_and_is_not_the_head(engine: Engine) -> None:
    enroll(engine, "A", "B")
    queue(engine, "A", "one")
    queue(engine, "B", "other")

    seen = locked(engine, query("A", "one"), query("B", "one"))

    assert seen["A"].answered is not None
    assert (seen["A"].answered.command_uuid, seen["A"].answered.body) == ("one", b"")
    assert seen["A"].head is None
    assert seen["B"].answered is None
    assert seen["B"].head is not None


def test_each_channel_of_a_batch_gets_its_own_head(engine: Engine) -> None:
    names = ["A", "A:ada", "B", "C"]
    enroll(engine, *names)
    for name in names[:3]:
        queue(engine, name, f"for {name}")

    seen = locked(engine, *map(query, names))

    heads = {name: entry.head and entry.head.command_uuid for name, entry in seen.items()}
    assert heads == {"A": "for A", "A:ada": "for A:ada", "B": "for B", "C": None}


def test_hand_out_is_counted_and_dated(engine: Engine) -> None:
    enroll(engine, "A")
    queue(engine, "A", "one")
    entry = locked(engine, query("A"))["A"].head
    assert entry is not None

    for minutes in (1, 2):
        apply(engine, AppliedConnect(A, TOUCH, is_proof=False, handed_out=entry), at=after(minutes=minutes))

    again = locked(engine, query("A"))["A"].head
    assert again == replace(entry, handed_out_count=2, handed_out_at=after(minutes=2), unanswered_count=2)


def test_once_only_command_stays_queued_for_its_answer_and_is_never_head_again(engine: Engine) -> None:
    enroll(engine, "A")
    queue(engine, "A", "erase", request_type="EraseDevice")
    entry = locked(engine, query("A"))["A"].head
    assert entry is not None

    apply(engine, AppliedConnect(A, TOUCH, is_proof=False, handed_out=entry, withhold_after=True))

    assert head(engine, "A") is None
    assert locked(engine, query("A", "erase"))["A"].answered is not None


def test_not_now_keeps_the_command_and_only_skipping_passes_it_over(engine: Engine) -> None:
    enroll(engine, "A")
    queue(engine, "A", "one")
    queue(engine, "A", "two", at=after(seconds=1))

    apply(engine, AppliedConnect(A, TOUCH, is_proof=False, not_now=CommandUUID("one")))

    assert head(engine, "A") == "one"
    assert head(engine, "A", skip_not_now=True) == "two"
    assert head(engine, "A", "one", skip_not_now=True) == "two"
    entry = locked(engine, query("A", "one"))["A"].answered
    assert entry is not None
    assert (entry.not_now_count, entry.unanswered_count) == (1, 0)


def test_closed_command_leaves_the_queue_and_its_report_keeps_its_whole_story(engine: Engine) -> None:
    enroll(engine, "A", epoch=2)
    queue(engine, "A", "one", epoch=2)
    apply(engine, AppliedConnect(A, TOUCH, is_proof=False, not_now=CommandUUID("one")), at=after(minutes=1))
    entry = locked(engine, query("A"))["A"].head
    assert entry is not None
    apply(engine, AppliedConnect(A, TOUCH, is_proof=False, handed_out=entry), at=after(minutes=2))
    entry = locked(engine, query("A", "one"))["A"].answered
    assert entry is not None

    closing = ClosedEntry(entry, "Acknowledged", b"<plist>\x00\xff</plist>")
    apply(engine, AppliedConnect(A, TOUCH, is_proof=True, closed=closing), at=after(minutes=3, microseconds=1))

    (report,) = rows(engine, sa.select(reports))
    assert report._asdict() == {
        "channel_id": "A",
        "command_uuid": "one",
        "request_type": "DeviceInformation",
        "purpose": "command",
        "status": "Acknowledged",
        "body": b"<plist>\x00\xff</plist>",
        "is_sealed": False,
        "epoch": 2,
        "queued_at": NOON,
        "handed_out_at": after(minutes=2),
        "handed_out_count": 1,
        "not_now_count": 1,
        "reported_at": after(minutes=3, microseconds=1),
        "because": None,
        "faults": None,
    }
    assert rows(engine, sa.select(queue_table)) == []


def test_command_answered_before_it_was_handed_out_closes_too(engine: Engine) -> None:
    enroll(engine, "A")
    queue(engine, "A", "one")
    entry = locked(engine, query("A", "one"))["A"].answered
    assert entry is not None

    apply(engine, AppliedConnect(A, TOUCH, is_proof=False, closed=ClosedEntry(entry, "Error", b"")))

    (report,) = rows(engine, sa.select(reports))
    assert (report.status, report.body, report.handed_out_at) == ("Error", b"", None)


def test_contact_is_written_into_the_channels_row(engine: Engine) -> None:
    enroll(engine, "A", "B")

    apply(engine, AppliedConnect(A, TOUCH, is_proof=False), at=after(microseconds=123))

    seen = locked(engine, query("A"), query("B"))
    assert (seen["A"].contact, seen["A"].last_contact_at) == (ContactDay(DAY, STRIP), after(microseconds=123))
    assert (seen["B"].contact, seen["B"].last_contact_at) == (None, None)


def test_contact_brings_the_rhythm_and_the_source_and_keeps_what_it_does_not_bring(engine: Engine) -> None:
    enroll(engine, "A", "B")
    first = AppliedConnect(A, TOUCH, is_proof=False, rhythm=b"sketch", source="198.51.100.7")
    other = AppliedConnect(ChannelId("B"), TOUCH, is_proof=True)
    apply(engine, first, other)

    apply(engine, AppliedConnect(A, TOUCH, is_proof=True), replace(other, rhythm=b"other", source="2001:db8::1"))

    seen = locked(engine, query("A"), query("B"))
    assert (seen["A"].rhythm, seen["B"].rhythm) == (b"sketch", b"other")
    stored = rows(engine, sa.select(channels.c.last_source).order_by(channels.c.id))
    assert [row.last_source for row in stored] == ["198.51.100.7", "2001:db8::1"]


def test_locked_channel_tells_whether_it_is_watched(engine: Engine) -> None:
    enroll(engine, "A", "B")
    engine.write(lambda tx: enrollments.set_watched(tx, [A], is_watched=True))

    seen = locked(engine, query("A"), query("B"))

    assert (seen["A"].is_watched, seen["B"].is_watched) == (True, False)


def test_finished_day_is_kept_and_kept_again_replaces_it(engine: Engine) -> None:
    enroll(engine, "A", "B")
    first, second = ContactDay(DAY - 1, STRIP), ContactDay(DAY - 1, b"\xff" + EMPTY_STRIP[1:])
    current = ContactDay(DAY, STRIP)

    apply(
        engine,
        AppliedConnect(A, FoldedContact(current, first), is_proof=False),
        AppliedConnect(ChannelId("B"), TOUCH, is_proof=False),
    )
    apply(engine, AppliedConnect(A, FoldedContact(current, second), is_proof=False))

    assert [tuple(row) for row in rows(engine, sa.select(contact_days))] == [("A", DAY - 1, second.strip)]


def test_only_a_proof_moves_the_time_of_the_last_proof(engine: Engine) -> None:
    enroll(engine, "A", "B")
    apply(engine, AppliedConnect(A, TOUCH, is_proof=True), AppliedConnect(ChannelId("B"), TOUCH, is_proof=False))

    apply(engine, AppliedConnect(A, TOUCH, is_proof=False), at=after(hours=1))

    proofs = rows(engine, sa.select(channels.c.id, channels.c.last_proof_at).order_by(channels.c.id))
    assert [tuple(row) for row in proofs] == [("A", NOON), ("B", None)]


@pytest.mark.parametrize("size", [2, 100])
def test_batch_of_every_kind_of_connect_is_written_whole(engine: Engine, size: int) -> None:
    names = [f"{number:04}" for number in range(size)]
    enroll(engine, *names)
    for name in names[::2]:
        queue(engine, name, f"first of {name}")
        queue(engine, name, f"second of {name}", at=after(seconds=1))

    def work(tx: Transaction) -> None:
        seen = tx.lock_channels([query(name, f"first of {name}") for name in names])
        connects = []
        for name in names:
            entry = seen[ChannelId(name)].answered
            closed = None if entry is None else ClosedEntry(entry, "Acknowledged", name.encode())
            connects.append(
                AppliedConnect(
                    ChannelId(name),
                    TOUCH,
                    is_proof=closed is not None,
                    closed=closed,
                    handed_out=seen[ChannelId(name)].head,
                )
            )
        tx.apply_connects(connects, NOON)

    engine.write(work)

    stored = rows(engine, sa.select(reports.c.command_uuid, reports.c.body).order_by(reports.c.channel_id))
    assert [tuple(row) for row in stored] == [(f"first of {name}", name.encode()) for name in names[::2]]
    left = rows(engine, sa.select(queue_table.c.command_uuid, queue_table.c.handed_out_count).order_by("channel_id"))
    assert [tuple(row) for row in left] == [(f"second of {name}", 1) for name in names[::2]]


def test_wide_and_unicode_identifiers_pass_through(engine: Engine) -> None:
    name = "00008030-001A2B3C4D5E6F:ünï 'quoted\" {brace} \\ %s ? 機"
    enroll(engine, "00008030-001A2B3C4D5E6F", name)
    queue(engine, name, '{1,NULL,"x"}')

    entry = locked(engine, query(name, '{1,NULL,"x"}'))[name].answered

    assert entry is not None
    assert entry.command_uuid == '{1,NULL,"x"}'
