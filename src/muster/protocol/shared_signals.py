"""What a transmitter of shared signals says and reads: event tokens, streams, polls.

Source: OpenID Shared Signals Framework 1.0 (SSF), CAEP 1.0, RFC 8417 (security event tokens), RFC 8935 (push), RFC 8936
(poll), RFC 9493 (subject identifiers).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from muster.protocol.errors import MalformedMessage

MAX_BODY_BYTES: Final = 64 * 1024
"""Of a request about a stream: a configuration has a few hundred, an acknowledgement 40 for each token."""
MAX_ITEMS: Final = 1000
"""Acknowledgements in one poll."""
MAX_TEXT_CHARACTERS: Final = 2048

DEVICE_COMPLIANCE_CHANGE: Final = "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change"
VERIFICATION: Final = "https://schemas.openid.net/secevent/ssf/event-type/verification"
STREAM_UPDATED: Final = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
EVENTS_SUPPORTED: Final = (DEVICE_COMPLIANCE_CHANGE, VERIFICATION, STREAM_UPDATED)
TOKEN_MEDIA_TYPE: Final = "application/secevent+jwt"  # noqa: S105 - no password
TOKEN_HEADER: Final[Mapping[str, str]] = {"typ": "secevent+jwt"}


class DeliveryMethod(StrEnum):
    """How tokens reach a receiver."""

    PUSH = "urn:ietf:rfc:8935"
    POLL = "urn:ietf:rfc:8936"


class StreamStatus(StrEnum):
    """SSF 1.0, 8.1.2: what becomes of events. Paused: kept; disabled: dropped."""

    ENABLED = "enabled"
    PAUSED = "paused"
    DISABLED = "disabled"


class Compliance(StrEnum):
    """The two words of CAEP 1.0, 3.5; there is none for what isn't known."""

    COMPLIANT = "compliant"
    NOT_COMPLIANT = "not-compliant"


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What a receiver wants of a stream. What is absent was not said.

    *endpoint_url* and *authorization_header* are for push. *stated*: what it says of members that are the
    transmitter's to say.
    """

    stream_id: str | None = None
    method: DeliveryMethod | None = None
    endpoint_url: str | None = None
    authorization_header: str | None = field(default=None, repr=False)
    events_requested: tuple[str, ...] | None = None
    description: str | None = None
    stated: Mapping[str, object] = field(default_factory=dict)


_TRANSMITTERS: Final = ("iss", "aud", "events_supported", "events_delivered", "min_verification_interval")


@dataclass(frozen=True, slots=True)
class PollRequest:
    """What a receiver polls for (RFC 8936, 2.2). *max_events* absent: as many as there are."""

    max_events: int | None = None
    returns_immediately: bool = False
    acknowledged: tuple[str, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    """What the receiver found wrong with tokens, by their id."""


def event_token(
    *,
    issuer: str,
    audience: str,
    token_id: str,
    issued_at: datetime,
    subject: Mapping[str, object],
    event_type: str,
    event: Mapping[str, object],
    transaction: str | None = None,
) -> dict[str, object]:
    """Return the claims of a security event token with one event (RFC 8417, 2; SSF 1.0, 4)."""
    claims: dict[str, object] = {
        "iss": issuer,
        "jti": token_id,
        "iat": int(issued_at.timestamp()),
        "aud": audience,
        "sub_id": subject,
        "events": {event_type: event},
    }
    return claims if transaction is None else {**claims, "txn": transaction}


def device_subject(issuer: str, device_id: str) -> dict[str, object]:
    """Name a device: as a complex subject whose device we know it by (SSF 1.0, 3.2; RFC 9493, 3.2.3)."""
    return {"format": "complex", "device": {"format": "iss_sub", "iss": issuer, "sub": device_id}}


def stream_subject(stream_id: str) -> dict[str, object]:
    """Name a stream, of which its own events are (SSF 1.0, 8.1.4.1)."""
    return {"format": "opaque", "id": stream_id}


def read_stream_request(body: bytes) -> StreamRequest:
    """Read a stream's configuration as a receiver sends it (SSF 1.0, 8.1.1).

    Raises MalformedMessage where it is no JSON object, or a member is of another type than it has to be. Members that
    aren't known are passed over.
    """
    members = read_object(body)
    method = endpoint = header = None
    if members.get("delivery") is not None:
        delivery = _object(members["delivery"], "delivery")
        named = _text(delivery.get("method"), "delivery.method")
        if named not in tuple(DeliveryMethod):
            raise MalformedMessage(f"delivery.method is one of {', '.join(DeliveryMethod)}")
        method = DeliveryMethod(named)
        endpoint = _optional_text(delivery, "endpoint_url")
        header = _optional_text(delivery, "authorization_header")
    events = members.get("events_requested")
    return StreamRequest(
        _optional_text(members, "stream_id"),
        method,
        endpoint,
        header,
        None if events is None else tuple(_texts(events, "events_requested")),
        _optional_text(members, "description"),
        {name: members[name] for name in _TRANSMITTERS if name in members},
    )


def read_poll_request(body: bytes) -> PollRequest:
    """Read a poll (RFC 8936, 2.2). Raises MalformedMessage."""
    members = read_object(body)
    max_events = members.get("maxEvents")
    if max_events is not None and (not isinstance(max_events, int) or isinstance(max_events, bool) or max_events < 0):
        raise MalformedMessage("maxEvents is a number from 0")
    immediately = members.get("returnImmediately", False)
    if not isinstance(immediately, bool):
        raise MalformedMessage("returnImmediately is true or false")
    errors = _object(members.get("setErrs") or {}, "setErrs")
    if len(errors) > MAX_ITEMS:
        raise MalformedMessage(f"setErrs has more than {MAX_ITEMS} members")
    return PollRequest(
        max_events,
        immediately,
        tuple(_texts(members.get("ack") or [], "ack")),
        {_text(name, "a member's name in setErrs"): _error_words(value) for name, value in errors.items()},
    )


def read_subject(members: Mapping[str, object], issuer: str) -> str:
    """Return the id of the device that a subject names: complex with a device, or the device itself.

    Raises MalformedMessage where it names no device of ours by `iss_sub` or `opaque`.
    """
    subject = _object(members.get("subject"), "subject")
    if subject.get("format") == "complex":
        subject = _object(subject.get("device"), "subject.device")
    if subject.get("format") == "opaque":
        return _text(subject.get("id"), "subject.id")
    if subject.get("format") == "iss_sub" and subject.get("iss") == issuer:
        return _text(subject.get("sub"), "subject.sub")
    raise MalformedMessage("subject names a device by format iss_sub with our iss, or opaque")


def read_object(body: bytes) -> Mapping[str, object]:
    """Read a JSON object. Raises MalformedMessage where it is none or has more than MAX_BODY_BYTES."""
    if len(body) > MAX_BODY_BYTES:
        raise MalformedMessage(f"the body has more than {MAX_BODY_BYTES} bytes")
    try:
        return _object(json.loads(body.decode("utf-8")), "the body")
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("the body is no JSON") from error


def required_text(members: Mapping[str, object], name: str) -> str:
    """Return a member that is text. Raises MalformedMessage where it is none, or is missing."""
    return _text(members.get(name), name)


def optional_text(members: Mapping[str, object], name: str) -> str | None:
    """Return a member that is text, or None where it is missing. Raises MalformedMessage where it is something else."""
    return _optional_text(members, name)


def _object(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise MalformedMessage(f"{name} is a JSON object")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT_CHARACTERS or not value.isprintable():
        raise MalformedMessage(f"{name} is text of 1 to {MAX_TEXT_CHARACTERS} printable characters")
    return value


def _optional_text(members: Mapping[str, object], name: str) -> str | None:
    return None if members.get(name) is None else _text(members[name], name)


def _texts(value: object, name: str) -> Sequence[str]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise MalformedMessage(f"{name} is a list of at most {MAX_ITEMS} texts")
    return [_text(one, name) for one in value]


def _error_words(value: object) -> str:
    members = _object(value, "each member of setErrs")
    parts = [members.get("err"), members.get("description")]
    words = ": ".join(one for one in parts if isinstance(one, str))
    return "".join(one if one.isprintable() else " " for one in words)[:300] or "no reason given"
