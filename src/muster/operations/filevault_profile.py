"""The profile that turns FileVault on and has Macs give us their recovery keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.keep_secrets import escrow_certificate
from muster.operations.permit import act, nobody
from muster.protocol.filevault_profile import encode_filevault_profile
from muster.storage import installations
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class FilevaultTerms:
    """What the profile says. *location* is told to the person at the Mac: who keeps the recovery key."""

    location: str


@act(Permission.COMMAND, about=nobody)
def make_filevault_profiles(tx: Transaction, orders: Sequence[FilevaultTerms], ctx: Context) -> list[bytes]:
    """Make the profile for each of *orders*; a newer one replaces an older one on the Mac."""
    installation = installations.read(tx)
    assert installation is not None, "the first start has made it"
    identifier = f"{installation.profile_identifier}.filevault"
    profiles = []
    for order in orders:
        uuids = (ctx.new_id(), ctx.new_id(), ctx.new_id(), ctx.new_id())
        profiles.append(encode_filevault_profile(identifier, uuids, escrow_certificate(tx, ctx), order.location))
    return profiles
