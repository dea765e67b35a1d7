"""Which channels are those of devices, as a condition of the database."""

import sqlalchemy as sa

from muster.protocol.identifiers import DEVICE_KINDS
from muster.storage.schema import channels

_KINDS = sorted(kind.value for kind in DEVICE_KINDS)


def are_devices(of: sa.FromClause = channels) -> sa.ColumnElement[bool]:
    """Return the condition for rows *of* `channels` under some name.

    By their kind, of which a database keeps how often each is: of two columns that are alike it takes one row of two
    hundred, and then joins a whole fleet row by row.
    """
    return of.c.kind.in_(_KINDS)
