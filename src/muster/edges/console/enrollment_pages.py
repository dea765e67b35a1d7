"""Enrollment links: which there are, a new one, with the code that a camera reads, and the end of one."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.access import IdentityKind, LinkKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.edges.console.forms import Form
from muster.edges.console.office import Office, Refused, back_to
from muster.edges.console.sessions import SignedIn
from muster.operations.enrollment_links import MAXIMUM_USES, LinkOrder, NewLink, create_links, revoke_links
from muster.operations.permit import of_fleet
from muster.operations.views.links import BY_ACCOUNT, ListedLink, link_address, list_links
from muster.operations.views.marks import Mark, Shape, Tone

DAYS: Final = (1, 7, 30, 90, 365)
"""For which a link may be made here; the command line takes any time."""
MAXIMUM_NOTE: Final = 500
KINDS: Final[Mapping[LinkKind, str]] = {
    LinkKind.PROFILE: "A page on the device",
    LinkKind.OTA: "A page, and the device says first who it is (over the air)",
    LinkKind.ADE: "Setup Assistant (Automated Device Enrollment)",
    LinkKind.ACCOUNT_USER: "A person's own device, by their account (User Enrollment)",
    LinkKind.ACCOUNT_DEVICE: "An organization's device, by a person's account (Device Enrollment)",
}
SHORT_KINDS: Final[Mapping[LinkKind, str]] = {
    LinkKind.PROFILE: "Page",
    LinkKind.OTA: "Over the air",
    LinkKind.ADE: "Setup Assistant",
    LinkKind.ACCOUNT_USER: "User Enrollment",
    LinkKind.ACCOUNT_DEVICE: "Device Enrollment",
}
STATES: Final[Mapping[str, Mark]] = {
    "open": Mark("Open", Shape.DISC, Tone.GOOD),
    "revoked": Mark("Ended", Shape.RING, Tone.OVER),
    "expired": Mark("Expired", Shape.RING, Tone.OVER),
    "used_up": Mark("Used up", Shape.RING, Tone.OVER),
}
_DIGITS: Final = 9
"""Of a number of uses that is looked at."""


class EnrollmentPages:
    """The pages about enrollment links."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def routes(self) -> list[Route]:
        """Return the addresses of these pages."""
        return [
            Route("/enrollment", self.page),
            Route("/enrollment", self.make, methods=["POST"]),
            Route("/enrollment/{link}/end", self.end, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show the links, and the form for another."""
        return await self._show(request)

    async def make(self, request: Request) -> Response:
        """Make a link, and show it once: as an address, and as a code."""
        sent = await self._office.form(request, Permission.ENROLL)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        order = read_order(form)
        made = order if isinstance(order, Refusal) else await self._office.do(signed_in, create_links, order)
        if not isinstance(made, NewLink):
            return await self._show(request, Refused(made, form))
        return self._made(request, signed_in, made)

    async def end(self, request: Request) -> Response:
        """Withdraw a link."""
        sent = await self._office.form(request, Permission.ENROLL)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        ended = await self._office.do(signed_in, revoke_links, request.path_params["link"])
        if isinstance(ended, Refusal):
            return await self._show(request, Refused(ended, form, "links"))
        return back_to("/enrollment")

    async def _show(self, request: Request, refused: Refused | None = None) -> Response:
        now = self._office.runner.now()
        signed_in = await self._office.see(request, of_fleet(lambda tx: list_links(tx, now)))
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        listed = signed_in.value
        context = {
            "open_links": [_line(one) for one in listed if one.state == "open"],
            "closed_links": [_line(one) for one in listed if one.state != "open"],
            "kinds": KINDS,
            "days": DAYS,
        }
        return self._office.page(request, "enrollment.html", signed_in, context, refused)

    def _made(self, request: Request, signed_in: SignedIn[None], made: NewLink) -> Response:
        link, url = made.link, link_address(self._office.public_url(request), made)
        context = {
            "link": link,
            "kind": KINDS[link.kind],
            "url": url,
            "is_secret": link.kind not in BY_ACCOUNT,
            "code": code_of(url),
            "policy_command": f'muster policy set account_driven \'{{"default": "{link.id}"}}\'',
        }
        return self._office.page(request, "enrollment_link.html", signed_in, context)


def code_of(url: str) -> Markup:
    """Draw *url* as a QR code, in squares that any camera reads, on white in dark pages too."""
    drawn = segno.make_qr(url).svg_inline(scale=5, border=4, dark="#000", light="#fff")
    return Markup(drawn)  # noqa: S704 - drawn from squares


def read_order(form: Form) -> LinkOrder | Refusal:
    """Read the form for a new link, or tell what no form of ours sends or no link can be."""
    uses = form["uses"].strip()
    if uses and not (uses.isascii() and uses.isdigit() and 1 <= int(uses[:_DIGITS]) <= MAXIMUM_USES):
        what = f"a link is for 1 to {MAXIMUM_USES:,} devices, or for any number where that is left empty"
        return Refusal(RefusalCode.LINK_UNFIT, what)
    if form["kind"] not in set(LinkKind) or form["days"] not in {str(one) for one in DAYS}:
        return Refusal(RefusalCode.LINK_UNFIT, "the form names no such kind of link, or no such time")
    serials = [one.upper() for one in re.split(r"[\s,;]+", form["serials"]) if one]
    return LinkOrder(
        int(uses) if uses else None,
        timedelta(days=int(form["days"])),
        " ".join(form["note"].split())[:MAXIMUM_NOTE],
        kind=LinkKind(form["kind"]),
        identity_kind=IdentityKind.PKCS12 if form["identity"] == "pkcs12" else IdentityKind.SCEP,
        is_removal_disallowed=form["not_removable"] == "yes",
        requires_sign_in=form["sign_in"] == "yes",
        serial_numbers=frozenset(serials) if serials else None,
        required_os_version=form["required_os"].strip() or None,
    )


def _line(one: ListedLink) -> tuple[ListedLink, Mark, str]:
    return one, STATES.get(one.state) or Mark(one.state, Shape.RING, Tone.OVER), SHORT_KINDS[one.link.kind]
