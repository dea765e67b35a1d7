"""Every page fits a telephone: wide tables scroll by themselves, and the page does not."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.edges.console.journeys.conftest import Console
from tests.support.chromium import Chromium
from tests.support.fleet import add_device, add_push_certificate
from tests.support.site import ADA, IPAD, MAC, TOPIC, Site, id_of, token_update

from muster.domain.bulk_acts import BulkKind
from muster.operations.act_by_query import BulkOrder, order_bulk_acts
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.review_channels import review_channels

WIDTH = 360
"""CSS pixels of a small telephone."""
MAC_ID = quote(id_of(MAC), safe="")
EVERYBODY = quote("state = 'enrolled'")
PAGES = (
    "/",
    "/devices",
    "/devices?reason=silent",
    f"/devices/{MAC_ID}",
    f"/inventory/{MAC_ID}",
    f"/recovery/{MAC_ID}",
    f"/command/{MAC_ID}",
    f"/command/{MAC_ID}?type=DeviceLock",
    f"/secrets/{MAC_ID}",
    f"/leaving/{MAC_ID}",
    f"/send?query={EVERYBODY}",
    f"/send?query={EVERYBODY}&type=InstallProfile",
    f"/bulk?kind=push&query={EVERYBODY}",
    "/sends",
    "/enrollment",
    "/groups",
    "/groups/a-group-with-a-name-that-is-as-long-as-a-name-of-a-group-may-be",
    "/policies",
    "/webhooks",
    "/certificates",
    "/certificates/push",
    "/people",
    "/audit",
    "/me",
    "/waiting",
    "/reach",
    "/nowhere",
)


@pytest.mark.witness("chromium")
def test_no_page_is_wider_than_a_telephone(site: Site, browser: Chromium, console: Console, pictures: Path) -> None:
    mac = site.enroll(MAC)
    site.check_in(token_update(ADA), mac)
    add_push_certificate(site.engine, site.now + timedelta(days=70), topic=TOPIC)
    site.wait(days=45)
    site.enroll(IPAD)
    long_name = "a-group-with-a-name-that-is-as-long-as-a-name-of-a-group-may-be"
    site.do(create_groups, GroupOrder(long_name, "name contains 'a very long name of a device that nobody would type'"))
    site.do(order_bulk_acts, BulkOrder("state = 'enrolled'", BulkKind.PUSH))
    site.do(review_channels, None)

    too_wide = {}
    with console() as url:
        browser.tell("Emulation.setDeviceMetricsOverride", width=WIDTH, height=800, deviceScaleFactor=1, mobile=False)
        for page in PAGES:
            browser.open(url + page)
            browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            width = browser.run("document.documentElement.scrollWidth")
            if width > WIDTH:
                too_wide[page] = width
                browser.shoot(pictures / f"{len(too_wide)}.png")

    assert too_wide == {}


@pytest.mark.witness("chromium")
def test_one_device_moves_no_verdict_out_of_sight(site: Site, browser: Chromium, console: Console) -> None:
    long = "N" * 1000
    add_device(site.engine, "LONG", name=long, serial_number=long, os_version=long, model_name=long)

    with console() as url:
        browser.tell("Emulation.setDeviceMetricsOverride", width=1280, height=800, deviceScaleFactor=1, mobile=False)
        browser.open(f"{url}/devices")
        right = browser.run("document.querySelector('td.control').getBoundingClientRect().right")

    assert right <= 1280
