"""What Automated Device Enrollment says of devices is noted: evidence of those that are known, and their review."""

from collections.abc import Sequence

from muster.domain.control.ade import AdeObservation, AdeTokenObservation
from muster.domain.control.evidence import Observation, Signal
from muster.operations.context import Context
from muster.storage import ade, evidence, reviews
from muster.storage.engine import Transaction

MAXIMUM_REVIEWED = 10_000
"""Devices judged at once when a token's standing changes; the day's routine comes to the others."""


def note_ade(tx: Transaction, items: Sequence[AdeObservation], ctx: Context) -> list[bool]:
    """Note devices as the service has them; tells of each whether that was news.

    A device may stand there several times, in any order. What is older than what is known of a device is passed over.
    Evidence, and a review at once, for devices of that serial number that are known; one that enrolls later is judged
    by what was stored.
    """
    serials = sorted({one.serial_number for one in items})
    known = ade.find(tx, serials)
    changed_at = {serial: one.changed_at for serial, one in known.items()}
    standing = {serial: one.observed for serial, one in known.items()}
    news: dict[AdeObservation, None] = {}
    same: set[str] = set()
    for one in sorted(items, key=lambda item: item.at):
        before = standing.get(one.serial_number)
        if before is not None and one.at < changed_at[one.serial_number]:
            continue
        if before is not None and (before.standing, before.profile_status) == (one.standing, one.profile_status):
            same.add(one.serial_number)
            continue
        news[one] = None
        standing[one.serial_number], changed_at[one.serial_number] = one, one.at
    latest = {one.serial_number: one for one in news}
    ade.put(tx, [latest[serial] for serial in sorted(latest)])
    ade.heard(tx, sorted(same - set(latest)), ctx.now)
    _note_channels(tx, list(news), ctx)
    return [one in news for one in items]


def _note_channels(tx: Transaction, news: Sequence[AdeObservation], ctx: Context) -> None:
    devices = ade.channels_of(tx, sorted({one.serial_number for one in news}))
    observations = [
        Observation(
            device.channel_id,
            Signal.ADE,
            one.standing,
            one.at,
            device.epoch,
            detail={"serial_number": one.serial_number, "profile_status": one.profile_status.value},
        )
        for one in news
        for device in devices.get(one.serial_number, ())
    ]
    evidence.append(tx, observations, ctx.new_id)
    reviews.schedule_all(tx, [device.channel_id for some in devices.values() for device in some], ctx.now)


def note_ade_token(tx: Transaction, items: Sequence[AdeTokenObservation], ctx: Context) -> list[bool]:
    """Note whether the service speaks with us by each server token; tells of each whether that was news.

    While it doesn't, what it said of devices stays as it was, and verdicts that rest on that are frozen.
    """
    return [_note_token(tx, one, ctx) for one in items]


def _note_token(tx: Transaction, one: AdeTokenObservation, ctx: Context) -> bool:
    before = ade.token_is_ok(tx, one.token)
    ade.put_token(tx, one)
    is_news = before is not one.is_ok
    if is_news and not (before is None and one.is_ok):
        reviews.schedule_all(tx, ade.resting_on(tx, one.token, MAXIMUM_REVIEWED), ctx.now)
    return is_news
