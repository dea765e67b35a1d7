"""The manual's page of verdicts: what the rules say, and nothing that they don't."""

from muster.domain.control.control_policy import SUSPICION_OF_QUIET, ControlPolicy
from muster.domain.control.reasons import REASONS, Reason, Recovery
from muster.domain.control.rules.told import TELLING
from muster.domain.control.states import SEVERITY, ControlState
from muster.domain.control.transitions import TRANSITIONS, Likelihood, diagram
from muster.domain.control.words import duration

_STATES = {
    ControlState.IN_CONTROL: "in contact, obeying, and nothing was found against it",
    ControlState.AT_RISK: "it answers, but something has broken or will break",
    ControlState.QUIET: "silent for longer than its own rhythm explains, still tolerated",
    ControlState.INACTIVE: "silent beyond the tolerance on every witness; it may come back by itself",
    ControlState.OUT_OF_CONTROL: "it won't obey and won't come back by itself, or is past a hard limit",
    ControlState.ENDED: "its end is on record",
    ControlState.DORMANT: "a user who is not logged in; nothing is wrong",
    ControlState.UNKNOWN: "a fault of ours keeps us from judging; nobody is cut off for it",
}
_WHO = {
    Recovery.SERVER: "A",
    Recovery.SERVER_WITH_HELP: "B",
    Recovery.PERSON: "C",
    Recovery.BY_HAND: "D",
    Recovery.NOBODY: "",
}

_HEAD = """\
# Verdicts

Every channel, a device's own and each of its users', has a verdict: a *state*, the *reason* for it, the evidence that
decided it, whether it comes back by itself, and the next step. This page is made from the rules themselves
(`src/muster/domain/control/rules`).

For example: a Mac's identity expired while it lay in a drawer. It is switched on, knocks, and is refused. Its verdict
is `out_of_control`, reason `identity_expired`: "knocked on 31 May at 16:00 UTC with an identity that expired on 29 May
at 12:00 UTC; the server can renew it by itself for 87 days more". Nobody has to do anything: the renewal is handed to
it at its next knock, and once it obeyed a harmless command under its new identity it is `in_control` again.

## States

| state | when |
|---|---|
"""

_LIMITS = """\

Of several findings the gravest decides, in this order: {severity}. Of those equally grave the first of the rules does.

Limits by default: silent for less than {window} is never suspicious; later a silence counts as `quiet` when the
channel's own rhythm explains less than one in {one_in} of such silences, as `inactive` after {tolerance}, as
`out_of_control` after {limit}. A command acknowledged in the last {proof} proves obedience. Inventory may be
{inventory} old. The clock of silence stands still while we could not have heard or called the device: our server was
down, its push certificate had expired, APNs was out of order.

## How one state follows another

```mermaid
{diagram}```

What usually happens is drawn. All else is possible, too, for between two looks much may happen; but a device's own
channel is never `dormant`.

| from \\ to | {columns} |
|---|{rule}|
"""

_MATRIX_FOOT = """\

● usual · ○ rare · – no change

## Reasons

*Who*: A the server alone, once the cause is over · B the server, where Automated Device Enrollment, an agent or the
version of the OS helps · C one action by a person · D by hand. What is *shown* stands beside the verdict and decides
nothing.

| # | reason | what it makes of a channel | how it is told | what brings it back | who |
|---|---|---|---|---|---|
"""

_MARKS = {Likelihood.USUAL: "●", Likelihood.RARE: "○", Likelihood.IMPOSSIBLE: "–"}


def verdicts_page() -> str:
    """Return the page, Markdown."""
    policy = ControlPolicy()
    head = _HEAD + "".join(f"| `{state.value}` | {_STATES[state]} |\n" for state in ControlState)
    limits = _LIMITS.format(
        severity=", ".join(f"`{state.value}`" for state in SEVERITY),
        window=duration(policy.contact_window),
        one_in=round(10**SUSPICION_OF_QUIET),
        tolerance=duration(policy.tolerance),
        limit=duration(policy.silence_limit),
        proof=duration(policy.proof_window),
        inventory=duration(policy.inventory_limit),
        diagram=diagram(),
        columns=" | ".join(f"`{state.value}`" for state in ControlState),
        rule="|".join("---" for _ in ControlState),
    )
    matrix = "".join(_matrix_row(before) for before in ControlState)
    reasons = "".join(_reason_row(reason) for reason in Reason if reason is not Reason.NONE)
    return head + limits + matrix + _MATRIX_FOOT + reasons


def _matrix_row(before: ControlState) -> str:
    marks = (_MARKS[TRANSITIONS[before, after].likelihood] for after in ControlState)
    return f"| `{before.value}` | {' | '.join(marks)} |\n"


def _reason_row(reason: Reason) -> str:
    facts, telling = REASONS[reason], TELLING[reason]
    questions = " ".join((rule.__doc__ or "").partition("\n")[0] for rule in telling.rules)
    who = ", else ".join(_WHO[recovery] for recovery in facts.recovery)
    return (
        f"| {facts.number} | `{reason.value}`: {facts.title} | {telling.state} | {questions} | {telling.brings_back} "
        f"| {who} |\n"
    )
