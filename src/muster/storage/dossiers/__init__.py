"""Dossiers: everything that is known of channels when they are judged, read for many at once.

A fixed number of statements for a batch, whatever its size; what they bring is put together without the database, one
channel at a time, so that what is odd about one keeps no other from being judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.contact import ContactDay
from muster.domain.control.dossier import (
    LOOK_BACK,
    AdeRecord,
    Dossier,
    EraseRecord,
    IdentityRecord,
    InventoryRecord,
    LinkedDevice,
    LoginRecord,
    OwnFault,
    Seen,
    Silence,
    SiteRecord,
    StuckCommand,
    UsersRecord,
    WitnessRecord,
)
from muster.domain.control.evidence import (
    CLOCK_WRONG,
    CLONED,
    ERASE_ACKNOWLEDGED,
    ERASE_HANDED_OUT,
    STATUS_MALFORMED,
    Signal,
)
from muster.domain.control.fleet_activity import FleetActivity
from muster.domain.control.own_side import Outage, OwnAttributes, deafness, faults_touching
from muster.domain.control.reasons import Reason
from muster.domain.control.rhythm import read_rhythm
from muster.domain.control.silence_clock import day_of, silence_of
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EndReason, EnrollmentState
from muster.domain.errors import RefusalCode
from muster.domain.policy import Policy
from muster.domain.renewal import expiry_renewal
from muster.protocol.identifiers import ChannelId, ChannelKind
from muster.storage import cohorts, fleet_days, outages
from muster.storage.ade import ade_of
from muster.storage.declarative import DdmStanding, ddm_of
from muster.storage.dossiers import obedience as obeying
from muster.storage.dossiers import observations as seeing
from muster.storage.dossiers import push_records as pushing
from muster.storage.dossiers import relations
from muster.storage.dossiers.observations import Observed
from muster.storage.dossiers.rows import Row as Row
from muster.storage.dossiers.rows import read_rows
from muster.storage.engine import Transaction
from muster.storage.renewals import DueIdentity

SUPERSEDED: Final = RefusalCode.IDENTITY_SUPERSEDED.value
RESURRECTED: Final = "record_lost"
_KINDS: Final = {kind.value: kind for kind in ChannelKind}
_STATES: Final = {state.value: state for state in EnrollmentState}
# looked up for each channel of a fleet, which Enum is slow at


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was read of a batch of channels."""

    now: datetime
    policy: Policy
    rows: Mapping[ChannelId, Row]
    evidence: Mapping[ChannelId, Sequence[Observed]]
    contacts: Mapping[ChannelId, tuple[datetime, ...]]
    accepted: Mapping[ChannelId, Sequence[datetime]]
    refusals: Mapping[ChannelId, pushing.Refused]
    topics: pushing.Topics
    identities: Mapping[ChannelId, DueIdentity]
    queued: Mapping[ChannelId, obeying.Queued]
    stuck: Mapping[ChannelId, Sequence[StuckCommand]]
    users: Mapping[ChannelId, int]
    device_pushes: Mapping[ChannelId, pushing.Heeded]
    logins: Mapping[ChannelId, datetime]
    alike: Mapping[str, Sequence[relations.Alike]]
    outages: Sequence[Outage]
    fleet: FleetActivity
    sites: Mapping[str, SiteRecord]
    hung_builds: Mapping[str, int]
    ade: Mapping[ChannelId, AdeRecord]
    ddm: Mapping[ChannelId, DdmStanding]


@dataclass(frozen=True, slots=True)
class Around:
    """What is read once for all channels of a batch, whoever they are."""

    topics: pushing.Topics
    fleet: FleetActivity
    hung_builds: Mapping[str, int]


def read_around(tx: Transaction, now: datetime) -> Around:
    """Read what is there once for all channels."""
    hung_builds = {one.build: one.hung for one in cohorts.builds_hung(tx)}
    return Around(pushing.read_topics(tx), fleet_days.activity(tx, day_of(now)), hung_builds)


def gather(
    tx: Transaction,
    channel_ids: Sequence[ChannelId],
    identities: Mapping[ChannelId, DueIdentity],
    now: datetime,
    policy: Policy,
    around: Around | None = None,
) -> Gathered:
    """Read all that is known of *channel_ids*, each of which stands there once; those not stored are absent.

    *identities* are as `muster.storage.renewals.read` read them in this transaction, and *around*, where it was read,
    is what it has of all channels.
    """
    around = around or read_around(tx, now)
    since = now - LOOK_BACK
    rows = read_rows(tx, channel_ids)
    days = seeing.read_days(tx, channel_ids, since)
    contacts = {id_: seeing.contacts_from(days.get(id_, ()), _present_day(row), since) for id_, row in rows.items()}
    ddm = ddm_of(tx, channel_ids)
    unanswered = [
        id_
        for id_, row in rows.items()
        if pushing.is_way_in_doubt(row)
        or not pushing.is_last_answered(row, contacts[id_])
        or _is_last_unconnected(row, ddm.get(id_))
    ]
    refused = [
        id_ for id_, row in rows.items() if row.push_refused_at is not None or pushing.is_refused_token_told_anew(row)
    ]
    queued = obeying.read_queued(tx, channel_ids)
    devices = [id_ for id_, row in rows.items() if row.device_id == id_]
    users = relations.read_users(tx, devices)
    heard_first = min((row.last_contact_at or row.first_seen_at for row in rows.values()), default=now)
    return Gathered(
        now=now,
        policy=policy,
        rows=rows,
        evidence=seeing.read_evidence(tx, channel_ids, since),
        contacts=contacts,
        accepted=pushing.read_accepted(tx, unanswered, since),
        refusals=pushing.read_refusals(tx, refused),
        topics=around.topics,
        identities=identities,
        queued=queued,
        stuck=obeying.read_stuck(tx, [id_ for id_, one in queued.items() if one.unanswered]),
        users=users,
        device_pushes=_device_pushes(tx, [rows[id_] for id_ in unanswered], now),
        logins=relations.read_logins(tx, [id_ for id_ in devices if id_ not in users]),
        outages=outages.between(tx, heard_first, now),
        fleet=around.fleet,
        sites=cohorts.sites_of(tx, {row.last_source for row in rows.values() if row.last_source}),
        hung_builds=around.hung_builds,
        alike=relations.read_alike(tx, sorted({rows[id_].facts_serial_number or "" for id_ in devices} - {""})),
        ade=ade_of(tx, devices),
        ddm=ddm,
    )


def _is_last_unconnected(row: Row, ddm: DdmStanding | None) -> bool:
    """Tell whether what was heard since its last push was declarative management alone, which is no answer to it."""
    heard_at = None if ddm is None else ddm.heard_otherwise_at
    return heard_at is not None and row.push_accepted_at is not None and heard_at < row.push_accepted_at


def _device_pushes(tx: Transaction, unanswered: Sequence[Row], now: datetime) -> Mapping[ChannelId, pushing.Heeded]:
    """Read which pushes devices heeded, of those whose users did not answer theirs."""
    users = {ChannelId(row.device_id): row for row in unanswered if row.device_id != row.id and row.device_heard_at}
    if not users:
        return {}
    since = now - LOOK_BACK
    accepted = pushing.read_accepted(tx, sorted(users), since)
    if not accepted:
        return {}
    days = seeing.read_days(tx, sorted(users), since)
    found = {}
    for id_, row in users.items():
        present = (
            None if row.device_contact_day is None else ContactDay(row.device_contact_day, row.device_contact_strip)
        )
        contacts = seeing.contacts_from(days.get(id_, ()), present, since)
        found[id_] = pushing.heeded(accepted.get(id_, ()), contacts, row.device_heard_at, now)
    return found


def dossier(gathered: Gathered, channel_id: ChannelId) -> Dossier:
    """Put together the dossier of one channel that was gathered."""
    row = gathered.rows[channel_id]
    is_device = row.device_id == channel_id
    observed = gathered.evidence.get(channel_id, ())
    contacts = gathered.contacts[channel_id]
    accepted = gathered.accepted.get(channel_id, ())
    push = pushing.push_record(row, contacts, accepted, gathered.refusals.get(channel_id), gathered.topics)
    answers = _of(observed, Signal.COMMAND_ANSWER)
    queued = gathered.queued.get(channel_id, obeying.NOTHING_QUEUED)
    # what was noted of a contact that was heard is no refusal
    refused = tuple(one for one in _of(observed, Signal.REFUSED_CONTACT) if not one.detail.get("heard"))
    faults = _faults(gathered, channel_id)
    ddm, said = gathered.ddm.get(channel_id), _of(observed, Signal.DDM_STATUS)
    reports = [one for one in said if one.word != STATUS_MALFORMED]
    return Dossier(
        channel_id=channel_id,
        device_id=ChannelId(row.device_id),
        kind=_KINDS[row.kind],
        state=_STATES[row.state],
        epoch=row.epoch,
        first_seen_at=row.first_seen_at,
        silence=_silence(row, faults, gathered.fleet, gathered.now),
        provisional_since=row.provisional_since if is_device else None,
        enrolled_at=row.enrolled_at,
        ended_at=row.ended_at,
        ended_reason=None if row.ended_reason is None else EndReason(row.ended_reason),
        last_contact_at=row.last_contact_at,
        last_connect_at=row.last_contact_at if ddm is None else ddm.heard_otherwise_at,
        last_proof_at=row.last_proof_at,
        last_source=row.last_source or "",
        is_push_proved=pushing.followed_a_push(row.last_proof_at, () if push is None else push.accepted),
        contacts=contacts,
        refused=refused,
        answers=answers,
        check_ins=_check_ins(row, observed),
        fetches=_of(observed, Signal.PROFILE_FETCHED),
        clock=_clock(observed, gathered.now) if is_device else None,
        push=push,
        identity=_identity(gathered, channel_id, refused),
        obedience=obeying.obedience(row, queued, gathered.stuck.get(channel_id, ()), answers),
        set_up=obeying.set_up(row, queued),
        inventory=_inventory(row, gathered.policy) if is_device else None,
        login=None
        if is_device
        else _login(row, gathered.device_pushes.get(ChannelId(row.device_id), pushing.Heeded())),
        users=_users(gathered, channel_id) if is_device else UsersRecord(),
        ade=gathered.ade.get(channel_id),
        ddm=None if ddm is None else replace(ddm.record, reports=reports[-1] if reports else None),
        witnesses=_witnesses(observed),
        site=gathered.sites.get(row.last_source or "") if is_device else None,
        hung_alike=gathered.hung_builds.get(row.facts_build_version or "", 0) if is_device else 0,
        faults=faults,
        linked=_linked(gathered, channel_id, observed) if is_device else (),
        erase=_erase(row, observed),
        was_resurrected_at=_latest(observed, Signal.OWN_ERROR, RESURRECTED),
    )


def _present_day(row: Row) -> ContactDay | None:
    return None if row.contact_day is None else ContactDay(row.contact_day, row.contact_strip)


def _of(observed: Sequence[Observed], *signals: Signal) -> tuple[Seen, ...]:
    return tuple([one.seen for one in observed if one.signal in signals]) if observed else ()


def _clock(observed: Sequence[Observed], now: datetime) -> Seen | None:
    """Return what was noted last of its clock, if that is that it is wrong; what is noted for a time to come was noted
    while it was ours that was wrong."""
    if not observed:
        return None
    noted = [one.seen for one in observed if one.signal is Signal.CONTACT and one.seen.last_at <= now]
    last = max(noted, key=lambda seen: seen.last_at, default=None)
    return last if last is not None and last.word == CLOCK_WRONG else None


def _check_ins(row: Row, observed: Sequence[Observed]) -> tuple[Seen, ...]:
    if not observed:
        return ()
    epochs = (row.epoch, row.device_provisional_epoch)
    signals = (Signal.TOKEN_UPDATE, Signal.AUTHENTICATE, Signal.CHECK_OUT)
    return tuple(one.seen for one in observed if one.signal in signals and one.epoch in epochs)


def _latest(observed: Sequence[Observed], signal: Signal, word: str) -> datetime | None:
    if not observed:
        return None
    return max((one.seen.last_at for one in observed if one.signal is signal and one.seen.word == word), default=None)


def _silence(row: Row, faults: Sequence[OwnFault], fleet: FleetActivity, now: datetime) -> Silence:
    return silence_of(
        row.last_contact_at or row.first_seen_at, deafness(faults) if faults else (), row.rhythm, fleet, now
    )


def _identity(gathered: Gathered, channel_id: ChannelId, refused: Sequence[Seen]) -> IdentityRecord | None:
    due = gathered.identities.get(channel_id)
    if due is None:
        return None
    situation, policy = due.situation, gathered.policy
    attempt = situation.attempt
    failed_at = None if attempt is None else attempt.failed_at
    return IdentityRecord(
        not_before=situation.issued_at - policy.identity_backdating,
        not_after=situation.not_after,
        lane_ends_at=situation.not_after + policy.restricted_lane,
        renew_from=expiry_renewal(situation, policy),
        sent_at=None if attempt is None else attempt.sent_at,
        failure=due.failure,
        failure_text=due.failure_text or "",
        failed_at=failed_at,
        failures=0 if attempt is None else attempt.failures,
        is_profile_known=situation.is_profile_known,
        speaks_superseded_at=max((one.last_at for one in refused if one.word == SUPERSEDED), default=None),
        rotated_at=situation.rotated_at,
    )


def _inventory(row: Row, policy: Policy) -> InventoryRecord:
    return InventoryRecord(
        inventory_at=row.facts_inventory_at,
        is_asked=policy.inventory_interval > timedelta(0),
        family=row.facts_family,
        os_version=row.facts_os_version,
        build_version=row.facts_build_version,
        serial_number=row.facts_serial_number,
        is_supervised=row.facts_is_supervised,
        is_user_approved=row.facts_is_user_approved,
        has_enrollment_profile=row.facts_has_enrollment_profile,
        has_identity_certificate=row.facts_has_identity_certificate,
        is_enrollment_removable=row.facts_is_enrollment_removable,
        is_lost=row.facts_is_lost,
        checked_certificates_at=row.certificates_at,
    )


def _login(row: Row, device_pushes: pushing.Heeded) -> LoginRecord:
    told = [at for at in (row.login_console_at, row.login_logged_in_at) if at is not None]
    changed = [at for at in (row.login_console_at, row.login_logged_in_changed_at) if at is not None]
    return LoginRecord(
        is_logged_in=row.login_is_logged_in,
        is_on_console=row.login_is_on_console,
        told_at=max(told, default=None),
        device_heard_at=row.device_heard_at,
        device_state=None if row.device_verdict_state is None else ControlState(row.device_verdict_state),
        device_reason=None if row.device_verdict_reason is None else Reason(row.device_verdict_reason),
        changed_at=max(changed, default=None),
        device_since=row.device_verdict_since,
        device_rhythm=None if row.device_rhythm is None else read_rhythm(row.device_rhythm),
        is_device_deaf=device_pushes.is_deaf,
        device_answered=device_pushes.answered,
        device_missed=device_pushes.missed,
    )


def with_device(dossier: Dossier, state: ControlState, reason: Reason, since: datetime) -> Dossier:
    """Return the dossier of a user's channel with the verdict that its device's own channel has by now."""
    login = dossier.login or LoginRecord(None, None, None, None)
    return replace(dossier, login=replace(login, device_state=state, device_reason=reason, device_since=since))


def _faults(gathered: Gathered, channel_id: ChannelId) -> tuple[OwnFault, ...]:
    """Tell what of our own side touches the channel, or did while it was silent."""
    if not gathered.outages:
        return ()
    row = gathered.rows[channel_id]
    identity = gathered.identities.get(ChannelId(row.device_id))
    authority = None if identity is None else identity.authority.hex()
    attributes = OwnAttributes(row.push_topic, authority=authority, heard_at=row.last_contact_at)
    return faults_touching(attributes, gathered.outages, row.last_contact_at or row.first_seen_at, gathered.now)


def _users(gathered: Gathered, channel_id: ChannelId) -> UsersRecord:
    seen_at, enrolled_at = gathered.logins.get(channel_id), gathered.rows[channel_id].enrolled_at
    if seen_at is not None and enrolled_at is not None:
        seen_at = max(seen_at, enrolled_at)
    return UsersRecord(gathered.users.get(channel_id, 0), seen_at)


def _witnesses(observed: Sequence[Observed]) -> tuple[WitnessRecord, ...]:
    if not observed:
        return ()
    latest: dict[str, WitnessRecord] = {}
    for one in observed:
        if one.signal is Signal.WITNESS:
            detail = one.seen.detail
            name = str(detail.get("witness") or one.seen.word)
            latest[name] = WitnessRecord(
                name,
                str(detail.get("kind") or ""),
                one.seen.last_at,
                says_unmanaged=bool(detail.get("says_unmanaged")),
                network=str(detail.get("network") or ""),
            )
    return tuple(sorted(latest.values(), key=lambda witness: witness.seen_at))


def _linked(gathered: Gathered, channel_id: ChannelId, observed: Sequence[Observed]) -> tuple[LinkedDevice, ...]:
    row = gathered.rows[channel_id]
    serial = row.facts_serial_number
    alike = gathered.alike.get(serial or "", ())
    if not observed and all(one.device_id == channel_id for one in alike):
        return ()  # as of nearly all: nobody else has its serial number
    cloned = {
        str(one.seen.detail.get("newcomer")): one.seen.last_at
        for one in observed
        if one.signal is Signal.AUTHENTICATE and one.seen.word == CLONED
    }
    return relations.linked(channel_id, serial, row.first_seen_at, alike, cloned)


def _erase(row: Row, observed: Sequence[Observed]) -> EraseRecord | None:
    if not observed:
        return None
    of_this_life = [one for one in observed if one.epoch == row.epoch]
    handed_out_at = _latest(of_this_life, Signal.COMMAND_ANSWER, ERASE_HANDED_OUT)
    acknowledged_at = _latest(of_this_life, Signal.COMMAND_ANSWER, ERASE_ACKNOWLEDGED)
    began_at = handed_out_at or acknowledged_at
    return None if began_at is None else EraseRecord(began_at, acknowledged_at)
