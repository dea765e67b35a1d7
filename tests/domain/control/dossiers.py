"""Dossiers for tests of the judge and its rules: a device that is well, changed in a part at a time, and any other."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from muster.domain.command_queue import QueuePurpose
from muster.domain.control.control_policy import SUSPICION_OF_QUIET, ControlPolicy
from muster.domain.control.dossier import (
    AdeRecord,
    DdmRecord,
    Dossier,
    EraseRecord,
    IdentityRecord,
    InventoryRecord,
    LinkedDevice,
    LoginRecord,
    Obedience,
    OwnFault,
    PushRecord,
    Seen,
    SetUp,
    Silence,
    SiteRecord,
    StuckCommand,
    UsersRecord,
    WitnessRecord,
)
from muster.domain.control.judging import judge
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EndReason, EnrollmentState
from muster.domain.push_breaker import BreakerCause
from muster.domain.renewal_failures import RenewalFailure
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import ChannelId, ChannelKind

NOW: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
DEVICE: Final = ChannelId("A")
USER: Final = ChannelId("A:B")
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
ENROLLED_AT: Final = NOW - 100 * DAY


def ago(*, days: float = 0, hours: float = 0, minutes: float = 0) -> datetime:
    """So long before NOW."""
    return NOW - timedelta(days=days, hours=hours, minutes=minutes)


def well(**changes: Any) -> Dossier:
    """A device that was heard and obeyed an hour ago, changed in the fields named."""
    heard_at = ago(hours=1)
    one = Dossier(
        DEVICE,
        DEVICE,
        ChannelKind.DEVICE,
        EnrollmentState.ENROLLED,
        1,
        first_seen_at=ENROLLED_AT,
        silence=Silence(heard_at, HOUR),
        enrolled_at=ENROLLED_AT,
        last_contact_at=heard_at,
        last_proof_at=heard_at,
        contacts=(*(ago(days=day) for day in range(14, 0, -1)), heard_at),
        identity=identity(),
        push=push(),
        inventory=InventoryRecord(ago(days=1), family="Mac"),
    )
    return replace(one, **changes)


def silent(length: timedelta, *, suspicion: float | None = None, **changes: Any) -> Dossier:
    """A device that was well until *length* ago; its silence is suspicious after three days."""
    since = NOW - length
    if suspicion is None:
        suspicion = 2 * (length / (3 * DAY))
    changes = {
        "silence": Silence(since, length, suspicion, since + 3 * DAY),
        "last_contact_at": since,
        "last_proof_at": since,
        "contacts": (*(since - day * DAY for day in range(5, 0, -1)), since),
        **changes,
    }
    return well(**changes)


def user(**changes: Any) -> Dossier:
    """A user's channel that is well, on a device that is."""
    login = LoginRecord(True, None, ago(hours=2), ago(hours=1), ControlState.IN_CONTROL, Reason.NONE)
    changes = {
        "kind": ChannelKind.USER,
        "channel_id": USER,
        "identity": None,
        "inventory": None,
        "login": login,
        **changes,
    }
    return well(**changes)


def ended(reason: EndReason | None, **changes: Any) -> Dossier:
    """A device whose enrollment ended three days ago."""
    changes = {"state": EnrollmentState.ENDED, "ended_at": ago(days=3), "ended_reason": reason, **changes}
    return silent(3 * DAY, **changes)


def identity(**changes: Any) -> IdentityRecord:
    """A year's identity, with 265 days left."""
    one = IdentityRecord(ENROLLED_AT, NOW + 265 * DAY, NOW + 355 * DAY, NOW + 200 * DAY)
    return replace(one, **changes)


def push(**changes: Any) -> PushRecord:
    """The way of the push of a device that is well."""
    return replace(PushRecord("com.apple.mgmt.one", ENROLLED_AT), **changes)


def seen(word: str, at: datetime, *, first_at: datetime | None = None, count: int = 1, **detail: Any) -> Seen:
    """A class of evidence, seen last *at*."""
    return Seen(word, first_at or at, at, count, detail=detail)


def later(dossier: Dossier, by: timedelta) -> Dossier:
    """The same channel *by* later, when nothing happened meanwhile but that its silence grew."""
    silence = dossier.silence
    suspicious = silence.suspicious_at is not None and silence.suspicious_at <= NOW + by
    suspicion = max(silence.suspicion, SUSPICION_OF_QUIET) if suspicious else silence.suspicion
    return replace(dossier, silence=replace(silence, counted=silence.counted + by, suspicion=suspicion))


# --- any dossier ------------------------------------------------------------------------------------------------------

_minutes = st.one_of(
    st.integers(1, 60 * 24 * 3),
    st.integers(1, 60 * 24 * 100),
    st.sampled_from([15, 60, 60 * 24, 60 * 24 * 7, 60 * 24 * 14, 60 * 24 * 21, 60 * 24 * 30, 60 * 24 * 60]),
)
past = _minutes.map(lambda minutes: NOW - timedelta(minutes=minutes))
future = _minutes.map(lambda minutes: NOW + timedelta(minutes=minutes))
anytime = st.one_of(past, future)
_counts = st.integers(1, 9)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


@st.composite
def _seen(draw: st.DrawFn, words: tuple[str, ...], details: st.SearchStrategy[Mapping[str, Any]]) -> Seen:
    first_at, last_at = sorted((draw(past), draw(past)))
    return Seen(draw(st.sampled_from(words)), first_at, last_at, draw(_counts), "", draw(details))


_nothing: st.SearchStrategy[Mapping[str, Any]] = st.just({})
_refused = _seen(
    (
        "identity_expired",
        "identity_superseded",
        "identity_not_pinned",
        "identity_of_earlier_life",
        "identity_not_yet_valid",
        "body_malformed",
        "signature_bad",
    ),
    st.sampled_from([{}, {"claimed_id": "A"}, {"claimed_id": "Z"}, {"claimed_id": None}]),
)
_check_in = _seen(("enrollment", "cloned", "token_changed"), st.sampled_from([{}, {"newcomer": "Z"}]))
_clock = _seen(("clock_wrong",), st.sampled_from([{}, {"seconds": 30}, {"seconds": 7200}, {"seconds": -86400}]))
_times = st.lists(past, max_size=8).map(lambda times: tuple(sorted(set(times))))


@st.composite
def _push(draw: st.DrawFn) -> PushRecord:
    accepted = draw(_times)
    refused_at = draw(maybe(past))
    return PushRecord(
        "topic",
        draw(past),
        accepted,
        {at: at + timedelta(minutes=1) for at in accepted if draw(st.booleans())},
        accepted[-1] if accepted else None,
        refused_at,
        draw(st.sampled_from(OutcomeClass)) if refused_at is not None else None,
        draw(maybe(past)),
        draw(maybe(anytime)),
        draw(maybe(past)),
        draw(st.booleans()),
        draw(maybe(anytime)),
        draw(maybe(st.sampled_from(BreakerCause))),
        draw(maybe(past)),
    )


_identities = st.builds(
    IdentityRecord,
    not_before=past,
    not_after=anytime,
    lane_ends_at=anytime,
    renew_from=anytime,
    sent_at=maybe(past),
    failure=maybe(st.sampled_from(RenewalFailure)),
    failed_at=maybe(past),
    failures=st.integers(0, 5),
    is_profile_known=st.booleans(),
    speaks_superseded_at=maybe(past),
    rotated_at=maybe(past),
)
_stuck = st.builds(
    StuckCommand,
    st.sampled_from(["InstallProfile", "ProfileList"]),
    st.just("uuid"),
    st.sampled_from(QueuePurpose),
    st.integers(1, 9),
    past,
    st.booleans(),
    maybe(past),
)
_obedience = st.builds(
    Obedience,
    waiting=st.integers(0, 3),
    oldest_waiting_at=maybe(past),
    not_now_since=maybe(past),
    not_now_last_at=maybe(past),
    not_now_count=st.integers(0, 50),
    last_error=maybe(_seen(("Error",), _nothing)),
    handed_out_at=maybe(past),
    answered_at=maybe(past),
    stuck=st.lists(_stuck, max_size=2).map(tuple),
    verified=st.lists(_seen(("acknowledgement_lost",), _nothing), max_size=1).map(tuple),
)
_claims = maybe(st.booleans())
_inventories = st.builds(
    InventoryRecord,
    maybe(past),
    st.booleans(),
    is_user_approved=_claims,
    has_enrollment_profile=_claims,
    has_identity_certificate=_claims,
    is_enrollment_removable=_claims,
    is_lost=_claims,
    checked_certificates_at=maybe(past),
)
_not_ours = tuple(state for state in ControlState if state is not ControlState.UNKNOWN)
_logins = st.builds(
    LoginRecord,
    _claims,
    _claims,
    maybe(past),
    maybe(past),
    maybe(st.sampled_from(_not_ours)),
    maybe(st.sampled_from([Reason.NONE, Reason.SILENT, Reason.IDENTITY_EXPIRED])),
    maybe(past),
)
_ade = st.builds(
    AdeRecord,
    st.sampled_from(["empty", "assigned", "pushed", "removed"]),
    st.booleans(),
    st.booleans(),
    past,
    st.booleans(),
    maybe(past),
)
_ddm = st.builds(DdmRecord, maybe(past), maybe(past), st.booleans(), st.booleans())
_witnesses = st.builds(
    WitnessRecord,
    st.sampled_from(["agent", "wifi"]),
    st.just("agent"),
    past,
    st.booleans(),
    st.sampled_from(["", "1.2.3.4"]),
)
_sites = st.builds(
    SiteRecord,
    st.just("1.2.3.4"),
    st.integers(3, 9),
    st.integers(0, 9),
    maybe(past),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 2),
)
_faults = st.builds(
    OwnFault,
    st.sampled_from([one for one in Reason if one.value.startswith(("own_", "apns", "push_certificate"))]),
    past,
    maybe(past),
    st.just("our server was at fault"),
)
_linked = st.builds(
    LinkedDevice,
    st.sampled_from(["Z", "Y"]).map(ChannelId),
    past,
    st.just("S"),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
_erase = st.builds(EraseRecord, past, maybe(past), maybe(anytime))
_set_ups = st.builds(SetUp, past, st.booleans(), maybe(past))


@st.composite
def dossiers(draw: st.DrawFn) -> Dossier:
    """Any dossier of a channel at NOW, likely or not.

    Each has a few parts only; of many the gravest finding would hide all others.
    """
    is_device = draw(st.booleans())
    first_seen_at, heard_at = draw(past), draw(maybe(past))
    since = heard_at or first_seen_at
    deaf = draw(st.sampled_from([timedelta(0), timedelta(0), DAY]))
    suspicion = draw(st.sampled_from([0.0, 1.5, 2.0, 5.0]))
    suspicious_at = draw(maybe(future)) if suspicion < SUSPICION_OF_QUIET else None
    others = [state for state in EnrollmentState if not (is_device and state is EnrollmentState.DORMANT)]
    state = draw(st.sampled_from([EnrollmentState.ENROLLED] * 6 + others))
    parts: dict[str, Any] = {
        "channel_id": DEVICE if is_device else USER,
        "device_id": DEVICE,
        "kind": draw(st.sampled_from(ChannelKind)),
        "state": state,
        "epoch": draw(st.integers(0, 3)),
        "first_seen_at": first_seen_at,
        "silence": Silence(since, max(NOW - since - deaf, timedelta(0)), suspicion, suspicious_at, deaf),
        "ended_reason": draw(maybe(st.sampled_from(EndReason))) if state is EnrollmentState.ENDED else None,
        "last_contact_at": heard_at,
        "last_proof_at": draw(maybe(past)),
        "contacts": draw(_times),
    }
    optional = {**_PARTS, **(_OF_DEVICES if is_device else _OF_USERS)}
    for name in sorted(draw(st.sets(st.sampled_from(sorted(optional)), max_size=5))):
        parts[name] = draw(optional[name])
    return Dossier(**parts)


_PARTS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "enrolled_at": past,
    "ended_at": past,
    "last_connect_at": past,
    "refused": st.lists(_refused, min_size=1, max_size=2).map(tuple),
    "clock": _clock,
    "push": _push(),
    "obedience": _obedience,
    "set_up": _set_ups,
    "ddm": _ddm,
    "witnesses": st.lists(_witnesses, min_size=1, max_size=2).map(tuple),
    "site": _sites,
    "hung_alike": st.integers(0, 4),
    "faults": st.lists(_faults, min_size=1, max_size=2).map(tuple),
    "sign_in_wanted_since": past,
    "was_resurrected_at": past,
}
_OF_DEVICES: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "provisional_since": past,
    "check_ins": st.lists(_check_in, min_size=1, max_size=2).map(tuple),
    "fetches": st.lists(_seen(("automated_enrollment",), _nothing), min_size=1, max_size=1).map(tuple),
    "identity": _identities,
    "inventory": _inventories,
    "users": st.builds(UsersRecord, st.integers(0, 1), maybe(past)),
    "ade": _ade,
    "linked": st.lists(_linked, min_size=1, max_size=2).map(tuple),
    "erase": _erase,
}
_OF_USERS: Final[Mapping[str, st.SearchStrategy[Any]]] = {"login": _logins}


def verdict_on(dossier: Dossier, policy: ControlPolicy | None = None) -> tuple[ControlState, Reason]:
    """The state and the reason that the judge gives at NOW."""
    verdict = judge(dossier, policy or ControlPolicy(), NOW).verdict
    return verdict.state, verdict.reason


def noted(dossier: Dossier, policy: ControlPolicy | None = None) -> set[Reason]:
    """What is shown beside the verdict."""
    return {note.reason for note in judge(dossier, policy or ControlPolicy(), NOW).verdict.notes}


WELL: Final = (ControlState.IN_CONTROL, Reason.NONE)
