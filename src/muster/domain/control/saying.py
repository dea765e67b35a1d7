"""A verdict in words, the same wherever people read one: the page, the terminal, a message."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from muster.domain.control.finding import Cited
from muster.domain.control.reasons import REASONS, Reason
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.domain.control.words import count, day, instant_near

STATES: Final[Mapping[ControlState, str]] = MappingProxyType(
    {
        ControlState.IN_CONTROL: "under control",
        ControlState.AT_RISK: "at risk",
        ControlState.QUIET: "quiet",
        ControlState.INACTIVE: "inactive",
        ControlState.OUT_OF_CONTROL: "out of control",
        ControlState.ENDED: "ended",
        ControlState.DORMANT: "dormant",
        ControlState.UNKNOWN: "unknown",
    }
)
"""What a state is called where people read it."""

GRAVITY: Final = (
    ControlState.OUT_OF_CONTROL,
    ControlState.INACTIVE,
    ControlState.AT_RISK,
    ControlState.UNKNOWN,
    ControlState.QUIET,
    ControlState.IN_CONTROL,
    ControlState.DORMANT,
    ControlState.ENDED,
)
"""In which order lists have the states: what somebody should look at first. Which of several findings decides is
another question (`states.SEVERITY`)."""

WORRIES: Final = GRAVITY[:5]
"""States that are neither well nor over."""
FOR_A_PERSON: Final = (Forecast.WITH_A_PERSON, Forecast.NOT_AT_ALL)
"""What nobody but a person brings back."""

FORECASTS: Final[Mapping[Forecast, str]] = MappingProxyType(
    {
        Forecast.NOTHING_TO_DO: "nothing to do",
        Forecast.BY_ITSELF: "may come back by itself",
        Forecast.WITH_US: "Muster brings it back",
        Forecast.WITH_A_PERSON: "needs a person",
        Forecast.NOT_AT_ALL: "does not come back",
    }
)
_PROOFS: Final[Mapping[ProofLevel, str]] = MappingProxyType(
    {
        ProofLevel.OBEYED: "it did what a command asked",
        ProofLevel.CONTACT: "it was in contact, and did nothing that was asked",
        ProofLevel.SIGNED: "it signed a message that was not accepted, or reported its status",
        ProofLevel.PUSH_ACCEPTED: "APNs took a push for it, which proves nothing of the device",
        ProofLevel.NOTHING: "nothing was heard of it in the proof window",
    }
)


def verdict_sentence(state: ControlState, since: datetime, sentence: str, now: datetime) -> str:
    """Say a verdict: `Out of control since 3 November: knocked on ... with an identity that expired on ... .`

    *sentence* is that of the finding, without its capital and full stop.
    """
    began = day(since, now).removeprefix("on ")
    head = f"Not judged since {began}" if state is ControlState.UNKNOWN else f"{capital(STATES[state])} since {began}"
    return f"{head}: {sentence}." if sentence else f"{head}."


def next_sentence(next_step: str, forecast: Forecast) -> str:
    """Say what happens next; empty where nothing has to."""
    if next_step:
        return f"{capital(next_step)}."
    return "" if forecast is Forecast.NOTHING_TO_DO else f"{capital(FORECASTS[forecast])}."


def proof_sentence(level: ProofLevel, at: datetime | None, now: datetime, *, is_push_proved: bool = False) -> str:
    """Say how well it is proved that a channel is under control: the level, what that means, and when."""
    when = "" if at is None else f", {instant_near(at, now)}"
    push = ", after a push" if is_push_proved and level is ProofLevel.OBEYED else ""
    return f"Proof {level.value} of {ProofLevel.OBEYED.value}: {_PROOFS[level]}{push}{when}."


def reason_title(reason: Reason) -> str:
    """Say a reason in a few words."""
    return REASONS[reason].title


def evidence_sentence(cited: Cited, now: datetime) -> str:
    """Say what evidence shows, and when, unless it says that itself."""
    shown = capital(cited.shows)
    return shown if f"{cited.at.astimezone(UTC):%H:%M}" in shown else f"{shown}, {instant_near(cited.at, now)}"


def candidates_sentence(candidates: Sequence[Reason]) -> str:
    """Name the causes that leave the same traces, the likeliest first; empty where there is one alone."""
    if len(candidates) < 2:
        return ""
    return f"What leaves the same traces, the likeliest first: {'; '.join(CAUSES[one] for one in candidates)}."


CAUSES: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        **{reason: facts.title for reason, facts in REASONS.items()},
        Reason.SILENT: "it is switched off or without a network",
    }
)
"""What each reason is called as a possible cause."""


def fleet_sentences(states: Mapping[ControlState, int], needing: int) -> str:
    """Say how much of a fleet is under control: `412 of 420 devices are under control. 3 need you.`

    *states* are the devices by state; those that ended don't count. *needing*: those that a person alone brings back.
    """
    total = sum(number for state, number in states.items() if state is not ControlState.ENDED)
    if total == 0:
        return "No device is enrolled." if any(states.values()) else "No device is judged yet."
    well = states.get(ControlState.IN_CONTROL, 0)
    if well == total:
        said = "The one device is under control." if total == 1 else f"All {total:,} devices are under control."
    else:
        said = f"{well:,} of {count(total, 'device')} {'is' if well == 1 else 'are'} under control."
    return said if needing == 0 else f"{said} {needing:,} {'needs' if needing == 1 else 'need'} you."


def share(part: int, whole: int) -> str:
    """Say a share in percent, never rounded up to all: `98.1 %`, `99.9 %`, `100 %`."""
    if whole == 0:
        return "–"
    if part == whole:
        return "100 %"
    return f"{part * 1000 // whole / 10:.1f} %"


def capital(text: str) -> str:
    """Return *text* with a capital at its beginning."""
    return text[:1].upper() + text[1:]
