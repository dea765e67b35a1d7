"""The one schema of both engines. Migrations bring a database to it; a test compares the two.

Hot statements are keyed by channel id. `channels` is narrow and holds no index on what a contact changes, so that
PostgreSQL updates it in place (HOT); what is due lives in `reviews` and `push_wishes`.
"""

from muster.storage.schema.base import metadata
from muster.storage.schema.command_tables import commands, disruptions, queue, queue_pauses, reports, unread_answers
from muster.storage.schema.enrollment_tables import (
    channels,
    contact_days,
    deferred_messages,
    departures,
    device_facts,
    epochs,
    escrow,
    set_ups,
    user_logins,
)
from muster.storage.schema.event_tables import outbox, subscriptions
from muster.storage.schema.evidence_tables import evidence, reviews, rumours
from muster.storage.schema.group_tables import device_groups, group_members, sends
from muster.storage.schema.identity_tables import (
    challenges,
    enrollment_links,
    enrollment_profiles,
    enrollment_tokens,
    identities,
    ota_enrollments,
    renewals,
)
from muster.storage.schema.installation_tables import (
    authorities,
    escrow_certificates,
    installation,
    journal_marks,
    ring_canaries,
    rollbacks,
)
from muster.storage.schema.installed_tables import account_templates, accounts, installed_profiles, managed_apps
from muster.storage.schema.inventory_tables import (
    inventory,
    inventory_changes,
    inventory_items,
    inventory_questions,
)
from muster.storage.schema.people_tables import (
    administrators,
    audit,
    enrollment_sessions,
    enrollment_users,
    policies,
    return_to_service,
    sessions,
    sign_in_attempts,
    sign_in_links,
)
from muster.storage.schema.push_tables import (
    push_breakers,
    push_certificate_requests,
    push_certificates,
    push_targets,
    push_wishes,
    pushes,
    vendor_certificates,
)

__all__ = [
    "PARTITIONED",
    "account_templates",
    "accounts",
    "administrators",
    "audit",
    "authorities",
    "challenges",
    "channels",
    "commands",
    "contact_days",
    "deferred_messages",
    "departures",
    "device_facts",
    "device_groups",
    "disruptions",
    "enrollment_links",
    "enrollment_profiles",
    "enrollment_sessions",
    "enrollment_tokens",
    "enrollment_users",
    "epochs",
    "escrow",
    "escrow_certificates",
    "evidence",
    "group_members",
    "identities",
    "installation",
    "installed_profiles",
    "inventory",
    "inventory_changes",
    "inventory_items",
    "inventory_questions",
    "journal_marks",
    "managed_apps",
    "metadata",
    "ota_enrollments",
    "outbox",
    "policies",
    "push_breakers",
    "push_certificate_requests",
    "push_certificates",
    "push_targets",
    "push_wishes",
    "pushes",
    "queue",
    "queue_pauses",
    "renewals",
    "reports",
    "return_to_service",
    "reviews",
    "ring_canaries",
    "rollbacks",
    "rumours",
    "sends",
    "sessions",
    "set_ups",
    "sign_in_attempts",
    "sign_in_links",
    "subscriptions",
    "unread_answers",
    "user_logins",
    "vendor_certificates",
]

PARTITIONED = {"reports": "reported_at", "evidence": "first_at", "pushes": "at", "inventory_changes": "at"}
"""Tables that PostgreSQL keeps in partitions by month, with the column that says which."""
