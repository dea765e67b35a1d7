"""Signing in by an identity provider: to it and back with state, nonce and PKCE, and what it says held against us."""

import html
import socket
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from joserfc.jwk import ECKey, OctKey
from tests.service.running import free_port
from tests.support.browser import Browser, Reply
from tests.support.identity_provider import CLIENT_ID, CLIENT_SECRET, FakeProvider, serving
from tests.support.runner import InlineRunner

from muster.domain.provider_roles import read_role, role_of
from muster.domain.roles import Role
from muster.domain.sign_in_limits import TRIES_PER_ADDRESS
from muster.edges.console.app import make_console
from muster.edges.identity_provider import asking
from muster.edges.identity_provider.provider import OpenIdProvider, ProviderSettings
from muster.storage import schema

ROLES = {"mac-admins": Role.OPERATOR, "security": Role.SECURITY, "chiefs": Role.OWNER}
SCOPES = ("openid", "profile", "groups")
PUBLIC = "http://localhost"


@pytest.fixture
def provider(runner: InlineRunner) -> Iterator[FakeProvider]:
    with serving(lambda: int(runner.time.timestamp())) as fake:
        yield fake


@pytest.fixture
def app(runner: InlineRunner, provider: FakeProvider) -> Any:
    told = ProviderSettings(
        provider.issuer, CLIENT_ID, CLIENT_SECRET, "Example ID", "groups", SCOPES, ssl.create_default_context()
    )
    client = OpenIdProvider(told, runner.now)
    return make_console(runner, secure_cookies=False, public_url=PUBLIC, provider=client, provider_roles=ROLES)


def leave(browser: Browser) -> str:
    reply = browser.get("/sign-in/provider")
    assert reply.status == 303, reply.text
    return reply.header("location") or ""


def back(browser: Browser, brought: dict[str, str]) -> Reply:
    return browser.get(f"/sign-in/callback?{urlencode(brought)}")


def through(app: Any, provider: FakeProvider) -> tuple[Browser, Reply]:
    browser = Browser(app)
    return browser, back(browser, provider.authorize(leave(browser)))


def people(runner: InlineRunner) -> list[tuple[str, str]]:
    table = schema.administrators
    rows = runner.engine.read(
        lambda tx: tx.connection.execute(sa.select(table.c.name, table.c.role).order_by(table.c.name)).all()
    )
    return [(row.name, row.role) for row in rows]


def test_who_the_provider_knows_is_in_with_the_role_of_their_groups(
    app: Any, provider: FakeProvider, runner: InlineRunner
) -> None:
    assert "Sign in with Example ID" in Browser(app).get("/sign-in").text
    browser, reply = through(app, provider)

    assert (reply.status, reply.header("location")) == (303, "/")
    assert browser.get("/devices").status == 200
    assert people(runner) == [("ada", "operator")]
    assert "muster_away" not in browser.cookies


def test_the_same_person_is_the_same_and_follows_their_groups(
    app: Any, provider: FakeProvider, runner: InlineRunner
) -> None:
    through(app, provider)
    provider.claims |= {"preferred_username": "ada lovelace", "groups": ["security", "others"]}
    through(app, provider)

    assert people(runner) == [("ada", "security")]


def test_nobody_is_taken_for_an_administrator_of_the_same_name(
    app: Any, provider: FakeProvider, runner: InlineRunner
) -> None:
    through(app, provider)
    provider.claims["sub"] = "another"

    through(app, provider)

    assert [role for _, role in people(runner)] == ["operator", "operator"]
    assert people(runner)[1][0].startswith("ada (")


def test_without_a_role_nobody_is_in_and_who_was_is_out(app: Any, provider: FakeProvider) -> None:
    before, _ = through(app, provider)
    provider.claims["groups"] = ["guests"]
    _, refused = through(app, provider)

    assert refused.status == 403
    assert "none of your groups" in refused.text
    assert before.get("/devices").status == 303


@pytest.mark.parametrize("groups", [None, "mac-admins-not", 5, [5, None, {}], {"mac-admins": 1}])
def test_groups_that_are_none_have_no_role(app: Any, provider: FakeProvider, groups: object) -> None:
    provider.claims["groups"] = groups

    assert through(app, provider)[1].status == 403


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ({"iss": "https://evil.example"}, "it is of another issuer"),
        ({"aud": "somebody else"}, "it is for another client"),
        ({"aud": ["muster at home", "somebody else"]}, "it is for several"),
        ({"azp": "somebody else"}, "it was given to somebody else"),
        ({"nonce": "another"}, "it answers another question"),
        ({"nonce": None}, "it has no nonce"),
        ({"exp": 1}, "it has expired, by this server&#39;s clock"),
        ({"exp": None}, "it has no exp"),
        ({"iat": None}, "it has no iat"),
        ({"iat": 9999999999}, "it is of later than now, by this server&#39;s clock"),
        ({"sub": None}, "it has no sub"),
        ({"sub": ""}, "its sub is not what it has to be"),
        ({"sub": 5}, "its sub is not what it has to be"),
    ],
)
def test_a_token_that_says_something_else_signs_nobody_in_and_is_told(
    app: Any, provider: FakeProvider, runner: InlineRunner, spoil: dict[str, Any], told: str
) -> None:
    provider.spoil = spoil

    _, refused = through(app, provider)

    assert f"its ID token is not good: {told}" in refused.text
    assert refused.status == 502
    assert people(runner) == []


@pytest.mark.parametrize("how", ["it calls itself with a slash", "it takes secrets in forms alone"])
def test_providers_differ(app: Any, provider: FakeProvider, runner: InlineRunner, how: str) -> None:
    if how == "it takes secrets in forms alone":
        provider.takes_secrets_in_forms = True
    else:
        provider.called += "/"

    assert through(app, provider)[1].status == 303
    assert people(runner) == [("ada", "operator")]


def test_scopes_are_those_of_the_settings(app: Any) -> None:
    assert "&scope=openid+profile+groups&" in leave(Browser(app))


@pytest.mark.parametrize(("off", "status"), [(-59, 303), (59, 303), (-62, 502), (62, 502)])
def test_clocks_may_differ_by_a_minute(
    app: Any, provider: FakeProvider, runner: InlineRunner, off: int, status: int
) -> None:
    now = int(runner.time.timestamp())
    provider.spoil = {"iat": now + off, "exp": now + off if off < 0 else now + off + 300}

    assert through(app, provider)[1].status == status


@pytest.mark.parametrize("how", ["another key", "none", "secret"])
def test_a_token_that_is_signed_otherwise_signs_nobody_in(
    app: Any, provider: FakeProvider, runner: InlineRunner, how: str
) -> None:
    if how == "another key":
        provider.signed_by = ECKey.generate_key("P-256", {"kid": "one"})
    elif how == "secret":
        provider.header = {"alg": "HS256", "kid": "one"}
        provider.signed_by = OctKey.import_key(CLIENT_SECRET * 4)
    else:
        honest = provider._token

        def unsigned(body: bytes) -> dict[str, str]:
            payload = honest(body)["id_token"].split(".")[1]
            header = urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
            return {"id_token": f"{header}.{payload}."}

        provider._token = unsigned  # type: ignore[method-assign]

    assert through(app, provider)[1].status == 502
    assert people(runner) == []


def test_a_new_key_of_the_provider_is_looked_for(app: Any, provider: FakeProvider, runner: InlineRunner) -> None:
    through(app, provider)
    runner.time += timedelta(minutes=2)
    provider.signed_by = ECKey.generate_key("P-256", {"kid": "two"})
    provider.published.append(provider.signed_by)
    provider.header["kid"] = "two"

    assert through(app, provider)[1].status == 303


def test_keys_are_not_fetched_for_every_bad_token(app: Any, provider: FakeProvider) -> None:
    provider.signed_by = ECKey.generate_key("P-256", {"kid": "one"})
    for _ in range(4):
        through(app, provider)

    assert provider.asked.count("/keys") == 1


def test_a_code_of_another_browser_signs_nobody_in(app: Any, provider: FakeProvider, runner: InlineRunner) -> None:
    attacker, victim = Browser(app), Browser(app)
    brought = provider.authorize(leave(attacker))
    leave(victim)

    assert back(victim, brought).status == 403
    assert back(Browser(app), brought).status == 403
    assert people(runner) == []


def test_a_return_is_good_once_and_for_minutes(app: Any, provider: FakeProvider, runner: InlineRunner) -> None:
    browser, late = Browser(app), Browser(app)
    brought, in_time = provider.authorize(leave(browser)), provider.authorize(leave(late))
    kept = dict(browser.cookies)
    assert back(browser, brought).status == 303

    assert back(Browser(app, kept), brought).status == 403
    runner.time += timedelta(minutes=10)
    assert back(late, in_time).status == 403


@pytest.mark.parametrize(
    "brought", [{"error": "access_denied"}, {"code": ""}, {"code": "x" * 5000}, {"iss": "https://evil"}]
)
def test_what_the_provider_did_not_give_signs_nobody_in(
    app: Any, provider: FakeProvider, brought: dict[str, str]
) -> None:
    browser = Browser(app)
    reply = back(browser, {**provider.authorize(leave(browser)), **brought})

    assert reply.status == 502
    assert "sign in with a link" in reply.text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/.well-known/openid-configuration", (500, {})),
        ("/.well-known/openid-configuration", (200, {"issuer": "https://evil.example"})),
        ("/.well-known/openid-configuration", (200, b"[]")),
        ("/token", (200, {"error": "invalid_grant"})),
        ("/token", (200, b"\xff")),
        ("/token", (302, {})),
        ("/keys", (200, {"keys": "none"})),
        ("/keys", (200, {})),
        ("/keys", (200, b" " * (512 * 1024 + 1))),
        ("/keys", (200, b"[" * 100_000)),
    ],
)
def test_a_provider_that_is_ill_signs_nobody_in(
    app: Any, provider: FakeProvider, runner: InlineRunner, path: str, told: tuple[int, object]
) -> None:
    honest = provider.answer
    provider.answer = lambda asked, body, who: told if asked == path else honest(asked, body, who)  # type: ignore[method-assign, assignment]
    browser = Browser(app)
    reply = browser.get("/sign-in/provider")
    if reply.status == 303:
        reply = back(browser, provider.authorize(reply.header("location") or ""))

    assert reply.status == 502
    assert people(runner) == []


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"issuer": "https://evil.example"}, "somebody else"),
        (
            {"token_endpoint": "http://127.0.0.2:9/token"},
            "names an address that can&#39;t be asked: it is not https",
        ),  # unencrypted, and not this machine
        ({"token_endpoint": "file:///etc/passwd"}, "can&#39;t be asked: it is not https"),
        ({"jwks_uri": "http://127.0.0.2:9/keys"}, "can&#39;t be asked: it is not https"),
    ],
)
def test_a_provider_that_leads_elsewhere_is_not_followed(
    app: Any, provider: FakeProvider, said: dict[str, str], what: str
) -> None:
    honest = provider.answer

    def answer(path: str, body: bytes, who: str) -> tuple[int, object]:
        status, told = honest(path, body, who)
        return (status, {**told, **said}) if isinstance(told, dict) and "jwks_uri" in told else (status, told)

    provider.answer = answer  # type: ignore[method-assign, assignment]
    browser = Browser(app)
    reply = browser.get("/sign-in/provider")
    if reply.status == 303:
        reply = back(browser, provider.authorize(reply.header("location") or ""))

    assert (reply.status, what in reply.text) == (502, True)


def test_what_a_provider_says_of_its_refusal_is_told(app: Any, provider: FakeProvider) -> None:
    provider.takes_secrets_in_forms = True
    browser = Browser(app)
    gone = leave(browser)
    honest = provider.answer
    provider.answer = lambda path, body, who: honest(path, body.replace(b"secret=", b"other="), who)  # type: ignore[method-assign, assignment]

    unknown = back(browser, provider.authorize(gone)).text
    brought = {"error": "access_denied", "error_description": "<b>no\x1b" + "o" * 5000}
    denied = back(browser, {**provider.authorize(leave(browser)), **brought}).text

    assert "127.0.0.1 answered 401: invalid_client (Nobody has this secret.)." in unknown
    assert f"it let nobody in: access_denied (&lt;b&gt;no {'o' * 294})." in denied


def test_provider_that_can_not_be_asked_is_told(
    runner: InlineRunner, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(issuer: str) -> str:
        settings = ProviderSettings(issuer, CLIENT_ID, None, "ID", "groups", SCOPES, ssl.create_default_context())
        client = OpenIdProvider(settings, runner.now)
        app = make_console(runner, secure_cookies=False, public_url=PUBLIC, provider=client, provider_roles=ROLES)
        text = Browser(app).get("/sign-in/provider").text
        return html.unescape(text.partition("What went wrong: ")[2].partition(".</p>")[0])

    closed = told(f"http://127.0.0.1:{free_port()}")
    plain = told(provider.issuer.replace("http:", "https:"))
    monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        late = told(f"http://127.0.0.1:{silent.getsockname()[1]}")

    assert closed == "127.0.0.1 can't be reached (Connection refused)"
    assert plain.startswith("TLS with 127.0.0.1 fails (")
    assert late == "127.0.0.1 says nothing for 0.01 s"


def test_departures_of_an_address_are_bounded_until_right(app: Any, provider: FakeProvider) -> None:
    for _ in range(3):
        through(app, provider)
    replies = [Browser(app).get("/sign-in/provider").status for _ in range(TRIES_PER_ADDRESS + 1)]

    assert (replies[0], replies[-2], replies[-1]) == (303, 303, 403)


def test_no_secret_of_it_is_shown(app: Any, provider: FakeProvider) -> None:
    told = ProviderSettings("i", "c", "very secret", "n", "groups", SCOPES, ssl.create_default_context())
    provider.spoil = {"nonce": "another"}
    _, refused = through(app, provider)

    assert "very secret" not in repr(told)
    assert CLIENT_SECRET not in refused.text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("mac-admins=operator", ("mac-admins", Role.OPERATOR)),
        ("cn=admins,dc=example = owner", ("cn=admins,dc=example", Role.OWNER)),
        ("admins", None),
        ("=owner", None),
        ("admins=king", None),
    ],
)
def test_roles_of_groups_are_read(text: str, read: tuple[str, Role] | None) -> None:
    assert read_role(text) == read


@pytest.mark.parametrize(
    ("groups", "role"),
    [((), None), (("chiefs", "mac-admins"), Role.OWNER), (("Chiefs",), None), (("x", "mac-admins"), Role.OPERATOR)],
)
def test_the_highest_role_counts(groups: tuple[str, ...], role: Role | None) -> None:
    assert role_of(groups, ROLES) is role
