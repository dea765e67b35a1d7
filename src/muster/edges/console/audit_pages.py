"""The audit log: who did what, when, from where; read a page at a time, and taken away whole."""

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from muster.domain.permissions import Permission
from muster.edges.console.rendering import PAGE_HEADERS, Renderer
from muster.edges.console.sessions import Sessions
from muster.edges.console.times import Clock
from muster.operations.permit import of_fleet
from muster.operations.ports import Runner
from muster.operations.views.audit import AuditRow, export_line, list_acts, read_acts

ROWS = 100
"""Acts on a page."""
MAXIMUM_FILTER = 200
"""Characters of what is filtered by."""
LARGEST_SEQUENCE = 2**63 - 1


class AuditPages:
    """The pages of the audit log."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/audit", self.page),
            Route("/audit/export", self.export),
        )

    async def page(self, request: Request) -> Response:
        """Show the acts, the latest first: all, or those of a name, of a subject, or by somebody."""
        asked = {name: _filter(request, name) for name in ("act", "subject", "by")}
        before = _number(request.query_params.get("before", ""))
        signed_in = await self._sessions.read(
            request,
            of_fleet(
                lambda tx: list_acts(
                    tx, limit=ROWS + 1, act=asked["act"], subject=asked["subject"], by=asked["by"], before=before
                ),
                Permission.READ_AUDIT,
            ),
        )
        if signed_in is None:
            return self._sessions.ask_to_sign_in(request)
        found = signed_in.value
        more = request.url.include_query_params(before=found[ROWS - 1].sequence) if len(found) > ROWS else None
        context = {
            "banners": [],
            "clock": Clock(self._runner.now()),
            "rows": [(row, _said(row)) for row in found[:ROWS]],
            "asked": {name: value or "" for name, value in asked.items()},
            "next_url": None if more is None else f"{more.path}?{more.query}",
        }
        return self._renderer.page("audit.html", context, administrator=signed_in.administrator)

    async def export(self, request: Request) -> Response:
        """Send the whole log as lines of JSON, each with its hash, so that whoever has it can verify the chain."""
        signed_in = await self._sessions.read(request, of_fleet(lambda _tx: None, Permission.READ_AUDIT))
        if signed_in is None:
            return self._sessions.ask_to_sign_in(request)
        headers = {**PAGE_HEADERS, "Content-Disposition": 'attachment; filename="muster-audit.ndjson"'}
        return StreamingResponse(self._lines(), media_type="application/x-ndjson", headers=headers)

    async def _lines(self) -> AsyncIterator[str]:
        after = 0
        while True:
            rows = await self._runner.read(lambda tx, after=after: read_acts(tx, after))  # type: ignore[misc] # bound now
            if not rows:
                return
            yield "".join(export_line(row) for row in rows)
            after = rows[-1].act.sequence


def _filter(request: Request, name: str) -> str | None:
    text = request.query_params.get(name, "").strip()[:MAXIMUM_FILTER]
    return text if text and text.isprintable() else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < len(str(LARGEST_SEQUENCE)) else None


def _said(row: AuditRow) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.detail.items() if value not in (None, ""))
