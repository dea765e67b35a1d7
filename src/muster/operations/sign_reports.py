"""A report is signed: by a key that is made for it, certified by our authority, and forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.crypto.algorithms import Digest
from muster.crypto.certificates import fingerprint, inspect_certificate
from muster.crypto.cms.signing import SignerIdentity, sign_detached
from muster.crypto.issuance import Authority, make_document_certificate
from muster.domain.control_report.canonical import instant
from muster.domain.control_report.statement import Draft, Origin, statement
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.first_start import open_authorities
from muster.operations.permit import act
from muster.storage import installations, people
from muster.storage.engine import Transaction

KEY_BITS = 3072
"""It is to hold as long as its authority, which has as many."""


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A statement and the detached signature over it (CMS, DER), and the authority that certified the signer, DER."""

    statement: bytes
    signature: bytes
    authority_der: bytes


@act(Permission.REPORT)
def sign_reports(tx: Transaction, drafts: Sequence[Draft], ctx: Context) -> list[SignedReport | Refusal]:
    """Sign each of *drafts*, an act of the audit log each. Refused where our authority has ended.

    Each by a key of its own, which is kept nowhere: nobody signs another statement by it, then or later. Its
    certificate is valid as long as its authority's.
    """
    authority = open_authorities(tx, ctx)[0]
    return [_sign(tx, draft, authority, ctx) for draft in drafts]


def _sign(tx: Transaction, draft: Draft, authority: Authority, ctx: Context) -> SignedReport | Refusal:
    made_at = ctx.now.replace(microsecond=0)  # as the signature has it
    facts = inspect_certificate(authority.certificate_der)
    if not facts.not_before <= made_at < facts.not_after:
        return Refusal(
            RefusalCode.AUTHORITY_EXPIRED,
            f"our authority is good until {facts.not_after:%Y-%m-%d} only",
            "`muster authority rotate` makes another.",
        )
    installation = installations.read(tx)
    assert installation is not None, "the first start made it"
    key = ctx.new_rsa_key(KEY_BITS)
    certificate_der = make_document_certificate(
        f"Control report of {made_at:%Y-%m-%d}",
        key,
        authority,
        not_before=made_at,
        not_after=facts.not_after,
        serial_number=int.from_bytes(ctx.random_bytes(16), "big") >> 1 | 1,
    )
    audited, audit_hash = people.end_of_audit(tx)
    origin = Origin(
        installation=installation.id,
        public_url=installation.public_url,
        made_by=ctx.actor.name,
        made_at=made_at,
        audited=audited,
        audit_hash=audit_hash,
        signer_der=certificate_der,
        authority_der=authority.certificate_der,
    )
    stated = statement(draft, origin)
    signature = sign_detached(
        stated, SignerIdentity(certificate_der, key), chain=[authority.certificate_der], signing_time=made_at
    )
    detail = {
        "at": instant(draft.at),
        "query": draft.query,
        "sha256": Digest.SHA256.of(stated).hex(),
        "signer": fingerprint(certificate_der).hex(),
    }
    people.record_act(tx, ctx.actor, "report.control", installation.id, detail, ctx.now)
    return SignedReport(stated, signature, authority.certificate_der)
