"""No secret stands in the database as it is: every column of every table is searched, and SQLite's files."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support import databases
from tests.support.profiles import scep_of
from tests.support.push_portal import developer_relations, root, vendor_certificate
from tests.support.site import IPAD, MAC, SOURCE, Site, authenticate, id_of, print_of, token_update

from muster.crypto.certificates import pem_from_der
from muster.crypto.issuance import make_push_certificate
from muster.crypto.keys import private_key_der, private_key_pem, public_key_der
from muster.domain.access import DEVICE
from muster.domain.errors import Refusal
from muster.domain.secrets import SecretKind
from muster.operations.answer_connect import ConnectReply
from muster.operations.enrollment_links import LinkOpened, LinkOrder, open_links
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.request_push_certificate import RequestOrder, request_push_certificates
from muster.operations.retry_deferred import Deferral, claim_deferred, defer_messages, process_deferred
from muster.operations.sign_in import LinkUse, Session, create_sign_in_links, sign_in
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.operations.upload_vendor_certificate import UploadedVendorCertificate, upload_vendor_certificates
from muster.protocol.checkin import SetBootstrapToken, encode_checkin
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID, resolve_channel
from muster.protocol.profile import EnrollmentProfile
from muster.simulator.keys.published import published_keys
from muster.storage import escrow, queues, schema
from muster.storage.push_certificates import RequestPurpose

CHANNEL = resolve_channel(MAC)
SECRET = b"correct horse battery staple"
IN_A_BODY = b"<key>BootstrapToken</key>"
"""What stands before a secret in a device's message, where it is base64."""


def stored(site: Site) -> bytes:
    """Everything in the database, with binary columns as they are."""
    values = [value for table in schema.metadata.sorted_tables for row in site.rows(sa.select(table)) for value in row]
    return b"\0".join(value if isinstance(value, bytes) else str(value).encode() for value in values)


def unlock_token(site: Site) -> bytes | None:
    """The unlock token in force, opened."""
    device_id = CHANNEL.device_id
    secret = site.engine.read(lambda tx: escrow.current(tx, device_id, SecretKind.UNLOCK_TOKEN, epoch=1))
    if secret is None:
        return None
    return site.runner.context().open(secret.sealed, table="escrow", column="sealed", row=secret.id)


def defer(site: Site, message: SetBootstrapToken, fingerprint: bytes) -> None:
    body = encode_checkin(message)
    assert IN_A_BODY in body
    deferral = Deferral(CHANNEL, "SetBootstrapToken", body, fingerprint, SOURCE, "KeyError")
    assert site.do(defer_messages, deferral, actor=DEVICE) == [None]


def test_search_finds_what_is_stored_as_it_is(site: Site) -> None:
    site.enroll()

    found = stored(site)

    assert b"C02XK1LYJGH5" in found
    assert b"\x01" * 32 in found


def test_tokens_of_devices_are_sealed(site: Site) -> None:
    identity = site.identity()
    site.check_in(authenticate(), identity)

    site.check_in(token_update(unlock_token=b"unlock " + SECRET), identity)
    site.check_in(SetBootstrapToken(MAC, CHANNEL, b"bootstrap " + SECRET), identity)

    assert SECRET not in stored(site)
    assert unlock_token(site) == b"unlock " + SECRET


def test_message_that_waits_for_another_attempt_is_sealed(site: Site) -> None:
    identity = site.enroll()

    defer(site, SetBootstrapToken(MAC, CHANNEL, SECRET), print_of(identity))

    found = stored(site)
    assert b"SetBootstrapToken" in found
    assert IN_A_BODY not in found


def test_command_with_a_secret_is_sealed_whoever_sends_it_and_leaves_as_it_was_meant(site: Site) -> None:
    identity = site.enroll()
    lock = CommandRequest("SetRecoveryLock", {"NewPassword": SECRET.decode()})

    site.do(queue_commands, CommandOrder((CHANNEL.id,), lock, anyway=True))

    assert SECRET not in stored(site)
    handed_out = site.connect(identity)
    assert isinstance(handed_out, ConnectReply)
    assert SECRET in handed_out.body


@pytest.mark.parametrize("is_queued", [True, False], ids=["queued", "late"])
def test_answer_with_a_secret_is_sealed(site: Site, *, is_queued: bool) -> None:
    identity = site.enroll()
    answer = {"ActivationLockBypassCode": SECRET.decode()}
    queued = site.queue("one", request_type="ActivationLockBypassCode")
    if not is_queued:
        site.engine.write(lambda tx: queues.close(tx, CHANNEL.id, [queued.command_uuid], site.now))

    site.connect(identity, MAC, "Acknowledged", "one", answer=answer)

    assert SECRET not in stored(site)
    assert site.reports()[-1] == ("one", "Acknowledged")


def test_answer_with_a_secret_to_a_command_that_is_not_ours_is_sealed(site: Site) -> None:
    identity = site.enroll()

    site.connect(identity, MAC, "Acknowledged", "elsewhere", answer={"UnlockToken": SECRET})

    assert b"<key>UnlockToken</key>" not in stored(site)
    assert site.reports() == [("elsewhere", "Acknowledged")]


def test_same_command_with_a_secret_goes_to_another_channel_under_its_uuid(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    pin = CommandRequest("ClearPasscode", {"UnlockToken": SECRET})
    order = CommandOrder((CHANNEL.id,), pin, command_uuid=CommandUUID("one"), anyway=True)
    site.do(queue_commands, order)

    (again,) = site.do(queue_commands, replace(order, channel_ids=(id_of(IPAD),)))
    (other,) = site.do(queue_commands, replace(order, request=CommandRequest("ClearPasscode", {"UnlockToken": b"1"})))

    assert isinstance(again, QueuedCommand)
    assert isinstance(other, Refusal)


def test_key_of_the_push_certificate_is_sealed(site: Site) -> None:
    key = published_keys()[3]
    topic = "com.apple.mgmt.External.sealed"
    certificate = make_push_certificate(topic, key, now=site.now, lifetime=timedelta(days=365), serial_number=5)

    site.do(upload_push_certificates, UploadedPushCertificate(pem_from_der([certificate]), private_key_pem(key)))

    found = stored(site)
    assert topic.encode() in found
    assert private_key_pem(key)[200:264] not in found
    assert private_key_der(key)[200:264] not in found


def test_keys_of_requests_and_of_the_vendor_certificate_are_sealed(site: Site) -> None:
    key = published_keys()[7]
    chain = pem_from_der([developer_relations().certificate_der, root().certificate_der])
    uploaded = UploadedVendorCertificate(vendor_certificate(public_key_der(key)), private_key_pem(key), chain)

    site.do(upload_vendor_certificates, uploaded)
    for purpose in RequestPurpose:
        site.do(request_push_certificates, RequestOrder(purpose, "Example"))

    found = stored(site)
    assert b"-----BEGIN CERTIFICATE-----" in found
    assert b"PRIVATE KEY" not in found
    assert private_key_pem(key)[200:264] not in found
    assert private_key_der(key)[200:264] not in found
    # PKCS #8 of an RSA key begins with its algorithm, which stands in certificates as well, then an OCTET STRING
    assert b"\x01\x01\x01\x05\x00\x04\x82" not in found


def test_links_challenges_and_sessions_are_hashes(site: Site) -> None:
    test_key_of_the_push_certificate_is_sealed(site)  # a link opens only where there is one
    link = site.link(LinkOrder(1, timedelta(days=1)))
    (profile,) = site.do(open_links, LinkOpened(link.token, EnrollmentTerms("https://mdm.example", None, "Example")))
    way_in = site.do(create_sign_in_links, "ana")[0]
    (session,) = site.do(sign_in, LinkUse(way_in.token))

    assert isinstance(profile, EnrollmentProfile)
    assert isinstance(session, Session)
    found = stored(site)
    for secret in (link.token, scep_of(profile).challenge, way_in.token, session.token):
        assert secret is not None
        assert secret.encode() not in found


def test_files_of_sqlite_hold_no_secret(sqlite_template: Path, tmp_path: Path) -> None:
    engine = databases.copy_sqlite(sqlite_template, tmp_path / "muster.db")
    site = Site(engine)
    identity = site.enroll()
    site.check_in(SetBootstrapToken(MAC, CHANNEL, b"first " + SECRET), identity)
    defer(site, SetBootstrapToken(MAC, CHANNEL, b"second " + SECRET), print_of(identity))
    site.wait(minutes=1)
    site.do(process_deferred, *site.do(claim_deferred, None)[0].messages)

    files = b"".join(path.read_bytes() for path in tmp_path.glob("muster.db*"))
    engine.close()

    assert b"C02XK1LYJGH5" in files
    assert SECRET not in files
    assert IN_A_BODY not in files


@pytest.mark.parametrize("newest", [None, b"newest"])
def test_unlock_token_of_an_overtaken_token_update_is_kept_unless_it_was_replaced(
    site: Site, newest: bytes | None
) -> None:
    identity = site.enroll()
    site.wait(seconds=1)
    body = encode_checkin(token_update(token=b"\x02" * 32, unlock_token=b"deferred"))
    site.do(defer_messages, Deferral(CHANNEL, "TokenUpdate", body, print_of(identity), SOURCE, "KeyError"))
    site.wait(seconds=1)
    site.check_in(token_update(token=b"\x03" * 32, unlock_token=newest), identity)
    site.wait(minutes=1)

    site.do(process_deferred, *site.do(claim_deferred, None)[0].messages)

    assert unlock_token(site) == (newest or b"deferred")
    assert site.rows(sa.select(schema.push_targets.c.token)) == [(b"\x03" * 32,)]
