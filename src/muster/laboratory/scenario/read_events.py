"""Reading what happens and what is expected: `[[event]]` and `[[expect]]`."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, assert_never

from muster.domain.command_findings import CommandTarget, Severity
from muster.domain.command_validation import check_command
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.laboratory.scenario.model import (
    ADE,
    APNS,
    EVERYBODY,
    SERVER,
    Cohort,
    Expectation,
    Happening,
    Span,
    Value,
    Way,
    Who,
)
from muster.laboratory.scenario.primitives.forms import Kind, Lasts, Parameter, Primitive, Target
from muster.laboratory.scenario.primitives.table import OF_ADE, OF_DDM, PRIMITIVES
from muster.laboratory.scenario.read_fleet import Fleet
from muster.laboratory.scenario.tables import Table, nearest
from muster.laboratory.scenario.times import read_duration
from muster.protocol.apns import REASONS
from muster.protocol.catalogue.commands import find_command
from muster.protocol.command import CommandRequest

MAX_EVENTS: Final = 20_000
LEAST_EVERY: Final = timedelta(minutes=1)
MAX_TIMES: Final = 1_000_000
"""That events come, in all and for each whom they befall: all are laid out before the first one happens."""
_EVENT_KEYS: Final = frozenset({"do", "on", "share", "count", "apart", "at", "between", "for", "every", "times"})
_EXPECT_KEYS: Final = frozenset({"on", "at", "from", "until", "within", "state", "reason", "recovered", "user"})
_WORDS: Final = {SERVER: Target.SERVER, APNS: Target.APNS, ADE: Target.ADE}


def read_happenings(root: Table, fleet: Fleet, begins_at: datetime, duration: timedelta) -> tuple[Happening, ...]:
    """Read every `[[event]]`, in order; what is wrong is noted."""
    tables = root.tables("event")
    if len(tables) > MAX_EVENTS:
        root.note("event", f"there are more than {MAX_EVENTS} events")
        return ()
    happenings: list[Happening] = []
    times = 0
    for table in tables:
        one = _happening(table, fleet, begins_at, duration)
        if one is None:
            continue
        happenings.append(one)
        times += _times_at_most(one, fleet, duration)
        if times > MAX_TIMES:
            table.note("every", f"with this event there are more than {MAX_TIMES} that happen, all times counted")
            break
    return tuple(happenings)


def _times_at_most(one: Happening, fleet: Fleet, duration: timedelta) -> int:
    """How often it happens at most, for each that it befalls."""
    names = set(one.who.names)
    befallen = sum(
        cohort.count
        for cohort in fleet.cohorts.values()
        if EVERYBODY in names or cohort.name in names or cohort.site in names
    ) + len(names)
    if one.who.count is not None:
        befallen = min(befallen, one.who.count)
    if one.every is None or one.every < LEAST_EVERY or one.when.first > duration:
        return befallen
    comes = int((duration - one.when.first) / one.every) + 1
    return befallen * (comes if one.times is None else min(comes, one.times))


def _happening(table: Table, fleet: Fleet, begins_at: datetime, duration: timedelta) -> Happening | None:
    word = table.word("do", PRIMITIVES) if table.require("do") else None
    names = _names(table, fleet)
    when = _when(table, begins_at, duration)
    if word is None:
        return None
    primitive = PRIMITIVES[word]
    table.check_keys(_EVENT_KEYS | {parameter.name for parameter in primitive.parameters})
    who = Who(names, table.share("share"), table.count("count"), table.flag("apart") or False)
    _check_targets(table, primitive, who, fleet)
    _check_ways(table, primitive, who, fleet)
    lasts = table.durations("for") if table.has("for") else None
    if primitive.lasts is Lasts.A_MOMENT and table.has("for"):
        table.note("for", f"{word} takes a moment, it doesn't last")
    if lasts is not None and lasts[0] <= timedelta(0):
        table.note("for", "is more than no time")
    every = table.duration("every")
    if every is not None and every < LEAST_EVERY:
        table.note("every", "is at least a minute")
    if table.has("times") and not table.has("every"):
        table.note("times", "goes with every")
    return Happening(
        primitive=word,
        who=who,
        when=when,
        duration=None if lasts is None else Span(*lasts),
        parameters=_parameters(table, primitive, fleet),
        every=every,
        times=table.count("times"),
        line=table.line,
    )


def _names(table: Table, fleet: Fleet) -> tuple[str, ...]:
    names = table.words("on") if table.require("on") else None
    known = (*fleet.cohorts, *fleet.sites, SERVER, APNS, ADE, EVERYBODY)
    for name in names or ():
        if name in known or fleet.has_device(name):
            continue
        cohort = fleet.cohorts.get(name.rpartition("/")[0])
        if cohort is not None:
            table.note("on", f"there is no {name}: the devices of {cohort.name} are 1 to {cohort.count}")
        else:
            table.note("on", f"there is no {name}{nearest(name, known)}")
    return names or ()


def _when(table: Table, begins_at: datetime, duration: timedelta) -> Span:
    if table.has("at") == table.has("between"):
        words = "at and between exclude one another" if table.has("at") else "at (or between) is missing"
        table.faults.note(table.path, words)
        return Span(timedelta(0), timedelta(0))
    key = "at" if table.has("at") else "between"
    value = table.values[key]
    if key == "between" and not (isinstance(value, list) and len(value) == 2):
        table.note(key, 'is a list of two times, as in ["10d", "20d"]')
        return Span(timedelta(0), timedelta(0))
    first, last = (
        table.moment(key, one, begins_at)
        for one in (value if isinstance(value, list) and key == "between" else [value] * 2)
    )
    if first is None or last is None:
        return Span(timedelta(0), timedelta(0))
    if not first <= last:
        table.note(key, "the second time is before the first")
    if last > duration:
        table.note(key, "is after the end of the scenario")
    return Span(first, last)


def _check_targets(table: Table, primitive: Primitive, who: Who, fleet: Fleet) -> None:
    """Whether everything that is named can be befallen by it, and whether a choice among them makes sense."""
    for name in who.names:
        if name in _WORDS:
            fits = _WORDS[name] in primitive.targets
        elif name in fleet.sites:
            fits = Target.SITE in primitive.targets or Target.DEVICES in primitive.targets
        else:
            fits = Target.DEVICES in primitive.targets
        if not fits:
            meant = " or ".join(_named(target) for target in primitive.targets)
            table.note("on", f"{primitive.name} befalls {meant}, not {name}")
    chooses = who.share is not None or who.count is not None or who.apart
    if table.has("share") and table.has("count"):
        table.note("share", "share and count exclude one another")
    if chooses and not is_of_devices(primitive, who, fleet):
        table.note("on", "share, count and apart choose among devices")


def _check_ways(table: Table, primitive: Primitive, who: Who, fleet: Fleet) -> None:
    """Whether devices have what the primitive is about: a place in Apple's list, declarative management, users."""
    for cohort in _cohorts_of(who.names, fleet):
        if primitive in OF_ADE and cohort.way is not Way.SETUP_ASSISTANT:
            table.note(
                "on", f'{primitive.name} befalls devices that came by way = "setup_assistant", not {cohort.name}'
            )
        if primitive.name in OF_DDM and not cohort.speaks_ddm:
            table.note("on", f"{primitive.name} befalls devices with ddm = true, not {cohort.name}")
        user = table.values.get("user")
        if primitive.parameter("user") and isinstance(user, int) and user > cohort.users:
            table.note("user", f"there is no user {user} of {cohort.name}: they have {cohort.users}")


def _cohorts_of(names: Collection[str], fleet: Fleet) -> Iterator[Cohort]:
    for cohort in fleet.cohorts.values():
        is_named = any(name.partition("/")[0] == cohort.name for name in names)
        if is_named or {EVERYBODY, cohort.site} & set(names):
            yield cohort


def is_of_devices(primitive: Primitive, who: Who, fleet: Fleet) -> bool:
    """Whether an event befalls devices, each for itself: a site is one thing to what befalls sites."""
    is_site = Target.SITE in primitive.targets and any(name in fleet.sites for name in who.names)
    return Target.DEVICES in primitive.targets and not is_site and not any(name in _WORDS for name in who.names)


def _named(target: Target) -> str:
    match target:
        case Target.DEVICES:
            return "devices"
        case Target.SITE:
            return "sites"
        case Target.SERVER | Target.APNS | Target.ADE:
            return f'"{target.value}"'
        case _:
            assert_never(target)


def _parameters(table: Table, primitive: Primitive, fleet: Fleet) -> dict[str, Value]:
    read: dict[str, Value] = {}
    for parameter in primitive.parameters:
        if parameter.needed and not table.require(parameter.name):
            continue
        value = _parameter(table, parameter, fleet) if table.has(parameter.name) else _default(parameter)
        if value is not None:
            read[parameter.name] = value
    command = read.get("command")
    if isinstance(command, str) and find_command(command) is None:
        table.note("command", f"there is no command {command}")
    elif isinstance(command, str) and primitive.name == "send":
        _check_command(table, command, read.get("keys", {}))
    reason = read.get("reason")
    if primitive.name == "reject" and reason is not None and reason not in {word for _, word in REASONS}:
        table.note("reason", f"APNs has no reason {reason}{nearest(str(reason), {word for _, word in REASONS})}")
    return read


def _check_command(table: Table, command: str, keys: Value) -> None:
    """Note what would be wrong with the form of a command, whatever it goes to."""
    if not isinstance(keys, Mapping):
        return
    target = CommandTarget()
    for finding in check_command(CommandRequest(command, dict(keys)), [target])[target]:
        if finding.severity is Severity.ERROR:
            table.note("keys" if table.has("keys") else "command", finding.message)


def _default(parameter: Parameter) -> Value | None:
    if parameter.kind is Kind.DURATION and isinstance(parameter.default, str):
        return read_duration(parameter.default)
    return parameter.default


def _parameter(table: Table, parameter: Parameter, fleet: Fleet) -> Value | None:
    key = parameter.name
    match parameter.kind:
        case Kind.WORD:
            return table.word(key, parameter.words)
        case Kind.DURATION:
            return table.duration(key, may_be_negative=key == "offset")
        case Kind.HOURS:
            return table.text(key) if table.hours(key) is not None else None
        case Kind.DEVICE:
            return _named_one(table, key, "device", fleet.has_device, fleet.cohorts)
        case Kind.SITE:
            return _named_one(table, key, "site", lambda name: name in fleet.sites, fleet.sites)
        case Kind.KEYS:
            return _keys(table, key)
        case _:
            return _SIMPLE[parameter.kind](table, key)


_SIMPLE: Final[Mapping[Kind, Callable[[Table, str], Value | None]]] = {
    Kind.TEXT: lambda table, key: table.text(key),
    Kind.SHARE: lambda table, key: table.share(key),
    Kind.COUNT: lambda table, key: table.count(key),
    Kind.FLAG: lambda table, key: table.flag(key),
}


def _keys(table: Table, key: str) -> Value | None:
    value = table.values[key]
    if isinstance(value, dict):
        return value
    table.note(key, 'is a table of keys, as in { Queries = ["OSVersion"] }')
    return None


def _named_one(table: Table, key: str, what: str, exists: Callable[[str], bool], known: Iterable[str]) -> str | None:
    value = table.text(key)
    if value is not None and not exists(value):
        table.note(key, f"there is no {what} {value}{nearest(value, known)}")
        return None
    return value


def read_expectations(root: Table, fleet: Fleet, begins_at: datetime, duration: timedelta) -> tuple[Expectation, ...]:
    """Read every `[[expect]]`, in order; what is wrong is noted."""
    read = (_expectation(table, fleet, begins_at, duration) for table in root.tables("expect"))
    return tuple(one for one in read if one is not None)


def _expectation(table: Table, fleet: Fleet, begins_at: datetime, duration: timedelta) -> Expectation | None:
    table.check_keys(_EXPECT_KEYS)
    names = _names(table, fleet)
    for name in names:
        if name in _WORDS:
            table.note("on", f"verdicts are of devices, not of {name}")
    begins, ends = _times(table, begins_at, duration)
    within = table.duration("within")
    if within is not None and ends != begins:
        table.note("within", "goes with at")
    states = _known_words(table, "state", tuple(ControlState))
    reasons = _known_words(table, "reason", tuple(Reason))
    recovered = table.flag("recovered")
    if not (table.has("state") or table.has("reason") or table.has("recovered")):
        table.faults.note(table.path, "nothing is expected: state, reason or recovered is missing")
    user = table.count("user")
    for cohort in _cohorts_of(names, fleet):
        channels = cohort.users if cohort.has_user_channel else 0
        if user is not None and user > channels:
            table.note("user", f"there is no user {user} of {cohort.name} with a channel: they have {channels}")
    return Expectation(
        who=Who(names),
        begins_at=begins,
        ends_at=ends,
        within=within,
        states=frozenset(ControlState(state) for state in states),
        reasons=frozenset(Reason(reason) for reason in reasons),
        recovered=recovered,
        user=user,
        line=table.line,
    )


def _times(table: Table, begins_at: datetime, duration: timedelta) -> tuple[timedelta, timedelta]:
    if table.has("at") == (table.has("from") or table.has("until")):
        words = (
            "at, and from and until, exclude one another" if table.has("at") else "at (or from and until) is missing"
        )
        table.faults.note(table.path, words)
        return timedelta(0), timedelta(0)
    if table.has("at"):
        moment = table.moment("at", table.values["at"], begins_at)
        begins = ends = moment if moment is not None else timedelta(0)
    else:
        first = table.moment("from", table.values.get("from", "0s"), begins_at)
        last = table.moment("until", table.values["until"], begins_at) if table.has("until") else duration
        begins, ends = first or timedelta(0), last if last is not None else duration
    if begins > ends:
        table.note("until", "is before from")
    if ends > duration:
        table.note("at" if table.has("at") else "until", "is after the end of the scenario")
    return begins, ends


def _known_words(table: Table, key: str, known: tuple[str, ...]) -> list[str]:
    words = (table.words(key) or ()) if table.has(key) else ()
    for word in words:
        if word not in known:
            table.note(key, f"there is no {key} {word}{nearest(word, known)}")
    return [word for word in words if word in known]
