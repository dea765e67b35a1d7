"""Logins of users: the challenge that is to be answered, the token that was given, and the dialogue under way."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from muster.domain.user_login import LoginPhase, UserLogin
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.made_once import made_once, upsert
from muster.storage.schema import user_logins

_FIND = sa.select(
    user_logins.c.channel_id,
    user_logins.c.requires_token,
    user_logins.c.token_hash,
    user_logins.c.is_on_console,
    user_logins.c.phase,
    user_logins.c.phase_began_at,
    user_logins.c.phase_handed_out,
).where(among(user_logins.c.channel_id, "ids"))
# made once: building a statement costs more than running it on SQLite
_NOTHING_KNOWN: Mapping[str, Any] = MappingProxyType({"requires_token": False, "phase_handed_out": 0})
"""Of a user of whom something is stored for the first time."""


def find(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, UserLogin]:
    """Read what is known of the logins of users; one of whom nothing is known is absent."""
    return {
        ChannelId(row.channel_id): UserLogin(
            row.requires_token,
            row.token_hash,
            row.is_on_console,
            None if row.phase is None else LoginPhase(row.phase),
            row.phase_began_at,
            row.phase_handed_out,
        )
        for ids in slices(channel_ids)
        for row in tx.connection.execute(_FIND, {"ids": ids})
    }


def challenge(tx: Transaction, channel_id: ChannelId, challenge_hash: bytes, expires_at: datetime) -> None:
    """Record the one challenge that a user has to answer from now on; the token he had is good no more."""
    _put(
        tx,
        channel_id,
        challenge_hash=challenge_hash,
        challenge_expires_at=expires_at,
        requires_token=True,
        token_hash=None,
    )


def take_challenge(tx: Transaction, channel_id: ChannelId, challenge_hash: bytes, now: datetime) -> bool:
    """Use up the challenge of a user; tells whether it was this one, and still good."""
    table = user_logins
    taken = tx.connection.execute(
        sa.update(table)
        .where(
            table.c.channel_id == channel_id,
            table.c.challenge_hash == challenge_hash,
            table.c.challenge_expires_at > now,
        )
        .values(challenge_hash=None, challenge_expires_at=None)
    )
    return taken.rowcount == 1


def give_token(tx: Transaction, channel_id: ChannelId, token_hash: bytes) -> None:
    """Record the token that the messages of a user have to carry."""
    _put(tx, channel_id, requires_token=True, token_hash=token_hash)


def need_no_token(tx: Transaction, channel_id: ChannelId) -> None:
    """Record that the messages of a user need no token; of one of whom nothing is known there is nothing to record."""
    tx.connection.execute(
        sa.update(user_logins)
        .where(user_logins.c.channel_id == channel_id, user_logins.c.requires_token.is_(True))
        .values(requires_token=False, token_hash=None, challenge_hash=None, challenge_expires_at=None)
    )


def set_console(tx: Transaction, channel_id: ChannelId, at: datetime, *, is_on_console: bool) -> None:
    """Record whether a user is at the console."""
    _put(tx, channel_id, is_on_console=is_on_console, console_at=at)


def set_logged_in(tx: Transaction, channel_id: ChannelId, at: datetime, *, is_logged_in: bool) -> None:
    """Record what a list of users of the device says of one."""
    values = {"channel_id": channel_id, "is_logged_in": is_logged_in, "logged_in_at": at, "logged_in_changed_at": at}
    tx.connection.execute(_set_logged_in(tx), {**_NOTHING_KNOWN, **values})


@made_once
def _set_logged_in(tx: Transaction) -> sa.Insert:
    insert = tx.insert(user_logins)
    stored, said = user_logins.c, insert.excluded
    is_same = stored.is_logged_in.is_not_distinct_from(said.is_logged_in)
    changed_at = sa.case((is_same, stored.logged_in_changed_at), else_=said.logged_in_changed_at)
    set_: sa.Insert = insert.on_conflict_do_update(
        index_elements=["channel_id"],
        set_={
            "is_logged_in": said.is_logged_in,
            "logged_in_at": said.logged_in_at,
            "logged_in_changed_at": changed_at,
        },
    )
    return set_


def set_phase(
    tx: Transaction, channel_id: ChannelId, phase: LoginPhase | None, began_at: datetime | None, handed_out: int
) -> None:
    """Record in which phase the dialogue of a user is; None: in none."""
    value = None if phase is None else phase.value
    _put(tx, channel_id, phase=value, phase_began_at=began_at, phase_handed_out=handed_out)


def forget(tx: Transaction, channel_ids: Sequence[ChannelId]) -> None:
    """Forget the logins of users, as when their device begins another life."""
    for ids in slices(channel_ids):
        tx.connection.execute(sa.delete(user_logins).where(user_logins.c.channel_id.in_(ids)))


def _put(tx: Transaction, channel_id: ChannelId, **changed: Any) -> None:
    """Store what *changed*."""
    tx.connection.execute(
        upsert(tx, user_logins, "channel_id", changed), {**_NOTHING_KNOWN, "channel_id": channel_id, **changed}
    )
