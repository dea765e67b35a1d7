"""Secrets are revealed one at a time, for a reason, and are nowhere else."""

import pytest
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.operations.test_keep_secrets import set_lock
from tests.support.browser import Browser, Reply
from tests.support.runner import InlineRunner
from tests.support.site import MAC, Site, id_of

from muster.domain.roles import Role
from muster.operations.views.audit import list_acts

DEVICE = id_of(MAC)
SECRET = "correct-horse-7"


@pytest.fixture
def locked(site: Site) -> Site:
    """A site whose Mac has a recovery lock."""
    identity = site.enroll()
    site.answers(identity, set_lock(SECRET))
    return site


def reveal(browser: Browser, **fields: str) -> Reply:
    whole = {"act": "reveal", "kind": "recovery_lock", "number": "0", "subject": "", "reason": "ticket 7", **fields}
    return browser.submit(f"/secrets/{DEVICE}", {"form_token": form_token(browser), **whole})


def test_a_secret_is_shown_for_a_minute_and_kept_nowhere(ana: Browser, locked: Site) -> None:
    reply = reveal(ana)

    assert reply.status == 200
    assert SECRET in reply.text
    assert reply.header("cache-control") == "no-store"
    assert reply.header("refresh") == f"60; url=/secrets/{DEVICE}"
    assert reply.header("content-encoding") == "identity"
    for path in (f"/secrets/{DEVICE}", f"/devices/{DEVICE}", f"/fragments/devices/{DEVICE}", "/audit"):
        assert SECRET not in ana.get(path).text


def test_who_saw_it_and_why_is_in_the_audit_log(ana: Browser, locked: Site) -> None:
    reveal(ana, reason="<b>ticket 7</b>")

    [row] = locked.engine.read(lambda tx: list_acts(tx, limit=5, act="secret.reveal"))
    assert (row.detail["reason"], row.detail["kind"]) == ("<b>ticket 7</b>", "recovery_lock")
    assert "<b>ticket 7</b>" not in ana.get("/audit").text


def test_without_a_reason_nothing_is_shown(ana: Browser, locked: Site) -> None:
    reply = reveal(ana, reason="  ")

    assert reply.status == 400
    assert SECRET not in reply.text
    assert "no reason was given" in reply.text.lower()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.HELPDESK])
def test_a_role_without_it_is_refused_and_audited(ana: Browser, locked: Site, runner: InlineRunner, role: Role) -> None:
    eve = signed_in(runner, "eve", role)

    reply = reveal(eve)

    assert reply.status == 403
    assert SECRET not in reply.text
    assert "takes the role operator" in eve.get(f"/secrets/{DEVICE}").text
    assert len(locked.engine.read(lambda tx: list_acts(tx, limit=5, act="refused"))) == 1


@pytest.mark.parametrize("fields", [{"kind": "diary"}, {"number": "-1"}, {"number": "99999"}, {"number": "²"}])
def test_a_form_that_names_no_secret_shows_none(ana: Browser, locked: Site, fields: dict[str, str]) -> None:
    assert reveal(ana, **fields).status == 400


def test_a_number_that_there_is_not_is_said(ana: Browser, locked: Site) -> None:
    assert reveal(ana, number="7").status == 404


def test_a_secret_is_never_shown_by_a_link(ana: Browser, locked: Site) -> None:
    text = ana.get(f"/secrets/{DEVICE}?act=reveal&kind=recovery_lock&number=0&subject=&reason=x").text

    assert SECRET not in text


def test_the_device_is_had_to_take_a_new_one(ana: Browser, locked: Site) -> None:
    reply = reveal(ana, act="rotate")

    assert reply.status in (303, 409)
    assert SECRET not in reply.text
    if reply.status == 303:
        location = reply.header("location") or ""
        assert "It holds a secret" in ana.get(location).text
