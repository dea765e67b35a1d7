"""Push messages: the requests that wake a device, and what Apple's push service answers.

A push for device management carries nothing but the channel's PushMagic. An accepted push says that APNs will deliver
it when it can; only the device's own connect proves that it did.

Sources: Apple, "Sending notification requests to APNs", "Handling notification responses from APNs" (the table of
reasons), and for the payload "Sending push notifications to devices" in the MDM documentation.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from muster.protocol.checkin import MAX_PUSH_MAGIC_CHARACTERS, MAX_TOKEN_BYTES, MAX_TOPIC_CHARACTERS
from muster.protocol.errors import MalformedMessage
from muster.protocol.records import record

MAX_REPLY_BYTES: Final = 16 * 1024
"""APNs' replies have less than a hundred bytes; what is longer comes from something in between."""

MAX_REQUEST_BYTES: Final = 4096
"""The largest payload APNs takes."""

DEVICE_PATH: Final = "/3/device/"
"""What stands before the token in a request's path."""

CONSTANT_HEADERS: Final = (("apns-push-type", "mdm"), ("apns-priority", "10"), ("content-type", "application/json"))
"""The headers which all pushes share, names in lower case."""

_DEVICE_PATH_PATTERN: Final = re.compile(rf"{DEVICE_PATH}((?:[0-9a-fA-F]{{2}}){{1,{MAX_TOKEN_BYTES}}})")
_REASON: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_encode_string: Final = json.JSONEncoder().encode  # at a fifth of the cost of json.dumps with separators


@record(frozen=True, slots=True)
class Push:
    """One push to one channel.

    expiration: Unix seconds until which APNs keeps it for a device that is offline; 0 = deliver now or never.
    apns_id: our name for it, a UUID in canonical form; the same when it is sent again.
    """

    apns_id: str
    topic: str
    token: bytes
    push_magic: str
    expiration: int


class OutcomeClass(StrEnum):
    """What an outcome means for us, which is coarser than what APNs says."""

    ACCEPTED = "accepted"
    TOKEN_UNREGISTERED = "token_unregistered"  # noqa: S105 - the name of an outcome
    """The token was good once: the device was erased, unenrolled, or has another token by now."""
    TOKEN_BAD = "token_bad"  # noqa: S105 - the name of an outcome
    """The token is none of this environment. Of one device: corruption; of all: production against development."""
    TOPIC_MISMATCH = "topic_mismatch"
    """The token was issued for another topic: the device was enrolled under another push certificate."""
    CERTIFICATE_REFUSED = "certificate_refused"
    """The push certificate is revoked, expired, or not for this environment: nobody with this topic can be reached."""
    THROTTLED = "throttled"
    """Too many pushes to this token: wait before the next one to it."""
    APNS_UNAVAILABLE = "apns_unavailable"
    """APNs' trouble: wait before the next push to anybody."""
    OUR_FAULT = "our_fault"
    """The request was wrong; sent again it will be wrong again."""
    NO_ANSWER = "no_answer"
    """The connection ended before an answer. Given by the sender, never by `decode_reply`."""


@record(frozen=True, slots=True)
class PushOutcome:
    """What became of one push.

    status: HTTP status; 0 = no answer. reason: APNs' word; None = none was given. unregistered_at: since when the
    token is dead, to be compared with the time of its last TokenUpdate. apns_id: as echoed; None = not, or not read.
    """

    outcome_class: OutcomeClass
    status: int
    reason: str | None = None
    unregistered_at: datetime | None = None
    apns_id: str | None = None


ACCEPTED: Final = PushOutcome(OutcomeClass.ACCEPTED, 200)
"""The outcome of nearly every push: there is nothing to be read in it."""

REASONS: Final[Mapping[tuple[int, str], OutcomeClass]] = {
    (400, "BadCollapseId"): OutcomeClass.OUR_FAULT,
    (400, "BadDeviceToken"): OutcomeClass.TOKEN_BAD,
    (400, "BadExpirationDate"): OutcomeClass.OUR_FAULT,
    (400, "BadMessageId"): OutcomeClass.OUR_FAULT,
    (400, "BadPriority"): OutcomeClass.OUR_FAULT,
    (400, "BadTopic"): OutcomeClass.OUR_FAULT,
    (400, "DeviceTokenNotForTopic"): OutcomeClass.TOPIC_MISMATCH,
    (400, "DuplicateHeaders"): OutcomeClass.OUR_FAULT,
    (400, "IdleTimeout"): OutcomeClass.APNS_UNAVAILABLE,
    (400, "InvalidPushType"): OutcomeClass.OUR_FAULT,
    (400, "MissingDeviceToken"): OutcomeClass.OUR_FAULT,
    (400, "MissingTopic"): OutcomeClass.OUR_FAULT,
    (400, "PayloadEmpty"): OutcomeClass.OUR_FAULT,
    (400, "TopicDisallowed"): OutcomeClass.CERTIFICATE_REFUSED,
    (403, "BadCertificate"): OutcomeClass.CERTIFICATE_REFUSED,
    (403, "BadCertificateEnvironment"): OutcomeClass.CERTIFICATE_REFUSED,
    # APNs asks for a provider token when it was shown no client certificate that it accepts.
    (403, "ExpiredProviderToken"): OutcomeClass.CERTIFICATE_REFUSED,
    (403, "Forbidden"): OutcomeClass.CERTIFICATE_REFUSED,
    (403, "InvalidProviderToken"): OutcomeClass.CERTIFICATE_REFUSED,
    (403, "MissingProviderToken"): OutcomeClass.CERTIFICATE_REFUSED,
    (404, "BadPath"): OutcomeClass.OUR_FAULT,
    (405, "MethodNotAllowed"): OutcomeClass.OUR_FAULT,
    (410, "ExpiredToken"): OutcomeClass.TOKEN_UNREGISTERED,
    (410, "Unregistered"): OutcomeClass.TOKEN_UNREGISTERED,
    (413, "PayloadTooLarge"): OutcomeClass.OUR_FAULT,
    (429, "TooManyProviderTokenUpdates"): OutcomeClass.OUR_FAULT,
    (429, "TooManyRequests"): OutcomeClass.THROTTLED,
    (500, "InternalServerError"): OutcomeClass.APNS_UNAVAILABLE,
    (503, "ServiceUnavailable"): OutcomeClass.APNS_UNAVAILABLE,
    (503, "Shutdown"): OutcomeClass.APNS_UNAVAILABLE,
}
"""Apple's table of statuses and reasons."""

_BY_STATUS: Final = {
    403: OutcomeClass.CERTIFICATE_REFUSED,
    410: OutcomeClass.TOKEN_UNREGISTERED,
    429: OutcomeClass.THROTTLED,
}
"""For reasons which Apple adds later, and for replies without one."""


def request_path(push: Push) -> str:
    """The :path of the request: the token in lower-case hexadecimal."""
    return DEVICE_PATH + push.token.hex()


def request_headers(push: Push) -> dict[str, str]:
    """The headers of the request but the pseudo-headers; names in lower case, as HTTP/2 has them."""
    return {
        "apns-topic": push.topic,
        **dict(CONSTANT_HEADERS),
        "apns-expiration": str(push.expiration),
        "apns-id": push.apns_id,
    }


def request_body(push: Push) -> bytes:
    """The JSON payload of the request."""
    return f'{{"mdm":{_encode_string(push.push_magic)}}}'.encode("ascii")


def decode_reply(status: int, headers: Mapping[str, str], body: bytes) -> PushOutcome:
    """What APNs' reply means. *headers* have names in lower case.

    Never raises: a body that is not APNs' JSON (a proxy's page, nothing) leaves reason and unregistered_at None, and
    the status alone decides. A status that means nothing here is our fault below 500, APNs' trouble from there.
    """
    apns_id = headers.get("apns-id")
    if status == 200:
        return PushOutcome(OutcomeClass.ACCEPTED, status, apns_id=apns_id) if headers else ACCEPTED
    keys = _json_object(body) if len(body) <= MAX_REPLY_BYTES else {}
    reason = keys.get("reason")
    if not isinstance(reason, str) or _REASON.fullmatch(reason) is None:
        reason = None
    return PushOutcome(
        _classify(status, reason),
        status,
        reason=reason,
        unregistered_at=_moment(keys.get("timestamp")),
        apns_id=apns_id,
    )


def encode_refusal(reason: str, timestamp: datetime | None = None) -> bytes:
    """The body of APNs' reply that refuses a push. *timestamp* (aware) goes with status 410; written in
    milliseconds."""
    keys: dict[str, str | int] = {"reason": reason}
    if timestamp is not None:
        keys["timestamp"] = (timestamp - _EPOCH) // timedelta(milliseconds=1)
    return json.dumps(keys, separators=(",", ":")).encode("ascii")


def decode_request(path: str, headers: Mapping[str, str], body: bytes) -> Push:
    """The push in a request to APNs, for a simulated one. *headers* have names in lower case.

    apns-id, apns-topic and apns-expiration may be absent: then they are "", "" and 0, and it is for the caller to
    make an id and to take the topic from the client certificate. Raises MalformedMessage when the path holds no
    token, when a header is of another form, and when the body is not a JSON object with a non-empty string `mdm`.
    """
    device = _DEVICE_PATH_PATTERN.fullmatch(path)
    if device is None:
        raise MalformedMessage("the path holds no device token")
    if headers.get("apns-push-type", "mdm") != "mdm":
        raise MalformedMessage("apns-push-type is not mdm")
    expiration = headers.get("apns-expiration", "0")
    if re.fullmatch(r"[0-9]{1,11}", expiration) is None:
        raise MalformedMessage("apns-expiration is not a number of seconds")
    topic = headers.get("apns-topic", "")
    if len(topic) > MAX_TOPIC_CHARACTERS:
        raise MalformedMessage(f"apns-topic is longer than {MAX_TOPIC_CHARACTERS} characters")
    apns_id = headers.get("apns-id", "")
    if len(apns_id) > 64:
        raise MalformedMessage("apns-id is not a UUID")
    if len(body) > MAX_REQUEST_BYTES:
        raise MalformedMessage(f"the payload is longer than {MAX_REQUEST_BYTES} bytes")
    push_magic = _json_object(body).get("mdm")
    if not isinstance(push_magic, str) or not 0 < len(push_magic) <= MAX_PUSH_MAGIC_CHARACTERS:
        raise MalformedMessage("the payload has no mdm")
    return Push(apns_id, topic, bytes.fromhex(device[1]), push_magic, int(expiration))


def _classify(status: int, reason: str | None) -> OutcomeClass:
    known = REASONS.get((status, reason)) if reason is not None else None
    if known is not None:
        return known
    return _BY_STATUS.get(status, OutcomeClass.OUR_FAULT if status < 500 else OutcomeClass.APNS_UNAVAILABLE)


def _json_object(body: bytes) -> dict[str, object]:
    """The JSON object in *body*, or {} when it is anything else."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _moment(timestamp: object) -> datetime | None:
    """The time that APNs writes as milliseconds since 1970; None when it is no such thing."""
    if not isinstance(timestamp, int | float) or isinstance(timestamp, bool):
        return None
    try:
        return _EPOCH + timedelta(milliseconds=timestamp)
    except (OverflowError, ValueError):
        return None
