"""Whether what a page shows has changed since it was read: one short text for each thing that is watched.

A version says nothing but that it is another one. It covers what a page of a device shows first: contacts, proofs, the
verdict, the queue, answers, pushes, recoveries.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

import sqlalchemy as sa

from muster.storage import control_days
from muster.storage.engine import Transaction
from muster.storage.schema import channels, push_targets, queue, recoveries, reports, verdicts


def device_versions(tx: Transaction, device_ids: Collection[str]) -> Mapping[str, str]:
    """Return the version of each of these devices with all its channels, in six statements; unknown ones are absent.

    At most some hundreds of ids: as many as are watched at once.
    """
    wanted = sorted(device_ids)
    if not wanted:
        return {}
    own = channels.c.device_id.in_(wanted)
    said: dict[str, list[str]] = defaultdict(list)
    standing = (channels.c.state, channels.c.last_contact_at, channels.c.last_proof_at)
    for row in tx.connection.execute(sa.select(channels.c.device_id, *standing).where(own).order_by(channels.c.id)):
        said[row.device_id].append(f"{row.state} {row.last_contact_at} {row.last_proof_at}")
    for table, figures in (
        (queue, (sa.func.count(), sa.func.sum(queue.c.handed_out_count), sa.func.sum(queue.c.not_now_count))),
        (reports, (sa.func.max(reports.c.reported_at),)),
        (verdicts, (sa.func.max(verdicts.c.since), sa.func.min(verdicts.c.state), sa.func.min(verdicts.c.reason))),
        (push_targets, (sa.func.max(push_targets.c.last_outcome_at),)),
        (recoveries, (sa.func.count(), sa.func.max(recoveries.c.closed_at), sa.func.max(recoveries.c.next_at))),
    ):
        joined = table.join(channels, channels.c.id == table.c.channel_id)
        select = sa.select(channels.c.device_id, *figures).select_from(joined).where(own)
        for row in tx.connection.execute(select.group_by(channels.c.device_id)):
            said[row[0]].append(f"{table.name} {' '.join(map(str, row[1:]))}")
    return {device_id: " | ".join(parts) for device_id, parts in said.items()}


def fleet_version(tx: Transaction) -> str:
    """Return the version of how the fleet stands: how many devices are held to be what."""
    counts = sorted((str(key), count) for key, count in control_days.counts(tx).items())
    return str(hash(tuple(counts)))
