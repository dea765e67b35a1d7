"""What a statement says of each channel: a line of canonical JSON, and the counts over all of them."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from muster.domain.control.states import ControlState
from muster.domain.control_report.canonical import Json, instant, written
from muster.domain.control_report.merkle import Tree

NOT_JUDGED: Final = "not_judged"
"""In place of a state: the channel was known, and no verdict had been made."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One channel at the time of a statement. *state*, *reason*, *since* and what follows are absent where it had not
    been judged. *proof_level*: as it was when that verdict was made, or at *proof_at* where that is known.

    *changes*: how many steps its story had by then, *story* the hash over them, each over those before it.
    """

    channel: str
    device: str
    kind: str
    serial_number: str | None
    changes: int
    story: bytes
    state: str | None = None
    reason: str | None = None
    candidates: Sequence[str] = ()
    since: datetime | None = None
    noticed_at: datetime | None = None
    sentence: str | None = None
    proof_level: int | None = None
    proof_at: datetime | None = None

    def data(self) -> dict[str, Json]:
        """Return the entry as it is read from its line."""
        return {
            "candidates": list(self.candidates),
            "changes": self.changes,
            "channel": self.channel,
            "device": self.device,
            "kind": self.kind,
            "noticed_at": instant(self.noticed_at),
            "proof_at": instant(self.proof_at),
            "proof_level": self.proof_level,
            "reason": self.reason,
            "sentence": self.sentence,
            "serial_number": self.serial_number,
            "since": instant(self.since),
            "state": self.state,
            "story": self.story.hex(),
        }

    def line(self) -> bytes:
        """Return the entry as it stands in the file, without the end of the line."""
        return written(self.data())


def story_hash(former: bytes, step: Sequence[Json]) -> bytes:
    """Return the hash over one step of a channel's story and all before it; *former* is empty at the first."""
    return hashlib.sha256(former + written(list(step))).digest()


class Tally:
    """Counts over entries: devices and users' channels apart, by state, and those in control by their proof."""

    def __init__(self) -> None:
        self._of_devices = _Counts()
        self._of_users = _Counts()

    def add(self, entry: Mapping[str, Json]) -> None:
        """Count one entry, as it is read from its line. Raises ValueError where it is none."""
        state, reason, level = entry.get("state"), entry.get("reason"), entry.get("proof_level")
        channel, device = entry.get("channel"), entry.get("device")
        if not isinstance(channel, str) or not isinstance(device, str):
            raise ValueError("an entry names no channel")
        counts = self._of_devices if channel == device else self._of_users
        counts.add(str(NOT_JUDGED if state is None else state), str(reason), str(level))

    def counts(self) -> dict[str, Json]:
        """Return the counts as they stand in a statement."""
        return {"devices": self._of_devices.told(), "user_channels": self._of_users.told()}


class _Counts:
    def __init__(self) -> None:
        self._states: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._proofs: Counter[str] = Counter()

    def add(self, state: str, reason: str, level: str) -> None:
        self._states[state] += 1
        if state == ControlState.IN_CONTROL.value:
            self._proofs[level] += 1
        elif state != NOT_JUDGED:
            self._reasons[reason] += 1

    def told(self) -> dict[str, Json]:
        return {
            "total": self._states.total(),
            "states": dict(self._states),
            "in_control_by_proof_level": dict(self._proofs),
            "others_by_reason": dict(self._reasons),
        }


@dataclass(frozen=True, slots=True)
class Contents:
    """What a statement says of its entries: the Merkle root over their lines, the SHA-256 of their file, the counts."""

    count: int
    root: bytes
    sha256: bytes
    counts: Mapping[str, Json]


def contents_of(entries: Iterable[tuple[bytes, Mapping[str, Json]]]) -> Contents:
    """Take up entries, each as its line (without its end) and as it is read. Raises ValueError where one is none."""
    tree, digest, tally = Tree(), hashlib.sha256(), Tally()
    for line, entry in entries:
        tree.add(line)
        digest.update(line + b"\n")
        tally.add(entry)
    return Contents(tree.size, tree.root(), digest.digest(), tally.counts())
