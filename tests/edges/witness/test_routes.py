"""Witnesses post through ASGI: what is answered, and that errors are problem documents."""

import json
from collections.abc import Callable
from typing import TypeVar

import pytest
from starlette.applications import Starlette
from tests.support import fleet
from tests.support.browser import Browser, Reply
from tests.support.runner import InlineRunner

from muster.domain.control.witness import MAXIMUM_POSTS, WitnessKind
from muster.edges.witness.routes import SIGHTINGS_PATH, make_witness_api
from muster.operations.limit_guesses import GUESSES
from muster.operations.manage_witnesses import NewToken, WitnessOrder, add_witnesses
from muster.protocol.sightings import MAX_BODY_BYTES
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable
from muster.storage.sqlite import SqliteEngine

T = TypeVar("T")
JSON = ("content-type", "application/json; charset=utf-8")


@pytest.fixture
def runner(sqlite_engine: SqliteEngine) -> InlineRunner:
    """An installation with one device."""
    fleet.add_device(sqlite_engine, "ADA", serial_number="C02XK1")
    return InlineRunner(sqlite_engine)


@pytest.fixture
def token(runner: InlineRunner) -> str:
    """That of a witness."""
    context = runner.context()
    made = runner.engine.write(lambda tx: add_witnesses(tx, [WitnessOrder("edr", WitnessKind.EDR)], context))[0]
    assert isinstance(made, NewToken)
    return made.token


def post(runner: InlineRunner, body: bytes, *headers: tuple[str, str], method: str = "POST") -> Reply:
    return Browser(Starlette(routes=make_witness_api(runner))).ask(method, SIGHTINGS_PATH, headers, body)


def by(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


def problem(reply: Reply) -> tuple[int, str]:
    assert reply.header("content-type") == "application/problem+json"
    assert reply.json()["status"] == reply.status
    return reply.status, reply.json()["title"]


def test_what_was_seen_is_noted_and_the_rest_is_told(runner: InlineRunner, token: str) -> None:
    at = runner.time.isoformat()
    items = [{"device": {"serial": "C02XK1"}, "at": at}, {"device": {"udid": "EVE"}, "at": at}]

    reply = post(runner, json.dumps({"sightings": items}).encode(), JSON, by(token))

    assert reply.status == 200
    assert reply.json() == {
        "noted": 1,
        "nothing_new": 0,
        "unknown": [{"pointer": "/sightings/1", "device": {"udid": "EVE"}}],
        "ambiguous": [],
    }


def test_fault_is_named_and_nothing_is_noted(runner: InlineRunner, token: str) -> None:
    at = runner.time.isoformat()
    items = [{"device": {"serial": "C02XK1"}, "at": at}, {"device": {"udid": "EVE"}, "at": "noon"}]

    reply = post(runner, json.dumps({"sightings": items}).encode(), JSON, by(token))

    assert problem(reply)[0] == 400
    assert [fault["pointer"] for fault in reply.json()["errors"]] == ["/sightings/1/at"]
    [again] = [post(runner, json.dumps({"sightings": items[:1]}).encode(), JSON, by(token))]
    assert again.json()["noted"] == 1


def test_who_has_no_token_of_ours_is_asked_for_it(runner: InlineRunner) -> None:
    assert problem(post(runner, b"{}", JSON)) == (401, "Who is it?")
    assert problem(post(runner, b"{}", JSON, by("guess"))) == (401, "The token is not known")
    assert post(runner, b"{}", JSON, by("guess")).header("www-authenticate") == 'Bearer error="invalid_token"'


def test_other_methods_forms_and_sizes_are_refused(runner: InlineRunner, token: str) -> None:
    large = b" " * (MAX_BODY_BYTES + 1)

    assert problem(post(runner, b"", by(token), method="GET"))[0] == 405
    assert problem(post(runner, b"{}", ("content-type", "text/plain"), by(token)))[0] == 415
    assert problem(post(runner, large, JSON, by(token)))[0] == 413
    assert problem(post(runner, b"{", JSON, by(token)))[0] == 400


def test_who_posts_too_often_is_told_when_to_come_back(runner: InlineRunner, token: str) -> None:
    replies = [post(runner, b'{"sightings": []}', JSON, by(token)) for _ in range(MAXIMUM_POSTS + 1)]

    assert [reply.status for reply in replies] == [200] * MAXIMUM_POSTS + [429]
    assert replies[-1].header("retry-after") == "60"


def test_guesses_of_an_address_are_bounded_and_its_witnesses_go_on(runner: InlineRunner, token: str) -> None:
    door = Browser(Starlette(routes=make_witness_api(runner)))

    def ask(shown: str) -> int:
        return door.ask("POST", SIGHTINGS_PATH, (JSON, by(shown)), b'{"sightings": []}').status

    assert ask(token) == 200
    assert [ask("guess") for _ in range(GUESSES + 1)] == [401] * GUESSES + [429]
    assert ask(token) == 200


class _Gone(InlineRunner):
    """A runner whose database is away."""

    async def read(self, view: Callable[[Transaction], T]) -> T:  # noqa: ARG002 - there is nothing to view
        raise Unavailable("the database can't be used now")


def test_without_a_database_the_post_may_come_again(runner: InlineRunner) -> None:
    reply = post(_Gone(runner.engine), b"{}", JSON, by("any"))

    assert problem(reply)[0] == 503
    assert reply.header("retry-after") == "60"
