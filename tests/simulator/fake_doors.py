"""The ways in before a profile, in small: an enrollment page, the Profile Service, Setup Assistant, accounts.

Everything else goes to the fake server behind it. It lacks: limits, expiry, and any memory of who signed in but the
last cookie and token.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.simulator.fake_server import ORIGIN, FakeServer, authority

from muster.crypto.certificates import is_issued_by
from muster.crypto.cms.signing import SignerIdentity, sign_attached
from muster.protocol.account_driven import (
    ServiceVersion,
    authentication_results_url,
    bearer_token,
    encode_service_discovery,
    www_authenticate_as_web,
)
from muster.protocol.device_signature import verify_device_chain
from muster.protocol.enrollment_errors import ErrorReply, encode_error_json
from muster.protocol.machine_info import MachineInfo, decode_machine_info, decode_machine_info_header
from muster.protocol.profile import EnrollmentMode
from muster.protocol.profile_service import (
    DeviceAttributes,
    ProfileService,
    ScepOnlyProfile,
    decode_device_attributes,
    encode_profile_service,
    encode_scep_only_profile,
)
from muster.simulator.device_authority import device_authority

PROFILE = "application/x-apple-aspen-config"
HTML = "text/html; charset=utf-8"
PASSWORD = "correct horse"
TOKEN = "token-1"
SIGN_IN = b"""<form method="post" action=""><input name="user_name" type="email" value="">
<input name="password" type="password"><input type="hidden" name="next" value="n"><button>Sign in</button></form>"""


@dataclass
class Answer:
    """One reply; headers besides the type."""

    status: int
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeDoors:
    """An ASGI application before *server*. What it heard is noted; what it says is to be changed."""

    server: FakeServer
    version: ServiceVersion = ServiceVersion.BYOD
    error: ErrorReply | None = None
    required_build: str | None = None
    allows_any_signer: bool = False
    machine_infos: list[MachineInfo] = field(default_factory=list)
    attributes: list[DeviceAttributes] = field(default_factory=list)
    discovery_queries: list[dict[str, list[str]]] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        path, method = scope["path"], scope["method"]
        if not path.startswith(("/page", "/ota", "/ade", "/account", "/.well-known")):
            await self.server(scope, receive, send)
            return
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        answer = self.answer(method, path, parse_qs(scope["query_string"].decode()), headers, body)
        lines = {"content-type": answer.content_type} | answer.headers
        encoded = [(name.encode(), value.encode()) for name, value in lines.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        await send({"type": "http.response.body", "body": answer.body})

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> Answer:
        if path.startswith("/.well-known"):
            return self.discover(query)
        return self.given(path, headers, query) if method == "GET" else self.taken(path, headers, body)

    def given(self, path: str, headers: dict[str, str], query: dict[str, list[str]]) -> Answer:
        match path:
            case "/page":
                return Answer(200, HTML, b'<a href="https://help.example">Help</a><a class="button" href="/page/get">')
            case "/page/signed-in":
                return self.after_sign_in(headers, self.profile)
            case "/page/nowhere":
                return Answer(200, HTML, b"<p>Nothing here.</p>")
            case "/page/get":
                return self.profile()
            case "/ota":
                return self.phase_1()
            case "/ade/web":
                return self.after_sign_in(headers, lambda: self.ade_web(headers))
            case "/account/sign-in":
                assert query["user-identifier"]
                return Answer(200, HTML, SIGN_IN)
            case _:
                return Answer(404, "text/plain", b"")

    def taken(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        match path:
            case "/page/signed-in" | "/ade/web":
                return self.sign_in(body, Answer(303, HTML, b"", {"location": path, "set-cookie": "s=1; Path=/"}))
            case "/ota":
                return self.phase_2_or_3(body)
            case "/ade":
                return self.ade(body)
            case "/account":
                return self.account(headers, body)
            case "/account/sign-in":
                return self.sign_in(body, Answer(308, HTML, b"", {"location": authentication_results_url(TOKEN)}))
            case _:
                return Answer(404, "text/plain", b"")

    def profile(self, **changes: Any) -> Answer:
        return Answer(200, PROFILE, self.server.mobileconfig(**changes))

    def after_sign_in(self, headers: dict[str, str], then: Callable[[], Answer]) -> Answer:
        return then() if headers.get("cookie") == "s=1" else Answer(200, HTML, SIGN_IN)

    def sign_in(self, body: bytes, then: Answer) -> Answer:
        form = parse_qs(body.decode(), keep_blank_values=True)
        self.forms.append(form)
        return then if form["password"] == [PASSWORD] else Answer(403, HTML, SIGN_IN)

    def phase_1(self) -> Answer:
        service = ProfileService("org.example.ota", "O", "Enroll", f"{ORIGIN}/ota", challenge="ota-challenge")
        signer = SignerIdentity(authority().certificate_der, authority().key)
        return Answer(200, PROFILE, sign_attached(encode_profile_service(service), signer))

    def phase_2_or_3(self, body: bytes) -> Answer:
        signed = decode_device_attributes(body, allow_legacy=False)
        self.attributes.append(signed.attributes)
        if is_issued_by(signed.signer_certificate_der, authority().certificate_der):
            return self.profile()
        if not self.allows_any_signer:
            verify_device_chain(signed.signer_certificate_der, signed.certificates_der, [device_authority().root_der])
        scep = self.server.profile().identity
        assert not hasattr(scep, "content")
        return Answer(200, PROFILE, encode_scep_only_profile(ScepOnlyProfile("org.example.ota", "Q", "Identity", scep)))

    def ade(self, body: bytes) -> Answer:
        signed = decode_machine_info(body, roots=[device_authority().root_der], allow_legacy=False)
        self.machine_infos.append(signed.info)
        if self.error is not None and signed.info.version != self.required_build:
            return Answer(403, "application/json", encode_error_json(self.error))
        return self.profile()

    def ade_web(self, headers: dict[str, str]) -> Answer:
        header = headers["x-apple-aspen-deviceinfo"]
        signed = decode_machine_info_header(header, roots=[device_authority().root_der], allow_legacy=False)
        self.machine_infos.append(signed.info)
        return self.profile()

    def discover(self, query: dict[str, list[str]]) -> Answer:
        self.discovery_queries.append(query)
        if self.error is not None:
            return Answer(403, "application/json", encode_error_json(self.error))
        return Answer(200, "application/json", encode_service_discovery(self.version, f"{ORIGIN}/account"))

    def account(self, headers: dict[str, str], body: bytes) -> Answer:
        signed = decode_machine_info(body, roots=[device_authority().root_der], allow_legacy=False)
        self.machine_infos.append(signed.info)
        if bearer_token(headers.get("authorization")) != TOKEN:
            challenge = www_authenticate_as_web(f"{ORIGIN}/account/sign-in")
            return Answer(401, "text/plain", b"", {"www-authenticate": challenge})
        user_name = self.forms[-1]["user_name"][0]
        if self.version is ServiceVersion.BYOD:
            return self.profile(
                enrollment_mode=EnrollmentMode.BYOD, assigned_managed_apple_id=user_name, access_rights=None
            )
        return self.profile(enrollment_mode=EnrollmentMode.ADDE, assigned_managed_apple_id=user_name)
