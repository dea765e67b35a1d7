"""What we had devices install, and what became of it: profiles, apps, and the accounts that profiles are made for."""

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

installed_profiles = Table(
    "installed_profiles",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("command_uuid", Identifier, primary_key=True, comment="the InstallProfile that brought it"),
    Column("epoch", Integer, nullable=False, comment="a profile ends with the life of the device that it was sent in"),
    Column("identifier", Identifier, nullable=False, comment="the profile's PayloadIdentifier"),
    Column("payload_uuid", Text, comment="the profile's PayloadUUID, by which a list tells one revision from another"),
    Column("name", Text),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the file as it was sent"),
    Column("account_id", Text, comment="the account that it was made for"),
    Column("state", Text, nullable=False),
    Column("reason", Text, comment="what the device said of a failure, or what a list has in its place"),
    Column("sent_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False, comment="when the state became what it is, by the device's answer"),
    Column("verified_at", Instant, comment="when a list last had it"),
    Index(None, "channel_id", "identifier"),
    Index(None, "account_id"),
)

account_templates = Table(
    "account_templates",
    metadata,
    Column("name", Identifier, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("settings", Json, nullable=False, comment="keys of the payload, with ${name} where values are put in"),
    Column("has_certificate", Boolean, nullable=False),
    Column("certificate_name", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("template", Identifier, nullable=False),
    Column("channel_id", Identifier, nullable=False),
    Column("variables", Json, nullable=False, comment="what was given for this account alone"),
    Column("password_sealed", LargeBinary),
    Column("identity_sealed", LargeBinary, comment="the PKCS #12 file and its password, as a property list"),
    Column("certificate", LargeBinary, comment="the identity's, DER"),
    Column("certificate_not_after", Instant),
    Column("profile_identifier", Identifier, nullable=False),
    Column(
        "revision", Integer, nullable=False, comment="of what was sent; no two profiles of an account have the same"
    ),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("removed_at", Instant, comment="when its removal was ordered"),
    Index(None, "channel_id"),
    Index(None, "template"),
)

managed_apps = Table(
    "managed_apps",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("command_uuid", Identifier, primary_key=True, comment="the command that asked for it"),
    Column("epoch", Integer, nullable=False),
    Column("source", Text, nullable=False, comment="what was asked for: a store id, a manifest, a bundle identifier"),
    Column("identifier", Identifier, comment="the bundle identifier, once it is known"),
    Column("state", Text, nullable=False),
    Column("device_state", Text, comment="the device's word for it"),
    Column("reason", Text),
    Column("sent_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("verified_at", Instant, comment="when a list last had it"),
    Column("questions", Integer, nullable=False, comment="how often we asked how far it is"),
    Column("next_question_at", Instant),
    Index(None, "channel_id", "identifier"),
)
