"""The hot path: what each report changes, what is handed out, and what is refused."""

import pytest
import sqlalchemy as sa
from tests.support.site import (
    ADA,
    IPAD,
    MAC,
    NOT_AFTER,
    SOURCE,
    Site,
    authenticate,
    head,
    id_of,
    print_of,
    token_update,
)

from muster.domain.access import DEVICE
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.answer_connect import ConnectOutcome, ConnectReply, ConnectRequest, answer_connects
from muster.protocol.checkin import CheckOut
from muster.protocol.command import decode_command
from muster.protocol.identifiers import resolve_channel
from muster.storage import schema


def handed(outcome: ConnectOutcome) -> str | None:
    assert isinstance(outcome, ConnectReply), outcome
    assert (outcome.command_uuid is None) == (outcome.body == b"")
    return outcome.command_uuid


def code(outcome: ConnectOutcome) -> RefusalCode:
    assert isinstance(outcome, Refusal)
    return outcome.code


def test_idle_device_without_commands_gets_nothing(site: Site) -> None:
    identity = site.enroll()

    assert site.connect(identity) == ConnectReply()
    assert site.evidence() == [("S6", "enrolled", 1), ("S7", "enrollment", 1)]


def test_command_is_handed_out_byte_for_byte_until_it_is_answered(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")

    first, again = site.connect(identity), site.connect(identity)

    assert first == again
    assert isinstance(first, ConnectReply)
    assert decode_command(first.body).command_uuid == "one"
    assert site.queued() == ["one"]


@pytest.mark.parametrize("status", ["Acknowledged", "Error", "CommandFormatError"])
def test_answer_closes_its_command_and_brings_the_next(site: Site, status: str) -> None:
    identity = site.enroll()
    site.queue("one")
    site.queue("two")
    site.connect(identity)

    outcome = site.connect(identity, status=status, command_uuid="one")

    assert handed(outcome) == "two"
    assert site.queued() == ["two"]
    assert site.reports() == [("one", status)]


def test_answer_said_again_changes_nothing(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.connect(identity)
    site.connect(identity, status="Acknowledged", command_uuid="one")
    before = site.evidence()

    outcome = site.connect(identity, status="Acknowledged", command_uuid="one")

    assert handed(outcome) is None
    assert site.reports() == [("one", "Acknowledged")]
    assert site.evidence() == before


def test_not_now_keeps_the_command_for_later_and_passes_it_over_at_once(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.queue("two", priority=-1)
    site.connect(identity)

    declined = site.connect(identity, status="NotNow", command_uuid="one")
    answered = site.connect(identity, status="Acknowledged", command_uuid="two")

    assert (handed(declined), handed(answered)) == ("two", "one")
    assert site.queued() == ["one"]
    assert ("S5", "NotNow", 1) in site.evidence()


def test_undefined_status_keeps_the_command_and_is_evidence(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")

    site.connect(identity, status="Thinking", command_uuid="one")

    assert site.queued() == ["one"]
    assert ("S5", "undefined_status", 1) in site.evidence()


def test_command_format_error_without_a_command_is_heard_and_handed_nothing(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")

    outcome = site.connect(identity, status="CommandFormatError")

    assert handed(outcome) is None
    assert site.queued() == ["one"]
    assert ("S5", "CommandFormatError", 1) in site.evidence()


@pytest.mark.parametrize("status", ["Acknowledged", "Error", "NotNow", "Thinking"])
def test_answer_to_a_command_nobody_queued_is_kept_and_is_evidence(site: Site, status: str) -> None:
    identity = site.enroll()

    outcome = site.connect(identity, status=status, command_uuid="not ours")

    assert handed(outcome) is None
    assert site.reports() == [("not ours", status)]
    assert ("S5", "unknown_command", 1) in site.evidence()


def test_answer_that_follows_a_not_now_is_kept_though_nobody_queued_the_command(site: Site) -> None:
    identity = site.enroll()
    site.connect(identity, status="NotNow", command_uuid="not ours")
    site.wait(minutes=1)

    site.connect(identity, status="Acknowledged", command_uuid="not ours")

    assert site.reports() == [("not ours", "NotNow"), ("not ours", "Acknowledged")]


def test_answer_to_another_devices_command_leaves_that_one_queued(site: Site) -> None:
    site.enroll()
    ipad = site.enroll(IPAD)
    site.queue("for the Mac")

    site.connect(ipad, IPAD, "Acknowledged", "for the Mac")

    assert site.queued() == ["for the Mac"]
    assert site.reports() == []
    assert site.reports(IPAD) == [("for the Mac", "Acknowledged")]
    assert ("S5", "unknown_command", 1) in site.evidence(IPAD)


def test_once_only_command_is_handed_out_once_and_its_late_answer_closes_it(site: Site) -> None:
    identity = site.enroll()
    site.queue("lock", request_type="DeviceLock")

    first, second = site.connect(identity), site.connect(identity)
    site.connect(identity, status="Acknowledged", command_uuid="lock")

    assert (handed(first), handed(second)) == ("lock", None)
    assert site.reports() == [("lock", "Acknowledged")]


def test_answer_after_re_enrollment_is_late(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.connect(identity)
    site.wait(minutes=1)
    identity = site.enroll()
    site.wait(minutes=1)

    site.connect(identity, status="Acknowledged", command_uuid="one")

    assert site.reports() == [("one", "closed"), ("one", "Acknowledged")]
    assert ("S5", "late_answer", 1) in site.evidence()


# Who speaks


def test_channel_nobody_knows_is_refused_and_only_rumoured(site: Site) -> None:
    outcome = site.connect(site.identity())

    assert code(outcome) is RefusalCode.CHANNEL_UNKNOWN
    assert site.rumours() == [(id_of(MAC), "channel_unknown", 1)]


def test_identity_nobody_pinned_is_refused_and_the_device_is_not_touched(site: Site) -> None:
    site.enroll()
    site.queue("one")
    before = site.evidence()

    outcome = site.connect(site.identity(), status="Acknowledged", command_uuid="one")

    assert code(outcome) is RefusalCode.IDENTITY_NOT_PINNED
    assert site.queued() == ["one"]
    assert site.evidence() == before
    assert site.rumours() == [(id_of(MAC), "identity_not_pinned", 1)]


def test_identity_of_another_device_is_evidence_of_that_device(site: Site) -> None:
    site.enroll()
    ipad = site.enroll(IPAD)
    before = site.evidence()

    for _ in range(2):
        assert code(site.connect(ipad, MAC)) is RefusalCode.IDENTITY_OF_ANOTHER_DEVICE

    assert site.evidence() == before
    assert ("S2", "identity_of_another_device", 2) in site.evidence(IPAD)
    assert site.rumours() == []


def test_device_whose_token_update_is_still_to_come_is_heard_and_handed_nothing(site: Site) -> None:
    site.enroll()
    site.queue("one")
    again = site.identity()
    site.check_in(authenticate(), again)

    assert handed(site.connect(again)) is None
    assert site.queued() == ["one"]


def test_late_copy_of_the_authenticate_keeps_no_command_from_the_device(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.wait(minutes=1)
    site.check_in(authenticate(), identity)

    outcome = site.connect(identity)

    assert handed(outcome) == "one"
    assert site.evidence()[-1] == ("S7", "repeated", 1)


def test_token_rotated_after_a_late_authenticate_closes_no_command(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.check_in(authenticate(), identity)
    site.connect(identity)

    site.check_in(token_update(token=b"\x02" * 32), identity)

    assert site.queued() == ["one"]
    assert site.enrollment().epoch == 1


def test_user_is_handed_commands_after_a_late_authenticate_of_the_device(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    site.queue("hers", ADA)
    site.check_in(authenticate(), identity)

    outcome = site.connect(identity, ADA)

    assert handed(outcome) == "hers"


def test_report_processed_belatedly_leaves_the_authenticate_in_force(site: Site) -> None:
    identity = site.enroll()
    site.check_in(authenticate(), identity)
    report = ConnectRequest(
        head(status="Acknowledged", command_uuid="one"), print_of(identity), b"", SOURCE, NOT_AFTER, wants_command=False
    )

    site.do(answer_connects, report, actor=DEVICE)

    assert site.enrollment().provisional_epoch == 2


def test_user_channel_speaks_by_its_devices_identity(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    site.queue("for Ada", ADA)

    assert handed(site.connect(identity)) is None
    assert handed(site.connect(identity, ADA)) == "for Ada"


def test_user_without_a_token_update_is_refused_with_evidence_of_the_device(site: Site) -> None:
    identity = site.enroll()

    outcome = site.connect(identity, ADA)

    assert code(outcome) is RefusalCode.CHANNEL_UNKNOWN
    assert ("S2", "channel_unknown", 1) in site.evidence()


def test_device_that_checked_out_and_connects_is_back(site: Site) -> None:
    identity = site.enroll()
    site.check_in(CheckOut(MAC, resolve_channel(MAC)), identity)
    assert site.enrollment().state is EnrollmentState.ENDED

    site.connect(identity)

    assert site.enrollment().state is EnrollmentState.ENROLLED
    assert site.enrollment().ended_reason is None
    assert ("S6", "returned", 1) in site.evidence()


# A batch


def test_batch_answers_each_in_order_and_a_refusal_spoils_no_neighbour(site: Site) -> None:
    mac, ipad = site.enroll(), site.enroll(IPAD)
    site.queue("one")
    stranger = head(ADA)
    requests = [
        ConnectRequest(head(IPAD), print_of(ipad), b"", SOURCE, NOT_AFTER),
        ConnectRequest(head(MAC, "Acknowledged", "one"), print_of(mac), b"said", SOURCE, NOT_AFTER),
        ConnectRequest(stranger, print_of(mac), b"", SOURCE, NOT_AFTER),
    ]
    assert requests == sorted(requests, key=lambda request: request.head.channel.id)

    outcomes = site.do(answer_connects, *requests, actor=DEVICE)

    assert [type(outcome) for outcome in outcomes] == [ConnectReply, ConnectReply, Refusal]
    assert site.rows(sa.select(schema.reports.c.body)) == [(b"said",)]


def test_report_processed_belatedly_hands_out_nothing(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    late = ConnectRequest(head(), print_of(identity), b"", SOURCE, NOT_AFTER, wants_command=False)

    (outcome,) = site.do(answer_connects, late, actor=DEVICE)

    assert handed(outcome) is None
    assert site.rows(sa.select(schema.queue.c.handed_out_count)) == [(0,)]


def test_contact_is_ticked_and_acknowledged_is_proof(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.wait(days=1)
    site.connect(identity)
    site.wait(minutes=1)
    site.connect(identity, status="Acknowledged", command_uuid="one")

    columns = schema.channels.c
    assert site.rows(sa.select(columns.last_contact_at, columns.last_proof_at)) == [(site.now, site.now)]
    assert site.rows(sa.select(sa.func.count()).select_from(schema.contact_days)) == [(1,)]
