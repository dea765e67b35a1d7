"""The statement itself: what it says, and how it is found to be as it was signed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from muster.crypto.certificates import DOCUMENT_SIGNING, fingerprint, inspect_certificate, purposes
from muster.crypto.chains import chain_to
from muster.crypto.cms.signed_data import Verified, verify_detached
from muster.crypto.cms.signing import written_anew
from muster.crypto.errors import CryptoError
from muster.domain.control_report.canonical import Json, instant, read, written
from muster.domain.control_report.entries import Contents, contents_of

TYPE: Final = "muster control report"
VERSION: Final = 1

MAX_STATEMENT_OCTETS: Final = 4 * 1024 * 1024
"""Counts, and the policies of some thousand groups."""
MAX_SIGNATURE_OCTETS: Final = 64 * 1024
"""Two certificates and a signature: 4 KiB."""
MAX_LINE_OCTETS: Final = 64 * 1024
"""Of an entry: about 600 with a sentence of figures."""


class ReportUnsound(Exception):
    """Something of a report is not as it was signed, or was signed by somebody else: the message says what."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be stated. *query*: which channels it is about, by what was known of them when it was made; None: all.

    *policies* are those in force at *at*, with when each was set last by then.
    """

    at: datetime
    query: str | None
    contents: Contents
    policies: Json


@dataclass(frozen=True, slots=True)
class Origin:
    """Who states it, when, and the end of the audit log before: its number of acts and the hash over all of them."""

    installation: str
    public_url: str | None
    made_by: str
    made_at: datetime
    audited: int
    audit_hash: bytes
    signer_der: bytes
    authority_der: bytes


def statement(draft: Draft, origin: Origin) -> bytes:
    """Write the statement."""
    authority = inspect_certificate(origin.authority_der)
    return written(
        {
            "type": TYPE,
            "version": VERSION,
            "at": instant(draft.at),
            "made_at": instant(origin.made_at),
            "made_by": origin.made_by,
            "server": {
                "installation": origin.installation,
                "public_url": origin.public_url,
                "authority": {"name": authority.subject, "sha256": authority.fingerprint.hex()},
                "signer_sha256": fingerprint(origin.signer_der).hex(),
            },
            "query": draft.query,
            "counts": draft.contents.counts,
            "policies": draft.policies,
            "roots": {
                "entries": {
                    "count": draft.contents.count,
                    "merkle_root": draft.contents.root.hex(),
                    "sha256": draft.contents.sha256.hex(),
                },
                "audit_log": {"acts": origin.audited, "hash": origin.audit_hash.hex()},
            },
        }
    )


@dataclass(frozen=True, slots=True)
class VerifiedStatement:
    """A statement that is as it was signed. *is_trusted*: its authority is one of those that were given; else it is
    the one that came along, and its fingerprint is to be compared with one known from elsewhere.
    """

    data: Mapping[str, Json]
    signed_at: datetime
    authority_der: bytes
    is_trusted: bool


def verify_statement(octets: bytes, signature: bytes, roots_der: Sequence[bytes]) -> VerifiedStatement:
    """Hold a statement against its signature; without *roots_der* the authority that came along is taken as it is.

    Raises ReportUnsound. Not looked at: whether its authority's certificate has ended since.
    """
    if len(octets) > MAX_STATEMENT_OCTETS or len(signature) > MAX_SIGNATURE_OCTETS:
        raise ReportUnsound("it is larger than any statement is")
    try:
        verified = verify_detached(signature, octets, allow_legacy=False)
        if written_anew(signature) != signature or len(verified.certificates_der) != _CERTIFICATES:
            raise ReportUnsound("the signature is not written as a report's is")
        signer, authority = verified.certificates_der
        chain = chain_to(signer, (), roots_der or (authority,), allow_legacy=False)
        if DOCUMENT_SIGNING not in purposes(signer):
            raise ReportUnsound("who signed it may not sign reports: it may be a device")
        signed_at = _signed_at(verified, signer)
    except CryptoError as error:
        raise ReportUnsound(f"the signature does not hold: {error}") from error
    data = _read(octets)
    server = _object(data, "server")
    named = (_object(server, "authority").get("sha256"), server.get("signer_sha256"), data.get("made_at"))
    if named != (fingerprint(authority).hex(), fingerprint(signer).hex(), instant(signed_at)) or chain[-1] != authority:
        raise ReportUnsound("the statement names another signer, authority or time than its signature")
    return VerifiedStatement(data, signed_at, authority, is_trusted=bool(roots_der))


_CERTIFICATES: Final = 2
"""The signer's and its authority's."""


def _signed_at(verified: Verified, signer_der: bytes) -> datetime:
    if verified.signer_certificate_der != signer_der or verified.signing_time is None:
        raise ReportUnsound("the signature is not written as a report's is")
    facts = inspect_certificate(signer_der)
    if not facts.not_before <= verified.signing_time <= facts.not_after:
        raise ReportUnsound("it was signed while its signer's certificate was not valid")
    return verified.signing_time


def _read(octets: bytes) -> Mapping[str, Json]:
    try:
        data = read(octets)
    except ValueError as error:
        raise ReportUnsound(f"the statement can't be read: {error}") from error
    if data.get("type") != TYPE or data.get("version") != VERSION:
        raise ReportUnsound("it is no control report, or of a later version than this program knows")
    return data


def _object(data: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    value = data.get(name)
    if not isinstance(value, Mapping):
        raise ReportUnsound(f"the statement says nothing of {name}")
    return value


def stated_entries(data: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return what a verified statement says of its entries: `count`, `merkle_root`, `sha256`. Raises ReportUnsound."""
    return _object(_object(data, "roots"), "entries")


def verify_entries(data: Mapping[str, Json], lines: Iterable[bytes]) -> Contents:
    """Hold the *lines* of the file of entries, each with its end, against a verified statement. Raises ReportUnsound.

    Its counts are counted again as well.
    """
    try:
        contents = contents_of(_entries(lines))
    except ValueError as error:
        raise ReportUnsound(f"the entries can't be read: {error}") from error
    stated = stated_entries(data)
    found = {"count": contents.count, "merkle_root": contents.root.hex(), "sha256": contents.sha256.hex()}
    if dict(stated) != found:
        raise ReportUnsound("the entries are not those of the statement")
    if data.get("counts") != contents.counts:
        raise ReportUnsound("the counts of the statement are not those of its entries")
    return contents


def _entries(lines: Iterable[bytes]) -> Iterator[tuple[bytes, Mapping[str, Json]]]:
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_OCTETS or not line.endswith(b"\n"):
            raise ValueError(f"line {number} is no entry")
        try:
            yield line[:-1], read(line[:-1])
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
