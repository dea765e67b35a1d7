"""What we had devices install, and what became of it: profiles, apps, and the accounts that profiles are made for."""

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import metadata
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
)
