"""How good the verdicts of a run were, measured against its truth. Pure.

Days on which something was wrong are counted apart from healthy ones, and reasons are averaged over what was wrong, not
over devices: a rare fault counts as much as a common one. A day is looked at once, at the hour at which the run began.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from muster.domain.control.reasons import REASONS, Reason, Recovery
from muster.domain.control.states import ControlState
from muster.laboratory.scenario.claims import DEVICE, Claim, Truth
from muster.laboratory.scenario.model import Limits
from muster.laboratory.scenario.played import Played
from muster.laboratory.scenario.truth import ChannelTruth, truth_of
from muster.protocol.identifiers import ChannelId
from muster.storage.verdicts import Step

A_DAY: Final = timedelta(days=1)
A_WEEK: Final = timedelta(days=7)
RECOVERS_WITHIN: Final = timedelta(days=3)
"""So long before the end of the run a cause must have ended for its recovery to be asked for."""
MAX_WRONG: Final = 400
"""Wrong days that are told one by one."""


@dataclass(frozen=True, slots=True)
class WrongDays:
    """Days in a row on which one channel's verdict was wrong in the same way."""

    device: str
    user: int
    first_at: datetime
    last_at: datetime
    days: int
    causes: tuple[str, ...]
    expected: tuple[str, ...]
    expected_reasons: tuple[str, ...]
    state: str
    reason: str
    is_state_wrong: bool


@dataclass(frozen=True, slots=True)
class CauseScore:
    """What was found of one cause. *days*: channel-days on which it had to be noticed. *noticed*: of *episodes* that
    lasted for so long that they had to be, how many were; *delay_days*: the median and the longest time until the right
    state and reason were said, None where they never were."""

    cause: str
    days: int
    right_state: int
    right_reason: int
    episodes: int
    noticed: int
    median_delay_days: float | None
    longest_delay_days: float | None


@dataclass(frozen=True, slots=True)
class RecoveryScore:
    """What came of causes of one kind that ended in time. *recovered*: the channel came under control again;
    *proved*: by a command that it obeyed since. *unproved*: the devices of which that was not so."""

    cause: str
    ended: int
    recovered: int
    proved: int
    is_servers: bool
    unproved: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The whole run's. *between* counts days on which a fault need not have been noticed yet, or was just over.

    *matrix* counts days by (cause, reason of the verdict). *false_inactive* counts times that a device that was in use
    was called inactive; *device_weeks* is the time it was in use. *lost_in_health*: channels that were called out of
    control while nothing was wrong with them.
    """

    faulted_days: int
    faulted_right: int
    healthy_days: int
    healthy_right: int
    between_days: int
    between_right: int
    causes: tuple[CauseScore, ...]
    recoveries: tuple[RecoveryScore, ...]
    matrix: Mapping[str, Mapping[str, int]]
    false_inactive: int
    device_weeks: float
    lost_in_health: tuple[str, ...]
    pushes: Mapping[str, int]
    commands: Mapping[str, int]
    wrong: tuple[WrongDays, ...] = field(default=())
    truths: tuple[ChannelTruth, ...] = field(default=())

    @property
    def right_state_faulted(self) -> float:
        """The share of faulted days with the right state; 1 where there were none."""
        return self.faulted_right / self.faulted_days if self.faulted_days else 1.0

    @property
    def right_state_healthy(self) -> float:
        """The share of healthy days with the right state; 1 where there were none."""
        return self.healthy_right / self.healthy_days if self.healthy_days else 1.0

    @property
    def right_reason(self) -> float:
        """The share of days with the right reason, each cause counting as much as another; 1 where there were none."""
        shares = [one.right_reason / one.days for one in self.causes if one.days]
        return sum(shares) / len(shares) if shares else 1.0

    @property
    def false_inactive_per_1000_device_weeks(self) -> float:
        """How often a device in use was called inactive."""
        return 1000 * self.false_inactive / self.device_weeks if self.device_weeks else 0.0

    @property
    def recovered(self) -> float:
        """The share of what the server alone can bring back that came back, and was proved; 1 where there was none."""
        ended = sum(one.ended for one in self.recoveries if one.is_servers)
        return sum(one.proved for one in self.recoveries if one.is_servers) / ended if ended else 1.0


def score(played: Played) -> Score:
    """Score *played* against its truth."""
    steps: defaultdict[ChannelId, list[Step]] = defaultdict(list)
    for step in played.changes:
        steps[step.channel_id].append(step)
    truths = truth_of(played)
    tally = _Tally()
    for truth in truths:
        story = _Story(_in_turn(steps.get(one, []) for one in (*truth.former, truth.channel_id)))
        tally.days(played, truth, story)
        tally.moments(truth, story)
        tally.delays(truth, story)
        tally.recoveries(played, truth, story)
    return replace(tally.score(played), truths=truths)


def _in_turn(stories: Iterable[Sequence[Step]]) -> list[Step]:
    """Return the steps of channels that followed one another: of each until the next is spoken of."""
    told: list[Step] = []
    for steps in stories:
        begins = min((step.at for step in steps), default=None)
        told = [*(step for step in told if begins is None or step.at < begins), *steps]
    return told


class _Story:
    """A channel's verdicts over time."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = sorted(steps, key=lambda step: step.at)
        self._times = [step.at for step in self.steps]

    def at(self, moment: datetime) -> Step | None:
        """What was held at *moment*; None: nothing yet."""
        place = bisect_right(self._times, moment) - 1
        return self.steps[place] if place >= 0 else None

    def held(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, Step]]:
        """What was held from *since* to *until*, with when it was first."""
        first = self.at(since)
        if first is not None:
            yield since, first
        for step in self.steps[bisect_right(self._times, since) :]:
            if step.at >= until:
                return
            yield step.at, step


@dataclass
class _OfCause:
    days: int = 0
    right_state: int = 0
    right_reason: int = 0
    episodes: int = 0
    delays: list[timedelta] = field(default_factory=list)


@dataclass
class _OfRecovery:
    ended: int = 0
    recovered: int = 0
    proved: int = 0
    unproved: list[str] = field(default_factory=list)


class _Tally:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.by_cause: defaultdict[str, _OfCause] = defaultdict(_OfCause)
        self.by_recovery: defaultdict[str, _OfRecovery] = defaultdict(_OfRecovery)
        self.matrix: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.false_inactive = 0
        self.in_use = timedelta(0)
        self.lost_in_health: list[str] = []
        self.wrong: list[WrongDays] = []

    def days(self, played: Played, channel: ChannelTruth, story: _Story) -> None:
        """Look at every day of a channel."""
        at = played.began_at + A_DAY
        while at < played.ended_at:
            truth, step = channel.at(at), story.at(at)
            if truth is not None:
                self._day(channel, truth, step, at)
            at += A_DAY

    def _day(self, channel: ChannelTruth, truth: Truth, step: Step | None, at: datetime) -> None:
        state = None if step is None else step.after.state
        reason = Reason.NONE if step is None else step.after.reason
        is_right = state is not None and truth.is_right(state)
        is_explained = is_right and reason in truth.reasons
        kind = "faulted" if truth.is_faulted else "healthy" if truth.is_healthy else "between"
        self.counts[kind] += 1
        self.counts[f"{kind} right"] += is_right
        said = "no verdict" if state is None else reason.value
        if truth.is_faulted:
            cause = truth.causes[0]
            of_cause = self.by_cause[cause]
            of_cause.days += 1
            of_cause.right_state += is_right
            of_cause.right_reason += is_explained
            self.matrix[cause][said] += 1
        elif kind == "healthy":
            self.matrix["none"][said] += 1
        if not is_right or (truth.is_faulted and not is_explained):
            self._note_wrong(channel, truth, "no verdict" if state is None else state.value, said, at, is_right)

    def _note_wrong(
        self, channel: ChannelTruth, truth: Truth, state: str, reason: str, at: datetime, is_right: bool
    ) -> None:
        expected = tuple(sorted(one.value for one in truth.states))
        causes = truth.causes or (("none",) if truth.is_healthy else ("between",))
        last = self.wrong[-1] if self.wrong else None
        if (
            last is not None
            and (last.device, last.user, last.state, last.reason) == (channel.device, channel.user, state, reason)
            and (last.expected, last.causes) == (expected, causes)
            and at - last.last_at <= A_DAY
        ):
            first_at, days = last.first_at, last.days + 1
            self.wrong.pop()
        else:
            first_at, days = at, 1
        reasons = tuple(sorted(one.value for one in truth.reasons))
        self.wrong.append(
            WrongDays(
                channel.device,
                channel.user,
                first_at,
                at,
                days,
                causes,
                expected,
                reasons,
                state,
                reason,
                not is_right,
            )
        )

    def moments(self, channel: ChannelTruth, story: _Story) -> None:
        """Look at every moment of a channel that was in use, or healthy."""
        if channel.user == DEVICE:
            for since, until in channel.in_use:
                self.in_use += until - since
                self.false_inactive += sum(
                    step.after.state is ControlState.INACTIVE for _, step in story.held(since, until)
                )
        was_lost = any(
            step.after.state is ControlState.OUT_OF_CONTROL
            for truth in channel.truths
            if truth.is_healthy and ControlState.OUT_OF_CONTROL not in truth.states
            for _, step in story.held(truth.began_at, truth.ended_at)
        )
        if was_lost:
            self.lost_in_health.append(_name(channel))

    def delays(self, channel: ChannelTruth, story: _Story) -> None:
        """How long it took until each fault was told with the right state and reason."""
        seen: set[tuple[str, int | None]] = set()
        for claim in channel.claims:
            key = (claim.cause, claim.episode)
            is_asked = claim.is_fault and claim.right_by is not None and claim.right_by < claim.ended_at
            if not is_asked or key in seen:
                continue
            seen.add(key)
            of_cause = self.by_cause[claim.cause]
            of_cause.episodes += 1
            told_at = _told_at(claim, story)
            if told_at is not None:
                of_cause.delays.append(told_at - claim.began_at)

    def recoveries(self, played: Played, channel: ChannelTruth, story: _Story) -> None:
        """Whether what the server can bring back alone came back, and was proved."""
        if channel.user != DEVICE:
            return
        for number in range(len(played.episodes)):
            claims = [one for one in channel.claims if one.episode == number and one.is_fault and not one.is_ours]
            ends = max((one.lingers_until for one in claims), default=None)
            if ends is None or ends + RECOVERS_WITHIN > played.ended_at:
                continue
            over_at = max(one.ended_at for one in claims)  # before its episode was, where the server mended it
            was_told = any(one.right_by is not None and one.right_by < one.ended_at for one in claims)
            truth = channel.at(ends)
            if not was_told or truth is None or not truth.is_healthy:
                continue
            self._recovery(played, channel, claims[0].cause, over_at, story, ends)

    def _recovery(
        self, played: Played, channel: ChannelTruth, cause: str, over_at: datetime, story: _Story, by: datetime
    ) -> None:
        until = min(by + RECOVERS_WITHIN, played.ended_at)
        judged = [step.after.state for _, step in story.held(by, until) if step.after.state is not ControlState.UNKNOWN]
        of_kind = self.by_recovery[cause]
        of_kind.ended += 1
        is_back = bool(judged) and judged[-1] is ControlState.IN_CONTROL  # a fault of ours tells nothing of it
        proof_at = played.proofs.get(channel.channel_id)
        is_proved = is_back and proof_at is not None and proof_at >= over_at
        of_kind.recovered += is_back
        of_kind.proved += is_proved
        if not is_proved:
            of_kind.unproved.append(_name(channel))

    def score(self, played: Played) -> Score:
        """What it all comes to."""
        counts = self.counts
        return Score(
            faulted_days=counts["faulted"],
            faulted_right=counts["faulted right"],
            healthy_days=counts["healthy"],
            healthy_right=counts["healthy right"],
            between_days=counts["between"],
            between_right=counts["between right"],
            causes=tuple(_cause_score(cause, one) for cause, one in sorted(self.by_cause.items())),
            recoveries=tuple(
                RecoveryScore(
                    cause, one.ended, one.recovered, one.proved, _is_servers(cause), tuple(sorted(set(one.unproved)))
                )
                for cause, one in sorted(self.by_recovery.items())
            ),
            matrix={cause: dict(sorted(row.items())) for cause, row in sorted(self.matrix.items())},
            false_inactive=self.false_inactive,
            device_weeks=round(self.in_use / A_WEEK, 3),
            lost_in_health=tuple(sorted(self.lost_in_health)),
            pushes={} if played.report is None else dict(sorted(played.report.pushes.items())),
            commands=_commands(played),
            wrong=tuple(self.wrong),
        )


def _told_at(claim: Claim, story: _Story) -> datetime | None:
    """When the state and the reason that *claim* asks for were said first."""
    for at, step in story.held(claim.began_at, claim.ended_at):
        if step.after.state in claim.states and step.after.reason in claim.reasons:
            return at
    return None


def _cause_score(cause: str, one: _OfCause) -> CauseScore:
    delays = [delay / A_DAY for delay in one.delays]
    return CauseScore(
        cause=cause,
        days=one.days,
        right_state=one.right_state,
        right_reason=one.right_reason,
        episodes=one.episodes,
        noticed=len(delays),
        median_delay_days=round(median(delays), 2) if delays else None,
        longest_delay_days=round(max(delays), 2) if delays else None,
    )


def _is_servers(cause: str) -> bool:
    """Whether the server alone can bring back what *cause* befell."""
    facts = REASONS.get(Reason(cause))
    return facts is not None and facts.recovery[0] is Recovery.SERVER


def _commands(played: Played) -> dict[str, int]:
    if played.report is None:
        return {}
    counted = Counter(
        command.request_type or "unknown"
        for device in played.report.devices
        for channel in device.channels
        for command in (*channel.commands, *channel.questions)
    )
    return dict(sorted(counted.items()))


def _name(channel: ChannelTruth) -> str:
    return channel.device if channel.user == DEVICE else f"{channel.device} user {channel.user}"


def fallen_short(scored: Score, limits: Limits) -> tuple[str, ...]:
    """Which of *limits* the score does not reach, each in a sentence."""
    least = (
        ("right_state_faulted", scored.right_state_faulted, limits.right_state_faulted),
        ("right_state_healthy", scored.right_state_healthy, limits.right_state_healthy),
        ("right_reason", scored.right_reason, limits.right_reason),
        ("recovered", scored.recovered, limits.recovered),
    )
    short = [f"{name} is {is_:.4f}, not {wanted}" for name, is_, wanted in least if wanted is not None and is_ < wanted]
    false_inactive = scored.false_inactive_per_1000_device_weeks
    wanted = limits.false_inactive_per_1000_device_weeks
    if wanted is not None and false_inactive > wanted:
        short.append(f"false_inactive_per_1000_device_weeks is {false_inactive:.2f}, over {wanted}")
    lost = len(scored.lost_in_health)
    if limits.out_of_control_healthy is not None and lost > limits.out_of_control_healthy:
        short.append(f"out_of_control_healthy is {lost}, over {limits.out_of_control_healthy}")
    return tuple(short)
