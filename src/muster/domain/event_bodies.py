"""What a receiver is sent of an event: one writer for each format."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from muster.domain.events import Detail
from muster.domain.message_bodies import message_body
from muster.domain.webhooks import BodyFormat
from muster.protocol.identifiers import ChannelId

CLOUDEVENTS_PREFIX: Final = "muster."
"""Before our names of events, so that they are told from those of others."""


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """One event as it goes to one receiver. *sequence* grows with each event that goes to him; *type* is the event's
    name, which may be one that this version doesn't know."""

    id: str
    type: str
    channel_id: ChannelId
    at: datetime
    sequence: int
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventBody:
    """The body of a request, what it is, and headers of the format's own."""

    content_type: str
    content: bytes
    headers: tuple[tuple[str, str], ...] = ()


def _muster(event: OutgoingEvent, _source: str) -> EventBody:
    """Our own form: compact JSON in UTF-8, its members in this order."""
    written = {
        "id": event.id,
        "type": event.type,
        "at": _milliseconds(event.at),
        "sequence": event.sequence,
        "channel_id": event.channel_id or None,
        "data": dict(event.detail),
    }
    content = json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()
    return EventBody("application/json", content, (("Muster-Event-Id", event.id), ("Muster-Event-Type", event.type)))


def _cloudevents(event: OutgoingEvent, source: str) -> EventBody:
    """CloudEvents 1.0 in structured mode, with the extension `sequence`, whose texts sort as the events do."""
    written: dict[str, object] = {
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": f"{CLOUDEVENTS_PREFIX}{event.type}",
        "time": _milliseconds(event.at),
        "sequence": f"{event.sequence:019}",
        "datacontenttype": "application/json",
        "data": dict(event.detail),
    }
    if event.channel_id:
        written["subject"] = event.channel_id
    content = json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()
    return EventBody("application/cloudevents+json; charset=utf-8", content)


def _milliseconds(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


Writer: TypeAlias = Callable[[OutgoingEvent, str], EventBody]
"""Writes an event; the second is the URI by which this installation is known."""

WRITERS: Final[Mapping[BodyFormat, Writer]] = {
    BodyFormat.MUSTER: _muster,
    BodyFormat.CLOUDEVENTS: _cloudevents,
    BodyFormat.MICROMDM: lambda event, _source: EventBody(*message_body(event.type, event.id, event.at, event.detail)),
}
"""Total over the formats."""
