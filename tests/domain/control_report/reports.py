"""Small signed reports, made without a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from muster.crypto.cms.signing import SignerIdentity, sign_detached
from muster.crypto.issuance import Authority, make_authority, make_document_certificate
from muster.domain.control_report.canonical import read
from muster.domain.control_report.entries import Entry, contents_of, story_hash
from muster.domain.control_report.statement import Draft, Origin, statement
from muster.simulator.keys.published import published_keys

MADE_AT = datetime(2026, 11, 2, 14, 0, tzinfo=UTC)


@cache
def authority(number: int = 0) -> Authority:
    """One of two authorities."""
    key = published_keys()[number]
    lifetime = timedelta(days=3650)
    return Authority(make_authority(f"Authority {number}", key, now=MADE_AT, lifetime=lifetime, serial_number=7), key)


@cache
def signer() -> SignerIdentity:
    """Who signs, certified by the first authority."""
    key = published_keys()[2]
    certificate = make_document_certificate(
        "Control report",
        key,
        authority(),
        not_before=MADE_AT,
        not_after=MADE_AT + timedelta(days=3000),
        serial_number=8,
    )
    return SignerIdentity(certificate, key)


def entries(count: int = 5) -> list[Entry]:
    """Devices in control, each with its own serial number; the last of several is not."""
    made = []
    for number in range(count):
        is_well = number < count - 1 or count == 1
        made.append(
            Entry(
                channel=f"device-{number}",
                device=f"device-{number}",
                kind="Device",
                serial_number=f"SERIAL{number}",
                changes=1,
                story=story_hash(b"", [number]),
                state="in_control" if is_well else "inactive",
                reason="none" if is_well else "silent",
                since=MADE_AT - timedelta(days=number),
                noticed_at=MADE_AT,
                sentence="in contact, and it obeys" if is_well else "not heard for 8 days",
                proof_level=4 if is_well else 0,
            )
        )
    return made


@dataclass(frozen=True)
class Report:
    """What is in the files."""

    statement: bytes
    signature: bytes
    lines: Sequence[bytes]


@cache
def report(count: int = 5, by: SignerIdentity | None = None) -> Report:
    """A signed report of so many entries, signed by the right one unless another is named."""
    who = by or signer()
    lines = [entry.line() for entry in entries(count)]
    contents = contents_of((line, read(line)) for line in lines)
    draft = Draft(MADE_AT, None, contents, [])
    origin = Origin(
        "installation",
        "https://mdm.example.org",
        "ana",
        MADE_AT,
        3,
        b"\x01" * 32,
        who.certificate_der,
        authority().certificate_der,
    )
    stated = statement(draft, origin)
    signature = sign_detached(stated, who, chain=[authority().certificate_der], signing_time=MADE_AT)
    return Report(stated, signature, [line + b"\n" for line in lines])
