"""Every primitive that befalls devices, their users or a site happens on the wire, while it lasts and no longer.

One fleet lives for 8 hours; each event befalls a device of its own, 2 hours after the beginning and mostly for 3. Every
hour an administrator sends a command to everybody, at half past.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import pytest
from tests.laboratory.scenario.watched import CHECK_IN, CONNECT, Said, Watched

from muster.laboratory.scenario.played import Episode
from muster.laboratory.scenario.primitives.forms import Target
from muster.laboratory.scenario.primitives.table import PRIMITIVES

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
BEGINS, ENDS, END = 2 * HOUR, 5 * HOUR, 8 * HOUR
PROMPT = timedelta(seconds=20)
LASTS = 'for = "3h"'
BESIDE = {"send", "join_network"}

COHORTS = {
    "phones": 'platform = "iPhone"',
    "desks": 'platform = "Mac"\nusers = 2',
    "ipads": 'platform = "iPad"\nway = "setup_assistant"',
    "carts": 'platform = "SharediPad"\nusers = 2',
    "late": 'platform = "iPhone"\nenrolls = "never"',
}
HEAD = """
[scenario]
days = 0.3334
[server]
inventory_hours = 0
[[site]]
name = "cafe"
address = "203.0.113.9"
"""

Check = Callable[[Watched, str], None]


@dataclass(frozen=True)
class Case:
    """An event, on a device of *cohort*, and what is to be seen of it."""

    cohort: str
    primitive: str
    more: str
    check: Check
    on: str = ""
    """Beside the device's own: a site."""

    @property
    def id(self) -> str:
        return f"{self.primitive} {self.more}".replace("\n", " ").strip()


def own(played: Watched, device: str) -> Episode:
    """The event that a device is there for."""
    [episode] = [one for one in played.episodes(device) if one.primitive not in BESIDE]
    return episode


def silent_meanwhile(played: Watched, device: str) -> None:
    assert played.said(device, MINUTE, BEGINS)
    assert not played.said(device, BEGINS, ENDS)
    assert played.said(device, ENDS, END)


def silent_from_then_on(played: Watched, device: str) -> None:
    assert played.said(device, MINUTE, BEGINS)
    assert not played.said(device, BEGINS + MINUTE, END)


def restarts(played: Watched, device: str) -> None:
    assert not played.said(device, BEGINS, BEGINS + 2 * MINUTE)
    assert played.said(device, BEGINS + 2 * MINUTE, BEGINS + 3 * MINUTE, CONNECT)


def erased(played: Watched, device: str) -> None:
    silent_from_then_on(played, device)
    assert played.stage.actors[device].device.enrollment is None


def comes_back(played: Watched, device: str) -> None:
    assert not played.said(device, BEGINS + MINUTE, BEGINS + HOUR)
    assert {"Authenticate", "TokenUpdate"} <= set(played.words(device, BEGINS + HOUR, BEGINS + 2 * HOUR))
    episode = own(played, device)
    assert episode.ended_at is not None
    assert HOUR <= played.since(episode.ended_at) - BEGINS < 2 * HOUR


def comes_back_as_another(played: Watched, device: str) -> None:
    comes_back(played, device)
    before, after = (
        {one.udid for one in played.said(device, *span) if one.udid} for span in ((MINUTE, BEGINS), (BEGINS, END))
    )
    assert (len(before), len(after)) == (1, 1)
    assert before != after
    assert len(played.played.device(device).channel_ids) == 2


def handed(command: str) -> Check:
    def check(played: Watched, device: str) -> None:
        assert command in {one.got for one in played.said(device, BEGINS, BEGINS + 10 * MINUTE)}

    return check


def erased_by_the_server(played: Watched, device: str) -> None:
    handed("EraseDevice")(played, device)
    erased(played, device)


def restored(played: Watched, device: str) -> None:
    words = played.words(device, BEGINS, END)
    assert words[0] == "TokenUpdate"
    assert "Authenticate" not in words
    assert "Idle" in words


def lives_in_another(played: Watched, device: str) -> None:
    assert own(played, device).note.startswith(("onto ", "to "))
    assert played.played.report is not None
    guest = played.played.report.device(f"{device}+")
    assert guest.is_enrolled  # it believes so
    assert set(guest.statuses) - {"200"}


def put_away(played: Watched, device: str) -> None:
    silent_from_then_on(played, device)
    lives_in_another(played, device)


def goes_on_beside_another(played: Watched, device: str) -> None:
    assert played.said(device, ENDS, END)
    lives_in_another(played, device)


def refused_meanwhile(played: Watched, device: str) -> None:
    assert {one.status for one in played.said(device, MINUTE, BEGINS)} == {200}
    # the first is for the identity itself
    assert {one.status for one in played.said(device, BEGINS + MINUTE, ENDS)} & {403, 503}
    assert not any(one.status == 200 for one in played.said(device, BEGINS + MINUTE, ENDS, CONNECT))
    assert {one.status for one in played.said(device, ENDS, END)} == {200}


def checks_out(played: Watched, device: str) -> None:
    assert played.words(device, BEGINS, END) == ["CheckOut"]


def leaves_unheard(played: Watched, device: str) -> None:
    silent_from_then_on(played, device)
    assert "CheckOut" not in played.words(device)
    assert played.refusals(device, BEGINS, END) == {"Unregistered"}


def tells_its_token(played: Watched, device: str) -> None:
    tokens = {one.token for one in played.said(device) if one.token and not one.is_user}
    assert "TokenUpdate" in played.words(device, BEGINS, BEGINS + MINUTE)
    assert len(tokens) == 2
    assert played.refusals(device, BEGINS + MINUTE, END) == {""}


def keeps_its_token_to_itself(played: Watched, device: str) -> None:
    known = {one.token for one in played.said(device, ends=BEGINS + 2 * HOUR) if one.token}  # then it is renewed
    assert len(known) == 1
    assert "Unregistered" in played.refusals(device, BEGINS, END)


def heeds_no_push_meanwhile(played: Watched, device: str) -> None:
    """Of pushes that APNs took none brings it to the server at once."""
    meanwhile = played.heeded(device, BEGINS, ENDS, PROMPT)
    assert meanwhile
    assert not any(one for one in meanwhile)
    assert any(played.heeded(device, ENDS, END, PROMPT))


def heeds_no_push_but_speaks(played: Watched, device: str) -> None:
    heeds_no_push_meanwhile(played, device)
    assert [one for one in played.said(device, BEGINS, ENDS, CONNECT) if not one.is_user]


def answers_meanwhile(*words: str) -> Check:
    """Its answers were of these statuses while it lasted, and whole before and after."""

    def check(played: Watched, device: str) -> None:
        meanwhile = [one for one in played.said(device, BEGINS, ENDS, CONNECT) if not one.is_user]
        assert any(one.got for one in meanwhile)
        assert {one.what for one in meanwhile} - {"Idle"} == set(words)
        assert "Acknowledged" in played.words(device, MINUTE, BEGINS)
        assert "Acknowledged" in played.words(device, ENDS, END)

    return check


def of_command(command: str, *words: str) -> Check:
    """One command had these answers, or none, while it lasted; others were answered as always."""

    def check(played: Watched, device: str) -> None:
        meanwhile = played.said(device, BEGINS, ENDS, CONNECT)
        uuids = {one.got_uuid for one in meanwhile if one.got == command}
        assert uuids
        assert {one.what for one in meanwhile if one.answers in uuids} == set(words)
        assert "Acknowledged" in {one.what for one in meanwhile if one.answers not in uuids}

    return check


def hangs(played: Watched, device: str) -> None:
    meanwhile = played.said(device, BEGINS, END)
    last = next(place for place, one in enumerate(meanwhile) if one.got == "CertificateList")
    restarted = 6 * HOUR
    assert all(one.at >= restarted for one in meanwhile[last + 1 :])
    assert played.said(device, restarted, END)


def puts_off(begins: timedelta, ends: timedelta) -> Check:
    def check(played: Watched, device: str) -> None:
        put_off = [one.at for one in played.said(device, path=CONNECT) if one.what == "NotNow"]
        assert put_off
        assert all(begins <= at < ends + MINUTE for at in put_off)
        assert "Acknowledged" in played.words(device, ends, END)

    return check


def puts_off_some(played: Watched, device: str) -> None:
    words = played.words(device, BEGINS, ENDS)
    assert words.count("NotNow") > 1
    assert words.count("Acknowledged") > 1


def signs_ahead(played: Watched, device: str) -> None:
    def errors(begins: timedelta, ends: timedelta) -> set[int]:
        return {
            round((played.since(one.signed_at) - one.at) / HOUR)
            for one in played.said(device, begins, ends)
            if one.signed_at is not None
        }

    assert errors(BEGINS, ENDS) == {48}
    assert errors(ENDS, END) == {0}


def updated(played: Watched, device: str) -> None:
    tells_its_token(played, device)
    assert played.stage.actors[device].device.facts.os_version == "27.1"


def user(played: Watched, device: str, number: int, begins: timedelta, ends: timedelta) -> list[Said]:
    name = played.stage.actors[device].users[number - 1].short_name
    return [one for one in played.said(device, begins, ends) if one.user == name and one.is_user]


def logs_in(played: Watched, device: str) -> None:
    assert not user(played, device, 2, timedelta(0), BEGINS)
    assert user(played, device, 2, BEGINS, BEGINS + MINUTE)[0].what == "TokenUpdate"
    assert user(played, device, 2, BEGINS + MINUTE, ENDS)
    assert not user(played, device, 2, ENDS + MINUTE, END)


def silent_user(played: Watched, device: str) -> None:
    assert user(played, device, 1, timedelta(0), BEGINS)
    assert not user(played, device, 1, BEGINS + MINUTE, ENDS)
    assert user(played, device, 1, ENDS, END)
    assert [one for one in played.said(device, BEGINS, ENDS) if not one.is_user]


def gone_user(played: Watched, device: str) -> None:
    users = played.stage.actors[device].device.users
    assert user(played, device, 1, timedelta(0), BEGINS) or user(played, device, 1, timedelta(0), MINUTE)
    assert not user(played, device, 1, BEGINS, END)
    assert played.stage.actors[device].users[0] not in users


def no_user_at_all(played: Watched, device: str) -> None:
    assert not [one for one in played.said(device) if one.is_user]
    assert played.stage.actors[device].device.users[played.stage.actors[device].users[0]]


def elsewhere(played: Watched, device: str) -> None:
    assert "203.0.113.9" not in {one.client for one in played.said(device, MINUTE, BEGINS)}
    assert {one.client for one in played.said(device, BEGINS + MINUTE, ENDS)} == {"203.0.113.9"}
    assert "203.0.113.9" not in {one.client for one in played.said(device, ENDS + MINUTE, END)}


def slow(played: Watched, device: str) -> None:
    assert any(played.heeded(device, MINUTE, BEGINS, PROMPT))
    assert not any(played.heeded(device, BEGINS, ENDS, PROMPT))
    assert any(played.heeded(device, BEGINS, ENDS, 2 * PROMPT))


def loses(played: Watched, device: str) -> None:
    assert played.played.report is not None
    told = played.played.report.device(device)
    assert told.lost_requests + told.lost_replies > 2


def refused_by_apns(reason: str) -> Check:
    def check(played: Watched, device: str) -> None:
        assert played.refusals(device, MINUTE, BEGINS) == {""}
        assert reason in played.refusals(device, BEGINS, ENDS)
        assert played.refusals(device, ENDS, END) <= {""}

    return check


def dead_token(played: Watched, device: str) -> None:
    assert "Unregistered" in played.refusals(device, BEGINS, ENDS)
    assert "Unregistered" not in played.refusals(device, ENDS, END)


def out_of_date(played: Watched, device: str) -> None:
    refused = [one for one in played.pushes(device, BEGINS, ENDS) if one.refusal is not None]
    assert {one.refusal.reason for one in refused if one.refusal is not None} == {"Unregistered"}
    assert all(
        one.refusal is not None
        and one.refusal.unregistered_at is not None
        and one.refusal.unregistered_at < played.played_from
        for one in refused
    )


def listed(*classes: str) -> Check:
    def check(played: Watched, device: str) -> None:
        assert [f"S11 {one}" for one in classes if f"S11 {one}" not in played.evidence(device)] == []

    return check


def leaves_for_another(played: Watched, device: str) -> None:
    assert any(one.startswith("S11") for one in played.evidence(device))
    assert not played.said(device, BEGINS + HOUR + MINUTE, END)
    assert played.stage.actors[device].device.enrollment is None


def let_go(played: Watched, device: str) -> None:
    handed("RemoveProfile")(played, device)
    assert played.stage.actors[device].device.enrollment is None


def lost(played: Watched, device: str) -> None:
    handed("EnableLostMode")(played, device)
    assert "DisableLostMode" in {one.got for one in played.said(device, ENDS, END)}


def seen(played: Watched, device: str) -> None:
    assert any(one.startswith("S16") for one in played.evidence(device))


def seen_no_more(played: Watched, device: str) -> None:
    """Sightings every half hour, but for three hours."""
    noted = [count for one, count in played.evidence(device).items() if one.startswith("S16")]
    assert 8 <= sum(noted) <= 12


def comes_late(played: Watched, device: str) -> None:
    assert not played.said(device, timedelta(0), BEGINS)
    assert {"Authenticate", "TokenUpdate", "Acknowledged"} <= set(played.words(device, BEGINS, END))


def comes_half(played: Watched, device: str) -> None:
    assert played.words(device)[-1] == "Authenticate"
    assert "TokenUpdate" not in played.words(device)


CASES = (
    Case("phones", "power_off", LASTS, silent_meanwhile),
    Case("phones", "restart", "", restarts),
    Case("phones", "erase", "", erased),
    Case("phones", "erase", 'back = "1h"', comes_back),
    Case("ipads", "erase", 'by = "administrator"', erased_by_the_server),
    Case("phones", "restore_to_same", 'age = "1h"', restored),
    Case("phones", "restore_to_other", "", put_away),
    Case("phones", "migrate_identity_to", "", goes_on_beside_another),
    Case("phones", "replace_board", 'back = "1h"', comes_back_as_another),
    Case("phones", "drop_identity", LASTS, silent_meanwhile),
    Case("phones", "use_unknown_identity", LASTS, refused_meanwhile),
    Case("phones", "remove_profile", "", checks_out),
    Case("phones", "remove_profile", "reported = false", leaves_unheard),
    Case("phones", "change_token", "", tells_its_token),
    Case("phones", "change_token", "reported = false", keeps_its_token_to_itself),
    Case("phones", "change_magic", LASTS, heeds_no_push_but_speaks),
    Case("phones", "ignore_commands", LASTS, answers_meanwhile()),
    Case("phones", "ignore_commands", f'{LASTS}\nanswer = "error"', answers_meanwhile("Error")),
    Case("phones", "answer_error", f'{LASTS}\ncommand = "CertificateList"', of_command("CertificateList", "Error")),
    Case("phones", "lose_answers", f'{LASTS}\ncommand = "CertificateList"', of_command("CertificateList")),
    Case("phones", "not_now", LASTS, puts_off(BEGINS, ENDS)),
    Case("phones", "not_now", f"{LASTS}\nshare_of_commands = 0.5", puts_off_some),
    Case("phones", "not_now", f'{LASTS}\nhours = "11:00-12:00"', puts_off(3 * HOUR, 4 * HOUR + 5 * MINUTE)),
    Case("phones", "hang_on", f'{LASTS}\ncommand = "CertificateList"', of_command("CertificateList")),
    Case("phones", "hang_on", f'{LASTS}\ncommand = "CertificateList"\nclient = true', hangs),
    Case("phones", "clock_offset", f'{LASTS}\noffset = "2d"', signs_ahead),
    Case("phones", "os_update", 'version = "27.1"\nbuild = "27B1"', updated),
    Case("desks", "user_login", f"{LASTS}\nuser = 2", logs_in),
    Case("desks", "user_logout", LASTS, silent_user),
    Case("desks", "user_dies", LASTS, silent_user),
    Case("carts", "user_deleted", "", gone_user),
    Case("desks", "user_never_appears", "", no_user_at_all),
    Case("phones", "locked", LASTS, puts_off(BEGINS, ENDS)),
    Case("phones", "locked", f'{LASTS}\nhow = "disk"', silent_meanwhile),
    Case("phones", "join_network", f'{LASTS}\nsite = "cafe"', elsewhere),
    Case("phones", "block_apns", LASTS, heeds_no_push_but_speaks, on="site"),
    Case("phones", "block_server", LASTS, silent_meanwhile, on="site"),
    Case("phones", "intercept_tls", LASTS, silent_meanwhile, on="site"),
    Case("phones", "outage", LASTS, silent_meanwhile, on="site"),
    Case("phones", "slow", f'{LASTS}\ndelay = "20s"', slow, on="site"),
    Case("phones", "lose_requests", f"{LASTS}\nlost = 0.9", loses, on="site"),
    Case("phones", "lose_requests", f"{LASTS}\nlost = 0.9", loses),
    Case("phones", "unregister", LASTS, dead_token),
    Case("phones", "stale_unregister", LASTS, out_of_date),
    Case("phones", "reject", f'{LASTS}\nreason = "BadDeviceToken"', refused_by_apns("BadDeviceToken")),
    Case("phones", "throttle", f'{LASTS}\npushes = 1\nin = "3h"', refused_by_apns("TooManyRequests")),
    Case("phones", "drop_wrong_topic", LASTS, heeds_no_push_but_speaks),
    Case("ipads", "unassign", LASTS, listed("assigned", "removed")),
    Case("ipads", "assign_elsewhere", LASTS, listed("assigned", "assigned_elsewhere")),
    Case("ipads", "assign_elsewhere", 'leaves = "1h"', leaves_for_another),
    Case("ipads", "release", "", listed("deleted")),
    Case("ipads", "release", 'leaves = "1h"', leaves_for_another),
    Case("phones", "send", 'command = "RestartDevice"', handed("RestartDevice")),
    Case("phones", "unenroll", "", let_go),
    Case("ipads", "lost_mode", LASTS, lost),
    Case("phones", "sees", f'{LASTS}\nby = "wifi"\nagain = "30m"', seen),
    Case("phones", "agent_dies", LASTS, seen_no_more),
    Case("late", "enroll", "", comes_late),
    Case("late", "enroll", 'ends_after = "Authenticate"', comes_half),
)
ELSEWHERE = {"refuse_renewal", "answer_ddm_only", "stop_ddm"}
"""What befalls devices and is played in another story."""
ASKED = {"answer_error", "lose_answers", "hang_on"}
"""These get another command, too, while it lasts."""


def devices() -> list[str]:
    """The device of each case."""
    numbers: dict[str, int] = {}
    found = []
    for case in CASES:
        numbers[case.cohort] = numbers.get(case.cohort, 0) + 1
        found.append(f"{case.cohort}/{numbers[case.cohort]}")
    return found


@cache
def day() -> Watched:
    """Play the day."""
    text = HEAD
    events = ['do = "send"\non = "everybody"\nat = "30m"\nevery = "1h"\ncommand = "CertificateList"']
    to_users = 'do = "send"\non = "desks"\nat = "20m"\nevery = "1h"\ncommand = "ProfileList"'
    events += [f"{to_users}\nuser = {number}" for number in (1, 2)]
    counts = dict.fromkeys(COHORTS, 0)
    for number, (case, device) in enumerate(zip(CASES, devices(), strict=True)):
        counts[case.cohort] += 1
        at = "0d" if case.primitive == "user_never_appears" else "2h"
        on = device
        if case.on:
            text += f'[[site]]\nname = "site{number}"\naddress = "192.0.2.{number}"\n'
            events.append(f'do = "join_network"\non = "{device}"\nat = "0d"\nsite = "site{number}"')
            on = f"site{number}"
        if case.primitive in ASKED:
            events.append(f'do = "send"\non = "{device}"\nat = "3h"\ncommand = "SecurityInfo"')
        if "client = true" in case.more:
            events.append(f'do = "restart"\non = "{device}"\nat = "6h"')
        if case.primitive == "agent_dies":
            events.append(f'do = "sees"\non = "{device}"\nat = "0d"\nagain = "30m"')
        events.append(f'do = "{case.primitive}"\non = "{on}"\nat = "{at}"\n{case.more}')
    for name, about in COHORTS.items():
        text += f'[[cohort]]\nname = "{name}"\ncount = {counts[name]}\nown_connects = ["50m", "70m"]\n{about}\n'
    return Watched(text + "".join(f"[[event]]\n{event}\n" for event in events))


@pytest.mark.parametrize(
    ("case", "device"), [pytest.param(*one, id=one[0].id) for one in zip(CASES, devices(), strict=True)]
)
def test_what_is_written_happens(case: Case, device: str) -> None:
    case.check(day(), device)


def test_every_primitive_of_devices_and_sites_is_among_them() -> None:
    expected = {one.name for one in PRIMITIVES.values() if Target.DEVICES in one.targets or Target.SITE in one.targets}

    assert {case.primitive for case in CASES} | ELSEWHERE == expected


def test_nothing_went_wrong_with_the_server() -> None:
    played = day().played
    assert played.report is not None

    assert not {"500", "502"} & {status for device in played.report.devices for status in device.statuses}
    assert CHECK_IN != CONNECT
