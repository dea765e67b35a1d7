"""What is written oddly is played all the same: overlaps, instants, days that are not whole, who never enrolls."""

from datetime import timedelta
from functools import cache

from tests.laboratory.scenario.watched import Watched

from muster.laboratory.scenario.expectations import unmet
from muster.laboratory.scenario.score import score
from muster.laboratory.scenario.story import story_json, story_text

HOUR = timedelta(hours=1)
SCENARIO = """
[scenario]
days = 0.55
[server]
inventory_hours = 0
[[site]]
name = "school"
address = "203.0.113.1"
[[site]]
name = "cafe"
address = "203.0.113.2"
[[schedule]]
name = "never"
days_used = 0.0
[[cohort]]
name = "phones"
platform = "iPhone"
count = 4
own_connects = "30m"
site = "school"
[[cohort]]
name = "boxed"
platform = "AppleTV"
schedule = "never"
[[event]]
do = "power_off"
on = "phones/1"
at = "2h"
for = "2h"
[[event]]
do = "power_off"
on = "phones/1"
at = "3h"
for = "2h"
[[event]]
do = "restart"
on = "phones/1"
at = "3h"
[[event]]
do = "join_network"
on = "phones/2"
at = "2h"
for = "2h"
site = "cafe"
[[event]]
do = "join_network"
on = "phones/2"
at = "3h"
for = "2h"
[[event]]
do = "use_unknown_identity"
on = "phones/3"
at = "2h"
for = "2h"
[[event]]
do = "use_unknown_identity"
on = "phones/3"
at = "3h"
for = "2h"
[[event]]
do = "drop_identity"
on = "phones/3"
at = "3h"
for = "1s"
[[event]]
do = "server_down"
on = "server"
at = "7h"
for = "2h"
[[event]]
do = "server_down"
on = "server"
at = "8h"
for = "2h"
[[event]]
do = "database_rolled_back"
on = "server"
at = "8h"
age = "10h"
[[event]]
do = "push_certificate_replaced"
on = "server"
at = "7h"
for = "1h"
[[event]]
do = "unenroll"
on = "phones/4"
at = "7h"
[[event]]
do = "remove_profile"
on = "boxed"
at = "1h"
"""


@cache
def played() -> Watched:
    return Watched(SCENARIO)


def heard(device: str, begins: int, ends: int) -> bool:
    return bool(played().said(device, begins * HOUR + timedelta(seconds=1), ends * HOUR))


def test_device_is_on_when_nothing_keeps_it_off() -> None:
    assert not heard("phones/1", 2, 5)
    assert heard("phones/1", 5, 6)


def test_last_network_that_a_device_joined_counts_until_it_ends() -> None:
    clients = [
        {one.client for one in played().said("phones/2", at * HOUR + timedelta(minutes=1), (at + 1) * HOUR)}
        for at in range(1, 6)
    ]

    assert clients[0] == clients[4] == {"203.0.113.1"}
    assert clients[1] == {"203.0.113.2"}
    assert clients[2] == clients[3] not in ({"203.0.113.1"}, {"203.0.113.2"})


def test_identity_comes_back_when_the_last_strange_one_ends() -> None:
    refused, after = (
        {one.status for one in played().said("phones/3", begins, ends, "/mdm")}
        for begins, ends in ((3 * HOUR + timedelta(minutes=1), 5 * HOUR), (5 * HOUR, 6 * HOUR))
    )

    assert refused <= {403, 503}
    assert after == {200}


def test_server_is_up_when_nothing_keeps_it_down_and_administrators_wait_for_it() -> None:
    waited = [one for one in played().played.episodes if one.primitive in {"push_certificate_replaced", "unenroll"}]

    assert not any(heard(device, 7, 10) for device in ("phones/1", "phones/2", "phones/4"))
    assert heard("phones/1", 10, 11)
    assert [played().since(one.began_at) for one in waited] == [10 * HOUR, 10 * HOUR]


def test_what_needs_an_enrollment_never_happens_to_a_device_without_one() -> None:
    [episode] = played().episodes("boxed/1")

    assert (episode.note, episode.ended_at) == ("it never enrolled", None)
    assert played().said("boxed/1") == []


def test_it_is_scored_and_told() -> None:
    run = played().played
    scored = score(run)

    assert story_json(run, scored, unmet(run), ()).startswith("{")
    assert "it never enrolled" in story_text(run, scored, unmet(run), ())
