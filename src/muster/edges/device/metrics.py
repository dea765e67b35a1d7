"""What the doors for devices count."""

from prometheus_client import Counter, Histogram

from muster.protocol.connect import Status

CONNECTS = Counter("muster_connects_total", "Connects answered, by the status the device reported", ["status"])
CONNECTS_OF = {status: CONNECTS.labels(status.value) for status in Status} | {None: CONNECTS.labels("undefined")}
"""The same by status, looked up beforehand; None is a status that is not defined."""
CHECKINS = Counter("muster_checkins_total", "Check-ins answered, by MessageType", ["message"])
REFUSALS = Counter("muster_refusals_total", "Requests of devices refused, by reason", ["code"])
DEFERRED = Counter("muster_deferred_messages_total", "Messages accepted that could not be processed yet", ["message"])
LEGACY = Counter(
    "muster_legacy_algorithms_total",
    "Signatures and envelopes of clients in old algorithms (SHA-1, DES, 3DES)",
    ["where"],
)
CERTIFICATES = Counter("muster_certificates_issued_total", "Device identities issued by SCEP", ["message"])
PROFILES = Counter("muster_enrollment_profiles_total", "Enrollment profiles handed out")
BATCH_SIZE = Histogram(
    "muster_connect_batch_size", "Connects answered in one transaction", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
REFUSALS_DROPPED = Counter(
    "muster_refusals_not_recorded_total", "Refused contacts that were counted but not kept, for there were too many"
)
