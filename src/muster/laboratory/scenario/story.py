"""What a run tells: each verdict over time beside the truth, how good they were, and what was not as expected."""

import json
from collections.abc import Iterator
from datetime import timedelta

from muster.laboratory.report import plain
from muster.laboratory.scenario.expectations import Unmet
from muster.laboratory.scenario.played import Episode, Played, PlayedDevice
from muster.laboratory.scenario.score import Score
from muster.laboratory.scenario.score_text import score_text, score_values
from muster.laboratory.scenario.times import write_duration
from muster.laboratory.scenario.truth import ChannelTruth
from muster.protocol.identifiers import ChannelId
from muster.storage.verdicts import Step

MAX_TOLD = 40
"""Devices whose stories are printed; the others are in the JSON."""


def story_text(played: Played, scored: Score, failures: tuple[Unmet, ...], short: tuple[str, ...]) -> str:
    """The run as lines to be read. *failures*: expectations that did not come true; *short*: limits not reached."""
    lines = [f"{played.scenario.name}: {len(played.devices)} devices over {_length(played)}, seed {played.seed}", ""]
    for device in played.devices[:MAX_TOLD]:
        lines += _device_lines(played, device)
    if len(played.devices) > MAX_TOLD:
        lines.append(f"... and {len(played.devices) - MAX_TOLD} devices more; --json tells of all")
    others = [episode for episode in played.episodes if episode.device is None]
    if others:
        lines += ["beside the devices", *(f"  {_episode_line(played, episode)}" for episode in others), ""]
    lines += [score_text(scored, played.began_at)]
    source, expected = played.scenario.source, len(played.scenario.expectations) + played.scenario.limits.count
    lines += [f"{source}:{one.line}: not as expected: {one.device} was {one.words}" for one in failures]
    lines += [f"{source}: overall: {words}" for words in short]
    missed = len({one.line for one in failures}) + len(short)
    lines.append(f"{expected} expectations, {missed} of them not met")
    return "\n".join(lines) + "\n"


def story_json(played: Played, scored: Score, failures: tuple[Unmet, ...], short: tuple[str, ...]) -> str:
    """The run as one line of canonical JSON: equal runs are equal to the byte."""
    told = {
        "scenario": played.scenario.name,
        "seed": played.seed,
        "began_at": played.began_at,
        "ended_at": played.ended_at,
        "devices": played.devices,
        "episodes": played.episodes,
        "changes": played.changes,
        "truth": tuple(_truth(one) for one in scored.truths),
        "score": score_values(scored),
        "unmet": failures,
        "overall": short,
        "report": played.report,
    }
    return json.dumps(plain(told), sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def _truth(channel: ChannelTruth) -> dict[str, object]:
    """What was right of one channel, each stretch of time with the states and reasons that were."""
    return {
        "channel_id": channel.channel_id,
        "device": channel.device,
        "user": channel.user,
        "right": tuple(
            {
                "began_at": one.began_at,
                "ended_at": one.ended_at,
                "states": sorted(state.value for state in one.states),
                "reasons": sorted(reason.value for reason in one.reasons),
                "causes": one.causes,
                "is_faulted": one.is_faulted,
                "is_healthy": one.is_healthy,
            }
            for one in channel.truths
        ),
    }


def _device_lines(played: Played, device: PlayedDevice) -> Iterator[str]:
    yield device.name
    events = [
        (episode.began_at, _episode_line(played, episode))
        for episode in played.episodes
        if episode.device == device.name
    ]
    names: dict[ChannelId, str] = dict.fromkeys(device.channel_ids, "")
    names |= {channel: f"user {number}: " for number, channel in device.users.items()}
    steps = [
        (step.at, _step_line(played, step, names[step.channel_id]))
        for step in played.changes
        if step.channel_id in names
    ]
    for _, line in sorted(events + steps, key=lambda one: one[0]):
        yield f"  {line}"
    yield ""


def _episode_line(played: Played, episode: Episode) -> str:
    where = f" at {episode.site}" if episode.site else ""
    until = f" until {_since(episode.ended_at - played.began_at)}" if episode.ended_at else ""
    until = "" if episode.ended_at == episode.began_at else until
    note = f" ({episode.note})" if episode.note else ""
    return f"{_since(episode.began_at - played.began_at)} * {episode.primitive}{where}{until}{note}"


def _step_line(played: Played, step: Step, whose: str) -> str:
    verdict = step.after
    return f"{_since(step.at - played.began_at)}   {whose}{verdict.state}, {verdict.reason}: {verdict.sentence}"


def _since(span: timedelta) -> str:
    minutes = span - timedelta(seconds=span.total_seconds() % 60)
    return f"{write_duration(minutes):>10}"


def _length(played: Played) -> str:
    return write_duration(played.ended_at - played.began_at)
