"""A person at a browser: follows redirects, keeps cookies, signs in where asked, presses the one button there is.

It ends where browsers on devices hand over: at a profile, or at a URL of Apple's by which a sign-in is told.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlencode, urljoin

from muster.protocol.account_driven import read_authentication_results
from muster.protocol.profile import PROFILE_MEDIA_TYPE
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.transport import ConnectionLost, Response, Transport

MAX_STEPS: Final = 12
"""Requests of one visit: a page, a form and what follows take five."""

FORM_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
SAFARI: Final = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Safari/604.1"
_DOMAIN: Final = re.compile(r"[A-Za-z0-9.-]+")
ACCEPT: Final = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a person signs in with. user_name: the Managed Apple Account, or an address."""

    user_name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a visit ended: at a profile, or at an access token; the other is None."""

    profile: bytes | None = None
    access_token: str | None = None


@dataclass(slots=True)
class _Form:
    action: str
    method: str
    fields: dict[str, tuple[str, str]] = field(default_factory=dict)  # name to type and value

    @property
    def asks_for_password(self) -> bool:
        return any(kind == "password" for kind, _ in self.fields.values())


async def visit(
    transport: Transport, url: str, *, credentials: Credentials | None = None, headers: Mapping[str, str] | None = None
) -> Landing:
    """Open *url* and go on until a profile or an access token comes.

    *headers* go with each GET, as those of Setup Assistant's web view do. Raises EnrollmentFailed: step "sign-in" when
    a password is asked for and *credentials* is None, or asked for again; "download" when a page leads nowhere, or
    something is refused.
    """
    return await _Visit(transport, credentials, headers or {}).walk(url)


class _Visit:
    """One window: its cookies, and whether somebody signed in."""

    def __init__(self, transport: Transport, credentials: Credentials | None, headers: Mapping[str, str]) -> None:
        self._transport = transport
        self._credentials = credentials
        self._headers = headers
        self._cookies: dict[str, str] = {}
        self._has_signed_in = False

    async def walk(self, url: str) -> Landing:
        method, body = "GET", b""
        for _ in range(MAX_STEPS):
            response = await self._request(method, url, body)
            location = response.headers.get("location")
            if response.status in (301, 302, 303, 307, 308) and location is not None:
                token = read_authentication_results(location)
                if token is not None:
                    return Landing(access_token=token)
                url = _joined(url, location)
                if response.status not in (307, 308):
                    method, body = "GET", b""
                continue
            media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if response.is_success and media_type == PROFILE_MEDIA_TYPE:
                return Landing(profile=response.body)
            if media_type != "text/html":
                raise EnrollmentFailed("download", f"{response.status} {media_type or 'without Content-Type'}")
            method, url, body = self._next(url, response)
        raise EnrollmentFailed("download", f"more than {MAX_STEPS} steps")

    async def _request(self, method: str, url: str, body: bytes) -> Response:
        headers = {"User-Agent": SAFARI, "Accept": ACCEPT}
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if method == "GET":
            headers |= self._headers
        else:
            headers |= {"Content-Type": FORM_MEDIA_TYPE, "Sec-Fetch-Site": "same-origin"}
        try:
            response = await self._transport.send(method, url, headers, body)
        except ConnectionLost as error:
            raise EnrollmentFailed("download", "no connection") from error
        self._keep_cookie(response.headers.get("set-cookie"))
        return response

    def _keep_cookie(self, line: str | None) -> None:
        try:
            jar = SimpleCookie(line or "")
        except CookieError:
            return
        self._cookies |= {name: morsel.value for name, morsel in jar.items()}

    def _next(self, url: str, response: Response) -> tuple[str, str, bytes]:
        """What a person does with a page: sign in, else press its button."""
        page = _Page()
        page.feed(response.body.decode("utf-8", "replace"))
        form = next((form for form in page.forms if form.asks_for_password), None)
        if form is not None:
            if self._credentials is None or self._has_signed_in:
                raise EnrollmentFailed("sign-in", f"{response.status}")
            self._has_signed_in = True
            return form.method, _joined(url, form.action), _filled(form, self._credentials)
        if not response.is_success:
            raise EnrollmentFailed("download", f"{response.status} text/html")
        if page.button is not None:
            return "GET", _joined(url, page.button), b""
        if page.forms:
            form = page.forms[0]
            fields = urlencode({name: value for name, (_, value) in form.fields.items()})
            target = _joined(url, form.action)
            if form.method == "GET":
                return "GET", target + (f"?{fields}" if fields else ""), b""
            return form.method, target, fields.encode()
        raise EnrollmentFailed("download", "the page leads nowhere")


class _Page(HTMLParser):
    """Its forms, and the first link that looks like a button or a download."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self.button: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of forms, their fields, and links."""
        attributes = {name: value or "" for name, value in attrs}
        match tag:
            case "form":
                method = attributes.get("method", "get").upper()
                self.forms.append(_Form(attributes.get("action", ""), method))
            case "input" if self.forms and attributes.get("name"):
                kind = attributes.get("type", "text").lower()
                self.forms[-1].fields[attributes["name"]] = (kind, attributes.get("value", ""))
            case "a" if self.button is None and attributes.get("href"):
                if "download" in attributes or "button" in attributes.get("class", "").split():
                    self.button = attributes["href"]
            case _:
                pass


def _filled(form: _Form, credentials: Credentials) -> bytes:
    values: dict[str, str] = {}
    for name, (kind, value) in form.fields.items():
        match kind:
            case "password":
                values[name] = credentials.password
            case "text" | "email":
                values[name] = value or credentials.user_name
            case _:
                values[name] = value
    return urlencode(values).encode()


def _joined(url: str, reference: str) -> str:
    try:
        return urljoin(url, reference)
    except ValueError as error:
        raise EnrollmentFailed("download", "a link is no URL") from error


def domain_of(user_name: str) -> str:
    """The domain of an account's name. Raises EnrollmentFailed, step "discovery", when it has none."""
    _, at, domain = user_name.rpartition("@")
    if not at or not _DOMAIN.fullmatch(domain):
        raise EnrollmentFailed("discovery", "the account's name has no domain")
    return domain
