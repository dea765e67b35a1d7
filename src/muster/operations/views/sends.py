"""What a command to everyone whom a query finds would do, before it is sent, and how far each is that was."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from muster.domain.errors import Refusal
from muster.domain.principals import Principal
from muster.operations.check_commands import check_channels, unfit_for
from muster.operations.let_go import may_remove_enrollments
from muster.operations.send_by_query import CHANNELS_IN_PART, SendOrder, count_matches, reachable, refused_as_a_whole
from muster.operations.views.bulk_acts import is_theirs
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, queries, sends
from muster.storage.engine import Transaction
from muster.storage.sends import Send


@dataclass(frozen=True, slots=True)
class PreviewPart:
    """*fit* are those that would get the command, *refused* those left out, with why; *next_after* is where the next
    part begins, None after the last one."""

    fit: tuple[ChannelId, ...]
    refused: dict[ChannelId, Refusal]
    next_after: ChannelId | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a command to a query's finds would do now. *matched*: how many it finds. *fit* and *refused* are of a
    thousand of them: who would get it, and who would be left out, with why; *next_after*: where the next part begins.

    *refused_as_a_whole*: why it would go to nobody, as it is, such as without the count that it needs.
    """

    matched: int
    fit: tuple[ChannelId, ...]
    refused: Mapping[ChannelId, Refusal]
    is_whole: bool
    next_after: ChannelId | None = None
    refused_as_a_whole: Refusal | None = None


def check_send(tx: Transaction, order: SendOrder, now: datetime, *, is_preview: bool = False) -> int | Refusal:
    """Tell how many channels *order* would go to at *now*; a refusal where it would be refused as a whole.

    A preview needs no count named, for it tells it; one that is named is held against what is found.
    """
    matched = count_matches(tx, order, now)
    if is_preview and not isinstance(matched, Refusal) and order.named_count is None:
        order = replace(order, named_count=matched)
    return matched if isinstance(matched, Refusal) else refused_as_a_whole(tx, order, matched, now) or matched


def preview_part(tx: Transaction, order: SendOrder, after: ChannelId | None, now: datetime) -> PreviewPart | Refusal:
    """Tell what the part of *order* would do that begins *after* a channel.

    Not told: what only the moment of queueing shows, such as a removal of the enrollment profile that waits already,
    or that the command before this one never went there.
    """
    query = reachable(tx, order.query)
    if isinstance(query, Refusal):
        return query
    found = queries.find(tx, query, now, after=after, limit=CHANNELS_IN_PART, users=order.to_users)
    stored = enrollments.find(tx, found)
    findings = check_channels(tx, order.request, [stored[channel_id] for channel_id in found])
    is_exempt = order.anyway or may_remove_enrollments(tx, order.request)
    refused = {} if is_exempt else unfit_for(order.request, findings)
    fit = tuple(channel_id for channel_id in found if channel_id not in refused)
    return PreviewPart(fit, refused, found[-1] if len(found) == CHANNELS_IN_PART else None)


def show_send(tx: Transaction, send_id: str, principal: Principal) -> Send | None:
    """Show how far a command to many is; None where *principal* may see none of this id."""
    found = sends.read(tx, send_id) if send_id.isprintable() else None
    return found if found is not None and is_theirs(found, principal) else None


def list_sends(tx: Transaction, principal: Principal) -> tuple[Send, ...]:
    """List the latest commands to many that *principal* may see, the newest first."""
    return tuple(one for one in sends.latest(tx) if is_theirs(one, principal))
