"""Nobody lets a device go by a slip of the hand."""

import pytest
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support.browser import Browser, Reply
from tests.support.runner import InlineRunner
from tests.support.site import MAC, Site, id_of

from muster.domain.enrollment import EnrollmentState
from muster.domain.roles import Role

DEVICE = id_of(MAC)
SERIAL = "C02XK1LYJGH5"


def let_go(browser: Browser, **fields: str) -> Reply:
    return browser.submit(f"/leaving/{DEVICE}", {"form_token": form_token(browser), **fields})


@pytest.mark.parametrize("act", ["unenroll", "reject"])
@pytest.mark.parametrize("typed", ["", "C02XK1LYJGH", "C02XK1LYJGH5 C02XK1LYJGH5", DEVICE])
def test_it_takes_the_serial_number(ana: Browser, site: Site, act: str, typed: str) -> None:
    site.enroll()

    reply = let_go(ana, act=act, serial=typed)

    assert reply.status == 409
    assert "is not the serial number of" in reply.text
    assert site.queued() == []
    assert site.enrollment().state is EnrollmentState.ENROLLED


def test_management_is_removed(ana: Browser, site: Site) -> None:
    site.enroll()

    reply = let_go(ana, act="unenroll", serial=SERIAL)

    assert (reply.status, reply.header("location")) == (303, f"/devices/{DEVICE}?done=unenroll")
    assert len(site.queued()) == 1


def test_a_device_is_turned_away_and_let_in_again(ana: Browser, site: Site) -> None:
    site.enroll()

    assert let_go(ana, act="reject", serial=SERIAL).status == 303
    assert site.enrollment().state is EnrollmentState.ENDED
    assert let_go(ana, act="withdraw", serial=SERIAL).status == 303

    assert site.enrollment().state is EnrollmentState.ENROLLED


def test_letting_go_takes_a_role(ana: Browser, site: Site, runner: InlineRunner) -> None:
    site.enroll()
    eve = signed_in(runner, "eve", Role.HELPDESK)

    assert let_go(eve, act="unenroll", serial=SERIAL).status == 409
    assert site.queued() == []
    assert "This takes the role operator" in eve.get(f"/leaving/{DEVICE}").text
    assert "/leaving/" not in eve.get(f"/devices/{DEVICE}").text


def test_an_unknown_act_is_none(ana: Browser, site: Site) -> None:
    site.enroll()

    assert let_go(ana, act="sell", serial=SERIAL).status == 400
