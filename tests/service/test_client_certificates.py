"""Client certificates in the server's own TLS: asked for, never required, expired ones let in, strangers' not."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from tests.service.identities import Identities, connect, enroll_devices, write
from tests.service.running import RunningServer
from tests.service.stage import Stage, keys, now
from tests.simulator.apns_pki import authority, authority_pem
from tests.support.command_line import CommandLine
from tests.support.postgresql import PostgresqlServer
from tests.support.site import IPAD, MAC

from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import make_server_certificate
from muster.protocol.identifiers import Identifiers


@dataclass(frozen=True)
class Place:
    """A server that asks for certificates, and what its clients have."""

    url: str
    ca: Path
    muster: CommandLine
    identities: Identities
    directory: Path

    def connect(
        self, identifiers: Identifiers, *, signer: SignerIdentity | None, presented: SignerIdentity | None
    ) -> tuple[int, bytes]:
        """Connect as a device."""
        files = None if presented is None else write(presented, self.directory, "presented")
        answer = connect(self.url, identifiers, signer=signer, trust=self.ca, presenting=files)
        return answer.status, answer.body


def server_files(directory: Path) -> tuple[Path, Path, Path]:
    """A server's certificate and key for 127.0.0.1, and the CA that its clients trust."""
    ca = directory / "ca.pem"
    ca.write_bytes(authority_pem("Site CA"))
    certificate = make_server_certificate(
        ["127.0.0.1"],
        keys()[0],
        now=now(),
        lifetime=timedelta(days=30),
        serial_number=7,
        authority=authority("Site CA"),
    )
    files = write(SignerIdentity(certificate, keys()[0]), directory, "server")
    return files.certificate, files.key, ca


@pytest.fixture(scope="module", params=["one process on SQLite", "two processes on PostgreSQL"])
def place(
    request: pytest.FixtureRequest,
    stage: Stage,
    postgresql_server: PostgresqlServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("asking")
    extra: tuple[str, ...] = ()
    url = None
    if "two" in request.param:
        url = postgresql_server.create_database("asking")
        extra = ("--database", url)
    where = ("--data-dir", str(directory / "data"), *extra)
    assert CommandLine(*where).run("init")[0] == 0
    identities = enroll_devices(directory / "data", url)
    certificate, key, ca = server_files(directory)
    arguments = [*extra, "--tls-certificate", str(certificate), "--tls-key", str(key)]
    if url is not None:
        arguments += ["--workers", "2"]
    environment = {**stage.settings(directory), "MUSTER_TLS_CLIENT_CERTIFICATES": "ask"}
    server = RunningServer(directory / "data", *arguments, environment=environment)
    server.start(trust=ca)
    yield Place(server.url, ca, CommandLine(*where), identities, directory)
    assert server.stop() == 0


def test_a_certificate_alone_speaks_for_its_device(place: Place) -> None:
    command_uuid = place.muster.send(MAC.udid or "", "DeviceInformation", "--set", "Queries[]=UDID")

    status, body = place.connect(MAC, signer=None, presented=place.identities.mac)

    assert status == 200
    assert command_uuid.encode() in body


def test_nobody_has_to_have_a_certificate(place: Place) -> None:
    signed = place.connect(MAC, signer=place.identities.mac, presented=None)
    unsigned = place.connect(MAC, signer=None, presented=None)

    assert (signed[0], unsigned[0]) == (200, 403)
    assert b"neither an Mdm-Signature header nor a client certificate" in unsigned[1]


def test_an_expired_identity_gets_through_the_handshake(place: Place) -> None:
    statuses = [
        place.connect(IPAD, signer=signer, presented=place.identities.ipad)[0]
        for signer in (None, place.identities.ipad)
    ]

    assert statuses == [200, 200]


def test_a_certificate_speaks_for_no_other_device(place: Place) -> None:
    unsigned = place.connect(MAC, signer=None, presented=place.identities.ipad)
    signed = place.connect(MAC, signer=place.identities.mac, presented=place.identities.ipad)

    assert (unsigned[0], signed[0]) == (403, 403)
    assert b"over a connection of another's" in signed[1]


def test_a_strangers_certificate_fails_the_handshake_and_only_that(place: Place) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        place.connect(MAC, signer=place.identities.mac, presented=place.identities.stranger)

    assert place.connect(MAC, signer=place.identities.mac, presented=None)[0] == 200
