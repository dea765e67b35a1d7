"""Pages for people who enroll: whole in one reply, without scripts, as a web view in Setup Assistant needs them."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from muster.domain.errors import Refusal
from muster.edges.device.errors import refusal_reply
from muster.edges.device.http import Reply

_TEMPLATES = Path(__file__).parent / "templates"
HTML = b"text/html; charset=utf-8"
_AFTER_SIGN_IN = "apple-remotemanagement-user-login:"
"""Where the form of an account-driven enrollment ends: the policy is about redirects too, in most browsers."""


class PageRenderer:
    """Renders pages in the organization's name. *public_url* tells the path under which devices reach this server.

    Everything put into a template is escaped unless it is Markup.
    """

    def __init__(self, organization: str, public_url: str) -> None:
        style = (_TEMPLATES / "style.css").read_text()
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(style=Markup(style), organization=organization)  # noqa: S704 - a file of ours
        self._root = urlsplit(public_url).path.rstrip("/")
        policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self' {_AFTER_SIGN_IN}; base-uri 'none'; "
        )
        self._headers = (
            (b"content-security-policy", f"{policy}frame-ancestors 'none'".encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            # not no-referrer: with it browsers send "Origin: null" with our own forms
            (b"referrer-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
        )

    def path(self, path: str) -> str:
        """Return where *path* of this server is for its clients, a proxy's prefix included."""
        return self._root + path

    def page(
        self,
        template: str,
        context: Mapping[str, object],
        *,
        status: int = 200,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> Reply:
        """Render a whole page."""
        text = self._environment.get_template(template).render(context)
        return Reply(status, text.encode(), HTML, (*self._headers, *headers))

    def refusal(self, refusal: Refusal) -> Reply:
        """Render why something is refused and what to do, with the status that clients without pages get."""
        plain = refusal_reply(refusal)
        context = {"message": _sentence(refusal.message), "remedy": refusal.remedy}
        return self.page("refusal.html", context, status=plain.status, headers=plain.headers)


def _sentence(message: str) -> str:
    """Make a sentence of a refusal's message, which begins small and has no full stop."""
    return f"{message[:1].upper()}{message[1:]}."
