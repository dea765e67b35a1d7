"""TLS that the server speaks itself, and what the profile says about it."""

import shutil
import ssl
import subprocess
import urllib.error
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.service.running import RunningServer
from tests.service.stage import Stage, acknowledged, answer, keys, now
from tests.simulator.apns_pki import authority, authority_pem
from tests.support.command_line import CommandLine, push_files

from muster.crypto.certificates import pem_from_der
from muster.crypto.issuance import make_server_certificate
from muster.crypto.keys import private_key_pem


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the site's own CA."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    path.write_bytes(authority_pem("Site CA"))
    return path


@pytest.fixture(scope="module")
def server(ca: Path, stage: Stage) -> Iterator[RunningServer]:
    """A server with a certificate of the site's own CA."""
    directory = ca.parent
    certificate = make_server_certificate(
        ["127.0.0.1"],
        keys()[0],
        now=now(),
        lifetime=timedelta(days=30),
        serial_number=7,
        authority=authority("Site CA"),
    )
    (directory / "server.pem").write_bytes(pem_from_der([certificate]))
    (directory / "server.key").write_bytes(private_key_pem(keys()[0]))
    files = ("--tls-certificate", str(directory / "server.pem"), "--tls-key", str(directory / "server.key"))
    environment = {**stage.settings(directory), "MUSTER_PROFILE_TRUST_ANCHORS": str(ca)}
    server = RunningServer(directory / "data", *files, environment=environment)
    server.start(trust=ca)
    yield server
    server.stop()


def test_a_device_that_trusts_the_sites_ca_enrolls_and_answers(server: RunningServer, ca: Path, stage: Stage) -> None:
    muster = CommandLine("--data-dir", str(server.data_dir))
    muster.upload(push_files(ca.parent / "push"))
    url = muster.link()
    device = stage.device(transport=stage.transport(trust_pem=ca.read_text()))

    stage.play(device.open_link(url))
    sent = muster.send(device.facts.udid, "SecurityInfo")
    answered = stage.play(answer(device, sent))

    assert url.startswith("https://127.0.0.1:")
    assert acknowledged(answered) == {sent}
    assert device.enrollment is not None
    anchors = [anchor.certificate_der for anchor in device.enrollment.profile.trust_anchors]
    assert anchors == [authority("Site CA").certificate_der]


def test_who_does_not_trust_the_sites_ca_does_not_speak_to_the_server(server: RunningServer) -> None:
    with pytest.raises(urllib.error.URLError) as raised:
        server.get("/scep?operation=GetCACaps")

    assert isinstance(raised.value.reason, ssl.SSLCertVerificationError)


@pytest.mark.witness("openssl")
def test_openssl_agrees_with_the_chain_and_gets_a_modern_tls(server: RunningServer, ca: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    address = server.url.removeprefix("https://")

    command = ["openssl", "s_client", "-connect", address, "-CAfile", str(ca), "-verify_return_error", "-brief"]
    said = subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=30)
    old = subprocess.run([*command, "-tls1_1"], input="", capture_output=True, text=True, check=False, timeout=30)

    assert "Verification: OK" in said.stderr
    assert "TLSv1.3" in said.stderr
    assert old.returncode != 0
