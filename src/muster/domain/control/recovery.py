"""What is done to bring a channel back: the steps of a playbook, one after the other, until it has proved itself.

Pure: which playbook a reason has stands in `playbooks`, who carries a step out in `muster.operations.recovery_steps`. A
recovery is over when the channel obeyed a harmless command after its reason was found for the last time, never before:
not when a step was done, nor when the reason is no longer found.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final, TypeAlias

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Verdict
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EnrollmentState


class StepKind(StrEnum):
    """What can be done. Their names stand in policies (`remedies`) and are what a person confirms."""

    WAIT = "wait"
    """Something else sees to it; it is said so that people know."""
    TELL = "tell"
    """A person is told what to do."""
    STORED_PUSH = "stored_push"
    """One push that APNs keeps for a device that is away."""
    PUSH = "push"
    PUSH_AT_CONTACT = "push_at_contact"
    """A push shortly after its next contact, when it is sure to be awake: it shows whether pushes arrive."""
    PROBE = "probe"
    """A harmless question, whose answer proves obedience."""
    ASK_INVENTORY = "ask_inventory"
    RENEWAL = "renewal"
    PROFILE_AGAIN = "profile_again"
    """The enrollment profile once more, by the device's channel: it brings a new token, magic and identity."""
    DDM_AGAIN = "ddm_again"
    DEVICE_CONFIGURED = "device_configured"
    REASSIGN = "reassign"
    RESTART = "restart"
    RE_ENROLL = "re_enroll"
    """A link by which a person enrolls the device again."""


NEED_A_PERSON: Final = frozenset({StepKind.RESTART, StepKind.RE_ENROLL})
"""What disturbs whoever uses the device, or changes to whom it belongs: done only when a person confirms it."""
SAYINGS: Final = frozenset({StepKind.WAIT, StepKind.TELL, StepKind.REASSIGN})
"""Steps that do nothing to the device, which no policy forbids."""
WAKING: Final = frozenset(StepKind) - SAYINGS - NEED_A_PERSON
"""Steps that push the device, and heed the quiet hours."""
QUEUEING: Final = frozenset(
    {
        StepKind.PROBE,
        StepKind.ASK_INVENTORY,
        StepKind.PROFILE_AGAIN,
        StepKind.DDM_AGAIN,
        StepKind.DEVICE_CONFIGURED,
    }
)
"""Steps that queue something: not for a channel that is silent, which needs its stored push and nothing else."""

SILENT_AFTER: Final = timedelta(days=2)
"""Not heard for so long, a channel is asked nothing until it comes."""
FRESH: Final = timedelta(minutes=10)
"""So long after a contact it counts as present for a step that waits for one."""
ALWAYS: Final = 10**9
"""So often is as often as it takes."""
PROOF_PAUSES: Final = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=4), timedelta(days=1))
"""Between questions for the proof that a channel has recovered; the last is repeated."""
PROOF_AWAITED: Final = timedelta(days=60)
"""A channel whose reason is gone for so long and that never obeyed is judged by other reasons by then."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a playbook.

    *sentence*: what is done, in plain English, without a full stop. *after*: so long after what was done before it, or
    after the recovery began. *times*: at most so often, with *pauses* between, of which the last is repeated.
    *at_contact*: it waits for the channel's next contact, at most for *patience* (None: for ever). *applies*: it is
    passed over where this says no of what is known of the channel at the time.
    """

    kind: StepKind
    sentence: str
    after: timedelta = timedelta(0)
    times: int = 1
    pauses: tuple[timedelta, ...] = (_DAY,)
    at_contact: bool = False
    patience: timedelta | None = None
    applies: Callable[[Dossier, datetime], bool] | None = None


@dataclass(frozen=True, slots=True)
class Playbook:
    """What is done about one reason, in this order.

    *opens*: False where nothing is done and nothing has to be proved: a normal end, or what only is shown.
    *opens_for_note*: also where the reason decides nothing yet, to settle whether it is one; then only PUSH_AT_CONTACT
    is done.
    """

    steps: tuple[Step, ...] = ()
    opens: bool = True
    opens_for_note: bool = False


class Found(StrEnum):
    """How the reason of a recovery stands in the present verdict."""

    NOT = "not"
    NOTE = "note"
    """Shown beside the verdict; it decides nothing."""
    GRADED = "graded"


@dataclass(frozen=True, slots=True)
class Run:
    """A recovery as it stands. *step*: the place of the step that was done last, *attempts* how often; equal to the
    number of steps: all was tried. *acted_at*: when anything was done last. *found_until*: when the reason was found
    last, once it is found no more. *probes*: how often it was asked since for its proof.
    """

    reason: Reason
    opened_at: datetime
    step: int = 0
    attempts: int = 0
    acted_at: datetime | None = None
    found_until: datetime | None = None
    probes: int = 0


@dataclass(frozen=True, slots=True)
class Act:
    """Do *step*, which stands at *place*; *wakes* False: without a push of its own."""

    place: int
    step: Step
    wakes: bool = True


@dataclass(frozen=True, slots=True)
class Prove:
    """The reason is gone: ask a harmless question. *wakes*: it is pushed for it."""

    wakes: bool


@dataclass(frozen=True, slots=True)
class AskPerson:
    """The *step* at *place* is due, and is done when a person confirms it; what comes after it goes on meanwhile."""

    place: int
    step: Step


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing is done before *at* (None: nobody knows) or, with *at_contact*, the channel's next contact. *words*: for
    what, in plain English."""

    at: datetime | None
    words: str
    at_contact: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """All was tried. The recovery stays open, for the channel may come back all the same. *is_over*: it doesn't: its
    enrollment has ended, or nobody waits for its proof any more."""

    words: str
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Recovered:
    """The reason is gone, and the channel obeyed at *proof_at*, after that."""

    proof_at: datetime


Decision: TypeAlias = Act | Prove | AskPerson | WaitUntil | GiveUp | Recovered


def found_in(verdict: Verdict, reason: Reason) -> Found:
    """Tell how *reason* stands in *verdict*."""
    if reason is verdict.reason or reason in verdict.others:
        return Found.GRADED
    return Found.NOTE if any(note.reason is reason for note in verdict.notes) else Found.NOT


def is_open_for(playbook: Playbook, found: Found) -> bool:
    """Tell whether a recovery goes on, or begins, for a reason that stands so."""
    return playbook.opens and (found is Found.GRADED or (found is Found.NOTE and playbook.opens_for_note))


def next_step(
    playbook: Playbook,
    run: Run,
    dossier: Dossier,
    verdict: Verdict,
    policy: ControlPolicy,
    now: datetime,
    zone: tzinfo = UTC,
) -> Decision:
    """Decide what is done for a recovery at *now*. *zone*: in which the quiet hours are meant."""
    found = found_in(verdict, run.reason)
    if not is_open_for(playbook, found):
        return _prove(run, dossier, verdict, policy, now, zone)
    if verdict.state is ControlState.ENDED and verdict.reason is not run.reason:
        return GiveUp("its enrollment has ended", is_over=True)
    if verdict.state is ControlState.UNKNOWN and verdict.reason is not run.reason:
        return WaitUntil(None, "a fault of ours has to end first")
    place, attempts = _position(playbook, run, dossier, now)
    if place == len(playbook.steps):
        words = "all that the server can do was done" if playbook.steps else "its cause has to end"
        return GiveUp(words) if playbook.steps and run.step < place else WaitUntil(None, words)
    step = playbook.steps[place]
    if found is Found.NOTE and step.kind is not StepKind.PUSH_AT_CONTACT:
        return WaitUntil(None, "whether this is so is not settled", at_contact=True)
    return _when(place, attempts, step, run, dossier, policy, now, zone)


def _position(playbook: Playbook, run: Run, dossier: Dossier, now: datetime) -> tuple[int, int]:
    """Return the place of the step that is next, and how often it was done."""
    place, attempts = run.step, run.attempts
    while place < len(playbook.steps):
        step = playbook.steps[place]
        is_passed = step.applies is not None and not step.applies(dossier, now)
        waited_since = _due_at(run, step, attempts)
        is_impatient = step.patience is not None and attempts == 0 and now - waited_since >= step.patience
        if attempts < step.times and not is_passed and not is_impatient:
            break
        place, attempts = place + 1, 0
    return place, attempts


def _due_at(run: Run, step: Step, attempts: int) -> datetime:
    if attempts and run.acted_at is not None:
        return run.acted_at + step.pauses[min(attempts, len(step.pauses)) - 1]
    return (run.acted_at or run.opened_at) + step.after


def _when(
    place: int,
    attempts: int,
    step: Step,
    run: Run,
    dossier: Dossier,
    policy: ControlPolicy,
    now: datetime,
    zone: tzinfo,
) -> Decision:
    due_at = _due_at(run, step, attempts)
    if now < due_at:
        return WaitUntil(due_at, step.sentence)
    if needs_person(step, policy):
        return AskPerson(place, step)
    if step.at_contact and not _is_present(dossier, run, now):
        gives_up_at = None if step.patience is None or attempts else due_at + step.patience
        return WaitUntil(gives_up_at, step.sentence, at_contact=True)
    if step.kind in QUEUEING and not _is_reached(step, dossier, now):
        return WaitUntil(None, "it is silent, and is asked nothing until it comes", at_contact=True)
    if step.kind in WAKING and (quiet_until := quiet_hours_end(policy, now, zone)) is not None:
        return WaitUntil(quiet_until, "the quiet hours have to end first")
    return Act(place, step)


def doable_step(
    playbook: Playbook, run: Run, dossier: Dossier, policy: ControlPolicy, now: datetime
) -> tuple[int, Step] | None:
    """Return the next step, and its place, that can be done now though it is not due: nothing that only is said, and
    nothing that needs a person. None: there is none."""
    place, _ = _position(playbook, run, dossier, now)
    for at, step in list(enumerate(playbook.steps))[place:]:
        is_fit = step.applies is None or step.applies(dossier, now)
        if is_fit and step.kind not in SAYINGS and not needs_person(step, policy):
            return at, step
    return None


def needs_person(step: Step, policy: ControlPolicy) -> bool:
    """Tell whether *step* is done only when a person confirms it: by its kind, or by the policy."""
    if step.kind in NEED_A_PERSON:
        return True
    return policy.remedies is not None and step.kind not in SAYINGS and step.kind.value not in policy.remedies


def _prove(
    run: Run, dossier: Dossier, verdict: Verdict, policy: ControlPolicy, now: datetime, zone: tzinfo
) -> Decision:
    since = run.found_until or run.opened_at
    if dossier.last_proof_at is not None and dossier.last_proof_at > since:
        return Recovered(dossier.last_proof_at)
    if dossier.state is EnrollmentState.ENDED or verdict.state is ControlState.ENDED:
        return GiveUp("its enrollment has ended", is_over=True)
    if now - since >= PROOF_AWAITED:
        return GiveUp("it never obeyed since", is_over=True)
    if verdict.state not in (ControlState.IN_CONTROL, ControlState.AT_RISK) or not _was_heard(dossier, now):
        return WaitUntil(None, "it has to come and obey", at_contact=True)
    if policy.remedies is not None and StepKind.PROBE.value not in policy.remedies:
        return WaitUntil(None, "it has to obey a command", at_contact=True)
    if run.probes and run.acted_at is not None:
        due_at = run.acted_at + PROOF_PAUSES[min(run.probes, len(PROOF_PAUSES)) - 1]
        if now < due_at:
            return WaitUntil(due_at, "it was asked a harmless question, whose answer is the proof", at_contact=True)
    return Prove(wakes=quiet_hours_end(policy, now, zone) is None)


def _is_present(dossier: Dossier, run: Run, now: datetime) -> bool:
    heard_at = dossier.last_contact_at
    return heard_at is not None and heard_at > (run.acted_at or run.opened_at) and now - heard_at <= FRESH


def _is_reached(step: Step, dossier: Dossier, now: datetime) -> bool:
    """Tell whether the channel by which *step* goes is not silent: a profile goes by the device's."""
    device_heard_at = None if dossier.login is None else dossier.login.device_heard_at
    if step.kind is StepKind.PROFILE_AGAIN and device_heard_at is not None and now - device_heard_at < SILENT_AFTER:
        return True
    return _was_heard(dossier, now)


def _was_heard(dossier: Dossier, now: datetime) -> bool:
    heard_at = dossier.last_contact_at or dossier.enrolled_at
    return heard_at is not None and now - heard_at < SILENT_AFTER


def quiet_hours_end(policy: ControlPolicy, now: datetime, zone: tzinfo = UTC) -> datetime | None:
    """Tell when the quiet hours end that *now* lies in; None outside of them. Equal times are no quiet hours.

    *zone*: in which they are meant where they don't say that themselves.
    """
    if policy.quiet_hours is None:
        return None
    zone = policy.quiet_hours[0].tzinfo or zone
    begins, ends = (one.replace(tzinfo=None) for one in policy.quiet_hours)
    local = now.astimezone(zone)
    at = local.time()
    is_quiet = begins <= at < ends if begins < ends else (begins != ends and (at >= begins or at < ends))
    if not is_quiet:
        return None
    end = datetime.combine(local.date(), ends, zone)
    return (end if end > local else end + _DAY).astimezone(UTC)


# --- what a recovery becomes by what is done ------------------------------------------------------------------------


def after(run: Run, decision: Decision, playbook: Playbook, now: datetime) -> Run:
    """Return *run* as it stands when *decision* was carried out at *now*."""
    match decision:
        case Act(place, _):
            attempts = run.attempts + 1 if place == run.step else 1
            return replace(run, step=place, attempts=attempts, acted_at=now)
        case AskPerson(place, step):
            return replace(run, step=place, attempts=step.times, acted_at=now)
        case Prove():
            return replace(run, probes=run.probes + 1, acted_at=now)
        case GiveUp():
            return replace(run, step=len(playbook.steps), attempts=0)
        case WaitUntil() | Recovered():
            return run


def looked_at(run: Run, found: Found, playbook: Playbook, found_last_at: datetime) -> Run:
    """Return *run* with how its reason stands now; *found_last_at*: when it was looked at before, and was found."""
    if is_open_for(playbook, found):
        return run if run.found_until is None else replace(run, found_until=None, probes=0)
    return run if run.found_until is not None else replace(run, found_until=found_last_at, probes=0)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What would be done. *at*: not before then; *at_contact*: at a contact from then on."""

    at: datetime
    step: Step
    at_contact: bool
    needs_person: bool


MAXIMUM_PLANNED: Final = 12
"""Steps that a dry run tells: what is repeated for ever is told a few times."""
_SAID_TIMES: Final = 3


def plan(
    playbook: Playbook, run: Run, dossier: Dossier, policy: ControlPolicy, now: datetime, zone: tzinfo = UTC
) -> tuple[PlannedStep, ...]:
    """Tell what would be done from *now* on if the reason stayed and nothing changed; where it waits for a contact,
    as if that came when it is first of use. Nothing is done."""
    return tuple(_planned(playbook, run, dossier, policy, now, zone))


def _planned(
    playbook: Playbook, run: Run, dossier: Dossier, policy: ControlPolicy, now: datetime, zone: tzinfo
) -> Iterator[PlannedStep]:
    at = now
    for _ in range(MAXIMUM_PLANNED):
        place, attempts = _position(playbook, run, dossier, at)
        while place < len(playbook.steps) and place == run.step and attempts >= _SAID_TIMES:
            run = replace(run, step=place + 1, attempts=0)
            place, attempts = _position(playbook, run, dossier, at)
        if place == len(playbook.steps):
            return
        step = playbook.steps[place]
        at = max(at, _due_at(run, step, attempts))
        is_persons = needs_person(step, policy)
        if step.kind in WAKING and not is_persons:
            at = quiet_hours_end(policy, at, zone) or at
        waits = not is_persons and (step.at_contact or (step.kind in QUEUEING and not _is_reached(step, dossier, now)))
        yield PlannedStep(at, step, waits, is_persons)
        done: Decision = AskPerson(place, step) if is_persons else Act(place, step)
        run = after(run, done, playbook, at)
