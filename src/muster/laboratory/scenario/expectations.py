"""Whether what a scenario expects of verdicts came true."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from muster.domain.control.states import ControlState
from muster.laboratory.scenario.model import Expectation
from muster.laboratory.scenario.played import Played, PlayedDevice
from muster.laboratory.scenario.times import write_duration
from muster.protocol.identifiers import ChannelId
from muster.storage.verdicts import Step


@dataclass(frozen=True, slots=True)
class Unmet:
    """An expectation that did not come true for one device: its line in the file, and what was the case instead."""

    line: int
    device: str
    words: str


def unmet(played: Played) -> tuple[Unmet, ...]:
    """Every expectation that did not come true, in the order of the file and its devices."""
    steps: defaultdict[ChannelId, list[Step]] = defaultdict(list)
    for step in played.changes:
        steps[step.channel_id].append(step)
    return tuple(
        Unmet(expected.line, name, words)
        for expected in played.scenario.expectations
        if played.began_at + expected.begins_at <= played.ended_at  # a run may be cut short
        for name in played.scenario.devices_of(expected.who.names)
        if (words := _objection(played, expected, played.device(name), steps))
    )


def _objection(
    played: Played, expected: Expectation, device: PlayedDevice, steps: Mapping[ChannelId, Sequence[Step]]
) -> str:
    """What speaks against *expected* of *device*; empty: nothing."""
    begins = played.began_at + expected.begins_at
    ends = played.began_at + expected.ends_at + (expected.within or timedelta(0))
    channels = device.channel_ids if expected.user is None else tuple(_user(device, expected.user))
    story = sorted((step for channel in channels for step in steps.get(channel, ())), key=lambda step: step.at)
    moments = list(_held_between(story, begins, min(ends, played.ended_at)))
    fits = [_fits(played, expected, story, step) for step in moments]
    if moments and (any(fits) if expected.within is not None else all(fits)):
        return ""
    if not moments:
        return "there was no verdict"
    wrong = moments[-1] if expected.within is not None else moments[fits.index(False)]
    held, at = wrong.after, max(wrong.at, begins) - played.began_at
    return f"{held.state}, {held.reason} at {write_duration(at)}: {held.sentence}"


def _user(device: PlayedDevice, number: int) -> Iterator[ChannelId]:
    if number in device.users:
        yield device.users[number]


def _held_between(story: Sequence[Step], begins: datetime, ends: datetime) -> Iterator[Step]:
    """The steps whose verdict was held at some moment from *begins* to *ends*, both included."""
    for place, step in enumerate(story):
        until = story[place + 1].at if place + 1 < len(story) else None
        if step.at <= ends and (until is None or until > begins):
            yield step


def _fits(played: Played, expected: Expectation, story: Sequence[Step], step: Step) -> bool:
    verdict = step.after
    if expected.states and verdict.state not in expected.states:
        return False
    if expected.reasons and verdict.reason not in expected.reasons:
        return False
    return expected.recovered is None or expected.recovered is _is_recovered(played, story, step)


def _is_recovered(played: Played, story: Sequence[Step], step: Step) -> bool:
    """Whether *step* is a return to control, and the channel has proved since it was lost that it obeys.

    A step is written when the channel is heard, and its proof comes a moment later: so the run's last one counts.
    """
    lost = [one.at for one in story if one.at < step.at and one.after.state is not ControlState.IN_CONTROL]
    if not lost or step.after.state is not ControlState.IN_CONTROL:
        return False
    assert played.report is not None, "a run was played to its end"
    proofs = (
        channel.last_proof_at
        for device in played.report.devices
        for channel in device.channels
        if channel.id == step.channel_id and channel.last_proof_at is not None
    )
    return any(proof > lost[-1] for proof in proofs)
