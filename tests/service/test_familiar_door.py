"""Scripts that were written for NanoMDM: curl as they call it, against a real server with a device and an APNs."""

import json
import shutil
import subprocess
from typing import Any
from urllib.parse import quote

import pytest
from tests.service.conftest import DOOR_KEY, Site
from tests.service.stage import Stage, acknowledged, answer
from tests.simulator.apns_pki import push_certificate
from tests.support.site import TOPIC

from muster.protocol.command import Command, encode_command
from muster.protocol.identifiers import CommandUUID
from muster.simulator.facts import Platform

CURL = shutil.which("curl")


def curl(site: Site, *arguments: str, given: bytes = b"", key: str = DOOR_KEY) -> tuple[int, bytes]:
    assert CURL is not None
    done = subprocess.run(
        [
            CURL,
            "-s",
            "-u",
            f"nanomdm:{key}",
            "-w",
            "\n%{http_code}",
            *arguments[:-1],
            f"{site.server.url}{arguments[-1]}",
        ],
        input=given,
        capture_output=True,
        check=True,
    )
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def as_json(body: bytes) -> dict[str, Any]:
    """Read *body*, which is written as it would be by Go: indented by tabs, with a line's end."""
    read: dict[str, Any] = json.loads(body)
    assert body == (json.dumps(read, indent="\t", ensure_ascii=False) + "\n").encode()
    return read


@pytest.mark.witness("curl")
@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_script_sends_a_command_to_a_device_and_to_its_user(site: Site, stage: Stage) -> None:
    device = stage.device(Platform.MAC)
    stage.play(device.open_link(site.muster.link()))
    assert device.enrollment is not None
    (line,) = device.enrollment.user_lines.values()
    uuid = CommandUUID(f"door {device.facts.udid}")
    command = encode_command(Command(uuid, "ProfileList"))

    status, body = curl(site, "-T", "-", f"/v1/enqueue/{device.facts.udid}", given=command)
    answered = stage.play(answer(device, uuid))
    of_user, user_body = curl(site, "-T", "-", f"/v1/push/{quote(line.channel.id)}")

    result = as_json(body)
    assert status == 200
    assert acknowledged(answered) == {uuid}
    assert result["command_uuid"] == uuid
    assert result["request_type"] == "ProfileList"
    pushed = result["status"][device.facts.udid]["push_result"]
    log = site.muster("push", "explain", device.facts.udid)[0]["pushes"]
    assert pushed in [one["apns_id"] for one in log]
    assert site.muster.statuses(device.facts.udid)[uuid] == "Acknowledged"
    assert of_user == 200
    assert set(as_json(user_body)["status"]) == {line.channel.id}


@pytest.mark.witness("curl")
@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_script_without_the_key_is_turned_away_and_learns_the_version(site: Site) -> None:
    refused = curl(site, "-X", "PUT", "/v1/push/X", key="another key")
    told, version = curl(site, "/version")

    assert refused == (401, b"Unauthorized\n")
    assert (told, list(json.loads(version))) == (200, ["version"])


@pytest.mark.witness("curl")
@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_script_is_refused_a_push_certificate_of_another_topic_while_devices_listen(site: Site, stage: Stage) -> None:
    stage.play(stage.device().open_link(site.muster.link()))
    made = push_certificate(TOPIC)

    status, body = curl(site, "-T", "-", "/v1/pushcert", given=made.certificate_pem + made.key_pem)

    assert status == 400
    assert "topic" in as_json(body)["error"]
