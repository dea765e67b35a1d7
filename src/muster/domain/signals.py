"""Shared signals: which states make a device not compliant, and what a stream is told of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from muster.domain.control.states import TOLD, ControlState
from muster.domain.events import Detail
from muster.protocol.identifiers import ChannelId
from muster.protocol.shared_signals import Compliance

DEFAULT_NONCOMPLIANT: Final = frozenset({ControlState.INACTIVE, ControlState.OUT_OF_CONTROL, ControlState.ENDED})
MAY_BE_NONCOMPLIANT: Final = TOLD
"""`quiet` is a suspicion, and `unknown` and `dormant` are nobody's fault: nobody loses access for them."""
VERIFICATION_INTERVAL: Final = timedelta(seconds=60)
"""Between two verifications that a receiver asks for: our `min_verification_interval`."""
KEY_SIGNS_AFTER: Final = timedelta(days=1)
"""From when on a new key signs: receivers keep our keys for so long at most, and know it by then."""
KEY_KEPT_FOR: Final = timedelta(days=60)
"""How long a key is published after another signs: longer than tokens wait for a receiver who comes back at all."""


class SignalType(StrEnum):
    """What goes to a stream; the words stand in the outbox."""

    COMPLIANCE = "signals.compliance"
    VERIFICATION = "signals.verification"
    STREAM_UPDATED = "signals.stream_updated"


@dataclass(frozen=True, slots=True)
class Signal:
    """One event of a stream. Its id is the token's, for good: the receiver may see it twice, and keeps the first."""

    id: str
    type: SignalType
    channel_id: ChannelId
    at: datetime
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs tokens from *signs_from* on. *jwk*: its public half."""

    kid: str
    jwk: Mapping[str, str]
    key_sealed: bytes = field(repr=False)
    created_at: datetime
    signs_from: datetime


def compliance_of(state: ControlState, noncompliant: Collection[ControlState]) -> Compliance:
    """Say in CAEP's words what others know of a device; *state* is one that is told, or in control."""
    return Compliance.NOT_COMPLIANT if state in noncompliant else Compliance.COMPLIANT


def signing_key(keys: Collection[SigningKey], now: datetime) -> SigningKey | None:
    """Return the key that signs now: of those that may the youngest; None: there is none."""
    return max((one for one in keys if one.signs_from <= now), key=lambda one: one.signs_from, default=None)


def published_keys(keys: Collection[SigningKey], now: datetime) -> tuple[SigningKey, ...]:
    """Return the keys that receivers are shown: those that sign, will sign, or signed until KEY_KEPT_FOR ago."""
    in_order = sorted(keys, key=lambda one: one.signs_from)
    ends = [after.signs_from for after in in_order[1:]]
    return tuple(one for number, one in enumerate(in_order) if number >= len(ends) or now < ends[number] + KEY_KEPT_FOR)
