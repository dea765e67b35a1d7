"""Devices are let go: on purpose, by every door alike, counted, and never by another road."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import (
    ADA,
    ADMINISTRATOR,
    IPAD,
    MAC,
    NOT_AFTER,
    SOURCE,
    Site,
    authenticate,
    id_of,
    print_of,
    token_update,
)

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import DEVICE
from muster.domain.command_queue import RENEWAL_PRIORITY, QueuePurpose
from muster.domain.enrollment import EndReason, EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import Departure, DepartureKind, LeavingReply, LetGo
from muster.operations.answer_checkin import AnyCheckin, answer_checkins
from muster.operations.answer_connect import ConnectReply
from muster.operations.checkin import CheckinAnswer, CheckinRequest
from muster.operations.let_go import (
    DepartureOrder,
    DepartureOutcome,
    DeparturesOrdered,
    reject_devices,
    unenroll_devices,
    withdraw_rejections,
)
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.protocol.checkin import CheckOut, GetBootstrapToken, encode_checkin
from muster.protocol.command import CommandRequest, decode_command
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId, Identifiers, resolve_channel
from muster.storage import commands, departures, queues, schema
from muster.storage.engine import Engine, Transaction

PROFILE = "org.example.enrollment"
AWAY = LetGo(LeavingReply.UNAUTHORIZED, RefusalCode.REJECTED)


def device(identifiers: Identifiers = MAC) -> DeviceId:
    return DeviceId(id_of(identifiers))


def unenroll(site: Site, *targets: Identifiers, count: int | None = None) -> DepartureOutcome:
    return site.do(unenroll_devices, DepartureOrder(tuple(map(device, targets)), count))[0]


def reject(site: Site, *targets: Identifiers, count: int | None = None) -> DepartureOutcome:
    return site.do(reject_devices, DepartureOrder(tuple(map(device, targets)), count))[0]


def withdraw(site: Site, *targets: Identifiers) -> DepartureOutcome:
    return site.do(withdraw_rejections, DepartureOrder(tuple(map(device, targets))))[0]


def removal(site: Site, identity: SignerIdentity) -> str:
    """Have the device fetch the removal of its profile."""
    reply = site.connect(identity)
    assert isinstance(reply, ConnectReply), reply
    assert reply.request_type == "RemoveProfile"
    assert reply.command_uuid is not None
    return reply.command_uuid


def check_out(identifiers: Identifiers = MAC) -> CheckOut:
    return CheckOut(identifiers, resolve_channel(identifiers))


def state(site: Site, identifiers: Identifiers = MAC) -> tuple[EnrollmentState, EndReason | None]:
    enrollment = site.enrollment(identifiers)
    return enrollment.state, enrollment.ended_reason


def departure(site: Site, identifiers: Identifiers = MAC) -> Departure:
    return site.engine.read(lambda tx: departures.of_device(tx, device(identifiers)))[0]


def audit(site: Site) -> list[tuple[object, ...]]:
    columns = schema.audit.c
    return site.rows(sa.select(columns.actor_name, columns.act, columns.subject).order_by(columns.sequence))


def subscribe(site: Site) -> None:
    insert = sa.insert(schema.subscriptions).values(id="s", name="s", created_at=site.now)
    site.engine.write(lambda tx: tx.connection.execute(insert))


def events(site: Site) -> list[tuple[object, ...]]:
    columns = schema.outbox.c
    return site.rows(sa.select(columns.event_type, columns.channel_id).order_by(columns.channel_id, columns.sequence))


ENROLLED = (EnrollmentState.ENROLLED, None)
UNENROLLED = (EnrollmentState.ENDED, EndReason.UNENROLLED)
REJECTED = (EnrollmentState.ENDED, EndReason.REJECTED)


# --- unenroll ---------------------------------------------------------------------------------------------------------


def test_removal_of_its_own_profile_goes_before_ordinary_commands_and_is_pushed(site: Site) -> None:
    identity = site.enroll()
    site.queue("urgent", priority=100)
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.push_wishes)))

    ordered = unenroll(site, MAC)
    reply = site.connect(identity)

    assert ordered == DeparturesOrdered((device(),), {})
    assert isinstance(reply, ConnectReply)
    assert decode_command(reply.body).keys == {"Identifier": PROFILE}
    assert site.wish() is not None
    assert audit(site)[-1] == (ADMINISTRATOR.name, "device.unenroll", device())


def test_acknowledged_removal_is_the_end_of_the_device_and_its_users(site: Site) -> None:
    subscribe(site)
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    site.queue("next")
    unenroll(site, MAC)
    uuid = removal(site, identity)

    reply = site.connect(identity, status="Acknowledged", command_uuid=uuid)

    assert reply == ConnectReply()  # nobody is there to be handed what waits
    assert state(site) == state(site, ADA) == UNENROLLED
    assert departure(site).delivered_at == site.now
    assert ("S5", "unenrolled", 1) in site.evidence()
    assert events(site).count(("device.unenrolled", id_of(MAC))) == 1
    assert site.wish() is None


def test_acknowledgement_said_again_is_no_return(site: Site) -> None:
    identity = site.enroll()
    site.queue("next")
    unenroll(site, MAC)
    uuid = removal(site, identity)
    site.connect(identity, status="Acknowledged", command_uuid=uuid)
    site.wait(seconds=1)

    reply = site.connect(identity, status="Acknowledged", command_uuid=uuid)

    assert reply == ConnectReply()
    assert state(site) == UNENROLLED


def test_unenrolled_device_that_connects_all_the_same_is_managed_after_all(site: Site) -> None:
    identity = site.enroll()
    unenroll(site, MAC)
    site.connect(identity, status="Acknowledged", command_uuid=removal(site, identity))
    site.wait(seconds=1)

    site.connect(identity)

    assert state(site) == ENROLLED


def test_check_out_after_the_acknowledgement_changes_nothing(site: Site) -> None:
    subscribe(site)
    identity = site.enroll()
    unenroll(site, MAC)
    site.connect(identity, status="Acknowledged", command_uuid=removal(site, identity))
    before = (state(site), events(site), departure(site))
    site.wait(seconds=1)

    assert isinstance(site.check_in(check_out(), identity), CheckinAnswer)
    assert (state(site), events(site), departure(site)) == before


def test_check_out_before_the_acknowledgement_is_our_doing_too(site: Site) -> None:
    subscribe(site)
    identity = site.enroll()
    unenroll(site, MAC)
    uuid = removal(site, identity)
    site.check_in(check_out(), identity)
    site.wait(seconds=1)

    site.connect(identity, status="Acknowledged", command_uuid=uuid)

    assert state(site) == UNENROLLED
    assert events(site).count(("device.unenrolled", id_of(MAC))) == 1
    assert not [one for one in site.evidence() if one[1] == "returned"]


def test_check_out_of_its_own_before_the_removal_was_fetched_is_the_devices_doing(site: Site) -> None:
    identity = site.enroll()
    unenroll(site, MAC)

    site.check_in(check_out(), identity)

    assert state(site) == (EnrollmentState.ENDED, EndReason.CHECKED_OUT)
    assert departure(site).delivered_at is None


@pytest.mark.parametrize("status", ["Error", "CommandFormatError"])
def test_device_that_cannot_remove_its_profile_stays_enrolled_and_may_be_asked_again(site: Site, status: str) -> None:
    identity = site.enroll()
    unenroll(site, MAC)

    site.connect(identity, status=status, command_uuid=removal(site, identity))

    assert state(site) == ENROLLED
    assert ("S5", status, 1) in site.evidence()
    assert departure(site).failed_at == site.now
    assert isinstance(unenroll(site, MAC), DeparturesOrdered)


def test_removal_is_handed_out_once_and_again_only_after_a_not_now(site: Site) -> None:
    identity = site.enroll()
    unenroll(site, MAC)
    uuid = removal(site, identity)

    assert site.connect(identity) == ConnectReply()
    site.connect(identity, status="NotNow", command_uuid=uuid)
    assert removal(site, identity) == uuid
    assert state(site) == ENROLLED


def test_removal_that_was_never_answered_can_be_ordered_again_and_one_that_waits_cannot(site: Site) -> None:
    identity = site.enroll()
    unenroll(site, MAC)
    waiting = unenroll(site, MAC)
    first = removal(site, identity)
    site.wait(minutes=1)

    again = unenroll(site, MAC)
    second = removal(site, identity)

    assert isinstance(waiting, Refusal)
    assert waiting.code is RefusalCode.CONFLICT
    assert isinstance(again, DeparturesOrdered)
    assert second != first
    assert (first, "closed") in site.reports()


def test_removal_belongs_to_its_epoch(site: Site) -> None:
    site.enroll()
    unenroll(site, MAC)

    anew = site.enroll()

    assert site.connect(anew) == ConnectReply()
    assert state(site) == ENROLLED


def test_removal_sent_as_a_command_is_the_same_act(site: Site) -> None:
    identity = site.enroll()
    request = CommandRequest("RemoveProfile", {"Identifier": PROFILE})

    queued = site.do(queue_commands, CommandOrder((id_of(MAC),), request))[0]
    uuid = removal(site, identity)
    twice = site.connect(identity)
    site.connect(identity, status="Acknowledged", command_uuid=uuid)

    assert isinstance(queued, QueuedCommand)
    assert queued.queued_on == (id_of(MAC),)
    assert twice == ConnectReply()
    assert state(site) == UNENROLLED
    assert departure(site).kind is DepartureKind.UNENROLL


def test_removal_of_another_profile_is_an_ordinary_command(site: Site) -> None:
    identity = site.enroll()
    request = CommandRequest("RemoveProfile", {"Identifier": "org.example.wifi"})
    site.do(queue_commands, CommandOrder((id_of(MAC),), request, anyway=True))

    site.connect(identity, status="Acknowledged", command_uuid=removal(site, identity))

    assert state(site) == ENROLLED
    assert site.rows(sa.select(schema.departures)) == []


def test_user_channel_cannot_be_sent_the_removal_of_the_devices_profile(site: Site) -> None:
    site.check_in(token_update(ADA), site.enroll())
    request = CommandRequest("RemoveProfile", {"Identifier": PROFILE})

    refusal = site.do(queue_commands, CommandOrder((id_of(ADA),), request))[0]

    assert isinstance(refusal, Refusal)
    assert refusal.code is RefusalCode.DEVICE_CHANNEL_ONLY


# --- reject -----------------------------------------------------------------------------------------------------------


def test_rejected_device_is_ended_at_once_and_turned_away_at_every_contact(site: Site) -> None:
    subscribe(site)
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)

    reject(site, MAC)
    ended = (state(site), state(site, ADA), departure(site).delivered_at)
    site.wait(hours=1)
    first = site.now
    outcomes = [
        site.connect(identity),
        site.connect(identity, ADA),
        site.check_in(token_update(), identity),
        site.check_in(token_update(ADA), identity),
        site.check_in(GetBootstrapToken(MAC, resolve_channel(MAC)), identity),
        site.check_in(authenticate(), identity),
    ]

    assert ended == (REJECTED, REJECTED, None)
    assert outcomes == [AWAY] * 6
    assert (state(site), state(site, ADA)) == (REJECTED, REJECTED)
    assert departure(site).delivered_at == first
    assert events(site).count(("device.rejected", id_of(MAC))) == 1
    assert ("S2", "rejected", 6) in site.evidence()
    assert audit(site)[-1] == (ADMINISTRATOR.name, "device.reject", device())


def test_reply_is_the_one_that_the_device_understands(site: Site) -> None:
    identity = site.identity()
    site.check_in(replace(authenticate(), product_name="Mac14,2", os_version="15.5"), identity)
    site.check_in(token_update(), identity)
    reject(site, MAC)

    assert site.connect(identity) == LetGo(LeavingReply.UNRECOGNIZED_DEVICE, RefusalCode.REJECTED)


def test_check_out_of_a_rejected_device_is_heard(site: Site) -> None:
    identity = site.enroll()
    reject(site, MAC)

    assert isinstance(site.check_in(check_out(), identity), CheckinAnswer)
    assert state(site) == REJECTED


def test_every_identity_of_that_life_is_turned_away(site: Site) -> None:
    first = site.enroll()
    renewed, to_come = site.identity(renewal_of=MAC), site.identity(renewal_of=MAC)
    site.check_in(token_update(), renewed)
    begun = site.identity()
    site.check_in(authenticate(), begun)

    reject(site, MAC)

    late = site.identity(renewal_of=MAC)
    for identity in (first, renewed, begun, late):
        assert site.connect(identity) == AWAY
        assert site.check_in(authenticate(), identity) == AWAY
    assert site.check_in(token_update(), to_come) == AWAY
    assert state(site) == REJECTED


def test_device_enrolled_anew_by_a_link_is_welcome_and_its_old_identity_is_not(site: Site) -> None:
    old = site.enroll()
    site.check_in(token_update(ADA), old)
    reject(site, MAC)
    site.wait(minutes=1)

    anew = site.identity()
    begun = site.check_in(authenticate(), anew)
    site.connect(anew)
    site.check_in(authenticate(), anew)
    site.check_in(token_update(), anew)
    user = site.check_in(token_update(ADA), anew)

    assert isinstance(begun, CheckinAnswer)
    assert isinstance(user, CheckinAnswer)
    assert state(site) == state(site, ADA) == ENROLLED
    assert isinstance(site.connect(anew), ConnectReply)
    assert site.connect(old) == AWAY
    assert state(site) == ENROLLED


def test_rejection_of_one_device_is_no_other_devices(site: Site) -> None:
    site.enroll()
    ipad = site.enroll(IPAD)
    reject(site, MAC)

    assert isinstance(site.connect(ipad, IPAD), ConnectReply)
    refusal = site.connect(ipad, MAC)  # it claims to be the rejected one
    assert isinstance(refusal, Refusal)
    assert departure(site).delivered_at is None


def test_rejection_taken_back_before_it_arrived_leaves_everything_as_it_was(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    before = site.rows(sa.select(schema.channels).order_by(schema.channels.c.id))
    reject(site, MAC)

    withdraw(site, MAC)

    assert site.rows(sa.select(schema.channels).order_by(schema.channels.c.id)) == before
    assert isinstance(site.connect(identity), ConnectReply)
    assert audit(site)[-1] == (ADMINISTRATOR.name, "device.withdraw_rejection", device())


def test_rejection_taken_back_after_it_arrived_lets_the_device_come_back(site: Site) -> None:
    identity = site.enroll()
    reject(site, MAC)
    site.connect(identity)

    withdraw(site, MAC)
    meanwhile = state(site)
    site.wait(minutes=1)
    site.connect(identity)

    assert meanwhile == REJECTED
    assert state(site) == ENROLLED


def test_device_that_is_ended_can_be_rejected_lest_it_comes_back(site: Site) -> None:
    identity = site.enroll()
    site.check_in(check_out(), identity)

    reject(site, MAC)

    assert site.connect(identity) == AWAY
    assert state(site) == (EnrollmentState.ENDED, EndReason.CHECKED_OUT)


def test_message_of_a_rejected_device_that_is_processed_belatedly_delivers_nothing(site: Site) -> None:
    identity = site.enroll()
    reject(site, MAC)
    request: AnyCheckin = CheckinRequest(
        token_update(), print_of(identity), encode_checkin(token_update()), SOURCE, NOT_AFTER, wants_reply=False
    )

    site.do(answer_checkins, request, actor=DEVICE)

    assert state(site) == REJECTED
    assert departure(site).delivered_at is None


@pytest.mark.parametrize("operation", [unenroll, reject, withdraw])
def test_what_is_no_known_device_is_refused(site: Site, operation: object) -> None:
    site.check_in(token_update(ADA), site.enroll())
    assert callable(operation)

    for stranger in (IPAD, ADA):
        refusal = operation(site, stranger)
        assert isinstance(refusal, Refusal)
        assert refusal.code is RefusalCode.NOT_FOUND


def test_nobody_is_rejected_or_taken_back_twice(site: Site) -> None:
    site.enroll()
    reject(site, MAC)
    again = reject(site, MAC)
    withdraw(site, MAC)
    back_again = withdraw(site, MAC)

    assert isinstance(again, Refusal)
    assert again.code is RefusalCode.CONFLICT
    assert isinstance(back_again, Refusal)
    assert back_again.code is RefusalCode.NOT_FOUND


# --- the limit --------------------------------------------------------------------------------------------------------


def fleet(site: Site, size: int) -> list[Identifiers]:
    devices = [Identifiers(udid=f"DEVICE-{number:02}") for number in range(size)]
    for one in devices:
        site.enroll(one)
    return devices


def limited(outcome: object) -> bool:
    return isinstance(outcome, Refusal) and outcome.code is RefusalCode.LEAVINGS_LIMITED


def test_limit_is_one_for_all_ways_and_doors(site: Site) -> None:
    site.runner.policy = replace(site.runner.policy, leavings_per_hour=3)
    one, two, three, four, five = fleet(site, 5)
    unenroll(site, one)
    reject(site, two)
    request = CommandRequest("RemoveProfile", {"Identifier": PROFILE})
    site.do(queue_commands, CommandOrder((id_of(three),), request))

    sent = site.do(queue_commands, CommandOrder((id_of(four),), request))[0]

    assert limited(sent)
    assert limited(unenroll(site, four))
    assert limited(reject(site, five))
    assert state(site, five) == ENROLLED
    assert site.queued(four) == []


def test_limit_is_for_the_whole_order_and_forgotten_after_an_hour(site: Site) -> None:
    site.runner.policy = replace(site.runner.policy, leavings_per_hour=3)
    devices = fleet(site, 5)

    assert limited(reject(site, *devices[:4]))
    assert isinstance(reject(site, *devices[:3]), DeparturesOrdered)
    assert limited(reject(site, devices[3]))
    site.wait(hours=1)
    assert isinstance(reject(site, devices[3]), DeparturesOrdered)


def test_count_named_exactly_passes_the_limit(site: Site) -> None:
    site.runner.policy = replace(site.runner.policy, leavings_per_hour=1)
    devices = fleet(site, 3)

    wrong = reject(site, *devices, count=4)
    right = reject(site, *devices, devices[0], count=3)

    assert isinstance(wrong, Refusal)
    assert wrong.code is RefusalCode.COUNT_WRONG
    assert isinstance(right, DeparturesOrdered)
    assert len(right.device_ids) == 3


def test_rejection_taken_back_in_time_does_not_count(site: Site) -> None:
    site.runner.policy = replace(site.runner.policy, leavings_per_hour=1)
    one, two = fleet(site, 2)
    reject(site, one)
    withdraw(site, one)

    assert isinstance(reject(site, two), DeparturesOrdered)


def test_limit_holds_for_those_who_order_at_the_same_time(postgresql_engine: Engine) -> None:
    site = Site(postgresql_engine)
    devices = fleet(site, 8)
    site.runner.policy = replace(site.runner.policy, leavings_per_hour=3)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda one: reject(site, one), devices))

    assert sum(isinstance(outcome, DeparturesOrdered) for outcome in outcomes) == 3


def test_renewal_of_a_device_that_is_let_go_still_goes_first(site: Site) -> None:
    identity = site.enroll()
    unenroll(site, MAC)

    def renew(tx: Transaction) -> None:
        uuid = CommandUUID("renewal")
        commands.add(tx, commands.NewCommand(uuid, "InstallProfile", b"<plist/>", "muster"), site.now)
        queues.enqueue(
            tx,
            uuid,
            [(ChannelId(device()), 1)],
            priority=RENEWAL_PRIORITY,
            at=site.now + timedelta(seconds=1),
            purpose=QueuePurpose.RENEWAL,
        )

    site.engine.write(renew)
    reply = site.connect(identity)

    assert isinstance(reply, ConnectReply)
    assert reply.command_uuid == "renewal"
