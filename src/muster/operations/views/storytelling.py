"""A device's story in sentences, the oldest first: what was held of it, what it did, and what was done."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from muster.domain.control import saying
from muster.domain.control.contact import contacts_of
from muster.domain.control.evidence import Signal
from muster.domain.control.reasons import REASONS
from muster.domain.control.states import ControlState
from muster.domain.control.words import count, day, duration, instant
from muster.operations.views import words
from muster.operations.views.evidence import EvidenceRow
from muster.operations.views.marks import CONTROL, Mark, Shape, Tone
from muster.operations.views.pushing import PushMark
from muster.operations.views.story import OrderedCommand, StoryFacts
from muster.protocol.apns import OutcomeClass
from muster.storage.recoveries import Outcome, Recovery
from muster.storage.verdicts import Step

SILENCE_TOLD: Final = timedelta(days=4)
"""A pause between two contacts worth a word: shorter ones are nights and weekends."""
_LATE: Final = timedelta(days=1)
"""What began so long before it was noticed is told with its day."""


class LineKind(StrEnum):
    """What a line tells of."""

    VERDICT = "verdict"
    CONTACT = "contact"
    EVIDENCE = "evidence"
    PUSH = "push"
    COMMAND = "command"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a story. *text* is a sentence or two; *whose*: the user whose channel it is of, empty: the device's.

    *state* is what the verdict was from then on, of a line about the verdict.
    """

    at: datetime
    kind: LineKind
    text: str
    mark: Mark
    whose: str = ""
    state: ControlState | None = None


def tell_story(facts: StoryFacts, now: datetime) -> tuple[Line, ...]:
    """Tell what happened, the oldest first; of one instant what was seen comes before what was made of it."""
    lines = [
        *(_step_line(step, facts, now) for step in facts.steps),
        *_contact_lines(facts, now),
        *(_evidence_line(row, facts, now) for row in sorted(facts.evidence, key=_is_later)),
        *_push_lines(facts, now),
        *(line for recovery in facts.recoveries for line in _recovery_lines(recovery, facts)),
        *(_command_line(command, facts, now) for command in facts.commands),
    ]
    lines.sort(key=lambda line: (line.at, line.kind is not LineKind.EVIDENCE))
    return (*_opening(facts, now), *lines)


def _opening(facts: StoryFacts, now: datetime) -> Iterator[Line]:
    if facts.before is None:
        return
    after = facts.before.after
    text = f"It was {saying.STATES[after.state]} since {day(after.since, now).removeprefix('on ')}: {after.sentence}."
    yield Line(facts.since, LineKind.VERDICT, text, CONTROL[after.state], state=after.state)


def _step_line(step: Step, facts: StoryFacts, now: datetime) -> Line:
    after, before = step.after, step.before
    word = saying.STATES[after.state]
    if before is None:
        head = f"Judged for the first time: {word}"
    elif before[0] is after.state:
        head = f"Still {word}, for another reason"
    elif after.state is ControlState.IN_CONTROL:
        head = "Under control again"
    else:
        head = saying.capital(word)
    since = f" since {day(after.since, now).removeprefix('on ')}" if step.at - after.since >= _LATE else ""
    said = f"{head}{since}: {after.sentence}." if after.sentence else f"{head}{since}."
    next_step = f" {saying.capital(after.next_step)}." if after.next_step else ""
    whose = facts.names.get(step.channel_id, "")
    return Line(step.at, LineKind.VERDICT, said + next_step, CONTROL[after.state], whose, after.state)


def _contact_lines(facts: StoryFacts, now: datetime) -> Iterator[Line]:
    """Tell when the device itself was in contact: a line for each stretch without a longer pause."""
    contacts = [at for day_ in facts.contact_days.get(facts.device_id, ()) for at in contacts_of(day_)]
    runs: list[list[datetime]] = []
    for at in (at for at in contacts if facts.since <= at <= now):
        if not runs or at - runs[-1][-1] >= SILENCE_TOLD:
            runs.append([])
        runs[-1].append(at)
    for number, run in enumerate(runs):
        days = len({at.astimezone(UTC).date() for at in run})
        silence = "" if number == 0 else f"Heard again after {duration(run[0] - runs[number - 1][-1])} of silence. "
        if len(run) == 1:
            said = "One contact."
        elif days == 1:
            said = f"In contact on one day, until {instant(run[-1], now).rpartition(' at ')[2]}."
        else:
            said = f"In contact on {count(days, 'day')}, the last time {instant(run[-1], now)}."
        yield Line(run[0], LineKind.CONTACT, silence + said, Mark("Contact", Shape.DISC, Tone.GOOD))


def _is_later(row: EvidenceRow) -> bool:
    """Tell whether it comes after an Authenticate of the same instant."""
    return row.signal != Signal.AUTHENTICATE


def _evidence_line(row: EvidenceRow, facts: StoryFacts, now: datetime) -> Line:
    text = words.evidence_sentence(row)
    if row.count > 1:
        text = f"{text}, {row.count:,} times, the last {instant(row.last_at, now)}"
    mark = words.evidence_mark(row)
    return Line(
        max(row.first_at, facts.since), LineKind.EVIDENCE, f"{text}.", mark, facts.names.get(row.channel_id, "")
    )


def _push_lines(facts: StoryFacts, now: datetime) -> Iterator[Line]:
    """Tell of pushes in sum: a line for all between two steps of the device's verdict."""
    borders = [step.at for step in facts.steps if step.channel_id == facts.device_id]
    parts: dict[int, list[PushMark]] = {}
    for push in facts.pushes:
        parts.setdefault(sum(1 for at in borders if at <= push.at), []).append(push)
    for pushes in parts.values():
        taken = [push for push in pushes if push.outcome == OutcomeClass.ACCEPTED.value]
        answered = sum(1 for push in taken if push.is_answered)
        until = f" until {instant(pushes[-1].at, now).removeprefix('on ')}" if len(pushes) > 1 else ""
        what = count(len(pushes), "push")
        if not taken:
            said = f"{what}{until}: APNs took none ({words.push_answer(pushes[-1].outcome).word.lower()})."
        else:
            refused = "" if len(taken) == len(pushes) else f", APNs took {len(taken):,} of them"
            came = (
                "it has not come since"
                if answered == 0
                else "it came since"
                if answered == len(taken)
                else f"it came since {answered:,} of them"
            )
            said = f"{what}{until}{refused}; {came}."
        last = words.push_answer(pushes[-1].outcome)
        yield Line(pushes[0].at, LineKind.PUSH, said, Mark("Pushes", last.shape, last.tone))


_OUTCOMES: Final = {
    Outcome.RECOVERED: ("It has recovered, and proved it", Shape.DISC, Tone.GOOD),
    Outcome.ENDED: ("Its recovery is over without a proof", Shape.SQUARE, Tone.OVER),
    Outcome.STOPPED: ("Its recovery was stopped by a person", Shape.SQUARE, Tone.OVER),
}


def _recovery_lines(recovery: Recovery, facts: StoryFacts) -> Iterator[Line]:
    """Tell what was done to bring a channel back, each step of it, and how that ended."""
    whose, title = facts.names.get(recovery.channel_id, ""), REASONS[recovery.run.reason].title
    mark = Mark("Recovery", Shape.HALF, Tone.BUSY)
    for done in recovery.log:
        if done.at >= facts.since:
            begins = f"It is to be brought back: {title}." if done.what == title else ""
            text = begins or f"To bring it back ({title}): {done.what}."
            yield Line(done.at, LineKind.RECOVERY, text, mark, whose)
    if recovery.closed_at is not None and recovery.outcome is not None and recovery.closed_at >= facts.since:
        word, shape, tone = _OUTCOMES[recovery.outcome]
        mark = Mark("Recovery", shape, tone)
        yield Line(recovery.closed_at, LineKind.RECOVERY, f"{word} ({title}).", mark, whose)


def _command_line(command: OrderedCommand, facts: StoryFacts, now: datetime) -> Line:
    by = command.ordered_by or "somebody"
    if command.status is None or command.reported_at is None:
        mark = words.command_status("waiting")
        text = f"{by} ordered {command.request_type}; it waits."
    else:
        mark = words.command_status(command.status)
        text = f"{by} ordered {command.request_type}: {mark.word.lower()} {instant(command.reported_at, now)}."
    at = max(command.queued_at, facts.since)
    whose = facts.names.get(command.channel_id, "")
    return Line(at, LineKind.COMMAND, text, Mark("Command", mark.shape, mark.tone), whose)
