"""Receivers of shared signals are told whether devices are compliant: once, in order, and however late they come."""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.operations.test_tell_changes import add_channels, become, empty
from tests.support.site import Site

from muster.crypto.algorithms import Digest
from muster.crypto.keys import load_public_key, public_key_der, verify
from muster.domain.control.states import ControlState
from muster.domain.control.telling import NOT_TELLING, as_heard
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.signals import DEFAULT_NONCOMPLIANT, KEY_KEPT_FOR, KEY_SIGNS_AFTER, published_keys, signing_key
from muster.domain.webhooks import SubscriptionState
from muster.operations.deliver_events import ErrandResult, Room, claim_errands, is_any_due, record_errands
from muster.operations.manage_signals import (
    NewReceiver,
    ReceiverOrder,
    TurnOrder,
    add_receivers,
    remove_receivers,
    rotate_keys,
    rotate_receivers,
    turn_streams,
)
from muster.operations.ports import EventAnswer
from muster.operations.serve_signals import (
    POLL_LIMIT,
    ByReceiver,
    Polled,
    PollOrder,
    StatusOrder,
    StreamOrder,
    SubjectOrder,
    VerificationOrder,
    change_streams,
    change_subjects,
    create_streams,
    delete_streams,
    disable_overfull_streams,
    poll_streams,
    read_status,
    read_streams,
    set_statuses,
    verify_streams,
)
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.operations.views.signals import list_keys, list_receivers
from muster.protocol.shared_signals import (
    DEVICE_COMPLIANCE_CHANGE,
    STREAM_UPDATED,
    VERIFICATION,
    DeliveryMethod,
    PollRequest,
    StreamRequest,
    StreamStatus,
)
from muster.simulator.keys.published import published_keys as published_rsa_keys
from muster.storage import installations, schema, signals

US = "https://mdm.example"
AUDIENCE = "https://idp.example/caep"
CONTROL, RISK, INACTIVE, OUT, ENDED, UNKNOWN = (
    ControlState.IN_CONTROL,
    ControlState.AT_RISK,
    ControlState.INACTIVE,
    ControlState.OUT_OF_CONTROL,
    ControlState.ENDED,
    ControlState.UNKNOWN,
)
PUSH = StreamRequest(
    method=DeliveryMethod.PUSH, endpoint_url="https://idp.example/in", authorization_header="Bearer theirs"
)


@pytest.fixture
def token(site: Site) -> str:
    """The token of a receiver called idp; the site knows the devices A and B."""
    site.engine.write(lambda tx: installations.set_urls(tx, public_url=US, check_in_url=None))
    add_channels(site, ["A", "B"])
    made = site.do(add_receivers, ReceiverOrder("idp", AUDIENCE))[0]
    assert isinstance(made, NewReceiver)
    return made.token


def create(site: Site, token: str, request: StreamRequest | None = None) -> str:
    """Set up a stream; returns its id."""
    made = site.do(create_streams, StreamOrder(token, None, request or StreamRequest(), is_whole=True))[0]
    assert not isinstance(made, Refusal), made
    return str(made["stream_id"])


@pytest.fixture
def stream(site: Site, token: str) -> str:
    """A stream for polls, verified."""
    stream_id = create(site, token)
    (token_id,) = poll(site, token, stream_id)
    poll(site, token, stream_id, ack=(token_id,))
    return stream_id


def poll(site: Site, token: str, stream_id: str, *, ack: tuple[str, ...] = (), **members: Any) -> dict[str, Any]:
    """Poll; returns the claims of tokens by their ids."""
    polled = site.do(poll_streams, PollOrder(token, stream_id, PollRequest(acknowledged=ack, **members)))[0]
    assert isinstance(polled, Polled), polled
    return {token_id: claims(site, one) for token_id, one in polled.tokens.items()}


def claims(site: Site, token: str) -> dict[str, Any]:
    """Verify a token as a receiver does: by the published key that its header names."""
    header, body, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    named = json.loads(header)
    assert (named["typ"], named["alg"]) == ("secevent+jwt", "RS256")
    shown = {one.kid for one in published_keys(site.engine.read(signals.keys), site.now)}
    assert named["kid"] in shown
    (key,) = [one for one in published_rsa_keys() if _names(one, site, named["kid"])]
    verify(load_public_key(public_key_der(key)), signature, token.rpartition(".")[0].encode(), Digest.SHA256)
    found: dict[str, Any] = json.loads(body)
    return found


def _names(key: Any, site: Site, kid: str) -> bool:
    (jwk,) = [one.jwk for one in site.engine.read(signals.keys) if one.kid == kid]
    modulus: int = key.public_key().public_numbers().n
    return int.from_bytes(base64.urlsafe_b64decode(jwk["n"] + "==")) == modulus


def changes(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Of tokens about devices: the device, and as what it was and is known."""
    events = [
        (one["sub_id"]["device"]["sub"], one["events"][DEVICE_COMPLIANCE_CHANGE])
        for one in found.values()
        if DEVICE_COMPLIANCE_CHANGE in one["events"]
    ]
    return [(device_id, event["previous_status"], event["current_status"]) for device_id, event in events]


# --- what is told -----------------------------------------------------------------------------------------------------


def test_change_of_compliance_is_told_with_its_reason(site: Site, token: str, stream: str) -> None:
    (step,) = become(site, {"A": OUT})

    (found,) = poll(site, token, stream).values()

    assert found.pop("jti")
    assert found == {
        "iss": US,
        "iat": int(site.now.timestamp()),
        "aud": AUDIENCE,
        "txn": step,
        "sub_id": {"format": "complex", "device": {"format": "iss_sub", "iss": US, "sub": "A"}},
        "events": {
            DEVICE_COMPLIANCE_CHANGE: {
                "previous_status": "compliant",
                "current_status": "not-compliant",
                "initiating_entity": "policy",
                "event_timestamp": int(site.now.timestamp()),
                "reason_admin": {"en": "Was not heard."},
            }
        },
    }


def test_changes_within_a_status_and_what_blinds_us_are_not_told(site: Site, token: str, stream: str) -> None:
    for state in (RISK, INACTIVE, OUT, UNKNOWN, ENDED, RISK, UNKNOWN, CONTROL):
        become(site, {"A": state})

    found = changes(poll(site, token, stream))
    assert found == [("A", "compliant", "not-compliant"), ("A", "not-compliant", "compliant")]


def test_users_channels_are_no_devices(site: Site, token: str, stream: str) -> None:
    become(site, {"A": CONTROL})
    rows = {"id": "A:U", "device_id": "A", "kind": "User", "state": "enrolled", "epoch": 1, "first_seen_at": site.now}
    site.engine.write(lambda tx: tx.connection.execute(sa.insert(schema.channels), [rows]))
    become(site, {"A:U": OUT}, device_id="A")

    assert poll(site, token, stream) == {}


def test_which_states_are_not_compliant_is_a_policy(site: Site, token: str, stream: str) -> None:
    become(site, {"A": RISK, "B": OUT})
    site.do(set_policies, PolicyOrder("noncompliant_states", '["at_risk", "ended"]'))

    found = changes(poll(site, token, stream))
    assert found == [
        ("B", "compliant", "not-compliant"),
        ("A", "compliant", "not-compliant"),
        ("B", "not-compliant", "compliant"),
    ]
    refused = site.do(set_policies, PolicyOrder("noncompliant_states", '["quiet"]'))[0]
    assert isinstance(refused, Refusal)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from(ControlState)), max_size=10))
def test_whoever_follows_a_stream_knows_each_device_as_it_is(
    site: Site, token: str, stream: str, steps: list[tuple[str, ControlState]]
) -> None:
    for table in (schema.outbox, schema.tellings, schema.verdicts, schema.signal_subjects):
        site.engine.write(lambda tx, one=table: empty(one, tx))  # type: ignore[misc]
    for name, state in steps:
        site.wait(minutes=1)
        become(site, {name: state})

    view = dict.fromkeys("AB", "compliant")
    for name, before, after in changes(poll(site, token, stream)):
        assert view[name] == before
        view[name] = after
    for name in "AB":
        telling = [state for one, state in steps if one == name and state not in NOT_TELLING]
        is_lost = bool(telling) and as_heard(telling[-1]) in DEFAULT_NONCOMPLIANT
        assert view[name] == ("not-compliant" if is_lost else "compliant")


# --- polls ------------------------------------------------------------------------------------------------------------


def test_tokens_come_again_under_their_ids_until_they_are_acknowledged(site: Site, token: str, stream: str) -> None:
    become(site, {"A": OUT})
    become(site, {"B": OUT})
    first, again = poll(site, token, stream), poll(site, token, stream)

    one, other = first
    assert list(again) == [one, other]
    assert list(poll(site, token, stream, ack=(one, "unknown"))) == [other]
    errors = PollRequest(errors={other: "invalid_key"})
    polled = site.do(poll_streams, PollOrder(token, stream, errors))[0]
    assert polled == Polled({}, False, {other: "invalid_key"})
    assert site.rows(sa.select(schema.deliveries.c.status).where(schema.deliveries.c.event_id == other)) == [(400,)]


def test_poll_brings_so_many_at_most_and_says_that_there_is_more(site: Site, token: str, stream: str) -> None:
    names = [f"D{number:03}" for number in range(POLL_LIMIT + 1)]
    site.do(set_policies, PolicyOrder("mass_flip_share", "100"))
    become(site, dict.fromkeys(names, OUT))

    def ask(request: PollRequest) -> tuple[int, bool]:
        polled = site.do(poll_streams, PollOrder(token, stream, request))[0]
        assert isinstance(polled, Polled)
        return len(polled.tokens), polled.is_more

    assert ask(PollRequest()) == (POLL_LIMIT, True)
    assert ask(PollRequest(max_events=2)) == (2, True)
    assert ask(PollRequest(max_events=0)) == (0, True)


# --- streams ----------------------------------------------------------------------------------------------------------


def test_stream_begins_with_a_verification_and_with_those_who_are_lost(site: Site, token: str) -> None:
    become(site, {"A": OUT, "B": RISK})

    found = poll(site, token, create(site, token))

    own, lost = found.values()
    assert own["events"] == {VERIFICATION: {}}
    assert changes({"": lost}) == [("A", "compliant", "not-compliant")]


def test_receiver_has_one_stream_and_sees_no_other(site: Site, token: str, stream: str) -> None:
    other = site.do(add_receivers, ReceiverOrder("other", AUDIENCE))[0]
    assert isinstance(other, NewReceiver)

    again = site.do(create_streams, StreamOrder(token))[0]
    strange = site.do(poll_streams, PollOrder(other.token, stream))[0]
    unknown = site.do(poll_streams, PollOrder("nobody's", stream))[0]

    refused = [one.code for one in (again, strange, unknown) if isinstance(one, Refusal)]
    assert refused == [RefusalCode.CONFLICT, RefusalCode.NOT_FOUND, RefusalCode.BEARER_UNKNOWN]
    assert site.engine.read(lambda tx: read_streams(tx, ByReceiver(other.token))) == []


def test_configuration_is_what_was_asked_for_and_hides_the_authorization(site: Site, token: str) -> None:
    stream_id = create(site, token, PUSH)

    found = site.engine.read(lambda tx: read_streams(tx, ByReceiver(token, stream_id)))

    assert isinstance(found, list)
    assert found[0] == {
        "stream_id": stream_id,
        "iss": US,
        "aud": AUDIENCE,
        "events_supported": [DEVICE_COMPLIANCE_CHANGE, VERIFICATION, STREAM_UPDATED],
        "events_requested": [DEVICE_COMPLIANCE_CHANGE, VERIFICATION, STREAM_UPDATED],
        "events_delivered": [DEVICE_COMPLIANCE_CHANGE, VERIFICATION, STREAM_UPDATED],
        "delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": "https://idp.example/in"},
        "min_verification_interval": 60,
    }
    assert b"theirs" not in b"".join(
        one for (one,) in site.rows(sa.select(schema.signal_streams.c.authorization_sealed))
    )


def test_stream_is_changed_in_part_or_as_a_whole(site: Site, token: str) -> None:
    stream_id = create(site, token, PUSH)

    part = site.do(change_streams, StreamOrder(token, stream_id, StreamRequest(description="ours")))[0]
    whole = site.do(change_streams, StreamOrder(token, stream_id, StreamRequest(), is_whole=True))[0]

    assert not isinstance(part, Refusal)
    assert not isinstance(whole, Refusal)
    assert (part["description"], part["delivery"]) == (
        "ours",
        {"method": "urn:ietf:rfc:8935", "endpoint_url": "https://idp.example/in"},
    )
    assert "description" not in whole
    assert whole["delivery"] == {"method": "urn:ietf:rfc:8936", "endpoint_url": f"{US}/signals/poll/{stream_id}"}


@pytest.mark.parametrize(
    "request_",
    [
        StreamRequest(method=DeliveryMethod.PUSH),
        StreamRequest(method=DeliveryMethod.PUSH, endpoint_url="http://idp.example/in"),
        StreamRequest(method=DeliveryMethod.PUSH, endpoint_url="https://u:p@idp.example/in"),
        StreamRequest(method=DeliveryMethod.PUSH, endpoint_url="https://idp.example/", authorization_header="é"),
        StreamRequest(events_requested=("urn:none",)),
        StreamRequest(stated={"aud": "https://other.example"}),
    ],
)
def test_stream_that_cannot_be_is_refused(site: Site, token: str, request_: StreamRequest) -> None:
    refused = site.do(create_streams, StreamOrder(token, None, request_, is_whole=True))[0]

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ORDER_UNFIT
    assert site.rows(sa.select(schema.subscriptions)) == []


def test_who_wants_no_compliance_is_told_none(site: Site, token: str) -> None:
    stream_id = create(site, token, StreamRequest(events_requested=(VERIFICATION,)))
    become(site, {"A": OUT})

    assert changes(poll(site, token, stream_id)) == []


def test_paused_stream_keeps_what_happens_and_says_only_what_is_about_itself(
    site: Site, token: str, stream: str
) -> None:
    site.do(set_statuses, StatusOrder(token, stream, StreamStatus.PAUSED, "maintenance"))
    become(site, {"A": OUT})
    shown = site.engine.read(lambda tx: read_status(tx, ByReceiver(token, stream)))
    meanwhile = poll(site, token, stream)

    site.do(set_statuses, StatusOrder(token, stream, StreamStatus.ENABLED))

    assert shown == {"stream_id": stream, "status": "paused", "reason": "maintenance"}
    assert meanwhile == {}
    assert changes(poll(site, token, stream)) == [("A", "compliant", "not-compliant")]


def test_disabled_stream_drops_what_happens_and_begins_again_with_what_changed(
    site: Site, token: str, stream: str
) -> None:
    become(site, {"A": OUT})  # never fetched
    site.do(set_statuses, StatusOrder(token, stream, StreamStatus.DISABLED))
    become(site, {"A": CONTROL, "B": OUT})
    assert poll(site, token, stream) == {}

    site.do(set_statuses, StatusOrder(token, stream, StreamStatus.ENABLED))

    assert changes(poll(site, token, stream)) == [("B", "compliant", "not-compliant")]


def test_stream_that_nobody_fetches_is_disabled_and_says_so(site: Site, token: str, stream: str) -> None:
    become(site, {"A": OUT, "B": OUT})
    (kept,) = site.do(disable_overfull_streams, 2)
    (disabled,) = site.do(disable_overfull_streams, 1)

    (found,) = poll(site, token, stream).values()
    site.do(set_statuses, StatusOrder(token, stream, StreamStatus.ENABLED))

    assert (kept, [one.id for one in disabled]) == ((), [stream])
    assert found["events"][STREAM_UPDATED]["status"] == "disabled"
    assert len(changes(poll(site, token, stream))) == 2


def test_stream_that_we_pause_says_so_first(site: Site, token: str, stream: str) -> None:
    site.do(turn_streams, TurnOrder("idp", SubscriptionState.PAUSED, "certificate"))

    (found,) = poll(site, token, stream).values()

    assert found["events"] == {STREAM_UPDATED: {"status": "paused", "reason": "certificate"}}
    assert found["sub_id"] == {"format": "opaque", "id": stream}


def test_device_that_is_taken_out_is_not_told_of_until_it_is_put_in_again(site: Site, token: str, stream: str) -> None:
    site.do(change_subjects, SubjectOrder(token, stream, "A", is_added=False))
    become(site, {"A": OUT})
    assert poll(site, token, stream) == {}

    site.do(change_subjects, SubjectOrder(token, stream, "A", is_added=True))
    unknown = site.do(change_subjects, SubjectOrder(token, stream, "none", is_added=True))[0]

    assert changes(poll(site, token, stream)) == [("A", "compliant", "not-compliant")]
    assert isinstance(unknown, Refusal)


def test_verification_carries_the_state_and_is_not_sent_too_often(site: Site, token: str, stream: str) -> None:
    site.do(verify_streams, VerificationOrder(token, stream, "xyz"))
    too_often = site.do(verify_streams, VerificationOrder(token, stream, "xyz"))[0]
    site.runner.time += timedelta(seconds=60)
    later = site.do(verify_streams, VerificationOrder(token, stream, None))[0]

    found = [one["events"][VERIFICATION] for one in poll(site, token, stream).values()]
    assert found == [{"state": "xyz"}, {}]
    assert isinstance(too_often, Refusal)
    assert not isinstance(later, Refusal)


def test_deleted_stream_leaves_nothing_behind_and_another_may_be_made(site: Site, token: str, stream: str) -> None:
    become(site, {"A": OUT})

    site.do(delete_streams, ByReceiver(token, stream))

    for table in (
        schema.outbox,
        schema.deliveries,
        schema.signal_subjects,
        schema.signal_streams,
        schema.subscriptions,
    ):
        assert site.rows(sa.select(table)) == []
    assert create(site, token) != stream


# --- push -------------------------------------------------------------------------------------------------------------


def test_tokens_are_pushed_one_after_the_other_of_each_device(site: Site, token: str) -> None:
    create(site, token, PUSH)
    become(site, {"A": OUT})
    become(site, {"A": CONTROL, "B": OUT})

    claimed = site.do(claim_errands, Room(10))[0].errands

    found = [claims(site, one.request.body.decode()) for one in claimed]
    assert changes(dict(enumerate(found))) == [  # type: ignore[arg-type]
        ("A", "compliant", "not-compliant"),
        ("B", "compliant", "not-compliant"),
    ]
    request = claimed[-1].request
    assert request.content_type == "application/secevent+jwt"
    assert dict(request.headers)["Authorization"] == "Bearer theirs"
    assert (request.address.host, request.allows_private) == ("idp.example", False)


def test_token_that_the_receiver_calls_invalid_is_not_pushed_again_and_others_are(site: Site, token: str) -> None:
    create(site, token, PUSH)
    (verification,) = site.do(claim_errands, Room(10))[0].errands
    become(site, {"A": OUT, "B": OUT})
    one, other = site.do(claim_errands, Room(10))[0].errands

    site.do(record_errands, ErrandResult(verification, EventAnswer(202)))
    site.do(record_errands, ErrandResult(one, EventAnswer(400)), ErrandResult(other, EventAnswer(401)))
    site.wait(minutes=1)

    again = site.do(claim_errands, Room(10))[0].errands
    assert [errand.event_id for errand in again] == [other.event_id]


def test_paused_push_stream_pushes_what_is_about_itself_alone(site: Site, token: str) -> None:
    create(site, token, PUSH)
    (verification,) = site.do(claim_errands, Room(10))[0].errands
    site.do(record_errands, ErrandResult(verification, EventAnswer(202)))
    become(site, {"A": OUT})
    site.do(turn_streams, TurnOrder("idp", SubscriptionState.PAUSED))

    (updated,) = site.do(claim_errands, Room(10))[0].errands
    site.do(record_errands, ErrandResult(updated, EventAnswer(202)))

    assert STREAM_UPDATED in claims(site, updated.request.body.decode())["events"]
    assert site.engine.read(lambda tx: is_any_due(tx, site.now)) is False


# --- receivers and keys -----------------------------------------------------------------------------------------------


def test_new_key_is_published_before_it_signs_and_the_former_one_for_long_after(
    site: Site, token: str, stream: str
) -> None:
    (new,) = site.do(rotate_keys, None)

    def signing() -> str | None:
        found = signing_key(site.engine.read(signals.keys), site.now)
        return None if found is None else found.kid

    first = signing()
    assert first != new.kid
    assert [one.kid for one in site.engine.read(lambda tx: list_keys(tx, site.now))] == [first, new.kid]
    become(site, {"A": OUT})
    assert len(poll(site, token, stream)) == 1
    site.runner.time += KEY_SIGNS_AFTER
    assert signing() == new.kid
    assert len(poll(site, token, stream)) == 1
    site.runner.time += KEY_KEPT_FOR
    assert [one.kid for one in site.engine.read(lambda tx: list_keys(tx, site.now))] == [new.kid]


def test_other_token_ends_the_former_and_removal_ends_all(site: Site, token: str, stream: str) -> None:
    made = site.do(rotate_receivers, "idp")[0]
    assert isinstance(made, NewReceiver)

    former = site.do(poll_streams, PollOrder(token, stream))[0]
    assert isinstance(former, Refusal)
    assert isinstance(site.do(poll_streams, PollOrder(made.token, stream))[0], Polled)
    site.do(remove_receivers, "idp")
    assert site.rows(sa.select(schema.signal_receivers)) == []
    assert site.rows(sa.select(schema.subscriptions)) == []


@pytest.mark.parametrize(
    "order", [ReceiverOrder("idp", AUDIENCE), ReceiverOrder("A B", AUDIENCE), ReceiverOrder("b", "")]
)
def test_receiver_that_cannot_be_is_refused(site: Site, token: str, order: ReceiverOrder) -> None:
    assert token
    assert isinstance(site.do(add_receivers, order)[0], Refusal)


def test_who_is_not_there_is_refused(site: Site) -> None:
    outcomes = [
        site.do(rotate_receivers, "x")[0],
        site.do(remove_receivers, "x")[0],
        site.do(turn_streams, TurnOrder("x", SubscriptionState.PAUSED))[0],
    ]

    assert [one.code for one in outcomes if isinstance(one, Refusal)] == [RefusalCode.NOT_FOUND] * 3


def test_receivers_are_shown_and_no_token_is(site: Site, token: str, stream: str) -> None:
    become(site, {"A": OUT})

    (row,) = site.engine.read(list_receivers)

    assert (row.stream_id, row.status, row.method) == (stream, "enabled", "poll")
    assert (row.waiting, row.not_compliant) == (1, 1)
    assert token not in repr(row)
    acts = site.rows(sa.select(schema.audit.c.act, schema.audit.c.detail))
    assert [act for act, _ in acts] == ["signals.add_receiver"]
    assert token not in repr(acts)
