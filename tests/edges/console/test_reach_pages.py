"""Anybody opens the page on a device; it says what a server can know of the way, and no more."""

import re

import pytest
import sqlalchemy as sa
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support.browser import Browser
from tests.support.fleet import add_device
from tests.support.runner import NOW, InlineRunner

from muster.domain.roles import Role
from muster.edges.console.app import make_console
from muster.edges.console.reach_pages import PROXY
from muster.edges.console.visits import KEPT, VISITS, WINDOW, VisitCount
from muster.edges.device import presented
from muster.storage import schema, self_tests
from muster.storage.self_tests import SelfTest


def evidence(runner: InlineRunner) -> list[tuple[object, ...]]:
    columns = schema.evidence.c
    select = sa.select(columns.channel_id, columns.observed_class, columns.source).where(columns.signal == "S18")
    return [tuple(row) for row in runner.engine.read(lambda tx: tx.connection.execute(select).all())]


def link_of(browser: Browser, device_id: str = "MAC-1") -> str:
    made = browser.submit(f"/reach-links/{device_id}", {"form_token": form_token(browser)})
    found = re.search(r"http://localhost(/reach/[\w-]+)", made.text)
    assert found is not None, made.text
    return found[1]


def test_anybody_sees_the_page_and_nothing_is_kept(visitor: Browser, runner: InlineRunner) -> None:
    page = visitor.get("/reach")

    assert (page.status, page.header("cache-control")) == (200, "no-store")
    assert "127.0.0.1" in page.text
    for needed in ("5223", "443", "2197", "*.push.apple.com", "17.0.0.0/8", "UTC"):
        assert needed in page.text
    assert "Send what was found" not in page.text
    assert evidence(runner) == []


@pytest.mark.parametrize(
    ("public_url", "line"),
    [
        ("https://mdm.example.com", "  TCP 443   mdm.example.com\n"),
        ("https://mdm.example.com:8443", "  TCP 8443  mdm.example.com\n"),
        ("http://127.0.0.1:36015", "  TCP 36015 127.0.0.1\n"),
        ("http://mdm.example.com", "  TCP 80    mdm.example.com\n"),
        ("https://[2001:db8::1]:8443", "  TCP 8443  2001:db8::1\n"),
    ],
)
def test_the_port_to_let_through_is_the_one_of_the_public_address(
    runner: InlineRunner, public_url: str, line: str
) -> None:
    page = Browser(make_console(runner, secure_cookies=False, public_url=public_url)).get("/reach")

    assert line in page.text


def test_the_certificate_to_compare_is_the_one_at_our_public_address(visitor: Browser, runner: InlineRunner) -> None:
    seen = SelfTest("node", NOW, bytes(range(32)), None, NOW, None, "")
    runner.engine.write(lambda tx: self_tests.store(tx, seen))

    assert "00 01 02 03" in visitor.get("/reach").text


def test_who_adds_to_the_request_on_the_way_is_named(visitor: Browser) -> None:
    page = visitor.get("/reach", (("via", "1.1 inspector"), ("x-forwarded-for", "<script>alert(1)</script>")))

    assert "No TLS" in page.text  # as the visitor comes
    assert "<script>alert" not in page.text


def test_what_a_device_found_is_kept_when_it_is_sent_and_not_before(
    ana: Browser, visitor: Browser, runner: InlineRunner
) -> None:
    add_device(runner.engine, "MAC-1", serial_number="C02SECRET")
    path = link_of(ana)
    stranger = Browser(visitor.app)

    page = stranger.get(path)
    assert ("Send what was found" in page.text, "C02SECRET" in page.text, evidence(runner)) == (True, False, [])

    assert stranger.post(path).status == 200
    assert evidence(runner) == [("MAC-1", "reached_plain", "127.0.0.1")]
    assert "own link without TLS" in ana.get("/devices/MAC-1").text


def test_a_link_that_opens_nothing_says_so_and_the_page_holds(visitor: Browser, runner: InlineRunner) -> None:
    reply = visitor.post("/reach/AAAA")

    assert (reply.status, 'role="alert"' in reply.text, "5223" in reply.text) == (400, True, True)
    assert evidence(runner) == []
    assert visitor.ask("POST", "/reach/AAAA", (("sec-fetch-site", "cross-site"),)).status == 403


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.HELPDESK, 200)])
def test_links_are_made_by_those_who_help(ana: Browser, runner: InlineRunner, role: Role, status: int) -> None:
    add_device(runner.engine, "MAC-1")
    eve = signed_in(runner, "eve", role)

    assert eve.submit("/reach-links/MAC-1", {"form_token": form_token(eve)}).status == status
    assert ana.submit("/reach-links/NOBODY", {"form_token": form_token(ana)}).status == 404
    assert ana.submit("/reach-links/MAC-1", {}).status == 400


def test_visits_are_bounded_for_each_network(visitor: Browser) -> None:
    statuses = [visitor.get("/reach").status for _ in range(VISITS + 1)]

    assert statuses == [200] * VISITS + [429]


def test_the_count_of_a_network_ends_with_its_window_and_memory_is_bounded() -> None:
    count = VisitCount()
    before = [count.is_too_many("2001:db8::1", NOW) for _ in range(VISITS)]

    assert not any(before)
    assert count.is_too_many("2001:db8::ffff", NOW)
    assert not count.is_too_many("2001:db9::1", NOW)
    assert not count.is_too_many("2001:db8::1", NOW + WINDOW)
    for number in range(KEPT + 10):
        count.is_too_many(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", NOW)
    assert len(count._windows) == KEPT


def test_the_mark_of_trusted_proxies_is_the_one_that_they_leave() -> None:
    assert PROXY == presented.PROXY
