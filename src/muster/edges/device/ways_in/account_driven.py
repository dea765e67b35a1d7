"""Account-driven enrollment over HTTP: service discovery, the sign-in on a page, and the profile for the token.

Apple's challenge for devices that have no enrollment yet is a 401; enrolled ones, which would leave, don't come here.
Source: Apple, "Implementing the simple authentication user-enrollment flow".
"""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl, quote

import structlog

from muster.crypto.certificates import fingerprint
from muster.crypto.keys import RSAPrivateKey
from muster.domain.access import DEVICE
from muster.domain.errors import Refusal, RefusalCode
from muster.edges.device.errors import method_reply, refusal_reply, timed_out_reply, unavailable_reply
from muster.edges.device.http import ClientGone, Receive, Reply, Request, Scope, Send, TooManyBodies, send_reply
from muster.edges.device.ways_in.device_errors import not_offered_reply
from muster.edges.device.ways_in.introductions import IntroductionReader
from muster.edges.device.ways_in.profiles import make_identity_key, profile_reply
from muster.edges.device.ways_in.reception import Reception
from muster.operations.enroll_by_account import (
    AccountAsks,
    NotOffered,
    SignInAgain,
    TokenOrder,
    check_account_links,
    discover_services,
    enroll_by_account,
    issue_enrollment_tokens,
)
from muster.operations.enrollment_profiles import IdentityKeyNeeded
from muster.protocol.account_driven import (
    DISCOVERY_MEDIA_TYPE,
    WELL_KNOWN_PATH,
    authentication_results_url,
    bearer_token,
    encode_service_discovery,
    read_discovery_query,
    www_authenticate_as_web,
)
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import MAX_USER_NAME_CHARACTERS
from muster.storage.errors import Unavailable

ACCOUNT_PATH = "/account"
ENROLL_PREFIX = f"{ACCOUNT_PATH}/enroll/"
SIGN_IN_PREFIX = f"{ACCOUNT_PATH}/sign-in/"
SIGN_IN_CHALLENGE = 401
"""For a device that is not enrolled: it shows the page and comes back."""
PERMANENT_REDIRECT = 308
MAXIMUM_LINK_CHARACTERS = 64
"""Of a link's id; ours have 36."""
MAXIMUM_QUERY_BYTES = 4096
"""Of the addresses here: an account of 254 characters, each up to twelve bytes long."""
_NO_STORE = (b"cache-control", b"no-store")

log = structlog.get_logger("muster.enroll")


class AccountDoor:
    """Answers devices on which somebody signs in with an account."""

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
        path: str = request.scope["path"]
        try:
            if path == WELL_KNOWN_PATH:
                return await self._discover(request)
            if path.startswith(ENROLL_PREFIX):
                return await self._enroll(request, path.removeprefix(ENROLL_PREFIX)[:MAXIMUM_LINK_CHARACTERS])
            if path.startswith(SIGN_IN_PREFIX):
                return await self._sign_in(request, path.removeprefix(SIGN_IN_PREFIX)[:MAXIMUM_LINK_CHARACTERS])
        except Unavailable as error:
            log.warning("unavailable", error=str(error))
            return unavailable_reply()
        except TooManyBodies:
            return unavailable_reply()
        except ClientGone:
            return timed_out_reply()
        return refusal_reply(Refusal(RefusalCode.LINK_UNKNOWN, "there is nothing here"))

    async def _discover(self, request: Request) -> Reply:
        """Tell where the account enrolls."""
        if request.method != "GET":
            return method_reply("GET")
        try:
            query = read_discovery_query(_query(request))
        except MalformedMessage as error:
            return refusal_reply(Refusal(RefusalCode.BODY_MALFORMED, str(error)))
        [outcome] = await self._reception.runner.write(discover_services, [query], DEVICE)
        if isinstance(outcome, Refusal):
            return refusal_reply(outcome)
        if isinstance(outcome, NotOffered):
            log.info("account_not_offered", family=query.model_family, source=request.source)
            return not_offered_reply(request)
        base_url = f"{self._reception.terms.public_url}{ENROLL_PREFIX}{outcome.link_id}"
        document = encode_service_discovery(outcome.version, base_url)
        return Reply(200, document, DISCOVERY_MEDIA_TYPE.encode(), (_NO_STORE,))

    async def _enroll(self, request: Request, link_id: str) -> Reply:
        """Give the profile for the token of a sign-in, or have somebody sign in."""
        if request.method != "POST":
            return method_reply("POST")
        # nobody vouches for the built-in certificates of older Macs; here the account decides, not the device
        introduced = await self._introductions.from_body(request, is_vouched=False)
        if isinstance(introduced, Refusal):
            return self._reception.refuse(request, introduced)
        authorization = request.header(b"authorization")
        token = None if authorization is None else bearer_token(authorization.decode("latin-1"))
        device = fingerprint(introduced.signer_certificate_der)
        asked = AccountAsks(link_id, token, device, self._reception.terms)
        [outcome] = await self._reception.runner.write(enroll_by_account, [asked], DEVICE)
        if isinstance(outcome, IdentityKeyNeeded):
            asked = replace(asked, key=await make_identity_key(self._new_rsa_key))
            [outcome] = await self._reception.runner.write(enroll_by_account, [asked], DEVICE)
            assert not isinstance(outcome, IdentityKeyNeeded), "the key is there"
        if isinstance(outcome, Refusal):
            return self._reception.refuse(request, outcome)
        if isinstance(outcome, SignInAgain):
            if outcome.refusal is not None:
                self._reception.note(request, outcome.refusal)
            return self._challenge(request, link_id)
        log.info("profile_handed_out", way="account", source=request.source)
        return await profile_reply(outcome, self._reception.signer)

    def _challenge(self, request: Request, link_id: str) -> Reply:
        """Send the user of a device that is not enrolled to the page on which to sign in."""
        url = f"{self._reception.terms.public_url}{SIGN_IN_PREFIX}{quote(link_id, safe='')}"
        try:
            challenge = www_authenticate_as_web(url)
        except ValueError:
            reason = "people sign in over https:// only, and this server's public_url is another"
            return self._reception.refuse(request, Refusal(RefusalCode.SERVICE_UNKNOWN, reason))
        headers = ((b"www-authenticate", challenge.encode("ascii")), _NO_STORE)
        return Reply(SIGN_IN_CHALLENGE, b"Sign in on the device first.\n", headers=headers)

    async def _sign_in(self, request: Request, link_id: str) -> Reply:
        """Show the form, or take it and hand the token to the device."""
        if request.method not in ("GET", "POST"):
            return method_reply("GET", "POST")
        [refusal] = await self._reception.runner.write(check_account_links, [link_id], DEVICE)
        if refusal is not None:
            return self._reception.refuse(request, refusal)
        user_name = _query(request).get("user-identifier", "")[:MAX_USER_NAME_CHARACTERS]
        path = self._reception.renderer.path(f"{SIGN_IN_PREFIX}{quote(link_id, safe='')}")
        action = f"{path}?user-identifier={quote(user_name, safe='')}" if user_name else path
        if request.method == "GET":
            return self._reception.desk.form(action, user_name=user_name, is_fixed=bool(user_name))
        signed_in = await self._reception.desk.sign_in(request, action, user_name=user_name or None)
        if isinstance(signed_in, Reply):
            return signed_in
        order = TokenOrder(link_id, signed_in.user)
        [token] = await self._reception.runner.write(issue_enrollment_tokens, [order], DEVICE)
        if isinstance(token, Refusal):
            return self._reception.refuse(request, token)
        # a redirect of this kind may be kept by caches unless told otherwise (RFC 9110, section 15.4.9)
        headers = ((b"location", authentication_results_url(token).encode("ascii")), _NO_STORE)
        return Reply(PERMANENT_REDIRECT, headers=headers)


def _query(request: Request) -> dict[str, str]:
    """Read the address's parameters, the first of each name; none where they can't be read."""
    raw: bytes = request.scope.get("query_string", b"")
    try:
        pairs = parse_qsl(raw[:MAXIMUM_QUERY_BYTES].decode("ascii"), max_num_fields=16, errors="strict")
    except ValueError:
        return {}
    return dict(reversed(pairs))
