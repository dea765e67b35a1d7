"""The manual's page of recovery: what the playbooks say, and nothing that they don't."""

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.playbooks import PLAYBOOKS
from muster.domain.control.reasons import REASONS, Reason
from muster.domain.control.recovery import ALWAYS, PROOF_PAUSES, Playbook, Step, StepKind, needs_person
from muster.domain.control.words import count, duration, listed

_KINDS = {
    StepKind.WAIT: "nothing: something else sees to it, and it is said so that people know",
    StepKind.TELL: "a person is told what to do",
    StepKind.STORED_PUSH: "one push, which APNs keeps for a device that is away",
    StepKind.PUSH: "a push",
    StepKind.PUSH_AT_CONTACT: "a push some minutes after a contact, when it is awake: it shows whether pushes arrive",
    StepKind.PROBE: "a harmless question, `DeviceInformation` with one key, and a push for it",
    StepKind.ASK_INVENTORY: "all questions of the inventory, and a push for them",
    StepKind.RENEWAL: "the renewal of its identity, which goes on by its own times",
    StepKind.PROFILE_AGAIN: "the enrollment profile once more, by the device's channel, as a renewal is sent",
    StepKind.DDM_AGAIN: "`DeclarativeManagement` with the present tokens",
    StepKind.DEVICE_CONFIGURED: "what lets a device go on in Setup Assistant",
    StepKind.REASSIGN: "a person assigns its enrollment profile again; it is not yet done by this server",
    StepKind.RESTART: "`RestartDevice`, when a person confirms it",
    StepKind.RE_ENROLL: "a link and its QR code for one enrollment, when a person confirms it",
}

_HEAD = """\
# Recovery

What is found against a channel is not only shown: the server brings the channel back, as far as it can, by a
*playbook* for each reason. This page is made from the playbooks themselves (`src/muster/domain/control/playbooks.py`).

For example: a Mac was off for ten days. It got one push, which APNs kept for it. When it is switched on it comes, and
is asked a harmless question at once; only when it has answered that does the recovery count as done:

```
$ muster recover 8C6B0E52-0B7A-5E60-9E4B-1F0D2A3C4B5D
8C6B0E52-0B7A-5E60-9E4B-1F0D2A3C4B5D is in_control (none): in contact, and it obeys.

silent (not heard), since on 3 November at 06:10 UTC, recovered yesterday at 08:00 UTC
  2026-11-03 06:10 UTC  started: not heard
  2026-11-03 06:10 UTC  stored_push: one push is sent, which APNs keeps until it is there
  2026-11-10 08:00 UTC  probe: its cause is over; it is asked a harmless question
  2026-11-10 08:00 UTC  proved: it obeyed a harmless command after its cause was over
```

## What holds of all of them

- A recovery is over when the channel obeyed after its reason was found for the last time: never by a step that was
  done, nor because the reason is no longer found. Until then it is asked again after {pauses}, and so on.
- Nothing restarts, erases, removes or enrolls a device without a person: {persons} wait for `--confirm`.
- A silent device gets one stored push and nothing else. What is to be asked waits until it comes.
- Our own faults open no playbook on a device; when they are over, each channel that they touched proves itself.
- In a group's quiet hours nothing is pushed, and what its `remedies` leave out waits for a person
  ([limits of control](control-policies.md)).
- A device that comes is asked a harmless question when half of the proof window is over, without a push of its own.

## At the command line

| command | what it does |
|---|---|
| `muster recover ID` | what is found, what was done and when, what comes next |
| `muster recover ID --dry-run` | what would be done, step by step, with times; nothing is done |
| `muster recover ID --now` | the next step now, whenever it is due |
| `muster recover ID --confirm restart` | your go-ahead for a step that needs one |
| `muster recover ID --confirm re_enroll --svg link.svg` | a link for one enrollment, and its QR code |
| `muster recover ID --put-off 7d` | nothing is done for so long (30 days at most), then it goes on |
| `muster recover ID --stop` | nothing more is done while what was found lasts |
| `muster recover --list` | all that is going on |

What a person does stands in the log of acts (`muster audit list`). Others are told by the events `recovery.started`,
`recovery.proved` and `recovery.needs_person`.

## Steps

| step | what is done |
|---|---|
"""

_BOOKS_HEAD = """\

## Playbooks

*Needs you*: the step waits for `--confirm`, and what comes after it goes on meanwhile. Of reasons that are not listed
nothing is to be done.

| reason | step | when | what |
|---|---|---|---|
"""


def recovery_page() -> str:
    """Return the page, Markdown."""
    kinds = "".join(f"| `{kind.value}` | {_KINDS[kind]} |\n" for kind in StepKind)
    head = _HEAD.format(
        pauses=listed([duration(pause) for pause in PROOF_PAUSES]),
        persons=listed([f"`{kind.value}`" for kind in (StepKind.RESTART, StepKind.RE_ENROLL)]),
    )
    books = "".join(_book(reason, PLAYBOOKS[reason]) for reason in Reason if PLAYBOOKS[reason].opens)
    return head + kinds + _BOOKS_HEAD + books


def _book(reason: Reason, playbook: Playbook) -> str:
    name = f"`{reason.value}`: {REASONS[reason].title}"
    if not playbook.steps:
        return f"| {name} | | once its cause has ended | it proves itself |\n"
    rows = [f"| {{}} | `{step.kind.value}` | {_when(step)} | {step.sentence} |\n" for step in playbook.steps]
    return "".join(row.format(name if place == 0 else "") for place, row in enumerate(rows))


def _when(step: Step) -> str:
    words = []
    if step.after:
        words.append(f"after {duration(step.after)}")
    if step.at_contact:
        words.append("at a contact")
    if step.times == ALWAYS and step.kind is not StepKind.WAIT:
        words.append(f"again after {listed([duration(pause) for pause in step.pauses])}, as long as it takes")
    elif step.times != ALWAYS and step.times > 1:
        words.append(f"{count(step.times, 'time')}, {listed([duration(pause) for pause in step.pauses])} apart")
    if needs_person(step, ControlPolicy()):
        words.append("needs you")
    return "; ".join(words) or "at once"
