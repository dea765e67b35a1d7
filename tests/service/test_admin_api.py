"""A script with curl, as the manual has it: against a real server with a device and an APNs."""

import json
import shutil
import subprocess
from typing import Any
from urllib.parse import quote

import pytest
from tests.service.conftest import Site
from tests.service.stage import Stage, acknowledged, answer

from muster.protocol.identifiers import CommandUUID
from muster.simulator.facts import Platform

CURL = shutil.which("curl")

pytestmark = [pytest.mark.witness("curl"), pytest.mark.skipif(CURL is None, reason="curl is not installed")]


def curl(site: Site, token: str, *arguments: str, body: object = None) -> tuple[int, Any]:
    """Ask at /api/v1; the last of *arguments* is the path."""
    assert CURL is not None
    *options, path = arguments
    sent = [] if body is None else ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    command = [CURL, "-s", "-H", f"Authorization: Bearer {token}", "-w", "\n%{http_code}", *options, *sent]
    done = subprocess.run([*command, f"{site.server.url}/api/v1{path}"], capture_output=True, check=True)
    answered, _, status = done.stdout.rpartition(b"\n")
    return int(status), json.loads(answered) if answered else None


def test_script_finds_a_device_and_commands_it_once(site: Site, stage: Stage) -> None:
    token = site.muster("tokens", "create", f"script {site.server.url}", "--role", "operator", "--days", "1")["token"]
    device = stage.device(Platform.MAC)
    stage.play(device.open_link(site.muster.link()))
    assert device.enrollment is not None
    udid = str(device.facts.udid)
    (line,) = device.enrollment.user_lines.values()
    order, once = {"request_type": "ProfileList", "ids": [udid]}, ("-H", f"Idempotency-Key: {udid}")

    found, listed = curl(site, token, "-G", "--data-urlencode", f"where=id = '{udid}'", "/devices")
    sent = [curl(site, token, *once, "/commands", body=order) for _ in range(2)]
    uuid = CommandUUID(sent[0][1]["command_uuid"])
    answered = stage.play(answer(device, uuid))
    shown, command = curl(site, token, f"/commands/{uuid}?channel_id={udid}")
    of_user, commands = curl(site, token, f"/devices/{quote(str(line.channel.id), safe='')}/commands")
    refused, problem = curl(site, token, "/audit")

    assert (found, [one["id"] for one in listed["items"]]) == (200, [udid])
    assert sent[0] == sent[1]
    assert acknowledged(answered) == {uuid}
    assert (shown, command["counts"]) == (200, {"Acknowledged": 1})
    assert (of_user, commands is not None) == (200, True)
    assert (refused, problem["code"]) == (403, "role_missing")
