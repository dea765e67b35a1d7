"""The authorities that issue devices' identities, and what hangs on each."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.crypto.certificates import inspect_certificate
from muster.storage.device_channels import are_devices
from muster.storage.engine import Transaction
from muster.storage.schema import authorities, channels, identities


@dataclass(frozen=True, slots=True)
class AuthorityRow:
    """One authority of ours, the current one first in a list. *created_at*: since when it issued.

    *devices* counts the enrolled devices whose identity is of it; *not_renewable* those among them with which profile
    they were enrolled is not known.
    """

    fingerprint: bytes
    name: str
    created_at: datetime
    not_after: datetime
    is_current: bool
    devices: int
    not_renewable: int


def list_authorities(tx: Transaction) -> tuple[AuthorityRow, ...]:
    """List every authority ever ours."""
    enrolled = (
        sa.select(
            identities.c.authority,
            sa.func.count().label("devices"),
            sa.func.sum(sa.case((identities.c.profile_id.is_(None), 1), else_=0)).label("not_renewable"),
        )
        .join(channels, channels.c.pin == identities.c.fingerprint)
        .where(channels.c.state == "enrolled", are_devices())
        .group_by(identities.c.authority)
        .subquery()
    )
    rows = tx.connection.execute(
        sa.select(
            authorities.c.fingerprint,
            authorities.c.certificate_der,
            authorities.c.created_at,
            authorities.c.is_current,
            enrolled.c.devices,
            enrolled.c.not_renewable,
        )
        .outerjoin(enrolled, enrolled.c.authority == authorities.c.fingerprint)
        .order_by(authorities.c.is_current.desc(), authorities.c.created_at.desc())
    )
    return tuple(
        AuthorityRow(
            row.fingerprint,
            (facts := inspect_certificate(row.certificate_der)).common_name or "",
            row.created_at,
            facts.not_after,
            row.is_current,
            row.devices or 0,
            int(row.not_renewable or 0),
        )
        for row in rows
    )


def authority_names(tx: Transaction) -> tuple[bytes, ...]:
    """Name every authority by the SHA-256 of its certificate, the current one first: to notice that one was made."""
    return tuple(
        tx.connection.scalars(
            sa.select(authorities.c.fingerprint).order_by(authorities.c.is_current.desc(), authorities.c.created_at)
        )
    )
