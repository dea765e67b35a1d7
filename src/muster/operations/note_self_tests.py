"""What a node met at our public address: noted, and held against who was heard since it went wrong.

A test alone proves little: the address may be out of this node's reach and not of the devices', and a changed
certificate is mostly a renewed one. That nobody was heard since, of many the day before, proves it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from muster.domain.control.evidence import Detail
from muster.domain.control.own_side import EVERYTHING, Outage, is_clock_told_by_devices
from muster.domain.control.reasons import Reason
from muster.domain.control.self_watch import (
    CLOCK_TOLERANCE,
    HEARD_BEFORE,
    LATE_CONTACTS,
    SILENT_AFTER_CHANGE,
    SILENT_AFTER_FAILURE,
)
from muster.operations.call_again import end_outage
from muster.operations.context import Context
from muster.operations.ports import PublicFace
from muster.storage import enrollments, outages, self_tests
from muster.storage.engine import Transaction
from muster.storage.self_tests import SelfTest

DAY = timedelta(days=1)


def note_self_tests(tx: Transaction, faces: Sequence[PublicFace], ctx: Context) -> list[tuple[Outage, ...]]:
    """Note what this node met; for each, the outages that it shows and that were not known."""
    tx.lock_name("own_side")
    return [_note(tx, face, ctx) for face in faces]


def _note(tx: Transaction, face: PublicFace, ctx: Context) -> tuple[Outage, ...]:
    test = _follow(self_tests.read(tx, ctx.node), face, ctx)
    self_tests.store(tx, test)
    _close_disproved(tx, ctx)
    found = [*_clock(tx, face, ctx), *(_outage(one, ctx) for one in _suspects(test, ctx.now) if _is_so(tx, one, ctx))]
    return tuple(one for one in found if outages.open_one(tx, one))


def _follow(before: SelfTest | None, face: PublicFace, ctx: Context) -> SelfTest:
    known = None if before is None else before.fingerprint
    changed_at = None if before is None else before.changed_at
    failing_since = None if before is None else before.failing_since
    if face.fingerprint is not None and known is not None and face.fingerprint != known:
        changed_at = ctx.now
    return SelfTest(
        node=ctx.node,
        tested_at=ctx.now,
        fingerprint=face.fingerprint or known,
        changed_at=changed_at,
        not_after=face.not_after if before is None else face.not_after or before.not_after,
        failing_since=(failing_since or ctx.now) if face.failure else None,
        failure=face.failure,
    )


class _Suspect(NamedTuple):
    """Since *since* our address may keep everybody from us; it does where nobody is heard for *wait*."""

    reason: Reason
    since: datetime
    wait: timedelta
    words: str


def _suspects(test: SelfTest, now: datetime) -> Iterator[_Suspect]:
    if test.not_after is not None and test.not_after <= now:
        words = "our TLS certificate has expired, and nobody was heard since"
        yield _Suspect(Reason.OWN_TLS_CHANGED, test.not_after, SILENT_AFTER_FAILURE, words)
    if test.changed_at is not None:
        words = "nobody was heard since our TLS certificate was changed"
        yield _Suspect(Reason.OWN_TLS_CHANGED, test.changed_at, SILENT_AFTER_CHANGE, words)
    if test.failing_since is not None:
        words = f"our public address doesn't answer ({test.failure}), and nobody is heard"
        yield _Suspect(Reason.OWN_DOWNTIME, test.failing_since, SILENT_AFTER_FAILURE, words)


def _is_so(tx: Transaction, suspect: _Suspect, ctx: Context) -> bool:
    if ctx.now - suspect.since < suspect.wait or self_tests.count_heard(tx, suspect.since + LATE_CONTACTS):
        return False
    before = self_tests.count_heard(tx, suspect.since - DAY, suspect.since + LATE_CONTACTS)
    return before > 0 and before >= min(HEARD_BEFORE, enrollments.count_enrolled(tx))


def _outage(suspect: _Suspect, ctx: Context) -> Outage:
    detail: Detail = {"node": ctx.node}
    return Outage(ctx.new_id(), suspect.reason, EVERYTHING, suspect.since, None, suspect.words, detail)


def _close_disproved(tx: Transaction, ctx: Context) -> None:
    """End what keeps everybody from us once anybody is heard."""
    for one in outages.lasting(tx):
        is_of_address = one.reason in (Reason.OWN_TLS_CHANGED, Reason.OWN_DOWNTIME) and one.scope == EVERYTHING
        if is_of_address and self_tests.count_heard(tx, one.began_at + LATE_CONTACTS):
            end_outage(tx, one, ctx)


def _clock(tx: Transaction, face: PublicFace, ctx: Context) -> Iterator[Outage]:
    """Compare our clock with that of who answers at our address, and with the database's."""
    database_now = tx.database_now()
    errors = [one for one in (face.clock_error, None if database_now is None else ctx.now - database_now) if one]
    worst = max(errors, key=abs, default=timedelta(0))
    if abs(worst) > CLOCK_TOLERANCE:
        seconds = int(worst.total_seconds())
        words = f"our clock is {abs(seconds):,} seconds {'ahead of' if seconds > 0 else 'behind'} others"
        detail: Detail = {"node": ctx.node, "seconds": seconds}
        yield Outage(ctx.new_id(), Reason.OWN_CLOCK_WRONG, EVERYTHING, ctx.now, None, words, detail)
    elif (errors or face.clock_error is not None) and not any(
        is_clock_told_by_devices(one) for one in outages.lasting(tx)
    ):
        outages.close(tx, Reason.OWN_CLOCK_WRONG, EVERYTHING, ctx.now)
