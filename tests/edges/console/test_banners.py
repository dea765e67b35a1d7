"""Pages say at their top when a push certificate ends or pushes are held; nothing when all is well."""

from datetime import timedelta

import pytest
from tests.support import fleet
from tests.support.browser import Browser
from tests.support.runner import NOW, InlineRunner

from muster.domain.command_queue import HoldReason
from muster.domain.push_breaker import Breaker, BreakerCause
from muster.edges.console.banners import breaker_banners, push_certificate_banners
from muster.edges.console.times import Clock
from muster.operations.views.holds import HELD_SHOWN
from muster.operations.views.marks import Tone
from muster.operations.views.push_certificates import PushCertificateState
from muster.protocol.identifiers import CommandUUID
from muster.storage import queue_holds
from muster.storage.queue_holds import Pause

TOPIC = fleet.TOPIC
PAGES = ("/devices", "/fragments/devices", "/devices/A", "/fragments/devices/A", "/sign-in")


@pytest.mark.parametrize(
    ("left", "tone", "said"),
    [
        (timedelta(days=20), Tone.WARNING, "expires <time"),
        (timedelta(days=7), Tone.BAD, "expires <time"),
        (timedelta(days=-5), Tone.BAD, "expired <time"),
    ],
)
def test_nearer_the_end_the_tone_is_graver(left: timedelta, tone: Tone, said: str) -> None:
    [banner] = push_certificate_banners(PushCertificateState(True, {"com.apple.mgmt.<x>": NOW + left}), Clock(NOW))

    assert banner.mark.tone is tone
    assert said in banner.text
    assert "renew that same one, not a new one" in banner.text
    assert "com.apple.mgmt.&lt;x&gt;" in banner.text


@pytest.mark.parametrize("page", PAGES)
def test_every_page_warns_of_a_certificate_that_ends_within_a_month(
    runner: InlineRunner, ana: Browser, page: str
) -> None:
    fleet.add_device(runner.engine, "A")
    fleet.add_push_certificate(runner.engine, NOW + timedelta(days=29))

    text = ana.get(page).text

    assert '<p class="banner warning">' in text
    assert f"The push certificate for {TOPIC} expires" in text
    assert "renew that same one" in text


@pytest.mark.parametrize("page", PAGES)
def test_no_page_warns_of_a_certificate_that_is_good(runner: InlineRunner, ana: Browser, page: str) -> None:
    fleet.add_device(runner.engine, "A")
    fleet.add_push_certificate(runner.engine, NOW + timedelta(days=31))

    assert "banner" not in ana.get(page).text


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_that_there_is_none(runner: InlineRunner, ana: Browser, page: str) -> None:
    fleet.add_device(runner.engine, "A")

    assert "There is no push certificate" in ana.get(page).text


def test_before_the_first_device_a_step_says_it(runner: InlineRunner, ana: Browser) -> None:
    without = ana.get("/devices").text
    fleet.add_push_certificate(runner.engine, NOW - timedelta(days=1))
    expired = ana.get("/devices").text

    assert "banner" not in without
    assert '<p class="banner bad">' in expired


def test_nobody_is_told_who_is_not_signed_in(runner: InlineRunner, visitor: Browser) -> None:
    fleet.add_push_certificate(runner.engine, NOW)

    assert "banner" not in visitor.get("/sign-in").text


@pytest.mark.parametrize("cause", BreakerCause)
def test_an_open_breaker_is_told_with_what_it_means_and_what_to_do(cause: BreakerCause) -> None:
    breaker = Breaker(cause, 10, NOW - timedelta(hours=2), NOW - timedelta(hours=2), NOW + timedelta(minutes=9))

    [banner] = breaker_banners({"com.apple.mgmt.<x>": breaker}, Clock(NOW))

    assert "Pushes of com.apple.mgmt.&lt;x&gt; have been held since 22 Nov 12:31" in banner.text
    assert "Devices are not judged by their silence meanwhile" in banner.text
    assert "`" not in banner.text


@pytest.mark.parametrize("is_open", [True, False])
def test_the_list_says_that_pushes_are_held_while_a_breaker_is_open(
    runner: InlineRunner, ana: Browser, is_open: bool
) -> None:
    fleet.add_device(runner.engine, "A")
    fleet.add_push_certificate(runner.engine, NOW + timedelta(days=300))
    fleet.add_push_breaker(runner.engine, is_open=is_open)

    assert ("Pushes are held" in ana.get("/devices").text) is is_open


@pytest.mark.parametrize("page", ["/devices/A", "/fragments/devices/A"])
def test_device_page_says_what_is_paused_and_parked_and_what_to_do(
    runner: InlineRunner, ana: Browser, page: str
) -> None:
    fleet.add_push_certificate(runner.engine, NOW + timedelta(days=300))
    device = fleet.add_device(runner.engine, "A")
    fleet.add_command(runner.engine, device, "c1", "RestartDevice")
    runner.engine.write(lambda tx: queue_holds.hold(tx, device, CommandUUID("c1"), HoldReason.PARKED))
    runner.engine.write(lambda tx: queue_holds.pause(tx, Pause(device, NOW, "ana", "<b>`moving`"), ()))

    text = ana.get(page).text

    assert text.count('<p class="banner warning">') == 2
    assert "by ana: &lt;b&gt;&#39;moving&#39;." in text
    for command in ("resume A", "release c1", "cancel c1 A"):
        assert f"<code>muster commands {command}</code>" in text


def test_device_page_tells_a_few_held_commands_and_counts_the_others(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_push_certificate(runner.engine, NOW + timedelta(days=300))
    device = fleet.add_device(runner.engine, "A")
    for number in range(HELD_SHOWN + 2):
        uuid = CommandUUID(f"c{number}")
        fleet.add_command(runner.engine, device, uuid)
        runner.engine.write(lambda tx, uuid=uuid: queue_holds.hold(tx, device, uuid, HoldReason.ROLLED_BACK))  # type: ignore[misc]

    text = ana.get("/devices/A").text

    assert text.count('<p class="banner warning">') == HELD_SHOWN + 1
    assert "2 more wait for your word" in text
