"""What the journal keeps beside check-ins: authorities, issued identities, once-only commands that were handed out,
and secrets that no check-in brought, with the certificates to which Macs encrypt theirs.

Each is a `JournalRecord` with a word of its own as *message*; the body is JSON. They say what no check-in can: for
what an identity was issued, with what the device was enrolled, what must not be handed out again, what was set on a
device or learned by a command. The word `Processed` says nothing but how far the database was.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from muster.crypto.certificates import fingerprint as fingerprint_of
from muster.domain.access import Grant
from muster.domain.enrollment import Provenance
from muster.domain.secrets import SecretKind, SecretState
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.storage.escrow import EscrowCertificate, KeptSecret, SealedSecret
from muster.storage.identities import NewIdentity, StoredAuthority
from muster.storage.journal import JournalRecord
from muster.storage.push_certificates import RequestPurpose, StoredPushCertificate, StoredRequest

AUTHORITY: Final = "Authority"
IDENTITY: Final = "Identity"
HANDED_OUT: Final = "HandedOut"
SECRET: Final = "Secret"  # noqa: S105 - a word, not a secret
ESCROW_CERTIFICATE: Final = "EscrowCertificate"
PUSH_CERTIFICATE: Final = "PushCertificate"
PUSH_REQUEST: Final = "PushCertificateRequest"
PROCESSED: Final = "Processed"


def authority_record(authority: StoredAuthority, *, created_at: datetime, at: datetime) -> JournalRecord:
    """Write down an authority that became the current one; its key stays sealed for its row of the database."""
    body = {"key_sealed": base64.b64encode(authority.key_sealed).decode(), "created_at": created_at.isoformat()}
    return JournalRecord(at, ChannelId(""), AUTHORITY, authority.certificate_der, "", json.dumps(body).encode())


@dataclass(frozen=True, slots=True)
class JournaledAuthority:
    """An authority as the journal has it; it was the current one from *created_at* until the next one's."""

    authority: StoredAuthority
    created_at: datetime


def read_authority(record: JournalRecord) -> JournaledAuthority:
    """Read what `authority_record` wrote. Raises ValueError or KeyError for anything else."""
    fields = _fields(record, AUTHORITY)
    authority = StoredAuthority(
        fingerprint_of(record.certificate_der),
        record.certificate_der,
        base64.b64decode(fields["key_sealed"], validate=True),
        is_current=True,
    )
    return JournaledAuthority(authority, datetime.fromisoformat(fields["created_at"]))


@dataclass(frozen=True, slots=True)
class JournaledIdentity:
    """An issued identity as the journal has it. *terms*: what its profile says, None where that is not known.

    *challenge_hash* and *challenge_key* are the hash of the SCEP challenge that bought it, and of the key it was used
    for; None where none was. *replaces* is the identity that no device had used and in whose place this one is.
    """

    identity: NewIdentity
    terms: Mapping[str, Any] | None = None
    challenge_hash: bytes | None = None
    challenge_key: bytes | None = None
    replaces: bytes | None = None


def identity_record(issued: JournaledIdentity, *, source: str, at: datetime) -> JournalRecord:
    """Write down an identity that is about to leave for its device; it is found by the device it is for, if known."""
    identity, grant = issued.identity, issued.identity.made_for
    body = {
        "authority": identity.authority.hex(),
        "issued_at": identity.issued_at.isoformat(),
        "not_after": identity.not_after.isoformat(),
        "provenance": grant.provenance.value,
        "link_id": grant.link_id,
        "renewal_of": grant.renewal_of,
        "profile_id": _hex(grant.profile_id),
        "expected_udid": grant.expected_udid,
        "expected_serial": grant.expected_serial,
        "account": grant.account,
        "terms": None if issued.terms is None else dict(issued.terms),
        "challenge_hash": _hex(issued.challenge_hash),
        "challenge_key": _hex(issued.challenge_key),
        "replaces": _hex(issued.replaces),
        "awaited": _hex(identity.awaited),
    }
    device = ChannelId(grant.renewal_of or grant.expected_udid or "")
    return JournalRecord(at, device, IDENTITY, identity.certificate_der, source, json.dumps(body).encode())


def read_identity(record: JournalRecord) -> JournaledIdentity:
    """Read what `identity_record` wrote. Raises ValueError or KeyError for anything else."""
    fields = _fields(record, IDENTITY)
    renewal_of = fields["renewal_of"]
    grant = Grant(
        Provenance(fields["provenance"]),
        fields["link_id"],
        None if renewal_of is None else DeviceId(renewal_of),
        _bytes(fields["profile_id"]),
        fields["expected_udid"],
        fields["expected_serial"],
        fields["account"],
    )
    identity = NewIdentity(
        fingerprint_of(record.certificate_der),
        record.certificate_der,
        bytes.fromhex(fields["authority"]),
        grant,
        datetime.fromisoformat(fields["issued_at"]),
        datetime.fromisoformat(fields["not_after"]),
        _bytes(fields.get("awaited")),
    )
    return JournaledIdentity(
        identity,
        fields["terms"],
        _bytes(fields["challenge_hash"]),
        _bytes(fields["challenge_key"]),
        _bytes(fields["replaces"]),
    )


def handed_out_record(channel_id: ChannelId, command_uuid: CommandUUID, *, at: datetime) -> JournalRecord:
    """Write down that a once-only command is about to leave: whatever is restored, it must not leave again."""
    return JournalRecord(at, channel_id, HANDED_OUT, b"", "", json.dumps({"command_uuid": command_uuid}).encode())


def read_handed_out(record: JournalRecord) -> CommandUUID:
    """Read what `handed_out_record` wrote: the command. Raises ValueError or KeyError for anything else."""
    return CommandUUID(str(_fields(record, HANDED_OUT)["command_uuid"]))


def secret_record(kept: KeptSecret, *, at: datetime) -> JournalRecord:
    """Write down a kept secret as it stands now; its value stays sealed for its row of the database.

    That somebody saw it, and when it is to be replaced therefore, is not in it.
    """
    secret = kept.secret
    body = {
        "id": secret.id,
        "sealed": base64.b64encode(secret.sealed).decode(),
        "epoch": secret.epoch,
        "stored_at": secret.stored_at.isoformat(),
        "serial_number": kept.serial_number,
        "kind": kept.kind.value,
        "subject": kept.subject,
        "account_guid": kept.account_guid,
        "state": kept.state.value,
        "origin": kept.origin,
        "command_uuid": kept.command_uuid,
        "in_force_at": _iso(kept.in_force_at),
        "archived_at": _iso(kept.archived_at),
    }
    return JournalRecord(at, ChannelId(kept.device_id), SECRET, b"", "", json.dumps(body).encode())


def read_secret(record: JournalRecord) -> KeptSecret:
    """Read what `secret_record` wrote. Raises ValueError or KeyError for anything else."""
    fields = _fields(record, SECRET)
    sealed = base64.b64decode(fields["sealed"], validate=True)
    stored_at = datetime.fromisoformat(fields["stored_at"])
    command_uuid = fields["command_uuid"]
    return KeptSecret(
        SealedSecret(fields["id"], sealed, fields["epoch"], stored_at),
        DeviceId(record.channel_id),
        fields["serial_number"],
        SecretKind(fields["kind"]),
        fields["subject"],
        fields["account_guid"],
        SecretState(fields["state"]),
        fields["origin"],
        None if command_uuid is None else CommandUUID(command_uuid),
        _instant(fields["in_force_at"]),
        _instant(fields["archived_at"]),
        None,
    )


def escrow_certificate_record(certificate: EscrowCertificate, *, at: datetime) -> JournalRecord:
    """Write down a certificate, made at *at*, to which Macs encrypt; its key stays sealed for its row."""
    body = {"key_sealed": base64.b64encode(certificate.key_sealed).decode()}
    record = json.dumps(body).encode()
    return JournalRecord(at, ChannelId(""), ESCROW_CERTIFICATE, certificate.certificate_der, "", record)


def read_escrow_certificate(record: JournalRecord) -> EscrowCertificate:
    """Read what `escrow_certificate_record` wrote. Raises ValueError or KeyError for anything else."""
    fields = _fields(record, ESCROW_CERTIFICATE)
    key_sealed = base64.b64decode(fields["key_sealed"], validate=True)
    return EscrowCertificate(fingerprint_of(record.certificate_der), record.certificate_der, key_sealed)


@dataclass(frozen=True, slots=True)
class JournaledPushCertificate:
    """A push certificate as it was put into use. *is_chosen*: new enrollments get its topic from then on."""

    certificate: StoredPushCertificate
    by: str
    is_chosen: bool


def push_certificate_record(used: JournaledPushCertificate, *, at: datetime) -> JournalRecord:
    """Write down a push certificate that is put into use; its key stays sealed for its row."""
    certificate = used.certificate
    body = {
        "fingerprint": certificate.fingerprint.hex(),
        "topic": certificate.topic,
        "certificate_pem": certificate.certificate_pem.decode("ascii"),
        "key_sealed": base64.b64encode(certificate.key_sealed).decode(),
        "not_after": certificate.not_after.isoformat(),
        "by": used.by,
        "is_chosen": used.is_chosen,
    }
    return JournalRecord(at, ChannelId(""), PUSH_CERTIFICATE, b"", "", json.dumps(body).encode())


def read_push_certificate(record: JournalRecord) -> JournaledPushCertificate:
    """Read what `push_certificate_record` wrote. Raises ValueError or KeyError for anything else."""
    fields = _fields(record, PUSH_CERTIFICATE)
    certificate = StoredPushCertificate(
        bytes.fromhex(fields["fingerprint"]),
        str(fields["topic"]),
        fields["certificate_pem"].encode("ascii"),
        base64.b64decode(fields["key_sealed"], validate=True),
        datetime.fromisoformat(fields["not_after"]),
    )
    return JournaledPushCertificate(certificate, str(fields["by"]), fields["is_chosen"] is True)


def push_request_record(request: StoredRequest, *, by: str, at: datetime) -> JournalRecord:
    """Write down a request for a push or a vendor certificate; its key, which is nowhere else, stays sealed."""
    body = {
        "id": request.id,
        "purpose": request.purpose.value,
        "request": base64.b64encode(request.request_der).decode(),
        "key_sealed": base64.b64encode(request.key_sealed).decode(),
        "key_hash": request.key_hash.hex(),
        "by": by,
    }
    return JournalRecord(at, ChannelId(""), PUSH_REQUEST, b"", "", json.dumps(body).encode())


def read_push_request(record: JournalRecord) -> tuple[StoredRequest, str]:
    """Read what `push_request_record` wrote: the request, and by whom. Raises ValueError or KeyError otherwise."""
    fields = _fields(record, PUSH_REQUEST)
    request = StoredRequest(
        str(fields["id"]),
        RequestPurpose(fields["purpose"]),
        base64.b64decode(fields["request"], validate=True),
        base64.b64decode(fields["key_sealed"], validate=True),
        bytes.fromhex(fields["key_hash"]),
    )
    return request, str(fields["by"])


def processed_record(at: datetime) -> JournalRecord:
    """Write down nothing but the time: the file says with each record how far the database was."""
    return JournalRecord(at, ChannelId(""), PROCESSED, b"", "", b"")


def _fields(record: JournalRecord, message: str) -> dict[str, Any]:
    if record.message != message:
        raise ValueError(f"the record is of {record.message}, not of {message}")
    fields = json.loads(record.body)
    if not isinstance(fields, dict):
        raise ValueError("the record's body is no JSON object")
    return fields


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
