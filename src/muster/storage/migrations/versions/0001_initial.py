"""The first schema, as a copy of its own: `muster.storage.schema` moves on, this step stays what it was."""

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TEXT

revision = "0001"
down_revision = None

PARTITIONED = ("reports", "evidence", "pushes", "inventory_changes")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Identifier = Text().with_variant(TEXT(collation="C"), "postgresql")
Instant = BigInteger().with_variant(DateTime(timezone=True), "postgresql")
Json = JSON().with_variant(JSONB(), "postgresql")

Table(
    "commands",
    metadata,
    Column("command_uuid", Identifier, primary_key=True),
    Column("request_type", Text, nullable=False),
    Column(
        "body", LargeBinary, nullable=False, comment="the plist, byte for byte what the device gets, or that sealed"
    ),
    Column("is_sealed", Boolean, nullable=False, comment="the body holds a secret and is sealed at rest"),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
)

Table(
    "queue",
    metadata,
    # no foreign key: to look up the command for each device of a fleet would cost more than queueing it
    Column("channel_id", Identifier, nullable=False),
    Column("command_uuid", Identifier, nullable=False),
    Column("epoch", Integer, nullable=False, comment="the epoch the command belongs to"),
    Column("purpose", Text, nullable=False),
    Column("rank", Integer, nullable=False, comment="lower goes first: the priority, negated so that one index serves"),
    Column("position", BigInteger, nullable=False, comment="order within a rank"),
    Column("is_withheld", Boolean, nullable=False, comment="stays queued, but isn't handed out again"),
    Column("held_because", Text, comment="why it is not handed out now; then it is withheld, too"),
    Column("queued_at", Instant, nullable=False),
    Column("not_now_count", Integer, nullable=False),
    Column("handed_out_count", Integer, nullable=False),
    Column("handed_out_at", Instant),
    Column(
        "unanswered_count", Integer, nullable=False, comment="times handed out since the device said anything to it"
    ),
    Column("unanswered_since", Instant, comment="when it was handed out first since then"),
    Column("after_uuid", Identifier, comment="the command of the same channel that it comes after"),
    Column("follows_any", Boolean, nullable=False, comment="goes out also when the former fails"),
    Column("has_followers", Boolean, nullable=False, comment="others come after it"),
    Column("expires_at", Instant, comment="from when on it is not handed out any more"),
    Column("retries_left", Integer, nullable=False, comment="errors after which it is still tried again"),
    Column("failed_count", Integer, nullable=False, comment="errors after which it is tried again"),
    Column("retry_at", Instant, comment="when the pause after an error is over"),
    PrimaryKeyConstraint("command_uuid", "channel_id"),
    Index(None, "channel_id", "rank", "position"),
    postgresql_with={"fillfactor": 75},
)

Table(
    "reports",
    metadata,
    Column("channel_id", Identifier, nullable=False),
    Column("command_uuid", Identifier, nullable=False),
    Column("request_type", Text, comment="absent when the command is not one of ours"),
    Column("purpose", Text, comment="for what it was queued; absent when it wasn't"),
    Column("status", Text, nullable=False, comment="Apple's word, or one of ours where no answer ended it"),
    Column("body", LargeBinary, comment="what the device said, byte for byte, or that sealed; absent when closed"),
    Column("is_sealed", Boolean, nullable=False, comment="the body holds a secret"),
    Column("epoch", Integer, nullable=False),
    Column("queued_at", Instant),
    Column("handed_out_at", Instant),
    Column("handed_out_count", Integer, nullable=False),
    Column("not_now_count", Integer, nullable=False),
    Column("reported_at", Instant, nullable=False),
    Column("because", Text, comment="what is behind a status of ours: the command that took its place, who cancelled"),
    Column("faults", Json, comment="what of the answer is not as Apple has it, once it was read; absent when nothing"),
    Index(None, "command_uuid", "channel_id"),
    Index(None, "channel_id", "reported_at"),
    postgresql_partition_by="RANGE (reported_at)",
)

Table(
    "queue_pauses",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("paused_at", Instant, nullable=False),
    Column("paused_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

Table(
    "disruptions",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("command_uuid", Identifier, primary_key=True),
    Column("request_type", Text, nullable=False),
    Column("ordered_at", Instant, nullable=False),
    Column("ordered_by", Text, nullable=False),
    Index(None, "ordered_at"),
)

Table(
    "unread_answers",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("command_uuid", Identifier, primary_key=True),
    Column("reported_at", Instant, primary_key=True),
    Column("next_attempt_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, comment="that a fault of ours has spoiled"),
    Column("error", Text),
    Index(None, "next_attempt_at"),
)

Table(
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

Table(
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

Table(
    "set_ups",
    metadata,
    Column("channel_id", Identifier, ForeignKey("channels.id"), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("since", Instant, nullable=False, comment="when the channel said that it awaits its configuration"),
    Column("released_by", Text, comment="the DeviceConfigured or UserConfigured that ends the wait, once queued"),
)

Table(
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

Table(
    "contact_days",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("strip", LargeBinary, nullable=False),
)

Table(
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

Table(
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

Table(
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

Table(
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

Table(
    "subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False, server_default="webhook"),
    Column("state", Text, nullable=False, server_default="enabled"),
    Column("event_types", Text, nullable=False, server_default="", comment="names with spaces between; empty: all"),
    Column("created_at", Instant, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0", comment="in a row"),
    Column("failing_since", Instant),
    Column("retry_at", Instant, comment="nothing is sent before"),
    Column("last_error", Text),
)

Table(
    "webhooks",
    metadata,
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), primary_key=True),
    Column("url", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("former_secret_sealed", LargeBinary),
    Column("former_until", Instant),
    Column("allows_plain", Boolean, nullable=False),
    Column("allows_private", Boolean, nullable=False),
)

Table(
    "deliveries",
    metadata,
    # what was delivered, for a while: to show, and to send again
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), nullable=False),
    Column("channel_id", Identifier, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("detail", Json, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("delivered_at", Instant, nullable=False),
    Column("status", Integer),
    Index(None, "subscription_id", "sequence"),
    Index(None, "delivered_at"),
)

Table(
    "outbox",
    metadata,
    Column(
        "sequence",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        comment="order within one subscription and channel",
    ),
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), nullable=False),
    Column("channel_id", Identifier, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("detail", Json, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("last_error", Text),
    Index(None, "subscription_id", "channel_id", "sequence"),
    Index(None, "subscription_id", "due_at"),
    Index(None, "event_id"),
    sqlite_autoincrement=True,
)

Table(
    "tellings",
    metadata,
    # no foreign key: what others were told of a channel outlives it. Channels of which nobody was told have no row
    Column("channel_id", Identifier, primary_key=True),
    Column("state", Text, nullable=False, comment="as others know it"),
    Column("reason", Text),
    Column("told_at", Instant),
    Column("is_released", Boolean, nullable=False, comment="told upon a person's word"),
    Column("declined", Text, comment="the state of which a person decided that it is not told"),
    Column("held_by", Text, comment="the mass flip for whose release it waits"),
    Index(None, "held_by"),
    Index(None, "told_at"),
)

Table(
    "mass_flips",
    metadata,
    Column("id", Text, primary_key=True),
    Column("opened_at", Instant, nullable=False),
    Column("count", Integer, nullable=False, comment="channels that would have been told of within the hour"),
    Column("fleet", Integer, nullable=False),
    Column("share_percent", Integer, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", Text),
    Column("is_released", Boolean),
)

Table(
    "evidence",
    metadata,
    Column("id", Text, nullable=False),
    Column("channel_id", Identifier, nullable=False),
    Column("signal", Text, nullable=False),
    Column("observed_class", Text, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("count", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("detail", Json, nullable=False),
    Index(None, "channel_id", "signal", "first_at"),
    postgresql_partition_by="RANGE (first_at)",
)

Table(
    "compactions",
    metadata,
    # no foreign key, as with evidence
    Column("id", Text, primary_key=True),
    Column("channel_id", Identifier, nullable=False),
    Column("at", Instant, nullable=False),
    Column("first_at", Instant, nullable=False, comment="of the evidence that was removed"),
    Column("last_at", Instant, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("counts", Json, nullable=False, comment="observations by signal and class, repeats included"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 over the digest before it and the rows removed"),
    Index(None, "channel_id", "at"),
)

Table(
    "rumours",
    metadata,
    Column("claimed_id", Identifier, primary_key=True),
    Column("refusal_code", Text, primary_key=True),
    Column("source", Text, nullable=False, comment="address of the last one"),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("count", Integer, nullable=False),
    Index(None, "last_at"),
)

Table(
    "reviews",
    metadata,
    Column("channel_id", Identifier, ForeignKey("channels.id"), primary_key=True),
    Column("next_review_at", Instant, nullable=False),
    Column("reviewed_at", Instant),
    Index(None, "next_review_at"),
    postgresql_with={"fillfactor": 75},
)

Table(
    "device_groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Identifier, nullable=False, unique=True, comment="the name as it is compared"),
    Column("query", Text, comment="who is in it; absent where devices are put in by name"),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
)

Table(
    "group_members",
    metadata,
    Column("group_id", Text, ForeignKey("device_groups.id"), primary_key=True),
    Column("device_id", Identifier, primary_key=True),
    Column("added_at", Instant, nullable=False),
    Index(None, "device_id"),
)

Table(
    "sends",
    metadata,
    Column("id", Text, primary_key=True),
    Column("command_uuid", Identifier, ForeignKey("commands.command_uuid"), nullable=False),
    Column("request_type", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("to_users", Boolean, nullable=False, comment="to the users' channels of who is found, not the devices'"),
    Column("priority", Integer, nullable=False),
    Column("is_anyway", Boolean, nullable=False),
    Column("named_count", Integer, comment="how many they are, as who ordered it said; no more are ever reached"),
    Column("matched", Integer, nullable=False, comment="how many the query found when it was ordered"),
    Column("after_uuid", Identifier, comment="the command of the same channel that it comes after"),
    Column("follows_any", Boolean, nullable=False, comment="goes out also when the former fails"),
    Column("expires_at", Instant, comment="from when on it is not handed out any more"),
    Column("retries", Integer, nullable=False, comment="how often it is tried again after an error"),
    Column("ordered_at", Instant, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("actor_role", Text, nullable=False),
    Column("actor_source", Text, nullable=False),
    Column("cursor", Identifier, comment="the last channel that was looked at; absent before the first"),
    Column("queued", Integer, nullable=False),
    Column("refused", Json, nullable=False, comment="of those left out: how many for each reason, and an example"),
    Column("finished_at", Instant),
    Column("stopped_because", Text, comment="why it ended before its end"),
    Index(None, "finished_at"),
)

Table(
    "enrollment_profiles",
    metadata,
    Column("id", LargeBinary, primary_key=True, comment="SHA-256 of terms, written canonically"),
    Column("terms", Json, nullable=False, comment="what the profile says, but for secrets and UUIDs"),
    Column("created_at", Instant, nullable=False),
)

Table(
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

Table(
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

Table(
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

Table(
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

Table(
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

Table(
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

Table(
    "installation",
    metadata,
    Column("id", Text, primary_key=True, comment="UUID of this installation; one row"),
    Column("created_at", Instant, nullable=False),
    Column("profile_identifier", Text, nullable=False, comment="PayloadIdentifier of enrollment profiles, for ever"),
    Column("public_url", Text, comment="where the server last said it is reached; for commands run beside it"),
    Column("check_in_url", Text),
)

Table(
    "ring_canaries",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False, comment="opens only with the key ring that sealed this database"),
)

Table(
    "authorities",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("certificate_der", LargeBinary, nullable=False),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("is_current", Boolean, nullable=False),
)

Table(
    "escrow_certificates",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("certificate_der", LargeBinary, nullable=False, comment="to which Macs encrypt their recovery keys"),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

Table(
    "journal_marks",
    metadata,
    Column("node", Text, primary_key=True),
    Column(
        "file", Identifier, nullable=False, comment="how far this database has taken in the node's journal: this file"
    ),
    Column("records", Integer, nullable=False, comment="and so many records of it"),
    Column("at", Instant, nullable=False),
)

Table(
    "rollbacks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("noticed_at", Instant, nullable=False),
    Column("node", Text, nullable=False, comment="whose journal showed it"),
    Column("database_at", Instant, comment="how far the database had come; absent: it had taken in nothing"),
    Column("journal_at", Instant, nullable=False, comment="how far the journal went"),
    Column("rebuilt", Integer, nullable=False, comment="records that were replayed"),
)

Table(
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

Table(
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

Table(
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

Table(
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

Table(
    "inventory",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("kind", Text, primary_key=True, comment="RequestType of the query"),
    Column("learned_at", Instant, nullable=False, comment="when the latest answer of this kind came"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of what is kept, by which a change is told"),
    Column("facts", Json, nullable=False, comment="by key: the value, and when it was learned"),
    postgresql_with={"fillfactor": 75},
)

Table(
    "inventory_items",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("identifier", Identifier, primary_key=True, comment="what tells one item of the kind from the others"),
    Column("name", Text),
    Column("version", Text),
    Column("detail", Json, nullable=False),
    Column("since", Instant, nullable=False, comment="when the device first named it, without a break"),
    Column("changed_at", Instant, nullable=False),
    Index(None, "kind", "identifier"),
)

Table(
    "inventory_changes",
    metadata,
    Column("id", Text, nullable=False),
    Column("channel_id", Identifier, nullable=False),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False, comment="the fact's key, or the item's identifier"),
    Column("before", Json, comment="absent when it is new"),
    Column("after", Json, comment="absent when it is gone"),
    Index(None, "channel_id", "at"),
    Index(None, "at", postgresql_using="brin"),  # rows come in the order of their time: nearly free
    postgresql_partition_by="RANGE (at)",
)

Table(
    "inventory_questions",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("epoch", Integer, nullable=False, comment="in whose life it was asked; a new one is asked anew"),
    Column("asked", Json, nullable=False, comment="by kind: when it was asked by the schedule, in microseconds"),
    postgresql_with={"fillfactor": 75},
)

Table(
    "heartbeats",
    metadata,
    Column("node", Text, primary_key=True),
    Column("worker", Text, primary_key=True, comment="empty: the node itself"),
    Column("beat_at", Instant, nullable=False),
)

Table(
    "outages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("scope", Text, nullable=False, comment="kind:name of what is touched; empty: everything"),
    Column("began_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("words", Text, nullable=False),
    Column("detail", Json, nullable=False),
    Index(None, "ended_at"),
    Index(
        "ix_outages_open",
        "reason",
        "scope",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
        sqlite_where=text("ended_at IS NULL"),
    ),
)

Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("scope", Text, nullable=False, comment="kind:name of what they have in common; empty: everything"),
    Column("began_at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False, comment="when it was noticed"),
    Column("changed_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("sentence", Text, nullable=False),
    Column("channels", Integer, nullable=False, comment="the most that were touched at one time"),
    Index(None, "ended_at"),
    Index(
        "ix_incidents_open",
        "reason",
        "scope",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
        sqlite_where=text("ended_at IS NULL"),
    ),
)

Table(
    "site_visits",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("seen_at", Instant, nullable=False, comment="when the device was last found to come from there"),
    Index(None, "address"),
)

Table(
    "sites",
    metadata,
    Column("address", Text, primary_key=True),
    Column("members", Integer, nullable=False),
    Column("silent", Integer, nullable=False, comment="those that fell silent together; 0 where others are heard"),
    Column("silent_since", Instant),
    Column("heard_elsewhere", Integer, nullable=False),
    Column("unpushable", Integer, nullable=False),
    Column("witnessed", Integer, nullable=False),
)

Table(
    "hung_builds",
    metadata,
    Column("build", Text, primary_key=True),
    Column("hung", Integer, nullable=False, comment="devices that stopped in mid-dialogue"),
    Column("since", Instant, nullable=False, comment="the first of their last contacts"),
)

Table(
    "self_tests",
    metadata,
    Column("node", Text, primary_key=True),
    Column("tested_at", Instant, nullable=False),
    Column("fingerprint", LargeBinary, comment="SHA-256 of the TLS certificate met at our public address"),
    Column("changed_at", Instant, comment="when another fingerprint than before was met first"),
    Column("not_after", Instant),
    Column("failing_since", Instant, comment="the first of the tests in a row that had no answer"),
    Column("failure", Text, nullable=False),
)

Table(
    "policies",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Json, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
)

Table(
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

Table(
    "recovery_codes",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("administrator_id", Text, ForeignKey("administrators.id"), nullable=False),
    Column("used_at", Instant),
    Index(None, "administrator_id"),
)

Table(
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

Table(
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

Table(
    "sign_in_states",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("administrator_id", Text, comment="whom it is about, where that is known"),
    Column("sealed", LargeBinary, nullable=False, comment="what the browser's next request is held against"),
    Column("expires_at", Instant, nullable=False),
    Index(None, "expires_at"),
)

Table(
    "sign_in_links",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("administrator_id", Text, ForeignKey("administrators.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
)

Table(
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

Table(
    "return_to_service",
    metadata,
    Column("scope", Identifier, primary_key=True, comment="the device's id; empty: all devices without a row"),
    Column("is_enabled", Boolean, nullable=False, comment="whether a device that is erased enrolls by itself again"),
    Column("wifi_profile_sealed", LargeBinary, comment="the profile by which it reaches us then"),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
)

Table(
    "enrollment_users",
    metadata,
    Column("user_name", Text, primary_key=True, comment="Managed Apple Account or e-mail address, normalised"),
    Column("password_hash", Text, nullable=False, comment="Argon2id, with its parameters and salt"),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
)

Table(
    "enrollment_sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("user_name", Text, ForeignKey("enrollment_users.user_name"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index(None, "user_name"),
    Index(None, "expires_at"),
)

Table(
    "sign_in_attempts",
    metadata,
    Column("subject", LargeBinary, primary_key=True, comment="SHA-256 of the user name or address tried"),
    Column("attempts", Integer, nullable=False),
    Column("ends_at", Instant, nullable=False, comment="when they are forgotten"),
    Index(None, "ends_at"),
)

Table(
    "kept_answers",
    metadata,
    Column("token_id", Text, primary_key=True, comment="whose request it was"),
    Column("key", Text, primary_key=True, comment="as the program named its request"),
    Column("request_hash", LargeBinary, nullable=False, comment="SHA-256 of all that it said"),
    Column("answered_at", Instant, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Index(None, "answered_at"),
)

Table(
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

Table(
    "push_certificates",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("certificate_pem", LargeBinary, nullable=False, comment="leaf first, then its chain"),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("uploaded_at", Instant, nullable=False),
    Column("uploaded_by", Text, nullable=False),
    Column("is_current", Boolean, nullable=False, comment="in use for its topic; the former ones are kept"),
    Column("chosen_at", Instant, comment="since when new enrollments get its topic, unless another was chosen later"),
    Column("told_days", Integer, comment="days left when its end was last told about; 0: that it had ended"),
    Index(None, "topic"),
)

Table(
    "push_certificate_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False, comment="push or vendor"),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("request_der", LargeBinary, nullable=False),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of its SubjectPublicKeyInfo"),
    Column("answered_at", Instant, comment="a certificate for its key was put into use"),
)

Table(
    "vendor_certificates",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("certificate_pem", LargeBinary, nullable=False, comment="leaf first, root last"),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("uploaded_at", Instant, nullable=False),
    Column("uploaded_by", Text, nullable=False),
    Column("is_current", Boolean, nullable=False),
)

Table(
    "push_targets",
    metadata,
    Column("channel_id", Identifier, ForeignKey("channels.id"), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("token", LargeBinary, nullable=False),
    Column("push_magic", Text, nullable=False),
    Column("former_magic", Text, comment="the one before it; a device that takes a renewal back listens to it again"),
    Column("magic_changed_at", Instant, comment="when a TokenUpdate brought another magic than the one before it"),
    Column("updated_at", Instant, nullable=False, comment="time of the TokenUpdate that brought it"),
    Column("tally", Integer, nullable=False, server_default="1", comment="TokenUpdates of this life of the channel"),
    Column("token_since", Instant, comment="time of the first that brought this token; absent: updated_at"),
    Column("refused_at", Instant, comment="APNs said for good that this token is no use; pushing stopped"),
    Column("refusals", Integer, nullable=False, comment="how often, since the last TokenUpdate"),
    Column("throttled_until", Instant, comment="APNs asked for fewer pushes to this token"),
    Column("throttles", Integer, nullable=False, comment="429s in a row"),
    Column("budget_until", Instant, comment="until when the pushes so far are paid for"),
    Column("accepted_at", Instant, comment="when APNs accepted a push last"),
    Column("unanswered", Integer, nullable=False, comment="accepted pushes in a row with no contact between them"),
    Column("last_outcome", Text),
    Column("last_outcome_at", Instant),
    Column("last_reason", Text),
    # none of its columns changes while pushes are accepted, so that PostgreSQL goes on updating in place
    Index(
        "ix_push_targets_refused",
        "topic",
        postgresql_where=text("refused_at IS NOT NULL"),
        sqlite_where=text("refused_at IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": 75},
)

Table(
    "push_wishes",
    metadata,
    # no foreign key: wishes for a fleet would cost four times as much, and no channel is ever deleted
    Column("channel_id", Identifier, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("wanted_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False, comment="pushes in a row that said nothing of the token"),
    Column("fence", BigInteger, nullable=False, comment="grows with each claim; an outcome names the one it is for"),
    Column("held_because", Text, comment="an obstacle that is ours or APNs'; the wish is released when it goes"),
    Index(None, "due_at"),
    postgresql_with={"fillfactor": 75},
)

Table(
    "pushes",
    metadata,
    Column("channel_id", Identifier, nullable=False),
    Column("at", Instant, nullable=False, comment="when the outcome was recorded"),
    Column("apns_id", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("wanted", Text, nullable=False, comment="why"),
    Column("outcome", Text, nullable=False, comment="its class"),
    Column("status", Integer, nullable=False, comment="HTTP status; 0: no answer"),
    Column("reason", Text, comment="APNs' word, or what went wrong"),
    Column("unregistered_at", Instant, comment="since when the token is dead, as APNs says"),
    Column("latency_ms", Integer, nullable=False),
    Column("attempts", Integer, nullable=False, comment="how often it may have reached APNs"),
    Column("consequence", Text, nullable=False),
    Index(None, "channel_id", "at"),
    Index(None, "at", postgresql_using="brin"),  # rows come in the order of their time: nearly free
    postgresql_partition_by="RANGE (at)",
)

Table(
    "push_breakers",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("cause", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    Column("opened_at", Instant, comment="absent: failures are counted, and nothing is held yet"),
    Column("retry_at", Instant),
    Column("probes", Integer, nullable=False),
    Column("is_probing", Boolean, nullable=False),
)

Table(
    "signal_receivers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("audience", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("allows_private", Boolean, nullable=False),
)

Table(
    "signal_streams",
    metadata,
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), primary_key=True),
    Column("receiver_id", Text, ForeignKey("signal_receivers.id"), nullable=False, unique=True),
    Column("method", Text, nullable=False),
    Column("endpoint_url", Text),
    Column("authorization_sealed", LargeBinary),
    Column("events_requested", Json, nullable=False),
    Column("description", Text),
    Column("status_reason", Text),
    Column("verification_asked_at", Instant),
)

Table(
    "signal_subjects",
    metadata,
    # no foreign key to channels: what a receiver was told of a device outlives it
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), primary_key=True),
    Column("device_id", Identifier, primary_key=True),
    Column("status", Text, comment="as the receiver was told last; absent: he takes it for compliant"),
    Column("is_removed", Boolean, nullable=False, comment="the receiver wants to hear nothing of it"),
    Index(None, "device_id"),
)

Table(
    "signal_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("jwk", Json, nullable=False),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("signs_from", Instant, nullable=False),
)

Table(
    "verdicts",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Instant, nullable=False, comment="when the state began, not when it was noticed"),
    Column("noticed_at", Instant, nullable=False),
    Column("change_id", Text, nullable=False, comment="the change that led to state and reason"),
    Column("proof_level", Integer, nullable=False),
    Column("proof_at", Instant),
    Column("is_push_proved", Boolean, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("forecast", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("candidates", Json, nullable=False),
    Column("evidence", Json, nullable=False),
    Column("others", Json, nullable=False, comment="reasons found beside the one that decides"),
    Column("notes", Json, nullable=False, comment="what is shown beside it and decides nothing"),
    Column("judged_at", Instant, nullable=False),
    Index(None, "state", "since"),
    # the whole fleet is counted by it without a look at the rows
    Index("ix_verdicts_counts", "state", "reason", "forecast", "channel_id"),
    postgresql_with={"fillfactor": 75},
)

Table(
    "verdict_changes",
    metadata,
    # no foreign key: a device's story outlives it
    Column("id", Text, primary_key=True),
    Column("channel_id", Identifier, nullable=False),
    Column("device_id", Identifier, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("at", Instant, nullable=False, comment="when it was noticed"),
    Column("since", Instant, nullable=False),
    Column("state_before", Text),
    Column("reason_before", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proof_level", Integer, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("forecast", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("candidates", Json, nullable=False),
    Column("evidence", Json, nullable=False),
    Column("others", Json, nullable=False),
    Index(None, "channel_id", "at"),
    Index(None, "device_id", "at"),
    Index(None, "at"),
)

Table(
    "recoveries",
    metadata,
    # no foreign key: what was done outlives the device
    Column("id", Text, primary_key=True),
    Column("channel_id", Identifier, nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("step", Integer, nullable=False, comment="place of the step that was done last"),
    Column("attempts", Integer, nullable=False, comment="how often it was done"),
    Column("acted_at", Instant),
    Column("next_at", Instant, comment="not before then anything is done; none: at a contact, or nothing more"),
    Column("found_until", Instant, comment="when its reason was found last, once it is found no more"),
    Column("probes", Integer, nullable=False, comment="questions since then, for the proof"),
    Column("closed_at", Instant),
    Column("outcome", Text),
    Column("proof_at", Instant),
    Column("log", Json, nullable=False, comment="what was done, and when"),
    Index(None, "channel_id", "opened_at"),
    Index(
        "ix_recoveries_open",
        "channel_id",
        "reason",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
    postgresql_with={"fillfactor": 75},
)

Table(
    "control_policies",
    metadata,
    Column("group_id", Text, primary_key=True, comment="empty: of all"),
    Column("rank", Integer, nullable=False, comment="of the groups that a device is in the lowest decides"),
    Column("settings", Json, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
)

Table(
    "fleet_days",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False, comment="days since 1970-01-01 UTC"),
    Column("active", Integer, nullable=False, comment="devices heard in the weeks before"),
    Column("heard", Integer, nullable=False, comment="those of them that were heard on it"),
    Column("expected", Double, nullable=False, comment="how many should have been, by their rhythms"),
)

Table(
    "fleet_control_days",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False, comment="days since 1970-01-01 UTC"),
    Column("state", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("devices", Integer, nullable=False, comment="whose verdict this was when the day ended"),
)

Table(
    "ade_devices",
    metadata,
    Column("serial_number", Identifier, primary_key=True),
    Column("token", Text, nullable=False, comment="name of the server token by which we were told last"),
    Column("profile_status", Text, nullable=False),
    Column("assigned_here", Boolean, nullable=False),
    Column("is_deleted", Boolean, nullable=False, comment="no longer in the organization"),
    Column("changed_at", Instant, nullable=False, comment="since when it is as it is"),
    Column("heard_at", Instant, nullable=False, comment="when it was told last"),
    Index(None, "token"),
)

Table(
    "ade_tokens",
    metadata,
    Column("name", Text, primary_key=True),
    Column("is_ok", Boolean, nullable=False),
    Column("since", Instant, nullable=False),
    Column("heard_at", Instant, comment="when the service spoke with us by it last; absent: never"),
    Column("why", Text, nullable=False, comment="what the service said where it does not speak with us"),
)

Table(
    "ddm_status",
    metadata,
    Column("channel_id", Identifier, ForeignKey("channels.id"), primary_key=True),
    Column("epoch", Integer, nullable=False, comment="what was told in another one is of another life"),
    Column("heard_at", Instant, comment="last message of the declarative protocol"),
    Column("heard_otherwise_at", Instant, comment="last contact before that which was none of the protocol's"),
    Column("status_at", Instant),
    Column("asked_at", Instant, comment="DeclarativeManagement was acknowledged first without a status since"),
    Column("push_told_at", Instant, comment="when push token or magic were told last"),
    Column("push_token", LargeBinary),
    Column("push_magic", Text),
    Column("enrollment_type", Text),
    Column("is_awaiting_configuration", Boolean),
    Column("report", LargeBinary, comment="the last report, as it came; absent where it is too large to be kept"),
    Column("report_size", Integer, comment="bytes"),
)

Table(
    "witnesses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Identifier, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256"),
    Column("token_changed_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("heard_at", Instant),
    Column("sightings", Integer, nullable=False),
    Column("unknown", Integer, nullable=False, comment="sightings of devices that are not known here"),
    Column("window_began_at", Instant),
    Column("posts", Integer, nullable=False, comment="since then"),
)

Table(
    "sightings",
    metadata,
    Column("witness_id", Text, ForeignKey("witnesses.id", ondelete="CASCADE"), primary_key=True),
    Column("channel_id", Identifier, primary_key=True),
    Column("seen_at", Instant, nullable=False, comment="the latest"),
    Column("says_unmanaged", Boolean, nullable=False),
    Column("noted_at", Instant, nullable=False, comment="when it last became evidence"),
)


def upgrade() -> None:
    """Make every table; on PostgreSQL also the partitions that take in what has no month's partition yet."""
    connection = op.get_bind()
    metadata.create_all(connection, checkfirst=False)
    if connection.dialect.name == "postgresql":
        for table in PARTITIONED:
            op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
