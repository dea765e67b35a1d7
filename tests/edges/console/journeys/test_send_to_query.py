"""Somebody sends a command to everyone whom a query finds, leaves, comes back, and sees what came of it."""

from pathlib import Path

import pytest
from tests.edges.console.journeys.conftest import Console
from tests.support.chromium import Chromium
from tests.support.site import IPAD, MAC, Site

from muster.operations.send_by_query import continue_sends


@pytest.mark.witness("chromium")
def test_a_command_goes_to_a_query(site: Site, browser: Chromium, console: Console, pictures: Path) -> None:
    mac = site.enroll(MAC)
    site.enroll(IPAD)

    with console() as url:
        browser.open(f"{url}/devices")
        browser.run("document.querySelector('#q').value = \"state = 'enrolled'\"")
        browser.run("document.querySelector('#q').form.requestSubmit()")
        browser.wait_for("location.search.includes('q=state') && document.querySelector('#send-all')")
        browser.shoot(pictures / "found.png")
        browser.run("document.querySelector('#send-all').click()")
        browser.wait_for("location.pathname === '/send' && document.querySelector('.choices')")
        browser.shoot(pictures / "choices.png")
        browser.run("document.querySelector('#type').value = 'ProfileList'")
        browser.run("document.querySelector('#type').form.requestSubmit()")
        browser.wait_for("document.querySelector('.command-form')")
        browser.run("document.querySelector('.command-form button').click()")
        browser.wait_for("document.querySelector('h1').innerText === 'Send ProfileList to 2 devices?'")
        browser.shoot(pictures / "review.png")
        browser.run("document.querySelector('button.main').click()")
        browser.wait_for("location.pathname.startsWith('/sends/')")
        progress = browser.run("location.href")
        browser.wait_for("document.body.innerText.includes('You can leave this page')")

        site.do(continue_sends, None)
        browser.wait_for("document.querySelector('.lede').innerText.startsWith('Queued for 2, ')")  # by itself
        [command_uuid] = site.queued(MAC)
        browser.open(f"{url}/devices")
        site.connect(mac, MAC)
        site.connect(mac, MAC, "Acknowledged", command_uuid, answer={"ProfileList": []})
        browser.open(progress)
        shown = browser.run("document.querySelector('.counts').innerText")
        browser.shoot(pictures / "progress.png")

    assert site.queued(IPAD) == [command_uuid]
    assert "Acknowledged 1" in " ".join(shown.split())
