"""What the journal keeps beside check-ins: authorities, issued identities, once-only commands that were handed out.

Each is a `JournalRecord` with a word of its own as *message*; the body is JSON. They say what no check-in can: for
what an identity was issued, with what the device was enrolled, and what must not be handed out again. The word
`Processed` says nothing but how far the database was.
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
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.storage.identities import NewIdentity, StoredAuthority
from muster.storage.journal import JournalRecord

AUTHORITY: Final = "Authority"
IDENTITY: Final = "Identity"
HANDED_OUT: Final = "HandedOut"
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
