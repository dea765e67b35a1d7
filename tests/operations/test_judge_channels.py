"""Channels are judged: what is known of them reaches the rules, what changed is kept, and time is minded."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import ADA, IPAD, MAC, NOT_AFTER, TOPIC, Site, authenticate, id_of, print_of, token_update

from muster.domain.control.dossier import Dossier, EraseRecord, PushRecord
from muster.domain.control.finding import VerdictChange
from muster.domain.control.own_side import EVERYTHING, Outage, Scope, ScopeKind
from muster.domain.control.reasons import Reason
from muster.domain.control.review_schedule import NOT_WITHIN, WATCHED_AGAIN
from muster.domain.control.states import ControlState
from muster.domain.errors import RefusalCode
from muster.operations import judge_channels
from muster.operations.context import Context
from muster.operations.judge_channels import JUDGED_AGAIN_AFTER_FAULT, Judged, dossier_of, reason_about
from muster.operations.record_refusals import RefusedContact, record_refusals
from muster.operations.review_channels import review_channels
from muster.protocol.checkin import CheckOut
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import Identifiers, resolve_channel
from muster.protocol.plist import PlistValue
from muster.storage import dossiers, outages, reviews, schema, user_logins, verdicts
from muster.storage.engine import Transaction
from muster.storage.postgresql import PostgresqlEngine

WEEK_OLD = timedelta(days=8)
"""A silence beyond the tolerance."""


def judge(site: Site, *identifiers: Identifiers) -> Judged:
    """Judge channels now."""
    ids = [id_of(one) for one in identifiers or (MAC,)]
    context = site.runner.context()
    return site.engine.write(lambda tx: judge_channels.judge_channels(tx, ids, context))


def dossier(site: Site, identifiers: Identifiers = MAC) -> Dossier:
    """What is known of a channel now."""
    context = site.runner.context()
    found = site.engine.read(lambda tx: dossier_of(tx, id_of(identifiers), context))
    assert found is not None
    return found


def held(site: Site, identifiers: Identifiers = MAC) -> tuple[ControlState, Reason]:
    """What is held of a channel."""
    channel_id = id_of(identifiers)
    verdict = site.engine.read(lambda tx: verdicts.read(tx, [channel_id]))[channel_id].verdict
    return verdict.state, verdict.reason


# --- what is held -----------------------------------------------------------------------------------------------------


def test_first_verdict_is_a_change_of_its_own(site: Site) -> None:
    site.enroll()

    judged = judge(site)

    assert [(change.channel_id, change.before) for change in judged.changes] == [(id_of(MAC), None)]


def test_verdict_that_stands_is_no_change(site: Site) -> None:
    site.enroll()
    judge(site)
    site.wait(minutes=10)

    assert judge(site).changes == ()


def test_silence_beyond_the_tolerance_is_told_with_what_was_before(site: Site) -> None:
    site.enroll()
    judge(site)
    site.wait(days=8)

    judged = judge(site)

    assert held(site)[0] is ControlState.INACTIVE
    assert [change.before is not None for change in judged.changes] == [True]
    assert judged.changes[0].at == site.now
    assert judged.changes[0].after.since == site.now - WEEK_OLD


def test_state_with_another_reason_began_when_the_state_did(site: Site) -> None:
    site.enroll()
    site.wait(days=8)
    judge(site)
    began = site.engine.read(lambda tx: verdicts.read(tx, [id_of(MAC)]))[id_of(MAC)].verdict.since
    site.wait(days=1)

    judge(site)

    assert site.engine.read(lambda tx: verdicts.read(tx, [id_of(MAC)]))[id_of(MAC)].verdict.since == began


def test_channel_that_is_back_is_well_since_it_was_heard(site: Site) -> None:
    hold_push_certificate(site)
    identity = site.enroll()
    site.answers(identity, CommandRequest("DeviceInformation", {"Queries": ["OSVersion"]}))
    site.wait(days=8)
    judge(site)
    heard_at = site.wait(minutes=5)
    site.connect(identity)
    site.wait(minutes=1)

    (change,) = judge(site).changes

    assert (change.after.state, change.after.since) == (ControlState.IN_CONTROL, heard_at)


def test_steps_of_one_instant_stand_in_their_order(site: Site) -> None:
    site.enroll()
    first = judge(site).changes
    fault = Outage("1", Reason.APNS_OUTAGE, EVERYTHING, site.now, None, "APNs is out")
    site.engine.write(lambda tx: outages.open_one(tx, fault))

    second = judge(site).changes

    assert second[0].at - first[0].at == timedelta(microseconds=1)


def test_channel_that_is_not_stored_is_passed_over(site: Site) -> None:
    assert judge(site) == Judged({})
    context = site.runner.context()
    assert site.engine.read(lambda tx: reason_about(tx, id_of(MAC), context)) is None


def test_asking_why_writes_nothing(site: Site) -> None:
    site.enroll()
    context = site.runner.context()

    reasoning = site.engine.read(lambda tx: reason_about(tx, id_of(MAC), context))

    assert reasoning is not None
    assert reasoning.held is None
    assert site.engine.read(lambda tx: verdicts.read(tx, [id_of(MAC)])) == {}


def test_asking_why_tells_since_when_as_the_reviews_do(site: Site) -> None:
    hold_push_certificate(site)
    identity = site.enroll()
    since = judge(site).changes[0].after.since
    site.wait(minutes=20)
    site.answers(identity, CommandRequest("DeviceInformation", {"Queries": ["OSVersion"]}))
    context = site.runner.context()

    reasoning = site.engine.read(lambda tx: reason_about(tx, id_of(MAC), context))

    assert reasoning is not None
    assert reasoning.judgement.verdict.since == since


def test_followers_are_told_in_the_same_transaction(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, ControlState]] = []

    def follow(tx: Transaction, changes: Sequence[VerdictChange], ctx: Context) -> None:
        assert ctx.now == site.now
        recorded = verdicts.read(tx, [change.channel_id for change in changes])
        told.extend((one.channel_id, one.verdict.state) for one in recorded.values())

    monkeypatch.setattr(judge_channels, "FOLLOWERS", (follow,))
    site.enroll()

    judge(site)
    judge(site)

    assert told == [(id_of(MAC), held(site)[0])]


def test_channel_that_a_fault_of_ours_spoils_keeps_no_other_from_being_judged(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = dossiers.dossier

    def spoiled(gathered: dossiers.Gathered, channel_id: str) -> Dossier:
        if channel_id == id_of(IPAD):
            raise ValueError("such a row was never written")
        return whole(gathered, id_of(MAC))

    monkeypatch.setattr(dossiers, "dossier", spoiled)
    site.enroll()
    site.enroll(IPAD)

    judged = judge(site, MAC, IPAD)

    assert [change.channel_id for change in judged.changes] == [id_of(MAC)]
    assert judged.failed == ((id_of(IPAD), "ValueError: such a row was never written"),)
    assert judged.next_at[id_of(IPAD)] == site.now + JUDGED_AGAIN_AFTER_FAULT


# --- when it is looked at again ---------------------------------------------------------------------------------------


def test_silent_channel_is_judged_again_when_the_tolerance_ends(site: Site) -> None:
    site.enroll()
    site.wait(days=6, hours=20)

    judged = judge(site)

    assert judged.next_at[id_of(MAC)] == site.now + timedelta(hours=4)


def test_channel_is_never_judged_again_at_once(site: Site) -> None:
    site.enroll()
    site.wait(days=6, hours=23, minutes=59)

    judged = judge(site)

    assert judged.next_at[id_of(MAC)] == site.now + NOT_WITHIN


def test_review_judges_what_is_due(site: Site) -> None:
    site.enroll()
    site.wait(days=8)

    site.do(review_channels, None)

    assert held(site) == (ControlState.INACTIVE, Reason.SILENT)


def test_change_of_a_device_has_its_users_judged(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    judge(site, MAC, ADA)
    site.wait(days=8)
    much_later = dict.fromkeys((id_of(MAC), id_of(ADA)), site.now + timedelta(days=9))
    site.engine.write(lambda tx: reviews.done(tx, much_later, at=site.now))

    judge(site, MAC)

    assert site.engine.read(reviews.next_due) == site.now
    assert site.do(review_channels, None)[0].count == 1


# --- what is known ----------------------------------------------------------------------------------------------------


def test_dossier_of_a_user_names_the_verdict_of_the_device(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    judge(site, MAC)

    login = dossier(site, ADA).login

    assert login is not None
    assert (login.device_state, login.device_reason) == held(site)
    assert login.device_heard_at == site.now


def test_dossier_counts_what_waits_and_what_was_never_answered(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.queue("two")
    site.connect(identity)
    handed_out_at = site.now
    site.wait(hours=1)

    obedience = dossier(site).obedience

    assert (obedience.waiting, obedience.handed_out_at) == (2, handed_out_at)
    assert [(stuck.command_uuid, stuck.handed_out_count) for stuck in obedience.stuck] == [("one", 1)]


def test_dossier_tells_since_when_a_command_is_without_any_answer(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.connect(identity)
    site.connect(identity, status="NotNow", command_uuid="one")
    first_at = site.wait(hours=1)
    for _ in range(3):
        site.connect(identity)
        site.wait(hours=1)

    (stuck,) = dossier(site).obedience.stuck

    assert (stuck.handed_out_count, stuck.first_handed_out_at) == (3, first_at)
    assert stuck.last_handed_out_at == first_at + timedelta(hours=2)


def test_dossier_tells_since_when_everything_is_put_off(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    for _ in range(3):
        site.wait(hours=1)
        site.connect(identity)
        site.connect(identity, status="NotNow", command_uuid="one")

    obedience = dossier(site).obedience

    assert obedience.not_now_since == site.now - timedelta(hours=2)
    assert (obedience.not_now_last_at, obedience.not_now_count) == (site.now, 3)
    assert obedience.stuck == ()


def test_command_that_was_answered_ends_what_was_put_off(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.connect(identity)
    site.connect(identity, status="NotNow", command_uuid="one")
    site.wait(hours=1)
    site.connect(identity, status="Acknowledged", command_uuid="one")

    obedience = dossier(site).obedience

    assert obedience.not_now_since is None
    assert obedience.answered_at == site.now
    assert dossier(site).last_proof_at == site.now


def test_dossier_has_the_contacts_of_days_that_are_over(site: Site) -> None:
    identity = site.enroll()
    first = site.now
    site.wait(days=2)
    site.connect(identity)

    contacts = dossier(site).contacts

    assert [at.date() for at in contacts] == [first.date(), site.now.date()]


def test_dossier_has_what_was_refused_and_what_was_checked_in(site: Site) -> None:
    site.check_in(authenticate(), site.identity())
    known = dossier(site)

    assert [one.word for one in known.check_ins] == ["enrollment"]
    assert known.provisional_since is not None
    assert known.identity is None


def test_dossier_has_the_identity_and_when_it_is_renewed(site: Site) -> None:
    site.enroll()

    identity = dossier(site).identity

    assert identity is not None
    assert identity.not_before < site.now < identity.renew_from < identity.not_after < identity.lane_ends_at


def test_dossier_names_devices_of_the_same_serial_number(site: Site) -> None:
    site.enroll()
    site.wait(days=1)
    site.enroll(IPAD)

    (linked,) = dossier(site).linked

    assert (linked.device_id, linked.is_new_hardware, linked.is_enrolled) == (id_of(IPAD), True, True)


def test_dossier_knows_to_whom_pushes_go(site: Site) -> None:
    site.enroll()

    push = dossier(site).push

    assert push is not None
    assert (push.has_certificate, push.accepted, push.refusal) == (False, (), None)


def test_dossier_has_what_the_device_says_of_itself(site: Site) -> None:
    identity = site.enroll()
    answer: dict[str, PlistValue] = {"QueryResponses": {"OSVersion": "26.1", "IsSupervised": True}}
    site.answers(identity, CommandRequest("DeviceInformation", {"Queries": ["OSVersion", "IsSupervised"]}), answer)

    inventory = dossier(site).inventory

    assert inventory is not None
    assert (inventory.os_version, inventory.is_supervised) == ("26.1", True)
    assert inventory.inventory_at == site.now


def test_dossier_has_the_faults_of_ours_that_touch_the_channel(site: Site) -> None:
    site.enroll()
    began_at = site.wait(hours=1)
    ours = Outage("1", Reason.OWN_DOWNTIME, EVERYTHING, began_at, began_at + timedelta(hours=2), "our server was down")
    others = replace(ours, id="2", reason=Reason.APNS_OUTAGE, scope=Scope(ScopeKind.TOPIC, "com.apple.mgmt.other"))
    site.engine.write(lambda tx: [outages.open_one(tx, one) for one in (ours, others)])
    site.wait(days=1)

    assert [fault.reason for fault in dossier(site).faults] == [Reason.OWN_DOWNTIME]


def test_dossier_tells_when_the_magic_changed_in_this_life(site: Site) -> None:
    identity = site.enroll()
    assert _push(site).magic_changed_at is None
    site.wait(days=1)

    site.check_in(token_update(push_magic="another"), identity)

    assert _push(site).magic_changed_at == site.now


def _push(site: Site) -> PushRecord:
    push = dossier(site).push
    assert push is not None
    return push


def test_dossier_tells_that_the_device_was_told_to_erase_itself_and_obeyed(site: Site) -> None:
    identity = site.enroll()
    site.queue("erase", request_type="EraseDevice")
    site.connect(identity)
    handed_out_at = site.now
    assert dossier(site).erase == EraseRecord(handed_out_at)
    site.wait(seconds=10)

    site.connect(identity, status="Acknowledged", command_uuid="erase")

    assert dossier(site).erase == EraseRecord(handed_out_at, site.now)
    next_due = site.engine.read(reviews.next_due)
    assert next_due is not None
    assert next_due <= site.now


def test_erasure_of_an_earlier_life_is_over(site: Site) -> None:
    identity = site.enroll()
    site.queue("erase", request_type="EraseDevice")
    site.connect(identity)
    site.wait(hours=1)

    site.enroll()

    assert dossier(site).erase is None


def test_login_that_is_said_again_changed_when_it_was_said_first(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    first = site.now
    for _ in range(2):
        site.engine.write(lambda tx: user_logins.set_logged_in(tx, id_of(ADA), site.now, is_logged_in=True))
        site.wait(hours=1)

    login = dossier(site, ADA).login

    assert login is not None
    assert (login.is_logged_in, login.changed_at) == (True, first)
    assert login.told_at == first + timedelta(hours=1)


# --- what has it judged at once ---------------------------------------------------------------------------------------


def settle(site: Site) -> None:
    """Review until nothing is due."""
    while (due_at := site.engine.read(reviews.next_due)) is not None and due_at <= site.now:
        site.do(review_channels, None)


def is_due(site: Site, identifiers: Identifiers = MAC) -> bool:
    """Whether the channel's review is due now."""
    table = schema.reviews
    found = site.rows(sa.select(table.c.next_review_at).where(table.c.channel_id == id_of(identifiers)))
    next_at: datetime = found[0][0]
    return next_at <= site.now


def hold_push_certificate(site: Site) -> None:
    """Hold a certificate for the topic of all."""
    values = {"fingerprint": b"1", "certificate_pem": b"", "key_sealed": b"", "not_after": NOT_AFTER}
    insert = sa.insert(schema.push_certificates).values(
        **values, topic=TOPIC, uploaded_at=site.now, uploaded_by="ana", is_current=True
    )
    site.engine.write(lambda tx: tx.connection.execute(insert))


def test_contact_of_a_channel_that_is_well_costs_no_review(site: Site) -> None:
    hold_push_certificate(site)
    identity = site.enroll()
    site.answers(identity, CommandRequest("DeviceInformation", {"Queries": ["OSVersion"]}))
    settle(site)
    site.wait(minutes=30)

    site.connect(identity)

    assert held(site)[0] is ControlState.IN_CONTROL
    assert not is_due(site)


def test_contact_of_a_channel_that_was_silent_has_it_judged_at_once(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, CommandRequest("DeviceInformation", {"Queries": ["OSVersion"]}))
    site.wait(days=8)
    settle(site)
    assert held(site)[0] is ControlState.INACTIVE
    site.wait(minutes=30)

    site.connect(identity)
    assert is_due(site)
    settle(site)

    assert held(site)[0] is not ControlState.INACTIVE


def test_refused_contact_has_it_judged_at_once_and_its_repeats_do_not(site: Site) -> None:
    site.enroll()
    settle(site)
    stranger = site.identity()
    site.check_in(authenticate(IPAD), stranger)
    refused = [
        RefusedContact(RefusalCode.BODY_MALFORMED, id_of(IPAD), print_of(stranger), "198.51.100.7", site.now + late)
        for late in (timedelta(0), timedelta(seconds=30))
    ]
    settle(site)
    site.wait(minutes=30)

    site.do(record_refusals, refused[0])
    assert is_due(site, IPAD)
    settle(site)
    site.do(record_refusals, refused[1])

    assert not is_due(site, IPAD)


def test_check_out_has_it_judged_ended(site: Site) -> None:
    identity = site.enroll()
    settle(site)
    site.wait(minutes=30)

    site.check_in(CheckOut(MAC, resolve_channel(MAC)), identity)
    settle(site)

    assert held(site) == (ControlState.ENDED, Reason.PROFILE_REMOVED)


def test_row_that_is_held_elsewhere_is_watched_a_little_later(postgresql_engine: PostgresqlEngine) -> None:
    site = Site(postgresql_engine)
    site.enroll()
    site.wait(days=8)
    with postgresql_engine.sqlalchemy.begin() as other:
        table = schema.channels
        other.execute(sa.select(table.c.id).where(table.c.id == id_of(MAC)).with_for_update())

        judged = judge(site)

    assert judged.next_at[id_of(MAC)] == site.now + WATCHED_AGAIN
    judge(site)
    assert site.rows(sa.select(schema.channels.c.is_watched)) == [(True,)]
