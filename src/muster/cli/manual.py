"""What the manual says that the code knows better: settings, fields of queries, times of pushing, simulated devices."""

from collections.abc import Sequence
from datetime import timedelta

from pydantic.fields import FieldInfo

from muster.domain.policy import Policy
from muster.domain.push_breaker import FAILURES_TO_OPEN, PAUSES, REFUSALS_TO_OPEN
from muster.domain.push_explanation import length
from muster.domain.push_outcomes import AFTER_STALE, RETRY, SET_ASIDE_FOR, THROTTLE
from muster.domain.push_policy import (
    AFTER_NOT_NOW,
    AFTER_TOKEN_UPDATE,
    BUDGET_BURST,
    BUDGET_REFILL,
    HELD_FOR,
    REVIVED_AFTER,
    STANDING,
    STORED_AFTER,
    STORED_SILENCE,
    UNANSWERED,
)
from muster.domain.queries.fields import FIELDS
from muster.protocol.catalogue.commands import find_command
from muster.settings import PREFIX, Settings
from muster.simulator.facts import Platform
from muster.simulator.responders import RESPONDERS
from muster.storage.push import RELEASED_PER_SECOND
from muster.storage.pushes import KEPT_FOR

_HEAD = """\
# Settings

Precedence: flag, then `MUSTER_*` in the environment, then `muster.toml` in the data directory, then the default.
Unknown names are refused. `muster check` prints what will be used. This page is made from `src/muster/settings.py`.

| setting | environment | default | what it is |
|---|---|---|---|
"""


def settings_page() -> str:
    """Return the page, Markdown."""
    return _HEAD + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    default = "" if field.default in (None, "", ()) else f"`{_shown(field.default)}`"
    return f"| `{name}` | `{PREFIX}{name.upper()}` | {default} | {field.description} |\n"


def _shown(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def query_fields() -> str:
    """Return the table of fields in the page about queries, Markdown."""
    head = "| field | type | what it is |\n|---|---|---|\n"
    return head + "".join(
        f"| `{field.name}` | {field.kind} | {field.help}{_words(field.words)} |\n" for field in FIELDS.values()
    )


_WORDS_SHOWN = 12
"""More have a page of their own."""


def _words(words: Sequence[str]) -> str:
    if len(words) > _WORDS_SHOWN:
        return ", one of [those of verdicts](verdicts.md#reasons)"
    return f": {', '.join(f'`{word}`' for word in words)}" if words else ""


def push_times() -> str:
    """Return the table of times and bounds in the page about pushing, Markdown."""
    policy = Policy()
    rows = (
        (
            "a push is sent after a command is queued",
            f"{length(policy.push_coalescing)}, so that ten commands are one push",
        ),
        ("the first pushes of a new token are repeated", f"{_steps(AFTER_TOKEN_UPDATE)} after its TokenUpdate"),
        ("a push that goes unanswered is repeated", f"after {_steps(UNANSWERED)}, then every {length(STANDING)}"),
        (
            "a silent channel is left under its stored push",
            (
                f"once {STORED_AFTER} went unanswered, the last {length(STORED_SILENCE)} or more after it was heard; "
                f"one more after {length(UNANSWERED[-1])} until {len(UNANSWERED) + 1} did, then each {length(STANDING)}"
            ),
        ),
        ("a channel counts as silent, and is pushed for that", f"after {length(policy.silence_before_push)}"),
        ("APNs keeps a push for a device that is away", length(policy.push_expiration)),
        ("after NotNow to all that waits", f"{_steps(AFTER_NOT_NOW)}, unless it asks by itself before"),
        (
            "pushes to one token",
            f"{BUDGET_BURST} at once, and one more each {length(BUDGET_REFILL).removeprefix('1 ')}",
        ),
        (
            "a contact revives a refused token",
            f"{_steps(REVIVED_AFTER)} after the refusal, by how often it was refused",
        ),
        ("after a 429 about the token", f"{_steps(THROTTLE)}, by how many came in a row"),
        ("after no answer, or a 5xx", f"{_steps(RETRY)}, by how many came in a row"),
        ("after a 410 that is older than the TokenUpdate", _steps(AFTER_STALE)),
        ("after APNs found fault with the push itself", length(SET_ASIDE_FOR)),
        ("pushes without an answer, with a 5xx or found wrong, in a row, that open the breaker", f"{FAILURES_TO_OPEN}"),
        ("tokens refused in a row that open the breaker", f"{REFUSALS_TO_OPEN}"),
        *(
            (
                f"probes while the breaker is open, `{cause.value}`",
                f"first after {length(first)}, then ever later, up to {length(longest)}",
            )
            for cause, (first, longest) in PAUSES.items()
        ),
        ("held pushes are looked at, should their release be lost", f"every {length(HELD_FOR).removeprefix('1 ')}"),
        ("held pushes are released", f"{RELEASED_PER_SECOND} a second"),
        ("the log of pushes is kept", length(KEPT_FOR)),
    )
    return "| what | when, or how many |\n|---|---|\n" + "".join(f"| {what} | {when} |\n" for what, when in rows)


def _steps(steps: Sequence[timedelta]) -> str:
    *first, last = [length(step) for step in steps]
    return f"{', '.join(first)} and {last}" if first else last


_SIMULATOR_HEAD = """\
# Simulated devices

`muster demo` and the tests are played by devices that don't exist: Macs, iPhones, iPads and Apple TVs that enroll,
check in, connect and obey on the wire as real ones do, against the server as it is. This page is made from
`src/muster/simulator`.

Before a command is carried out, a simulated device asks what a real one asks, from the same facts that
`muster commands describe` shows: is it for this system, this version and this channel (else error 12021), for a user
enrollment, for a device that isn't supervised, was its right granted (error 12007), are its keys there and of their
types (`CommandFormatError`; Macs say error 97 and name the key). What it changes stays changed, and later answers tell
of it.

A scenario scripts one device by `SimulatedDevice.behaviour`: error chains, `NotNow`, silence, answers that are lost
after the command was carried out, what users say when they are asked, and how long things take.

"""


def simulator_page() -> str:
    """Return the page about simulated devices, Markdown: every command that they answer, and what they do."""
    rows = "".join(
        f"| `{name}` | {_platforms(name)} | {RESPONDERS[name].does} |\n" for name in sorted(RESPONDERS, key=str.lower)
    )
    count = f"They answer {len(RESPONDERS)} commands:\n\n"
    return f"{_SIMULATOR_HEAD}{count}| command | on | what the device does |\n|---|---|---|\n{rows}"


def _platforms(request_type: str) -> str:
    command = find_command(request_type)
    assert command is not None, "the simulator answers what the catalogue has"
    return ", ".join(platform.value for platform in Platform if command.support.get(platform.family) is not None)
