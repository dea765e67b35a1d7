"""Channels: who is enrolled, what their devices said of themselves, and when they were heard."""

from sqlalchemy import Boolean, Column, Computed, Double, ForeignKey, Index, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import metadata
from muster.storage.types import Identifier, Instant

channels = Table(
    "channels",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("device_id", Identifier, nullable=False, comment="the device channel's id; its own for a device channel"),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("epoch", Integer, nullable=False, comment="current epoch; 0 before the first TokenUpdate"),
    Column("provisional_epoch", Integer),
    Column("pin", LargeBinary, comment="SHA-256 of the identity that may speak; device channels only"),
    Column("former_pin", LargeBinary),
    Column("former_pin_until", Instant),
    Column("provisional_pin", LargeBinary),
    Column("first_seen_at", Instant, nullable=False),
    Column("enrolled_at", Instant, comment="when the current epoch began"),
    Column("ended_at", Instant),
    Column("ended_reason", Text),
    Column("last_contact_at", Instant),
    Column("last_proof_at", Instant, comment="last command acknowledged by a valid pinned identity (level 4)"),
    Column("contact_day", Integer, comment="days since 1970-01-01 of contact_strip"),
    Column("contact_strip", LargeBinary, comment="one bit for each five minutes of that day"),
    Column("rhythm", LargeBinary, comment="on which days of the last weeks it was heard"),
    Column("last_source", Text, comment="network address that its last contact came from"),
    Column(
        "is_watched", Boolean, nullable=False, default=False, comment="a contact may change its verdict: review it then"
    ),
    Column("checked_in_at", Instant, comment="when the journaled check-in that was processed last had come"),
    Index(None, "device_id"),
    # devices are counted by it without a look at the rows
    Index(None, "state", "device_id", "id"),
    postgresql_with={"fillfactor": 75},
)

device_facts = Table(
    "device_facts",
    metadata,
    Column("channel_id", Identifier, ForeignKey("channels.id"), primary_key=True),
    Column("serial_number", Text),
    Column("product_name", Text),
    Column("family", Text, comment="of the operating system, by product name, model or kind of channel"),
    Column("model", Text),
    Column("model_name", Text),
    Column("device_name", Text),
    Column("os_version", Text),
    Column("os_version_key", Identifier, comment="by which versions are compared and sorted"),
    Column("build_version", Text),
    Column("imei", Text),
    Column("meid", Text),
    Column("user_short_name", Text),
    Column("user_long_name", Text),
    Column("awaiting_configuration", Boolean),
    Column("is_supervised", Boolean),
    Column("is_multi_user", Boolean, comment="a Shared iPad"),
    Column("is_automated_enrollment", Boolean, comment="as a Mac says (EnrolledViaDEP)"),
    Column("is_user_approved", Boolean),
    Column("is_lost", Boolean, comment="in lost mode"),
    Column("is_activation_locked", Boolean),
    Column("is_passcode_present", Boolean),
    Column("is_passcode_compliant", Boolean),
    Column("is_disk_encrypted", Boolean),
    Column("is_firewall_enabled", Boolean),
    Column("is_sip_enabled", Boolean),
    Column("is_recovery_locked", Boolean),
    Column("has_enrollment_profile", Boolean),
    Column("is_enrollment_removable", Boolean),
    Column("has_locked_profiles", Boolean, comment="managed ones that the user can't simply remove"),
    Column("has_identity_certificate", Boolean),
    Column("total_capacity", Double, comment="GB"),
    Column("available_capacity", Double, comment="GB"),
    Column("wifi_mac", Text),
    Column("inventory_at", Instant, comment="when it last told of itself (DeviceInformation)"),
    Column("account", Text, comment="Managed Apple Account of an account-driven enrollment"),
    Column("learned_at", Instant, nullable=False),
    Column(
        "search_text",
        Text,
        Computed(
            "lower(channel_id || ' ' || coalesce(serial_number, '') || ' ' || coalesce(device_name, '')"
            " || ' ' || coalesce(model_name, '') || ' ' || coalesce(product_name, '')"
            " || ' ' || coalesce(user_short_name, '') || ' ' || coalesce(user_long_name, ''))",
            persisted=True,
        ),
        comment="what people search in; A to Z in lower case, and no other letters",
    ),
    Index(None, "serial_number"),
    # so that a search reads no more than what it searches; PostgreSQL would not, and refuses long texts in an index
    Index(None, "search_text", "channel_id", info={"only_on": "sqlite"}).ddl_if(dialect="sqlite"),
)

set_ups = Table(
    "set_ups",
    metadata,
    Column("channel_id", Identifier, ForeignKey("channels.id"), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("since", Instant, nullable=False, comment="when the channel said that it awaits its configuration"),
    Column("released_by", Text, comment="the DeviceConfigured or UserConfigured that ends the wait, once queued"),
)

user_logins = Table(
    "user_logins",
    metadata,
    Column("channel_id", Identifier, primary_key=True, comment="a user's, which may not be enrolled (yet)"),
    Column("challenge_hash", LargeBinary, comment="SHA-256 of the nonce that is to be answered"),
    Column("challenge_expires_at", Instant),
    Column("requires_token", Boolean, nullable=False, comment="the user has to have shown a password"),
    Column("token_hash", LargeBinary, comment="SHA-256 of the AuthToken of the login in force"),
    Column("is_on_console", Boolean),
    Column("console_at", Instant, comment="when is_on_console was learned to be so"),
    Column("is_logged_in", Boolean, comment="as the device's list of users said last"),
    Column("logged_in_at", Instant, comment="when is_logged_in was learned"),
    Column("logged_in_changed_at", Instant, comment="when it was first learned to be so"),
    Column("phase", Text, comment="in which the dialogue at a login is, while it lasts"),
    Column("phase_began_at", Instant),
    Column("phase_handed_out", Integer, nullable=False, comment="commands, in this phase"),
)

contact_days = Table(
    "contact_days",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("strip", LargeBinary, nullable=False),
)

epochs = Table(
    "epochs",
    metadata,
    Column("device_id", Identifier, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("identity", LargeBinary, nullable=False, comment="fingerprint of the identity that opened it"),
    Column("provenance", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("current_from", Instant),
    Column("closed_at", Instant),
    Column("closed_reason", Text),
)

escrow = Table(
    "escrow",
    metadata,
    Column("id", Text, primary_key=True),
    Column("device_id", Identifier, nullable=False),
    Column("serial_number", Text, comment="as known when it was kept: the device's record may go, this stays"),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="what on the device it is of, an account; empty: of all of it"),
    Column("account_guid", Text, comment="by which the device knows the account"),
    Column("epoch", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("origin", Text, nullable=False, comment="the message or command that it came with, or was sent with"),
    Column("command_uuid", Identifier, comment="the command that sets it; absent when the device gave it"),
    Column("stored_at", Instant, nullable=False),
    Column("in_force_at", Instant),
    Column("archived_at", Instant, comment="since when it is neither proposed nor in force"),
    Column("rotate_at", Instant, comment="when a new one is to take its place, since somebody saw it"),
    Index(None, "device_id", "kind"),
    Index(None, "serial_number"),
    Index(None, "command_uuid"),
    Index(None, "rotate_at"),
)

departures = Table(
    "departures",
    metadata,
    Column("id", Text, primary_key=True),
    Column("device_id", Identifier, nullable=False),
    Column("kind", Text, nullable=False),
    Column("epoch", Integer, nullable=False, comment="the life of the device that is to end"),
    Column("ordered_at", Instant, nullable=False),
    Column("ordered_by", Text, nullable=False),
    Column("is_counted", Boolean, nullable=False, comment="towards the hour's limit"),
    Column("identity", LargeBinary, comment="fingerprint of the identity that a policy refused"),
    Column("delivered_at", Instant),
    Column("failed_at", Instant),
    Column("withdrawn_at", Instant),
    Index(None, "device_id"),
    Index(None, "ordered_at"),
    Index(None, "identity"),
)

deferred_messages = Table(
    "deferred_messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel_id", Identifier, nullable=False),
    Column("message", Text, nullable=False, comment="connect, or the check-in's MessageType"),
    Column("body", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant, nullable=False),
    Index(None, "next_attempt_at"),
)
