"""Receivers of shared signals come through HTTP: what they are answered, and what strangers are."""

import json
from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar

import pytest
from starlette.applications import Starlette
from tests.support import fleet
from tests.support.browser import Browser, Reply
from tests.support.runner import InlineRunner

from muster.edges.signals.routes import make_signals_api
from muster.operations.first_start import lay_foundation
from muster.operations.limit_guesses import GUESSES
from muster.operations.manage_signals import NewReceiver, ReceiverOrder, add_receivers
from muster.protocol.shared_signals import DEVICE_COMPLIANCE_CHANGE, MAX_BODY_BYTES, VERIFICATION
from muster.storage import installations
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable
from muster.storage.sqlite import SqliteEngine

T = TypeVar("T")
US = "https://mdm.example"
STREAMS = "/signals/streams"


class Visitor:
    """Somebody who asks, with a token or without."""

    def __init__(self, runner: InlineRunner, token: str | None) -> None:
        self._browser = Browser(Starlette(routes=make_signals_api(runner, long_poll_seconds=0.01)))
        self._token = token

    def as_one_with(self, token: str) -> "Visitor":
        """Somebody at the same door, and at the same address, who shows another token."""
        other = copy(self)
        other._token = token
        return other

    def ask(self, method: str, path: str, body: Any = None) -> Reply:
        headers = [] if self._token is None else [("authorization", f"Bearer {self._token}")]
        octets = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self._browser.ask(method, path, headers, octets)

    def create(self, **members: Any) -> str:
        reply = self.ask("POST", STREAMS, members)
        assert reply.status == 201, reply.text
        stream_id: str = reply.json()["stream_id"]
        return stream_id


@pytest.fixture
def runner(sqlite_engine: SqliteEngine) -> InlineRunner:
    """An installation that is reached at US and has one device."""
    runner = InlineRunner(sqlite_engine)
    context = runner.context()
    sqlite_engine.write(lambda tx: lay_foundation(tx, [""], context))
    sqlite_engine.write(lambda tx: installations.set_urls(tx, public_url=US, check_in_url=None))
    fleet.add_device(sqlite_engine, "ADA")
    return runner


@pytest.fixture
def receiver(runner: InlineRunner) -> Visitor:
    context = runner.context()
    order = ReceiverOrder("idp", "https://idp.example")
    made = runner.engine.write(lambda tx: add_receivers(tx, [order], context))[0]
    assert isinstance(made, NewReceiver)
    return Visitor(runner, made.token)


@pytest.fixture
def stranger(runner: InlineRunner) -> Visitor:
    return Visitor(runner, None)


@pytest.mark.usefixtures("receiver")
def test_anybody_learns_what_we_are_and_by_which_keys_we_sign(stranger: Visitor) -> None:
    described = stranger.ask("GET", "/.well-known/ssf-configuration")
    keys = stranger.ask("GET", "/signals/jwks").json()["keys"]

    assert described.json() == {
        "spec_version": "1_0",
        "issuer": US,
        "jwks_uri": f"{US}/signals/jwks",
        "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"],
        "configuration_endpoint": f"{US}/signals/streams",
        "status_endpoint": f"{US}/signals/status",
        "add_subject_endpoint": f"{US}/signals/subjects/add",
        "remove_subject_endpoint": f"{US}/signals/subjects/remove",
        "verification_endpoint": f"{US}/signals/verify",
        "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6750"}],
        "critical_subject_members": ["device"],
        "default_subjects": "ALL",
    }
    assert [set(key) for key in keys] == [{"e", "kty", "n", "kid", "use", "alg"}]


def test_stream_lives_through_its_addresses(receiver: Visitor) -> None:
    assert receiver.ask("GET", STREAMS).json() == []
    stream = receiver.create(events_requested=[DEVICE_COMPLIANCE_CHANGE, VERIFICATION], description="ours")
    one = receiver.ask("GET", f"{STREAMS}?stream_id={stream}").json()

    changed = receiver.ask("PATCH", STREAMS, {"stream_id": stream, "description": "theirs"})
    replaced = receiver.ask("PUT", STREAMS, {"stream_id": stream})
    paused = receiver.ask("POST", "/signals/status", {"stream_id": stream, "status": "paused", "reason": "r"})
    status = receiver.ask("GET", f"/signals/status?stream_id={stream}")
    removed = receiver.ask("DELETE", f"{STREAMS}?stream_id={stream}")

    assert one["delivery"]["endpoint_url"] == f"{US}/signals/poll/{stream}"
    assert one["events_delivered"] == [DEVICE_COMPLIANCE_CHANGE, VERIFICATION]
    assert (changed.status, changed.json()["description"]) == (200, "theirs")
    assert "description" not in replaced.json()
    assert (paused.status, status.json()) == (200, {"stream_id": stream, "status": "paused", "reason": "r"})
    assert (removed.status, removed.body) == (204, b"")
    assert receiver.ask("GET", f"{STREAMS}?stream_id={stream}").status == 404


def test_tokens_are_fetched_and_acknowledged(receiver: Visitor) -> None:
    stream = receiver.create()
    first = receiver.ask("POST", f"/signals/poll/{stream}", {})
    (token_id,) = first.json()["sets"]

    acknowledged = receiver.ask("POST", f"/signals/poll/{stream}", {"ack": [token_id]})
    nothing = receiver.ask("POST", f"/signals/poll/{stream}", {})  # waits in vain, for a moment
    at_once = receiver.ask("POST", f"/signals/poll/{stream}", {"returnImmediately": True})

    assert (first.status, first.header("content-type")) == (200, "application/json")
    assert first.json()["sets"][token_id].count(".") == 2
    assert acknowledged.json() == nothing.json() == at_once.json() == {"sets": {}}


def test_verification_and_subjects_are_taken(receiver: Visitor) -> None:
    stream = receiver.create()
    subject = {"format": "iss_sub", "iss": US, "sub": "ADA"}

    answers = [
        receiver.ask("POST", "/signals/verify", {"stream_id": stream, "state": "x"}),
        receiver.ask("POST", "/signals/verify", {"stream_id": stream}),
        receiver.ask("POST", "/signals/subjects/remove", {"stream_id": stream, "subject": subject}),
        receiver.ask("POST", "/signals/subjects/add", {"stream_id": stream, "subject": subject}),
        receiver.ask("POST", "/signals/subjects/add", {"stream_id": stream, "subject": {**subject, "sub": "none"}}),
    ]

    assert [one.status for one in answers] == [204, 429, 204, 200, 404]
    assert answers[1].header("retry-after") == "60"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", STREAMS, b"{", 400),
        ("POST", STREAMS, {"delivery": {"method": "urn:ietf:rfc:8935"}}, 400),
        ("POST", STREAMS, {"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": "https://u@h/"}}, 400),
        ("POST", STREAMS, b" " * (MAX_BODY_BYTES + 1), 400),
        ("PATCH", STREAMS, {}, 400),
        ("PATCH", STREAMS, {"stream_id": "none"}, 404),
        ("DELETE", STREAMS, None, 400),
        ("GET", "/signals/status", None, 400),
        ("POST", "/signals/status", {"stream_id": "s", "status": "asleep"}, 400),
        ("POST", "/signals/verify", {}, 400),
        ("POST", "/signals/subjects/add", {"stream_id": "s", "subject": {"format": "email"}}, 400),
        ("POST", "/signals/poll/none", {"returnImmediately": True}, 404),
        ("POST", "/signals/poll/none", [], 400),
        ("GET", "/signals/poll/none", None, 405),
        ("PUT", "/signals/verify", {}, 405),
    ],
)
def test_what_is_wrong_is_said_in_json(receiver: Visitor, method: str, path: str, body: Any, status: int) -> None:
    reply = receiver.ask(method, path, body)

    assert reply.status == status, reply.text
    assert set(reply.json()) == {"err", "description"}


@pytest.mark.parametrize("path", [STREAMS, "/signals/status", "/signals/verify", "/signals/poll/x"])
def test_strangers_are_asked_for_a_token(runner: InlineRunner, stranger: Visitor, path: str) -> None:
    method = "POST"

    nobody, wrong = stranger.ask(method, path, {}), Visitor(runner, "guessed").ask(method, path, _whole(path))

    assert (nobody.status, nobody.header("www-authenticate")) == (401, "Bearer")
    assert (wrong.status, wrong.header("www-authenticate")) == (401, 'Bearer error="invalid_token"')


def test_guesses_of_an_address_are_bounded_and_its_receivers_go_on(runner: InlineRunner, receiver: Visitor) -> None:
    assert receiver.ask("GET", STREAMS).status == 200
    guesser = receiver.as_one_with("guessed")
    statuses = [guesser.ask("GET", STREAMS).status for _ in range(GUESSES + 1)]

    assert statuses == [401] * GUESSES + [429]
    assert receiver.ask("GET", STREAMS).status == 200


def _whole(path: str) -> dict[str, str]:
    return {"stream_id": "s", "status": "paused"} if path in ("/signals/status", "/signals/verify") else {}


def test_second_stream_is_a_conflict(receiver: Visitor) -> None:
    receiver.create()

    assert receiver.ask("POST", STREAMS, {}).status == 409


def test_database_that_is_away_is_told_with_when_to_come_again(
    runner: InlineRunner, receiver: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_view: Callable[[Transaction], T]) -> T:
        raise Unavailable("away")

    monkeypatch.setattr(runner, "read", away)
    paths = STREAMS, "/.well-known/ssf-configuration", "/signals/jwks"
    replies = [receiver.ask("GET", path) for path in paths]

    assert [(one.status, one.header("retry-after")) for one in replies] == [(503, "60")] * 3
