"""The profile that holds one account, and the identity that it uses: one profile for each, so that it changes alone.

Sources: Apple's device management schema, profiles "TopLevel" and "CommonPayloadKeys".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from muster.protocol.fields import present
from muster.protocol.plist import PlistValue, write_plist
from muster.protocol.profile_payloads import Pkcs12Payload, encode_identity, encode_payload


@dataclass(frozen=True, slots=True)
class AccountProfile:
    """An account as it is put on one channel. *account_id* is a UUID; *revision* counts what was sent of it.

    *payload* are the keys of its own payload. *is_for_user*: it goes to a user's channel.
    """

    account_id: str
    revision: int
    identifier: str
    display_name: str
    payload_type: str
    payload: Mapping[str, PlistValue] = field(repr=False)
    is_for_user: bool
    organization: str | None = None
    identity: Pkcs12Payload | None = None


def encode_account_profile(profile: AccountProfile) -> bytes:
    """*profile* as an unsigned XML property list.

    Its identifier and the UUIDs of its payloads are the same in each revision, so that the device changes the account
    that it has; its own UUID is another one in each, so that a list tells which of them it has.
    """
    content: list[PlistValue] = []
    if profile.identity is not None:
        content.append({**encode_identity(profile.identifier, profile.identity), "PayloadDisplayName": "Certificate"})
    head = encode_payload(
        profile.identifier, profile.payload_type, account_payload_uuid(profile.account_id, "account"), "account"
    )
    content.append({**profile.payload, **head, "PayloadDisplayName": profile.display_name})
    return write_plist(
        present(
            {
                "PayloadType": "Configuration",
                "PayloadVersion": 1,
                "PayloadIdentifier": profile.identifier,
                "PayloadUUID": account_payload_uuid(profile.account_id, f"revision {profile.revision}"),
                "PayloadDisplayName": profile.display_name,
                "PayloadOrganization": profile.organization,
                "PayloadScope": "User" if profile.is_for_user else "System",
                "PayloadContent": content,
            }
        )
    )


def account_payload_uuid(account_id: str, part: str) -> str:
    """Return the PayloadUUID of *part* of an account's profile: always the same (RFC 9562, 5.5)."""
    return str(uuid5(UUID(account_id), part)).upper()
