"""Automated Device Enrollment over HTTP: Setup Assistant posts who the device is, or opens a page with it.

`POST /ade/TOKEN` is the `url` of the profile that Apple hands the device, `/ade/TOKEN/web` its
`configuration_web_url`; `/ade` alone is the link that the policy `ade_link` names. Source: Apple, "Define Profile",
"MachineInfo".
"""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, quote

import structlog

from muster.crypto.keys import RSAPrivateKey
from muster.domain.access import DEVICE
from muster.domain.automated_enrollment import NotListed, UpdateFirst
from muster.domain.errors import Refusal
from muster.edges.device.errors import method_reply, timed_out_reply, unavailable_reply
from muster.edges.device.http import ClientGone, Receive, Reply, Request, Scope, Send, TooManyBodies, send_reply
from muster.edges.device.ways_in.device_errors import not_listed_reply, update_first_reply
from muster.edges.device.ways_in.introductions import IntroductionReader
from muster.edges.device.ways_in.profiles import make_identity_key, profile_reply
from muster.edges.device.ways_in.reception import MAXIMUM_TOKEN_CHARACTERS, Reception
from muster.operations.enroll_automatically import (
    MAXIMUM_INTRODUCTION_CHARACTERS,
    AutomatedOutcome,
    DeviceAsks,
    SignInOnPage,
    enroll_automatically,
)
from muster.operations.enrollment_profiles import IdentityKeyNeeded
from muster.protocol.machine_info import MachineInfo
from muster.storage.errors import Unavailable

ADE_PATH = "/ade"
WEB = "/web"

log = structlog.get_logger("muster.enroll")


class AutomatedDoor:
    """Answers devices in Setup Assistant."""

    def __init__(
        self,
        reception: Reception,
        introductions: IntroductionReader,
        *,
        new_rsa_key: Callable[[int], RSAPrivateKey],
    ) -> None:
        self._reception = reception
        self._introductions = introductions
        self._new_rsa_key = new_rsa_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        await send_reply(send, request, await self._answer(request))

    async def _answer(self, request: Request) -> Reply:
        whole: str = request.scope["path"]
        path = whole.removeprefix(ADE_PATH)
        is_page = path.endswith(WEB)
        token = path.removesuffix(WEB).removeprefix("/")[:MAXIMUM_TOKEN_CHARACTERS] or None
        try:
            if is_page:
                return await self._answer_page(request, token)
            if request.method != "POST":
                return method_reply("POST")
            introduced = await self._introductions.from_body(request, is_vouched=True)
            if isinstance(introduced, Refusal):
                return self._reception.refuse(request, introduced)
            asked = DeviceAsks(token, introduced.info, self._reception.terms, request.source)
            return await self._give(request, await self._ask(asked))
        except Unavailable as error:
            log.warning("unavailable", error=str(error))
            return unavailable_reply()
        except TooManyBodies:
            return unavailable_reply()
        except ClientGone:
            return timed_out_reply()

    async def _answer_page(self, request: Request, token: str | None) -> Reply:
        """Answer the page that Setup Assistant shows: the profile, or first the form."""
        if request.method not in ("GET", "POST"):
            return method_reply("GET", "POST")
        introduction = _introduction(request)
        device: MachineInfo | str
        user = None
        if request.method == "POST":
            # first who the device is: who can't be given a profile needs no password
            device = introduction
            outcome = await self._ask(DeviceAsks(token, device, self._reception.terms, request.source, is_page=True))
            if not isinstance(outcome, SignInOnPage):
                return await self._give(request, outcome)
            signed_in = await self._reception.desk.sign_in(request, self._action(token, introduction))
            if isinstance(signed_in, Reply):
                return signed_in
            user = signed_in.user.user_name
        else:
            introduced = await self._introductions.from_header(request)
            if isinstance(introduced, Refusal):
                return self._reception.refuse(request, introduced)
            device = introduced.info
        outcome = await self._ask(DeviceAsks(token, device, self._reception.terms, request.source, user, is_page=True))
        if isinstance(outcome, SignInOnPage):
            return self._reception.desk.form(self._action(token, outcome.introduction))
        return await self._give(request, outcome)

    def _action(self, token: str | None, introduction: str) -> str:
        path = f"{ADE_PATH}{WEB}" if token is None else f"{ADE_PATH}/{quote(token, safe='')}{WEB}"
        return f"{self._reception.renderer.path(path)}?device={quote(introduction, safe='')}"

    async def _ask(self, asked: DeviceAsks) -> AutomatedOutcome:
        [outcome] = await self._reception.runner.write(enroll_automatically, [asked], DEVICE)
        if isinstance(outcome, IdentityKeyNeeded):
            asked = replace(asked, key=await make_identity_key(self._new_rsa_key))
            [outcome] = await self._reception.runner.write(enroll_automatically, [asked], DEVICE)
        return outcome

    async def _give(self, request: Request, outcome: AutomatedOutcome) -> Reply:
        match outcome:
            case Refusal():
                return self._reception.refuse(request, outcome)
            case NotListed():
                log.warning("refused", code="not_listed", source=request.source)
                return not_listed_reply(request, outcome)
            case UpdateFirst():
                log.info("update_required", os_version=outcome.os_version, source=request.source)
                return update_first_reply(request, outcome)
            case SignInOnPage() | IdentityKeyNeeded():
                raise AssertionError("a form is shown where there is a page, and keys are made where they are needed")
            case _:
                log.info("profile_handed_out", way="automated", source=request.source)
                return await profile_reply(outcome, self._reception.signer)


def _introduction(request: Request) -> str:
    """Read what the form's address brings back of the device; empty where it brings nothing."""
    query: bytes = request.scope.get("query_string", b"")[: 2 * MAXIMUM_INTRODUCTION_CHARACTERS]
    try:
        found = parse_qs(query.decode("latin-1"), max_num_fields=4).get("device", [""])
    except ValueError:
        return ""
    return found[0]
