"""Make a new authority the current one; the fleet's identities follow, at a pace."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from muster.crypto.certificates import inspect_certificate
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.first_start import add_authority, authority_name
from muster.operations.permit import act
from muster.storage import identities, people
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class RotatedAuthority:
    """The authority that issues from now on, by its name and the SHA-256 of its certificate."""

    name: str
    fingerprint: bytes
    certificate_der: bytes
    not_after: datetime


@act(Permission.CERTIFICATES)
def rotate_authorities(tx: Transaction, organizations: Sequence[str], ctx: Context) -> list[RotatedAuthority]:
    """Make a new authority for each of *organizations*, one after the other: the last one is the current one.

    Those before it stay trusted for ever: a pin is as good as it was. Running processes notice by themselves.
    """
    tx.lock_name("foundation")
    return [_rotate(tx, organization, ctx) for organization in organizations]


def _rotate(tx: Transaction, organization: str, ctx: Context) -> RotatedAuthority:
    former = identities.all_authorities(tx)
    stored = add_authority(tx, authority_name(organization, len(former) + 1), ctx)
    facts = inspect_certificate(stored.certificate_der)
    detail = {"former": former[0].fingerprint.hex() if former else None}
    people.record_act(tx, ctx.actor, "authority.rotate", stored.fingerprint.hex(), detail, ctx.now)
    return RotatedAuthority(facts.common_name or "", stored.fingerprint, stored.certificate_der, facts.not_after)
