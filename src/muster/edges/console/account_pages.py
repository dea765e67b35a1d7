"""One's own account: by what one signs in, and the sessions that are open."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from muster.crypto.passwords import SALT_BYTES, hash_password
from muster.domain.enrollment_users import check_password, normalise_password
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.one_time_passwords import as_text, set_up_uri
from muster.edges.console.forms import Form, hidden, read_form
from muster.edges.console.office import Refused
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions, SignedIn
from muster.edges.console.times import Clock
from muster.operations.end_sessions import EndOrder, end_own_sessions
from muster.operations.permit import of_no_device
from muster.operations.ports import Runner
from muster.operations.set_up_sign_in import (
    PasswordOrder,
    TotpConfirmation,
    TotpOffer,
    WrongFirstCode,
    confirm_totp,
    offer_totp,
    set_own_passwords,
)
from muster.operations.sign_in import find_session
from muster.operations.views.people import OwnAccount, own_account
from muster.storage.engine import Transaction

FRESH: Final = timedelta(minutes=30)
"""How long ago one may have signed in to change by what one signs in: a page left open is nobody's chance."""
_NOT_KEPT: Final = {"Cache-Control": "no-store"}
_STALE: Final = Refusal(
    RefusalCode.SIGN_IN_NEEDED,
    f"you signed in more than {FRESH // timedelta(minutes=1)} minutes ago",
    "Sign out, sign in again, and then change it: so nobody does who finds this page open.",
)


@dataclass(frozen=True, slots=True)
class Mine:
    """Whoever is signed in, with the token of their session."""

    signed_in: SignedIn[OwnAccount]
    token: str

    @property
    def id(self) -> str:
        """The administrator's id."""
        return self.signed_in.administrator.id


class AccountPages:
    """The pages about oneself. *name*: what authenticators show beside the administrator's."""

    def __init__(
        self, runner: Runner, renderer: Renderer, sessions: Sessions, name: str, *, has_passkeys: bool
    ) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._name = name
        self._has_passkeys = has_passkeys
        self._hashing = asyncio.Semaphore(2)  # each takes 19 MiB

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/me", self.page),
            Route("/me/password", self.set_password, methods=["POST"]),
            Route("/me/totp", self.offer_totp, methods=["POST"]),
            Route("/me/totp/confirm", self.confirm_totp, methods=["POST"]),
            Route("/me/sessions/{session_id}/end", self.end_session, methods=["POST"]),
        )

    async def page(self, request: Request) -> Response:
        """Show one's ways to sign in, and one's sessions."""
        mine = await self.mine(request)
        if mine is None:
            return self._sessions.ask_to_sign_in(request)
        account = mine.signed_in.value
        context = {
            "banners": [],
            "clock": Clock(self._runner.now()),
            "account": account,
            "hidden": hidden(mine.token),
            "is_fresh": self._is_fresh(account),
            "has_passkeys": self._has_passkeys,
        }
        return self._renderer.page("account.html", context, administrator=mine.signed_in.administrator)

    async def set_password(self, request: Request) -> Response:
        """Take a new password."""
        mine, form = await self._form(request)
        if mine is None or form is None:
            return self._sessions.ask_to_sign_in(request)
        password = normalise_password(form["password"])
        refusal = self.stale(mine) or check_password(password)
        if refusal is None and form["password"] != form["again"]:
            refusal = Refusal(RefusalCode.PASSWORD_UNFIT, "the two passwords are not the same", "Type it twice.")
        if refusal is not None:
            return self._refused(mine, refusal)
        salt = await self._random_salt()
        async with self._hashing:
            hashed = await asyncio.to_thread(hash_password, password, salt)
        order = PasswordOrder(mine.id, hashed, mine.token)
        await self._runner.write(set_own_passwords, [order], mine.signed_in.principal.actor)
        return _back()

    async def offer_totp(self, request: Request) -> Response:
        """Show the secret of one-time passwords, as a QR code and as text, and ask for the first password."""
        mine, form = await self._form(request)
        if mine is None or form is None:
            return self._sessions.ask_to_sign_in(request)
        refusal = self.stale(mine)
        if refusal is not None:
            return self._refused(mine, refusal)
        [offer] = await self._runner.write(offer_totp, [mine.id], mine.signed_in.principal.actor)
        return self._show_offer(mine, offer)

    def _show_offer(self, mine: Mine, offer: TotpOffer, refused: Refused | None = None) -> Response:
        uri = set_up_uri(offer.secret, name=mine.signed_in.administrator.name, issuer=self._name)
        code = segno.make_qr(uri).svg_inline(scale=4, border=4, dark="#000", light="#fff")
        context: dict[str, object] = {
            "banners": [],
            "code": Markup(code),  # noqa: S704 - drawn from squares
            "secret": as_text(offer.secret),
            "state": offer.state,
            "hidden": hidden(mine.token),
            "refused": refused,
        }
        status = 200 if refused is None else 400
        return self._renderer.page("totp.html", context, administrator=mine.signed_in.administrator, status_code=status)

    async def confirm_totp(self, request: Request) -> Response:
        """Take the first one-time password, and show the recovery codes, once."""
        mine, form = await self._form(request)
        if mine is None or form is None:
            return self._sessions.ask_to_sign_in(request)
        confirmation = TotpConfirmation(mine.id, form["state"], form["code"], mine.token)
        [outcome] = await self._runner.write(confirm_totp, [confirmation], mine.signed_in.principal.actor)
        if isinstance(outcome, WrongFirstCode):
            return self._show_offer(mine, outcome.again, Refused(outcome.refusal, form))
        if isinstance(outcome, Refusal):
            return self._refused(mine, outcome)
        context = {"banners": [], "codes": outcome.codes}
        return self._renderer.page("codes.html", context, administrator=mine.signed_in.administrator)

    async def end_session(self, request: Request) -> Response:
        """End one of one's sessions."""
        mine, form = await self._form(request)
        if mine is None or form is None:
            return self._sessions.ask_to_sign_in(request)
        order = EndOrder(mine.id, request.path_params["session_id"])
        await self._runner.write(end_own_sessions, [order], mine.signed_in.principal.actor)
        return _back()

    async def mine(self, request: Request) -> Mine | None:
        """Read one's account; None when nobody is signed in."""
        token, now = self._sessions.token(request), self._runner.now()
        if not token:
            return None

        def view(tx: Transaction) -> OwnAccount:
            found = find_session(tx, token, now, self._sessions.policy)
            assert found is not None, "it was found in this transaction"
            return own_account(tx, found.stored, now)

        signed_in = await self._sessions.read(request, of_no_device(view))
        return None if signed_in is None else Mine(signed_in, token)

    async def _form(self, request: Request) -> tuple[Mine | None, Form | None]:
        mine = await self.mine(request)
        return (None, None) if mine is None else (mine, await read_form(request, mine.token))

    async def _random_salt(self) -> bytes:
        [salt] = await self._runner.write(lambda _tx, _items, ctx: [ctx.random_bytes(SALT_BYTES)], [None])
        return salt

    def _is_fresh(self, account: OwnAccount) -> bool:
        return self._runner.now() - account.signed_in_at <= FRESH

    def stale(self, mine: Mine) -> Refusal | None:
        """Tell why somebody may not change now by what they sign in, or None."""
        return None if self._is_fresh(mine.signed_in.value) else _STALE

    def _refused(self, mine: Mine, refusal: Refusal) -> Response:
        title = "Nothing was changed"
        return self._renderer.error(
            400, title, f"{refusal.message}.", refusal.remedy, administrator=mine.signed_in.administrator
        )


def _back() -> Response:
    return RedirectResponse("/me", 303, _NOT_KEPT)
