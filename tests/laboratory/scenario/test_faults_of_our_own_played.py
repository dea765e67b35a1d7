"""Faults of APNs and of the server itself happen on the wire, while they last and no longer.

Two devices live through one fault after another, each for 2 hours of 4; an administrator sends a command every hour.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import pytest
from tests.laboratory.scenario.watched import Watched

from muster.crypto.certificates import issuer_name
from muster.laboratory.scenario.primitives.forms import Target
from muster.laboratory.scenario.primitives.table import PRIMITIVES
from muster.laboratory.scenario.stage import Stage
from muster.storage import ade

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
PHONES = ("phones/1", "phones/2")

Check = Callable[[Watched, timedelta, timedelta], None]


@dataclass(frozen=True)
class Case:
    """A fault, and what is to be seen of it between two moments."""

    primitive: str
    on: str
    more: str
    check: Check
    is_moment: bool = False


def silent(played: Watched, begins: timedelta, ends: timedelta) -> None:
    for phone in PHONES:
        assert not played.said(phone, begins, ends)
        assert played.said(phone, ends, ends + 2 * HOUR)


def answered(*statuses: int) -> Check:
    def check(played: Watched, begins: timedelta, ends: timedelta) -> None:
        said = [one for phone in PHONES for one in played.said(phone, begins, ends)]
        after = [one for phone in PHONES for one in played.said(phone, ends, ends + HOUR)]
        assert said
        assert {one.status for one in said} == set(statuses)
        assert {one.status for one in after} == {200}

    return check


def refused(reason: str) -> Check:
    def check(played: Watched, begins: timedelta, ends: timedelta) -> None:
        refusals = {one for phone in PHONES for one in played.refusals(phone, begins, ends)}
        after = {one for phone in PHONES for one in played.refusals(phone, ends + 2 * MINUTE, ends + 2 * HOUR)}
        assert reason in refusals
        assert "" in after
        assert reason not in after

    return check


def no_pushes(played: Watched, begins: timedelta, ends: timedelta) -> None:
    for phone in PHONES:
        assert not played.pushes(phone, begins + SECOND, ends)
        assert played.pushes(phone, ends, ends + 2 * HOUR)


def none_delivered(played: Watched, begins: timedelta, ends: timedelta) -> None:
    for phone in PHONES:
        taken = played.heeded(phone, begins, ends, 20 * SECOND)
        assert taken
        assert not any(taken)
        assert any(played.heeded(phone, ends, ends + 2 * HOUR, 20 * SECOND))


def clock_is_wrong(played: Watched, begins: timedelta, ends: timedelta) -> None:
    assert {one.clock_error for one in played.said("phones/1", begins, ends)} == {-3 * HOUR}
    assert {one.clock_error for one in played.said("phones/1", ends, ends + HOUR)} == {timedelta(0)}


def another_issuer(played: Watched, begins: timedelta, ends: timedelta) -> None:
    issuers = []
    for device in ("phones/1", "late/1"):
        enrollment = played.stage.actors[device].device.enrollment
        assert enrollment is not None
        issuers.append(issuer_name(enrollment.identity.certificate_der))
    assert issuers[0] != issuers[1]
    assert begins < played.said("late/1")[0].at


def another_topic(played: Watched, begins: timedelta, ends: timedelta) -> None:
    topics = []
    for device in ("phones/1", "meanwhile/1"):
        enrollment = played.stage.actors[device].device.enrollment
        assert enrollment is not None
        topics.append(enrollment.profile.topic)
        assert any(played.heeded(device, ends, ends + 2 * HOUR, 20 * SECOND))
    assert topics[0] != topics[1]


def rolled_back(played: Watched, begins: timedelta, ends: timedelta) -> None:
    """What was answered since the backup is not on record any more."""
    assert played.played.report is not None
    channel = played.played.report.device("phones/1").channel
    answers = [
        played.since(one.reported_at) for one in (*channel.commands, *channel.questions) if one.reported_at is not None
    ]
    assert any(begins - 4 * HOUR < at < begins - 2 * HOUR for at in answers)
    assert not any(begins - 2 * HOUR < at < begins for at in answers)
    assert any(begins < at for at in answers)
    assert "Acknowledged" in played.words("phones/1", begins - 2 * HOUR, begins)


def token_is_refused(played: Watched, begins: timedelta, ends: timedelta) -> None:
    assert TOKEN_WAS == [None, False, True]


TOKEN_WAS: list[bool | None] = []
CASES = (
    Case("server_down", "server", "", silent),
    Case("errors", "server", "answered_500 = 1", answered(500)),
    Case("errors", "server", 'answered_500 = 1\nendpoint = "/mdm"', answered(500)),
    Case("proxy_drops_identity", "server", "", answered(403)),
    Case("tls_changed", "server", "", silent),
    Case("worker_dead", "server", 'worker = "push"', no_pushes),
    Case("outage", "apns", "", refused("ServiceUnavailable")),
    Case("outage", "apns", 'reason = "unreachable"', no_pushes),
    Case("throttle", "apns", 'pushes = 1\nin = "2h"', refused("TooManyRequests")),
    Case("reject", "apns", 'reason = "TopicDisallowed"', refused("TopicDisallowed")),
    Case("drop_wrong_topic", "apns", "", none_delivered),
    Case("push_certificate_expires", "server", "", no_pushes),
    Case("push_certificate_replaced", "server", "", another_topic),
    Case("push_certificate_revoked", "server", "", no_pushes),
    Case("clock_offset", "server", 'offset = "-3h"', clock_is_wrong),
    Case("token_expired", "ade", "", token_is_refused),
    Case("rotate_ca", "server", "", another_issuer, is_moment=True),
    Case("database_rolled_back", "server", 'age = "2h"', rolled_back, is_moment=True),
)
PERIOD = 4 * HOUR
ELSEWHERE = {"slow"}
"""APNs' answers come late, which changes nothing that could be seen here."""


def window(number: int) -> tuple[timedelta, timedelta]:
    """When a fault begins and ends."""
    begins = (number + 1) * PERIOD
    return begins, begins + 2 * HOUR


def hours(span: timedelta) -> int:
    return int(span / HOUR)


@cache
def days() -> Watched:
    """Play them all."""
    end = (len(CASES) + 2) * PERIOD
    [replaced] = [
        window(number)[0] for number, case in enumerate(CASES) if case.primitive == "push_certificate_replaced"
    ]
    text = f"""
[scenario]
days = {end / timedelta(days=1):.4f}
[server]
inventory_hours = 0
[[cohort]]
name = "phones"
count = 2
platform = "iPhone"
own_connects = ["50m", "70m"]
[[cohort]]
name = "ipads"
platform = "iPad"
way = "setup_assistant"
[[cohort]]
name = "late"
platform = "iPhone"
enrolls = "{hours(end) - 3}h"
[[cohort]]
name = "meanwhile"
platform = "iPhone"
enrolls = "{hours(replaced) + 1}h"
[[event]]
do = "send"
on = ["phones", "meanwhile"]
at = "30m"
every = "1h"
command = "CertificateList"
"""
    for number, case in enumerate(CASES):
        lasts = "" if case.is_moment else 'for = "2h"'
        at = hours(window(number)[0])
        text += f'[[event]]\ndo = "{case.primitive}"\non = "{case.on}"\nat = "{at}h"\n{lasts}\n{case.more}\n'
    TOKEN_WAS.clear()
    return Watched(text, probe=_ask_for_the_token)


async def _ask_for_the_token(stage: Stage) -> None:
    """Ask the server what it knows of the token, before, in the last minute of its fault, and when it is over."""
    [number] = [place for place, case in enumerate(CASES) if case.primitive == "token_expired"]
    begins, ends = window(number)
    for at in (begins, ends - MINUTE, ends + 2 * HOUR - MINUTE):
        await stage.world.until(stage.scenario.begins_at + at)
        runner = stage.world.server.service.runner
        TOKEN_WAS.append(runner.read_now(lambda tx: ade.token_is_ok(tx, "organization")))


@pytest.mark.parametrize(
    ("case", "number"), [pytest.param(case, place, id=f"{case.primitive}-{place}") for place, case in enumerate(CASES)]
)
def test_what_is_written_happens(case: Case, number: int) -> None:
    case.check(days(), *window(number))


def test_every_primitive_of_apns_ade_and_the_server_is_among_them() -> None:
    expected = {one.name for one in PRIMITIVES.values() if {Target.APNS, Target.ADE, Target.SERVER} & set(one.targets)}

    assert {case.primitive for case in CASES} | ELSEWHERE == expected


@cache
def renewals() -> Watched:
    """Three days in which identities are renewed."""
    return Watched("""
[scenario]
days = 3
[server]
inventory_hours = 0
identity_lifetime_days = 3
[[cohort]]
name = "phones"
platform = "iPhone"
count = 2
own_connects = "4h"
[[cohort]]
name = "macs"
platform = "Mac"
count = 2
ddm = true
users = 0
own_connects = "4h"
[[event]]
do = "refuse_renewal"
on = "phones/1"
at = "0d"
[[event]]
do = "answer_ddm_only"
on = "macs/1"
at = "12h"
for = "1d"
[[event]]
do = "stop_ddm"
on = "macs/2"
at = "12h"
for = "1d"
""")


BEGINS, ENDS, END = 12 * HOUR, 36 * HOUR, 72 * HOUR


def test_renewal_that_is_refused_fails_and_what_was_before_comes_back() -> None:
    played = renewals()

    assert played.evidence("phones/1").get("S5 renewal_failed", 0) > 0
    assert "S5 renewal_failed" not in played.evidence("phones/2")
    assert played.evidence("phones/2").get("S6 renewed") == 1


def test_device_that_answers_ddm_only_sends_status_reports_alone() -> None:
    played = renewals()

    assert set(played.words("macs/1", BEGINS, ENDS)) == {"DeclarativeManagement"}
    assert "Idle" in played.words("macs/1", ENDS, END)


def test_device_that_stops_ddm_goes_on_answering_commands() -> None:
    played = renewals()

    assert "DeclarativeManagement" in played.words("macs/2", timedelta(0), BEGINS)
    assert "DeclarativeManagement" not in played.words("macs/2", BEGINS, ENDS)
    assert "Idle" in played.words("macs/2", BEGINS, ENDS)
