"""Secrets are kept before they can be lost: what we set when it is queued, what devices give when it is read."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.crypto.openssl import OpenSSL
from tests.support.site import IPAD, MAC, Site, authority, id_of, token_update

from muster.crypto.certificates import pem_from_der
from muster.crypto.cms.enveloped_data import envelope
from muster.domain.secrets import SecretKind, SecretState
from muster.operations.cancel_commands import CancelOrder, cancel_commands
from muster.operations.keep_secrets import escrow_certificate, open_recovery_key, open_secret
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.operations.tend_queues import tend_queues
from muster.operations.views.secrets import list_secrets
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID, DeviceId
from muster.protocol.plist import PlistValue
from muster.storage import escrow, queue_holds, queues, schema

DEVICE_ID = DeviceId(id_of(MAC))
RECOVERY_KEY = b"ABCD-EFGH-IJKL-MNOP-QRST-UVWX"
PROPOSED, IN_FORCE, REPLACED = SecretState.PROPOSED, SecretState.IN_FORCE, SecretState.REPLACED
ARCHIVED, REFUSED, WITHDRAWN = SecretState.ARCHIVED, SecretState.REFUSED, SecretState.WITHDRAWN


def kept(site: Site, kind: SecretKind, device_id: DeviceId = DEVICE_ID) -> list[tuple[str, SecretState]]:
    """Values and states of what is kept, the oldest first."""
    ctx = site.runner.context()
    found = site.engine.read(lambda tx: escrow.of_device(tx, device_id, kind))
    return [(open_secret(one.secret, ctx).decode(), one.state) for one in reversed(found)]


def set_lock(password: str, current: str | None = None) -> CommandRequest:
    keys: dict[str, PlistValue] = {"NewPassword": password}
    return CommandRequest("SetRecoveryLock", keys if current is None else {**keys, "CurrentPassword": current})


def certificate(site: Site) -> bytes:
    return site.do(lambda tx, items, ctx: [escrow_certificate(tx, ctx) for _ in items], None)[0]


def to_us(site: Site, secret: bytes) -> bytes:
    return envelope(secret, certificate(site), random_bytes=site.runner.context().random_bytes)


# --- what we set ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_type", ["DeviceLock", "EraseDevice"])
def test_pin_is_kept_before_the_command_can_be_handed_out(site: Site, request_type: str) -> None:
    site.enroll()

    site.do(queue_commands, CommandOrder((id_of(MAC),), CommandRequest(request_type, {"PIN": "483920"}), anyway=True))

    assert kept(site, SecretKind.LOCK_PIN) == [("483920", PROPOSED)]


def test_pin_for_several_devices_is_kept_for_each(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    lock = CommandRequest("DeviceLock", {"PIN": "483920"})

    site.do(queue_commands, CommandOrder((id_of(MAC), id_of(IPAD)), lock, anyway=True))

    for device in (MAC, IPAD):
        assert kept(site, SecretKind.LOCK_PIN, DeviceId(id_of(device))) == [("483920", PROPOSED)]


def test_password_is_in_force_once_it_is_acknowledged_and_replaces_the_one_before(site: Site) -> None:
    identity = site.enroll()

    site.answers(identity, set_lock("one"))
    site.wait(days=1)
    site.answers(identity, set_lock("two", "one"))

    assert kept(site, SecretKind.RECOVERY_LOCK) == [("one", REPLACED), ("two", IN_FORCE)]


def test_password_that_the_device_refused_leaves_the_one_in_force(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    site.wait(days=1)

    site.answers(identity, set_lock("two", "wrong"), status="Error")

    assert kept(site, SecretKind.RECOVERY_LOCK) == [("one", IN_FORCE), ("two", REFUSED)]


def test_lost_acknowledgement_leaves_both_passwords_known(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    site.wait(days=1)
    site.do(queue_commands, CommandOrder((id_of(MAC),), set_lock("two", "one"), anyway=True))
    site.connect(identity)

    assert kept(site, SecretKind.RECOVERY_LOCK) == [("one", IN_FORCE), ("two", PROPOSED)]


def test_password_whose_command_is_cancelled_unseen_is_withdrawn_and_kept(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    site.wait(days=1)
    site.do(queue_commands, CommandOrder((id_of(MAC),), set_lock("two", "one"), anyway=True))

    site.do(cancel_commands, CancelOrder(None, (id_of(MAC),)))

    assert kept(site, SecretKind.RECOVERY_LOCK) == [("one", IN_FORCE), ("two", WITHDRAWN)]


def test_password_whose_command_is_cancelled_after_the_device_had_it_stays_proposed(site: Site) -> None:
    identity = site.enroll()
    site.do(queue_commands, CommandOrder((id_of(MAC),), set_lock("one"), anyway=True))
    site.connect(identity)

    site.do(cancel_commands, CancelOrder(None, (id_of(MAC),)))

    assert kept(site, SecretKind.RECOVERY_LOCK) == [("one", PROPOSED)]
    (row,) = site.engine.read(lambda tx: list_secrets(tx, DEVICE_ID))
    assert row.command_status == "cancelled"


def test_pin_whose_command_expires_unseen_is_withdrawn(site: Site) -> None:
    site.enroll()
    lock = CommandRequest("DeviceLock", {"PIN": "483920"})
    expires_at = site.now + timedelta(hours=1)
    site.do(queue_commands, CommandOrder((id_of(MAC),), lock, anyway=True, expires_at=expires_at))
    site.wait(hours=2)

    site.do(tend_queues, id_of(MAC))

    assert kept(site, SecretKind.LOCK_PIN) == [("483920", WITHDRAWN)]


def test_pin_that_a_device_may_have_got_before_the_database_was_restored_stays_proposed(site: Site) -> None:
    site.enroll()
    lock = CommandRequest("DeviceLock", {"PIN": "483920"})
    site.do(queue_commands, CommandOrder((id_of(MAC),), lock, anyway=True))
    site.engine.write(queue_holds.hold_once_only)

    site.do(cancel_commands, CancelOrder(None, (id_of(MAC),)))

    assert kept(site, SecretKind.LOCK_PIN) == [("483920", PROPOSED)]


def test_password_that_is_taken_when_its_command_is_tried_again_is_in_force(site: Site) -> None:
    identity = site.enroll()
    site.do(queue_commands, CommandOrder((id_of(MAC),), set_lock("one"), anyway=True, retries=1))
    uuid = site.queued()[0]
    site.connect(identity)
    site.connect(identity, status="Error", command_uuid=uuid)
    site.read_answers()
    site.wait(days=1)
    site.do(tend_queues, id_of(MAC))

    site.connect(identity)
    site.connect(identity, status="Acknowledged", command_uuid=uuid)
    site.read_answers()

    assert kept(site, SecretKind.RECOVERY_LOCK) == [("one", IN_FORCE)]


def test_empty_password_takes_the_one_in_force_away_and_keeps_it(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    site.wait(days=1)

    site.answers(identity, set_lock("", "one"))

    assert kept(site, SecretKind.RECOVERY_LOCK) == [("one", REPLACED)]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"SetFirmwarePassword": {"PasswordChanged": True}}, IN_FORCE),
        ({"SetFirmwarePassword": {"PasswordChanged": False}}, REFUSED),
        ({}, IN_FORCE),
        ({"SetFirmwarePassword": "text"}, IN_FORCE),
    ],
)
def test_firmware_password_is_in_force_unless_nothing_changed(
    site: Site, answer: dict[str, PlistValue], state: SecretState
) -> None:
    identity = site.enroll()

    site.answers(identity, CommandRequest("SetFirmwarePassword", {"NewPassword": "one"}), answer)

    assert kept(site, SecretKind.FIRMWARE_PASSWORD) == [("one", state)]


@pytest.mark.parametrize(("is_right", "states"), [(True, (REPLACED, IN_FORCE)), (False, (IN_FORCE, REFUSED))])
def test_verification_settles_what_a_lost_answer_left_open(
    site: Site, is_right: bool, states: tuple[SecretState, SecretState]
) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    site.wait(days=1)
    site.do(queue_commands, CommandOrder((id_of(MAC),), set_lock("two", "one"), anyway=True))
    site.connect(identity)
    queued = site.queued()[0]
    site.engine.write(lambda tx: queues.close(tx, id_of(MAC), [CommandUUID(queued)], site.now))

    site.answers(identity, CommandRequest("VerifyRecoveryLock", {"Password": "two"}), {"PasswordVerified": is_right})

    assert kept(site, SecretKind.RECOVERY_LOCK) == [("one", states[0]), ("two", states[1])]


def test_verification_of_an_older_password_puts_right_what_was_taken_for_the_one_in_force(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    site.wait(days=1)
    site.answers(identity, set_lock("two", "one"))

    site.answers(identity, CommandRequest("VerifyRecoveryLock", {"Password": "one"}), {"PasswordVerified": True})

    assert kept(site, SecretKind.RECOVERY_LOCK) == [("one", IN_FORCE), ("two", REPLACED)]


# --- what devices give ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_type", "answer", "kind"),
    [
        ("ActivationLockBypassCode", {"ActivationLockBypassCode": "0123A"}, SecretKind.ACTIVATION_LOCK_CODE),
        ("RequestUnlockToken", {"UnlockToken": b"0123A"}, SecretKind.UNLOCK_TOKEN),
    ],
)
def test_secret_that_a_device_was_asked_for_is_kept_once(
    site: Site, request_type: str, answer: dict[str, PlistValue], kind: SecretKind
) -> None:
    identity = site.enroll()

    for _ in range(2):
        site.answers(identity, CommandRequest(request_type), answer)

    assert kept(site, kind) == [("0123A", IN_FORCE)]


@pytest.mark.parametrize("value", ["", b"", 7, {}, b"x" * (64 * 1024 + 1)], ids=["empty", "none", "7", "{}", "long"])
def test_answer_without_the_secret_is_flagged(site: Site, value: PlistValue) -> None:
    identity = site.enroll()

    site.answers(identity, CommandRequest("ActivationLockBypassCode"), {"ActivationLockBypassCode": value})

    assert kept(site, SecretKind.ACTIVATION_LOCK_CODE) == []
    assert ("S5", "faulty_answer", 1) in site.evidence()


def test_recovery_key_is_decrypted_and_kept_when_it_differs(site: Site) -> None:
    identity = site.enroll()
    other = RECOVERY_KEY[::-1]
    for key in (RECOVERY_KEY, RECOVERY_KEY, other):
        site.wait(days=1)
        answer: dict[str, PlistValue] = {"FDE_Enabled": True, "FDE_PersonalRecoveryKeyCMS": to_us(site, key)}
        site.answers(identity, CommandRequest("SecurityInfo"), {"SecurityInfo": answer})

    assert kept(site, SecretKind.FILEVAULT_KEY) == [(RECOVERY_KEY.decode(), REPLACED), (other.decode(), IN_FORCE)]


def test_rotated_recovery_key_is_kept(site: Site) -> None:
    identity = site.enroll()
    request = CommandRequest("RotateFileVaultKey", {"KeyType": "personal", "FileVaultUnlock": {"Password": "old"}})

    site.answers(identity, request, {"RotateResult": {"EncryptedNewRecoveryKey": to_us(site, RECOVERY_KEY)}})

    assert kept(site, SecretKind.FILEVAULT_KEY) == [(RECOVERY_KEY.decode(), IN_FORCE)]


@pytest.mark.parametrize("said", [{}, {"FDE_Enabled": True}], ids=["nothing", "no key"])
def test_mac_that_has_no_recovery_key_for_us_is_no_fault(site: Site, said: dict[str, PlistValue]) -> None:
    identity = site.enroll()

    site.answers(identity, CommandRequest("SecurityInfo"), {"SecurityInfo": said})

    assert kept(site, SecretKind.FILEVAULT_KEY) == []
    assert not [one for one in site.evidence() if one[1] == "faulty_answer"]


@pytest.mark.parametrize("value", [b"no CMS", "text", b"\x30\x80", b"x" * (64 * 1024 + 1)])
def test_recovery_key_that_cannot_be_read_is_flagged(site: Site, value: PlistValue) -> None:
    identity = site.enroll()
    certificate(site)

    site.answers(identity, CommandRequest("SecurityInfo"), {"SecurityInfo": {"FDE_PersonalRecoveryKeyCMS": value}})

    assert kept(site, SecretKind.FILEVAULT_KEY) == []
    assert ("S5", "faulty_answer", 1) in site.evidence()


def test_recovery_key_that_is_encrypted_to_somebody_else_is_flagged_and_stays_in_its_answer(site: Site) -> None:
    identity = site.enroll()
    certificate(site)
    theirs = envelope(RECOVERY_KEY, identity_with_rsa(), random_bytes=site.runner.context().random_bytes)

    site.answers(identity, CommandRequest("SecurityInfo"), {"SecurityInfo": {"FDE_PersonalRecoveryKeyCMS": theirs}})

    assert kept(site, SecretKind.FILEVAULT_KEY) == []
    ((flagged,),) = site.rows(sa.select(schema.reports.c.faults))
    assert flagged[0]["what"] == "is not encrypted to a certificate of ours"


def identity_with_rsa() -> bytes:
    return authority().certificate_der


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_whatever_stands_for_a_recovery_key_is_opened_or_said_to_be_wrong(site: Site, data: st.DataObject) -> None:
    whole = bytearray(to_us(site, RECOVERY_KEY))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    ctx = site.runner.context()

    opened = site.engine.read(lambda tx: open_recovery_key(tx, bytes(whole), ctx))

    assert opened
    assert isinstance(opened, bytes | str)


@pytest.mark.witness("openssl")
@pytest.mark.parametrize("options", [(), ("-stream",), ("-aes-256-cbc",), ("-des3",)], ids=" ".join)
def test_recovery_key_is_read_whoever_encrypted_it(site: Site, tmp_path: Path, options: tuple[str, ...]) -> None:
    openssl = OpenSSL(tmp_path)
    openssl.write("key", RECOVERY_KEY)
    openssl.write("to.pem", pem_from_der([certificate(site)]))
    openssl.run("cms", "-encrypt", "-binary", "-in", "key", "-outform", "DER", "-out", "cms", *options, "to.pem")
    ctx = site.runner.context()

    opened = site.engine.read(lambda tx: open_recovery_key(tx, openssl.read("cms"), ctx))

    assert opened == RECOVERY_KEY
    assert b"Key Encipherment" in openssl.run("x509", "-in", "to.pem", "-noout", "-text")


def test_certificate_is_made_once_and_opens_what_was_encrypted_to_it(site: Site) -> None:
    assert certificate(site) == certificate(site)
    assert len(site.rows(sa.select(schema.escrow_certificates.c.fingerprint))) == 1


# --- what outlives what -----------------------------------------------------------------------------------------------


def test_secrets_of_an_earlier_life_are_archived_and_found_by_the_serial_number(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    site.wait(days=1)

    site.enroll()

    assert kept(site, SecretKind.RECOVERY_LOCK) == [("one", ARCHIVED)]
    found = site.engine.read(lambda tx: escrow.of_serial(tx, "C02XK1LYJGH5"))
    assert [one.state for one in found] == [ARCHIVED]


def test_secrets_outlive_the_record_of_their_device(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    site.wait(days=1)
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.device_facts)))
    for table in (schema.queue, schema.push_wishes, schema.push_targets, schema.renewals, schema.reviews):
        site.engine.write(lambda tx, table=table: tx.connection.execute(sa.delete(table)))  # type: ignore[misc]
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.channels)))

    found = site.engine.read(lambda tx: escrow.of_serial(tx, "C02XK1LYJGH5"))

    assert [open_secret(one.secret, site.runner.context()) for one in found] == [b"one"]
    assert found[0].device_id == DEVICE_ID


def test_answer_of_an_earlier_life_goes_to_the_history(site: Site) -> None:
    identity = site.enroll()
    queued = site.queue("one", request_type="ActivationLockBypassCode")
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", queued.command_uuid, answer={"ActivationLockBypassCode": "0123A"})
    site.wait(days=1)
    site.enroll()

    site.read_answers()

    assert kept(site, SecretKind.ACTIVATION_LOCK_CODE) == [("0123A", ARCHIVED)]


def test_token_update_without_an_unlock_token_clears_nothing(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(unlock_token=b"first"), identity)

    site.check_in(replace(token_update(), unlock_token=None), identity)

    assert kept(site, SecretKind.UNLOCK_TOKEN) == [("first", IN_FORCE)]
