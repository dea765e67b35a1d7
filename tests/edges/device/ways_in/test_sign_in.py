"""Where a link asks for a person, nobody gets a profile before signing in, and signing in is what it seems."""

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from tests.edges.device.doors import Doors, Reply
from tests.support.profiles import scep_of
from tests.support.site import Site

from muster.crypto.cms.signed_data import verify_attached
from muster.domain.enrollment_users import FAILURES_PER_USER
from muster.edges.device.ways_in.forms import MAXIMUM_FORM_BYTES
from muster.operations.enrollment_links import LinkOrder
from muster.operations.enrollment_users import UserOrder, add_enrollment_users, disable_users
from muster.protocol.profile import decode_enrollment_profile
from muster.storage import schema

BROWSER = {"accept": "text/html,*/*;q=0.8"}
PASSWORD = "correct horse"
ADA = "ada@example.org"


@pytest.fixture
def token(ready: Site) -> str:
    ready.do(add_enrollment_users, UserOrder(ADA, PASSWORD))
    return ready.link(LinkOrder(1, timedelta(days=1), requires_sign_in=True)).token


def post(doors: Doors, token: str, password: str = PASSWORD, user_name: str = ADA, **headers: str) -> Reply:
    body = urlencode({"user_name": user_name, "password": password}).encode()
    sent = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", **BROWSER}
    return doors.ask("POST", f"/enroll/{token}/sign-in", body, {**sent, **headers})


def signed_in(doors: Doors, token: str) -> dict[str, str]:
    reply = post(doors, token)
    return {**BROWSER, "cookie": reply.headers["set-cookie"].partition(";")[0]}


def test_page_is_a_form_that_leads_to_the_profile(doors: Doors, token: str) -> None:
    form = doors.ask("GET", f"/enroll/{token}", headers=BROWSER)
    reply = post(doors, token)
    browser = {**BROWSER, "cookie": reply.headers["set-cookie"].partition(";")[0]}
    page = doors.ask("GET", reply.headers["location"], headers=browser)
    profile = doors.ask("GET", f"/enroll/{token}/profile", headers=browser)

    assert re.findall(rb'action="([^"]+)"', form.body) == [f"/enroll/{token}/sign-in".encode()]
    assert (reply.status, reply.headers["location"]) == (303, f"/enroll/{token}")
    assert b"You are signed in as ada@example.org." in page.body
    assert profile.headers["content-type"] == "application/x-apple-aspen-config"
    made = decode_enrollment_profile(verify_attached(profile.body, allow_legacy=False).content)
    assert made.assigned_managed_apple_id is None
    [(opened,)] = doors.site.rows(sa.select(schema.audit.c.detail).where(schema.audit.c.act == "enrollment_link.open"))
    assert opened == {"user": ADA, "identity": dict(scep_of(made).subject)["CN"]}


def test_cookie_is_kept_from_scripts_other_sites_and_plain_http(doors: Doors, token: str) -> None:
    cookie = post(doors, token).headers["set-cookie"]

    name, *attributes = cookie.split("; ")
    assert name.startswith("__Host-muster_enrollment=")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=1800", "Path=/", "SameSite=Strict", "Secure"]


@pytest.mark.parametrize("headers", [{}, BROWSER, {"cookie": "__Host-muster_enrollment=" + "x" * 32}])
@pytest.mark.parametrize("path", ["/enroll/{token}/profile", "/enroll/{token}"])
def test_nobody_gets_a_profile_without_signing_in(doors: Doors, token: str, path: str, headers: dict[str, str]) -> None:
    reply = doors.ask("GET", path.format(token=token), headers=headers)

    assert reply.headers["content-type"].startswith("text/")
    assert doors.site.rows(sa.select(schema.challenges)) == []


def test_session_ends_by_time_and_with_its_user(doors: Doors, token: str) -> None:
    browser = signed_in(doors, token)
    doors.site.do(disable_users, ADA)

    assert doors.ask("GET", f"/enroll/{token}/profile", headers=browser).status == 403


def test_wrong_password_shows_the_form_again_and_is_recorded(doors: Doors, token: str) -> None:
    reply = post(doors, token, password="wrong <script>")

    assert reply.status == 403
    assert b"The user name or the password is wrong." in reply.body
    assert f'value="{ADA}"'.encode() in reply.body
    assert b"<script" not in reply.body
    assert "set-cookie" not in reply.headers
    assert doors.site.rumours() == [("", "sign_in_wrong", 1)]


def test_hostile_user_name_is_escaped(doors: Doors, token: str) -> None:
    reply = post(doors, token, user_name='"><script>alert(1)</script>')

    assert b"<script" not in reply.body


def test_attempts_are_limited(doors: Doors, token: str) -> None:
    for _ in range(FAILURES_PER_USER):
        post(doors, token, password="x" * 300)  # not even hashed, and not counted
    assert post(doors, token).status == 303
    for _ in range(FAILURES_PER_USER):
        post(doors, token, password="wrong")

    limited = post(doors, token)

    assert limited.status == 403
    assert b"too many attempts" in limited.body


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"content-type": "text/plain"}])
def test_form_of_another_site_or_shape_is_refused_unread(doors: Doors, token: str, headers: dict[str, str]) -> None:
    reply = post(doors, token, **headers)

    assert reply.status == 400
    assert "set-cookie" not in reply.headers
    assert doors.site.rows(sa.select(schema.sign_in_attempts)) == []


def test_oversized_form_is_refused(doors: Doors, token: str) -> None:
    assert post(doors, token, password="x" * MAXIMUM_FORM_BYTES).status == 413


@pytest.mark.parametrize(("method", "status"), [("GET", 303), ("HEAD", 405), ("PUT", 405), ("DELETE", 405)])
def test_form_is_posted(doors: Doors, token: str, method: str, status: int) -> None:
    reply = doors.ask(method, f"/enroll/{token}/sign-in")

    assert reply.status == status
    assert reply.headers.get("location") in {None, f"/enroll/{token}"}


def test_sign_in_at_a_link_that_is_no_more_is_refused(doors: Doors, token: str) -> None:
    doors.site.wait(days=1)

    assert post(doors, token).status == 403
    assert doors.site.rows(sa.select(schema.sign_in_attempts)) == []
