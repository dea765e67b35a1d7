"""Events leave the outbox in the order of their channel, again and again until they are taken, and never get lost."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.site import Site

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.events import Event, EventType
from muster.domain.webhooks import FAILURES_BEFORE_PROBING, FORMER_SECRET_FOR, SubscriptionState, signature_header
from muster.operations.deliver_events import (
    AT_ONCE,
    KEEP_DELIVERED,
    LEASE,
    ClaimedErrands,
    Errand,
    ErrandResult,
    Room,
    claim_errands,
    failure_words,
    forget_deliveries,
    is_any_due,
    next_due_at,
    record_errands,
)
from muster.operations.manage_webhooks import (
    NewWebhook,
    ReplayOrder,
    StateOrder,
    WebhookOrder,
    add_webhooks,
    remove_webhooks,
    replay_deliveries,
    rotate_secrets,
    set_webhook_states,
    try_webhooks,
)
from muster.operations.ports import EventAnswer
from muster.operations.views.webhooks import list_deliveries, list_webhooks
from muster.protocol.identifiers import ChannelId
from muster.storage import outbox, schema

TAKEN = EventAnswer(204)
FAILED = EventAnswer(500, reply="oh\nno")
ROOM = Room(100)


@pytest.fixture
def secret(site: Site) -> str:
    """The secret of a webhook that is called siem."""
    made = site.do(add_webhooks, WebhookOrder("siem", "https://siem.example/in"))[0]
    assert isinstance(made, NewWebhook)
    return made.secret


@pytest.fixture
def told(site: Site, secret: str) -> Site:
    """A site that tells one webhook."""
    return site


def happen(site: Site, *names: str, kind: EventType = EventType.DEVICE_ENROLLED) -> list[str]:
    """Have one event happen on each channel; returns their ids."""
    context = site.runner.context()
    events = [Event(context.new_id(), kind, ChannelId(one), site.now) for one in names]
    site.engine.write(lambda tx: outbox.append(tx, events))
    return [one.id for one in events]


def claim(site: Site, room: Room = ROOM) -> tuple[Errand, ...]:
    claimed: ClaimedErrands = site.do(claim_errands, room)[0]
    assert claimed.failed == ()
    return claimed.errands


def answer(site: Site, errands: Sequence[Errand], with_: EventAnswer = TAKEN) -> None:
    site.do(record_errands, *[ErrandResult(one, with_) for one in errands])


def ids(errands: Sequence[Errand]) -> list[str]:
    return [one.event_id for one in errands]


def body(errand: Errand) -> Any:
    return json.loads(errand.request.body)


# --- order ------------------------------------------------------------------------------------------------------------


def test_of_each_channel_the_first_is_sent_and_the_next_when_that_is_taken(told: Site) -> None:
    first, second, other = happen(told, "A", "A", "B")

    claimed = claim(told)
    assert ids(claimed) == [first, other]
    assert claim(told) == ()
    answer(told, claimed)
    assert ids(claim(told)) == [second]


def test_failure_holds_back_its_own_channel_alone(told: Site) -> None:
    first, _, other, after = happen(told, "A", "A", "B", "B")
    broken, fine = claim(told)

    told.do(record_errands, ErrandResult(broken, FAILED), ErrandResult(fine, TAKEN))

    assert (broken.event_id, fine.event_id) == (first, other)
    assert ids(claim(told)) == [after]
    told.wait(seconds=10)
    (again,) = claim(told)
    assert (again.event_id, again.attempts, body(again)["id"]) == (first, 2, first)


def test_what_is_never_recorded_goes_out_again_under_its_id_when_the_lease_ends(told: Site) -> None:
    (event,) = happen(told, "A")
    (lost,) = claim(told)
    told.runner.time += LEASE

    (again,) = claim(told)

    assert (lost.event_id, again.event_id) == (event, event)
    assert lost.request.body == again.request.body


def test_late_record_of_an_attempt_settles_nothing_of_the_next_one(told: Site) -> None:
    first, second = happen(told, "A", "A")
    late = claim(told)
    told.runner.time += LEASE
    answer(told, claim(told))

    answer(told, late, FAILED)
    answer(told, late)

    assert (ids(late), ids(claim(told))) == ([first], [second])


def test_nodes_share_what_is_due(told: Site) -> None:
    events = happen(told, *[f"D{number}" for number in range(2 * AT_ONCE)])

    here, there = claim(told), claim(told)

    assert ids(here) + ids(there) == events
    assert len(here) == AT_ONCE


def test_nodes_that_deliver_at_once_keep_the_order_of_each_channel_and_send_nothing_twice(told: Site) -> None:
    events = happen(told, *["A", "B", "C", "D"] * 8)
    sent: list[str] = []

    def deliver() -> None:
        while is_anything_left(told):
            errands = claim(told, Room(3))
            sent.extend(ids(errands))
            answer(told, errands)

    with ThreadPoolExecutor(2) as nodes:
        for node in [nodes.submit(deliver), nodes.submit(deliver)]:
            node.result()

    assert sorted(sent) == sorted(events)
    for number in range(4):
        assert [one for one in sent if one in events[number::4]] == events[number::4]


def is_anything_left(site: Site) -> bool:
    return bool(site.rows(sa.select(schema.outbox.c.sequence).limit(1)))


def test_receiver_has_no_more_requests_at_once_than_he_may(told: Site) -> None:
    happen(told, *[f"D{number}" for number in range(2 * AT_ONCE)])
    (row,) = told.rows(sa.select(schema.subscriptions.c.id))

    assert len(claim(told, Room(100, {row[0]: AT_ONCE - 1}))) == 1
    assert claim(told, Room(100, {row[0]: AT_ONCE})) == ()
    assert len(claim(told, Room(3))) == 3


def test_what_is_due_and_when_is_known(told: Site) -> None:
    def due(site: Site) -> tuple[bool, Any]:
        now = site.now
        return site.engine.read(lambda tx: (is_any_due(tx, now), next_due_at(tx, now)))

    assert due(told) == (False, None)
    happen(told, "A")
    assert due(told) == (True, None)
    claim(told)
    assert due(told) == (False, told.now + LEASE)


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_request_is_signed_and_names_its_event(told: Site, secret: str) -> None:
    (event,) = happen(told, "A")

    (errand,) = claim(told)

    headers = dict(errand.request.headers)
    assert headers["Muster-Signature"] == signature_header([secret], told.now, errand.request.body)
    assert (headers["Muster-Event-Id"], headers["Muster-Attempt"]) == (event, "1")
    assert body(errand)["channel_id"] == "A"
    assert secret not in repr(errand)


def test_for_a_day_after_its_rotation_both_secrets_sign(told: Site, secret: str) -> None:
    made = told.do(rotate_secrets, "siem")[0]
    assert isinstance(made, NewWebhook)
    happen(told, "A", "B")

    both, _ = claim(told)
    told.runner.time += FORMER_SECRET_FOR
    one, _ = claim(told)

    assert made.secret != secret
    signed = [dict(errand.request.headers)["Muster-Signature"] for errand in (both, one)]
    former = signature_header([made.secret, secret], told.now - FORMER_SECRET_FOR, both.request.body)
    assert signed == [former, signature_header([made.secret], told.now, one.request.body)]


def test_webhook_is_told_what_it_wants(site: Site) -> None:
    site.do(add_webhooks, WebhookOrder("some", "https://a.example/", ("device.unenrolled", "control.*")))

    happen(site, "A")
    (wanted,) = happen(site, "A", kind=EventType.DEVICE_UNENROLLED)

    assert ids(claim(site)) == [wanted]


# --- those who fail ---------------------------------------------------------------------------------------------------


def test_receiver_that_fails_is_asked_by_one_request_at_a_time_until_he_takes_it(told: Site) -> None:
    happen(told, *[f"D{number}" for number in range(AT_ONCE + 4)])
    for _ in range(FAILURES_BEFORE_PROBING):
        answer(told, claim(told), FAILED)
        told.wait(seconds=60)

    probes = claim(told)
    assert len(probes) == 1
    assert claim(told) == ()
    answer(told, probes)

    assert len(claim(told)) == AT_ONCE
    (row,) = told.engine.read(list_webhooks)
    assert (row.failures, row.failing_since, row.last_error) == (0, None, None)


def test_how_it_fails_is_shown(told: Site) -> None:
    (event,) = happen(told, "A")
    answer(told, claim(told), FAILED)

    (row,) = told.engine.read(list_webhooks)
    assert (row.waiting, row.failures, row.failing_since, row.last_error) == (1, 1, told.now, "answered 500: oh no")
    (waiting,) = told.engine.read(lambda tx: list_deliveries(tx, "siem")) or ()
    assert (waiting.event_id, waiting.attempts, waiting.last_error) == (event, 1, "answered 500: oh no")


def test_receiver_says_for_how_long_he_wants_nothing(told: Site) -> None:
    happen(told, "A", "B")
    (first, *_) = claim(told, Room(1))
    answer(told, [first], EventAnswer(429, retry_after_seconds=600))

    assert claim(told) == ()
    told.wait(seconds=599)
    assert claim(told) == ()
    told.wait(seconds=1)
    assert len(claim(told)) == 2


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (EventAnswer(302), "answered 302, which is not followed"),
        (EventAnswer(None, "no answer within 15 seconds"), "no answer within 15 seconds"),
        (EventAnswer(400, reply="<b>\x00\x1b[31mno\r\n"), "answered 400: <b> [31mno"),
        (EventAnswer(500, reply="x" * 5000), f"answered 500: {'x' * 286}"),
    ],
)
def test_failure_is_one_short_line(said: EventAnswer, words: str) -> None:
    assert failure_words(said) == words


def test_secret_that_cannot_be_opened_keeps_no_other_webhook_waiting(told: Site) -> None:
    told.do(add_webhooks, WebhookOrder("other", "https://b.example/"))
    table = schema.webhooks
    broken = sa.update(table).where(table.c.url == "https://siem.example/in").values(secret_sealed=b"\x01" * 60)
    told.engine.write(lambda tx: tx.connection.execute(broken))
    happen(told, "A")

    claimed = told.do(claim_errands, ROOM)[0]

    assert [one.name for one in claimed.errands] == ["other"]
    assert [name for name, _ in claimed.failed] == ["siem"]


# --- what administrators do -------------------------------------------------------------------------------------------


def test_paused_webhook_gets_later_what_happened_and_a_disabled_one_does_not(told: Site) -> None:
    told.do(set_webhook_states, StateOrder("siem", SubscriptionState.PAUSED))
    (kept,) = happen(told, "A")
    assert claim(told) == ()
    told.do(set_webhook_states, StateOrder("siem", SubscriptionState.DISABLED))
    happen(told, "A")
    assert claim(told) == ()
    told.do(set_webhook_states, StateOrder("siem", SubscriptionState.ENABLED))

    taken = claim(told)
    answer(told, taken)

    assert ids(taken) == [kept]
    assert claim(told) == ()


def test_delivered_events_are_sent_again_under_their_ids(told: Site) -> None:
    first, second = happen(told, "A", "B")
    answer(told, claim(told))
    told.wait(hours=1)
    (third,) = happen(told, "A")
    answer(told, claim(told))

    replayed = told.do(replay_deliveries, ReplayOrder("siem", since=told.now), ReplayOrder("siem", event_id=second))

    assert [one.count for one in replayed if not isinstance(one, Refusal)] == [1, 1]
    assert sorted(ids(claim(told))) == sorted([second, third])
    shown = told.engine.read(lambda tx: list_deliveries(tx, "siem")) or ()
    assert [one.event_id for one in shown if one.delivered_at is not None] == [third, second, first]


def test_test_goes_to_the_webhook_alone_whatever_it_wants(told: Site) -> None:
    told.do(add_webhooks, WebhookOrder("other", "https://b.example/", ("device.enrolled",)))

    (event,) = told.do(try_webhooks, "other")

    assert isinstance(event, Event)
    assert [(one.name, one.event_id) for one in claim(told)] == [("other", event.id)]


def test_removed_webhook_leaves_nothing_behind(told: Site) -> None:
    happen(told, "A", "B")
    answer(told, claim(told)[:1])

    told.do(remove_webhooks, "siem")

    for table in (schema.outbox, schema.deliveries, schema.webhooks, schema.subscriptions):
        assert told.rows(sa.select(table)) == []


def test_what_was_delivered_long_ago_is_forgotten(told: Site) -> None:
    happen(told, "A")
    answer(told, claim(told))
    told.do(forget_deliveries, None)
    assert len(told.rows(sa.select(schema.deliveries))) == 1
    told.runner.time += KEEP_DELIVERED + timedelta(seconds=1)

    told.do(forget_deliveries, None)

    assert told.rows(sa.select(schema.deliveries)) == []


def test_of_what_was_delivered_the_latest_are_kept(told: Site) -> None:
    events = happen(told, "A", "B", "C")
    answer(told, claim(told))

    told.engine.write(lambda tx: outbox.forget_delivered(tx, before=told.now - KEEP_DELIVERED, keep=2))

    assert [one for (one,) in told.rows(sa.select(schema.deliveries.c.event_id))] == events[1:]


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (WebhookOrder("siem", "https://a.example/"), RefusalCode.CONFLICT),
        (WebhookOrder("A B", "https://a.example/"), RefusalCode.ORDER_UNFIT),
        (WebhookOrder("b", "http://a.example/"), RefusalCode.ORDER_UNFIT),
        (WebhookOrder("b", "https://10.1.2.3/"), RefusalCode.ORDER_UNFIT),
        (WebhookOrder("b", "https://[::ffff:127.0.0.1]/"), RefusalCode.ORDER_UNFIT),
        (WebhookOrder("b", "https://a.example/", ("nonsense",)), RefusalCode.ORDER_UNFIT),
    ],
)
def test_webhook_that_is_none_is_refused(told: Site, order: WebhookOrder, code: RefusalCode) -> None:
    refused = told.do(add_webhooks, order)[0]

    assert isinstance(refused, Refusal)
    assert refused.code is code


@pytest.mark.parametrize(
    "order",
    [
        WebhookOrder("b", "https://93.184.216.34/"),
        WebhookOrder("b", "https://siem.corp/"),
        WebhookOrder("b", "https://10.1.2.3/", allows_private=True),
    ],
)
def test_webhook_may_be_a_public_address_a_name_or_an_allowed_one(told: Site, order: WebhookOrder) -> None:
    assert isinstance(told.do(add_webhooks, order)[0], NewWebhook)


def test_every_act_is_in_the_audit_log_and_no_secret(told: Site, secret: str) -> None:
    told.do(rotate_secrets, "siem")
    told.do(set_webhook_states, StateOrder("siem", SubscriptionState.PAUSED))
    told.do(replay_deliveries, ReplayOrder("siem"))
    told.do(remove_webhooks, "siem")

    acts = told.rows(sa.select(schema.audit.c.act, schema.audit.c.detail).order_by(schema.audit.c.sequence))
    assert [act for act, _ in acts] == [
        "webhook.add",
        "webhook.rotate_secret",
        "webhook.set_state",
        "webhook.replay",
        "webhook.remove",
    ]
    assert secret not in repr(acts)


def test_what_may_be_a_secret_of_an_address_is_not_in_the_audit_log(site: Site) -> None:
    site.do(add_webhooks, WebhookOrder("chat", "https://chat.example:8443/services/T0/B0/hushhush?key=hushhush"))

    [detail] = site.rows(sa.select(schema.audit.c.detail).where(schema.audit.c.act == "webhook.add"))[0]
    assert detail["to"] == "https://chat.example:8443"
    assert "hushhush" not in repr(detail)


def test_who_is_not_there_is_refused(site: Site) -> None:
    outcomes = [
        site.do(rotate_secrets, "x")[0],
        site.do(set_webhook_states, StateOrder("x", SubscriptionState.PAUSED))[0],
        site.do(remove_webhooks, "x")[0],
        site.do(try_webhooks, "x")[0],
        site.do(replay_deliveries, ReplayOrder("x"))[0],
    ]

    assert [one.code for one in outcomes if isinstance(one, Refusal)] == [RefusalCode.NOT_FOUND] * 5
