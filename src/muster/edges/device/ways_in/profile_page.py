"""An enrollment link is opened: people get a page that explains, programs and the page's button the signed profile.

`/enroll/TOKEN` is for links of kind PROFILE. What is there for OTA is alike, so that door uses `LinkPages` too.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from muster.crypto.keys import RSAPrivateKey
from muster.domain.access import DEVICE, EnrollmentLink, IdentityKind, LinkKind
from muster.domain.enrollment_users import EnrollmentUser
from muster.domain.errors import Refusal, RefusalCode
from muster.edges.device.errors import method_reply, unavailable_reply
from muster.edges.device.http import Receive, Reply, Request, Scope, Send, send_reply
from muster.edges.device.ways_in.forms import wants_page
from muster.edges.device.ways_in.profiles import make_identity_key, profile_reply
from muster.edges.device.ways_in.reception import MAXIMUM_TOKEN_CHARACTERS, Reception
from muster.edges.device.ways_in.words import what_rights_allow
from muster.operations.enrollment_links import LinkOpened, must_sign_in, open_links
from muster.storage.errors import Unavailable

ENROLL_PATH = "/enroll"
_SEE_OTHER = 303

log = structlog.get_logger("muster.enroll")

Download = Callable[[Request, str, EnrollmentUser | None], Awaitable[Reply]]
"""Answers with the profile that a token gives to who is signed in, or with a refusal. May raise Unavailable."""


@dataclass(frozen=True, slots=True)
class LinkPages:
    """The pages of one kind of link under *path*: `PATH/TOKEN`, and below it `/profile` and `/sign-in`."""

    reception: Reception
    path: str
    kind: LinkKind
    download: Download

    async def get(self, request: Request, token: str, rest: str) -> Reply:
        """Answer a GET: the page for people, the profile for programs and for the button. Raises Unavailable."""
        user = await self.reception.desk.whose_session(request)
        if rest == "" and wants_page(request):
            return await self._page(request, token, user)
        if rest in ("", "profile"):
            return await self.download(request, token, user)
        if rest == "sign-in":  # a form that is asked for anew, as by the browser's history
            return Reply(_SEE_OTHER, headers=((b"location", self._path(token).encode()),))
        return self.reception.refuse(request, LINK_UNKNOWN)

    async def sign_in(self, request: Request, token: str) -> Reply:
        """Answer the sign-in form: lead back to the page, or show the form again. Raises Unavailable."""
        link = await self.reception.find_link(token, self.kind)
        if isinstance(link, Refusal):
            return self.reception.refuse(request, link)
        outcome = await self.reception.desk.sign_in(request, self._path(token, "/sign-in"))
        if isinstance(outcome, Reply):
            return outcome
        headers = (
            (b"location", self._path(token).encode()),
            (b"cache-control", b"no-store"),
            self.reception.desk.cookie_of(outcome),
        )
        return Reply(_SEE_OTHER, headers=headers)

    async def _page(self, request: Request, token: str, user: EnrollmentUser | None) -> Reply:
        link = await self.reception.find_link(token, self.kind)
        if isinstance(link, Refusal):
            return self.reception.refuse(request, link)
        if must_sign_in(link, user) is not None:
            return self.reception.desk.form(self._path(token, "/sign-in"))
        context = {
            "profile_url": self._path(token, "/profile"),
            "user_name": "" if user is None or not link.requires_sign_in else user.user_name,
            "allowed": what_rights_allow(link.access_rights),
        }
        return self.reception.renderer.page("enroll.html", context)

    def _path(self, token: str, rest: str = "") -> str:
        return self.reception.renderer.path(f"{self.path}/{token}{rest}")


class EnrollDoor:
    """Answers `/enroll/TOKEN`: a page, and a signed .mobileconfig that is good for one device."""

    def __init__(self, reception: Reception, *, new_rsa_key: Callable[[int], RSAPrivateKey]) -> None:
        self._reception = reception
        self._new_rsa_key = new_rsa_key
        self._pages = LinkPages(reception, ENROLL_PATH, LinkKind.PROFILE, self._download)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request on an enrollment link."""
        request = Request(scope, receive)
        try:
            reply = await self._answer(request)
        except Unavailable as error:
            log.warning("unavailable", error=str(error))
            reply = unavailable_reply()
        await send_reply(send, request, reply)

    async def _answer(self, request: Request) -> Reply:
        token, rest = split_token(request.scope["path"], ENROLL_PATH)
        match request.method, rest:
            case "POST", "sign-in":
                return await self._pages.sign_in(request, token)
            case "GET", _:
                return await self._pages.get(request, token, rest)
            case _:
                # HEAD too: looking at a link must neither use it up nor make challenges
                return method_reply("POST" if rest == "sign-in" else "GET")

    async def _download(self, request: Request, token: str, user: EnrollmentUser | None) -> Reply:
        reception = self._reception
        link = await reception.find_link(token, LinkKind.PROFILE)
        if isinstance(link, Refusal):
            return reception.refuse(request, link)
        refusal = must_sign_in(link, user)
        if refusal is not None:
            return reception.refuse(request, refusal)
        opened = LinkOpened(token, reception.terms, user, key=await self._key_for(link))
        outcome = (await reception.runner.write(open_links, [opened], DEVICE))[0]
        if isinstance(outcome, Refusal):
            return reception.refuse(request, outcome)
        log.info("profile_handed_out", source=request.source, link=link.id)
        return await profile_reply(outcome, reception.signer)

    async def _key_for(self, link: EnrollmentLink) -> RSAPrivateKey | None:
        is_made_here = link.identity_kind is IdentityKind.PKCS12
        return await make_identity_key(self._new_rsa_key) if is_made_here else None


def split_token(path: str, beginning: str) -> tuple[str, str]:
    """Split `BEGINNING/TOKEN/REST`. A token that is too long is cut, so that it is unknown; REST is "" without one."""
    token, slash, rest = path.removeprefix(f"{beginning}/").partition("/")
    return token[:MAXIMUM_TOKEN_CHARACTERS], rest or slash


LINK_UNKNOWN = Refusal(
    RefusalCode.LINK_UNKNOWN, "this enrollment link is not known", "Ask your administrator for a new link."
)
