"""How programs are let in, how often, and what they are told where something is wrong."""

from typing import Any

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.support.admin_api import Program, make_token, mounted, program
from tests.support.browser import Browser
from tests.support.instants import NOON
from tests.support.pushed_fleet import add_fleet
from tests.support.site import Site

from muster.domain.errors import RefusalCode
from muster.domain.roles import Role
from muster.edges.api.application import AdminApi
from muster.edges.api.endpoints import Endpoint
from muster.edges.api.problems import KINDS
from muster.edges.api.table import TABLE
from muster.operations.limit_guesses import GUESSES
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.manage_tokens import revoke_tokens
from muster.storage.errors import Unavailable
from muster.storage.schema import api_tokens


@pytest.fixture
def owner(site: Site) -> Program:
    return program(site)


@pytest.mark.parametrize("one", TABLE, ids=lambda one: one.name)
def test_without_a_token_nothing_is_answered(reused_sqlite: Any, one: Endpoint) -> None:
    stranger = Program(Browser(mounted(Site(reused_sqlite))), "")

    reply = stranger.ask(one.method, one.path.replace("{", "").replace("}", ""))

    assert reply.status == 401
    assert reply.header("www-authenticate") == 'Bearer realm="muster"'
    assert reply.header("content-type") == "application/problem+json"
    assert reply.json()["code"] == "credentials_missing"


@pytest.mark.parametrize("shown", ["muster_unknown", "Basic", "", "muster_" + "x" * 10_000, "muster_\xe9"])
def test_what_is_no_token_opens_nothing(site: Site, shown: str) -> None:
    assert Program(Browser(mounted(site)), shown or " ").ask("GET", "/fleet").status == 401


def test_unknown_tokens_of_an_address_are_looked_for_so_often_only(site: Site, owner: Program) -> None:
    assert owner.ask("GET", "/fleet").status == 200
    stranger = Program(owner.browser, "")
    asked = [stranger.ask("GET", "/fleet", authorization=f"Bearer muster_{number}") for number in range(GUESSES)]

    shut = stranger.ask("GET", "/fleet", authorization=f"Bearer {make_token(site)}")  # good, and not looked for

    assert {one.status for one in asked} == {401}
    assert (shut.status, shut.json()["code"]) == (429, "too_many_requests")
    assert int(shut.header("retry-after") or 0) > 0
    assert owner.ask("GET", "/fleet").status == 200


def test_cookies_open_nothing(site: Site) -> None:
    stranger = Program(Browser(mounted(site)), "")
    stranger.browser.cookies["session"] = make_token(site)

    assert stranger.ask("GET", "/fleet").status == 401


def test_revoked_token_opens_nothing(site: Site, owner: Program) -> None:
    [(name,)] = site.rows(sa.select(api_tokens.c.name))
    assert owner.ask("GET", "/fleet").status == 200

    site.do(revoke_tokens, name)

    assert owner.ask("GET", "/fleet").status == 401


def test_token_asks_as_often_as_it_may_and_is_told_when_again(site: Site) -> None:
    one, other = program(site, requests_per_minute=3), make_token(site)

    replies = [one.ask("GET", "/fleet") for _ in range(4)]
    besides = Program(one.browser, other).ask("GET", "/fleet")
    site.wait(seconds=20)
    later = one.ask("GET", "/fleet")

    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert [reply.header("ratelimit") for reply in replies[:3]] == [
        '"token";r=2;t=20',
        '"token";r=1;t=40',
        '"token";r=0;t=60',
    ]
    assert replies[3].header("retry-after") == "20"
    assert replies[3].json()["code"] == "too_many_requests"
    assert (besides.status, later.status) == (200, 200)


@pytest.mark.parametrize("path", ["/", "/nothing", "/devices/A/nothing", "/fleet/", "/openapi.json/x"])
def test_there_is_nothing_at_other_addresses(owner: Program, path: str) -> None:
    reply = owner.ask("GET", path)

    assert (reply.status, reply.json()["code"]) == (404, "nothing_here")


def test_other_methods_are_told_which_there_are(owner: Program) -> None:
    reply = owner.ask("DELETE", "/fleet")

    assert (reply.status, reply.header("allow")) == (405, "GET, HEAD")


def test_head_is_answered_as_get(owner: Program) -> None:
    assert owner.ask("HEAD", "/fleet").header("etag") == owner.ask("GET", "/fleet").header("etag")


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("limit=0", "query.limit"),
        ("limit=501", "query.limit"),
        ("limit=x", "query.limit"),
        ("limit=1&limit=2", "query.limit"),
        ("order=loudest", "query.order"),
        ("state=lost", "query.state"),
        ("sort=name", "query.sort"),
        ("search=%00", "query.search"),
        ("where=", "query.where"),
        ("cursor=nonsense", "query.cursor"),
        ("cursor=WyJ4IiwgMV0", "query.cursor"),
        ("search=%FF", "query"),
    ],
)
def test_wrong_parameters_are_named(owner: Program, query: str, path: str) -> None:
    reply = owner.ask("GET", f"/devices?{query}")

    assert reply.status == 400
    assert [one["path"] for one in reply.json()["errors"]] == [path]


def test_address_that_takes_no_parameters_takes_none(owner: Program) -> None:
    assert owner.ask("GET", "/fleet?verbose=1").json()["errors"][0]["path"] == "query.verbose"


def test_wrong_query_is_told_where_it_is_wrong(owner: Program) -> None:
    reply = owner.ask("GET", "/devices?where=colour%20%3D%20'red'")

    assert (reply.status, reply.json()["code"]) == (422, "query_unfit")
    assert "column 1" in reply.json()["detail"]


def test_what_is_at_hand_is_not_sent_again(owner: Program) -> None:
    first = owner.ask("GET", "/devices")

    again = owner.ask("GET", "/devices", if_none_match=f'"x", {first.header("etag")}')

    assert (again.status, again.body) == (304, b"")
    assert again.header("etag") == first.header("etag")


def test_every_refusal_has_a_problem_of_its_own_that_is_explained(site: Site) -> None:
    stranger = Program(Browser(mounted(site)), "")

    told = {code: stranger.get(f"/problems/{code}") for code in KINDS}

    assert {code.value for code in RefusalCode} <= set(told)
    assert all(one["type"] == f"/api/v1/problems/{code}" and one["title"] for code, one in told.items())


def test_nothing_of_an_answer_is_kept_by_those_on_the_way(owner: Program) -> None:
    reply = owner.ask("GET", "/devices")

    assert reply.header("cache-control") == "no-store"
    assert reply.header("x-content-type-options") == "nosniff"


class _Failing:
    """A runner that can't, as *error* says."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def read(self, _view: object) -> Any:
        raise self._error

    write = read

    def now(self) -> Any:
        return NOON


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(Unavailable("gone"), 503, "unavailable"), (RuntimeError("secret"), 500, "fault")],
)
def test_what_fails_here_is_said_and_no_more(error: Exception, status: int, code: str) -> None:
    runner: Any = _Failing(error)
    app = Starlette(routes=[Mount("/api/v1", app=AdminApi(runner))])

    reply = Program(Browser(app), "muster_x").ask("GET", "/fleet")

    assert (reply.status, reply.json()["code"]) == (status, code)
    assert "secret" not in reply.text


def test_who_is_limited_sees_devices_of_their_groups_alone(site: Site) -> None:
    inside, outside = add_fleet(site, 2)
    site.do(create_groups, GroupOrder("lab", f"id = '{inside}'"))
    limited = program(site, Role.OPERATOR, "lab")

    listed = limited.get("/devices")
    filtered = limited.get(f"/devices?where=id%20%3D%20'{outside}'%20or%20id%20is%20known")
    exported = limited.ask("GET", "/devices/export")

    assert ([one["id"] for one in listed["items"]], listed["total"]) == ([inside], 1)
    assert [one["id"] for one in filtered["items"]] == [inside]
    assert exported.text.count("\n") == 1
    assert limited.ask("GET", f"/devices/{outside}").json()["code"] == "not_found"
    assert limited.ask("GET", "/fleet").json()["code"] == "scope_exceeded"
