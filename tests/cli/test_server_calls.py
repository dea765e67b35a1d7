"""What keeps a server elsewhere from answering is said in words, with what to do, and by an exit code of its own."""

import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.cli.conftest import MAC
from tests.service.running import free_port
from tests.simulator.apns_pki import authority, authority_pem
from tests.support.command_line import CommandLine
from tests.support.elsewhere import FarCommandLine, answering, serving, token_of

from muster.cli import server_calls
from muster.cli.acting import SERVER, ServerAddress
from muster.cli.errors import CommandFailed
from muster.cli.places import ELSEWHERE, HERE_ALONE, check_place
from muster.crypto.certificates import pem_from_der
from muster.crypto.issuance import make_server_certificate
from muster.crypto.keys import private_key_pem
from muster.domain.roles import Role
from muster.simulator.keys.published import published_keys

NOBODY = CommandLine()


@dataclass
class Stranger:
    """Answers whatever is asked with one thing, and notes who showed what."""

    reply: Callable[[Request], Response]
    shown: list[str] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        self.shown.append(request.headers.get("authorization", ""))
        return self.reply(request)

    @property
    def app(self) -> Starlette:
        """Return the application."""
        answer: Callable[[Request], Awaitable[Response]] = self.answer
        return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "PUT", "DELETE"])])


def problem(status: int, code: str, detail: str = "it is so", **headers: str) -> Callable[[Request], Response]:
    """Return what answers with a problem document."""
    body = json.dumps({"type": "x", "status": status, "code": code, "detail": detail, "remedy": "Do this."})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Response(body, status, named, "application/problem+json")


def said_by(reply: Callable[[Request], Response], *command: str) -> tuple[int, str]:
    """Return the exit code, and what is said of a server that answers so."""
    with answering(Stranger(reply).app) as url:
        code, out, err = FarCommandLine(url, "muster_x").run(*(command or ("groups", "list")))
    assert (out == "") is (code != 0)
    return code, err.replace(url, "URL")


def test_server_that_nobody_runs_can_not_be_reached() -> None:
    code, _, err = FarCommandLine(f"http://127.0.0.1:{free_port()}", "muster_x").run("status")

    assert code == 6
    assert "can't be reached: Connection refused" in err
    assert "See that the server runs" in err


@pytest.mark.parametrize("command", [("groups", "delete", "macs"), ("groups", "list")])
def test_act_that_was_cut_off_may_have_been_done(command: tuple[str, ...]) -> None:
    def hang_up() -> None:
        connection, _ = listening.accept()
        connection.recv(65536)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=hang_up)
        thread.start()
        code, _, err = FarCommandLine(f"http://127.0.0.1:{listening.getsockname()[1]}", "muster_x").run(*command)
        thread.join()

    assert code == 6
    assert ("It may have been done: look before you repeat it." in err) == (command[1] == "delete")


@dataclass
class Loser:
    """Stands before a server: what it does is done, and its first *answers* to acts end before they are whole."""

    app: ASGIApp
    answers: int
    keys: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or begin to."""
        if scope["method"] == "GET":
            await self.app(scope, receive, send)
            return
        self.keys.append(Headers(scope=scope).get("idempotency-key", ""))
        is_lost = len(self.keys) <= self.answers

        async def pass_on(message: Message) -> None:
            if not is_lost or message["type"] == "http.response.start":
                await send(message)

        await self.app(scope, receive, pass_on)


def acted_through(loser: Callable[[ASGIApp], Loser], data_dir: Path, *command: str) -> tuple[int, str, list[str]]:
    """Return the exit code and what is said of *command* by whoever asks through a loser, and the keys it showed."""
    before: list[Loser] = []

    def put(app: ASGIApp) -> ASGIApp:
        before.append(loser(app))
        return before[0]

    with serving(data_dir, before=put) as (url, data):
        code, _, err = FarCommandLine(url, token_of(data)).run(*command)
    return code, err, before[0].keys


SEND = ("commands", "send", MAC, "ProfileList")


def test_send_whose_answer_is_lost_is_asked_for_once_more_and_done_once(data_dir: Path) -> None:
    code, err, keys = acted_through(lambda app: Loser(app, answers=1), data_dir, *SEND)

    _, out, _ = CommandLine("--data-dir", str(data_dir)).run("commands", "list", MAC, "--json")
    assert code == 0
    assert "ProfileList waits for" in err
    assert keys[0]
    assert keys == [keys[0]] * 2
    assert [one["request_type"] for one in json.loads(out)].count("ProfileList") == 1


def test_send_whose_answers_are_lost_may_have_been_done(data_dir: Path) -> None:
    code, err, keys = acted_through(lambda app: Loser(app, answers=2), data_dir, *SEND)

    assert code == 6
    assert "its answer broke off" in err
    assert "It may have been done: look before you repeat it." in err
    assert len(keys) == 2


def test_act_that_takes_no_key_is_not_asked_for_again(data_dir: Path) -> None:
    code, err, keys = acted_through(lambda app: Loser(app, answers=1), data_dir, "groups", "create", "new")

    assert code == 6
    assert "It may have been done: look before you repeat it." in err
    assert keys == [""]


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        (problem(401, "credentials_missing"), 4, "URL does not take the token"),
        (problem(403, "role_missing", "the role is too small"), 4, "the role is too small\n  Do this."),
        (problem(404, "not_found", "no such thing"), 3, "no such thing"),
        (problem(409, "conflict", "there is one"), 5, "there is one"),
        (problem(422, "query_unfit", "the query is wrong"), 2, "the query is wrong"),
        (problem(400, "request_malformed", "limit: no"), 2, "URL: limit: no"),
        (problem(429, "too_many_requests", "too often", Retry_After="7"), 6, "too often\n  Try again in 7 s."),
        (problem(503, "unavailable", "no database"), 6, "URL: no database"),
        (problem(500, "fault", "the fault is in Muster"), 1, "the fault is in Muster"),
        (problem(404, "nothing_here"), 1, "the server at URL doesn't know /groups\n  The server is Muster of an older"),
        (lambda _: Response("<html>", 200), 1, "what answers at URL is no Muster"),
        (
            lambda _: Response("<html>", 502),
            6,
            "is no Muster, or something before it answers in its place (status 502)",
        ),
        (lambda _: Response("[{}]", 200), 1, "is not understood here: [0].name is no member of what was answered"),
    ],
)
def test_answer_that_is_none_is_told_with_its_exit_code(
    reply: Callable[[Request], Response], code: int, said: str
) -> None:
    ended, err = said_by(reply)

    assert said in err
    assert ended == code


def test_answer_beyond_all_measure_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_calls, "LARGEST_ANSWER", 1000)

    assert said_by(lambda _: Response(f"[{' ' * 998}]"))[0] == 0
    code, err = said_by(lambda _: Response(f"[{' ' * 999}]"))
    assert "answers more than 1,000 bytes" in err
    assert code == 1


def test_version_of_both_sides_is_told_where_they_do_not_understand_each_other() -> None:
    def newer(request: Request) -> Response:
        return Response('{"version": "9.9"}' if request.url.path.endswith("/me") else '[{"name": 5}]')

    _, err = said_by(newer)

    assert "The server is Muster 9.9, and this is " in err


def test_token_is_not_carried_where_a_redirect_leads() -> None:
    thief = Stranger(lambda _: Response("[]"))
    with answering(thief.app) as elsewhere:
        code, err = said_by(lambda _: RedirectResponse(f"{elsewhere}/api/v1/groups"))

    assert (code, thief.shown) == (1, [])
    assert "(status 307)" in err


def test_role_of_the_token_holds(data_dir: Path) -> None:
    with serving(data_dir) as (url, data):
        far = FarCommandLine(url, token_of(data, Role.VIEWER))
        listed, refused = far.run("devices", "list"), far.run("groups", "create", "new")
        wrong = FarCommandLine(url, "muster_" + "x" * 43).run("devices", "list")

    assert listed[0] == 0
    assert refused[0] == 4
    assert wrong[0] == 4


def test_token_that_asks_too_often_is_told_when_again(data_dir: Path) -> None:
    with serving(data_dir, requests_per_minute=1) as (url, data):
        far = FarCommandLine(url, token_of(data))
        first, second = far.run("groups", "list"), far.run("groups", "list")

    assert first[0] == 0
    assert second[0] == 6
    assert "Try again in " in second[2]


def test_scope_of_the_token_holds_for_names_too(data_dir: Path) -> None:
    CommandLine("--data-dir", str(data_dir)).run("groups", "create", "none")

    with serving(data_dir) as (url, data):
        far = FarCommandLine(url, token_of(data, Role.VIEWER, "none"))
        by_id, by_serial = far.run("devices", "show", MAC), far.run("devices", "show", "C02XK1")

    assert by_id[0] == by_serial[0] == 3


# --- TLS


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with a certificate of a site's own authority, and the file with that."""
    directory = tmp_path_factory.mktemp("tls")
    files = {name: directory / f"{name}.pem" for name in ("ca", "server", "key")}
    files["ca"].write_bytes(authority_pem("Site CA"))
    certificate = make_server_certificate(
        ["127.0.0.1"],
        published_keys()[0],
        now=datetime.now(UTC),
        lifetime=timedelta(days=30),
        serial_number=7,
        authority=authority("Site CA"),
    )
    files["server"].write_bytes(pem_from_der([certificate]))
    files["key"].write_bytes(private_key_pem(published_keys()[0]))
    stranger = Stranger(lambda _: Response("[]"))
    with answering(stranger.app, ssl_certfile=str(files["server"]), ssl_keyfile=str(files["key"])) as url:
        yield url, files["ca"]


def test_certificate_that_nobody_vouches_for_is_told_and_nothing_is_sent(tls: tuple[str, Path]) -> None:
    code, _, err = FarCommandLine(tls[0], "muster_x").run("groups", "list")

    assert code == 6
    assert "is not trusted here: " in err
    assert "--ca-file" in err


def test_authority_of_the_site_is_believed_where_it_is_named(tls: tuple[str, Path], tmp_path: Path) -> None:
    far = FarCommandLine(tls[0], "muster_x", "--ca-file", str(tls[1]))
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    wrong = FarCommandLine(tls[0], "muster_x", "--ca-file", str(empty))

    assert far.run("groups", "list", "--json") == (0, "[]\n", "")
    assert wrong.run("groups", "list")[0] == 2


def test_server_that_speaks_no_tls_is_told(data_dir: Path) -> None:
    with serving(data_dir) as (url, _):
        code, _, err = FarCommandLine(url.replace("http:", "https:"), "muster_x").run("groups", "list")

    assert code == 6
    assert "TLS fails" in err
    assert ssl.HAS_TLSv1_3


# --- what is given on the command line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--server", "http://mdm.example", "--token", "x"), "is not encrypted"),
        (("--server", "ftp://mdm.example", "--token", "x"), "is no server's address"),
        (("--server", "https://", "--token", "x"), "is no server's address"),
        (("--server", "https://u:p@mdm.example", "--token", "x"), "is no server's address"),
        (("--server", "https://mdm.example/muster", "--token", "x"), "is no server's address"),
        (("--server", "https://mdm.example:x", "--token", "x"), "is no server's address"),
        (("--server", "https://mdm.example"), "no token is given"),
        (("--server", "https://mdm.example", "--token", "x y"), "the token that is given is none"),
        (("--server", "https://mdm.example", "--token-file", "/nowhere"), "/nowhere can't be read"),
        (("--server", "https://mdm.example", "--token", "x", "--as", "ana"), "--as is for the data that is here"),
    ],
)
def test_what_can_not_be_asked_is_told_before(options: tuple[str, ...], said: str) -> None:
    code, _, err = NOBODY.run(*options, "groups", "list")

    assert said in err
    assert code == 2


def test_token_comes_from_a_file_that_nobody_else_reads(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    with serving(data_dir) as (url, data):
        file.write_text(f"{token_of(data)}\n")
        file.chmod(0o644)
        open_to_all = NOBODY.run("--server", url, "--token-file", str(file), "groups", "list")
        file.chmod(0o600)
        closed = NOBODY.run("--server", f"{url}/api/v1/", "--token-file", str(file), "groups", "list")

    assert open_to_all[0] == 2
    assert f"chmod 600 {file}" in open_to_all[2]
    assert closed[0] == 0


def test_environment_names_the_server_and_the_token(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(data_dir) as (url, data):
        monkeypatch.setenv("MUSTER_SERVER", url)
        monkeypatch.setenv("MUSTER_TOKEN", token_of(data))
        code, out, _ = NOBODY.run("devices", "list")

    assert code == 0
    assert MAC in out


def test_environment_for_the_command_line_is_no_setting_that_nobody_knows(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_TOKEN", "muster_x")

    assert CommandLine("--data-dir", str(data_dir)).run("groups", "list")[0] == 0


@pytest.mark.parametrize("words", sorted(HERE_ALONE))
def test_command_that_needs_to_be_where_the_server_is_says_so(words: str) -> None:
    token = SERVER.set(ServerAddress("https://mdm.example"))
    try:
        with pytest.raises(CommandFailed) as told:
            check_place(words, {})
    finally:
        SERVER.reset(token)

    assert str(told.value).startswith(f"`muster {words}` works on the server itself alone: ")
    assert told.value.remedy == "Run it there, without --server (MUSTER_SERVER)."


def test_place_is_checked_before_a_command_does_anything() -> None:
    far = FarCommandLine("https://mdm.example", "muster_x")

    assert "works on the server itself alone" in far.run("init")[2]
    assert "works on the server itself alone" in far.run("journal", "list")[2]
    assert far.run("commands", "types")[0] == 0


@pytest.mark.parametrize("option", ["--data-dir", "--database", "--key-ring"])
def test_data_is_here_or_elsewhere(option: str) -> None:
    code, _, err = FarCommandLine("https://mdm.example", "muster_x").run("groups", "list", option, "x")

    assert code == 2
    assert "its data isn't here" in err
    assert "groups list" in ELSEWHERE
