"""Everything that is known of one channel when it is judged: what rules read, and all that they read.

Storage gathers it for many channels at once (`muster.storage.dossiers`); rules never look elsewhere. A part that is
absent is not known, or does not apply to this kind of channel: no rule may read guilt from it.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from types import MappingProxyType

from muster.domain.command_queue import QueuePurpose
from muster.domain.control.evidence import Detail
from muster.domain.control.reasons import Reason
from muster.domain.control.rhythm import Rhythm
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EndReason, EnrollmentState
from muster.domain.push_breaker import BreakerCause
from muster.domain.renewal_failures import RenewalFailure
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import ChannelId, ChannelKind
from muster.protocol.records import record

LOOK_BACK = timedelta(days=15)
"""How far back contacts, pushes and evidence are read: a day more than the proof window's default."""
PROMPTLY = timedelta(minutes=2)
"""Whom a push has woken comes so soon. Who comes some minutes later may have come by itself."""


@record(frozen=True, slots=True)
class Seen:
    """One class of evidence, as it is counted: the signal's own word, when first and last, how often, and whence."""

    word: str
    first_at: datetime
    last_at: datetime
    count: int = 1
    source: str = ""
    detail: Detail = field(default_factory=lambda: MappingProxyType({}))


@record(frozen=True, slots=True)
class Silence:
    """How long a channel has not been heard, on the clock of silence, which stands still while we could not have heard.

    *since*: its last contact, or when it was first seen. *counted*: how long on that clock. *suspicion*: -log10 of how
    likely so long a silence is by its own rhythm. *suspicious_at*: when suspicion will reach the limit, where that can
    be told. *deaf*: what of the silence was not counted.
    """

    since: datetime
    counted: timedelta
    suspicion: float = 0.0
    suspicious_at: datetime | None = None
    deaf: timedelta = timedelta(0)


@record(frozen=True, slots=True)
class PushRecord:
    """The way of the push. *accepted*: when APNs accepted pushes in LOOK_BACK, oldest first, those while it was away
    and those that were answered alike; *answered*: those of them that a contact followed within minutes, with its time.

    *refused_at*: APNs said for good that the token is no use, by *refusal*, *unregistered_at* where it said since when;
    that stands, too, where a TokenUpdate has brought the same token again since and no push has gone out to it yet.
    *updated_at*: the last TokenUpdate, *token_since*: the first one that brought this very token (None: the last).
    *has_certificate*: we hold one for *topic*. *magic_changed_at*: when a TokenUpdate of this life brought another
    magic than the one before it. *throttled_until*: APNs asked for fewer pushes.
    """

    topic: str
    updated_at: datetime
    accepted: tuple[datetime, ...] = ()
    answered: Mapping[datetime, datetime] = field(default_factory=lambda: MappingProxyType({}))
    accepted_at: datetime | None = None
    refused_at: datetime | None = None
    refusal: OutcomeClass | None = None
    unregistered_at: datetime | None = None
    throttled_until: datetime | None = None
    magic_changed_at: datetime | None = None
    has_certificate: bool = True
    certificate_not_after: datetime | None = None
    breaker: BreakerCause | None = None
    """Its topic's breaker is open for this cause."""
    breaker_opened_at: datetime | None = None
    token_since: datetime | None = None


@record(frozen=True, slots=True)
class IdentityRecord:
    """A device's pinned identity and its renewal. *lane_ends_at*: until when it may still renew after its end.

    *renew_from*: from when on it is renewed. *sent_at*: when a renewal that is open was sent last; *failure*,
    *failed_at*, *failures*: how that renewal failed last and how often. *is_profile_known*: without it nothing can be
    renewed. *speaks_superseded_at*: when it last spoke by an identity that a renewal had replaced.
    *rotated_at*: since when another authority is current than the one that issued it.
    """

    not_before: datetime
    not_after: datetime
    lane_ends_at: datetime
    renew_from: datetime
    sent_at: datetime | None = None
    failure: RenewalFailure | None = None
    failure_text: str = ""
    failed_at: datetime | None = None
    failures: int = 0
    is_profile_known: bool = True
    speaks_superseded_at: datetime | None = None
    rotated_at: datetime | None = None


@record(frozen=True, slots=True)
class StuckCommand:
    """A command handed out and not answered at all. *is_parked*: it was put aside, so that others get their turn.
    *first_handed_out_at*: when it was handed out for the first time, where that is known."""

    request_type: str
    command_uuid: str
    purpose: QueuePurpose
    handed_out_count: int
    last_handed_out_at: datetime
    is_parked: bool
    first_handed_out_at: datetime | None = None


@record(frozen=True, slots=True)
class Obedience:
    """What it does with commands. *waiting*: how many wait; *oldest_waiting_at*: since when the oldest does.

    *not_now_since*: the first of the NotNows since its last other answer, *not_now_last_at* the last, *not_now_count*
    how many. *last_error*: its last Error in LOOK_BACK. *handed_out_at*: when it was handed a command last.
    *stuck*: handed out at least once and without an answer, oldest first.
    """

    waiting: int = 0
    oldest_waiting_at: datetime | None = None
    not_now_since: datetime | None = None
    not_now_last_at: datetime | None = None
    not_now_count: int = 0
    last_error: Seen | None = None
    handed_out_at: datetime | None = None
    answered_at: datetime | None = None
    stuck: tuple[StuckCommand, ...] = ()
    verified: tuple[Seen, ...] = ()
    """Commands without an answer of which inventory says that they were carried out."""


@record(frozen=True, slots=True)
class SetUp:
    """It waits in Setup Assistant since *since*; *is_released*: DeviceConfigured was queued, *answered_at*: the last of
    what was meant for it was answered, where everything was."""

    since: datetime
    is_released: bool
    answered_at: datetime | None


@record(frozen=True, slots=True)
class InventoryRecord:
    """What a device said of itself, and when (`inventory_at`; None: never)."""

    inventory_at: datetime | None
    is_asked: bool = True
    """Whether we ask at all: inventory may be turned off."""
    family: str | None = None
    os_version: str | None = None
    build_version: str | None = None
    serial_number: str | None = None
    is_supervised: bool | None = None
    is_user_approved: bool | None = None
    has_enrollment_profile: bool | None = None
    has_identity_certificate: bool | None = None
    is_enrollment_removable: bool | None = None
    is_lost: bool | None = None
    checked_certificates_at: datetime | None = None
    """When it listed its certificates last, by which *has_identity_certificate* is known."""


@record(frozen=True, slots=True)
class LoginRecord:
    """Whether the user of this channel is there, as the device said last, at *told_at*; *changed_at*: when it said so
    first, after something else or nothing."""

    is_logged_in: bool | None
    is_on_console: bool | None
    told_at: datetime | None
    device_heard_at: datetime | None
    """When the device's own channel was heard last."""
    device_state: ControlState | None = None
    device_reason: Reason | None = None
    """The verdict of the device's own channel, as it stands."""
    changed_at: datetime | None = None
    device_since: datetime | None = None
    """Since when the device's own channel has the state that it has."""
    device_rhythm: Rhythm | None = None
    """On which days the device's own channel was heard."""
    is_device_deaf: bool = False
    """The push that APNs accepted last for the device's own channel went unanswered as well."""
    device_answered: tuple[datetime, ...] = ()
    device_missed: tuple[datetime, ...] = ()
    """When APNs accepted pushes for the device's own channel in LOOK_BACK that were answered, and that were not; both
    are read only where this channel's last went unanswered."""


@record(frozen=True, slots=True)
class UsersRecord:
    """Of a device: its users. *channels*: those of users that are open; *login_seen_at*: when somebody was first seen
    logged in during this enrollment, whether or not he has a channel."""

    channels: int = 0
    login_seen_at: datetime | None = None


@record(frozen=True, slots=True)
class AdeRecord:
    """What Automated Device Enrollment says of it (S11). *profile_status*: empty, assigned, pushed or removed.

    *assigned_here*: to one of our servers; False since *changed_at*: assigned elsewhere, or *is_deleted*: no longer in
    the organization. *is_frozen*: the service speaks with us no more, since *heard_at*; what it said stays as it was.
    """

    profile_status: str
    assigned_here: bool
    is_deleted: bool
    changed_at: datetime
    is_frozen: bool = False
    heard_at: datetime | None = None


@record(frozen=True, slots=True)
class DdmRecord:
    """Declarative management. *asked_at*: when DeclarativeManagement was acknowledged first without a status after it.

    *push_magic_differs*, *push_token_differs*: the device reports others than we have. *reports*: its status reports of
    LOOK_BACK, as they were counted.
    """

    status_at: datetime | None
    asked_at: datetime | None = None
    push_magic_differs: bool = False
    push_token_differs: bool = False
    reports: Seen | None = None


@record(frozen=True, slots=True)
class WitnessRecord:
    """Another witness (S16) that saw the device: an agent, a sign-in, a network. *says_unmanaged*: it says that there
    is no enrollment profile. *network*: the public address from which it was seen; empty: not said."""

    name: str
    kind: str
    seen_at: datetime
    says_unmanaged: bool = False
    network: str = ""


@record(frozen=True, slots=True)
class SiteRecord:
    """The devices that were last heard from the same public address, this one included.

    *silent*: those of *members* not heard for a day on the clock of silence, where nearly all are and they fell silent
    together, else 0; *silent_since*: when the last contact of any of them was; *heard_elsewhere*: how many that came
    from there were heard from other addresses since then. *unpushable*: how many missed pushes while they were
    about, and are in contact all the same.
    """

    address: str
    members: int
    silent: int
    silent_since: datetime | None
    heard_elsewhere: int = 0
    unpushable: int = 0
    witnessed: int = 0
    """Silent members that another witness saw on that network when all had been silent for a day."""


@record(frozen=True, slots=True)
class OwnFault:
    """A fault of ours that touches this channel, or did while it was silent. *reason* is one of those that are ours;
    *ended_at* absent: it lasts. *words*: what it is, for the sentence."""

    reason: Reason
    began_at: datetime
    ended_at: datetime | None
    words: str
    incident_id: str = ""


@record(frozen=True, slots=True)
class LinkedDevice:
    """Another device that has to do with this one: the same serial number, or its user's next one.

    *seen_at*: when it was first seen or, where it showed an identity of this device (*used_our_identity*), when it did
    so last. *is_new_hardware*: another UDID for the same serial.
    """

    device_id: ChannelId
    seen_at: datetime
    serial_number: str | None
    is_new_hardware: bool = False
    used_our_identity: bool = False
    is_enrolled: bool = False


@record(frozen=True, slots=True)
class EraseRecord:
    """An EraseDevice of ours: when it was handed out, acknowledged, and until when the device is expected back."""

    handed_out_at: datetime
    acknowledged_at: datetime | None = None
    expected_by: datetime | None = None


@record(frozen=True, slots=True)
class Dossier:
    """One channel's. Times are aware UTC."""

    channel_id: ChannelId
    device_id: ChannelId
    kind: ChannelKind
    state: EnrollmentState
    epoch: int
    first_seen_at: datetime
    silence: Silence
    provisional_since: datetime | None = None
    """An Authenticate of a new enrollment came then, its TokenUpdate not yet."""
    enrolled_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: EndReason | None = None
    last_contact_at: datetime | None = None
    last_connect_at: datetime | None = None
    """Its last connect (a poll or a report), which declarative management alone is not; None: taken to be its last
    contact."""
    last_proof_at: datetime | None = None
    is_push_proved: bool = False
    last_source: str = ""
    contacts: tuple[datetime, ...] = ()
    """Starts of the five-minute slots of LOOK_BACK in which it was heard, oldest first."""
    refused: tuple[Seen, ...] = ()
    """S2 of LOOK_BACK, oldest first: contacts whose signature is valid under a certificate we know."""
    answers: tuple[Seen, ...] = ()
    """S5 of LOOK_BACK that were counted as evidence, oldest first."""
    check_ins: tuple[Seen, ...] = ()
    """S6, S7, S8 of this epoch in LOOK_BACK, oldest first."""
    fetches: tuple[Seen, ...] = ()
    """S12 of LOOK_BACK: the enrollment profile was fetched with this device's machine information."""
    clock: Seen | None = None
    """Its clock was found wrong: *detail* has `seconds`, how far it is ahead of ours."""
    push: PushRecord | None = None
    identity: IdentityRecord | None = None
    obedience: Obedience = field(default_factory=Obedience)
    set_up: SetUp | None = None
    inventory: InventoryRecord | None = None
    login: LoginRecord | None = None
    users: UsersRecord = field(default_factory=UsersRecord)
    ade: AdeRecord | None = None
    ddm: DdmRecord | None = None
    witnesses: tuple[WitnessRecord, ...] = ()
    """Since its last contact or within LOOK_BACK, the latest of each name, oldest first."""
    site: SiteRecord | None = None
    hung_alike: int = 0
    """Devices of its OS build that stopped in mid-dialogue, this one included."""
    faults: tuple[OwnFault, ...] = ()
    linked: tuple[LinkedDevice, ...] = ()
    erase: EraseRecord | None = None
    sign_in_wanted_since: datetime | None = None
    """An account-driven enrollment whose token ran out: since when its user has to sign in."""
    was_resurrected_at: datetime | None = None
    """It spoke though its record was deleted, and was brought back then."""

    @property
    def is_device(self) -> bool:
        """Whether this is a device's own channel."""
        return self.channel_id == self.device_id
