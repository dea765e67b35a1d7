"""The front page says how much of the fleet is under control, and each of its figures is a step to those devices."""

import html
import re
from datetime import timedelta
from urllib.parse import unquote_plus

import pytest
from tests.support import fleet
from tests.support.browser import Browser
from tests.support.runner import NOW, InlineRunner
from tests.support.verdicts import hold

from muster.domain.control.incidents import Incident
from muster.domain.control.own_side import EVERYTHING, Scope, ScopeKind
from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import Run
from muster.domain.control.silence_clock import day_of
from muster.domain.control.states import ControlState, Forecast
from muster.edges.console.fleet_pages import waiting_lines
from muster.operations.views.expiring import Expiring, ExpiringKind
from muster.operations.views.fleet_needs import Needs
from muster.operations.views.last_day import Waiting
from muster.protocol.identifiers import ChannelId
from muster.storage import control_days, incidents, recoveries
from muster.storage.recoveries import Outcome, Recovery

DAY = timedelta(days=1)


@pytest.fixture
def judged(runner: InlineRunner) -> InlineRunner:
    """Two that are well, one that is lost and needs somebody, one that may come back, one that ended."""
    engine = runner.engine
    for name in ("WELL", "FINE", "LOST", "AWAY", "OVER"):
        fleet.add_device(engine, name, name=f"{name}’s Mac", contacts=[NOW - 9 * DAY])
    fleet.add_user(engine, "WELL", "U", "ana")
    for name in ("WELL", "FINE"):
        hold(engine, name, ControlState.IN_CONTROL, Reason.NONE, at=NOW - 40 * DAY, sentence="it obeys")
    lost = Forecast.WITH_A_PERSON
    hold(engine, "LOST", ControlState.OUT_OF_CONTROL, Reason.SILENT, at=NOW - 2 * DAY, forecast=lost)
    hold(engine, "AWAY", ControlState.INACTIVE, Reason.SILENT, at=NOW - DAY, forecast=Forecast.BY_ITSELF)
    hold(engine, "OVER", ControlState.ENDED, Reason.RELEASED, at=NOW - DAY)
    hold(engine, "WELL:U", ControlState.DORMANT, Reason.USER_NOT_LOGGED_IN, at=NOW - DAY)
    return runner


def links(text: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(r'href="(/devices[^"]*)"', text)]


def names(text: str) -> list[str]:
    return re.findall(r">([A-Z]+)’s Mac</a>", text)


def test_the_first_sentence_is_the_fleet_under_control(judged: InlineRunner, ana: Browser) -> None:
    text = ana.get("/").text

    assert '<h1 class="verdict">2 of 4 devices are under control. <a href="/devices?q=' in text
    assert "1 needs you.</a>" in text


def test_every_count_is_a_step_to_those_devices(judged: InlineRunner, ana: Browser) -> None:
    text = ana.get("/").text

    found = {unquote_plus(link): names(ana.get(link).text) for link in links(text)}
    assert found == {
        "/devices": ["LOST", "AWAY", "FINE", "WELL", "OVER"],
        "/devices?q=group = 'needs-a-person'": ["LOST"],
        "/devices?control=in_control": ["FINE", "WELL"],
        "/devices?control=out_of_control": ["LOST"],
        "/devices?control=inactive": ["AWAY"],
        "/devices?control=ended": ["OVER"],
        "/devices?q=reason = 'silent' and group = 'not-in-control'": ["LOST", "AWAY"],
        "/devices?q=reason = 'silent' and group = 'needs-a-person'": ["LOST"],
    }


def test_a_quiet_fleet_has_a_quiet_page(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A")
    hold(runner.engine, "A", ControlState.IN_CONTROL, Reason.NONE, at=NOW)

    text = ana.get("/").text

    assert "The one device is under control." in text
    assert "Why not the others" not in text
    assert "What waits for you" not in text
    assert "need" not in text
    assert "Incidents" not in text


def test_incidents_are_told_one_line_for_one_cause(judged: InlineRunner, ana: Browser) -> None:
    site = Scope(ScopeKind.SITE, "198.51.100.1")
    one = Incident("1", Reason.SILENT, site, NOW - DAY, NOW, NOW, None, "6 devices <b> of one network are silent", 6)
    judged.engine.write(lambda tx: incidents.add(tx, [one]))

    text = ana.get("/").text

    assert "6 devices &lt;b&gt; of one network are silent." in text
    assert "Theirs" in text


def test_faults_of_our_own_are_said_above_everything(judged: InlineRunner, ana: Browser) -> None:
    one = Incident("1", Reason.OWN_ERRORS, EVERYTHING, NOW - DAY / 24, NOW, NOW, None, "we answer with errors", 6)
    judged.engine.write(lambda tx: incidents.add(tx, [one]))

    for target in ("/", "/devices"):
        text = ana.get(target).text
        assert text.index("We answer with errors; it began") < text.index("devices are")


def test_what_waits_and_what_was_done_lead_to_it(judged: InlineRunner, ana: Browser) -> None:
    fleet.add_push_certificate(judged.engine, NOW + 12 * DAY)
    fleet.add_push(judged.engine, "WELL", "accepted", NOW - DAY / 2)

    text = ana.get("/").text

    waits = text[text.index("What waits for you") : text.index("Why not the others")]
    assert 'href="/certificates">Push certificate ends in 12 days: com.apple.mgmt.External.test</a>' in waits
    did = text[text.index("What the server did in the last day") :]
    assert '<td class="num">1</td><td class="text">push sent</td>' in did
    assert '0</td><td class="text">recoveries begun' in did


def test_what_waits_is_said_with_its_count() -> None:
    ended = Expiring(ExpiringKind.TOKEN, "ci", NOW - DAY, 0, 0)
    found = Waiting(Needs(2, 1, {}), (ended,))

    said = [(one.count, one.said, one.url.partition("?")[0]) for one in waiting_lines(found, "of 90", NOW)]

    assert said == [
        (1, "mass change of verdicts of which others are not told", "/waiting"),
        (1, "command held back", "/waiting"),
        (1, "Token of a program ended 24 hours ago: ci", "/certificates"),
        (2, "identities end within 30 days; Muster renews them at a contact", "/devices"),
    ]


def test_every_line_that_leads_to_devices_lists_as_many(judged: InlineRunner, ana: Browser) -> None:
    well, quiet = (ControlState.IN_CONTROL, Reason.NONE), (ControlState.QUIET, Reason.SILENT)
    for name, (state, reason) in {"AWAY": well, "FINE": quiet}.items():
        hold(judged.engine, name, state, reason, at=NOW - DAY / 4)

    text = ana.get("/").text

    did = text[text.index("What the server did in the last day") :]
    assert [names(ana.get(unquote_plus(one)).text) for one in links(did)] == [["AWAY"], ["FINE"]]


def test_what_was_counted_is_kept_for_a_minute(judged: InlineRunner, ana: Browser) -> None:
    fleet.add_push(judged.engine, "WELL", "accepted", NOW)
    first = ana.get("/").text
    fleet.add_push(judged.engine, "FINE", "accepted", NOW)
    same = ana.get("/").text
    judged.time += timedelta(minutes=1)
    later = ana.get("/").text

    assert ["push sent" in one for one in (first, same, later)] == [True, True, False]
    assert "pushes sent" in later


def test_days_before_are_drawn_with_their_figures(judged: InlineRunner, ana: Browser) -> None:
    well = {(ControlState.IN_CONTROL, Reason.NONE): 3, (ControlState.QUIET, Reason.SILENT): 1}
    judged.engine.write(lambda tx: control_days.keep(tx, {day_of(NOW) - 3: well}))

    text = ana.get("/").text

    assert 'aria-label="Share of devices under control: 50.0 % now, at the lowest 50.0 % on 21 Nov"' in text
    assert "<title>19 Nov: 3 of 4 under control, 75.0 %</title>" in text


def test_the_fragment_is_the_part_of_the_page_that_changes(judged: InlineRunner, ana: Browser) -> None:
    part = ana.get("/fragments/fleet").text

    assert "<html" not in part
    assert part.strip() in ana.get("/").text


def test_strangers_are_sent_to_sign_in(visitor: Browser) -> None:
    assert visitor.get("/").header("location") == "/sign-in"
    assert visitor.get("/fragments/fleet").status == 401


def test_the_page_stays_small(judged: InlineRunner, ana: Browser) -> None:
    for number in range(60):
        day = day_of(NOW) - number
        well = {(ControlState.IN_CONTROL, Reason.NONE): 3, (ControlState.QUIET, Reason.SILENT): 1}
        judged.engine.write(lambda tx, day=day, well=well: control_days.keep(tx, {day: well}))  # type: ignore[misc]

    assert len(ana.get("/").text) < 20_000


# --- lists, and the page of one device --------------------------------------------------------------------------------


def test_the_list_has_verdicts_with_shape_word_and_band(judged: InlineRunner, ana: Browser) -> None:
    text = ana.get("/devices").text

    assert '<span class="mark bad"><svg class="shape"' in text
    assert '<use href="#cross"/></svg> Out of control</span></span>' in text
    assert "Out of control</span></span>" in text
    assert '<rect class="s-out_of_control"' in text
    assert '<span class="count">2</span>' in text


def test_pages_by_gravity_follow_one_another(judged: InlineRunner, ana: Browser) -> None:
    assert names(ana.get("/devices?after=LOST").text) == ["AWAY", "FINE", "WELL", "OVER"]
    assert names(ana.get("/devices?after=FINE").text) == ["WELL", "OVER"]
    assert names(ana.get("/devices?after=OVER").text) == []


@pytest.mark.parametrize("target", ["/devices?control=lost", "/devices?control=IN_CONTROL"])
def test_an_unknown_verdict_is_said(ana: Browser, target: str) -> None:
    assert ana.get(target).status == 400


def test_the_page_of_a_device_says_the_verdict_first(judged: InlineRunner, ana: Browser) -> None:
    hold(
        judged.engine,
        "AWAY",
        ControlState.INACTIVE,
        Reason.SILENT,
        at=NOW,
        since=NOW - 9 * DAY,
        sentence="not heard for <9> days",
        forecast=Forecast.BY_ITSELF,
        next_step="it is pushed once",
        candidates=(Reason.SILENT, Reason.IDENTITY_MISSING),
    )

    text = ana.get("/devices/AWAY").text
    well = ana.get("/devices/WELL").text

    assert '<p class="lede">Inactive since 13 November: not heard for &lt;9&gt; days.</p>' in text
    assert "<b>Next.</b> It is pushed once." in text
    assert "it is switched off or without a network; it has lost its identity" in text
    assert "this decides" in text
    assert '<details id="why">' in text
    assert '<li class="verdict"><span class="when">' in text
    assert '<rect class="s-inactive"' in text
    assert "ana</span> <span><span" in well
    assert "Dormant" in well


def test_the_page_of_a_device_says_what_is_done_to_bring_it_back(judged: InlineRunner, ana: Browser) -> None:
    id_ = ChannelId("AWAY")
    open_one = Recovery("r", id_, Run(Reason.SILENT, NOW - DAY, acted_at=NOW - DAY), next_at=NOW + DAY)
    logged = open_one.noting(NOW - DAY / 2, "stored_push", "one <push> is sent")
    over = Recovery("s", id_, Run(Reason.NOT_OBEYING, NOW - DAY), closed_at=NOW, outcome=Outcome.RECOVERED)
    judged.engine.write(lambda tx: recoveries.record(tx, [logged, over]))

    text = ana.get("/devices/AWAY").text

    assert "<b>Recovery</b> from “not heard”, begun" in text
    assert "one &lt;push&gt; is sent, <time" in text
    assert text.count("<b>Recovery</b>") == 1
    assert "It has recovered, and proved it (it comes and doesn&#39;t obey)" in text


def test_a_device_without_a_verdict_says_so(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A")

    assert "Not judged yet: its first review is due within a minute." in ana.get("/devices/A").text
