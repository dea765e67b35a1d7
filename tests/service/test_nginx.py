"""nginx in front, configured by the very block of the manual: what it hands on, and what it keeps from strangers."""

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.service.identities import Answer, Files, Identities, connect, enroll_devices, write
from tests.service.running import RunningServer, free_port
from tests.service.stage import Stage, now
from tests.service.test_client_certificates import server_files
from tests.support.command_line import CommandLine
from tests.support.profiles import scep_of
from tests.support.site import IPAD, MAC, head, token_update

from muster.crypto.certificates import pem_from_der
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.keys import generate_rsa_key
from muster.edges.device.messages import MAXIMUM_BODY_BYTES
from muster.protocol.checkin import encode_checkin
from muster.protocol.command import Command, decode_command
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import Identifiers
from muster.protocol.profile import decode_enrollment_profile
from muster.simulator.scep_client import obtain_identity
from muster.simulator.signed_profile import unwrap_profile
from muster.simulator.transport import HttpTransport

PAGE = Path(__file__).parents[2] / "docs" / "manual" / "reverse-proxy.md"
READY = "start worker processes"
STOP_SECONDS = 20
ELSEWHERE = "127.0.0.2"
"""An address of this host that is no proxy's."""

pytestmark = pytest.mark.witness("nginx")


def block(language: str) -> str:
    """The manual's only block in *language*."""
    _, *blocks = PAGE.read_text().split(f"```{language}\n")
    (only,) = blocks
    return only.partition("```")[0]


def replaced(text: str, places: dict[str, str]) -> str:
    """*text* with what belongs to the place replaced, each of which stands there once."""
    for there, here in places.items():
        assert text.count(there) == 1, there
        text = text.replace(there, here)
    return text


@contextmanager
def nginx(directory: Path, site: str) -> Iterator[None]:
    """Run nginx on *site*, as an ordinary user's process would, with everything it writes in *directory*."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    temporary = "\n".join(
        f"    {kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""  # else its workers could not write there
    (directory / "nginx.conf").write_text(
        f"{user}daemon off;\npid {directory}/nginx.pid;\nerror_log stderr notice;\nevents {{}}\n"
        f"http {{\n{temporary}\n    access_log off;\n{site}\n}}\n"
    )
    process = subprocess.Popen(
        [program, "-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf")],
        stderr=subprocess.PIPE,
        text=True,
    )
    log: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        log.append(line)
        if READY in line:
            break
    else:
        pytest.fail("nginx did not start:\n" + "".join(log))
    reader = threading.Thread(target=log.extend, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        yield
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        reader.join(STOP_SECONDS)
        process.stderr.close()


@dataclass(frozen=True)
class Front:
    """nginx before a server, and what its clients have."""

    url: str
    server: RunningServer
    ca: Path
    muster: CommandLine
    identities: Identities
    files: dict[bytes, Files]

    def connect(
        self,
        identifiers: Identifiers,
        *,
        signer: SignerIdentity | None = None,
        presented: SignerIdentity | None = None,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Connect as a device, through nginx."""
        files = None if presented is None else self.files[presented.certificate_der]
        return connect(
            self.url, identifiers, signer=signer, trust=self.ca, presenting=files, headers=headers, body=body
        )


@pytest.fixture(scope="module")
def front(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    directory = tmp_path_factory.mktemp("nginx")
    data = directory / "data"
    muster = CommandLine("--data-dir", str(data))
    assert muster.run("init")[0] == 0
    identities = enroll_devices(data)
    certificate, key, ca = server_files(directory)
    port = free_port()
    places = {'public_url = "https://mdm.example.com"\n': "", 'listen = "127.0.0.1:8443"\n': ""}
    (data / "muster.toml").write_text(replaced(block("toml"), places))
    with RunningServer(data, environment=stage.settings(directory)) as server:
        site = replaced(
            block("nginx"),
            {
                "server 127.0.0.1:8443;": f"server {server.url.removeprefix('http://')};",
                "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
                "listen [::]:443 ssl;": "",
                "server_name mdm.example.com;": "server_name 127.0.0.1;",
                "/etc/ssl/mdm.example.com.chain.pem": str(certificate),
                "/etc/ssl/mdm.example.com.key.pem": str(key),
            },
        )
        files = {
            one.certificate_der: write(one, directory, name)
            for name, one in (("mac", identities.mac), ("ipad", identities.ipad), ("stranger", identities.stranger))
        }
        with nginx(directory, site):
            yield Front(f"https://127.0.0.1:{port}", server, ca, muster, identities, files)


def as_nginx_writes(identity: SignerIdentity) -> dict[str, str]:
    """The header that only a trusted proxy may set."""
    return {"X-Client-Cert": quote(pem_from_der([identity.certificate_der]), safe="")}


def test_client_certificate_alone_speaks_for_its_device(front: Front) -> None:
    command_uuid = front.muster.send(MAC.udid or "", "DeviceInformation", "--set", "Queries[]=UDID")

    answer = front.connect(MAC, presented=front.identities.mac)

    assert answer.status == 200
    assert answer.server.startswith("nginx")
    assert command_uuid.encode() in answer.body


def test_signature_gets_through_without_a_certificate_and_beside_it(front: Front) -> None:
    mac = front.identities.mac

    alone, beside = front.connect(MAC, signer=mac), front.connect(MAC, signer=mac, presented=mac)

    assert (alone.status, beside.status) == (200, 200)


def test_signature_decides_beside_a_certificate_that_is_none_of_ours(front: Front) -> None:
    answer = front.connect(MAC, signer=front.identities.mac, presented=front.identities.stranger)

    assert answer.status == 200


def test_strangers_certificate_is_handed_on_and_refused_by_us(front: Front) -> None:
    answer = front.connect(MAC, presented=front.identities.stranger)

    assert (answer.status, answer.body) == (403, b"the identity was not issued by this server\n")


@pytest.mark.parametrize("name", ["X-Client-Cert", "x-client-cert", "X_Client_Cert"])
def test_header_that_the_client_sets_itself_is_not_believed(front: Front, name: str) -> None:
    forged = {name: next(iter(as_nginx_writes(front.identities.mac).values()))}

    answers = [
        front.connect(MAC, headers=forged),
        front.connect(MAC, headers=forged, presented=front.identities.stranger),
        front.connect(MAC, headers=forged, presented=front.identities.ipad),  # expired: the other location
    ]

    assert [answer.status for answer in answers] == [403, 403, 403]
    assert b"neither an Mdm-Signature header nor a client certificate" in answers[0].body
    assert b"not issued by this server" in answers[1].body
    assert b"neither an Mdm-Signature header nor a client certificate" in answers[2].body


def test_address_that_the_client_claims_is_not_believed(front: Front) -> None:
    nobody = Identifiers(udid="5A3E0000-0000-4000-8000-00000000F00D")

    front.connect(nobody, headers={"X-Forwarded-For": "203.0.113.77"})

    assert "source=127.0.0.1" in front.server.wait_for(f"enrollment_id={nobody.udid}")


def test_header_from_an_address_that_is_no_proxys_is_ignored(front: Front) -> None:
    mac, headers = front.identities.mac, as_nginx_writes(front.identities.mac)

    from_elsewhere = connect(front.server.url, MAC, headers=headers, source=ELSEWHERE)
    signed = connect(front.server.url, MAC, headers=headers, signer=mac, source=ELSEWHERE)
    from_the_proxy = connect(front.server.url, MAC, headers=headers)

    assert (from_elsewhere.status, signed.status, from_the_proxy.status) == (403, 200, 200)
    assert b"neither an Mdm-Signature header nor a client certificate" in from_elsewhere.body


def test_expired_certificate_with_a_signature_reaches_us(front: Front) -> None:
    ipad = front.identities.ipad
    unknown = encode_report(Report(head(IPAD, "Acknowledged", "nobody's"), answer={"Padding": "x" * 100_000}))

    idle = front.connect(IPAD, signer=ipad, presented=ipad)
    report = front.connect(IPAD, signer=ipad, presented=ipad, body=unknown)
    unsigned = front.connect(IPAD, presented=ipad)

    # the signature is over every byte: method and body came through whole
    assert (idle.status, report.status) == (200, 200)
    assert (unsigned.status, b"neither an Mdm-Signature" in unsigned.body) == (403, True)


def test_device_with_an_expired_identity_renews_it_through_nginx(front: Front) -> None:
    ipad = front.identities.ipad
    front.server.wait_for("renewal_sent")

    command = decode_command(front.connect(IPAD, signer=ipad, presented=ipad).body)
    renewed = renew(front, command)
    message = {"Content-Type": "application/x-apple-aspen-mdm-checkin"}
    used = front.connect(IPAD, signer=renewed, headers=message, body=encode_checkin(token_update(IPAD)))

    assert command.request_type == "InstallProfile"
    assert used.status == 200
    assert [identity["days_left"] > 300 for identity in identities_of(front, IPAD)] == [True]


def renew(front: Front, command: Command) -> SignerIdentity:
    """Do with the renewal what a device does: ask for a certificate for a fresh key."""
    payload = command.keys["Payload"]
    assert isinstance(payload, bytes)
    scep = scep_of(decode_enrollment_profile(unwrap_profile(payload)))
    transport = HttpTransport(trust_pem=front.ca.read_text())
    try:
        return asyncio.run(
            obtain_identity(
                replace(scep, url=f"{front.url}/scep"),
                generate_rsa_key(),
                transport,
                default_common_name="iPad",
                now=now(),
                random_bytes=os.urandom,
            )
        )
    finally:
        transport.close()


def identities_of(front: Front, identifiers: Identifiers) -> list[dict[str, Any]]:
    """What `muster identities list` says of one device."""
    listed = json.loads(front.muster.run("identities", "list", "--json")[1])
    return [one for one in listed if one["device_id"] == identifiers.udid]


def test_report_of_sixteen_megabytes_gets_through(front: Front) -> None:
    body = encode_report(Report(head(MAC, "Acknowledged", "large"), answer={"Padding": ""}))
    body = body.replace(b"<string></string>", b"<string>" + b"x" * (MAXIMUM_BODY_BYTES - len(body)) + b"</string>")

    answer = front.connect(MAC, signer=front.identities.mac, body=body)

    assert (len(body), answer.status) == (MAXIMUM_BODY_BYTES, 200)


def test_metrics_are_kept_from_the_public(front: Front) -> None:
    context = ssl.create_default_context(cafile=str(front.ca))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{front.url}/metrics", timeout=30, context=context)

    assert b"muster_connects_total" in front.server.get("/metrics")
