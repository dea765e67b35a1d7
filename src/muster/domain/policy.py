"""The limits and intervals that decisions take as arguments, in one value made from the settings."""

from dataclasses import dataclass, field
from datetime import timedelta

from muster.domain.control.control_policy import ControlPolicy


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator may set about decisions. Defaults are those of the settings page."""

    identity_lifetime: timedelta = timedelta(days=365)
    """How long a device identity that we issue is valid."""
    identity_backdating: timedelta = timedelta(days=1)
    """How far not_before lies in the past, so that a device whose clock is slow can use its identity at once."""
    challenge_lifetime: timedelta = timedelta(hours=24)
    """How long the SCEP challenge of a fetched profile may be used; installing waits for a person."""
    renew_before: timedelta = timedelta(days=180)
    """Renewal begins so long before an identity's end, or when a third of its lifetime is left: whichever is later."""
    rotation_span: timedelta = timedelta(days=30)
    """Over how long the fleet's identities are renewed after the authority was rotated."""
    restricted_lane: timedelta = timedelta(days=90)
    """How long after its expiry a pinned identity may still fetch its renewal, and do nothing else."""
    former_pin_lifetime: timedelta = timedelta(days=7)
    """How long the pin before a renewal stays good: a failed installation rolls the device back to it."""
    push_expiration: timedelta = timedelta(days=30)
    """How long APNs keeps the last push for a device that is away (the longest it does)."""
    push_coalescing: timedelta = timedelta(seconds=1)
    """How long a wish to push waits for others of the same channel; ten queued commands are one push."""
    silence_before_push: timedelta = timedelta(days=3)
    """How long a channel may be silent before a push is stored for it, though nothing waits."""
    push_lease: timedelta = timedelta(minutes=5)
    """How long a node may hold claimed pushes before another may send them: longer than all attempts together."""
    review_grain: timedelta = timedelta(minutes=5)
    """Reviews that nobody waits for are due at the full grain: one transaction then serves many channels."""
    enrollment_patience: timedelta = timedelta(minutes=15)
    """How long a TokenUpdate may follow its Authenticate before the enrollment counts as incomplete."""
    set_up_hold: timedelta = timedelta(seconds=20)
    """How long a device waits in Setup Assistant at least, so that what is meant for it gets to be queued."""
    set_up_patience: timedelta = timedelta(minutes=30)
    """How long an unanswered command may hold a device in Setup Assistant."""
    control: ControlPolicy = field(default_factory=ControlPolicy)
    """By what control is judged."""
    inventory_interval: timedelta = timedelta(days=1)
    """How often devices are asked about themselves; what hardly changes is asked a seventh as often. Zero: never."""
    evidence_retention: timedelta = timedelta(days=90)
    """How long evidence is kept that changed no verdict; what did is kept for ever."""
    inventory_others_every: int = 1
    """Of how many such times a device is asked for more than about itself and its users at one."""
    leavings_per_hour: int = 10
    """How many devices may be let go within an hour, over all who order it, unless their count is named."""
    directory_realm: str = "muster"
    """The realm in which users of a directory have their passwords."""
    disruptions_per_hour: int = 10
    """How many devices may be erased, locked, restarted or shut down within an hour, unless their count is named."""
    allows_pkcs12_identities: bool = False
    """Whether links may hand out identities made by the server, whose keys travel in profiles."""
    accepts_unattested_macs: bool = True
    """Whether a Mac may enroll over the air though nobody vouches for the certificate that it signs with."""
    accepts_published_keys: bool = False
    """Whether the test keys that ship with Muster may get identities: only in the laboratory."""
    sign_in_lifetime: timedelta = timedelta(hours=24)
    """How long a printed sign-in link may be used, once."""
    session_lifetime: timedelta = timedelta(hours=12)
    """How long a session of the console lasts: a working day."""
    session_idle: timedelta = timedelta(hours=2)
    """After how long without a page that somebody asked for it ends before that."""
