"""For each reason: by which rules it is told, what it makes of a channel and after how long, and what brings it back.

The manual's page of verdicts is made of this, and a test holds it against what the rules find.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from muster.domain.command_queue import MAXIMUM_UNANSWERED
from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.evidence import CLOCK_OFF_BY
from muster.domain.control.reasons import Reason
from muster.domain.control.rules import (
    Rule,
    ade,
    ddm,
    ends,
    enrollment,
    identity,
    inventory,
    obedience,
    ours,
    push,
    push_path,
    refused,
    users,
    witnesses,
)
from muster.domain.control.rules.silence import silence
from muster.domain.control.words import duration

_DEFAULT: Final = ControlPolicy()
BY_SILENCE: Final = (
    f"by silence: `quiet`, `inactive` after {duration(_DEFAULT.tolerance)}, `out_of_control` after "
    f"{duration(_DEFAULT.silence_limit)}"
)
SHOWN: Final = "shown, decides nothing"
_ENDED: Final = "`ended`"
_UNKNOWN: Final = "`unknown`"
_RISK: Final = "`at_risk`"
_ENROLL: Final = "Automated Device Enrollment at its next set-up, else its user"


@dataclass(frozen=True, slots=True)
class Telling:
    """How a reason is told. *state*: what it makes of a channel, and after how long. *brings_back*: what ends it."""

    rules: tuple[Rule, ...]
    state: str
    brings_back: str


TELLING: Final[Mapping[Reason, Telling]] = MappingProxyType(
    {
        Reason.SILENT: Telling(
            (silence, users.device_of_user_lost), BY_SILENCE, "one stored push; else whoever has the device"
        ),
        Reason.PUSH_PATH_BLOCKED: Telling(
            (push_path.push_path_blocked,),
            f"{_RISK} after {push_path.UNANSWERED_PUSHES} unanswered pushes over {duration(push_path.OVER)} with a "
            f"contact between, {push_path.MISSED_WHILE_ABOUT} of them while it was about; {SHOWN} until then",
            "whoever runs its network lets it reach APNs",
        ),
        Reason.NETWORK_BLOCKS_SERVER: Telling(
            (witnesses.network_blocks_server,), BY_SILENCE, "whoever runs its network exempts this server"
        ),
        Reason.PUSH_TOKEN_UNREGISTERED: Telling(
            (push.push_token_unregistered,),
            f"{_RISK} at once, `out_of_control` after 1 day without a contact",
            "any contact or TokenUpdate; else it enrolls again",
        ),
        Reason.PUSH_TOKEN_BAD: Telling(
            (push.push_token_bad,),
            f"{_RISK} at once, `out_of_control` after 1 day without a contact",
            "the journaled TokenUpdate, or another one; else it enrolls again",
        ),
        Reason.PUSH_TOPIC_MISMATCH: Telling(
            (ours.push_topic_refused, push.push_topic_mismatch),
            f"a whole topic: {_UNKNOWN}; one device: {_RISK}",
            "the push certificate under which it was enrolled, else a person enrolls it again",
        ),
        Reason.PUSH_MAGIC_WRONG: Telling(
            (push_path.push_magic_wrong,),
            f"{_RISK}: at once where the device reports another magic, else as `push_path_blocked`",
            "its profile is installed again at its next contact",
        ),
        Reason.PUSH_THROTTLED: Telling((push.push_throttled,), SHOWN, "fewer pushes, by themselves"),
        Reason.APNS_OUTAGE: Telling((ours.apns_outage,), _UNKNOWN, "held pushes go out when APNs takes them again"),
        Reason.PUSH_CERTIFICATE_EXPIRED: Telling(
            (ours.push_certificate_expired,), _UNKNOWN, "an administrator renews the same certificate"
        ),
        Reason.IDENTITY_EXPIRING: Telling(
            (identity.identity_expiring,),
            f"{_RISK} from {duration(identity.EXPIRES_SOON)} before its end, or late in the last third of a short life",
            "its renewal, by itself",
        ),
        Reason.IDENTITY_EXPIRED: Telling(
            (refused.identity_expired_and_refused, identity.identity_expired, users.device_of_user_lost),
            "`out_of_control` at once",
            "its renewal in the restricted lane, by itself; after that a person enrolls it again",
        ),
        Reason.IDENTITY_RENEWAL_REFUSED: Telling(
            (identity.identity_renewal_refused,), f"{_RISK} at once", "another renewal, by itself"
        ),
        Reason.IDENTITY_MISSING: Telling(
            (identity.identity_missing, witnesses.alive_elsewhere), "`out_of_control` after 1 day", _ENROLL
        ),
        Reason.IDENTITY_CLONED: Telling(
            (identity.identity_cloned,),
            f"{_RISK} for its owner; the other is refused",
            "a person enrolls one of them again",
        ),
        Reason.IDENTITY_UNRECOGNIZED: Telling(
            (refused.identity_unrecognized,),
            f"{SHOWN} while the rightful one comes; `out_of_control` once that is silent past the contact window",
            "a person enrolls it again",
        ),
        Reason.CA_CHANGED: Telling((identity.ca_changed,), SHOWN, "its renewal, in its turn"),
        Reason.DEVICE_CLOCK_WRONG: Telling(
            (refused.device_clock_wrong,),
            f"{_RISK} when it is off by {duration(CLOCK_OFF_BY)} or more",
            "the device sets its clock",
        ),
        Reason.OWN_CLOCK_WRONG: Telling((ours.own_clock_wrong,), _UNKNOWN, "an administrator sets the server's clock"),
        Reason.PROFILE_REMOVED: Telling((ends.profile_removed,), _ENDED, _ENROLL),
        Reason.PROFILE_REMOVED_UNREPORTED: Telling(
            (witnesses.profile_removed_unreported,), "`out_of_control` after 1 day of silence", _ENROLL
        ),
        Reason.USER_ENDED_ENROLLMENT: Telling((ends.user_ended_enrollment,), _ENDED, "nothing: a normal end"),
        Reason.UNENROLLED_BY_US: Telling((ends.unenrolled_by_us,), _ENDED, "nothing: it was ordered"),
        Reason.ERASED_BY_US: Telling(
            (ends.erased_by_us,),
            f"{_ENDED}: at once when acknowledged, else after {duration(ends.ERASES_WITHIN)} of silence",
            _ENROLL,
        ),
        Reason.ERASED_REENROLLING: Telling(
            (enrollment.erased_reenrolling,), f"{_RISK} until its first proof", "it enrolls and obeys"
        ),
        Reason.ENROLLMENT_INCOMPLETE: Telling(
            (enrollment.enrollment_incomplete, ends.never_completed),
            f"{_RISK} after {duration(enrollment.COMPLETES_WITHIN)}; {_ENDED} once it is given up",
            "a person installs the profile again",
        ),
        Reason.NOT_YET_PROVED: Telling(
            (enrollment.not_yet_proved,),
            f"{_RISK} after {duration(enrollment.PROVES_WITHIN)}",
            "pushes, and a question at its next contact, by themselves",
        ),
        Reason.RESTORED_OTHER_DEVICE: Telling(
            (identity.restored_other_device,), BY_SILENCE, "a person enrolls the other device and retires this one"
        ),
        Reason.RESTORED_OLDER_BACKUP: Telling(
            (refused.restored_older_backup,), f"{_RISK} at once", "its renewal, by itself"
        ),
        Reason.HARDWARE_REPLACED: Telling(
            (ends.hardware_replaced,), f"{_ENDED} after 1 day of silence", "nothing: the new device has its place"
        ),
        Reason.DUPLICATE_SERIAL: Telling((inventory.duplicate_serial,), SHOWN, "nothing: the UDID tells them apart"),
        Reason.TAKEN_BY_OTHER_SERVICE: Telling(
            (ends.taken_by_other_service,), f"{_ENDED} after 1 day of silence", "a person assigns it back"
        ),
        Reason.RELEASED: Telling(
            (ends.released,), f"{SHOWN} while it comes; {_ENDED} after 1 day of silence", "a person closes its record"
        ),
        Reason.USER_CHANNEL_MISSING: Telling(
            (users.user_channel_missing,),
            f"{_RISK} of the device, 1 day after the login",
            "the user signs out and in again",
        ),
        Reason.USER_CHANNEL_DEAD: Telling(
            (users.user_channel_dead,),
            f"`out_of_control` for the channel, after {users.PUSHES_TO_USER} pushes",
            "the MDM profile once more by the device's channel",
        ),
        Reason.USER_NOT_LOGGED_IN: Telling((users.user_not_logged_in,), "`dormant`", "nothing: the user logs in"),
        Reason.AWAITING_USER_SIGN_IN: Telling(
            (enrollment.awaiting_user_sign_in,), f"{_RISK} at once", "the user signs in"
        ),
        Reason.USER_EVICTED: Telling((ends.user_evicted,), _ENDED, "nothing: the channel is closed"),
        Reason.DDM_DEAD: Telling(
            (ddm.ddm_dead,),
            f"{_RISK} after 1 day; of who reported daily, {duration(ddm.OVERDUE)} after the last report",
            "DeclarativeManagement once more",
        ),
        Reason.MDM_DEAD_DDM_ALIVE: Telling(
            (ddm.mdm_dead_ddm_alive,),
            f"`out_of_control` after {ddm.PUSHES} pushes and 1 day",
            "a person restarts it, else enrolls it again",
        ),
        Reason.ALWAYS_NOT_NOW: Telling(
            (obedience.always_not_now,),
            f"{_RISK} once the proof window ({duration(_DEFAULT.proof_window)}) is over",
            "pushes at the hours at which it is used",
        ),
        Reason.COMMAND_BLOCKS_QUEUE: Telling(
            (obedience.command_blocks_queue,),
            f"{_RISK} after {MAXIMUM_UNANSWERED} hand-outs; {SHOWN} once the rest goes on",
            "the command is put aside, by itself",
        ),
        Reason.NOT_OBEYING: Telling(
            (obedience.not_obeying,),
            f"{_RISK} once the proof window ({duration(_DEFAULT.proof_window)}) is over, or refused for 1 day",
            "a question at its next contact; else a person restarts it",
        ),
        Reason.STUCK_AWAITING_CONFIGURATION: Telling(
            (enrollment.stuck_awaiting_configuration,),
            f"{_RISK} after {duration(enrollment.SET_UP_ENDS_WITHIN)}",
            "DeviceConfigured, by itself",
        ),
        Reason.ACKNOWLEDGEMENT_LOST: Telling((obedience.acknowledgement_lost,), SHOWN, "nothing: its lists settle it"),
        Reason.NO_INVENTORY: Telling(
            (inventory.no_inventory,),
            f"{_RISK} after {duration(_DEFAULT.inventory_limit / 2)}, `out_of_control` after "
            f"{duration(_DEFAULT.inventory_limit)}",
            "another question, by itself",
        ),
        Reason.LOST_MODE: Telling((inventory.lost_mode,), SHOWN, "whoever finds it"),
        Reason.CLIENT_HUNG: Telling(
            (obedience.client_hung,),
            f"{_RISK} after the contact window, where {obedience.HUNG_ALIKE} of a build hang; then by silence",
            "a person restarts it",
        ),
        Reason.ADE_PROFILE_UNASSIGNED: Telling(
            (ade.ade_profile_unassigned,), f"{_RISK} at once", "the profile is assigned again"
        ),
        Reason.ADE_ASSIGNED_ELSEWHERE: Telling(
            (ade.ade_assigned_elsewhere,), f"{_RISK} at once", "a person assigns it back"
        ),
        Reason.ADE_TOKEN_EXPIRED: Telling(
            (ours.ade_token_expired,),
            f"{SHOWN}; what is known of assignments stays as it was",
            "an administrator renews the server token",
        ),
        Reason.OWN_ERRORS: Telling(
            (ours.own_errors,), _UNKNOWN, "the server is mended; what was journaled is processed"
        ),
        Reason.OWN_TLS_CHANGED: Telling((ours.own_tls_changed,), _UNKNOWN, "an administrator takes the change back"),
        Reason.OWN_PROXY_DROPS_IDENTITY: Telling(
            (ours.own_proxy_drops_identity,), _UNKNOWN, "an administrator mends the proxy"
        ),
        Reason.OWN_WORKER_DEAD: Telling((ours.own_worker_dead,), _UNKNOWN, "another node, or a restart"),
        Reason.OWN_DOWNTIME: Telling((ours.own_fault_over,), f"{SHOWN}; that time is no silence", "nothing"),
        Reason.RECORD_DELETED_WHILE_ENROLLED: Telling(
            (enrollment.record_deleted_while_enrolled,), f"{_RISK} until its next proof", "a question, by itself"
        ),
        Reason.DATABASE_ROLLED_BACK: Telling((ours.database_rolled_back,), _UNKNOWN, "the journal is replayed"),
        Reason.AGENT_DEAD: Telling(
            (witnesses.agent_dead,),
            f"{SHOWN}, after {duration(_DEFAULT.tolerance)}; only where a policy names the agent",
            "the agent is installed again by a command",
        ),
    }
)
