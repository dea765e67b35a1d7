"""Devices are let go: asked to remove their enrollment, or turned away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from muster.domain.errors import Refusal
from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Ids, Limits
from muster.operations.let_go import (
    DepartureOrder,
    DeparturesOrdered,
    reject_devices,
    unenroll_devices,
    withdraw_rejections,
)
from muster.protocol.identifiers import DeviceId


@dataclass(frozen=True, slots=True)
class LeavingBody:
    """Whose management is to end. *named_count*: how many they are; else no more than `leavings_per_hour` within an
    hour."""

    ids: Ids
    named_count: Annotated[int | None, Limits("How many they are.", 1, 5_000)] = None


@dataclass(frozen=True, slots=True)
class Leaving:
    """For which devices it is ordered, and for which it is refused, and why."""

    ids: tuple[DeviceId, ...]
    refused: Mapping[DeviceId, Refusal]


def _order(body: LeavingBody) -> DepartureOrder:
    return DepartureOrder(tuple(map(DeviceId, dict.fromkeys(body.ids))), body.named_count)


def _told(done: DeparturesOrdered) -> Leaving:
    return Leaving(done.device_ids, done.refused)


@endpoint("POST", "/leaving/unenroll", needs=Permission.ERASE, refuses=(404, 409))
async def unenroll(call: Call, body: LeavingBody) -> Leaving:
    """Remove the enrollment profile from devices, and with it everything that it brought.

    A command before all others, pushed at once; the device's answer ends its enrollment.
    """
    return _told(await call.do(unenroll_devices, _order(body)))


@endpoint("POST", "/leaving/reject", needs=Permission.ERASE, refuses=(404, 409))
async def reject(call: Call, body: LeavingBody) -> Leaving:
    """End the enrollment of devices now, and turn them away at their next contact, which makes them remove it."""
    return _told(await call.do(reject_devices, _order(body)))


@endpoint("POST", "/leaving/withdraw", needs=Permission.ERASE, refuses=(404, 409))
async def withdraw_rejection(call: Call, body: LeavingBody) -> Leaving:
    """Take rejections back."""
    return _told(await call.do(withdraw_rejections, _order(body)))


ENDPOINTS = (unenroll, reject, withdraw_rejection)
