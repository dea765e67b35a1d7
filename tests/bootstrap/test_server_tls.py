"""TLS that asks for client certificates: whom it lets in, and that it hears of a new authority while it serves."""

import pickle
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.runner import NOW
from tests.support.site import authority, identity_of

from muster.bootstrap.server_tls import ServerTls
from muster.bootstrap.serving import ServedApplication, client_tls, server_config
from muster.crypto.certificates import pem_from_der
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import make_server_certificate
from muster.crypto.keys import generate_ec_key, private_key_pem
from muster.settings import Settings, read_settings


def write(identity: SignerIdentity, directory: Path, name: str) -> tuple[str, str]:
    """Write a certificate and its key, as TLS wants them."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    certificate.write_bytes(pem_from_der([identity.certificate_der]))
    key.write_bytes(private_key_pem(identity.key))
    return str(certificate), str(key)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a server that asks."""
    key = generate_ec_key()
    made = make_server_certificate(["localhost"], key, now=NOW, lifetime=timedelta(days=1), serial_number=7)
    certificate_file, key_file = write(SignerIdentity(made, key), tmp_path, "server")
    files = {"tls_certificate": certificate_file, "tls_key": key_file}
    return read_settings({"data_dir": tmp_path, **files, "tls_client_certificates": "ask"}, {})


def context_of(settings: Settings, tls: ServerTls) -> ssl.SSLContext:
    """The context that the server would serve with."""
    config = server_config(settings, ServedApplication(settings, tls=tls), tls)
    config.load()
    assert config.ssl is not None
    return config.ssl


def presented(context: ssl.SSLContext, directory: Path, identity: SignerIdentity | None) -> bytes | None:
    """Shake hands with *context* as a client that has *identity*; returns what the server got to see.

    Raises ssl.SSLError where the server does.
    """
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE  # the server's is not in question
    if identity is not None:
        client_context.load_cert_chain(*write(identity, directory, "client"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    waiting = [client, server]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
    return server.getpeercert(binary_form=True)


def test_identities_of_every_authority_of_ours_are_let_in(settings: Settings) -> None:
    tls = ServerTls()
    tls.trust([authority(0).certificate_der, authority(1).certificate_der])
    context = context_of(settings, tls)

    for issuer in (0, 1):
        identity = identity_of(1, issuer)
        assert presented(context, settings.data_dir, identity) == identity.certificate_der
    assert presented(context, settings.data_dir, None) is None


def test_new_authority_is_trusted_from_the_next_handshake_on(settings: Settings) -> None:
    tls, identity = ServerTls(), identity_of(1, 1)
    context = context_of(settings, tls)
    tls.trust([authority(0).certificate_der])
    with pytest.raises(ssl.SSLCertVerificationError):
        presented(context, settings.data_dir, identity)

    tls.trust([authority(0).certificate_der, authority(1).certificate_der])

    assert presented(context, settings.data_dir, identity) == identity.certificate_der


def test_nobody_is_asked_unless_the_setting_says_so(settings: Settings) -> None:
    off = settings.model_copy(update={"tls_client_certificates": "off"})
    config = server_config(off, ServedApplication(off), client_tls(off))
    config.load()
    assert config.ssl is not None

    assert presented(config.ssl, settings.data_dir, identity_of(1)) is None


def test_application_and_context_share_one_tls_in_a_worker_process(settings: Settings) -> None:
    tls = ServerTls()
    config = server_config(settings, ServedApplication(settings, tls=tls), tls)

    there = pickle.loads(pickle.dumps((config.app, config.ssl_context_factory)))

    assert there[0].tls is there[1].__self__
