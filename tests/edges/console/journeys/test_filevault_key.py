"""Somebody reveals a Mac's FileVault key for a reason, which is kept, and hides it again."""

from pathlib import Path

import pytest
from tests.edges.console.journeys.conftest import Console
from tests.operations.test_keep_secrets import RECOVERY_KEY, to_us
from tests.support.chromium import Chromium
from tests.support.site import MAC, Site

from muster.operations.views.audit import list_acts
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue


@pytest.mark.witness("chromium")
def test_a_filevault_key_is_revealed(site: Site, browser: Chromium, console: Console, pictures: Path) -> None:
    key, identity = RECOVERY_KEY.decode(), site.enroll(MAC)
    said: dict[str, PlistValue] = {"FDE_Enabled": True, "FDE_PersonalRecoveryKeyCMS": to_us(site, RECOVERY_KEY)}
    site.answers(identity, CommandRequest("SecurityInfo"), {"SecurityInfo": said})

    with console() as url:
        browser.open(f"{url}/devices?q=C02XK1LYJGH5")
        browser.run("document.querySelector('table.devices tbody th a').click()")
        browser.wait_for("document.querySelector('.acts a[href^=\"/secrets/\"]')")
        assert key not in browser.run("document.documentElement.outerHTML")
        browser.run("document.querySelector('.acts a[href^=\"/secrets/\"]').click()")
        browser.wait_for("document.querySelector('#reason-1')")
        browser.shoot(pictures / "secrets.png")
        browser.run("document.querySelector('#reason-1').form.querySelector('button:not([type=button])').click()")
        assert browser.run("document.querySelector('#reason-1').matches(':invalid')")  # not without a reason
        browser.run("document.querySelector('#reason-1').value = 'Ticket 4711'")
        browser.run("document.querySelector('#reason-1').form.querySelector('button').click()")
        browser.wait_for("document.querySelector('.secret-value')")
        shown = browser.run("document.querySelector('.secret-value').innerText")
        browser.shoot(pictures / "revealed.png")
        browser.run("document.querySelector('.lede a').click()")
        browser.wait_for("document.querySelector('#reason-1')")
        assert key not in browser.run("document.documentElement.outerHTML")

    assert shown.strip() == key
    [seen] = site.engine.read(lambda tx: list_acts(tx, limit=5, act="secret.reveal"))
    assert (seen.actor_name, seen.detail["kind"], seen.detail["reason"]) == ("ana", "filevault_key", "Ticket 4711")
