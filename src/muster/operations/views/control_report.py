"""What every channel was held to be at one time, for a report."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from muster.domain.control.policy_history import ACTS, PolicyAct, set_after
from muster.domain.control.policy_settings import policy_of, texts_of
from muster.domain.control_report.canonical import Json, instant, read
from muster.domain.control_report.entries import Entry
from muster.domain.errors import Refusal
from muster.domain.queries.syntax import Query
from muster.operations.read_query import read_query
from muster.protocol.identifiers import ChannelId, ChannelKind
from muster.storage import people, queries, stories
from muster.storage.engine import Transaction
from muster.storage.stories import Known, Stand

AT_A_TIME = 2000
"""Channels whose stories are held at once."""


def entries_at(tx: Transaction, at: datetime, query: Query | None, now: datetime) -> Iterator[Entry]:
    """Tell what was held of each channel at *at*, which is not after *now*, in the order of their ids.

    With *query* only those that it finds now: what was known of devices at other times is not kept.
    """
    known = stories.known_by(tx, at)
    if query is not None:
        found = set(tx.connection.scalars(queries.found_by(tx, query, now, users=None)))
        known = {id_: one for id_, one in known.items() if id_ in found}
    ids = sorted(known)
    for start in range(0, len(ids), AT_A_TIME):
        some = ids[start : start + AT_A_TIME]
        stands = stories.stands(tx, some, at)
        yield from (_entry(known[id_], stands.get(id_)) for id_ in some)


@dataclass(frozen=True, slots=True)
class Compared:
    """A report held against what is stored now. *changed*: channels whose story up to its time is another, *missing*
    those that have none any more; *is_audit_whole*: the audit log is as it was then, as far as it went.
    """

    channels: int
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    is_audit_whole: bool

    @property
    def is_same(self) -> bool:
        """Whether nothing of what the report rests on was changed since."""
        return not self.changed and not self.missing and self.is_audit_whole


def compare(tx: Transaction, stated: Mapping[str, Json], lines: Iterable[bytes]) -> Compared:
    """Hold a verified report against what is stored: every story, and the audit log. *lines* as `verify_entries`
    accepted them.
    """
    at = datetime.fromisoformat(str(stated["at"]))
    count = 0
    changed: list[str] = []
    missing: list[str] = []
    for some in batched(lines, AT_A_TIME):
        then = {ChannelId(str(one["channel"])): one for one in (read(line[:-1]) for line in some)}
        stands = stories.stands(tx, sorted(then), at)
        count += len(then)
        for id_, one in then.items():
            stand = stands.get(id_)
            if (stand.story.hex() if stand else "") != one["story"]:
                (changed if stand else missing).append(id_)
    roots = stated.get("roots")
    log = roots.get("audit_log") if isinstance(roots, Mapping) else None
    acts, printed = (log.get("acts"), log.get("hash")) if isinstance(log, Mapping) else (None, None)
    found = people.hash_of_act(tx, acts) if isinstance(acts, int) and acts else b""
    return Compared(count, tuple(changed), tuple(missing), found is not None and found.hex() == printed)


def batched(lines: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Cut *lines* into lists of up to *size*."""
    remaining = iter(lines)
    while some := list(islice(remaining, size)):
        yield some


def read_report_query(tx: Transaction, text: str | None) -> Query | Refusal | None:
    """Read which channels a report is to be about; None: all."""
    return None if text is None else read_query(tx, text)


def policies_stated(tx: Transaction, at: datetime) -> Json:
    """Tell the policies by which channels were judged at *at*, by the audit log, the one of all first: `group` absent
    there.

    Of a group, by the name that it had then, only what was set for it; they stand in the order in which they decided.
    """
    acts = (PolicyAct(one.act, one.subject, one.detail, one.at) for one in people.acts_until(tx, ACTS, at))
    found = set_after(acts)
    of_all = next((one for one in found if one.group is None), None)
    policy = policy_of([] if of_all is None else [of_all.settings])
    told: list[Json] = [_stated(None, texts_of(policy), None if of_all is None else of_all.set_at)]
    told += [_stated(one.group, one.settings, one.set_at) for one in found if one.group is not None]
    return told


def _stated(group: str | None, settings: Mapping[str, str], set_at: datetime | None) -> Json:
    return {"group": group, "settings": dict(settings), "set_at": None if set_at is None else instant(set_at)}


def _entry(known: Known, stand: Stand | None) -> Entry:
    is_device = known.channel_id == ChannelId(known.device_id)
    kind = known.kind or (ChannelKind.DEVICE.value if is_device else ChannelKind.USER.value)
    if stand is None:
        return Entry(known.channel_id, known.device_id, kind, known.serial_number, 0, b"")
    last = stand.last
    return Entry(
        channel=known.channel_id,
        device=known.device_id,
        kind=kind,
        serial_number=known.serial_number,
        changes=stand.changes,
        story=stand.story,
        state=last.state,
        reason=last.reason,
        candidates=tuple(last.candidates),
        since=last.since,
        noticed_at=last.at,
        sentence=last.sentence,
        proof_level=stand.proof_level,
        proof_at=stand.proof_at,
    )
