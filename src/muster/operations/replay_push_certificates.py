"""A restored database is told of the push certificates that were put into use since, and of the requests for others.

Without them nobody is pushed once the old certificate ends, and the key of a request that was made here is nowhere
else.
"""

from muster.operations.context import Context
from muster.operations.resume_pushes import resume_pushes
from muster.storage import push_certificates
from muster.storage.engine import Transaction
from muster.storage.journal import JournalRecord
from muster.storage.journal_records import read_push_certificate, read_push_request


def replay_push_certificate(tx: Transaction, record: JournalRecord, then: Context) -> bool:
    """Put a certificate into use as it was then; tells whether the database was told anything new.

    Nothing happens where one was put into use for its topic then or later. Raises CryptoError when the key ring doesn't
    open its key, ValueError or KeyError for a record that is none.
    """
    found = read_push_certificate(record)
    stored = found.certificate
    then.open(stored.key_sealed, table="push_certificates", column="key_sealed", row=stored.fingerprint.hex())
    tx.lock_name("push_certificates")
    latest = push_certificates.last_upload(tx, stored.topic)
    if latest is not None and latest >= record.at:
        return False
    push_certificates.store_certificate(tx, stored, record.at, by=found.by, is_chosen=found.is_chosen)
    resume_pushes(tx, stored.topic, then, could_push=latest is not None)
    return True


def replay_push_request(tx: Transaction, record: JournalRecord, then: Context) -> bool:
    """Keep a request as it was then; tells whether the database didn't know it. Raises as above."""
    request, by = read_push_request(record)
    then.open(request.key_sealed, table="push_certificate_requests", column="key_sealed", row=request.id)
    if push_certificates.request_by_id(tx, request.id) is not None:
        return False
    push_certificates.add_request(tx, request, record.at, by=by)
    return True
