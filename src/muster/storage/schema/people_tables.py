"""People, what they decided, and what they did."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

policies = Table(
    "policies",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Json, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
)

administrators = Table(
    "administrators",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("scope", Json, comment="ids of the groups that they are limited to; absent: the whole fleet"),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Column("password_hash", Text, comment="Argon2id, with its parameters and salt"),
    Column("totp_sealed", LargeBinary, comment="the secret of one-time passwords"),
    Column("totp_step", BigInteger, comment="the last time step whose one-time password was used"),
    Column("external_id", Text, unique=True, comment="issuer and subject at the identity provider"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("administrator_id", Text, ForeignKey("administrators.id"), nullable=False),
    Column("used_at", Instant),
    Index(None, "administrator_id"),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("credential_id", LargeBinary, primary_key=True),
    Column("administrator_id", Text, ForeignKey("administrators.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False, comment="COSE_Key"),
    Column("sign_count", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Index(None, "administrator_id"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("scope", Json, comment="ids of the groups that it is limited to; absent: the whole fleet"),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Column("last_source", Text, nullable=False),
)

sign_in_states = Table(
    "sign_in_states",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("administrator_id", Text, comment="whom it is about, where that is known"),
    Column("sealed", LargeBinary, nullable=False, comment="what the browser's next request is held against"),
    Column("expires_at", Instant, nullable=False),
    Index(None, "expires_at"),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("administrator_id", Text, ForeignKey("administrators.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("id", Text, nullable=False, unique=True, comment="its name for people, no secret"),
    Column("administrator_id", Text, ForeignKey("administrators.id"), nullable=False),
    Column("how", Text, nullable=False, comment="link, password, passkey or provider"),
    Column("source", Text, nullable=False, comment="the address from which it was opened"),
    Column("user_agent", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("last_used_at", Instant, nullable=False),
    Index(None, "administrator_id"),
)

return_to_service = Table(
    "return_to_service",
    metadata,
    Column("scope", Identifier, primary_key=True, comment="the device's id; empty: all devices without a row"),
    Column("is_enabled", Boolean, nullable=False, comment="whether a device that is erased enrolls by itself again"),
    Column("wifi_profile_sealed", LargeBinary, comment="the profile by which it reaches us then"),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
)

enrollment_users = Table(
    "enrollment_users",
    metadata,
    Column("user_name", Text, primary_key=True, comment="Managed Apple Account or e-mail address, normalised"),
    Column("password_hash", Text, nullable=False, comment="Argon2id, with its parameters and salt"),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
)

enrollment_sessions = Table(
    "enrollment_sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("user_name", Text, ForeignKey("enrollment_users.user_name"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index(None, "user_name"),
    Index(None, "expires_at"),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("subject", LargeBinary, primary_key=True, comment="SHA-256 of the user name or address tried"),
    Column("attempts", Integer, nullable=False),
    Column("ends_at", Instant, nullable=False, comment="when they are forgotten"),
    Index(None, "ends_at"),
)

kept_answers = Table(
    "kept_answers",
    metadata,
    Column("token_id", Text, primary_key=True, comment="whose request it was"),
    Column("key", Text, primary_key=True, comment="as the program named its request"),
    Column("request_hash", LargeBinary, nullable=False, comment="SHA-256 of all that it said"),
    Column("answered_at", Instant, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Index(None, "answered_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("source", Text, nullable=False, comment="the address that the request came from"),
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Json, nullable=False),
    Column("hash", LargeBinary, nullable=False, comment="SHA-256 over the former row's hash and this row"),
)
