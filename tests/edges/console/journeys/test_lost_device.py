"""Somebody finds the device that nobody has heard of for weeks, from the fleet down, and has its recovery go on now."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.edges.console.journeys.conftest import Console
from tests.support.chromium import Chromium
from tests.support.fleet import add_push_certificate
from tests.support.site import IPAD, MAC, TOPIC, Site, id_of

from muster.operations.review_channels import review_channels
from muster.storage import schema


@pytest.mark.witness("chromium")
def test_a_lost_device_is_found_and_its_recovery_started(
    site: Site, browser: Chromium, console: Console, pictures: Path
) -> None:
    site.enroll(MAC)
    add_push_certificate(site.engine, site.now + timedelta(days=300), topic=TOPIC)
    site.wait(days=45)
    site.enroll(IPAD)
    site.do(review_channels, None)

    with console():
        browser.wait_for("location.pathname === '/'")
        browser.shoot(pictures / "fleet.png")
        browser.run("document.querySelector('.reasons a[title=silent]').click()")
        browser.wait_for("location.pathname === '/devices' && document.querySelector('table.devices')")
        browser.shoot(pictures / "those-of-the-reason.png")
        assert browser.run("document.querySelectorAll('table.devices tbody tr').length") == 1

        browser.run("document.querySelector('table.devices tbody th a').click()")
        browser.wait_for("document.querySelector('#act-now')")
        browser.shoot(pictures / "device.png")
        browser.run("document.querySelector('#act-now').click()")
        browser.wait_for("location.pathname.startsWith('/recovery/') && document.querySelector('#plan')")
        browser.shoot(pictures / "recovery.png")

    done = sa.select(schema.audit.c.act, schema.audit.c.subject, schema.audit.c.actor_name)
    assert ("recovery.now", id_of(MAC), "ana") in site.rows(done)
    pushed = site.wish(MAC)
    assert pushed is not None
    assert pushed[1] <= site.now
