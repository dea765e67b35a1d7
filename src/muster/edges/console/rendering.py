"""Pages out of templates, each with the headers that keep a hostile device name or site from doing anything."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from muster.domain.permissions import Permission, allows
from muster.edges.console.navigation import NAVIGATION
from muster.operations.views import words
from muster.operations.views.marks import Mark
from muster.storage.people import Administrator

_HERE = Path(__file__).parent
_MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere: what got through the templates' escaping would still not run."""
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not no-referrer: with it browsers send "Origin: null" with our own forms
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_TURNS = re.compile("[\u202a-\u202e]")
"""Marks that turn the direction of what follows, beyond their own text: that of the verdict beside a name, too."""
_ISOLATES = re.compile("[\u2066-\u2069]")
_ISOLATE_END = "\u2069"
PAGE_HEADERS = {**SECURITY_HEADERS, "Cache-Control": "no-store", "Vary": "Cookie"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages refer to by *url*, which changes with its content."""

    body: bytes
    media_type: str
    url: str


class Renderer:
    """Renders the console's templates. Everything put into them is escaped unless it is Markup."""

    def __init__(self) -> None:
        self.assets = {path.name: _read_asset(path) for path in sorted((_HERE / "static").iterdir())}
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=_within_itself,
        )
        self._environment.globals.update(
            asset_urls={name: asset.url for name, asset in self.assets.items()},
            words=words,
            device_url=device_url,
            mark_of=mark_of,
            shape_of=shape_of,
            navigation=NAVIGATION,
            with_code=with_code,
        )

    def routes(self) -> tuple[Route, ...]:
        """Return the address of style sheets and scripts."""
        return (Route("/static/{name}", self.serve_asset),)

    def page(
        self,
        template: str,
        context: Mapping[str, object],
        *,
        administrator: Administrator | None = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        """Render a whole page, or a fragment; *administrator* is named in its head, with the way to sign out."""
        shown = {
            **context,
            "administrator": administrator,
            "may": partial(_may, administrator),
            "can": partial(_can, administrator),
        }
        text = self._environment.get_template(template).render(shown)
        return HTMLResponse(text, status_code, {**PAGE_HEADERS, **(headers or {})})

    def error(
        self,
        status_code: int,
        title: str,
        explanation: str,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
        administrator: Administrator | None = None,
    ) -> HTMLResponse:
        """Render an error: what happened, whose fault it is, and what to do."""
        context = {"status_code": status_code, "title": title, "explanation": explanation, "remedy": remedy}
        return self.page("error.html", context, administrator=administrator, status_code=status_code, headers=headers)

    async def serve_asset(self, request: Request) -> Response:
        """Serve a style sheet or script; it may be kept for ever, for its address names its content."""
        asset = self.assets.get(request.path_params["name"])
        if asset is None:
            return self.error(404, "There is nothing here", "No file of the console has this name.")
        headers = {**SECURITY_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(asset.body, media_type=asset.media_type, headers=headers)


def _within_itself(value: object) -> object:
    """Return what a template shows; a text turns the direction of nothing beside it, whatever marks it has.

    Isolates, by which systems set a name into a sentence of another script, stay, and end where the text does.
    """
    if not isinstance(value, str) or value.isascii() or isinstance(value, Markup):
        return value
    text = _TURNS.sub("\N{REPLACEMENT CHARACTER}", value)
    opened = 0
    for mark in _ISOLATES.findall(text):
        opened = max(0, opened - 1) if mark == _ISOLATE_END else opened + 1
    return text + _ISOLATE_END * opened


def _may(administrator: Administrator | None, permission: str) -> bool:
    """Tell whether a page has to lead to what takes *permission* and is about everybody."""
    return (
        administrator is not None
        and administrator.groups is None
        and allows(administrator.role, Permission(permission))
    )


def _can(administrator: Administrator | None, permission: str) -> bool:
    """Tell whether a page has to offer what takes *permission*, and is about a device that they see."""
    return administrator is not None and allows(administrator.role, Permission(permission))


def device_url(device_id: str) -> str:
    """Return the path of a device's page; ids may hold any character."""
    return f"/devices/{quote(device_id, safe='')}"


def inventory_url(channel_id: str) -> str:
    """Return the path of the page with a channel's inventory."""
    return f"/inventory/{quote(channel_id, safe='')}"


def with_code(text: str) -> Markup:
    """Escape *text*; what stands between backticks in it is shown as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


@lru_cache(maxsize=256)
def shape_of(mark: Mark) -> Markup:
    """Draw the shape of *mark*, from the symbols in base.html."""
    template = Markup('<svg class="shape" aria-hidden="true" width="10" height="10"><use href="#{}"/></svg>')
    return template.format(mark.shape.value)


@lru_cache(maxsize=256)
def mark_of(mark: Mark) -> Markup:
    """Draw *mark*: its shape, its word, its colour."""
    template = Markup('<span class="mark {}">{} {}</span>')
    return template.format(mark.tone.value, shape_of(mark), mark.word)


def _read_asset(path: Path) -> Asset:
    body = path.read_bytes()
    version = hashlib.sha256(body).hexdigest()[:12]
    return Asset(body, _MEDIA_TYPES[path.suffix], f"/static/{path.name}?v={version}")
