"""Which pushes the simulated APNs takes, keeps, delivers and refuses."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from muster.protocol.apns import Push
from muster.simulator.apns import Arrival, Environment, Refusal, SimulatedAPNs
from muster.simulator.apns_weather import Condition, Refuse, Throttle

TOPIC = "com.apple.mgmt.External.test"
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TOO_LATE = NOW + timedelta(days=2)
TOMORROW = int(NOW.timestamp()) + 86400


@pytest.fixture
def apns() -> SimulatedAPNs:
    return SimulatedAPNs(Random(1))


def push(apns: SimulatedAPNs, token: bytes, *, expiration: int = TOMORROW, topic: str = TOPIC) -> Push:
    return Push(apns.issue_apns_id(), topic, token, "magic", expiration)


def test_online_device_is_woken_at_once(apns: SimulatedAPNs) -> None:
    token, woken = apns.issue_token(TOPIC), list[Push]()
    apns.go_online(token, woken.append, NOW)
    sent = push(apns, token, expiration=0)

    assert apns.receive(sent, NOW) is None
    assert woken == [sent]


def test_only_the_last_push_is_kept_for_an_offline_device(apns: SimulatedAPNs) -> None:
    token, woken = apns.issue_token(TOPIC), list[Push]()
    first, last = push(apns, token), push(apns, token)
    apns.receive(first, NOW)
    apns.receive(last, NOW)

    apns.go_online(token, woken.append, LATER)

    assert woken == [last]


def test_kept_push_is_delivered_once(apns: SimulatedAPNs) -> None:
    token, woken = apns.issue_token(TOPIC), list[Push]()
    apns.receive(push(apns, token), NOW)

    apns.go_online(token, woken.append, LATER)
    apns.go_offline(token)
    apns.go_online(token, woken.append, LATER)

    assert len(woken) == 1


def test_expired_push_is_never_delivered(apns: SimulatedAPNs) -> None:
    token, woken = apns.issue_token(TOPIC), list[Push]()
    apns.receive(push(apns, token), NOW)

    apns.go_online(token, woken.append, TOO_LATE)

    assert woken == []


def test_push_for_now_or_never_is_not_kept(apns: SimulatedAPNs) -> None:
    token, woken = apns.issue_token(TOPIC), list[Push]()
    apns.receive(push(apns, token), NOW)
    assert apns.receive(push(apns, token, expiration=0), NOW) is None

    apns.go_online(token, woken.append, LATER)

    assert [kept.expiration for kept in woken] == [TOMORROW]


def test_offline_device_is_not_woken(apns: SimulatedAPNs) -> None:
    token, woken = apns.issue_token(TOPIC), list[Push]()
    apns.go_online(token, woken.append, NOW)
    apns.go_offline(token)

    apns.receive(push(apns, token), NOW)

    assert woken == []


def test_tokens_of_one_seed_are_the_same_and_all_different() -> None:
    one, same = SimulatedAPNs(Random(3)), SimulatedAPNs(Random(3))

    tokens = [one.issue_token(TOPIC) for _ in range(50)]

    assert tokens == [same.issue_token(TOPIC) for _ in range(50)]
    assert len(set(tokens)) == 50


def test_unknown_token_is_bad(apns: SimulatedAPNs) -> None:
    assert apns.receive(push(apns, b"unknown"), NOW) == Refusal("BadDeviceToken")


def test_token_of_another_topic_is_refused(apns: SimulatedAPNs) -> None:
    token = apns.issue_token("com.apple.mgmt.External.former")

    assert apns.receive(push(apns, token), NOW) == Refusal("DeviceTokenNotForTopic")


def test_unregistered_token_says_since_when_and_keeps_nothing(apns: SimulatedAPNs) -> None:
    token, woken = apns.issue_token(TOPIC), list[Push]()
    apns.receive(push(apns, token), NOW)

    apns.unregister(token, LATER)

    assert apns.receive(push(apns, token), LATER) == Refusal("Unregistered", LATER)
    apns.go_online(token, woken.append, LATER)
    assert woken == []


def test_rejection_ends_after_its_number_of_times(apns: SimulatedAPNs) -> None:
    token = apns.issue_token(TOPIC)
    apns.reject(token, Refusal("TooManyRequests"), times=2)

    answers = [apns.receive(push(apns, token), NOW) for _ in range(3)]

    assert answers == [Refusal("TooManyRequests"), Refusal("TooManyRequests"), None]


def test_rejected_topic_leaves_others_alone(apns: SimulatedAPNs) -> None:
    other = "com.apple.mgmt.External.other"
    apns.reject_topic(TOPIC, Refusal("BadCertificate"))

    refused = apns.receive(push(apns, apns.issue_token(TOPIC)), NOW)
    taken = apns.receive(push(apns, apns.issue_token(other), topic=other), NOW)

    assert (refused, taken) == (Refusal("BadCertificate"), None)


def test_outage_refuses_everything_until_it_ends(apns: SimulatedAPNs) -> None:
    token = apns.issue_token(TOPIC)
    apns.begin_outage("ServiceUnavailable")
    during = apns.receive(push(apns, token), NOW)

    apns.end_outage()

    assert during == Refusal("ServiceUnavailable")
    assert apns.receive(push(apns, token), NOW) is None


def test_push_is_kept_for_thirty_days_at_most(apns: SimulatedAPNs) -> None:
    in_time, late, woken = apns.issue_token(TOPIC), apns.issue_token(TOPIC), list[Push]()
    in_a_year = TOMORROW + 365 * 86400
    for token in (in_time, late):
        apns.receive(push(apns, token, expiration=in_a_year), NOW)

    apns.go_online(in_time, woken.append, NOW + timedelta(days=29))
    apns.go_online(late, woken.append, NOW + timedelta(days=31))

    assert [kept.token for kept in woken] == [in_time]


def test_token_of_the_other_environment_is_bad(apns: SimulatedAPNs) -> None:
    token = apns.issue_token(TOPIC, Environment.DEVELOPMENT)
    development = SimulatedAPNs(Random(1), environment=Environment.DEVELOPMENT)
    own = development.issue_token(TOPIC)

    assert apns.receive(push(apns, token), NOW) == Refusal("BadDeviceToken")
    assert development.receive(push(development, own), NOW) is None


def test_end_of_a_token_is_known_late_and_told_with_its_time() -> None:
    apns = SimulatedAPNs(Random(1), reports_end_after=timedelta(hours=1))
    token, woken = apns.issue_token(TOPIC), list[Push]()
    apns.go_online(token, woken.append, NOW)

    apns.unregister(token, NOW)

    assert apns.receive(push(apns, token), LATER - timedelta(seconds=1)) is None
    assert apns.receive(push(apns, token), LATER) == Refusal("Unregistered", NOW)
    apns.go_online(token, woken.append, LATER)
    assert woken == []


def test_topic_is_judged_before_the_end_of_the_token(apns: SimulatedAPNs) -> None:
    token = apns.issue_token("com.apple.mgmt.External.former")
    apns.unregister(token, NOW)

    assert apns.receive(push(apns, token), NOW) == Refusal("DeviceTokenNotForTopic")


def test_token_that_is_pushed_too_often_is_throttled_and_only_it() -> None:
    apns = SimulatedAPNs(Random(1), throttle=Throttle(pushes=2, seconds=60.0))
    token, other = apns.issue_token(TOPIC), apns.issue_token(TOPIC)

    answers = [apns.receive(push(apns, one), NOW) for one in (token, token, token, other)]

    assert answers == [None, None, Refusal("TooManyRequests"), None]
    assert apns.receive(push(apns, token), NOW + timedelta(minutes=1)) is None


def test_usual_throttle_stops_a_server_that_has_run_wild(apns: SimulatedAPNs) -> None:
    token = apns.issue_token(TOPIC)

    answers = [apns.receive(push(apns, token), NOW) for _ in range(200)]

    assert (answers.count(None), answers.count(Refusal("TooManyRequests"))) == (120, 80)


def test_without_throttle_every_push_is_taken() -> None:
    apns = SimulatedAPNs(Random(1), throttle=None)
    token = apns.issue_token(TOPIC)

    assert {apns.receive(push(apns, token), NOW) for _ in range(200)} == {None}


def test_weather_of_a_time_span_is_obeyed(apns: SimulatedAPNs) -> None:
    token = apns.issue_token(TOPIC)
    apns.weather.add(Condition(Refuse("InternalServerError"), NOW, LATER))

    assert apns.receive(push(apns, token), NOW) == Refusal("InternalServerError")
    assert apns.receive(push(apns, token), LATER) is None


def test_outage_that_begins_again_ends_at_once(apns: SimulatedAPNs) -> None:
    token = apns.issue_token(TOPIC)
    apns.begin_outage("ServiceUnavailable")
    apns.begin_outage("InternalServerError")

    apns.end_outage()

    assert apns.receive(push(apns, token), NOW) is None


def test_arrivals_are_told_with_their_times_and_answers() -> None:
    arrivals = list[Arrival]()
    apns = SimulatedAPNs(Random(1), on_arrival=arrivals.append)
    taken, refused = push(apns, apns.issue_token(TOPIC)), push(apns, b"unknown")

    apns.receive(taken, NOW)
    apns.receive(refused, LATER)

    assert arrivals == [Arrival(NOW, taken, None), Arrival(LATER, refused, Refusal("BadDeviceToken"))]


def test_every_arrival_is_counted(apns: SimulatedAPNs) -> None:
    sent = push(apns, b"unknown")
    apns.receive(sent, NOW)
    apns.receive(sent, NOW)

    assert apns.received == {sent.apns_id: 2}


def test_refusal_has_the_status_of_its_reason() -> None:
    statuses = [Refusal(reason).status for reason in ["BadDeviceToken", "Unregistered", "TooManyRequests", "Shutdown"]]

    assert statuses == [400, 410, 429, 503]


def test_reason_which_apns_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="Tired"):
        Refusal("Tired")
