"""A score, to be read: lines of at most 100 columns; and as plain values for JSON."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from muster.laboratory.report import plain
from muster.laboratory.scenario.score import MAX_WRONG, Score, WrongDays

MAX_LINES: Final = 30
"""Of wrong days, the longest first; JSON has more."""


def score_text(score: Score, began_at: datetime) -> str:
    """*score* in lines of at most 100 columns; *began_at* is when the run did."""
    return "\n".join((*_summary(score), "", *_causes(score), *_recoveries(score), *_wrong(score, began_at))) + "\n"


def score_values(score: Score) -> object:
    """*score* as JSON has it, its shares included; the same keys whatever was played."""
    told = plain(replace(score, truths=()))
    assert isinstance(told, dict), "a dataclass becomes a mapping"
    del told["truths"]
    told["wrong"] = plain(score.wrong[:MAX_WRONG])
    told["right_state_faulted"] = round(score.right_state_faulted, 6)
    told["right_state_healthy"] = round(score.right_state_healthy, 6)
    told["right_reason"] = round(score.right_reason, 6)
    told["recovered"] = round(score.recovered, 6)
    told["false_inactive_per_1000_device_weeks"] = round(score.false_inactive_per_1000_device_weeks, 6)
    return told


def _summary(score: Score) -> Iterator[str]:
    yield f"right state, something wrong   {_share(score.faulted_right, score.faulted_days)}"
    yield f"right state, healthy           {_share(score.healthy_right, score.healthy_days)}"
    yield f"right state, too early to ask  {_share(score.between_right, score.between_days)}"
    yield f"right reason, by causes        {score.right_reason:8.2%}  of {sum(1 for one in score.causes if one.days)}"
    yield (
        f"falsely inactive               {score.false_inactive_per_1000_device_weeks:8.2f}  "
        f"per 1,000 weeks in use ({score.false_inactive} in {score.device_weeks:,.1f})"
    )
    yield f"out of control in health       {len(score.lost_in_health):8}  channels"
    yield f"recovered and proved           {score.recovered:8.2%}  of what the server alone can bring back"
    yield f"pushes                         {sum(score.pushes.values()):8,}  {_few(score.pushes)}"
    yield f"commands                       {sum(score.commands.values()):8,}"


def _share(right: int, days: int) -> str:
    share = right / days if days else 1.0
    return f"{share:8.2%}  of {days:,} channel-days"


def _few(counts: object) -> str:
    assert isinstance(counts, dict), "as it was counted"
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())[:55]


def _causes(score: Score) -> Iterator[str]:
    if not score.causes:
        return
    yield f"{'what was wrong':28} {'days':>6} {'state':>7} {'reason':>7} {'noticed':>9} {'median':>8} {'longest':>8}"
    for one in score.causes:
        state = f"{one.right_state / one.days:.1%}" if one.days else "-"
        reason = f"{one.right_reason / one.days:.1%}" if one.days else "-"
        middle = "-" if one.median_delay_days is None else f"{one.median_delay_days:.2f} d"
        longest = "-" if one.longest_delay_days is None else f"{one.longest_delay_days:.2f} d"
        noticed = f"{one.noticed}/{one.episodes}"
        yield f"{one.cause:28} {one.days:6,} {state:>7} {reason:>7} {noticed:>9} {middle:>8} {longest:>8}"
        said = score.matrix.get(one.cause, {})
        row = ", ".join(f"{word} {days}" for word, days in sorted(said.items(), key=lambda item: -item[1]))
        if row and set(said) != {one.cause}:
            yield f"  said: {row}"[:100]
    healthy = {word: days for word, days in score.matrix.get("none", {}).items() if word != "none"}
    if healthy:
        row = ", ".join(f"{word} {days}" for word, days in sorted(healthy.items(), key=lambda item: -item[1]))
        yield f"said of the healthy: {row}"[:100]
    yield ""


def _recoveries(score: Score) -> Iterator[str]:
    if not score.recoveries:
        return
    yield f"{'what ended':28} {'ended':>6} {'back':>6} {'proved':>7}"
    for one in score.recoveries:
        who = "" if one.is_servers else "  with others' help"
        names = f"  not: {', '.join(one.unproved)}" if one.unproved else ""
        yield f"{one.cause:28} {one.ended:6,} {one.recovered:6,} {one.proved:7,}{who}{names}"[:100]
    yield ""


def _wrong(score: Score, began_at: datetime) -> Iterator[str]:
    if not score.wrong:
        return
    longest = sorted(score.wrong, key=lambda one: (not one.is_state_wrong, -one.days, one.device, one.first_at))
    yield f"wrong, the longest of {len(score.wrong)}"
    for one in longest[:MAX_LINES]:
        yield from _wrong_lines(one, began_at)


def _wrong_lines(one: WrongDays, began_at: datetime) -> Iterator[str]:
    name = one.device if not one.user else f"{one.device} user {one.user}"
    first, last = (one.first_at - began_at).days, (one.last_at - began_at).days
    when = f"day {first}" if first == last else f"days {first}-{last}"
    yield f"{name}, {when}: {one.state}, {one.reason}"[:100]
    yield f"    expected {' or '.join(one.expected)}; {' or '.join(one.expected_reasons)} ({one.causes[0]})"[:100]
