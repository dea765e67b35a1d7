"""How a simulated device behaves, and what can be wrong with it. Change it while the device lives."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, StrEnum

from muster.protocol.connect import ErrorItem
from muster.simulator.facts import Platform, User

NEVER_NOT_NOW_MOBILE = frozenset(
    {
        "ClearPasscode",
        "DeviceInformation",
        "DeviceLock",
        "EraseDevice",
        "InstalledApplicationList",
        "ProfileList",
        "ProvisioningProfileList",
        "Restrictions",
    }
)
"""What iOS never answers NotNow to (Apple, "Sending MDM commands to a device")."""

NEVER_NOT_NOW_MAC = frozenset(
    {
        "ActivationLockBypassCode",
        "ClearActivationLockBypassCode",
        "DeleteUser",
        "DeviceLock",
        "EraseDevice",
        "RestartDevice",
        "ShutDownDevice",
        "UnlockUserAccount",
        "UserList",
    }
)
"""What a Mac in Power Nap doesn't answer NotNow to (the same page)."""


class SignatureStyle(StrEnum):
    """How Mdm-Signature is made."""

    SHA256_WITH_ATTRIBUTES = "sha256 with attributes"
    SHA1_WITHOUT_ATTRIBUTES = "sha1 without attributes"
    """As Macs sign that were seen; a server that refuses SHA-1 refuses them."""
    NONE = "none"
    """No header at all, whatever SignMessage says: what a proxy makes of it that drops headers."""


class Step(StrEnum):
    """The steps of an enrollment and of a renewal."""

    SCEP = "SCEP"
    AUTHENTICATE = "Authenticate"
    TOKEN_UPDATE = "TokenUpdate"  # noqa: S105 - the name of a message


class Obedience(Enum):
    """What a device does about commands in general."""

    WHOLE = "answers each in earnest"
    REFUSES = "answers each with an error"
    NONE = "takes them, and is never heard of them"


class RenewalReport(StrEnum):
    """How a device reports that it installed its renewal. Apple documents neither the order nor the signer."""

    LATE = "after the TokenUpdate, by the new identity"
    LATE_BY_OLD = "after the TokenUpdate, by the old identity"
    EARLY = "before the TokenUpdate, by the new identity"
    EARLY_BY_OLD = "before the TokenUpdate, by the old identity"

    @property
    def is_early(self) -> bool:
        """Whether the report goes out before the server hears a TokenUpdate under the new identity."""
        return self in (RenewalReport.EARLY, RenewalReport.EARLY_BY_OLD)

    @property
    def is_by_old(self) -> bool:
        """Whether the identity that is being replaced signs it."""
        return self in (RenewalReport.LATE_BY_OLD, RenewalReport.EARLY_BY_OLD)


@dataclass(slots=True)
class Behaviour:
    """The defaults are a healthy device.

    not_now_share: of the commands that may be answered NotNow, the share that is; 1.0 is a Mac in Power Nap.
    is_keychain_locked: a Mac puts off profiles on its user channels. obedience: what becomes of commands in general.

    Of request types: failing: the error chain with which these are answered instead; an empty one is a
    CommandFormatError. put_off: always answered NotNow. unanswered: they make the MDM client hang: it takes the
    command, the connection ends, and no answer ever comes. hangs_until_boot: after that nothing leaves the device until
    it is switched off and on. forgotten: they are carried out, and their answer never leaves the device.

    Of applications: accepts_prompts: whether the user agrees when asked; None: the question stays open.
    seconds_per_prompt, seconds_per_installation: how long that takes. seconds_per_download: of an update of the OS.

    ignores_pushes: the push path is broken, contacts of its own go on.
    waits_at_login: users of a Mac wait at the login window until the server has nothing more for them.
    is_silent: powered, and yet nothing leaves it: the MDM client is dead, or a firewall stands before it.
    lacks_identity: the private key is gone; what would have to be signed by it can't be sent.
    is_command_channel_dead: it neither connects nor hears pushes; check-ins and status reports go on.
    silent_users: of these, logged in or not, nothing is heard, though the device is. opens_no_user_channel: users who
    log in get none. loses_check_out: the one attempt to say farewell fails. clock_error is added to the device's clock.
    signs_time: signatures say when they were made, by that clock. Macs that were seen say nothing.

    Of declarative management: speaks_ddm: it answers the protocol once DeclarativeManagement was acknowledged.
    is_ddm_stopped: no status report leaves it any more.

    Of enrollments: enrollment_ends_after: they break off once this step is done.

    Of renewals: renews_without_authenticate: a TokenUpdate under the new identity is all that the server hears.
    keeps_push_magic: the TokenUpdate repeats the former PushMagic. renewal_report: when and by whom the outcome is
    signed. rolls_back_after: the installation fails once this step was done, and what was before comes back.
    tells_of_rollback: where a TokenUpdate under the new identity was sent, one under the old follows.
    """

    signature_style: SignatureStyle = SignatureStyle.SHA256_WITH_ATTRIBUTES
    not_now_share: float = 0.0
    is_keychain_locked: bool = False
    obedience: Obedience = Obedience.WHOLE
    failing: dict[str, tuple[ErrorItem, ...]] = field(default_factory=dict)
    put_off: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    hangs_until_boot: bool = False
    forgotten: set[str] = field(default_factory=set)
    accepts_prompts: bool | None = True
    seconds_per_prompt: float = 30.0
    seconds_per_installation: float = 60.0
    seconds_per_download: float = 1200.0
    ignores_pushes: bool = False
    waits_at_login: bool = False
    is_silent: bool = False
    lacks_identity: bool = False
    is_command_channel_dead: bool = False
    silent_users: set[User] = field(default_factory=set)
    opens_no_user_channel: bool = False
    loses_check_out: bool = False
    seconds_per_command: float = 0.0
    seconds_per_update: float = 0.0
    clock_error: timedelta = timedelta(0)
    signs_time: bool = False
    speaks_ddm: bool = False
    is_ddm_stopped: bool = False
    enrollment_ends_after: Step | None = None
    renews_without_authenticate: bool = False
    keeps_push_magic: bool = False
    renewal_report: RenewalReport = RenewalReport.LATE
    rolls_back_after: Step | None = None
    tells_of_rollback: bool = True


@dataclass(frozen=True, slots=True)
class Habits:
    """When a device speaks while it lives; spans are drawn evenly between their two ends, in seconds.

    push_delay: from a push to the connect. own_connects: between contacts of its own without a push; None: it makes
    none. after_not_now: when it comes back by itself after a session that ended with NotNow. after_failure: when it
    comes back with what it could not deliver. in_setup: between contacts while it is held in Setup Assistant. boot:
    how long a restart takes. status_reports: between status reports of declarative management, once it was begun.
    """

    push_delay: tuple[float, float] = (0.2, 3.0)
    own_connects: tuple[float, float] | None = None
    after_not_now: tuple[float, float] = (300.0, 3600.0)
    after_failure: tuple[float, float] = (600.0, 3600.0)
    in_setup: tuple[float, float] = (5.0, 30.0)
    boot: tuple[float, float] = (40.0, 120.0)
    status_reports: tuple[float, float] = (4 * 3600.0, 20 * 3600.0)


PROFILE_COMMANDS = frozenset({"InstallProfile", "RemoveProfile"})
"""What needs a user's keychain."""


def may_be_not_now(platform: Platform, request_type: str) -> bool:
    """Whether a device of *platform* may put off this command."""
    never = NEVER_NOT_NOW_MAC if platform is Platform.MAC else NEVER_NOT_NOW_MOBILE
    return request_type not in never
