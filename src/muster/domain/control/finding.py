"""What rules find, and the verdict that is made of it."""

from dataclasses import field
from datetime import datetime

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.protocol.identifiers import ChannelId
from muster.protocol.records import record


@record(frozen=True, slots=True)
class Cited:
    """Evidence that decided something: the signal's number, when, and what it shows, in a few words without a full
    stop, such as `refused: its identity expired on 3 November`."""

    signal: str
    at: datetime
    shows: str


@record(frozen=True, slots=True)
class Finding:
    """What one rule found of one channel.

    *since*: when this began, not when it was noticed. *sentence*: one sentence of plain English with the figures in it,
    that begins in lower case without the device's name (`knocked yesterday at 14:02 with ...`) and has no full stop.
    *next_step*: what the server will do next, or what a person must do, likewise. *candidates*: the causes that leave
    these same traces, the likeliest first, where there are several (the reason itself is the first of its list or the
    name of the class). *look_again_at*: when time alone may change what was found. *state* is absent where what was
    found is to be shown and decides nothing: a note.
    """

    reason: Reason
    state: ControlState | None
    since: datetime
    sentence: str
    forecast: Forecast
    next_step: str = ""
    evidence: tuple[Cited, ...] = ()
    candidates: tuple[Reason, ...] = ()
    look_again_at: datetime | None = None


@record(frozen=True, slots=True)
class NotYet:
    """One rule found nothing against a channel; time alone may change that at *look_again_at*."""

    look_again_at: datetime


@record(frozen=True, slots=True)
class Considered:
    """What one rule said, for `muster why`: its name, the question it asks, and what it found, if anything.

    *look_again_at*: when time alone may change that.
    """

    rule: str
    question: str
    finding: Finding | None
    look_again_at: datetime | None = None


@record(frozen=True, slots=True)
class Verdict:
    """What we hold of a channel. *others*: lesser findings beside the one that decides, in the order of the rules.

    *notes*: what is shown beside it and decides nothing. *proof_at* is absent when the proof level is 0;
    *is_push_proved*: the last proof followed a push, which proves the way of the push, too. *look_again_at*: when time
    alone may change the verdict; None: the day's routine will do.
    """

    state: ControlState
    reason: Reason
    since: datetime
    sentence: str
    forecast: Forecast
    next_step: str
    proof_level: ProofLevel
    proof_at: datetime | None
    is_push_proved: bool = False
    candidates: tuple[Reason, ...] = ()
    evidence: tuple[Cited, ...] = ()
    others: tuple[Reason, ...] = field(default=())
    look_again_at: datetime | None = None
    notes: tuple[Finding, ...] = ()


@record(frozen=True, slots=True)
class Judgement:
    """A verdict and the reasoning, rule by rule, in the order in which the rules are asked."""

    verdict: Verdict
    considered: tuple[Considered, ...]


@record(frozen=True, slots=True)
class VerdictChange:
    """One step of a channel's story: its state or its reason changed. *before* is absent at the first verdict.

    *at*: when it was noticed (`after.since` is when it began). *id* names it for good, in events as well.
    """

    id: str
    channel_id: ChannelId
    device_id: ChannelId
    epoch: int
    at: datetime
    before: Verdict | None
    after: Verdict
