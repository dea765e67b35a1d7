"""An operator makes a link, somebody opens it on a device, it stands in the console, and shows that it reaches us."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.service.running import RunningServer
from tests.service.stage import Stage
from tests.support.chromium import PATIENCE_SECONDS, Chromium
from tests.support.command_line import CommandLine, push_files

from muster.simulator.facts import Platform


@pytest.fixture
def stage() -> Iterator[Stage]:
    """The simulated APNs and the loop for devices."""
    stage = Stage()
    yield stage
    stage.clear()
    stage.close()


def profile_in(folder: Path) -> bytes:
    """The profile that the browser downloaded, once it has all of it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (found := list(folder.glob("*.mobileconfig"))):
        assert time.monotonic() < until, [one.name for one in folder.iterdir()]
        time.sleep(0.05)
    return found[0].read_bytes()


@pytest.mark.witness("chromium")
def test_a_device_enrolls_by_a_link(stage: Stage, browser: Chromium, pictures: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with RunningServer(data, environment=stage.settings(tmp_path)) as server:
        muster = CommandLine("--data-dir", str(data))
        muster.upload(push_files(tmp_path))
        code, sign_in, _ = muster.run("admins", "link", "ana")
        assert code == 0
        browser.open(f"{server.url}/sign-in/{sign_in.split()[0].rpartition('/')[2]}")
        browser.run("document.querySelector('form button').click()")
        browser.wait_for("location.pathname === '/devices' && document.querySelector('nav a[href=\"/enrollment\"]')")
        browser.shoot(pictures / "first-steps.png")
        browser.run("document.querySelector('nav a[href=\"/enrollment\"]').click()")
        browser.wait_for("location.pathname === '/enrollment' && document.querySelector('#note')")
        browser.run("document.querySelector('#note').value = 'The new iPhone'")
        browser.run("document.querySelector('#note').form.querySelector('button').click()")
        browser.wait_for("document.querySelector('#link')")
        browser.shoot(pictures / "link.png")
        link = browser.run("document.querySelector('#link').innerText")

        browser.open(link)
        browser.shoot(pictures / "enroll-page.png")
        browser.run("document.querySelector('a.button').click()")
        profile = profile_in(tmp_path / "downloads")
        device = stage.device(Platform.IPHONE)
        stage.play(device.enroll(profile))

        browser.open(f"{server.url}/devices")
        browser.wait_for(f"document.body.innerText.includes('{device.facts.serial_number}')")
        browser.shoot(pictures / "enrolled.png")
        browser.open(f"{server.url}/enrollment")
        assert "Used up" in browser.run("document.body.textContent")

        browser.open(f"{server.url}/devices/{device.facts.udid}")
        browser.run("document.querySelector('#act-reach').click()")
        browser.wait_for("location.pathname.startsWith('/reach-links/') && document.querySelector('#link')")
        browser.open(browser.run("document.querySelector('#link').innerText"))
        browser.shoot(pictures / "reach.png")
        browser.run("document.querySelector('button.main').click()")
        browser.wait_for("document.querySelector('#tell + [role=status]')")
        browser.open(f"{server.url}/devices/{device.facts.udid}")
        assert "own link" in browser.run("document.body.textContent")
