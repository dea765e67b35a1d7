"""What fails on our side becomes outages and, of them, one incident each; nodes that live leave a sign of it."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from tests.support import fleet
from tests.support.runner import NOW
from tests.support.site import Site

from muster.crypto.certificates import inspect_certificate
from muster.domain.access import SERVER
from muster.domain.control.incidents import Incident
from muster.domain.control.own_side import EVERYTHING, Outage, OwnAttributes, touches
from muster.domain.control.self_watch import AUTHORITY_ENDS_SOON, BEAT_EVERY, DEAD_AFTER, DiskSpace
from muster.domain.push_breaker import take_probe
from muster.operations.context import Context
from muster.operations.note_self_tests import note_self_tests
from muster.operations.notice_rollback import CatchUp, RolledBack, finish_catch_ups
from muster.operations.ports import PublicFace
from muster.operations.resume_pushes import resume_pushes
from muster.operations.rotate_authority import rotate_authorities
from muster.operations.turn_breaker import turn_breaker
from muster.operations.watch_ourselves import (
    KEEP_OUTAGES,
    Beat,
    Beginning,
    DifferingClocks,
    Dropped,
    Failing,
    NodeFindings,
    beat,
    begin_beating,
    forget_own_side,
    watch_ourselves,
)
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import ChannelId
from muster.storage import heartbeats, identities, incidents, outages, push_breakers, reviews, schema
from muster.storage.engine import Transaction

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WORKERS = Beginning(("push", "review"))


def begin(site: Site, after: timedelta = timedelta(0)) -> Outage | None:
    site.runner.time += after
    return site.do(begin_beating, WORKERS, actor=SERVER)[0]


def live(site: Site, after: timedelta, *late: str) -> None:
    """Let *after* pass, the node showing that it lives all the time."""
    end = site.now + after
    while site.now < end:
        site.runner.time = min(end, site.now + BEAT_EVERY)
        site.do(beat, Beat(frozenset(late)), actor=SERVER)


def watch(site: Site, findings: NodeFindings | None = None) -> None:
    site.do(watch_ourselves, findings or NodeFindings(), actor=SERVER)


def outages_of(site: Site) -> list[tuple[str, str, datetime, datetime | None]]:
    found = site.engine.read(lambda tx: outages.between(tx, NOW - 99 * DAY, site.now))
    in_order = sorted(found, key=lambda one: (one.began_at, str(one.scope)))
    return [(one.reason.value, str(one.scope), one.began_at, one.ended_at) for one in in_order]


def incidents_of(site: Site) -> list[Incident]:
    return list(site.engine.read(lambda tx: incidents.latest(tx, 100)))


def due(site: Site) -> list[str]:
    table = schema.reviews
    return [
        id_
        for (id_,) in site.rows(
            sa.select(table.c.channel_id).where(table.c.next_review_at <= site.now).order_by(table.c.channel_id)
        )
    ]


def told(site: Site) -> list[str]:
    return [kind for (kind,) in site.rows(sa.select(schema.outbox.c.event_type).order_by(schema.outbox.c.sequence))]


def subscribe(site: Site) -> None:
    row = {"id": "1", "name": "test", "created_at": NOW}
    site.engine.write(lambda tx: tx.connection.execute(sa.insert(schema.subscriptions).values(row)))


def answer(site: Site, *outcomes: OutcomeClass) -> None:
    """Let APNs answer pushes of the topic so."""
    context = site.runner.context()

    def turn(tx: Transaction, ctx: Context = context) -> None:
        turn_breaker(tx, fleet.TOPIC, push_breakers.read_all(tx).get(fleet.TOPIC), outcomes, ctx)

    site.engine.write(turn)


def test_a_week_without_a_sign_of_life_is_a_downtime_of_all(site: Site) -> None:
    subscribe(site)
    fleet.add_device(site.engine, "A")
    assert begin(site) is None
    live(site, HOUR)
    stopped_at = site.now

    outage = begin(site, 7 * DAY)

    assert outage is not None
    assert outages_of(site) == [("own_downtime", "", stopped_at, stopped_at + 7 * DAY)]
    (incident,) = incidents_of(site)
    assert incident.sentence.startswith("our server was down: 7 days from 22 November at 15:31 UTC on")
    assert (incident.ended_at, incident.channels) == (site.now, 1)
    assert told(site) == ["incident.opened", "incident.closed"]


def test_what_a_restored_database_lost_is_no_downtime(site: Site) -> None:
    begin(site)
    site.wait(days=2)
    rolled_back = CatchUp((), RolledBack("node", NOW, site.now - HOUR))
    site.do(finish_catch_ups, rolled_back, actor=SERVER)

    begin(site)

    assert outages_of(site) == [("database_rolled_back", "", NOW, site.now)]
    assert begin(site, 2 * DAY) is not None
    assert outages_of(site)[1][0] == "own_downtime"


def test_a_restart_is_no_downtime_and_neither_is_one_of_several_nodes(site: Site) -> None:
    begin(site)
    site.engine.write(lambda tx: heartbeats.begin(tx, "other", ["push"], site.now + 5 * HOUR))

    assert begin(site, timedelta(minutes=10)) is None
    assert begin(site, 5 * HOUR) is None
    assert outages_of(site) == []


def test_the_second_node_to_start_finds_no_downtime_again(site: Site) -> None:
    begin(site)

    found = [begin(site, 2 * HOUR), begin(site)]

    assert [one is not None for one in found] == [True, False]


def test_a_breaker_that_opens_makes_its_topic_deaf_until_it_closes(site: Site) -> None:
    subscribe(site)
    fleet.add_device(site.engine, "A")
    fleet.add_push_target(site.engine, "A")
    fleet.add_device(site.engine, "B")
    answer(site, *[OutcomeClass.NO_ANSWER] * 9)
    began_at = site.now
    site.wait(hours=1)
    answer(site, OutcomeClass.NO_ANSWER)
    watch(site)
    lasting = outages_of(site)
    opened = incidents_of(site)
    site.wait(hours=1)
    answer(site, OutcomeClass.ACCEPTED)
    watch(site)

    scope = f"topic:{fleet.TOPIC}"
    assert lasting == [("apns_outage", scope, began_at, None)]
    assert outages_of(site) == [("apns_outage", scope, began_at, site.now)]
    assert [(one.channels, one.ended_at) for one in opened] == [(1, None)]
    assert opened[0].sentence == "APNs can't be reached, since 22 November at 14:31 UTC; 1 enrollment is touched"
    assert [one.ended_at for one in incidents_of(site)] == [site.now]
    assert told(site) == ["incident.opened", "incident.closed"]


def test_another_cause_of_an_open_breaker_is_another_outage(site: Site) -> None:
    answer(site, *[OutcomeClass.NO_ANSWER] * 10)
    site.wait(hours=1)
    breaker = site.engine.read(push_breakers.read_all)[fleet.TOPIC]
    site.engine.write(lambda tx: push_breakers.store(tx, fleet.TOPIC, take_probe(breaker, site.now)))

    answer(site, OutcomeClass.CERTIFICATE_REFUSED)

    assert [(reason, ended is None) for reason, _, _, ended in outages_of(site)] == [
        ("apns_outage", False),
        ("push_certificate_expired", True),
    ]


def test_an_expired_push_certificate_deafens_from_its_end_until_another_is_in_use(site: Site) -> None:
    end = NOW + DAY
    fleet.add_push_certificate(site.engine, end)
    watch(site)
    before = outages_of(site)
    site.wait(days=3)
    watch(site)
    watch(site)
    lasting = outages_of(site)
    context = site.runner.context()
    site.engine.write(lambda tx: resume_pushes(tx, fleet.TOPIC, context, could_push=False))

    scope = f"topic:{fleet.TOPIC}"
    assert before == []
    assert lasting == [("push_certificate_expired", scope, end, None)]
    assert outages_of(site) == [("push_certificate_expired", scope, end, site.now)]


def test_endpoints_that_fail_are_one_incident_and_end_where_they_began(site: Site) -> None:
    since = NOW - HOUR
    failing = {"/mdm": Failing(since, 10, 9), "/checkin": Failing(since, 4, 4)}

    watch(site, NodeFindings(failing))
    watch(site, NodeFindings({"/mdm": failing["/mdm"]}))
    half = outages_of(site)
    site.wait(hours=1)
    watch(site)

    assert half == [
        ("own_errors", "endpoint:/checkin@node", since, NOW),
        ("own_errors", "endpoint:/mdm@node", since, None),
    ]
    assert [(one.reason.value, str(one.scope), one.ended_at) for one in incidents_of(site)] == [
        ("own_errors", "", site.now)
    ]
    assert [ended for _, _, _, ended in outages_of(site)] == [NOW, site.now]


def test_what_another_node_fails_at_is_not_ended_by_this_one(site: Site) -> None:
    watch(site, NodeFindings({"/mdm": Failing(NOW, 3, 3)}))
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.outages).values(scope="endpoint:/mdm@another")))

    watch(site)

    assert [ended for _, _, _, ended in outages_of(site)] == [None]


def test_identities_that_nobody_brings_any_more_are_dropped_on_their_way(site: Site) -> None:
    for name in "ABCD":
        fleet.add_device(site.engine, name)

    def claims(*names: str) -> NodeFindings:
        return NodeFindings(dropped=Dropped(NOW - HOUR, frozenset(ChannelId(name) for name in names)))

    watch(site, claims("A", "B", "stranger", "another"))
    by_strangers = outages_of(site)
    watch(site, claims("A", "B", "C"))
    by_devices = outages_of(site)
    site.wait(hours=1)
    watch(site, NodeFindings(has_identities=True))

    assert by_strangers == []
    assert by_devices == [("own_proxy_drops_identity", "", NOW - HOUR, None)]
    assert [ended for _, _, _, ended in outages_of(site)] == [site.now]


def test_our_clock_is_wrong_by_the_word_of_devices_until_they_take_it_back(site: Site) -> None:
    wrong = NodeFindings(differing=DifferingClocks(NOW - HOUR, -7200, 4))
    watch(site, wrong)
    found = incidents_of(site)
    site.do(note_self_tests, PublicFace(clock_error=timedelta(0)), actor=SERVER)
    watch(site, wrong)
    lasting = outages_of(site)
    site.wait(hours=1)
    watch(site)

    assert [one.sentence.partition(",")[0] for one in found] == ["our clock is 2 hours behind that of 4 devices"]
    assert lasting == [("own_clock_wrong", "", NOW - HOUR, None)]
    assert outages_of(site) == [("own_clock_wrong", "", NOW - HOUR, site.now)]
    assert len(incidents_of(site)) == 1


def test_few_devices_that_name_another_time_among_many_are_wrong_themselves(site: Site) -> None:
    for number in range(20):
        fleet.add_device(site.engine, f"D{number}", contacts=[NOW - timedelta(minutes=number)])
    few, enough = (NodeFindings(differing=DifferingClocks(NOW, -10_800, count)) for count in (4, 5))

    watch(site, few)
    by_few = outages_of(site)
    watch(site, enough)
    by_enough = outages_of(site)
    site.wait(minutes=5)
    watch(site, few)

    assert by_few == []
    assert by_enough == [("own_clock_wrong", "", NOW, None)]
    assert [ended for _, _, _, ended in outages_of(site)] == [site.now]


def test_what_a_node_found_ends_with_the_node(site: Site) -> None:
    begin(site)
    watch(site, NodeFindings(differing=DifferingClocks(NOW, -7200, 4)))
    detail = {"node": "another", "devices": 4}
    site.engine.write(lambda tx: heartbeats.begin(tx, "another", [], site.now))
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.outages).values(detail=detail)))
    live(site, DEAD_AFTER - BEAT_EVERY)
    watch(site)
    lasting = outages_of(site)
    live(site, BEAT_EVERY)
    watch(site)

    assert [ended for _, _, _, ended in lasting] == [None]
    assert [ended for _, _, _, ended in outages_of(site)] == [site.now]


def test_whom_a_fault_of_ours_touches_is_judged_at_once(site: Site) -> None:
    for name, topic in (("A", fleet.TOPIC), ("B", fleet.TOPIC), ("other", "com.apple.mgmt.External.other")):
        fleet.add_device(site.engine, name)
        fleet.add_push_target(site.engine, name, topic=topic)
    fleet.add_device(site.engine, "ended", state="ended", ended_at=NOW)
    later = site.now + 9 * HOUR
    site.engine.write(
        lambda tx: reviews.schedule_all(tx, [ChannelId(name) for name in ("A", "B", "other", "ended")], later)
    )
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.reviews).values(next_review_at=later)))

    answer(site, *[OutcomeClass.NO_ANSWER] * 10)
    watch(site)
    of_topic = due(site)
    watch(site, NodeFindings(differing=DifferingClocks(NOW, -7200, 4)))

    assert of_topic == ["A", "B"]
    assert due(site) == ["A", "B", "other"]


def test_a_worker_that_lives_nowhere_is_an_outage_until_it_lives_again(site: Site) -> None:
    begin(site)
    live(site, DEAD_AFTER, "push")
    watch(site)
    early = outages_of(site)
    live(site, HOUR, "push")
    watch(site)
    lasting = outages_of(site)
    live(site, BEAT_EVERY)
    watch(site)

    assert early == []
    assert lasting == [("own_worker_dead", "worker:push", NOW, None)]
    assert [ended for _, _, _, ended in outages_of(site)] == [site.now]
    assert [one.sentence.partition(",")[0] for one in incidents_of(site)] == ["our worker for push is dead"]


def test_a_worker_of_a_node_that_is_no_more_is_not_dead(site: Site) -> None:
    site.engine.write(lambda tx: heartbeats.begin(tx, "gone", ["once"], NOW))
    begin(site, HOUR)

    watch(site)

    assert not [one for one in outages_of(site) if one[0] == "own_worker_dead"]


def test_long_past_signs_and_outages_are_forgotten(site: Site) -> None:
    site.engine.write(lambda tx: heartbeats.begin(tx, "gone", [], NOW))
    begin(site, 5 * HOUR)
    site.runner.time = NOW + KEEP_OUTAGES + DAY

    site.do(forget_own_side, None, actor=SERVER)

    assert outages_of(site) == []
    assert site.engine.read(heartbeats.read_all) == ()


def test_an_incident_grows_and_does_not_shrink(site: Site) -> None:
    def all_fail() -> None:
        watch(site, NodeFindings({"/mdm": Failing(NOW, 3, 3)}))

    fleet.add_device(site.engine, "A")
    all_fail()
    fleet.add_device(site.engine, "B")
    all_fail()
    grown = incidents_of(site)
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.channels).values(state="ended")))
    all_fail()

    assert [one.channels for one in grown] == [2]
    assert "2 enrollments are touched" in grown[0].sentence
    assert [one.channels for one in incidents_of(site)] == [2]
    assert incidents_of(site)[0].scope == EVERYTHING


GIB = 1 << 30


def test_a_disk_that_is_nearly_full_is_an_incident_until_there_is_room_and_no_verdict_hangs_on_it(site: Site) -> None:
    subscribe(site)
    fleet.add_device(site.engine, "A")
    watch(site, NodeFindings(disk=DiskSpace(6 * GIB, 100 * GIB)))
    with_room = outages_of(site)
    watch(site, NodeFindings(disk=DiskSpace(4 * GIB, 100 * GIB)))
    found, lasting = incidents_of(site), outages_of(site)
    site.wait(hours=1)
    watch(site)
    watch(site, NodeFindings(disk=DiskSpace(6 * GIB, 100 * GIB)))
    still = outages_of(site)
    watch(site, NodeFindings(disk=DiskSpace(8 * GIB, 100 * GIB)))

    assert with_room == []
    assert [one.sentence for one in found] == ["the disk of node is nearly full: 4.0 GiB of 100.0 GiB are free"]
    assert lasting == still == [("own_errors", "disk:node", NOW, None)]
    assert [one.ended_at for one in incidents_of(site)] == [site.now]
    assert told(site) == ["incident.opened", "incident.closed"]
    assert due(site) == []  # nobody is judged for it
    (outage,) = site.engine.read(lambda tx: outages.between(tx, NOW, site.now))
    assert not touches(outage, OwnAttributes(node="node"))


def test_the_end_of_our_authority_is_told_while_there_is_time_for_another(site: Site) -> None:
    fleet.add_device(site.engine, "A")
    (authority,) = site.engine.read(identities.all_authorities)
    end = inspect_certificate(authority.certificate_der).not_after
    watch(site)
    early = outages_of(site)
    site.runner.time = end - timedelta(days=30)
    watch(site)
    found, lasting = incidents_of(site), outages_of(site)
    site.do(rotate_authorities, "Example")
    watch(site)

    scope = f"issuer:{authority.fingerprint.hex()}"
    assert early == []
    assert lasting == [("identity_expiring", scope, end - AUTHORITY_ENDS_SOON, None)]
    assert "and no identity outlives it: `muster authority rotate` makes another" in found[0].sentence
    assert [one.ended_at for one in incidents_of(site)] == [site.now]
