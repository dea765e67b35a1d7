"""The command line of another machine: a device is found, commanded by a query and read, by a token."""

from pathlib import Path

from tests.service.conftest import Site
from tests.service.stage import Stage, acknowledged, answer
from tests.support.elsewhere import FarCommandLine

from muster.protocol.identifiers import CommandUUID
from muster.simulator.facts import Platform


def test_device_is_managed_from_another_machine(site: Site, stage: Stage, tmp_path: Path) -> None:
    token = site.muster("tokens", "create", f"far {site.server.url}", "--role", "operator", "--days", "1")["token"]
    file = tmp_path / "token"
    file.write_text(token)
    file.chmod(0o600)
    far = FarCommandLine(site.server.url, None, "--token-file", str(file))
    device = stage.device(Platform.MAC)
    stage.play(device.open_link(far.link()))
    udid, serial = str(device.facts.udid), device.facts.serial_number

    shown = far("devices", "show", serial)
    sent = far("commands", "send", "--where", f"id = '{udid}'", "ProfileList", "--yes")
    uuid = CommandUUID(sent["command_uuid"])
    answered = stage.play(answer(device, uuid))
    listed = {row["command_uuid"]: row["status"] for row in far("commands", "list", udid)}
    refused, _, said = far.run("audit", "list")

    assert shown["device"]["id"] == udid
    assert (sent["queued"], sent["finished_at"] is not None) == (1, True)
    assert acknowledged(answered) == {uuid}
    assert listed[uuid] == "Acknowledged"
    assert refused == 4
    assert "operator" in said
    assert far("status")["fleet"]["total"] >= 1
