"""A profile that makes certificates known and does nothing else, for what has to reach a server before it enrolls.

Source: Apple, "CertificateRoot" (com.apple.security.root).
"""

from collections.abc import Sequence

from muster.protocol.plist import write_plist
from muster.protocol.profile_payloads import TrustAnchor, encode_trust_anchor


def encode_trust_profile(
    payload_identifier: str, payload_uuid: str, display_name: str, anchors: Sequence[TrustAnchor]
) -> bytes:
    """The profile, an unsigned XML property list. *anchors* are different certificates, at least one."""
    return write_plist(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": payload_identifier,
            "PayloadUUID": payload_uuid,
            "PayloadDisplayName": display_name,
            "PayloadScope": "System",
            "PayloadContent": [encode_trust_anchor(payload_identifier, anchor) for anchor in anchors],
        }
    )
