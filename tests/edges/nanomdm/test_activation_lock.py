"""Activation Locks through the familiar door: what Apple is asked, and that its answer comes back as it was."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from tests.simulator.apns_pki import AUTHORITY, authority_pem, push_certificate, server_identity
from tests.support.familiar_door import FamiliarDoor
from tests.support.push_files import have_push_certificate
from tests.support.site import TOPIC, Site

from muster.edges.nanomdm.activation_lock import UnlockAnswer, asks_apple_at
from muster.operations.ports import PushCredentials
from muster.storage import schema

FORM = ("content-type", "application/x-www-form-urlencoded")
FIELDS = {
    "topic": TOPIC,
    "serial": "C02XK1",
    "productType": "iPad4,1",
    "imei": "35 1",
    "orgName": "Example & Sons",
    "guid": "ada",
    "escrowKey": "AAAA-BBBB",
}


class Apple:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []

    async def __call__(self, credentials: PushCredentials, query: str, body: bytes) -> UnlockAnswer:
        self.asked.append((credentials.topic, query, body))
        return UnlockAnswer(404, (("Content-Type", "text/plain"), ("X-Apple", "1")), b"no such lock")


def test_apples_answer_comes_back_as_it_was(site: Site) -> None:
    have_push_certificate(site)
    apple = Apple()
    door = FamiliarDoor(site, apple)

    reply = door.ask("POST", "/v1/escrowkeyunlock", urlencode(FIELDS).encode(), FORM)

    assert apple.asked == [
        (
            TOPIC,
            "imei=35+1&productType=iPad4%2C1&serial=C02XK1",
            b"escrowKey=AAAA-BBBB&guid=ada&orgName=Example+%26+Sons",
        )
    ]
    assert (reply.status, reply.body, reply.header("x-apple")) == (404, b"no such lock", "1")
    acts = site.rows(sa.select(schema.audit.c.act, schema.audit.c.subject))
    assert ("activation_lock.unlock", "C02XK1") in acts


@pytest.mark.parametrize("missing", ["serial", "productType", "orgName", "guid", "escrowKey"])
def test_what_apple_requires_has_to_be_there(site: Site, missing: str) -> None:
    door = FamiliarDoor(site)
    fields = {name: value for name, value in FIELDS.items() if name != missing}

    reply = door.ask("POST", "/v1/escrowkeyunlock", urlencode(fields).encode(), FORM)

    assert (reply.status, reply.body) == (400, b'{\n\t"error": "invalid or missing parameters"\n}\n')


def test_topic_has_to_be_named(site: Site) -> None:
    fields = {name: value for name, value in FIELDS.items() if name != "topic"}

    reply = FamiliarDoor(site).ask("POST", "/v1/escrowkeyunlock", urlencode(fields).encode(), FORM)

    assert (reply.status, reply.body) == (400, b'{\n\t"error": "empty topic"\n}\n')


def test_topic_without_a_certificate_is_an_error_and_apple_is_not_asked(site: Site) -> None:
    apple = Apple()

    reply = FamiliarDoor(site, apple).ask("POST", "/v1/escrowkeyunlock", urlencode(FIELDS).encode(), FORM)

    assert reply.status == 500
    assert apple.asked == []


def test_apple_out_of_reach_is_an_error(site: Site) -> None:
    have_push_certificate(site)

    reply = FamiliarDoor(site).ask("POST", "/v1/escrowkeyunlock", urlencode(FIELDS).encode(), FORM)

    assert (reply.status, reply.json()) == (500, {"error": "escrow key unlock: connection refused"})


@pytest.mark.parametrize("body", [b"\xff=1", b"a=" + b"x" * 2000, b"&".join([b"a=1"] * 200), b"x" * 20_000])
def test_form_beyond_its_bounds_is_refused(site: Site, body: bytes) -> None:
    reply = FamiliarDoor(site).ask("POST", "/v1/escrowkeyunlock", body, FORM)

    assert reply.status == 400


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        shown = self.connection.getpeercert(binary_form=True)
        self.server.seen = (self.path, body, shown)  # type: ignore[attr-defined]  # where the test looks
        self.send_response(200)
        self.send_header("X-Apple", "yes")
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def apple_on_a_socket(directory: Path) -> Iterator[HTTPServer]:
    ours = server_identity()
    (directory / "cert.pem").write_bytes(ours.certificate_pem)
    (directory / "key.pem").write_bytes(ours.key_pem)
    (directory / "ca.pem").write_bytes(authority_pem(AUTHORITY))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    context.load_verify_locations(directory / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_apple_is_shown_the_push_certificate(tmp_path: Path) -> None:
    made = push_certificate(TOPIC)
    credentials = PushCredentials(TOPIC, made.certificate_pem, made.key_pem, b"")

    with apple_on_a_socket(tmp_path) as server:
        ask = asks_apple_at(f"https://127.0.0.1:{server.server_port}/unlock", authority_pem(AUTHORITY))
        answer = asyncio.run(ask(credentials, "serial=1", b"guid=ada"))

    assert (answer.status, answer.body) == (200, b"done")
    assert ("X-Apple", "yes") in answer.headers
    assert server.seen == ("/unlock?serial=1", b"guid=ada", made.certificate_der)  # type: ignore[attr-defined]  # as above
