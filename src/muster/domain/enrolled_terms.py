"""What an enrollment profile says, but for its secrets and UUIDs: the values a device is enrolled with.

A renewal must repeat them: an update that changes the topic or a URL, adds a right or drops a trust anchor is refused
by the device, or strands it. Source: Apple, "MDM" payload; the reading is ours.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from muster.domain.access import IdentityKind
from muster.protocol.profile import EnrollmentMode

TermsJson: TypeAlias = Mapping[str, str | int | bool | list[str] | list[list[str]] | None]


@dataclass(frozen=True, slots=True)
class EnrolledTerms:
    """The values of one enrollment profile; see `muster.protocol.profile.EnrollmentProfile` for what each means.

    *scep_url* and *key_size* are those of the SCEP payload, also where *identity_kind* doesn't need them.
    *trust_anchors* are pairs of display name and certificate (DER). *account* is the Managed Apple Account of an
    account-driven enrollment. *part_identifiers* are those of another server's payloads, by our suffix for each.
    """

    payload_identifier: str
    display_name: str
    description: str
    organization: str
    topic: str
    server_url: str
    check_in_url: str | None
    access_rights: int | None
    capabilities: tuple[str, ...]
    identity_kind: IdentityKind
    scep_url: str
    key_size: int = 2048
    trust_anchors: tuple[tuple[str, bytes], ...] = ()
    is_removal_disallowed: bool = False
    enrollment_mode: EnrollmentMode | None = None
    account: str | None = None
    part_identifiers: tuple[tuple[str, str], ...] = ()


def terms_json(terms: EnrolledTerms) -> TermsJson:
    """Write *terms* as JSON has it; what most have none of is left out, so that they keep their names."""
    parts: TermsJson = {"part_identifiers": [list(one) for one in terms.part_identifiers]}
    return {
        **(parts if terms.part_identifiers else {}),
        "payload_identifier": terms.payload_identifier,
        "display_name": terms.display_name,
        "description": terms.description,
        "organization": terms.organization,
        "topic": terms.topic,
        "server_url": terms.server_url,
        "check_in_url": terms.check_in_url,
        "access_rights": terms.access_rights,
        "capabilities": list(terms.capabilities),
        "identity_kind": terms.identity_kind.value,
        "scep_url": terms.scep_url,
        "key_size": terms.key_size,
        "trust_anchors": [[name, base64.b64encode(anchor).decode()] for name, anchor in terms.trust_anchors],
        "is_removal_disallowed": terms.is_removal_disallowed,
        "enrollment_mode": None if terms.enrollment_mode is None else terms.enrollment_mode.value,
        "account": terms.account,
    }


def terms_from_json(fields: Mapping[str, Any]) -> EnrolledTerms:
    """Read what `terms_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    mode = fields["enrollment_mode"]
    return EnrolledTerms(
        **{
            **fields,
            "trust_anchors": tuple((name, base64.b64decode(anchor)) for name, anchor in fields["trust_anchors"]),
            "capabilities": tuple(fields["capabilities"]),
            "part_identifiers": tuple((suffix, named) for suffix, named in fields.get("part_identifiers", ())),
            "identity_kind": IdentityKind(fields["identity_kind"]),
            "enrollment_mode": None if mode is None else EnrollmentMode(mode),
        }
    )


def terms_id(terms: EnrolledTerms) -> bytes:
    """Name *terms* by their content: equal ones have one name, the SHA-256 of their canonical JSON."""
    canonical = json.dumps(terms_json(terms), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).digest()
