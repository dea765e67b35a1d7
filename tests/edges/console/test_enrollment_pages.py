"""Links to enroll: made, shown once with a code, ended, by those alone who may."""

import re

import pytest
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support.browser import Browser
from tests.support.runner import InlineRunner

from muster.domain.access import IdentityKind, LinkKind
from muster.domain.roles import Role
from muster.storage import identities

FIELDS = {"note": "Workshop", "kind": "profile", "uses": "3", "days": "30", "identity": "scep"}


def links(runner: InlineRunner) -> list[identities.ListedLink]:
    return runner.engine.read(lambda tx: identities.all_links(tx, 10))


def make(browser: Browser, **fields: str) -> str:
    reply = browser.submit("/enrollment", {**FIELDS, "form_token": form_token(browser), **fields})
    assert reply.status == 200, reply.text
    return reply.text


def test_a_link_is_made_and_shown_once_with_a_code(ana: Browser, runner: InlineRunner) -> None:
    shown = make(ana)
    found = re.search(r"http://localhost/enroll/[\w-]{32}", shown)
    [stored] = links(runner)

    assert found is not None
    assert "<svg" in shown[shown.index('class="qr"') :]
    assert found[0] not in ana.get("/enrollment").text
    assert (stored.link.note, stored.link.uses_allowed, stored.created_by) == ("Workshop", 3, "ana")
    assert (stored.link.expires_at - stored.link.created_at).days == 30


def test_what_is_rarely_needed_is_heeded(ana: Browser, runner: InlineRunner) -> None:
    make(
        ana,
        kind="ade",
        uses="",
        sign_in="yes",
        not_removable="yes",
        serials="c02abc, C02DEF\nc02abc",
        required_os=" 17.4.1 ",
    )

    [stored] = links(runner)
    assert stored.link.kind is LinkKind.ADE
    assert stored.link.uses_allowed is None
    assert (stored.link.requires_sign_in, stored.link.is_removal_disallowed) == (True, True)
    assert stored.link.serial_numbers == frozenset({"C02ABC", "C02DEF"})
    assert stored.link.required_os_version == "17.4.1"
    assert stored.link.identity_kind is IdentityKind.SCEP


@pytest.mark.parametrize(
    "fields",
    [
        {"uses": "0"},
        {"uses": "-1"},
        {"uses": "9" * 30},
        {"uses": "٣"},
        {"days": "36500"},
        {"days": ""},
        {"kind": "magic"},
        {"serials": "C02/ABC"},
        {"kind": "account_user", "serials": "C02ABC"},
        {"identity": "pkcs12"},
    ],
)
def test_what_can_be_no_link_is_refused_and_what_was_typed_is_kept(
    ana: Browser, runner: InlineRunner, fields: dict[str, str]
) -> None:
    reply = ana.submit("/enrollment", {**FIELDS, "form_token": form_token(ana), **fields})

    assert reply.status == 400
    assert 'role="alert"' in reply.text
    assert 'value="Workshop"' in reply.text
    assert links(runner) == []


def test_a_link_is_ended(ana: Browser, runner: InlineRunner) -> None:
    make(ana)
    [stored] = links(runner)
    path = f"/enrollment/{stored.link.id}/end"

    assert ana.submit(path, {"form_token": form_token(ana)}).status == 303
    page = ana.get("/enrollment").text
    assert "No link is open" in page
    assert "Ended" in page
    assert ana.submit("/enrollment/NONE/end", {"form_token": form_token(ana)}).status == 400


def test_a_link_by_account_names_the_policy_that_devices_need(ana: Browser, runner: InlineRunner) -> None:
    shown = make(ana, kind="account_user")

    [stored] = links(runner)
    assert f"/account/enroll/{stored.link.id}" in shown
    assert "never again" not in shown
    assert "muster policy set account_driven" in shown


def test_those_who_may_not_enroll_see_links_and_make_none(ana: Browser, runner: InlineRunner) -> None:
    make(ana)
    [stored] = links(runner)
    eve = signed_in(runner, "eve", Role.HELPDESK)
    fields = {**FIELDS, "form_token": form_token(eve)}

    page = eve.get("/enrollment")
    assert (page.status, "Workshop" in page.text, "<form class" in page.text) == (200, True, True)
    assert 'action="/enrollment' not in page.text
    assert eve.submit("/enrollment", fields).status == 403
    assert eve.submit(f"/enrollment/{stored.link.id}/end", fields).status == 403
    assert [one.link.revoked_at for one in links(runner)] == [None]


@pytest.mark.parametrize("path", ["/enrollment", "/enrollment/ID/end"])
def test_a_form_without_its_token_changes_nothing(ana: Browser, runner: InlineRunner, path: str) -> None:
    assert ana.submit(path, FIELDS).status == 400
    assert ana.ask("POST", path, (("sec-fetch-site", "cross-site"),)).status == 403
    assert Browser(ana.app).submit(path, FIELDS).header("location") == "/sign-in"
    assert links(runner) == []


def test_what_a_link_is_for_is_shown_as_it_is(ana: Browser) -> None:
    shown = make(ana, note="<script>alert(1)</script>")

    assert "<script>alert" not in shown + ana.get("/enrollment").text
