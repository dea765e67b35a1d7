"""Who is let in at the familiar door, and what there is behind it."""

import base64
from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from tests.support.browser import Browser, Reply
from tests.support.familiar_door import BY_KEY, KEY, FamiliarDoor
from tests.support.pushed_fleet import add_fleet
from tests.support.site import Site

from muster.domain.roles import Role
from muster.edges.nanomdm.routes import make_closed_door
from muster.operations.limit_guesses import GUESSES
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.manage_tokens import NewToken, TokenOrder, create_tokens, revoke_tokens
from muster.protocol.command import Command, encode_command
from muster.protocol.identifiers import CommandUUID
from muster.storage import schema


@pytest.fixture
def door(site: Site) -> FamiliarDoor:
    """The door of an empty site."""
    return FamiliarDoor(site)


def basic(user: str, password: str, scheme: str = "Basic") -> tuple[str, str]:
    return "authorization", f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize("path", ["/version", "/v1/version"])
def test_version_is_told_to_everybody(door: FamiliarDoor, path: str) -> None:
    reply = door.browser.get(path)

    assert reply.body == b'{"version":"1.2.3"}'
    assert reply.header("content-type") == "application/json"


GUARDED = ["/v1/pushcert", "/v1/push/X", "/v1/enqueue/X", "/v1/escrowkeyunlock"]


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "shown",
    [
        (),
        (basic("nanomdm", "another key"),),
        (basic("admin", KEY),),
        (("authorization", f"Bearer {KEY}"),),
        (("authorization", "Basic nanomdm:key"),),
        (("authorization", "Basic "),),
    ],
)
def test_without_the_key_nothing_is_opened(door: FamiliarDoor, path: str, shown: tuple[tuple[str, str], ...]) -> None:
    reply = door.browser.ask("PUT", path, shown, b"")

    assert reply.status == 401
    assert reply.header("www-authenticate") == 'Basic realm="nanomdm"'
    assert reply.header("content-type") == "text/plain; charset=utf-8"
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.body == b"Unauthorized\n"


def test_scheme_is_taken_in_any_case(door: FamiliarDoor) -> None:
    reply = door.browser.ask("GET", "/v1/pushcert", (basic("nanomdm", KEY, "bAsIc"),))

    assert reply.status == 400


def not_found(reply: Reply) -> tuple[int, bytes]:
    return reply.status, reply.body


def test_what_is_not_there_is_not_found_with_or_without_a_key(door: FamiliarDoor) -> None:
    expected = (404, b"404 page not found\n")

    assert not_found(door.ask("GET", "/v1/devices")) == expected
    assert not_found(door.browser.get("/v1/devices")) == expected


def token(site: Site, role: Role, *groups: str) -> tuple[str, str]:
    """What a program shows that has an API token."""
    made = site.do(create_tokens, TokenOrder(f"{role.value} {groups}", role, timedelta(days=1), groups))[0]
    assert isinstance(made, NewToken)
    return basic("nanomdm", made.secret)


def test_api_token_opens_what_its_role_allows(door: FamiliarDoor) -> None:
    [one] = add_fleet(door.site, 1)
    erase = encode_command(Command(CommandUUID("E"), "EraseDevice"))
    by_helpdesk, by_viewer = token(door.site, Role.HELPDESK), token(door.site, Role.VIEWER)
    asking = encode_command(Command(CommandUUID("A"), "ProfileList"))

    asked = door.browser.ask("PUT", f"/v1/enqueue/{one}?nopush=1", [by_helpdesk], asking)
    refused = [
        door.browser.ask("PUT", f"/v1/enqueue/{one}?nopush=1", [by_helpdesk], erase),
        door.browser.ask("PUT", f"/v1/push/{one}", [by_viewer]),
        door.browser.ask("PUT", "/v1/pushcert", [by_helpdesk], b"x"),
    ]

    assert asked.status == 200
    assert ["role" in reply.text for reply in refused] == [True] * 3
    assert [reply.status for reply in refused] == [500, 500, 400]
    assert door.site.rows(sa.select(schema.queue.c.command_uuid)) == [("A",)]


def test_api_token_of_a_group_touches_no_other_device(door: FamiliarDoor) -> None:
    inside, outside = add_fleet(door.site, 2)
    door.site.do(create_groups, GroupOrder("lab", f"id = '{inside}'"))
    by_token = token(door.site, Role.OPERATOR, "lab")
    asking = encode_command(Command(CommandUUID("A"), "ProfileList"))

    refused = door.browser.ask("PUT", f"/v1/enqueue/{inside},{outside}?nopush=1", [by_token], asking)
    asked = door.browser.ask("PUT", f"/v1/enqueue/{inside}?nopush=1", [by_token], asking)

    assert (refused.status, asked.status) == (500, 200)
    assert "no such device" in refused.json()["command_error"]
    assert door.site.rows(sa.select(schema.queue.c.channel_id)) == [(inside,)]


def test_revoked_token_opens_nothing(door: FamiliarDoor) -> None:
    by_token = token(door.site, Role.OWNER)
    assert door.browser.ask("GET", "/v1/pushcert", [by_token]).status == 400
    door.site.do(revoke_tokens, f"{Role.OWNER.value} ()")

    assert door.browser.ask("GET", "/v1/pushcert", [by_token]).status == 401


def test_who_it_was_stands_in_the_audit_log(door: FamiliarDoor) -> None:
    [one] = add_fleet(door.site, 1)
    asking = encode_command(Command(CommandUUID("A"), "ProfileList"))

    door.ask("PUT", f"/v1/enqueue/{one}?nopush=1", asking)

    table = schema.audit
    acts = door.site.rows(sa.select(table.c.actor_kind, table.c.actor_name, table.c.source, table.c.act))
    assert ("program", "nanomdm", "127.0.0.1", "command.queue") in acts


@pytest.mark.parametrize(
    "sent", [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://elsewhere.example")]
)
def test_pages_of_other_sites_open_nothing_with_what_a_browser_remembers(
    door: FamiliarDoor, sent: tuple[str, str]
) -> None:
    reply = door.browser.ask("GET", "/v1/pushcert", [BY_KEY, sent])

    assert (reply.status, reply.body) == (403, b"Forbidden\n")
    assert door.ask("GET", "/v1/pushcert").status == 400


def test_guesses_of_an_address_are_bounded_and_its_programs_go_on(door: FamiliarDoor) -> None:
    by_token = token(door.site, Role.OWNER)
    assert door.browser.ask("GET", "/v1/pushcert", [by_token]).status == 400
    guesses = [basic("nanomdm", f"muster_{number}") for number in range(GUESSES)]

    refused = {door.browser.ask("GET", "/v1/pushcert", [one]).status for one in guesses}
    shut = door.browser.ask("GET", "/v1/pushcert", [basic("nanomdm", "muster_x")])

    assert refused == {401}
    assert (shut.status, shut.body) == (429, b"Too Many Requests\n")
    assert int(shut.header("retry-after") or 0) > 0
    assert door.browser.ask("GET", "/v1/pushcert", [by_token]).status == 400
    assert door.ask("GET", "/v1/pushcert").status == 429  # the key itself was never shown from there


def test_where_there_is_no_door_programs_are_told_so() -> None:
    stranger = Browser(Starlette(routes=make_closed_door()))

    assert not_found(stranger.ask("PUT", "/v1/enqueue/X", [BY_KEY], b"")) == (404, b"404 page not found\n")
