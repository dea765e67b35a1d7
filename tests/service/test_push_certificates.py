"""Push certificates that are uploaded while the server runs."""

from pathlib import Path

import pytest
from tests.service.running import RunningServer
from tests.service.stage import Stage, acknowledged, answer
from tests.support.command_line import CommandLine, push_files

from muster.simulator.enrollment import EnrollmentFailed


def test_uploaded_push_certificates_are_used_at_once(stage: Stage, tmp_path: Path) -> None:
    muster = CommandLine("--data-dir", str(tmp_path / "data"))
    with RunningServer(tmp_path / "data", environment=stage.settings(tmp_path)) as server:
        device, url = stage.device(), muster.link()
        with pytest.raises(EnrollmentFailed, match="download: 503"):
            stage.play(device.open_link(url))

        muster.upload(push_files(tmp_path / "untrusted", issuer="Nobody's CA"))
        stage.play(device.open_link(url))
        sent = muster.send(device.facts.udid, "SecurityInfo")
        server.wait_for("outcome=certificate_refused")

        muster.upload(push_files(tmp_path / "good"))
        muster("push", "send", device.facts.udid)
        answered = stage.play(answer(device, sent))

    assert acknowledged(answered) == {sent}
