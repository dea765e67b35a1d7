"""The policies that administrators set while the server runs: their names, what each may be, and what stands unset.

A policy is one value, JSON in storage. One that is stored and yet can't be read, since a later version wrote it, counts
as unset: no device is to suffer for it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from muster.domain.control.states import ControlState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.secrets import ROTATABLE, ROTATED_WHEN_REVEALED, SecretKind
from muster.domain.signals import DEFAULT_NONCOMPLIANT, MAY_BE_NONCOMPLIANT
from muster.protocol.account_driven import ModelFamily

PolicyValue: TypeAlias = str | int | bool | list["PolicyValue"] | dict[str, "PolicyValue"] | None
"""What a policy may hold: JSON without fractions."""

MAXIMUM_CHARACTERS = 100_000
"""Of a value as given: a Wi-Fi profile in base64 fits, and nobody fills the database by it."""


class PolicyName(StrEnum):
    """The closed list of policies."""

    ON_ENROLL = "on_enroll"
    ON_RESTORE = "on_restore"
    ADE_LINK = "ade_link"
    ACCOUNT_DRIVEN = "account_driven"
    NETWORK_USERS = "network_users"
    ROTATE_ON_REVEAL = "rotate_on_reveal"
    MASS_FLIP_SHARE = "mass_flip_share"
    NONCOMPLIANT_STATES = "noncompliant_states"


class Admission(StrEnum):
    """Whether devices are let in."""

    ACCEPT = "accept"
    REFUSE = "refuse"


class NetworkUsers(StrEnum):
    """What a Mac is told of a network or mobile user who logs in (UserAuthenticate)."""

    DECLINE = "decline"
    """Not managed: 410, until the next login."""
    ACCEPT = "accept"
    """Managed; the Mac has checked the password at its own directory."""
    DIGEST = "digest"
    """Managed when the password is that of the server's directory."""


@dataclass(frozen=True, slots=True)
class StandingPolicies:
    """Every policy as it stands."""

    on_enroll: Admission = Admission.ACCEPT
    on_restore: Admission = Admission.ACCEPT
    ade_link: str | None = None
    """The link of Automated Device Enrollment without a token in its address."""
    account_driven: Mapping[str, str] = field(default_factory=dict)
    """The link by which people enroll with their account, by the model family of the device, or "default"."""
    network_users: NetworkUsers = NetworkUsers.DECLINE
    rotate_on_reveal: frozenset[SecretKind] = frozenset(ROTATED_WHEN_REVEALED)
    """The kinds of secrets that get a new one in their place once somebody has seen them."""
    mass_flip_share: int = 10
    """Percent of the channels: when more would be told within an hour to be inactive or out of control, a person is
    asked first."""
    noncompliant_states: frozenset[ControlState] = DEFAULT_NONCOMPLIANT
    """The states in which receivers of shared signals are told that a device is not compliant."""


@dataclass(frozen=True, slots=True)
class PolicyKind:
    """What one policy is about. *fault_of* says what is wrong with a value (what it should be), or None."""

    help: str
    default: PolicyValue
    fault_of: Callable[[PolicyValue], str | None]


def _admission_fault(value: PolicyValue) -> str | None:
    return None if value in tuple(Admission) else "it is accept or refuse"


def _network_users_fault(value: PolicyValue) -> str | None:
    return None if value in tuple(NetworkUsers) else f"it is one of {', '.join(NetworkUsers)}"


DEFAULT_FAMILY = "default"
NO_LINK = "none"
"""As a person sets `ade_link` to nothing."""


def _ade_link_fault(value: PolicyValue) -> str | None:
    return None if isinstance(value, str) and value else "it is the id of a link, or none"


def _account_driven_fault(value: PolicyValue) -> str | None:
    families = (*ModelFamily, DEFAULT_FAMILY)
    if isinstance(value, dict) and all(name in families and isinstance(link, str) for name, link in value.items()):
        return None
    return f"it is an object whose names are of {', '.join(families)} and whose values are ids of links"


def _rotate_on_reveal_fault(value: PolicyValue) -> str | None:
    if isinstance(value, list) and all(one in tuple(ROTATABLE) for one in value):
        return None
    return f"it is a list of any of {', '.join(sorted(ROTATABLE))}"


def _noncompliant_fault(value: PolicyValue) -> str | None:
    if isinstance(value, list) and all(one in tuple(MAY_BE_NONCOMPLIANT) for one in value):
        return None
    return f"it is a list of any of {', '.join(sorted(MAY_BE_NONCOMPLIANT))}"


DEFAULT_MASS_FLIP_SHARE = "10"


def _share_fault(value: PolicyValue) -> str | None:
    is_percent = isinstance(value, str) and value.isascii() and value.isdigit() and 1 <= int(value[:4]) <= 100
    return None if is_percent else "it is a percentage, a whole number from 1 to 100 (100: nothing is ever held)"


KINDS: Mapping[PolicyName, PolicyKind] = {
    PolicyName.ON_ENROLL: PolicyKind(
        "accept or refuse devices that come with an enrollment link's fresh identity, known before or not",
        Admission.ACCEPT.value,
        _admission_fault,
    ),
    PolicyName.ON_RESTORE: PolicyKind(
        "accept or refuse devices that come back with an identity they had before: the same profile installed again, "
        "or a device restored from an older backup",
        Admission.ACCEPT.value,
        _admission_fault,
    ),
    PolicyName.ADE_LINK: PolicyKind(
        "the link of kind ade that devices use at /ade, and Apple Configurator is told of; none: no such way",
        NO_LINK,
        _ade_link_fault,
    ),
    PolicyName.ACCOUNT_DRIVEN: PolicyKind(
        'the links by which people enroll with their account, by kind of device, as in {"Mac": "ID", "default": "ID"}',
        {},
        _account_driven_fault,
    ),
    PolicyName.NETWORK_USERS: PolicyKind(
        "decline, accept or digest: whether network and mobile users of Macs are managed (UserAuthenticate); with "
        "digest those whose password the server's directory has",
        NetworkUsers.DECLINE.value,
        _network_users_fault,
    ),
    PolicyName.ROTATE_ON_REVEAL: PolicyKind(
        'secrets replaced an hour after somebody saw them, as in ["filevault_key"]; []: none',
        [one.value for one in ROTATED_WHEN_REVEALED],
        _rotate_on_reveal_fault,
    ),
    PolicyName.MASS_FLIP_SHARE: PolicyKind(
        "percent of all enrollments: when more (and at least 20) would be told within an hour to be inactive or out of "
        "control, telling others waits for `muster flips release`",
        DEFAULT_MASS_FLIP_SHARE,
        _share_fault,
    ),
    PolicyName.NONCOMPLIANT_STATES: PolicyKind(
        "the states in which receivers of shared signals are told that a device is not compliant, "
        'as in ["out_of_control", "ended"]; they are told at once what that changes',
        [one.value for one in sorted(DEFAULT_NONCOMPLIANT)],
        _noncompliant_fault,
    ),
}


def read_policy(name: str, text: str) -> tuple[PolicyName, PolicyValue] | Refusal:
    """Read what somebody sets a policy to: the word itself, or JSON where the policy holds more than a word.

    Refused for a name that there is not, and for a value that doesn't fit, with what it should be.
    """
    if name not in tuple(PolicyName):
        return Refusal(RefusalCode.NOT_FOUND, f"there is no policy {name!r}", f"There are {', '.join(PolicyName)}.")
    known = PolicyName(name)
    if len(text) > MAXIMUM_CHARACTERS:
        return Refusal(RefusalCode.POLICY_UNFIT, f"{name} takes at most {MAXIMUM_CHARACTERS} characters")
    value: PolicyValue = text
    if text.lstrip().startswith(("{", "[", '"')):
        try:
            value = json.loads(text, parse_constant=_no_number, parse_float=_no_number)
        except (ValueError, RecursionError) as error:
            return Refusal(RefusalCode.POLICY_UNFIT, f"{name} can't be set to this: it is not JSON ({error})")
    fault = KINDS[known].fault_of(value)
    if fault is not None:
        return Refusal(RefusalCode.POLICY_UNFIT, f"{name} can't be set to {text[:80]!r}: {fault}")
    return known, value


def _no_number(text: str) -> PolicyValue:
    raise ValueError(f"{text} is no whole number")


def standing_policies(stored: Mapping[str, PolicyValue]) -> StandingPolicies:
    """Make what is *stored*, by name, into the policies as they stand."""
    values = {
        name: stored[name] if name in stored and kind.fault_of(stored[name]) is None else kind.default
        for name, kind in KINDS.items()
    }
    ade_link, account_driven = str(values[PolicyName.ADE_LINK]), values[PolicyName.ACCOUNT_DRIVEN]
    rotated = values[PolicyName.ROTATE_ON_REVEAL]
    noncompliant = values[PolicyName.NONCOMPLIANT_STATES]
    assert isinstance(noncompliant, list), "its fault was looked for"
    assert isinstance(account_driven, dict), "its fault was looked for"
    assert isinstance(rotated, list), "its fault was looked for"
    return StandingPolicies(
        on_enroll=Admission(str(values[PolicyName.ON_ENROLL])),
        on_restore=Admission(str(values[PolicyName.ON_RESTORE])),
        ade_link=None if ade_link == NO_LINK else ade_link,
        account_driven={family: str(link) for family, link in account_driven.items()},
        network_users=NetworkUsers(str(values[PolicyName.NETWORK_USERS])),
        rotate_on_reveal=frozenset(SecretKind(str(one)) for one in rotated),
        noncompliant_states=frozenset(ControlState(str(one)) for one in noncompliant),
        mass_flip_share=int(str(values[PolicyName.MASS_FLIP_SHARE])),
    )
