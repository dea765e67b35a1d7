"""The playbooks: what is done about each reason, so that it can be read on one screen.

Nothing here restarts, erases, removes or enrolls a device without a person. A silent device gets one stored push.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.dossier import Dossier
from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import ALWAYS, Playbook, Step, StepKind
from muster.domain.control.rules.push_path import ALIKE
from muster.domain.control.rules.witnesses import SILENT_TOGETHER
from muster.domain.control.states import ControlState
from muster.protocol.apns import OutcomeClass

_MINUTES: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_SLOWER: Final = (_HOUR, 4 * _HOUR, _DAY)
"""Soon again, then once a day."""

NOTHING: Final = Playbook(opens=False)
PROVE: Final = Playbook()
"""Our side is mended by others; afterwards the channel has to prove itself."""


def _magic_is_in_doubt(dossier: Dossier, now: datetime) -> bool:  # noqa: ARG001 - as the others are asked
    return dossier.ddm is None or not dossier.ddm.push_magic_differs


def _is_silent_with_others(dossier: Dossier, now: datetime) -> bool:  # noqa: ARG001 - as the others are asked
    return dossier.site is not None and dossier.site.silent >= SILENT_TOGETHER


def _lane_has_ended(dossier: Dossier, now: datetime) -> bool:
    return dossier.identity is not None and now >= dossier.identity.lane_ends_at


def _can_renew(dossier: Dossier, now: datetime) -> bool:
    """A user's channel has no identity of its own: whether its device's can be renewed, its renewal finds."""
    identity = dossier.identity
    if identity is None:
        return not dossier.is_device
    return identity.is_profile_known and now < identity.lane_ends_at


def _is_alone_and_can_renew(dossier: Dossier, now: datetime) -> bool:
    is_alone = dossier.site is None or dossier.site.unpushable < ALIKE
    return is_alone and dossier.is_device and _can_renew(dossier, now)


def _is_of_another_topic(dossier: Dossier, now: datetime) -> bool:  # noqa: ARG001 - as the others are asked
    return dossier.push is not None and dossier.push.refusal is OutcomeClass.TOPIC_MISMATCH


def _is_device_back(dossier: Dossier, now: datetime) -> bool:  # noqa: ARG001 - as the others are asked
    """Tell whether this is a user's channel whose device has come under control since APNs refused the user's token."""
    login, refused_at = dossier.login, None if dossier.push is None else dossier.push.refused_at
    if login is None or login.device_since is None or refused_at is None:
        return False
    return login.device_state is ControlState.IN_CONTROL and login.device_since > refused_at


def _is_not_late(dossier: Dossier, now: datetime) -> bool:
    erase = dossier.erase
    return erase is None or erase.expected_by is None or now < erase.expected_by


_STORED_PUSH: Final = Step(StepKind.STORED_PUSH, "one push is sent, which APNs keeps until it is there")
_RE_ENROLL: Final = Step(StepKind.RE_ENROLL, "a person enrolls it again, by a link that is made for it")
_PROBE: Final = Step(StepKind.PROBE, "it is asked a harmless question", times=ALWAYS, pauses=_SLOWER)
_RENEWAL: Final = Step(
    StepKind.RENEWAL, "its renewal is sent, and tried again by itself until it is used", applies=_can_renew
)
_PUSH_AT_CONTACT: Final = Step(
    StepKind.PUSH_AT_CONTACT,
    "it is pushed shortly after its next contact, when it is sure to be awake",
    times=2,
    pauses=(2 * _HOUR,),
    at_contact=True,
)
_PUSH_NOW_AND_THEN: Final = Step(
    StepKind.PUSH_AT_CONTACT,
    "it is pushed now and then after a contact, to see whether pushes arrive again",
    after=_DAY,
    times=ALWAYS,
    pauses=(_DAY,),
    at_contact=True,
)
_PUSH_ANYWAY: Final = Step(
    StepKind.PUSH,
    "it is pushed once a day, for its token lives, and it may be the certificate that is put right",
    times=ALWAYS,
    pauses=(_DAY,),
    applies=_is_of_another_topic,
)
_PROFILE_AGAIN: Final = Step(
    StepKind.PROFILE_AGAIN,
    "its enrollment profile is installed once more, which brings a new token and magic",
    times=3,
    pauses=(_DAY, 7 * _DAY),
    applies=_can_renew,
)
_TOKEN: Final = Playbook(
    (
        Step(
            StepKind.PUSH_AT_CONTACT,
            "it is pushed again after a contact, which revives its token",
            times=2,
            pauses=(2 * _HOUR,),
            at_contact=True,
            patience=_DAY,
        ),
        Step(
            StepKind.PROFILE_AGAIN,
            "its enrollment profile is installed once more, which brings a new token",
            times=2,
            pauses=(3 * _DAY,),
            patience=2 * _DAY,
            applies=_can_renew,
        ),
        _RE_ENROLL,
        Step(
            StepKind.PUSH_AT_CONTACT,
            "a user is pushed again, for the device has come back since: what befell both tokens may be over",
            times=ALWAYS,
            pauses=(_DAY,),
            applies=_is_device_back,
        ),
        _PUSH_NOW_AND_THEN,
    )
)
_ENROLL_AGAIN: Final = Playbook((_RE_ENROLL,))


def _tell(sentence: str, **terms: timedelta) -> Step:
    return Step(StepKind.TELL, sentence, **terms)  # type: ignore[arg-type]


PLAYBOOKS: Final[Mapping[Reason, Playbook]] = {
    Reason.NONE: NOTHING,
    Reason.SILENT: Playbook(
        (
            _STORED_PUSH,
            Step(
                StepKind.PUSH,
                "it is pushed once a day, for its neighbours are silent, too: if its network keeps it from us, it "
                "hears pushes all the same, and none is stored for it",
                after=_DAY,
                times=7,
                applies=_is_silent_with_others,
            ),
            _tell("a person looks for the device", after=14 * _DAY),
        )
    ),
    Reason.PUSH_PATH_BLOCKED: Playbook(
        (
            _PUSH_AT_CONTACT,
            Step(
                StepKind.PROFILE_AGAIN,
                "its enrollment profile is installed once more, for it alone may not know our push magic",
                at_contact=True,
                applies=_is_alone_and_can_renew,
            ),
            _tell("whoever runs its network lets devices reach APNs", after=_HOUR),
            _PUSH_NOW_AND_THEN,
        ),
        opens_for_note=True,
    ),
    Reason.NETWORK_BLOCKS_SERVER: Playbook(
        (
            _tell("whoever runs its network exempts this server from inspection"),
            Step(
                StepKind.PUSH,
                "it is pushed once a day, which it hears though it can't reach us, to see whether it can again",
                times=ALWAYS,
                pauses=(_DAY,),
            ),
        )
    ),
    Reason.PUSH_TOKEN_UNREGISTERED: _TOKEN,
    Reason.PUSH_TOKEN_BAD: _TOKEN,
    Reason.PUSH_TOPIC_MISMATCH: Playbook(
        (
            _tell("an administrator brings back the push certificate under which it was enrolled"),
            replace(_PUSH_ANYWAY, after=_HOUR, times=7),
            replace(_RE_ENROLL, applies=_is_of_another_topic),
            _PUSH_ANYWAY,
            Step(_RE_ENROLL.kind, _RE_ENROLL.sentence, after=7 * _DAY),
            _PUSH_NOW_AND_THEN,
        )
    ),
    Reason.PUSH_MAGIC_WRONG: Playbook(
        (
            Step(
                StepKind.PUSH_AT_CONTACT,
                _PUSH_AT_CONTACT.sentence,
                times=2,
                pauses=(2 * _HOUR,),
                at_contact=True,
                applies=_magic_is_in_doubt,
            ),
            _PROFILE_AGAIN,
            _tell("whoever runs its network sees whether it lets devices reach APNs", after=_DAY),
            _PUSH_NOW_AND_THEN,
        ),
        opens_for_note=True,
    ),
    Reason.PUSH_THROTTLED: NOTHING,
    Reason.APNS_OUTAGE: PROVE,
    Reason.PUSH_CERTIFICATE_EXPIRED: PROVE,
    Reason.IDENTITY_EXPIRING: Playbook(
        (
            _RENEWAL,
            Step(StepKind.PUSH, "it is pushed to fetch its renewal", after=_DAY, times=4, pauses=(7 * _DAY,)),
            _tell("a person has the device switched on and connected before its identity ends"),
        )
    ),
    Reason.IDENTITY_EXPIRED: Playbook(
        (
            _RENEWAL,
            _STORED_PUSH,
            Step(_RE_ENROLL.kind, _RE_ENROLL.sentence, applies=_lane_has_ended),
        )
    ),
    Reason.IDENTITY_RENEWAL_REFUSED: Playbook(
        (
            _RENEWAL,
            _tell("a person sees why its renewals fail: `muster identities list`", after=3 * _DAY),
        )
    ),
    Reason.IDENTITY_MISSING: Playbook(
        (
            _RE_ENROLL,
            Step(
                StepKind.PUSH,
                "it is pushed once a day, for it lives: what keeps it from answering may end by itself",
                times=ALWAYS,
                pauses=(_DAY,),
            ),
        )
    ),
    Reason.IDENTITY_CLONED: _ENROLL_AGAIN,
    Reason.IDENTITY_UNRECOGNIZED: _ENROLL_AGAIN,
    Reason.CA_CHANGED: NOTHING,
    Reason.DEVICE_CLOCK_WRONG: Playbook(
        (Step(StepKind.PROBE, "it is asked a question a day, until its clock is right", times=ALWAYS),)
    ),
    Reason.OWN_CLOCK_WRONG: PROVE,
    Reason.PROFILE_REMOVED: _ENROLL_AGAIN,
    Reason.PROFILE_REMOVED_UNREPORTED: _ENROLL_AGAIN,
    Reason.USER_ENDED_ENROLLMENT: NOTHING,
    Reason.UNENROLLED_BY_US: NOTHING,
    Reason.ERASED_BY_US: Playbook(
        (
            Step(
                StepKind.WAIT,
                "it enrolls again by Automated Device Enrollment",
                times=ALWAYS,
                applies=_is_not_late,
            ),
            _tell("a person sees where it is: it was expected back by now"),
        )
    ),
    Reason.ERASED_REENROLLING: Playbook(
        (
            Step(StepKind.WAIT, "it enrolls, and what is assigned to it is installed again"),
            Step(_PROBE.kind, _PROBE.sentence, after=10 * _MINUTES, times=ALWAYS, pauses=_SLOWER),
        )
    ),
    Reason.ENROLLMENT_INCOMPLETE: _ENROLL_AGAIN,
    Reason.NOT_YET_PROVED: Playbook((_PROBE,)),
    Reason.RESTORED_OTHER_DEVICE: _ENROLL_AGAIN,
    Reason.RESTORED_OLDER_BACKUP: Playbook(
        (_RENEWAL, Step(StepKind.PUSH, "it is pushed to fetch its renewal", after=_HOUR, times=ALWAYS, pauses=_SLOWER))
    ),
    Reason.HARDWARE_REPLACED: NOTHING,
    Reason.DUPLICATE_SERIAL: NOTHING,
    Reason.TAKEN_BY_OTHER_SERVICE: Playbook((_tell("a person assigns it back, or closes its record"),)),
    Reason.RELEASED: Playbook((_tell("a person closes its record"),)),
    Reason.USER_CHANNEL_MISSING: Playbook((_tell("the user signs out and in again"),)),
    Reason.USER_CHANNEL_DEAD: Playbook(
        (
            Step(
                StepKind.PROFILE_AGAIN,
                "the device's enrollment profile is installed once more, which opens its users' channels again",
                after=_HOUR,
                times=2,
                pauses=(2 * _DAY,),
            ),
            _tell("the user signs out and in again", after=_DAY),
            Step(
                StepKind.PUSH, "the user is pushed every three days", after=3 * _DAY, times=ALWAYS, pauses=(3 * _DAY,)
            ),
        )
    ),
    Reason.USER_NOT_LOGGED_IN: NOTHING,
    Reason.AWAITING_USER_SIGN_IN: Playbook((_tell("the user signs in, in Settings"),)),
    Reason.USER_EVICTED: NOTHING,
    Reason.DDM_DEAD: Playbook(
        (
            Step(
                StepKind.DDM_AGAIN,
                "DeclarativeManagement is sent again, with the present tokens",
                times=ALWAYS,
                pauses=(_DAY, 3 * _DAY, 7 * _DAY),
            ),
        )
    ),
    Reason.MDM_DEAD_DDM_ALIVE: Playbook(
        (
            Step(StepKind.PUSH, "it is pushed again", times=3, pauses=(_DAY,)),
            _tell("a person restarts it"),
            Step(_RE_ENROLL.kind, _RE_ENROLL.sentence, after=7 * _DAY),
        )
    ),
    Reason.ALWAYS_NOT_NOW: Playbook(
        (
            Step(
                StepKind.PROBE,
                "it is asked a question that can be answered while it is locked, at the hours at which it is used",
                times=ALWAYS,
            ),
        )
    ),
    Reason.COMMAND_BLOCKS_QUEUE: Playbook(
        (
            Step(StepKind.WAIT, "the command is put aside when it was handed out five times, so that the rest goes on"),
            _PROBE,
        )
    ),
    Reason.NOT_OBEYING: Playbook(
        (
            Step(_PROBE.kind, _PROBE.sentence, times=3, pauses=(_HOUR, _DAY)),
            Step(StepKind.RESTART, "it is restarted, when a person confirms that", after=_DAY),
            Step(_PROBE.kind, _PROBE.sentence, after=_DAY, times=7, pauses=(_DAY,)),
            _RE_ENROLL,
            Step(_PROBE.kind, _PROBE.sentence, after=7 * _DAY, times=ALWAYS, pauses=(7 * _DAY,)),
        )
    ),
    Reason.STUCK_AWAITING_CONFIGURATION: Playbook(
        (
            Step(
                StepKind.DEVICE_CONFIGURED,
                "DeviceConfigured is sent, and sent again",
                times=ALWAYS,
                pauses=(15 * _MINUTES, *_SLOWER),
            ),
        )
    ),
    Reason.ACKNOWLEDGEMENT_LOST: NOTHING,
    Reason.NO_INVENTORY: Playbook(
        (Step(StepKind.ASK_INVENTORY, "it is asked about itself again", times=ALWAYS, pauses=(_DAY, 3 * _DAY)),)
    ),
    Reason.LOST_MODE: NOTHING,
    Reason.CLIENT_HUNG: Playbook((_STORED_PUSH, _tell("a person restarts it, and updates the system of its build"))),
    Reason.ADE_PROFILE_UNASSIGNED: Playbook(
        (
            Step(
                StepKind.REASSIGN,
                "its enrollment profile is assigned again; this server does not yet write to Automated Device "
                "Enrollment, so a person does it where the organization's devices are managed",
            ),
        )
    ),
    Reason.ADE_ASSIGNED_ELSEWHERE: Playbook((_tell("a person assigns it back"),)),
    Reason.ADE_TOKEN_EXPIRED: NOTHING,
    Reason.OWN_ERRORS: PROVE,
    Reason.OWN_TLS_CHANGED: Playbook(
        (
            Step(
                StepKind.PUSH,
                "it is pushed once a day, for pushes reach it, and are lost while it refuses us",
                after=_HOUR,
                times=ALWAYS,
                pauses=(_DAY,),
            ),
        )
    ),
    Reason.OWN_PROXY_DROPS_IDENTITY: PROVE,
    Reason.OWN_WORKER_DEAD: PROVE,
    Reason.OWN_DOWNTIME: NOTHING,
    Reason.RECORD_DELETED_WHILE_ENROLLED: Playbook(
        (Step(_PROBE.kind, _PROBE.sentence, times=ALWAYS, pauses=(10 * _MINUTES, *_SLOWER)),)
    ),
    Reason.DATABASE_ROLLED_BACK: PROVE,
    Reason.AGENT_DEAD: NOTHING,
}
"""Of every reason."""
