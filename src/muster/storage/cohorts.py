"""Cohorts: devices of one public address, devices of one build. Counted in one pass, read by their names."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from muster.domain.control.cohorts import IN_MID_DIALOGUE, SMALLEST_SITE, TOGETHER, HungBuild, SiteCount, UnpushedSite
from muster.domain.control.dossier import SiteRecord
from muster.domain.control.evidence import Signal
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EnrollmentState
from muster.storage.among import among
from muster.storage.device_channels import are_devices
from muster.storage.engine import Transaction, slices
from muster.storage.schema import (
    channels,
    device_facts,
    evidence,
    hung_builds,
    queue,
    site_visits,
    sites,
    verdicts,
)

_ENROLLED_DEVICES = sa.and_(are_devices(), channels.c.state == EnrollmentState.ENROLLED.value)
_UNPUSHABLE = (Reason.PUSH_PATH_BLOCKED.value, Reason.PUSH_MAGIC_WRONG.value)
_MISSED_PUSHES = "S4"
"""What a verdict cites that rests on pushes missed; a device that reported another push magic cites its report."""

_MISSED = (ControlState.QUIET.value, ControlState.INACTIVE.value, ControlState.OUT_OF_CONTROL.value)

_IS_SILENT = channels.c.last_contact_at < sa.bindparam("silent_before")
_SILENT_SITES = sa.select(sites).where(sites.c.silent > 0).order_by(sites.c.address)
_UNPUSHED_SITES = (
    sa.select(sites.c.address).where(sites.c.unpushable >= sa.bindparam("at_least")).order_by(sites.c.address)
)
_BUILDS = sa.select(hung_builds).order_by(hung_builds.c.build)
_HEARD = sa.select(channels.c.id, channels.c.last_source, channels.c.last_contact_at).where(
    are_devices(),
    channels.c.last_source != "",
    channels.c.last_contact_at > sa.bindparam("since"),
)
_FORGET_VISITS = sa.delete(site_visits).where(site_visits.c.seen_at < sa.bindparam("before"))
_SITES = (
    sa.select(
        channels.c.last_source,
        sa.func.count(),
        sa.func.sum(sa.case((_IS_SILENT, 1), else_=0)),
        sa.func.max(sa.case((_IS_SILENT, channels.c.last_contact_at))),
    )
    .where(_ENROLLED_DEVICES, channels.c.last_source != "", channels.c.last_contact_at > sa.bindparam("heard_since"))
    .group_by(channels.c.last_source)
    .having(sa.func.count() >= SMALLEST_SITE)
    .order_by(channels.c.last_source)
)
_NO_PUSHES = (
    sa.select(channels.c.last_source, verdicts.c.reason, verdicts.c.evidence)
    .join(verdicts, verdicts.c.channel_id == channels.c.id)
    .where(
        _ENROLLED_DEVICES,
        channels.c.last_source != "",
        verdicts.c.state == ControlState.AT_RISK.value,
        sa.or_(
            verdicts.c.reason.in_(_UNPUSHABLE),
            sa.cast(verdicts.c.others, sa.Text).contains(Reason.PUSH_PATH_BLOCKED.value),
        ),
    )
)
_UNPUSHED = (
    sa.select(sa.func.count().label("number"), sa.func.min(verdicts.c.since).label("since"))
    .select_from(channels.join(verdicts, verdicts.c.channel_id == channels.c.id))
    .where(
        _ENROLLED_DEVICES,
        channels.c.last_source == sa.bindparam("address"),
        verdicts.c.state == ControlState.AT_RISK.value,
        verdicts.c.reason == Reason.PUSH_PATH_BLOCKED.value,
    )
)
_SITES_AT = sa.select(sites).where(among(sites.c.address, "addresses"))
_DIALOGUES = (
    sa.select(queue.c.channel_id, sa.func.max(queue.c.handed_out_at).label("handed_out_at"))
    .where(queue.c.unanswered_count > 0, queue.c.handed_out_at > sa.bindparam("dialogue_since"))
    .group_by(queue.c.channel_id)
    .subquery()
)
_STOPPED = (
    sa.select(device_facts.c.build_version, channels.c.last_contact_at, _DIALOGUES.c.handed_out_at)
    .select_from(_DIALOGUES)
    .join(channels, channels.c.id == _DIALOGUES.c.channel_id)
    .join(device_facts, device_facts.c.channel_id == channels.c.id)
    .where(
        _ENROLLED_DEVICES,
        channels.c.last_contact_at > sa.bindparam("heard_since"),
        _IS_SILENT,
        device_facts.c.build_version.is_not(None),
    )
)
# made once: building a statement costs more than running it on SQLite


def sites_of(tx: Transaction, addresses: Collection[str]) -> dict[str, SiteRecord]:
    """Read the sites of *addresses* as they were counted last; where too few devices are, there is none."""
    found = {}
    for some in slices(sorted(addresses)):
        for row in tx.connection.execute(_SITES_AT, {"addresses": some}):
            found[row.address] = _site(row)
    return found


def silent_sites(tx: Transaction) -> tuple[SiteRecord, ...]:
    """Read the sites whose devices fell silent together, by address."""
    return tuple(_site(row) for row in tx.connection.execute(_SILENT_SITES))


def count_missed(tx: Transaction, address: str) -> int:
    """Count the devices last heard from *address* that are held to be silent for too long."""
    return tx.connection.execute(
        sa.select(sa.func.count())
        .select_from(channels.join(verdicts, verdicts.c.channel_id == channels.c.id))
        .where(_ENROLLED_DEVICES, channels.c.last_source == address, verdicts.c.state.in_(_MISSED))
    ).scalar_one()


def unpushed_sites(tx: Transaction, *, at_least: int) -> tuple[UnpushedSite, ...]:
    """Read the sites of which *at_least* so many devices are held to be reached by no push, by address.

    Sites are looked for among those counted last, devices among the verdicts as they are now.
    """
    addresses = tx.connection.execute(_UNPUSHED_SITES, {"at_least": at_least}).scalars().all()
    found = (tx.connection.execute(_UNPUSHED, {"address": address}).one() for address in addresses)
    return tuple(
        UnpushedSite(address, row.number, row.since)
        for address, row in zip(addresses, found, strict=True)
        if row.number >= at_least
    )


def builds_hung(tx: Transaction) -> tuple[HungBuild, ...]:
    """Read how many devices of each build stopped in mid-dialogue, by build; builds without any are absent."""
    return tuple(HungBuild(row.build, row.hung, row.since) for row in tx.connection.execute(_BUILDS))


def note_visits(tx: Transaction, since: datetime) -> None:
    """Remember where the devices come from that were heard after *since*."""
    insert = tx.insert(site_visits).from_select(["channel_id", "address", "seen_at"], _HEARD)
    tx.connection.execute(
        insert.on_conflict_do_update(
            index_elements=["channel_id", "address"], set_={"seen_at": insert.excluded.seen_at}
        ),
        {"since": since},
    )


def forget_visits(tx: Transaction, before: datetime) -> None:
    """Forget where devices were last found before *before*."""
    tx.connection.execute(_FORGET_VISITS, {"before": before})


def count_sites(tx: Transaction, *, heard_since: datetime, silent_before: datetime) -> tuple[SiteCount, ...]:
    """Count the devices of each address that were heard after *heard_since*; silent are those not heard after
    *silent_before*. Addresses of fewer than SMALLEST_SITE are left out."""
    rows = tx.connection.execute(_SITES, {"heard_since": heard_since, "silent_before": silent_before})
    return tuple(SiteCount(*row) for row in rows)


def silent_together(tx: Transaction, site: SiteCount) -> tuple[str, ...]:
    """Name the devices of *site* that fell silent with the last of them, in order."""
    assert site.last_at is not None, "some are silent"
    return tuple(
        tx.connection.scalars(
            sa.select(channels.c.id)
            .where(
                _ENROLLED_DEVICES,
                channels.c.last_source == site.address,
                channels.c.last_contact_at <= site.last_at,
                channels.c.last_contact_at > site.last_at - TOGETHER,
            )
            .order_by(channels.c.id)
        )
    )


def count_heard_elsewhere(tx: Transaction, site: SiteCount) -> int:
    """Count the devices that came from *site* shortly before it fell silent, and were heard from elsewhere since."""
    assert site.last_at is not None, "some are silent"
    return tx.connection.execute(
        sa.select(sa.func.count())
        .select_from(site_visits.join(channels, channels.c.id == site_visits.c.channel_id))
        .where(
            site_visits.c.address == site.address,
            site_visits.c.seen_at > site.last_at - TOGETHER,
            channels.c.last_source != site.address,
            channels.c.last_contact_at > site.last_at,
        )
    ).scalar_one()


def count_witnessed(tx: Transaction, address: str, channel_ids: Sequence[str], since: datetime) -> int:
    """Count those of *channel_ids* that another witness saw at *address* after *since*."""
    seen = set()
    for some in slices(channel_ids):
        rows = tx.connection.execute(
            sa.select(evidence.c.channel_id, evidence.c.detail).where(
                among(evidence.c.channel_id, some),
                evidence.c.signal == Signal.WITNESS.value,
                evidence.c.last_at > since,
            )
        )
        seen |= {row.channel_id for row in rows if row.detail.get("network") == address}
    return len(seen)


def count_unpushable(tx: Transaction) -> Mapping[str, int]:
    """Count the devices, by address, that missed pushes while they were about and are in contact all the same.

    Held for it, that is: what is only noted beside a verdict may be a device that slept.
    """
    found: Counter[str] = Counter()
    for row in tx.connection.execute(_NO_PUSHES):
        if row.reason not in _UNPUSHABLE or any(one["signal"] == _MISSED_PUSHES for one in row.evidence):
            found[row.last_source] += 1
    return found


def count_hung(tx: Transaction, *, heard_since: datetime, silent_before: datetime) -> tuple[HungBuild, ...]:
    """Count the devices, by build, whose last contact (after *heard_since*, before *silent_before*) handed them a
    command of which nothing was heard since."""
    bounds = {
        "heard_since": heard_since,
        "silent_before": silent_before,
        "dialogue_since": heard_since - IN_MID_DIALOGUE,
    }
    by_build: dict[str, list[datetime]] = {}
    for row in tx.connection.execute(_STOPPED, bounds):
        if row.handed_out_at >= row.last_contact_at - IN_MID_DIALOGUE:
            by_build.setdefault(row.build_version, []).append(row.last_contact_at)
    return tuple(HungBuild(build, len(some), min(some)) for build, some in sorted(by_build.items()))


def store(tx: Transaction, some: Sequence[SiteRecord], builds: Sequence[HungBuild]) -> None:
    """Store the cohorts as they are counted now, in place of those counted before."""
    tx.connection.execute(sa.delete(sites))
    tx.connection.execute(sa.delete(hung_builds))
    if some:
        names = ("address", "members", "silent", "silent_since", "heard_elsewhere", "unpushable", "witnessed")
        tx.insert_rows(sites, {name: [getattr(one, name) for one in some] for name in names}, {})
    if builds:
        tx.insert_rows(
            hung_builds, {name: [getattr(one, name) for one in builds] for name in ("build", "hung", "since")}, {}
        )


def _site(row: "sa.Row[tuple[object, ...]]") -> SiteRecord:
    return SiteRecord(
        row.address, row.members, row.silent, row.silent_since, row.heard_elsewhere, row.unpushable, row.witnessed
    )
