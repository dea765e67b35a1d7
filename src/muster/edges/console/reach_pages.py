"""Can this device reach us? A page that anybody opens on a device, without a sign-in; from its own link it is kept."""

from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.access import DEVICE
from muster.domain.errors import Refusal
from muster.domain.permissions import Permission
from muster.domain.reach import PUSH_HOSTS, PUSH_NETWORK, Reach, Way, reach_of
from muster.domain.webhooks import is_public
from muster.edges.console.enrollment_pages import code_of
from muster.edges.console.office import Office
from muster.edges.console.rendering import device_url
from muster.edges.console.sessions import source_of
from muster.edges.console.times import Clock
from muster.edges.console.visits import WINDOW, VisitCount
from muster.operations.note_reach import ReachLink, Visited, make_reach_links, note_visits
from muster.operations.views.expiring import public_certificates
from muster.operations.views.marks import Mark, Shape, Tone
from muster.protocol.identifiers import ChannelId

PROXY: Final = "muster.proxy"
"""Extension of a request's scope where it came from a proxy that is trusted."""
CERTIFICATES_KEPT: Final = timedelta(minutes=1)
"""For so long the database isn't asked again which certificates stand at the public address: anybody may ask us."""
_OPENED: Final = Mark("Opened on the way", Shape.CROSS, Tone.BAD)
_PLAIN: Final = Mark("No TLS", Shape.CROSS, Tone.BAD)
_TOLD: Final = Mark("Sent", Shape.DISC, Tone.GOOD)
_UNSEEN: Final = Mark("Can't be told from here", Shape.QUESTION, Tone.BLIND)


class ReachPages:
    """The page for whoever is at a device, and the links to it."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._visits = VisitCount()
        self._certificates: tuple[str, ...] = ()
        self._read_at: datetime | None = None

    def routes(self) -> list[Route]:
        """Return the addresses of these pages."""
        return [
            Route("/reach", self.page),
            Route("/reach/{token}", self.page),
            Route("/reach/{token}", self.note, methods=["POST"]),
            Route("/reach-links/{device_id:path}", self.make_link, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show what can be told of the way here; on a device's own link, offer to tell the administrators."""
        return await self._too_many(request) or await self._show(request)

    async def note(self, request: Request) -> Response:
        """Keep what was found as evidence of the device whose link this is."""
        refused = await self._too_many(request)
        if refused is not None:
            return refused
        visited = Visited(request.path_params["token"], self._reach(request))
        [outcome] = await self._office.runner.write(note_visits, [visited], DEVICE)
        return await self._show(request, outcome)

    async def make_link(self, request: Request) -> Response:
        """Make a device's own link, and show it."""
        sent = await self._office.form(request, Permission.WAKE)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, _form = sent
        device_id = ChannelId(request.path_params["device_id"])
        made = await self._office.do(signed_in, make_reach_links, device_id)
        if not isinstance(made, ReachLink):
            return self._office.renderer.error(
                404, "There is no such device", "No device with this id is known, or in a group of yours."
            )
        url = f"{self._office.public_url(request)}/reach/{made.token}"
        context = {"url": url, "code": code_of(url), "link": made, "device_url": device_url(device_id)}
        return self._office.page(request, "reach_link.html", signed_in, context)

    async def _show(self, request: Request, outcome: ChannelId | Refusal | None = None) -> Response:
        now, reach = self._office.runner.now(), self._reach(request)
        token = request.path_params.get("token")
        ours = urlsplit(self._office.public_url(request))
        context = {
            "clock": Clock(now),
            "now": now,
            "reach": reach,
            "is_public": is_public(reach.address),
            "sealed": _mark(reach),
            "certificates": await self._certificates_at(now),
            "host": ours.hostname or "",
            "port": ours.port or (80 if ours.scheme == "http" else 443),
            "push_hosts": PUSH_HOSTS,
            "push_network": PUSH_NETWORK,
            "token": token,
            "told": _TOLD,
            "is_told": outcome is not None and not isinstance(outcome, Refusal),
            "refusal": outcome if isinstance(outcome, Refusal) else None,
        }
        status_code = 400 if isinstance(outcome, Refusal) else 200
        return self._office.renderer.page("reach.html", context, status_code=status_code)

    async def _too_many(self, request: Request) -> Response | None:
        if not self._visits.is_too_many(source_of(request), self._office.runner.now()):
            return None
        seconds = WINDOW // timedelta(seconds=1)
        return self._office.renderer.error(
            429,
            "Too many visits from your network",
            "This page does reach the server; many have opened it from the same address just now.",
            f"Wait {seconds} seconds, and load it again.",
            headers={"Retry-After": str(seconds)},
        )

    async def _certificates_at(self, now: datetime) -> tuple[str, ...]:
        """Return the fingerprints of our certificates at the public address, as browsers write them."""
        if self._read_at is None or not self._read_at <= now < self._read_at + CERTIFICATES_KEPT:
            found = await self._office.runner.read(public_certificates)
            self._certificates = tuple(mark.hex(" ").upper() for mark, _ in found)
            self._read_at = now
        return self._certificates

    def _reach(self, request: Request) -> Reach:
        return reach_of(
            request.headers,
            source_of(request),
            is_tls=request.url.scheme == "https",
            is_through_proxy=PROXY in request.scope.get("extensions", {}),
        )


def _mark(reach: Reach) -> Mark:
    """Say whether TLS was whole, as far as a server can know."""
    match reach.way:
        case Way.PLAIN:
            return _PLAIN
        case Way.OPENED:
            return _OPENED
        case Way.SEALED:
            return _UNSEEN
