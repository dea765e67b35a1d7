"""The whole server tells others: a webhook that outlives a kill, and a receiver of shared signals."""

import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

from tests.service.running import RunningServer
from tests.service.stage import Stage
from tests.support.command_line import CommandLine, push_files

PATIENCE_SECONDS = 60


class Receiver(HTTPServer):
    """A receiver on loopback that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: Queue[str] = Queue()
        super().__init__(("127.0.0.1", 0), _Taking)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/in"


class _Taking(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.heard.put(body["topic"] if "topic" in body else body["id"])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Say nothing."""


def test_webhook_hears_what_happened_before_and_while_the_server_was_dead(tmp_path: Path) -> None:
    muster = CommandLine("--data-dir", str(tmp_path / "data"))
    muster.run("init")
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever)
    thread.start()
    try:
        muster("webhooks", "add", "siem", receiver.url, "--allow-http", "--allow-private")
        events = [muster("webhooks", "test", "siem")["event_id"]]
        server = RunningServer(tmp_path / "data").start()
        heard = [receiver.heard.get(timeout=PATIENCE_SECONDS)]
        while muster("webhooks", "show", "siem")["waiting"]:
            pass  # what is killed before its record comes again when its lease ends, in a minute
        server.kill()
        events.append(muster("webhooks", "test", "siem")["event_id"])
        server.start()
        heard.append(receiver.heard.get(timeout=PATIENCE_SECONDS))
        assert server.stop() == 0
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()

    assert heard == events


def test_receiver_of_shared_signals_sets_up_a_stream_and_is_verified(tmp_path: Path) -> None:
    muster = CommandLine("--data-dir", str(tmp_path / "data"))
    muster.run("init")
    token = muster("signals", "receiver", "add", "idp", "--audience", "https://idp.example")["token"]
    server = RunningServer(tmp_path / "data").start()

    def post(url: str, members: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(members).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as reply:
            return json.load(reply)

    described = json.loads(server.get("/.well-known/ssf-configuration"))
    stream = post(described["configuration_endpoint"], {})
    sets = post(stream["delivery"]["endpoint_url"], {})["sets"]
    keys = json.loads(server.get("/signals/jwks"))["keys"]
    assert server.stop() == 0

    assert described["issuer"] == server.url
    assert len(sets) == len(keys) == 1


def test_what_devices_say_is_handed_on_as_nanomdm_does(tmp_path: Path, stage: Stage) -> None:
    muster = CommandLine("--data-dir", str(tmp_path / "data"))
    muster.run("init")
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever)
    thread.start()
    try:
        muster(
            *("webhooks", "add", "nano", receiver.url, "--format", "micromdm", "--allow-http", "--allow-private"),
            *("--event", "mdm.Authenticate", "--event", "mdm.TokenUpdate"),
        )
        with RunningServer(tmp_path / "data", environment=stage.settings(tmp_path)):
            muster.upload(push_files(tmp_path))
            stage.play(stage.device().open_link(muster.link()))
            heard = [receiver.heard.get(timeout=PATIENCE_SECONDS) for _ in range(2)]
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()

    assert heard == ["mdm.Authenticate", "mdm.TokenUpdate"]
