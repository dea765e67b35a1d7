"""What a device was told to install stands on its page."""

from tests.support import fleet
from tests.support.browser import Browser
from tests.support.runner import NOW, InlineRunner

from muster.domain.installed_profiles import InstalledProfile, ProfileState
from muster.domain.managed_apps import AppState, ManagedApp
from muster.edges.console.installed import APP_STATES, PROFILE_STATES
from muster.operations.views.apps import apps_of_device
from muster.operations.views.profiles import profiles_of_device
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import enrollments, installed_profiles, managed_apps

DEVICE = ChannelId("A")
HOSTILE = "<b>'\" {{ 7*7 }}"


def test_every_state_has_a_mark() -> None:
    assert PROFILE_STATES.keys() == set(ProfileState)
    assert APP_STATES.keys() == set(AppState)


def test_page_shows_profiles_and_apps_and_what_was_said_of_them(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, DEVICE)
    epoch = runner.engine.read(lambda tx: enrollments.find(tx, [DEVICE]))[DEVICE].epoch
    profile = InstalledProfile(
        DEVICE, CommandUUID("1"), epoch, "org.wifi", None, HOSTILE, b"", None, ProfileState.FAILED, HOSTILE, NOW, NOW
    )
    app = ManagedApp(
        DEVICE, CommandUUID("2"), epoch, "store 1", None, AppState.INSTALLING, NOW, NOW, device_state=HOSTILE
    )
    runner.engine.write(lambda tx: installed_profiles.add(tx, [profile]))
    runner.engine.write(lambda tx: managed_apps.add(tx, [app]))

    text = ana.get("/devices/A").text

    assert "org.wifi" in text
    assert "store 1" in text
    assert "Failed" in text
    assert "Installing" in text
    assert HOSTILE not in text
    assert len(runner.engine.read(lambda tx: (*profiles_of_device(tx, DEVICE), *apps_of_device(tx, DEVICE)))) == 2
