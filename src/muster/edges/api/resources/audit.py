"""The audit log: who did what, when and from where, and whether the log is whole."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from muster.domain.permissions import Permission
from muster.edges.api.cursors import cursor_after, numbered_place
from muster.edges.api.endpoints import Call, Page, Stream, endpoint
from muster.edges.api.limits import DEFAULT_PAGE, Cursor, Limits, PageSize
from muster.edges.api.problems import FaultyMember, malformed
from muster.operations.permit import of_fleet
from muster.operations.views.audit import (
    AuditRow,
    ChainCheck,
    KeptHash,
    export_line,
    is_of_chain,
    list_acts,
    read_acts,
    verify_chain,
)

_TEXT = 512


@dataclass(frozen=True, slots=True)
class ActsAsked:
    """Which acts."""

    act: Annotated[str | None, Limits("By its name, or all whose names begin so: `secret`.", 1, _TEXT)] = None
    subject: Annotated[str | None, Limits("What it was done to.", 1, _TEXT)] = None
    by: Annotated[str | None, Limits("The name of who acted.", 1, _TEXT)] = None
    limit: PageSize = DEFAULT_PAGE
    cursor: Cursor | None = None


@endpoint("GET", "/audit", needs=Permission.READ_AUDIT)
async def list_audit(call: Call, asked: ActsAsked) -> Page[AuditRow]:
    """List acts, the latest first."""
    before = numbered_place(asked)
    rows = await call.see(
        of_fleet(
            lambda tx: list_acts(
                tx, limit=asked.limit + 1, act=asked.act, subject=asked.subject, by=asked.by, before=before
            ),
            Permission.READ_AUDIT,
        )
    )
    shown = rows[: asked.limit]
    return Page(shown, cursor_after(asked, shown[-1].sequence) if len(rows) > asked.limit else None)


@endpoint("GET", "/audit/export", needs=Permission.READ_AUDIT, media_types=("application/x-ndjson",))
async def export_audit(call: Call) -> Stream:
    """Send the whole log, the oldest act first: a line of JSON for each, with its hash, to be verified anywhere."""
    await call.see(of_fleet(lambda _tx: None, Permission.READ_AUDIT))
    return Stream("application/x-ndjson", "audit.ndjson", _lines(call))


async def _lines(call: Call) -> AsyncIterator[bytes]:
    after = 0
    while True:
        rows = await call.see(of_fleet(lambda tx, after=after: read_acts(tx, after), Permission.READ_AUDIT))  # type: ignore[misc] # bound now
        if not rows:
            return
        yield "".join(export_line(row) for row in rows).encode()
        after = rows[-1].act.sequence


@endpoint("GET", "/audit/verification", needs=Permission.READ_AUDIT)
async def verify_audit(call: Call) -> ChainCheck:
    """Hold each act against the hash that covers it and all before it."""
    return await call.see(of_fleet(verify_chain, Permission.READ_AUDIT))


@endpoint("GET", "/audit/hashes/{hash}", needs=Permission.READ_AUDIT)
async def find_kept_hash(call: Call, hash: str) -> KeptHash:  # noqa: A002 - as it is called in the path
    """Tell whether a hash, once the last one, is one of the log's; else acts were cut off, or the log written anew."""
    await call.see(of_fleet(lambda _tx: None, Permission.READ_AUDIT))
    try:
        kept = bytes.fromhex(hash)
    except ValueError as error:
        raise malformed(FaultyMember("path.hash", "a hash has 64 hexadecimal digits")) from error
    return KeptHash(await call.see(of_fleet(lambda tx: is_of_chain(tx, kept), Permission.READ_AUDIT)))


ENDPOINTS = (list_audit, export_audit, verify_audit, find_kept_hash)
