"""What devices say is handed on as it came, in the order of each channel, and costs nobody else anything."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.site import ADA, MAC, NOT_AFTER, SOURCE, Site, authenticate, head, id_of, print_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import DEVICE
from muster.domain.errors import Refusal
from muster.domain.events import EventType
from muster.domain.webhooks import BodyFormat, SubscriptionState
from muster.operations.answer_checkin import answer_checkins
from muster.operations.answer_connect import ConnectRequest, answer_connects
from muster.operations.checkin import CheckinRequest
from muster.operations.deliver_events import Errand, ErrandResult, Room, claim_errands, record_errands
from muster.operations.manage_webhooks import (
    NewWebhook,
    ReplayOrder,
    StateOrder,
    WebhookOrder,
    add_webhooks,
    disable_overfull_webhooks,
    replay_deliveries,
    set_webhook_states,
    try_webhooks,
)
from muster.operations.ports import EventAnswer
from muster.protocol.checkin import CheckinMessage, SetBootstrapToken, encode_checkin
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import Identifiers, resolve_channel
from muster.storage import outbox, schema

KEY = "the receiver's own key"
TAKEN = EventAnswer(200)


@pytest.fixture
def told(site: Site) -> Site:
    """A site with a webhook that is told what devices say, and one that is told events."""
    order = WebhookOrder("nano", "https://nano.example/hook", format=BodyFormat.MICROMDM, secret=KEY)
    made = site.do(add_webhooks, order, WebhookOrder("siem", "https://siem.example/in"))
    assert isinstance(made[0], NewWebhook)
    assert made[0].secret == KEY
    return site


def check_in(site: Site, message: CheckinMessage, identity: SignerIdentity, **parameters: str) -> object:
    request = CheckinRequest(
        message, print_of(identity), encode_checkin(message), SOURCE, NOT_AFTER, parameters=parameters
    )
    return site.do(answer_checkins, request, actor=DEVICE)[0]


def connect(site: Site, identity: SignerIdentity, status: str, command_uuid: str | None = None) -> bytes:
    asked = head(MAC, status, command_uuid)
    body = encode_report(Report(asked))
    request = ConnectRequest(asked, print_of(identity), body, SOURCE, NOT_AFTER, parameters={"a": "1"})
    site.do(answer_connects, request, actor=DEVICE)
    return body


def delivered(site: Site, name: str = "nano") -> list[Errand]:
    """Deliver all that waits for a webhook; returns the requests."""
    requests: list[Errand] = []
    while True:
        claimed = site.do(claim_errands, Room(100))[0]
        mine = [one for one in claimed.errands if one.name == name]
        site.do(record_errands, *(ErrandResult(one, TAKEN) for one in claimed.errands))
        if not claimed.errands:
            return requests
        requests += mine


def bodies(errands: list[Errand]) -> list[dict[str, Any]]:
    return [json.loads(one.request.body) for one in errands]


def test_enrollment_is_handed_on_message_by_message(told: Site) -> None:
    identity = told.identity()
    messages: list[CheckinMessage] = [
        authenticate(),
        token_update(unlock_token=b"secret"),
        token_update(token=b"other"),
    ]
    for message in messages:
        check_in(told, message, identity, place="north")

    heard = bodies(delivered(told))

    assert [one["topic"] for one in heard] == ["mdm.Authenticate", "mdm.TokenUpdate", "mdm.TokenUpdate"]
    assert [one["checkin_event"].get("token_update_tally") for one in heard] == [None, 1, 2]
    assert [base64.b64decode(one["checkin_event"]["raw_payload"]) for one in heard] == [
        encode_checkin(message) for message in messages
    ]
    assert heard[0]["checkin_event"]["ids"] == {"id": id_of(MAC), "type": "Device"}
    assert heard[0]["checkin_event"]["url_params"] == {"place": "north"}


def test_tally_begins_anew_with_another_enrollment(told: Site) -> None:
    first, second = told.identity(), told.identity()
    for identity in (first, second):
        check_in(told, authenticate(), identity)
        check_in(told, token_update(), identity)

    tallies = [one["checkin_event"].get("token_update_tally") for one in bodies(delivered(told))]

    assert tallies == [None, 1, None, 1]


def test_reports_are_handed_on_idle_ones_too(told: Site) -> None:
    identity = told.enroll()
    told.queue("C1")
    bodies_sent = [connect(told, identity, "Idle"), connect(told, identity, "Acknowledged", "C1")]

    heard = [one["acknowledge_event"] for one in bodies(delivered(told))]

    assert [(one["status"], one.get("command_uuid")) for one in heard] == [("Idle", None), ("Acknowledged", "C1")]
    assert [base64.b64decode(one["raw_payload"]) for one in heard] == bodies_sent
    assert heard[0]["url_params"] == {"a": "1"}


def test_request_is_signed_as_nanomdm_signs(told: Site) -> None:
    check_in(told, authenticate(), told.identity())

    [errand] = delivered(told)

    mark = base64.b64encode(hmac.new(KEY.encode(), errand.request.body, hashlib.sha256).digest()).decode()
    assert dict(errand.request.headers)["X-Hmac-Signature"] == mark
    assert errand.request.content_type == "application/json; charset=utf-8"


def test_who_is_refused_is_not_handed_on(told: Site) -> None:
    told.enroll()
    stranger = told.identity()

    refused = check_in(told, token_update(), stranger)

    assert isinstance(refused, Refusal)
    assert delivered(told) == []


def test_messages_wait_sealed(told: Site) -> None:
    identity = told.enroll()
    secret = b"the bootstrap token"
    check_in(told, SetBootstrapToken(MAC, resolve_channel(MAC), secret), identity)

    stored = told.rows(sa.select(schema.outbox.c.detail).where(schema.outbox.c.event_type.like("mdm.%")))

    assert len(stored) == 1
    assert base64.b64encode(secret).decode() not in json.dumps(stored[0][0])
    [heard] = bodies(delivered(told))
    assert base64.b64encode(secret) in base64.b64decode(heard["checkin_event"]["raw_payload"])


def test_events_go_to_one_and_messages_to_the_other(told: Site) -> None:
    identity = told.identity()
    check_in(told, authenticate(), identity)
    check_in(told, token_update(), identity)

    waiting = told.rows(sa.select(schema.subscriptions.c.name, schema.outbox.c.event_type).join(schema.outbox))

    assert {kind for name, kind in waiting if name == "nano"} == {"mdm.Authenticate", "mdm.TokenUpdate"}
    assert {kind for name, kind in waiting if name == "siem"} == {EventType.DEVICE_ENROLLED.value}


def test_users_channel_has_its_own_order(told: Site) -> None:
    identity = told.enroll()
    check_in(told, token_update(ADA), identity)
    connect(told, identity, "Idle")

    first = told.do(claim_errands, Room(100))[0].errands

    assert {one.event_type for one in first if one.name == "nano"} == {"mdm.TokenUpdate", "mdm.Connect"}


def test_only_wanted_topics_are_handed_on(site: Site) -> None:
    order = WebhookOrder("nano", "https://nano.example/hook", ("mdm.Connect",), BodyFormat.MICROMDM)
    site.do(add_webhooks, order)
    identity = site.identity()
    check_in(site, authenticate(), identity)
    check_in(site, token_update(), identity)
    connect(site, identity, "Idle")

    assert [one["topic"] for one in bodies(delivered(site))] == ["mdm.Connect"]


def test_nobody_is_told_while_disabled(told: Site) -> None:
    assert told.engine.read(outbox.wants_messages)
    told.do(set_webhook_states, StateOrder("nano", SubscriptionState.DISABLED))

    check_in(told, authenticate(), told.identity())

    assert not told.engine.read(outbox.wants_messages)
    assert delivered(told) == []


def test_what_was_delivered_can_be_sent_again_unless_it_is_large(told: Site) -> None:
    identity = told.enroll()
    large = replace(token_update(), identifiers=MAC, token=b"x" * 32, unlock_token=b"u" * outbox.LONGEST_KEPT_MESSAGE)
    check_in(told, token_update(token=b"y"), identity)
    check_in(told, large, identity)
    first = bodies(delivered(told))

    told.do(replay_deliveries, ReplayOrder("nano"))

    assert bodies(delivered(told)) == first[:1]
    assert len(first) == 2


def test_receiver_that_is_gone_is_told_no_more_when_too_much_waits(told: Site) -> None:
    identity = told.identity()
    for message in (authenticate(), token_update()):
        check_in(told, message, identity)

    assert told.do(disable_overfull_webhooks, 2, 1) == [(), ("nano",)]
    assert not told.engine.read(outbox.wants_messages)


def test_test_event_has_a_topic_of_its_own(told: Site) -> None:
    told.do(try_webhooks, "nano")

    [heard] = bodies(delivered(told))

    assert heard["topic"] == "webhook.test"


def test_message_that_cannot_be_opened_holds_nothing_up(told: Site) -> None:
    identity = told.identity()
    check_in(told, authenticate(), identity)
    row = sa.update(schema.outbox).values(event_id="another").where(schema.outbox.c.event_type == "mdm.Authenticate")
    told.engine.write(lambda tx: tx.connection.execute(row))
    check_in(told, token_update(), identity)

    heard = bodies(delivered(told))

    assert [one["checkin_event"]["raw_payload"] != "" for one in heard] == [False, True]


@pytest.mark.parametrize("identifiers", [MAC])
def test_without_such_a_webhook_nothing_is_kept(site: Site, identifiers: Identifiers) -> None:
    check_in(site, authenticate(identifiers), site.identity())

    assert site.rows(sa.select(schema.outbox.c.event_type)) == []
