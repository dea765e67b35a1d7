"""Devices: found by search and query, page by page; one of them; all of them as a file."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal
from muster.domain.queries.fields import FIELDS
from muster.domain.queries.syntax import IsKnown, Query
from muster.edges.api.csv_lines import csv_line
from muster.edges.api.cursors import cursor_after, text_place
from muster.edges.api.endpoints import Call, Stream, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import DEFAULT_PAGE, Cursor, Limits, PageSize, QueryText
from muster.edges.api.problems import Problem, of_refusal
from muster.edges.api.writing import as_json, plain
from muster.operations.permit import of_devices, of_no_device, within_scope
from muster.operations.read_query import read_query
from muster.operations.views.device_lists import (
    PAGE_LIMIT,
    DeviceOrder,
    DeviceQuery,
    DeviceRow,
    browse_devices,
    find_devices_after,
)
from muster.operations.views.one_device import OneDevice, show_one_device
from muster.operations.views.verdicts import VerdictRow, verdicts_of
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments
from muster.storage.engine import Transaction
from muster.storage.queries import Bounds


@dataclass(frozen=True, slots=True)
class DevicesAsked:
    """Which devices, in which order."""

    where: QueryText | None = None
    search: Annotated[str, Limits("A part of an id, a serial number, a name, a model, or a user.", 0, 200)] = ""
    state: Annotated[EnrollmentState | None, Limits("Where their enrollment stands.")] = None
    control: Annotated[ControlState | None, Limits("Their verdict.")] = None
    order: DeviceOrder = DeviceOrder.ID
    limit: PageSize = DEFAULT_PAGE
    cursor: Cursor | None = None


@dataclass(frozen=True, slots=True)
class DeviceSummary:
    """One device in a list. What is not known (yet) is null.

    *state*: of its enrollment. *control*, *reason*, *control_since*, *forecast*, *verdict*, *next_step* and *proof*: of
    the verdict, absent before the first review; *verdict* and *next_step* are sentences.
    """

    id: ChannelId
    serial_number: str | None
    name: str | None
    model: str | None
    os_version: str | None
    state: str
    control: ControlState | None
    reason: Reason | None
    control_since: datetime | None
    forecast: Forecast | None
    verdict: str | None
    next_step: str | None
    first_seen_at: datetime
    enrolled_at: datetime | None
    ended_at: datetime | None
    last_contact_at: datetime | None
    last_proof_at: datetime | None
    identity_not_after: datetime | None
    commands_waiting: int
    user_channels: int
    kind: str
    ended_reason: str | None
    last_push_outcome: str | None
    proof: ProofLevel | None


@dataclass(frozen=True, slots=True)
class DevicePage:
    """A part of a list. *total*: how many devices there are on all pages; *next*: the `cursor` of the page after it,
    absent on the last one."""

    items: tuple[DeviceSummary, ...]
    total: int
    next: str | None


@endpoint("GET", "/devices", refuses=(422,))
async def list_devices(call: Call, asked: DevicesAsked) -> DevicePage:
    """List devices that search and query find, those alone that the token may see.

    While devices come and go, pages in the order `id` neither leave one out nor have one twice.
    """
    now = call.runner.now()
    place = text_place(asked)
    query = DeviceQuery(
        _printable(asked.search),
        None if asked.state is None else asked.state.value,
        None if place is None else ChannelId(place),
        asked.limit,
        asked.order,
        asked.control,
        asked.where or "",
    )

    def read(tx: Transaction, within: Bounds | None) -> tuple[DevicePage, Refusal | None]:
        page, _ = browse_devices(tx, query, now, within)
        return DevicePage(_summaries(tx, page.rows, now), page.total, cursor_after(asked, page.next_after)), page.fault

    found, fault = await call.see(within_scope(read))
    if fault is not None:
        raise of_refusal(fault)
    return found


def _summaries(tx: Transaction, rows: tuple[DeviceRow, ...], now: datetime) -> tuple[DeviceSummary, ...]:
    verdicts = verdicts_of(tx, [row.id for row in rows], now)
    return tuple(_summary(row, verdicts.get(row.id)) for row in rows)


def _summary(row: DeviceRow, verdict: VerdictRow | None) -> DeviceSummary:
    return DeviceSummary(
        id=row.id,
        serial_number=row.serial_number,
        name=row.name,
        model=row.model,
        os_version=row.os_version,
        state=row.state,
        control=None if verdict is None else verdict.state,
        reason=None if verdict is None else verdict.reason,
        control_since=None if verdict is None else verdict.since,
        forecast=None if verdict is None else verdict.forecast,
        verdict=None if verdict is None else verdict.words,
        next_step=None if verdict is None else verdict.next,
        first_seen_at=row.first_seen_at,
        enrolled_at=row.enrolled_at,
        ended_at=row.ended_at,
        last_contact_at=row.last_contact_at,
        last_proof_at=row.last_proof_at,
        identity_not_after=row.identity_not_after,
        commands_waiting=row.commands_waiting,
        user_channels=row.user_channels,
        kind=row.kind,
        ended_reason=row.ended_reason,
        last_push_outcome=row.last_push_outcome,
        proof=None if verdict is None else verdict.proof_level,
    )


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


# --- as a file --------------------------------------------------------------------------------------------------------


class ExportFormat(StrEnum):
    """What an export looks like."""

    NDJSON = "ndjson"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class ExportAsked:
    """Which devices, and as what."""

    where: QueryText | None = None
    format: ExportFormat = ExportFormat.NDJSON


_MEDIA_TYPES: Mapping[ExportFormat, str] = {ExportFormat.NDJSON: "application/x-ndjson", ExportFormat.CSV: "text/csv"}
_EVERYBODY = IsKnown(FIELDS["id"])


@endpoint("GET", "/devices/export", refuses=(422,), media_types=tuple(_MEDIA_TYPES.values()))
async def export_devices(call: Call, asked: ExportAsked) -> Stream:
    """Send all devices that a query finds, by id, in one answer: a line of JSON for each, or CSV.

    It is read part by part, each as of its own moment. In CSV a text that a spreadsheet would take for a formula has an
    apostrophe before it.
    """
    query: Query | Refusal = _EVERYBODY
    if asked.where is not None:
        where = asked.where
        query = await call.see(of_no_device(lambda tx: read_query(tx, where)))
    if isinstance(query, Refusal):
        raise of_refusal(query)
    return Stream(_MEDIA_TYPES[asked.format], f"devices.{asked.format}", _lines(call, query, asked.format))


async def _lines(call: Call, query: Query, form: ExportFormat) -> AsyncIterator[bytes]:
    if form is ExportFormat.CSV:
        yield csv_line(DeviceSummary.__dataclass_fields__)
    after: ChannelId | None = None
    while True:
        rows = await call.see(within_scope(_part(query, call.runner.now(), after)))
        if form is ExportFormat.CSV:
            yield b"".join(csv_line(_cells(row)) for row in rows)
        else:
            yield b"".join(as_json(row) + b"\n" for row in rows)
        if len(rows) < PAGE_LIMIT:
            return
        after = rows[-1].id


def _part(
    query: Query, now: datetime, after: ChannelId | None
) -> Callable[[Transaction, Bounds | None], tuple[DeviceSummary, ...]]:
    def read(tx: Transaction, within: Bounds | None) -> tuple[DeviceSummary, ...]:
        return _summaries(tx, find_devices_after(tx, query, now, after, within), now)

    return read


def _cells(row: DeviceSummary) -> list[object]:
    written = plain(row)
    assert isinstance(written, dict), "it is a record"
    return list(written.values())


# --- one of them ------------------------------------------------------------------------------------------------------


@endpoint("GET", "/devices/{device_id}", refuses=(404,))
async def get_device(call: Call, device_id: str) -> OneDevice:
    """Show one device with its channels, its lives, what was last seen of it, and its verdict."""
    now, policy, device = call.runner.now(), call.site.policy, ChannelId(device_id)
    found = await call.see(of_devices([device], lambda tx: show_one_device(tx, device, now, policy)))
    return nothing_known(found, "device", device_id)


# --- by name ----------------------------------------------------------------------------------------------------------


@endpoint("GET", "/names/{name}")
async def find_named(call: Call, name: str) -> tuple[ChannelId, ...]:
    """Tell whom a person means by a name.

    The device or user's channel with that id; else the devices with that serial number, in any case, ten at most.
    """
    meant = await call.see(of_no_device(lambda tx: enrollments.named(tx, name)))
    return tuple([one for one in meant if await _is_seen(call, one)])


async def _is_seen(call: Call, channel_id: ChannelId) -> bool:
    try:
        await call.see(of_devices([channel_id], lambda _tx: None))
    except Problem:
        return False
    return True


ENDPOINTS = (list_devices, export_devices, get_device, find_named)
