"""Glances at devices: the little that tells that nearly all of a fleet are well, read without their histories.

Only devices that are enrolled and were held for well before, or were never judged, are looked at so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from muster.domain.control.contact import ContactDay
from muster.domain.control.dossier import LOOK_BACK, AdeRecord, OwnFault
from muster.domain.control.evidence import CLONED, ERASE_ACKNOWLEDGED, ERASE_HANDED_OUT, Signal
from muster.domain.control.fleet_activity import FleetActivity
from muster.domain.control.glance import Glance
from muster.domain.control.judging import OBEYS
from muster.domain.control.own_side import Outage, OwnAttributes, faults_touching
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.witnesses import SILENT_TOGETHER
from muster.domain.control.silence_clock import day_of, silence_of
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EnrollmentState
from muster.domain.policy import Policy
from muster.protocol.identifiers import ChannelId
from muster.protocol.records import record
from muster.storage import cohorts, outages
from muster.storage.ade import ade_of
from muster.storage.among import among
from muster.storage.declarative import DdmStanding, ddm_of
from muster.storage.device_channels import are_devices
from muster.storage.dossiers import Around, relations
from muster.storage.dossiers import observations as seeing
from muster.storage.dossiers import push_records as pushing
from muster.storage.dossiers.obedience import VERIFIED
from muster.storage.engine import Transaction
from muster.storage.renewals import DueIdentity
from muster.storage.schema import (
    channels,
    device_facts,
    evidence,
    push_targets,
    queue,
    recoveries,
    set_ups,
    verdicts,
)

TELLING: Final = (
    Signal.CONTACT,
    Signal.REFUSED_CONTACT,
    Signal.PROFILE_FETCHED,
    Signal.WITNESS,
    Signal.OWN_ERROR,
)
"""Signals of which any observation makes a device one to think about."""
TELLING_CLASSES: Final = (VERIFIED, CLONED, ERASE_ACKNOWLEDGED, ERASE_HANDED_OUT)
"""Classes of other signals that do: errors and NotNow tell nothing of who obeyed lately."""

Row = sa.Row[*tuple[Any, ...]]

_GLANCES = (
    sa.select(
        channels.c.id,
        channels.c.device_id,
        channels.c.epoch,
        channels.c.first_seen_at,
        channels.c.enrolled_at,
        channels.c.last_contact_at,
        channels.c.last_proof_at,
        channels.c.contact_day,
        channels.c.contact_strip,
        channels.c.rhythm,
        channels.c.last_source,
        push_targets.c.topic.label("push_topic"),
        push_targets.c.updated_at.label("push_updated_at"),
        push_targets.c.token_since.label("push_token_since"),
        push_targets.c.refused_at.label("push_refused_at"),
        push_targets.c.last_outcome.label("push_last_outcome"),
        push_targets.c.last_outcome_at.label("push_last_outcome_at"),
        push_targets.c.throttled_until,
        push_targets.c.accepted_at.label("push_accepted_at"),
        device_facts.c.serial_number,
        device_facts.c.is_user_approved,
        device_facts.c.has_enrollment_profile,
        device_facts.c.has_identity_certificate,
        device_facts.c.is_lost,
        device_facts.c.inventory_at,
        verdicts.c.change_id,
        verdicts.c.proof_at,
        verdicts.c.proof_level,
        verdicts.c.is_push_proved,
    )
    .select_from(
        channels.join(push_targets, push_targets.c.channel_id == channels.c.id)
        .join(device_facts, device_facts.c.channel_id == channels.c.id)
        .outerjoin(verdicts, verdicts.c.channel_id == channels.c.id)
    )
    .where(
        among(channels.c.id, "ids"),
        are_devices(),
        channels.c.state == EnrollmentState.ENROLLED.value,
        channels.c.is_watched.is_(False),
        channels.c.provisional_epoch.is_(None),
        channels.c.last_contact_at.is_not(None),
        channels.c.last_proof_at.is_not(None),
        sa.or_(
            verdicts.c.channel_id.is_(None),
            sa.and_(
                verdicts.c.state == ControlState.IN_CONTROL.value,
                verdicts.c.reason == Reason.NONE.value,
                verdicts.c.sentence == OBEYS,
                sa.cast(verdicts.c.notes, sa.Text) == "[]",
            ),
        ),
    )
)
_others = device_facts.alias("others")
_ON_RECORD = sa.union(
    sa.select(evidence.c.channel_id).where(
        among(evidence.c.channel_id, "ids"),
        sa.or_(
            sa.and_(evidence.c.signal.in_([one.value for one in TELLING]), evidence.c.last_at >= sa.bindparam("since")),
            evidence.c.observed_class.in_(TELLING_CLASSES),
        ),
    ),
    sa.select(queue.c.channel_id).where(among(queue.c.channel_id, "ids"), queue.c.unanswered_count > 0),
    sa.select(recoveries.c.channel_id).where(among(recoveries.c.channel_id, "ids"), recoveries.c.closed_at.is_(None)),
    sa.select(set_ups.c.channel_id).where(among(set_ups.c.channel_id, "ids")),
    sa.select(device_facts.c.channel_id).where(
        among(device_facts.c.channel_id, "ids"),
        sa.exists().where(
            _others.c.serial_number == device_facts.c.serial_number,
            _others.c.channel_id != device_facts.c.channel_id,
        ),
    ),
)
# made once: building a statement costs more than running it on SQLite


@record(frozen=True, slots=True)
class Glanced:
    """A device that was glanced at. *is_held*: a verdict is held of it, that it is well; else it was never judged."""

    channel_id: ChannelId
    epoch: int
    is_held: bool
    seen: Glance

    @property
    def device_id(self) -> ChannelId:
        """Its own id, for it is a device."""
        return self.channel_id

    @property
    def last_contact_at(self) -> datetime:
        """When it was heard last."""
        return self.seen.last_contact_at


@dataclass(frozen=True, slots=True)
class Glances:
    """What was read of a batch. *rows*: those that may be plainly well."""

    rows: Mapping[ChannelId, Row]
    now: datetime
    is_asked: bool
    backdating: timedelta
    identities: Mapping[ChannelId, DueIdentity]
    days: Mapping[ChannelId, Sequence[ContactDay]]
    topics: pushing.Topics
    fleet: FleetActivity
    outages: Sequence[Outage]
    silent_sites: frozenset[str]
    ade: Mapping[ChannelId, AdeRecord]
    ddm: Mapping[ChannelId, DdmStanding]
    on_record: frozenset[ChannelId]


def read_glances(
    tx: Transaction,
    channel_ids: Sequence[ChannelId],
    identities: Mapping[ChannelId, DueIdentity],
    around: Around,
    now: datetime,
    policy: Policy,
) -> Glances | None:
    """Glance at those of *channel_ids* that may be plainly well, with *around* them; None: none of them may.

    *identities* are as `muster.storage.renewals.read` read them in this transaction.
    """
    found = tx.connection.execute(_GLANCES, {"ids": channel_ids}).all()
    rows = {ChannelId(row.id): row for row in found if row.id in identities}
    if not rows:
        return None
    ids = list(rows)
    return Glances(
        rows=rows,
        now=now,
        is_asked=policy.inventory_interval > timedelta(0),
        backdating=policy.identity_backdating,
        identities=identities,
        days=_days(tx, rows, now),
        topics=around.topics,
        fleet=around.fleet,
        outages=outages.between(tx, min(row.last_contact_at for row in found), now),
        silent_sites=frozenset(one.address for one in cohorts.silent_sites(tx) if one.silent >= SILENT_TOGETHER),
        ade=ade_of(tx, ids),
        ddm=ddm_of(tx, ids),
        on_record=_on_record(tx, rows, now),
    )


def glance(glances: Glances, channel_id: ChannelId) -> Glanced:
    """Put together what shows at a glance of one channel that was read."""
    row = glances.rows[channel_id]
    return Glanced(channel_id, row.epoch, row.change_id is not None, _glance(row, glances))


def _days(tx: Transaction, rows: Mapping[ChannelId, Row], now: datetime) -> Mapping[ChannelId, Sequence[ContactDay]]:
    """Read the finished days of those whose last push was not accepted on the day of their last contact."""
    earlier = {
        id_: row.push_accepted_at
        for id_, row in rows.items()
        if row.push_accepted_at is not None
        and row.contact_day is not None
        and day_of(row.push_accepted_at - pushing.RECORDED_LATE) < row.contact_day
    }
    if not earlier:
        return {}
    since = max(min(earlier.values()) - pushing.RECORDED_LATE, now - LOOK_BACK)
    return seeing.read_days(tx, list(earlier), since)


def _on_record(tx: Transaction, rows: Mapping[ChannelId, Row], now: datetime) -> frozenset[ChannelId]:
    """Name those of which something is on record that calls for thought."""
    ids = list(rows)
    found = {ChannelId(id_) for id_ in tx.connection.scalars(_ON_RECORD, {"ids": ids, "since": now - LOOK_BACK})}
    approved = [id_ for id_, row in rows.items() if row.is_user_approved]
    users = relations.read_users(tx, approved)
    return frozenset(found | relations.read_logins(tx, [id_ for id_ in approved if id_ not in users]).keys())


def _glance(row: Row, around: Glances) -> Glance:
    id_, heard_at = ChannelId(row.id), row.last_contact_at
    situation = around.identities[id_].situation
    accepted_at = row.push_accepted_at
    enrolled_at = row.enrolled_at or row.first_seen_at
    ddm = around.ddm.get(id_)
    breaker = around.topics.breakers.get(row.push_topic)
    is_open = breaker is not None and breaker.opened_at is not None
    return Glance(
        enrolled_at=enrolled_at,
        last_contact_at=heard_at,
        last_proof_at=row.last_proof_at,
        silence=silence_of(heard_at, (), row.rhythm, around.fleet, around.now),
        is_push_proved=accepted_at is not None and pushing.followed_a_push(row.last_proof_at, (accepted_at,)),
        is_push_answered=pushing.is_last_answered(row, _contacts(row, around)),
        is_push_refused=row.push_refused_at is not None or pushing.is_refused_token_told_anew(row),
        throttled_until=row.throttled_until,
        certificate_not_after=None if is_open else around.topics.not_after.get(row.push_topic),
        identity_not_before=situation.issued_at - around.backdating,
        identity_not_after=situation.not_after,
        is_renewal_failing=around.identities[id_].failure is not None,
        rotated_at=situation.rotated_at,
        told_at=(row.inventory_at or enrolled_at) if around.is_asked else None,
        has_enrollment_profile=row.has_enrollment_profile,
        has_identity_certificate=row.has_identity_certificate,
        is_lost=row.is_lost,
        ade=around.ade.get(id_),
        ddm=None if ddm is None else ddm.record,
        is_on_record=id_ in around.on_record or row.last_source in around.silent_sites or bool(_faults(row, around)),
    )


def _contacts(row: Row, around: Glances) -> tuple[datetime, ...]:
    if row.push_accepted_at is None or row.contact_day is None:
        return ()
    current = ContactDay(row.contact_day, row.contact_strip)
    return seeing.contacts_from(around.days.get(ChannelId(row.id), ()), current, around.now - LOOK_BACK)


def _faults(row: Row, around: Glances) -> tuple[OwnFault, ...]:
    if not around.outages:
        return ()
    authority = around.identities[ChannelId(row.id)].authority.hex()
    attributes = OwnAttributes(row.push_topic, authority=authority, heard_at=row.last_contact_at)
    return faults_touching(attributes, around.outages, row.last_contact_at, around.now)
