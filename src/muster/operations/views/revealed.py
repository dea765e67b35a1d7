"""A secret that was revealed, as text."""

import base64
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from muster.domain.secrets import SecretKind, SecretState
from muster.operations.reveal_secrets import RevealedSecret


class Encoding(StrEnum):
    """How a secret is written."""

    TEXT = "text"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class RevealedValue:
    """A secret, in the clear. *others*: how many of the same kind may be the right one instead; *rotates_at*: when a
    new one takes its place, where one does."""

    kind: SecretKind
    subject: str
    state: SecretState
    since: datetime
    others: int
    rotates_at: datetime | None
    value: str
    encoding: Encoding


def as_revealed(seen: RevealedSecret) -> RevealedValue:
    """Write a secret as text, in base64 where it is none."""
    if seen.value.isascii() and seen.value.decode("ascii").isprintable():
        value, encoding = seen.value.decode("ascii"), Encoding.TEXT
    else:
        value, encoding = base64.b64encode(seen.value).decode(), Encoding.BASE64
    return RevealedValue(seen.kind, seen.subject, seen.state, seen.since, seen.others, seen.rotates_at, value, encoding)
