"""Receivers of shared signals are told whether devices are compliant, whenever that is news to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from muster.domain.control.states import ControlState
from muster.domain.signals import Signal, SignalType, compliance_of
from muster.domain.webhooks import SubscriptionState
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.protocol.shared_signals import DEVICE_COMPLIANCE_CHANGE, Compliance
from muster.storage import outbox, policies, signals, verdicts
from muster.storage.engine import Transaction
from muster.storage.signals import KnownStatus, Stream


@dataclass(frozen=True, slots=True)
class DeviceNow:
    """How a device is, as others are told. *sentence*: why, for administrators; *change_id*: the step to that."""

    device_id: DeviceId
    state: ControlState
    at: datetime
    sentence: str
    change_id: str


def signal_devices(tx: Transaction, devices: Sequence[DeviceNow], ctx: Context) -> None:
    """Tell each stream of those of *devices* whose compliance is news to it, in the transaction that noticed it.

    Each stands there once. A disabled stream is told nothing, and brought up to date when it goes on.
    """
    if not devices:
        return
    open_streams = [one for one in signals.streams(tx) if one.state is not SubscriptionState.DISABLED]
    for stream in open_streams:
        _signal(tx, stream, devices, ctx)


def bring_all_up_to_date(tx: Transaction, ctx: Context) -> None:
    """Tell every stream that is not disabled of the devices of which its receiver knows something else by now."""
    for stream in signals.streams(tx):
        if stream.state is not SubscriptionState.DISABLED:
            bring_up_to_date(tx, stream, ctx)


def bring_up_to_date(tx: Transaction, stream: Stream, ctx: Context, only: DeviceId | None = None) -> None:
    """Tell a stream of every device, or of one, of which its receiver knows something else than others do."""
    states = signals.told_states(tx, None if only is None else [only])
    noncompliant = policies.read(tx).noncompliant_states
    known = signals.known(tx, stream.id, list(states))
    stale = [
        device_id
        for device_id, state in states.items()
        if compliance_of(state, noncompliant) is not _status(known.get(device_id))
    ]
    held = verdicts.read(tx, [ChannelId(one) for one in stale])
    _signal(
        tx,
        stream,
        [
            DeviceNow(
                device_id,
                states[device_id],
                ctx.now,
                held[ChannelId(device_id)].verdict.sentence if ChannelId(device_id) in held else "",
                ctx.new_id(),
            )
            for device_id in stale
        ],
        ctx,
    )


def _signal(tx: Transaction, stream: Stream, devices: Sequence[DeviceNow], ctx: Context) -> None:
    if stream.events_requested and DEVICE_COMPLIANCE_CHANGE not in stream.events_requested:
        return
    noncompliant = policies.read(tx).noncompliant_states
    known = signals.known(tx, stream.id, [one.device_id for one in devices])
    news: list[tuple[str, Signal]] = []
    for one in devices:
        before = known.get(one.device_id, KnownStatus(None, is_removed=False))
        current = compliance_of(one.state, noncompliant)
        if before.is_removed or current is _status(before):
            continue
        detail: Mapping[str, str] = {
            "previous_status": _status(before).value,
            "current_status": current.value,
            "sentence": one.sentence,
            "transaction": one.change_id,
        }
        signal = Signal(ctx.new_id(), SignalType.COMPLIANCE, ChannelId(one.device_id), one.at, detail)
        news.append((stream.id, signal))
        signals.set_known(tx, stream.id, one.device_id, replace(before, status=current))
    outbox.append_to(tx, news)


def _status(known: KnownStatus | None) -> Compliance:
    """Return as what a receiver takes a device: of which he was told nothing he takes for compliant."""
    return Compliance.COMPLIANT if known is None or known.status is None else known.status
