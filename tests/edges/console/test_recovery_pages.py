"""A person's part in a recovery, and the buttons that wake a device."""

import pytest
import sqlalchemy as sa
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support.browser import Browser, Reply
from tests.support.runner import InlineRunner
from tests.support.site import MAC, Site, id_of

from muster.domain.roles import Role
from muster.operations.review_channels import review_channels
from muster.storage import schema

DEVICE = id_of(MAC)


@pytest.fixture
def lost(site: Site) -> Site:
    """A site whose Mac has been silent for weeks, in spite of pushes."""
    site.enroll()
    site.wait(days=45)
    site.do(review_channels, None)
    return site


def act(browser: Browser, path: str, **fields: str) -> Reply:
    return browser.submit(path, {"form_token": form_token(browser), **fields})


def test_the_plan_is_told_and_nothing_is_done_by_looking(lost: Site, ana: Browser) -> None:
    before = lost.rows(sa.select(schema.queue)), lost.rows(sa.select(schema.push_wishes))

    text = ana.get(f"/recovery/{DEVICE}").text

    assert "What would be done, if it stayed like this" in text
    assert "Do the next step now" in text or "Ask it a harmless question now" in text
    assert (lost.rows(sa.select(schema.queue)), lost.rows(sa.select(schema.push_wishes))) == before


def test_the_next_step_is_done_now(lost: Site, ana: Browser) -> None:
    reply = act(ana, f"/recovery/{DEVICE}", act="now")

    assert (reply.status, reply.header("location")) == (303, f"/recovery/{DEVICE}")
    [detail] = [
        row for row in lost.rows(sa.select(schema.audit.c.act, schema.audit.c.actor_name)) if row[0] == "recovery.now"
    ]
    assert detail[1] == "ana"


def test_a_recovery_is_forbidden(lost: Site, ana: Browser) -> None:
    lost.wait(minutes=5)
    lost.do(review_channels, None)

    told = act(ana, f"/recovery/{DEVICE}", act="stop")

    assert told.status == 303
    assert "stopped by ana" in ana.get(f"/recovery/{DEVICE}").text.lower()


def test_a_recovery_is_put_off(lost: Site, ana: Browser) -> None:
    lost.wait(minutes=5)
    lost.do(review_channels, None)

    refused = act(ana, f"/recovery/{DEVICE}", act="later", days="400")
    told = act(ana, f"/recovery/{DEVICE}", act="later", days="7")

    assert [refused.status, told.status] == [400, 303]
    text = ana.get(f"/recovery/{DEVICE}").text
    assert "Put off until 13 January" in text
    assert "nothing before then: it was put off" in text


@pytest.mark.parametrize(("path", "done"), [("/push/", "push"), ("/ask/", "asked")])
def test_a_device_is_woken(ana: Browser, site: Site, path: str, done: str) -> None:
    site.enroll()
    site.wait(hours=1)

    reply = act(ana, f"{path}{DEVICE}")

    assert (reply.status, reply.header("location")) == (303, f"/devices/{DEVICE}?done={done}")
    assert 'role="status"' in ana.get(f"/devices/{DEVICE}?done={done}").text
    wished = sa.select(schema.push_wishes.c.wanted_at).where(schema.push_wishes.c.channel_id == DEVICE)
    assert len(site.rows(wished)) == 1


def test_what_was_done_is_said_in_words_of_ours_alone(ana: Browser, site: Site) -> None:
    site.enroll()

    assert 'role="status"' not in ana.get(f"/devices/{DEVICE}?done=You+were+hacked").text


@pytest.mark.parametrize(
    ("role", "statuses"), [(Role.VIEWER, [403, 403, 403, 403]), (Role.HELPDESK, [303, 303, 303, 403])]
)
def test_waking_takes_a_role(lost: Site, ana: Browser, runner: InlineRunner, role: Role, statuses: list[int]) -> None:
    eve = signed_in(runner, "eve", role)
    token = form_token(eve)

    replies = [
        eve.submit(f"/push/{DEVICE}", {"form_token": token}),
        eve.submit(f"/ask/{DEVICE}", {"form_token": token}),
        eve.submit(f"/recovery/{DEVICE}", {"form_token": token, "act": "now"}),
        eve.submit(f"/recovery/{DEVICE}", {"form_token": token, "act": "stop"}),
    ]

    assert [reply.status for reply in replies] == statuses
    assert ("Push</button>" in eve.get(f"/devices/{DEVICE}").text) is (role is not Role.VIEWER)
    assert "Forbid it" not in eve.get(f"/recovery/{DEVICE}").text


def test_a_device_that_is_not_enrolled_is_not_pushed(ana: Browser, site: Site) -> None:
    site.enroll()
    act(ana, f"/leaving/{DEVICE}", act="reject", serial="C02XK1LYJGH5")

    reply = act(ana, f"/push/{DEVICE}")

    assert reply.status == 400
    assert "is not enrolled now" in reply.text


def test_proof_on_the_page_is_of_this_moment(site: Site, ana: Browser) -> None:
    identity = site.enroll()
    site.do(review_channels, None)
    site.wait(minutes=20)
    site.connect(identity)

    assert "in contact, and did nothing that was asked, today at 14:51 UTC" in ana.get(f"/devices/{DEVICE}").text
