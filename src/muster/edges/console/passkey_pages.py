"""What the script of the sign-in page and of one's account asks for, to sign in by passkeys and to add them."""

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from muster.crypto.passkeys import Site
from muster.domain.errors import Refusal
from muster.domain.sign_in_limits import Way
from muster.edges.console.account_pages import AccountPages, Mine
from muster.edges.console.forms import Form, read_form
from muster.edges.console.sessions import Sessions, note_refused, source_of, visit_of
from muster.operations.ports import Runner
from muster.operations.use_passkeys import (
    AddingBegun,
    PasskeyMade,
    PasskeyRemoval,
    PasskeyShown,
    Question,
    SigningInBegun,
    add_passkeys,
    begin_adding,
    begin_signing_in,
    remove_passkeys,
    sign_in_by_passkey,
)

_NOT_KEPT = {"Cache-Control": "no-store"}


def passkey_site(public_url: str | None) -> Site | None:
    """Return where passkeys are good; None where browsers make none: without a host's name, or plain HTTP.

    Plain HTTP is as good as TLS to browsers on localhost alone (W3C, Secure Contexts).
    """
    parts = urlsplit(public_url or "")
    host = parts.hostname or ""
    if not host or (parts.scheme != "https" and host != "localhost"):
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return Site(host, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
    return None


class PasskeyPages:
    """Answers of JSON: `{"options": ..., "state": ...}`, `{"location": ...}`, or `{"error": ...}` with a 4xx."""

    def __init__(self, runner: Runner, sessions: Sessions, account: AccountPages, site: Site) -> None:
        self._runner = runner
        self._sessions = sessions
        self._account = account
        self._site = site

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/sign-in/passkey/options", self.ask_to_sign_in, methods=["POST"]),
            Route("/sign-in/passkey", self.sign_in, methods=["POST"]),
            Route("/me/passkeys/options", self.ask_to_add, methods=["POST"]),
            Route("/me/passkeys", self.add, methods=["POST"]),
            Route("/me/passkeys/{passkey}/remove", self.remove, methods=["POST"]),
        )

    async def ask_to_sign_in(self, request: Request) -> Response:
        """Ask somebody for a passkey."""
        shut = await self._sessions.refused_by(Way.PASSKEY, request)
        if shut is not None:
            return _asked(shut)
        [outcome] = await self._runner.write(begin_signing_in, [SigningInBegun(source_of(request), self._site)])
        return _asked(outcome)

    async def sign_in(self, request: Request) -> Response:
        """Begin a session for whoever showed a passkey."""
        form = await read_form(request)
        visit = visit_of(request, self._sessions.token(request))
        shown = PasskeyShown(form["state"], form["answer"], visit, self._site)
        [outcome] = await self._runner.write(sign_in_by_passkey, [shown])
        if isinstance(outcome, Refusal):
            note_refused(request, outcome, Way.PASSKEY)
            return _refused(outcome)
        begun = self._sessions.begin(request, outcome, self._runner.now())
        response = JSONResponse({"location": begun.headers["location"]}, headers=_NOT_KEPT)
        for name, value in begun.raw_headers:
            if name == b"set-cookie":
                response.raw_headers.append((name, value))
        return response

    async def ask_to_add(self, request: Request) -> Response:
        """Ask somebody who is signed in to make a passkey."""
        mine, _form = await self._form(request)
        if mine is None:
            return _signed_out()
        refusal = self._account.stale(mine)
        if refusal is not None:
            return _refused(refusal)
        begun = AddingBegun(mine.id, mine.signed_in.administrator.name, self._site)
        [outcome] = await self._runner.write(begin_adding, [begun], mine.signed_in.principal.actor)
        return _asked(outcome)

    async def add(self, request: Request) -> Response:
        """Keep the passkey that was made."""
        mine, form = await self._form(request)
        if mine is None or form is None:
            return _signed_out()
        made = PasskeyMade(mine.id, form["name"], form["state"], form["answer"], self._site)
        [refusal] = await self._runner.write(add_passkeys, [made], mine.signed_in.principal.actor)
        return JSONResponse({"location": "/me"}, headers=_NOT_KEPT) if refusal is None else _refused(refusal)

    async def remove(self, request: Request) -> Response:
        """Forget a passkey."""
        mine, _form = await self._form(request)
        if mine is None:
            return self._sessions.ask_to_sign_in(request)
        try:
            credential_id = bytes.fromhex(request.path_params["passkey"])
        except ValueError:
            credential_id = b""
        removal = PasskeyRemoval(mine.id, credential_id)
        await self._runner.write(remove_passkeys, [removal], mine.signed_in.principal.actor)
        return RedirectResponse("/me", 303, _NOT_KEPT)

    async def _form(self, request: Request) -> tuple[Mine | None, Form | None]:
        mine = await self._account.mine(request)
        return (None, None) if mine is None else (mine, await read_form(request, mine.token))


def _asked(outcome: Question | Refusal) -> Response:
    if isinstance(outcome, Refusal):
        return _refused(outcome)
    body = f'{{"options":{outcome.options},"state":"{outcome.state}"}}'
    return Response(body, media_type="application/json", headers=_NOT_KEPT)


def _refused(refusal: Refusal) -> Response:
    return JSONResponse({"error": f"{refusal.message}. {refusal.remedy}".strip()}, 403, headers=_NOT_KEPT)


def _signed_out() -> Response:
    return JSONResponse({"error": "Your session is over. Sign in again."}, 401, headers=_NOT_KEPT)
