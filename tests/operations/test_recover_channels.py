"""Recoveries open with what is found, go on with each review, and close when the channel proved itself."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.push_files import have_push_certificate
from tests.support.runner import NOW
from tests.support.site import MAC, Site, authenticate, id_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.command_queue import QueuePurpose
from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import Run, StepKind
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.answer_connect import ConnectReply
from muster.operations.recover_by_hand import (
    LONGEST_REST,
    ConfirmOrder,
    DoneNow,
    PutOffOrder,
    confirm_steps,
    put_off_recoveries,
    recover_now,
    stop_recoveries,
)
from muster.operations.recover_channels import GAVE_UP, PROVED, STARTED
from muster.operations.recovery_steps import AFTER_CONTACT, pushed_apart
from muster.operations.review_channels import review_channels
from muster.operations.views.recoveries import Recovering, list_recoveries, show_recovery
from muster.protocol.checkin import CheckOut
from muster.protocol.identifiers import ChannelId, Identifiers, resolve_channel
from muster.storage import known_facts, push, recoveries, reviews, schema
from muster.storage.engine import Transaction
from muster.storage.recoveries import Outcome, Recovery

FORTNIGHT = timedelta(days=14)


def review(site: Site, identifiers: Identifiers = MAC) -> None:
    """Review a channel now."""
    site.engine.write(lambda tx: reviews.schedule(tx, id_of(identifiers), site.now))
    site.do(review_channels, None)


def due(site: Site) -> None:
    """Review what is due by itself."""
    site.do(review_channels, None)


def kept(site: Site, identifiers: Identifiers = MAC) -> list[Recovery]:
    """The recoveries of a channel, the first one first."""
    channel_id = id_of(identifiers)
    return list(site.engine.read(lambda tx: recoveries.of_channel(tx, channel_id, limit=100)))[::-1]


def steps(recovery: Recovery) -> list[str]:
    """What its log says was done."""
    return [done.step for done in recovery.log]


def probes(site: Site, identifiers: Identifiers = MAC) -> list[str]:
    """The questions for a proof that wait."""
    table = schema.queue
    select = sa.select(table.c.command_uuid).where(
        table.c.channel_id == id_of(identifiers), table.c.purpose == QueuePurpose.PROBE.value
    )
    return [uuid for (uuid,) in site.rows(select)]


def show(site: Site) -> Recovering:
    """What is shown of the device."""
    context = site.runner.context()
    found = site.engine.read(lambda tx: show_recovery(tx, id_of(MAC), context))
    assert found is not None
    return found


def subscribe(tx: Transaction) -> None:
    """Have somebody who wants to know of everything."""
    tx.connection.execute(sa.insert(schema.subscriptions).values(id="s", name="s", created_at=NOW))


def events(site: Site) -> list[tuple[str, dict[str, object]]]:
    """What is told others, the first first."""
    table = schema.outbox
    return [
        (kind, detail)
        for kind, detail in site.rows(sa.select(table.c.event_type, table.c.detail).order_by(table.c.sequence))
    ]


def acts(site: Site) -> list[str]:
    """What people did."""
    return [act for (act,) in site.rows(sa.select(schema.audit.c.act))]


def check_out() -> CheckOut:
    """What a Mac says when its profile is removed."""
    return CheckOut(MAC, resolve_channel(MAC))


def reviews_of(tx: Transaction, site: Site) -> tuple[reviews.DueReview, ...]:
    """The reviews that are due."""
    reviews.schedule(tx, id_of(MAC), site.now)
    return reviews.claim_due(tx, site.now, 10)


def prove(site: Site, mac: SignerIdentity) -> None:
    """Have the device obey something."""
    site.queue(f"proof {site.now:%d %H %M}")
    (uuid, *_) = site.queued()
    site.connect(mac)
    for uuid in site.queued():
        site.connect(mac, MAC, "Acknowledged", uuid)


@pytest.fixture
def mac(site: Site) -> SignerIdentity:
    """A Mac of a known system that has proved itself; inventory is not asked."""
    have_push_certificate(site)
    identity = site.enroll()
    said = known_facts.Facts(product_name="Mac15,3", os_version="26.0")
    site.engine.write(lambda tx: known_facts.store_facts(tx, id_of(MAC), said, site.now))
    prove(site, identity)
    review(site)
    return identity


@pytest.fixture
def gone(site: Site, mac: SignerIdentity) -> SignerIdentity:
    """The Mac, silent for eight days."""
    site.wait(days=8)
    site.engine.write(lambda tx: push.drop_wishes(tx, [id_of(MAC)]))
    review(site)
    return mac


def test_device_that_is_well_is_left_alone(site: Site, mac: SignerIdentity) -> None:
    assert kept(site) == []
    assert probes(site) == []


def test_silent_device_gets_one_stored_push_and_no_question(site: Site, gone: SignerIdentity) -> None:
    (recovery,) = kept(site)

    assert recovery.run.reason is Reason.SILENT
    assert steps(recovery) == [STARTED, StepKind.STORED_PUSH]
    wish = site.wish()
    assert wish is not None
    assert wish[0] == "silent"
    assert probes(site) == []


def test_device_that_comes_back_is_asked_and_pushed_and_has_recovered_when_it_obeys(
    site: Site, gone: SignerIdentity
) -> None:
    site.wait(minutes=1)
    site.connect(gone)
    due(site)
    asked, wish, before = probes(site), site.wish(), kept(site)
    site.wait(seconds=10)
    site.connect(gone)
    site.connect(gone, MAC, "Acknowledged", asked[0])
    due(site)

    assert wish is not None
    assert wish[0] == "command_queued"
    assert before[0].closed_at is None
    (recovery,) = kept(site)
    assert (recovery.outcome, recovery.closed_at, recovery.proof_at) == (Outcome.RECOVERED, site.now, site.now)
    assert steps(recovery)[-2:] == [StepKind.PROBE, PROVED]


def test_device_that_comes_back_and_does_not_obey_is_asked_again(site: Site, gone: SignerIdentity) -> None:
    site.wait(minutes=1)
    site.connect(gone)
    due(site)
    asked = probes(site)
    site.wait(minutes=10)
    due(site)

    (recovery,) = kept(site)
    assert recovery.closed_at is None
    assert steps(recovery).count(StepKind.PROBE) == 2
    assert probes(site) == asked  # it waits still: another one is not asked


def test_reason_that_is_gone_without_a_proof_is_no_recovery(site: Site, gone: SignerIdentity) -> None:
    site.wait(minutes=1)
    site.check_in(token_update(push_magic="other"), gone)
    due(site)
    site.wait(days=2)
    due(site)

    (recovery,) = kept(site)
    assert recovery.run.reason is Reason.SILENT
    assert recovery.closed_at is None


def test_recovery_of_a_channel_whose_enrollment_ends_is_closed(site: Site, gone: SignerIdentity) -> None:
    site.wait(minutes=1)
    site.check_in(check_out(), gone)
    due(site)

    assert [(one.run.reason, one.outcome) for one in kept(site)] == [
        (Reason.SILENT, Outcome.ENDED),
        (Reason.PROFILE_REMOVED, None),
    ]


def test_enrollment_that_was_never_finished_asks_for_a_person(site: Site) -> None:
    have_push_certificate(site)
    site.check_in(authenticate(), site.identity())
    site.wait(minutes=20)
    review(site)

    (recovery,) = kept(site)
    assert recovery.run.reason is Reason.ENROLLMENT_INCOMPLETE
    assert steps(recovery) == [STARTED, StepKind.RE_ENROLL, GAVE_UP]


def test_what_happened_is_told_in_order(site: Site, mac: SignerIdentity) -> None:
    site.engine.write(subscribe)
    site.wait(days=8)
    review(site)
    site.wait(minutes=1)
    site.connect(mac)
    due(site)
    site.wait(seconds=10)
    site.connect(mac)
    site.connect(mac, MAC, "Acknowledged", probes(site)[0])
    due(site)

    told = [(event, detail.get("reason")) for event, detail in events(site) if event.startswith("recovery.")]
    assert told == [("recovery.started", "silent"), ("recovery.proved", "silent")]


def test_a_person_is_told_of_what_needs_one(site: Site, mac: SignerIdentity) -> None:
    site.engine.write(subscribe)
    site.check_in(check_out(), mac)
    due(site)

    needs = [detail for event, detail in events(site) if event == "recovery.needs_person"]
    assert [one["reason"] for one in needs] == ["profile_removed"]
    assert "link" in str(needs[0]["what"])


def test_proof_that_grows_old_is_renewed_at_a_contact_and_nobody_is_pushed_for_it(
    site: Site, mac: SignerIdentity
) -> None:
    site.wait(days=6)
    site.connect(mac)
    review(site)
    early = probes(site)
    site.wait(days=1)
    site.connect(mac)
    site.engine.write(lambda tx: push.drop_wishes(tx, [id_of(MAC)]))
    review(site)

    assert early == []
    assert len(probes(site)) == 1
    assert site.wish() is None
    assert kept(site) == []


def test_device_that_is_silent_is_not_asked_for_its_proof(site: Site, mac: SignerIdentity) -> None:
    site.wait(days=7)
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.push_wishes)))
    review(site)

    assert probes(site) == []


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_next_step_is_done_now(site: Site, gone: SignerIdentity) -> None:
    site.engine.write(lambda tx: push.drop_wishes(tx, [id_of(MAC)]))

    (done,) = site.do(recover_now, id_of(MAC))

    assert isinstance(done, DoneNow)
    assert site.wish() is not None
    assert kept(site)[0].log[-1].step == StepKind.STORED_PUSH
    assert "recovery.now" in acts(site)


def test_device_that_is_well_is_asked_a_harmless_question_now(site: Site, mac: SignerIdentity) -> None:
    (done,) = site.do(recover_now, id_of(MAC))

    assert isinstance(done, DoneNow)
    assert len(probes(site)) == 1
    assert site.wish() is not None


def test_what_people_send_is_handed_out_before_the_question(site: Site, mac: SignerIdentity) -> None:
    site.do(recover_now, id_of(MAC))
    site.queue("sent later", request_type="SecurityInfo")
    (question,) = probes(site)

    first = site.connect(mac)
    then = site.connect(mac, MAC, "Acknowledged", "sent later")

    assert isinstance(first, ConnectReply)
    assert isinstance(then, ConnectReply)
    assert [first.command_uuid, then.command_uuid] == ["sent later", question]


def test_stopped_recovery_does_nothing_more_while_its_reason_lasts(site: Site, gone: SignerIdentity) -> None:
    site.do(stop_recoveries, id_of(MAC))
    site.engine.write(lambda tx: push.drop_wishes(tx, [id_of(MAC)]))
    site.wait(days=20)
    review(site)
    lasting = kept(site)
    site.connect(gone)
    due(site)

    assert [(one.outcome, one.closed_at) for one in lasting] == [(Outcome.STOPPED, None)]
    assert "tell" not in steps(lasting[0])
    assert [(one.outcome, one.closed_at) for one in kept(site)] == [(Outcome.STOPPED, site.now)]
    assert "recovery.stop" in acts(site)


def test_recovery_that_is_put_off_rests_until_then_and_goes_on(site: Site, gone: SignerIdentity) -> None:
    site.do(put_off_recoveries, PutOffOrder(id_of(MAC), LONGEST_REST))
    site.wait(days=20)
    review(site)
    resting = steps(kept(site)[0])
    site.wait(days=11)
    review(site)

    assert "tell" not in resting
    assert "tell" in steps(kept(site)[0])
    assert "recovery.put_off" in acts(site)


def test_device_that_comes_back_proves_itself_though_its_recovery_was_put_off(site: Site, gone: SignerIdentity) -> None:
    site.do(put_off_recoveries, PutOffOrder(id_of(MAC), LONGEST_REST))
    site.wait(days=1)
    site.connect(gone)
    due(site)

    assert len(probes(site)) == 1


def test_rest_is_shown_and_ends_when_somebody_has_a_step_done_now(site: Site, gone: SignerIdentity) -> None:
    site.do(put_off_recoveries, PutOffOrder(id_of(MAC), FORTNIGHT))
    resting = show(site)
    site.do(recover_now, id_of(MAC))

    assert (resting.recoveries[0].next, resting.recoveries[0].next_at) == (
        "nothing before then: it was put off",
        site.now + FORTNIGHT,
    )
    assert min(one.at for one in resting.plan) == site.now + FORTNIGHT
    assert kept(site)[0].put_off_until is None


@pytest.mark.parametrize("rest", [timedelta(0), LONGEST_REST + timedelta(seconds=1)])
def test_nothing_rests_for_ever(site: Site, gone: SignerIdentity, rest: timedelta) -> None:
    (refused,) = site.do(put_off_recoveries, PutOffOrder(id_of(MAC), rest))

    assert isinstance(refused, Refusal)
    assert kept(site)[0].put_off_until is None


def test_what_is_not_done_can_not_be_put_off(site: Site, mac: SignerIdentity) -> None:
    (refused,) = site.do(put_off_recoveries, PutOffOrder(id_of(MAC), FORTNIGHT))

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOT_FOUND


def test_link_to_enroll_again_is_made_when_a_person_confirms_it(site: Site, mac: SignerIdentity) -> None:
    site.check_in(check_out(), mac)
    due(site)

    (done,) = site.do(confirm_steps, ConfirmOrder(id_of(MAC), StepKind.RE_ENROLL))

    assert isinstance(done, DoneNow)
    assert done.link is not None
    assert done.link.link.uses_allowed == 1
    assert "recovery.confirm" in acts(site)


def test_restart_is_sent_when_a_person_confirms_it_and_never_before(site: Site, mac: SignerIdentity) -> None:
    site.engine.write(
        lambda tx: recoveries.record(tx, [Recovery("one", id_of(MAC), Run(Reason.NOT_OBEYING, site.now))])
    )

    (done,) = site.do(confirm_steps, ConfirmOrder(id_of(MAC), StepKind.RESTART))

    assert isinstance(done, DoneNow)
    assert done.command_uuid in site.queued()


@pytest.mark.parametrize("kind", [StepKind.RESTART, StepKind.RE_ENROLL])
def test_what_no_recovery_has_can_not_be_confirmed(site: Site, gone: SignerIdentity, kind: StepKind) -> None:
    (refused,) = site.do(confirm_steps, ConfirmOrder(id_of(MAC), kind))

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOT_FOUND
    assert site.queued() == []


def test_channel_that_is_not_known_is_refused(site: Site) -> None:
    nobody = ChannelId("nobody")

    outcomes = [
        *site.do(recover_now, nobody),
        *site.do(stop_recoveries, nobody),
        *site.do(confirm_steps, ConfirmOrder(nobody, StepKind.RE_ENROLL)),
    ]

    assert [isinstance(one, Refusal) and one.code for one in outcomes] == [RefusalCode.NOT_FOUND] * 3


# --- shown ------------------------------------------------------------------------------------------------------------


def test_what_is_done_is_shown_with_what_comes_next(site: Site, gone: SignerIdentity) -> None:
    found = show(site)

    (row,) = found.recoveries
    assert (row.reason, row.outcome) == ("silent", None)
    assert row.next == "a person looks for the device"
    assert row.next_at == site.now + FORTNIGHT
    assert [(one.kind, one.needs_person) for one in found.plan] == [("tell", False)]
    context = site.runner.context()
    assert [one.id for one in site.engine.read(list_recoveries)] == [row.id]
    assert site.engine.read(lambda tx: show_recovery(tx, ChannelId("nobody"), context)) is None


def test_a_dry_run_changes_nothing(site: Site, mac: SignerIdentity) -> None:
    site.wait(days=8)
    found = show(site)

    assert [one.kind for one in found.plan] == ["stored_push", "tell"]
    assert kept(site) == []


# --- the way of the push ----------------------------------------------------------------------------------------------


def test_device_whose_push_way_is_in_doubt_is_pushed_apart_from_its_contacts(site: Site, mac: SignerIdentity) -> None:
    run = Run(Reason.PUSH_PATH_BLOCKED, site.now)
    site.engine.write(lambda tx: recoveries.record(tx, [Recovery("one", id_of(MAC), run)]))
    site.engine.write(lambda tx: push.drop_wishes(tx, [id_of(MAC)]))
    site.wait(minutes=1)
    site.connect(mac)
    heard_at = site.now
    site.wait(seconds=2)

    due_reviews = site.engine.write(lambda tx: reviews_of(tx, site))
    context = site.runner.context()
    apart = site.engine.write(lambda tx: pushed_apart(tx, due_reviews, context))

    wish = site.wish()
    assert apart == {id_of(MAC)}
    assert wish is not None
    assert wish[1] == heard_at + AFTER_CONTACT
