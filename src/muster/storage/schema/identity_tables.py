"""Identities, the ways by which devices come to them, and their renewals."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

enrollment_profiles = Table(
    "enrollment_profiles",
    metadata,
    Column("id", LargeBinary, primary_key=True, comment="SHA-256 of terms, written canonically"),
    Column("terms", Json, nullable=False, comment="what the profile says, but for secrets and UUIDs"),
    Column("created_at", Instant, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("certificate_der", LargeBinary, nullable=False),
    Column("authority", LargeBinary, nullable=False, comment="one of ours; or SHA-256 of another issuer's name"),
    Column("device_id", Identifier, comment="absent until an Authenticate has used it"),
    Column("provenance", Text, nullable=False),
    Column("link_id", Text),
    Column("renewal_of", Identifier),
    Column("replaced_by", LargeBinary, comment="renewed before any device used it; it can't enroll any more"),
    Column("profile_id", LargeBinary, ForeignKey("enrollment_profiles.id"), comment="absent where it is not known"),
    Column("expected_udid", Text, comment="the device it was made for, where that was known"),
    Column("expected_serial", Text),
    Column("account", Text),
    Column("epoch", Integer, comment="the epoch in which it is or was the pin; absent when it never was"),
    Column("retired_at", Instant, comment="replaced as the pin, or of a life that has ended"),
    Column(
        "awaited",
        LargeBinary,
        comment="it stands in for one that was issued elsewhere: SHA-256 of that; empty: any that is trusted",
    ),
    Column("told_days", Integer, comment="days left when its end was last told about; 0: that it had expired"),
    Column("issued_at", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Index(None, "device_id"),
    Index(None, "not_after"),
)

renewals = Table(
    "renewals",
    metadata,
    Column("device_id", Identifier, ForeignKey("channels.id"), primary_key=True),
    Column("epoch", Integer, nullable=False, comment="the life of the device that it belongs to"),
    Column("reason", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("closed_at", Instant, comment="the new identity was used, or the device's life ended"),
    Column("closed_because", Text),
    Column("asked_at", Instant, comment="when an administrator asked for it last"),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False, comment="in a row"),
    Column("command_uuid", Identifier, comment="the attempt sent last"),
    Column("challenge_hash", LargeBinary, comment="of that attempt; absent where the identity came with the profile"),
    Column("sent_at", Instant),
    Column("acknowledged_at", Instant),
    Column("failed_at", Instant),
    Column("failure", Text, comment="class of the last failure"),
    Column("failure_text", Text, comment="what the device or we said of it"),
)

enrollment_links = Table(
    "enrollment_links",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("uses_allowed", Integer),
    Column("uses", Integer, nullable=False),
    Column("revoked_at", Instant),
    Column("kind", Text, nullable=False, comment="by which way it lets devices in"),
    Column("access_rights", Integer, nullable=False),
    Column("capabilities", Json, nullable=False, comment="ServerCapabilities of the MDM payload"),
    Column("identity_kind", Text, nullable=False),
    Column("is_removal_disallowed", Boolean, nullable=False),
    Column("requires_sign_in", Boolean, nullable=False),
    Column("serial_numbers", Json, comment="the devices that may use it; absent: any"),
    Column("required_os_version", Text, comment="what an ADE device must run to enroll, where it can update first"),
    Column("required_build_version", Text),
    Column("note", Text, nullable=False),
)

enrollment_tokens = Table(
    "enrollment_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("user_name", Text, nullable=False, comment="the account that signed in"),
    Column("link_id", Text, ForeignKey("enrollment_links.id"), nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("used_by", LargeBinary, comment="SHA-256 of the certificate of the device that used it; it serves no other"),
    Index(None, "expires_at"),
)

challenges = Table(
    "challenges",
    metadata,
    Column("secret_hash", LargeBinary, primary_key=True),
    Column("provenance", Text, nullable=False),
    Column("link_id", Text, ForeignKey("enrollment_links.id")),
    Column("renewal_of", Identifier),
    Column("profile_id", LargeBinary, ForeignKey("enrollment_profiles.id")),
    Column("expected_udid", Text),
    Column("expected_serial", Text),
    Column("account", Text),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("used_for_key", LargeBinary),
    Column("identity_fingerprint", LargeBinary),
    Index(None, "link_id"),
)

ota_enrollments = Table(
    "ota_enrollments",
    metadata,
    Column("challenge_hash", LargeBinary, primary_key=True, comment="SHA-256 of the challenge of phase 1"),
    Column("link_id", Text, ForeignKey("enrollment_links.id"), nullable=False),
    Column("account", Text, comment="who signed in, where that was asked for"),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("udid", Text, comment="what the device named in phase 2"),
    Column("serial_number", Text),
    Column(
        "is_attested", Boolean, nullable=False, comment="Apple's device authority vouched for the signer of phase 2"
    ),
    Column("answered_at", Instant),
    Column("completed_at", Instant),
    Index(None, "link_id"),
)
