"""Messages that tripped over a fault of ours are processed later, as of their time, and undo nothing."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import ADA, IPAD, MAC, SOURCE, TOPIC, Site, head, id_of, print_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import DEVICE
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.checkin import CheckinAnswer
from muster.operations.retry_deferred import (
    CONNECT,
    RETRY_DELAYS,
    Deferral,
    DueDeferred,
    FailedAttempt,
    claim_deferred,
    defer_messages,
    note_failures,
    process_deferred,
)
from muster.protocol.checkin import CheckinMessage, CheckOut, GetBootstrapToken, SetBootstrapToken, encode_checkin
from muster.protocol.checkin_replies import read_bootstrap_token_reply
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import Identifiers, resolve_channel
from muster.storage import schema


def defer(
    site: Site, identity: SignerIdentity, message: CheckinMessage | None = None, identifiers: Identifiers = MAC
) -> Refusal | None:
    """Defer a check-in, or without one an Acknowledged of the command "one"."""
    if message is None:
        name, body = CONNECT, encode_report(Report(head(identifiers, "Acknowledged", "one")))
    else:
        name, body = type(message).__name__, encode_checkin(message)
    channel = resolve_channel(identifiers)
    deferral = Deferral(channel, name, body, print_of(identity), SOURCE, "ValueError: ours")
    return site.do(defer_messages, deferral, actor=DEVICE)[0]


def claim(site: Site) -> DueDeferred:
    return site.do(claim_deferred, None)[0]


def retry(site: Site) -> None:
    site.do(process_deferred, *claim(site).messages)


def token(site: Site) -> bytes:
    ((found,),) = site.rows(sa.select(schema.push_targets.c.token))
    assert isinstance(found, bytes)
    return found


def test_deferred_message_is_evidence_of_our_own_error(site: Site) -> None:
    identity = site.enroll()

    assert defer(site, identity) is None
    defer(site, identity)

    assert ("own", "connect", 2) in site.evidence()


def test_message_of_a_stranger_is_not_kept(site: Site) -> None:
    site.enroll()
    ipad = site.enroll(IPAD)

    refusals = [defer(site, site.identity()), defer(site, ipad), defer(site, ipad, None, ADA)]

    others = [RefusalCode.IDENTITY_OF_ANOTHER_DEVICE] * 2
    assert [refusal and refusal.code for refusal in refusals] == [RefusalCode.IDENTITY_NOT_PINNED, *others]
    assert site.rows(sa.select(schema.deferred_messages)) == []
    assert ("own", "connect", 1) not in site.evidence()


def test_message_of_an_unknown_device_is_not_kept(site: Site) -> None:
    refusal = defer(site, site.identity())

    assert refusal is not None
    assert refusal.code is RefusalCode.CHANNEL_UNKNOWN


def test_message_is_due_after_a_minute_and_then_ever_later(site: Site) -> None:
    defer(site, site.enroll())
    waits = []

    for _ in range(6):
        due_at = claim(site).next_due_at
        assert due_at is not None
        waits.append(due_at - site.now)
        site.runner.time = due_at
        assert len(claim(site).messages) == 1

    assert waits == [*RETRY_DELAYS, RETRY_DELAYS[-1], RETRY_DELAYS[-1]]


def test_report_is_recorded_as_of_the_time_it_came_and_hands_nothing_out(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.queue("two")
    came_at = site.wait(seconds=1)
    defer(site, identity)
    site.wait(minutes=1)

    retry(site)

    assert site.reports() == [("one", "Acknowledged")]
    assert site.rows(sa.select(schema.reports.c.reported_at)) == [(came_at,)]
    assert site.rows(sa.select(schema.queue.c.handed_out_count)) == [(0,)]
    assert claim(site) == DueDeferred((), None)


def test_last_contact_does_not_move_back(site: Site) -> None:
    identity = site.enroll()
    defer(site, identity, token_update(token=b"\x02" * 32))
    site.wait(minutes=1)
    site.connect(identity)

    retry(site)

    assert site.rows(sa.select(schema.channels.c.last_contact_at)) == [(site.now,)]
    assert token(site) == b"\x02" * 32


def test_token_update_that_a_newer_one_overtook_changes_nothing(site: Site) -> None:
    identity = site.enroll()
    site.wait(seconds=1)
    defer(site, identity, token_update(token=b"\x02" * 32))
    site.wait(seconds=1)
    site.check_in(token_update(token=b"\x03" * 32), identity)
    site.wait(minutes=1)

    retry(site)

    assert token(site) == b"\x03" * 32
    assert claim(site).next_due_at is None


def test_check_out_ends_the_enrollment_unless_the_device_came_back(site: Site) -> None:
    mac, ipad = site.enroll(), site.enroll(IPAD)
    site.wait(seconds=1)
    defer(site, mac, CheckOut(MAC, resolve_channel(MAC), TOPIC))
    defer(site, ipad, CheckOut(IPAD, resolve_channel(IPAD), TOPIC), IPAD)
    site.wait(seconds=1)
    site.check_in(token_update(IPAD), ipad)
    site.wait(minutes=1)

    retry(site)

    assert site.enrollment(MAC).state is EnrollmentState.ENDED
    assert site.enrollment(IPAD).state is EnrollmentState.ENROLLED


@pytest.mark.parametrize(("newer", "kept"), [(b"newer", b"newer"), (None, None)])
def test_bootstrap_token_that_was_replaced_or_taken_back_stays_so(
    site: Site, newer: bytes | None, kept: bytes | None
) -> None:
    identity = site.enroll()
    channel = resolve_channel(MAC)
    site.check_in(SetBootstrapToken(MAC, channel, b"first"), identity)
    site.wait(seconds=1)
    defer(site, identity, SetBootstrapToken(MAC, channel, b"deferred"))
    site.wait(seconds=1)
    site.check_in(SetBootstrapToken(MAC, channel, newer), identity)
    site.wait(minutes=1)

    retry(site)

    answer = site.check_in(GetBootstrapToken(MAC, channel), identity)
    assert isinstance(answer, CheckinAnswer)
    assert read_bootstrap_token_reply(answer.body) == kept


def test_message_that_fails_again_keeps_its_latest_error(site: Site) -> None:
    defer(site, site.enroll())
    site.wait(minutes=1)
    (message,) = claim(site).messages

    site.do(note_failures, FailedAttempt(message.id, "KeyError: ours again " + "x" * 1000))

    ((error, attempts, next_at),) = site.rows(
        sa.select(
            schema.deferred_messages.c.error,
            schema.deferred_messages.c.attempts,
            schema.deferred_messages.c.next_attempt_at,
        )
    )
    assert error.startswith("KeyError: ours again")
    assert (len(error), attempts, next_at) == (500, 1, site.now + timedelta(minutes=10))


def test_message_whose_identity_was_replaced_meanwhile_is_refused_and_forgotten(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    defer(site, identity)
    site.enroll()
    site.wait(minutes=1)

    retry(site)

    assert claim(site).next_due_at is None
    assert ("S2", "identity_of_earlier_life", 1) in site.evidence()
    assert id_of(MAC) not in dict.fromkeys(claimed for claimed, _, _ in site.rumours())
