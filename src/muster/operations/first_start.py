"""The first start: the installation's id, its own certification authority, the canary of its key ring. Idempotent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from muster.crypto.certificates import fingerprint as fingerprint_of
from muster.crypto.errors import CryptoError
from muster.crypto.issuance import Authority, make_authority
from muster.crypto.keys import load_private_key, private_key_der
from muster.crypto.names import MAXIMUM_COMMON_NAME_OCTETS
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.permit import act
from muster.storage import identities, installations
from muster.storage.engine import Transaction
from muster.storage.errors import WrongKeyRing
from muster.storage.identities import StoredAuthority
from muster.storage.installations import Installation
from muster.storage.journal_records import authority_record

AUTHORITY_LIFETIME = timedelta(days=20 * 365)
"""Longer than any device is used; rotation doesn't wait for it."""
CANARY = b"muster"


@dataclass(frozen=True, slots=True)
class Foundation:
    """What a process needs to know of its installation. *authorities*: every one ever ours, the current one first."""

    installation: Installation
    authorities: tuple[Authority, ...] = field(repr=False)

    @property
    def authority(self) -> Authority:
        """The authority that issues now."""
        return self.authorities[0]

    @property
    def authorities_der(self) -> tuple[bytes, ...]:
        """The certificates of all authorities."""
        return tuple(one.certificate_der for one in self.authorities)


@act(Permission.CERTIFICATES)
def lay_foundation(tx: Transaction, organizations: Sequence[str], ctx: Context) -> list[Foundation]:
    """Read the installation, and make what is missing; one Foundation for each of *organizations*.

    Raises WrongKeyRing when the key ring isn't the one that sealed this database.
    """
    tx.lock_name("foundation")
    check_key_ring(tx, ctx)
    _add_canary(tx, ctx)
    return [_lay(tx, organization, ctx) for organization in organizations]


def check_key_ring(tx: Transaction, ctx: Context) -> None:
    """Open the canary of every key that sealed something here. Raises WrongKeyRing when one does not open."""
    canaries = installations.canaries(tx)
    for key_id, sealed in canaries.items():
        try:
            ctx.open(sealed, table="ring_canaries", column="sealed", row=key_id)
        except CryptoError as error:
            raise WrongKeyRing(
                f"this database was sealed with key {key_id}, which the key ring does not have; "
                "start with the key ring that belongs to it (--key-ring)"
            ) from error


def _add_canary(tx: Transaction, ctx: Context) -> None:
    newest = ctx.ring.keys[-1].key_id.hex()
    sealed = ctx.seal(CANARY, table="ring_canaries", column="sealed", row=newest)
    installations.add_canary(tx, newest, sealed)


def _lay(tx: Transaction, organization: str, ctx: Context) -> Foundation:
    installation = installations.read(tx)
    if installation is None:
        installation_id = ctx.new_id()
        installation = Installation(installation_id, f"org.muster-mdm.enrollment.{installation_id}")
        installations.add(tx, installation, ctx.now)
    if not identities.all_authorities(tx):
        add_authority(tx, authority_name(organization), ctx)
    return Foundation(installation, open_authorities(tx, ctx))


def open_authorities(tx: Transaction, ctx: Context) -> tuple[Authority, ...]:
    """Read every authority ever ours with its key, the current one first."""
    return tuple(
        Authority(
            stored.certificate_der,
            load_private_key(
                ctx.open(stored.key_sealed, table="authorities", column="key_sealed", row=stored.fingerprint.hex()),
                is_ours=True,
            ),
        )
        for stored in identities.all_authorities(tx)
    )


def load_authorities(tx: Transaction, items: Sequence[None], ctx: Context) -> list[tuple[Authority, ...]]:
    """Read every authority ever ours; for processes that run while one is made."""
    return [open_authorities(tx, ctx) for _ in items]


def add_authority(tx: Transaction, name: str, ctx: Context) -> StoredAuthority:
    """Make an authority called *name*, which issues from now on; it is journaled."""
    key = ctx.new_rsa_key(3072)  # outlives the devices; SCEP needs RSA
    certificate_der = make_authority(
        name,
        key,
        now=ctx.now,
        lifetime=AUTHORITY_LIFETIME,
        serial_number=int.from_bytes(ctx.random_bytes(16), "big") >> 1 | 1,
    )
    fingerprint = fingerprint_of(certificate_der)
    sealed = ctx.seal(private_key_der(key), table="authorities", column="key_sealed", row=fingerprint.hex())
    authority = StoredAuthority(fingerprint, certificate_der, sealed, is_current=True)
    identities.make_current(tx, authority, ctx.now)
    tx.to_journal.append(authority_record(authority, created_at=ctx.now, at=ctx.now))
    return authority


def authority_name(organization: str, number: int = 1) -> str:
    """Name the authority after the organization, whose name is cut where a common name would not hold it all.

    Later ones are numbered: some clients tell authorities apart by their names alone.
    """
    what = "Device Identity Authority" if number == 1 else f"Device Identity Authority {number}"
    room = MAXIMUM_COMMON_NAME_OCTETS - len(what) - 1
    whose = organization.encode()[:room].decode(errors="ignore").strip() or "Muster"
    return f"{whose} {what}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is reached: the URLs that stand in enrollment profiles."""

    public_url: str
    check_in_url: str | None


def announce_address(tx: Transaction, addresses: Sequence[Address], ctx: Context) -> list[None]:  # noqa: ARG001 - the shape of operations
    """Record where the server that starts now is reached, for commands run beside it; one None for each."""
    for address in addresses:
        installations.set_urls(tx, public_url=address.public_url, check_in_url=address.check_in_url)
    return [None] * len(addresses)
