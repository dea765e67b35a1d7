"""An identity that is about to leave for its device is journaled: a restored database must know what it was issued for.

The journal is written after the commit and before the reply, by whoever runs the operation: the record waits in the
transaction until then.
"""

from muster.operations.context import Context
from muster.storage import enrollment_profiles, identities
from muster.storage.engine import Transaction
from muster.storage.journal_records import JournaledIdentity, identity_record


def journal_identity(
    tx: Transaction,
    fingerprint: bytes,
    ctx: Context,
    *,
    source: str = "",
    challenge: tuple[bytes, bytes] | None = None,
    replaces: bytes | None = None,
) -> None:
    """Have the stored identity *fingerprint* journaled before anybody gets it; again is no harm.

    *challenge* is the hash of the SCEP challenge that buys it and that of the key it is for; *replaces* the identity
    in whose place it is.
    """
    issued = identities.issued(tx, fingerprint)
    assert issued is not None, "an identity is stored before it is journaled"
    profile_id = issued.made_for.profile_id
    terms = None if profile_id is None else enrollment_profiles.json_of(tx, profile_id)
    challenge_hash, challenge_key = challenge or (None, None)
    journaled = JournaledIdentity(issued, terms, challenge_hash, challenge_key, replaces)
    tx.to_journal.append(identity_record(journaled, source=source, at=ctx.now))
