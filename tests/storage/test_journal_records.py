"""Authorities, identities and hand-outs come back from the journal as they were written."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.instants import NOON
from tests.support.site import authority, identity_of, print_of

from muster.crypto.certificates import fingerprint
from muster.domain.access import Grant
from muster.domain.enrollment import Provenance
from muster.domain.secrets import SecretKind, SecretState
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.storage.escrow import EscrowCertificate, KeptSecret, SealedSecret
from muster.storage.identities import NewIdentity, StoredAuthority
from muster.storage.journal_records import (
    JournaledAuthority,
    JournaledIdentity,
    JournaledPushCertificate,
    authority_record,
    escrow_certificate_record,
    handed_out_record,
    identity_record,
    processed_record,
    push_certificate_record,
    push_request_record,
    read_authority,
    read_escrow_certificate,
    read_handed_out,
    read_identity,
    read_push_certificate,
    read_push_request,
    read_secret,
    secret_record,
)
from muster.storage.push_certificates import RequestPurpose, StoredPushCertificate, StoredRequest

CERTIFICATE = identity_of(1).certificate_der
AUTHORITY = fingerprint(authority().certificate_der)
LATER = NOON + timedelta(days=365)


def issued(grant: Grant) -> JournaledIdentity:
    return JournaledIdentity(NewIdentity(print_of(identity_of(1)), CERTIFICATE, AUTHORITY, grant, NOON, LATER))


@pytest.mark.parametrize(
    "written",
    [
        issued(Grant(Provenance.LINK)),
        issued(Grant(Provenance.LINK, "link", None, b"\x01" * 32, "UDID", "SERIAL", "ada@example.org")),
        issued(Grant(Provenance.RENEWAL, renewal_of=DeviceId("UDID"))),
        replace(
            issued(Grant(Provenance.OTA)),
            terms={"topic": "t", "access_rights": 8191, "capabilities": ["a"]},
            challenge_hash=b"\x02" * 32,
            challenge_key=b"\x03" * 32,
            replaces=b"\x04" * 32,
        ),
    ],
)
def test_identity_comes_back_with_its_grant(written: JournaledIdentity) -> None:
    record = identity_record(written, source="192.0.2.1", at=NOON)

    assert read_identity(record) == written


@pytest.mark.parametrize(
    ("grant", "channel_id"),
    [
        (Grant(Provenance.RENEWAL, renewal_of=DeviceId("A")), "A"),
        (Grant(Provenance.LINK, expected_udid="B"), "B"),
        (Grant(Provenance.LINK), ""),
    ],
)
def test_identity_is_found_by_the_device_it_is_for(grant: Grant, channel_id: str) -> None:
    assert identity_record(issued(grant), source="", at=NOON).channel_id == channel_id


def test_authority_comes_back_with_its_key_still_sealed() -> None:
    stored = StoredAuthority(AUTHORITY, authority().certificate_der, b"sealed", is_current=True)

    assert read_authority(authority_record(stored, created_at=NOON, at=LATER)) == JournaledAuthority(stored, NOON)


def test_hand_out_comes_back() -> None:
    record = handed_out_record(ChannelId("A"), CommandUUID("one"), at=NOON)

    assert (record.channel_id, read_handed_out(record)) == ("A", "one")


GIVEN = KeptSecret(
    SealedSecret("id", b"sealed", 2, NOON),
    DeviceId("A"),
    None,
    SecretKind.FILEVAULT_KEY,
    "",
    None,
    SecretState.IN_FORCE,
    "SecurityInfo",
    None,
    NOON,
    None,
    None,
)
SET = replace(
    GIVEN,
    serial_number="C02XK1LYJGH5",
    kind=SecretKind.ADMINISTRATOR_PASSWORD,
    subject="admin",
    account_guid="GUID",
    state=SecretState.REPLACED,
    command_uuid=CommandUUID("one"),
    archived_at=LATER,
)


@pytest.mark.parametrize("kept", [GIVEN, SET])
def test_secret_comes_back_as_it_stood_with_its_value_still_sealed(kept: KeptSecret) -> None:
    record = secret_record(kept, at=LATER)

    assert (record.channel_id, read_secret(record)) == ("A", kept)


def test_when_a_secret_is_to_be_replaced_is_not_written_down() -> None:
    assert read_secret(secret_record(replace(GIVEN, rotate_at=LATER), at=NOON)) == GIVEN


def test_escrow_certificate_comes_back_with_its_key_still_sealed() -> None:
    certificate = EscrowCertificate(AUTHORITY, authority().certificate_der, b"sealed")

    assert read_escrow_certificate(escrow_certificate_record(certificate, at=NOON)) == certificate


def test_push_certificate_and_request_come_back_with_their_keys_still_sealed() -> None:
    stored = StoredPushCertificate(AUTHORITY, "com.apple.mgmt.x", b"-----BEGIN", b"sealed", LATER)
    used = JournaledPushCertificate(stored, "ada", is_chosen=False)
    request = StoredRequest("R", RequestPurpose.VENDOR, b"\x30", b"sealed", AUTHORITY)

    assert read_push_certificate(push_certificate_record(used, at=NOON)) == used
    assert read_push_request(push_request_record(request, by="ada", at=NOON)) == (request, "ada")


READERS = [
    read_authority,
    read_identity,
    read_handed_out,
    read_secret,
    read_escrow_certificate,
    read_push_certificate,
    read_push_request,
]


@pytest.mark.parametrize("read", READERS)
def test_record_of_another_kind_is_not_read(read: object) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match="Processed"):
        read(processed_record(NOON))
