"""Whether a command can be carried out: its form, and what is known of the device it goes to.

What Apple may have added after the catalogue was made (a command, a key, a word) is a warning: somebody who knows can
insist. What can't become right by a newer catalogue (a missing key, another type) is an error.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Final

from muster.domain.command_combinations import check_combination
from muster.domain.command_findings import CommandTarget, Finding, FindingCode, Severity
from muster.domain.command_fitness import Part, unfit
from muster.protocol.catalogue.commands import find_command, similar_commands, similar_names
from muster.protocol.catalogue.facts import CommandFacts, KeyFacts, ValueKind
from muster.protocol.command import CommandRequest
from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue
from muster.protocol.profile_contents import read_profile_contents

MAX_FINDINGS: Final = 50
"""Of one command: nobody reads more, and a request may hold a hundred thousand items that are all wrong alike."""

_SHOWN_CHARACTERS: Final = 40
_SHOWN_VALUES: Final = 12

_TYPES: Final[Mapping[ValueKind, tuple[type, ...]]] = {
    ValueKind.STRING: (str,),
    ValueKind.BOOLEAN: (bool,),
    ValueKind.INTEGER: (int,),
    ValueKind.REAL: (float, int),
    ValueKind.DATE: (datetime,),
    ValueKind.DATA: (bytes,),
    ValueKind.ARRAY: (list,),
    ValueKind.DICTIONARY: (dict,),
}


def check_command(
    request: CommandRequest, targets: Collection[CommandTarget] = (CommandTarget(),)
) -> dict[CommandTarget, tuple[Finding, ...]]:
    """Tell of each of *targets* what is to be said of *request*, at most MAX_FINDINGS each, in the order of its keys.

    Not checked: what keys mean together, but for the few rules of `command_combinations`, and whether the profiles and
    apps it names exist.
    """
    profile = tuple(_check_profile(request))
    return {
        target: tuple(islice((*profile, *islice(_check(request, target), MAX_FINDINGS)), MAX_FINDINGS))
        for target in targets
    }


def _check(request: CommandRequest, target: CommandTarget) -> Iterator[Finding]:
    request_type = request.request_type
    if "RequestType" in request.keys:
        message = "RequestType names the command itself, and can't stand among its keys; leave it out"
        yield Finding(Severity.ERROR, FindingCode.MISPLACED_KEY, "RequestType", message)
    facts = find_command(request_type)
    if facts is None:
        meant = next((one for one in similar_commands(request_type) if one.casefold() == _letters(request_type)), None)
        if meant is not None:  # who is strict here would not act, who is lenient would; and it is counted as no erasure
            message = f"{request_type!r} is {meant} in other letters; write {meant}"
            yield Finding(Severity.ERROR, FindingCode.UNKNOWN_COMMAND, "", message)
            return
        near = _did_you_mean(similar_commands(request_type))
        message = f"no command {request_type} is known here: devices that don't know it answer with an error{near}"
        yield Finding(Severity.WARNING, FindingCode.UNKNOWN_COMMAND, "", message)
        return
    yield from check_request(facts, {name: one for name, one in request.keys.items() if name != "RequestType"}, target)


def _letters(request_type: str) -> str:
    """What is left of a request type without regard to case, spaces and what can't be seen."""
    return "".join(one for one in request_type.casefold() if one.isalnum())


def check_request(facts: CommandFacts, keys: Mapping[str, PlistValue], target: CommandTarget) -> Iterator[Finding]:
    """Tell what is to be said of a request with *keys* for the command *facts* to *target*."""
    against = list(unfit(facts.request_type, "", facts.support, target, Part.COMMAND))
    yield from against
    if any(finding.code is FindingCode.NOT_FOR_OS for finding in against):
        target = CommandTarget()  # every key would be said not to be for it either
    yield from _check_members(facts.request, keys, facts.request_type, "", target)
    yield from check_combination(facts.request_type, keys, target)


# --- the form ---------------------------------------------------------------------------------------------------------


def _check_members(
    members: tuple[KeyFacts, ...], value: Mapping[str, PlistValue], owner: str, path: str, target: CommandTarget
) -> Iterator[Finding]:
    """Check the keys of a dictionary. *owner* is what to call it."""
    named = {member.name: member for member in members if not member.stands_for_all}
    any_name = next((member for member in members if member.stands_for_all), None)
    for member in named.values():
        if member.is_required and member.name not in value and not _is_absent_on(member, target):
            missing = _join(path, member.name)
            message = f"{missing} is missing, without which the device answers with an error; give {_a(member.kind)}"
            yield Finding(Severity.ERROR, FindingCode.MISSING_KEY, missing, message)
    for name, one in value.items():
        known = named.get(name, any_name)
        if known is None:
            near = _did_you_mean(similar_names(name, named))
            message = f"{owner} has no key {_shown(name)} that is known here: devices pass over such keys{near}"
            yield Finding(Severity.WARNING, FindingCode.UNKNOWN_KEY, _join(path, name), message)
        else:
            yield from _check_value(known, one, _join(path, name), target)


def _is_absent_on(member: KeyFacts, target: CommandTarget) -> bool:
    family = target.family
    return family is not None and family in member.support and member.support[family] is None


def _check_value(key: KeyFacts, value: PlistValue, path: str, target: CommandTarget) -> Iterator[Finding]:
    yield from unfit(path, path, key.support, target, Part.KEY)
    if not is_of_kind(value, key.kind):
        message = f"{path} must be {_a(key.kind)}, and is {_a(kind_of(value))}; the device answers with an error"
        yield Finding(Severity.ERROR, FindingCode.WRONG_TYPE, path, message)
        return
    yield from _check_bounds(key, value, path)
    if isinstance(value, str | int | float) and key.allowed and value not in key.allowed:
        yield _unknown_value(path, value, [str(one) for one in key.allowed])
    elif isinstance(value, str) and key.members:
        yield from _check_word(key, value, path, target)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check_item(key, item, f"{path}[{index}]", target)
    elif isinstance(value, dict) and key.members:
        yield from _check_members(key.members, value, path, path, target)


def _check_bounds(key: KeyFacts, value: PlistValue, path: str) -> Iterator[Finding]:
    if isinstance(value, int | float) and not _is_within(value, *key.bounds):
        message = f"{path} must be {_range(*key.bounds)}; the device answers with an error"
        yield Finding(Severity.ERROR, FindingCode.OUT_OF_RANGE, path, message)
    if isinstance(value, list) and not _is_within(len(value), *key.repetition):
        message = f"{path} has {len(value)} items and must have {_range(*key.repetition)}; give another number of them"
        yield Finding(Severity.ERROR, FindingCode.WRONG_COUNT, path, message)
    if isinstance(value, str) and key.pattern is not None and re.search(key.pattern, value) is None:
        message = f"{path} has another form than {key.pattern}; the device answers with an error"
        yield Finding(Severity.ERROR, FindingCode.WRONG_FORMAT, path, message)


def _check_word(key: KeyFacts, value: str, path: str, target: CommandTarget) -> Iterator[Finding]:
    """Check a string that must be one of its members' names, each with a support of its own."""
    word = next((member for member in key.members if member.name == value), None)
    if word is None:
        yield _unknown_value(path, value, [member.name for member in key.members])
    else:
        yield from unfit(value, path, word.support, target, Part.QUESTION)


def _check_item(array: KeyFacts, item: PlistValue, path: str, target: CommandTarget) -> Iterator[Finding]:
    """Check an item of an array; where there are several kinds, each is a dictionary that names itself in one key."""
    if len(array.members) == 1:
        yield from _check_value(array.members[0], item, path, target)
        return
    tag_name = next((tag.name for kind in array.members if (tag := _tag(kind)) is not None), None)
    if tag_name is None:
        return
    kinds = {kind.name if (tag := _tag(kind)) is None else str(tag.allowed[0]): kind for kind in array.members}
    if not isinstance(item, dict):
        message = f"{path} must be a dictionary, and is {_a(kind_of(item))}; the device answers with an error"
        yield Finding(Severity.ERROR, FindingCode.WRONG_TYPE, path, message)
        return
    tag_path, said = _join(path, tag_name), item.get(tag_name)
    if said is None:
        message = f"{tag_path} is missing, by which the device tells what it is asked; give a string"
        yield Finding(Severity.ERROR, FindingCode.MISSING_KEY, tag_path, message)
    elif not isinstance(said, str):
        message = f"{tag_path} must be a string, and is {_a(kind_of(said))}; the device answers with an error"
        yield Finding(Severity.ERROR, FindingCode.WRONG_TYPE, tag_path, message)
    elif said not in kinds:
        yield _unknown_value(tag_path, said, list(kinds))
    else:
        kind = kinds[said]
        yield from unfit(f"{path} ({said})", path, kind.support, target, Part.KEY)
        others = {name: value for name, value in item.items() if name != tag_name}
        members = tuple(member for member in kind.members if member.name != tag_name)  # one lacks it in the schema
        yield from _check_members(members, others, said, path, target)


def _tag(kind: KeyFacts) -> KeyFacts | None:
    """Return the key by which a dictionary says of which kind it is, or None."""
    return next((member for member in kind.members if member.is_required and len(member.allowed) == 1), None)


def _unknown_value(path: str, value: PlistValue, known: list[str]) -> Finding:
    words = ", ".join(known[:_SHOWN_VALUES]) + (", ..." if len(known) > _SHOWN_VALUES else "")
    near = _did_you_mean(similar_names(str(value), known))
    message = f"{path} is {_shown(value)}, which is not among what is known here ({words}): devices refuse or ignore it"
    return Finding(Severity.WARNING, FindingCode.UNKNOWN_VALUE, path, message + near)


# --- profiles ---------------------------------------------------------------------------------------------------------


def _check_profile(request: CommandRequest) -> Iterator[Finding]:
    """Check what InstallProfile would install: never a profile that enrolls, for it would strand the device."""
    payload = request.keys.get("Payload")
    if request.request_type != "InstallProfile" or not isinstance(payload, bytes):
        return
    try:
        contents = read_profile_contents(payload)
    except MalformedMessage as error:
        message = f"Payload is no configuration profile ({error}); the device answers with an error"
        yield Finding(Severity.ERROR, FindingCode.PROFILE_UNREADABLE, "Payload", message)
        return
    if contents.has_mdm_payload:
        message = (
            "Payload is an enrollment profile (com.apple.mdm), which would cut the device off in place of its present "
            "one; to renew its identity use `muster devices renew`"
        )
        yield Finding(Severity.ERROR, FindingCode.MDM_PAYLOAD, "Payload", message)
    if contents.is_encrypted:
        message = "Payload is encrypted for a device: what it holds can't be checked, so send it only if you made it"
        yield Finding(Severity.WARNING, FindingCode.PROFILE_ENCRYPTED, "Payload", message)
    if contents.identifier is None:
        message = "Payload is a profile without PayloadIdentifier, so that it could be neither replaced nor removed"
        yield Finding(Severity.WARNING, FindingCode.PROFILE_INCOMPLETE, "Payload", message)
    if len(contents.accounts) > 1:
        kinds = ", ".join(sorted(set(contents.accounts)))
        message = (
            f"Payload is one profile with {len(contents.accounts)} accounts ({kinds}): a change, a new password or a "
            "renewed certificate of one sets all of them up anew, and none can be removed alone; send a profile for "
            "each, as `muster accounts` does"
        )
        yield Finding(Severity.WARNING, FindingCode.SEVERAL_ACCOUNTS, "Payload", message)


# --- words ------------------------------------------------------------------------------------------------------------


def is_of_kind(value: PlistValue, kind: ValueKind) -> bool:
    """Tell whether a value is of a type of the catalogue's; a whole number is a real one, too."""
    if kind is ValueKind.ANY:
        return True
    if isinstance(value, bool):  # an int to Python
        return kind is ValueKind.BOOLEAN
    return isinstance(value, _TYPES[kind])


def kind_of(value: PlistValue) -> ValueKind:
    """Return the type of a value, as the catalogue names it."""
    return next(kind for kind in _TYPES if is_of_kind(value, kind))


def _is_within(number: float, smallest: float | None, largest: float | None) -> bool:
    return (smallest is None or number >= smallest) and (largest is None or number <= largest)


def _range(smallest: float | None, largest: float | None) -> str:
    if smallest is None or largest is None:
        return f"at least {smallest}" if largest is None else f"at most {largest}"
    return f"{smallest} to {largest}"


def _a(kind: ValueKind) -> str:
    """Name a type with its article."""
    return {ValueKind.INTEGER: "a whole number", ValueKind.ARRAY: "an array", ValueKind.DATA: "data"}.get(
        kind, "a value" if kind is ValueKind.ANY else f"a {kind}"
    )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: PlistValue) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _did_you_mean(names: tuple[str, ...]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""
