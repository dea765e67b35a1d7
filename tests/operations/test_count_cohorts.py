"""Sites that fall silent together and builds that hang are counted once an hour, and make one incident each."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from tests.support import fleet
from tests.support.runner import NOW
from tests.support.site import Site

from muster.domain.access import SERVER
from muster.domain.control.dossier import SiteRecord
from muster.domain.control.evidence import Signal
from muster.domain.control.own_side import CALLED_AGAIN_WITHIN, EVERYTHING, Outage
from muster.domain.control.reasons import Reason
from muster.operations.count_cohorts import count_cohorts
from muster.operations.watch_ourselves import NodeFindings, watch_ourselves
from muster.storage import cohorts, incidents, outages, schema

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OFFICE, HOME, CAFE = "198.51.100.1", "198.51.100.2", "198.51.100.3"


def add(site: Site, name: str, heard_at: datetime, source: str, *, build: str | None = None) -> None:
    fleet.add_device(site.engine, name, contacts=[heard_at])
    hear(site, name, heard_at, source)
    facts = sa.update(schema.device_facts).where(schema.device_facts.c.channel_id == name)
    site.engine.write(lambda tx: tx.connection.execute(facts.values(build_version=build)))


def hear(site: Site, name: str, at: datetime, source: str) -> None:
    contact = sa.update(schema.channels).where(schema.channels.c.id == name)
    site.engine.write(lambda tx: tx.connection.execute(contact.values(last_contact_at=at, last_source=source)))


def hold(
    site: Site,
    name: str,
    state: str,
    reason: str = "silent",
    *,
    cites: str = "S1",
    others: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> None:
    row = {
        "channel_id": name,
        "state": state,
        "reason": reason,
        "change_id": name,
        "proof_level": 0,
        "is_push_proved": False,
        "sentence": "",
        "forecast": "by_itself",
        "next_step": "",
        "candidates": [],
        "evidence": [{"signal": cites, "at": 0, "shows": ""}],
        "others": list(others),
        "notes": [{"reason": note} for note in notes],
        **dict.fromkeys(("since", "noticed_at", "judged_at"), NOW),
    }
    site.engine.write(lambda tx: tx.connection.execute(sa.insert(schema.verdicts).values(row)))


def hand_out(site: Site, name: str, at: datetime) -> None:
    handed_out = sa.update(schema.queue).where(schema.queue.c.channel_id == name)
    values = handed_out.values(handed_out_at=at, handed_out_count=1, unanswered_count=1)
    site.engine.write(lambda tx: tx.connection.execute(values))


def counted(site: Site, *, after: timedelta = timedelta(0)) -> dict[str, SiteRecord]:
    site.runner.time += after
    context = site.runner.context(SERVER)
    site.engine.write(lambda tx: count_cohorts(tx, context))
    return site.engine.read(lambda tx: cohorts.sites_of(tx, [OFFICE, HOME, CAFE]))


def test_a_site_is_three_devices_of_one_address(site: Site) -> None:
    for number in range(3):
        add(site, f"office {number}", NOW - HOUR, OFFICE)
    for number in range(2):
        add(site, f"home {number}", NOW - HOUR, HOME)

    assert counted(site) == {OFFICE: SiteRecord(OFFICE, 3, 0, None)}


def test_devices_that_fell_silent_together_and_who_came_from_elsewhere_since(site: Site) -> None:
    for number in range(6):
        add(site, f"office {number}", NOW, OFFICE)
    counted(site, after=HOUR)
    hear(site, "office 5", NOW + DAY, HOME)

    found = counted(site, after=2 * DAY)[OFFICE]

    assert found == SiteRecord(OFFICE, 5, 5, NOW, heard_elsewhere=1)


def test_a_site_from_which_others_are_heard_is_not_silent(site: Site) -> None:
    for number in range(6):
        add(site, f"office {number}", NOW - 3 * DAY, OFFICE)
    for number in range(2):
        add(site, f"new {number}", NOW, OFFICE)

    assert counted(site)[OFFICE] == SiteRecord(OFFICE, 8, 0, None)


def test_who_was_silent_long_before_did_not_fall_silent_together(site: Site) -> None:
    for number in range(6):
        add(site, f"office {number}", NOW - (9 if number < 2 else 3) * DAY, OFFICE)

    found = counted(site)[OFFICE]

    assert (found.members, found.silent, found.silent_since) == (6, 4, NOW - 3 * DAY)


def test_time_in_which_we_heard_nobody_is_nobodys_silence(site: Site) -> None:
    for number in range(6):
        add(site, f"office {number}", NOW - 3 * DAY, OFFICE)
    down = Outage("1", Reason.OWN_DOWNTIME, EVERYTHING, NOW - 3 * DAY + HOUR, NOW - HOUR, "our server was down")
    site.engine.write(lambda tx: outages.open_one(tx, down))

    assert counted(site)[OFFICE].silent == 0
    assert counted(site, after=23 * HOUR)[OFFICE].silent == 0
    assert counted(site, after=CALLED_AGAIN_WITHIN)[OFFICE].silent == 6


def test_it_is_counted_once_an_hour(site: Site) -> None:
    for number in range(3):
        add(site, f"office {number}", NOW, OFFICE)
    first = counted(site)
    add(site, "office 4", NOW, OFFICE)

    assert counted(site, after=HOUR - timedelta(seconds=1)) == first
    assert counted(site, after=timedelta(seconds=1))[OFFICE].members == 4


def test_devices_that_others_see_there(site: Site) -> None:
    for number in range(3):
        add(site, f"office {number}", NOW - 2 * DAY, OFFICE)
        add(site, f"cafe {number}", NOW, CAFE)
    fleet.insert(
        site.engine,
        *(
            sa.insert(schema.evidence).values(
                id=f"{name}{network}",
                channel_id=name,
                signal=Signal.WITNESS.value,
                observed_class="agent",
                first_at=seen_at,
                last_at=seen_at,
                count=1,
                epoch=1,
                source="",
                detail={"network": network},
            )
            for name, network, seen_at in (
                ("office 0", OFFICE, NOW - HOUR),
                ("office 1", HOME, NOW - HOUR),
                ("office 2", OFFICE, NOW - 2 * DAY + 2 * HOUR),  # that evening
                ("cafe 0", CAFE, NOW - HOUR),
            )
        ),
    )

    found = counted(site)

    assert (found[OFFICE].witnessed, found[CAFE].witnessed) == (1, 0)


def test_only_pushes_missed_while_a_device_was_about_tell_that_none_reach_a_site(site: Site) -> None:
    for number in range(8):
        add(site, f"cafe {number}", NOW, CAFE)
        add(site, f"office {number}", NOW, OFFICE)
    hold(site, "cafe 0", "at_risk", "push_path_blocked", cites="S4")
    hold(site, "cafe 1", "at_risk", "push_magic_wrong", cites="S4")
    hold(site, "cafe 2", "at_risk", "identity_expiring", others=["push_path_blocked"])
    hold(site, "cafe 3", "at_risk", "push_magic_wrong", cites="S10")
    hold(site, "cafe 4", "in_control", "none", notes=["push_path_blocked"])
    hold(site, "cafe 5", "at_risk", "identity_expiring", others=["push_magic_wrong"])
    hold(site, "cafe 6", "quiet", "silent", others=["push_path_blocked"])

    found = counted(site)

    assert (found[CAFE].unpushable, found[OFFICE].unpushable) == (3, 0)


def test_builds_that_stop_in_mid_dialogue(site: Site) -> None:
    for number, (build, handed_out_at) in enumerate(
        [
            ("25A1", NOW - 3 * DAY),
            ("25A1", NOW - 3 * DAY - timedelta(minutes=1)),
            ("25A1", NOW - 3 * DAY - HOUR),
            ("25B1", NOW - 3 * DAY),
            (None, NOW - 3 * DAY),
        ]
    ):
        name = f"device {number}"
        add(site, name, NOW - 3 * DAY, OFFICE, build=build)
        fleet.add_command(site.engine, name, f"command {number}")
        hand_out(site, name, handed_out_at)

    counted(site)

    hung = site.engine.read(cohorts.builds_hung)
    assert [(one.build, one.hung, one.since) for one in hung] == [
        ("25A1", 2, NOW - 3 * DAY),
        ("25B1", 1, NOW - 3 * DAY),
    ]


def test_a_silent_site_is_one_incident_once_its_devices_are_missed(site: Site) -> None:
    for number in range(6):
        add(site, f"office {number}", NOW - 3 * DAY, OFFICE)

    def watch(after: timedelta) -> list[tuple[str, str, str, bool]]:
        site.runner.time += after
        site.do(watch_ourselves, NodeFindings(), actor=SERVER)
        found = site.engine.read(lambda tx: incidents.latest(tx, 10))
        return [(one.reason.value, str(one.scope), one.sentence, one.ended_at is None) for one in found]

    unmissed = watch(timedelta(0))
    for number in range(6):
        hold(site, f"office {number}", "quiet")
    missed = watch(HOUR)
    for number in range(6):
        hear(site, f"office {number}", site.now, OFFICE)
    over = watch(HOUR)

    sentence = f"6 devices at {OFFICE} are silent together since 19 November at 14:31 UTC"
    assert unmissed == []
    assert missed == [("silent", f"site:{OFFICE}", sentence, True)]
    assert [is_open for _, _, _, is_open in over] == [False]


def test_a_site_that_no_push_reaches_is_one_incident_until_pushes_arrive(site: Site) -> None:
    for number in range(4):
        add(site, f"cafe {number}", NOW, CAFE)
        add(site, f"office {number}", NOW, OFFICE)

    def watch(after: timedelta) -> list[tuple[str, str, str, bool]]:
        site.runner.time += after
        site.do(watch_ourselves, NodeFindings(), actor=SERVER)
        found = site.engine.read(lambda tx: incidents.latest(tx, 10))
        return [(one.reason.value, str(one.scope), one.sentence, one.ended_at is None) for one in found]

    for name in ("cafe 0", "cafe 1", "office 0", "office 1", "office 2"):
        hold(site, name, "at_risk", "push_path_blocked", cites="S4")
    blocked = watch(HOUR)
    release = sa.delete(schema.verdicts).where(schema.verdicts.c.channel_id == "office 2")
    site.engine.write(lambda tx: tx.connection.execute(release))
    over = watch(timedelta(minutes=1))

    sentence = (
        f"no push reaches 3 devices at {OFFICE} since 22 November at 14:31 UTC, and they come by themselves alone;"
        " their network has to let them reach APNs (TCP 5223 or 443)"
    )
    assert blocked == [("push_path_blocked", f"site:{OFFICE}", sentence, True)]
    assert [is_open for _, _, _, is_open in over] == [False]
