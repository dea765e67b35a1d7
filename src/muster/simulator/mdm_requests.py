"""The requests of a device's MDM client: signed PUTs, and what a refusal means.

Sources: Apple, "MDM" payload (SignMessage), "Check-in", "Sending MDM commands to a device", "Error codes" for the
replies that end an enrollment.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import TypeAlias
from urllib.parse import urljoin

from muster.crypto.algorithms import Digest
from muster.crypto.cms.signing import SignerIdentity
from muster.protocol.enrollment_errors import UNRECOGNIZED_DEVICE, decode_error
from muster.protocol.mdm_signature import make_mdm_signature
from muster.simulator.behaviour import SignatureStyle
from muster.simulator.transport import ConnectionLost, Response, Transport

CHECKIN_CONTENT_TYPE = "application/x-apple-aspen-mdm-checkin"
CONNECT_CONTENT_TYPE = "application/x-apple-aspen-mdm; charset=UTF-8"

MAX_REDIRECTS = 5
"""A device follows redirects, and remembers none; this many in a row is a loop."""

SIGNATURES_KEPT = 8
"""Idle reports of one device are equal, so are their signatures; each has two kilobytes."""

MAX_BODY_REMEMBERED = 2048
"""Longer bodies are results, which do not come twice."""

Signing: TypeAlias = Callable[[bytes, SignerIdentity, Digest, bool, datetime | None], Awaitable[str]]
"""Makes an Mdm-Signature: of a body, by an identity, with a digest, with attributes or none, at a time or at none."""


async def sign_in_place(
    body: bytes, identity: SignerIdentity, digest: Digest, with_attributes: bool, signing_time: datetime | None
) -> str:
    """Make an Mdm-Signature here and now."""
    return make_mdm_signature(body, identity, digest=digest, with_attributes=with_attributes, signing_time=signing_time)


class Refusal(Enum):
    """What a reply does to an enrollment."""

    NONE = auto()
    """2xx."""
    FAILED = auto()
    """Not now: try again another time."""
    UNENROLLED = auto()
    """401, or 403 with com.apple.unrecognized.device: the device removes its MDM profile."""
    USER_NOT_MANAGED = auto()
    """410 on a user channel: no more for this user until the next login."""


class MdmRequests:
    """One device's way to its MDM server. Signatures over equal bodies are remembered, for they are equal."""

    def __init__(self, transport: Transport, user_agent: str) -> None:
        """Everything goes through *transport*. `bearer`: the access token that every PUT carries; None: none.

        `signing` makes the signatures: another one may have them made elsewhere.
        """
        self.transport = transport
        self.signing: Signing = sign_in_place
        self.bearer: str | None = None
        self._user_agent = user_agent
        self._signatures: OrderedDict[tuple[bytes, SignatureStyle, bytes], str] = OrderedDict()

    async def put(
        self,
        url: str,
        content_type: str,
        body: bytes,
        identity: SignerIdentity,
        style: SignatureStyle,
        signing_time: datetime | None = None,
    ) -> Response:
        """PUT *body*, signed unless *style* says otherwise, at *signing_time* if the signature is to say one.

        Raises ConnectionLost.
        """
        headers = {"Content-Type": content_type, "User-Agent": self._user_agent, "Accept": "*/*"}
        if style is not SignatureStyle.NONE:
            headers["Mdm-Signature"] = await self._sign(body, identity, style, signing_time)
        if self.bearer is not None:
            headers["Authorization"] = f"Bearer {self.bearer}"
        return await self._follow("PUT", url, headers, body)

    async def get(self, url: str) -> Response:
        """GET without any proof of identity. Raises ConnectionLost."""
        return await self._follow("GET", url, {"User-Agent": self._user_agent, "Accept": "*/*"}, b"")

    async def post(self, url: str, content_type: str, body: bytes, *, bearer: str | None = None) -> Response:
        """POST *body*, which is signed in itself. Raises ConnectionLost."""
        headers = {"Content-Type": content_type, "User-Agent": self._user_agent, "Accept": "*/*"}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        return await self._follow("POST", url, headers, body)

    async def _follow(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self.transport.send(method, url, headers, body)
            location = response.headers.get("location")
            if response.status not in (301, 302, 303, 307, 308) or location is None:
                return response
            url = urljoin(url, location)
        raise ConnectionLost(f"more than {MAX_REDIRECTS} redirects")

    async def _sign(
        self, body: bytes, identity: SignerIdentity, style: SignatureStyle, signing_time: datetime | None
    ) -> str:
        if signing_time is not None:
            return await self.signing(body, identity, Digest.SHA256, True, signing_time)
        name = (identity.certificate_der, style, body)
        signature = self._signatures.get(name)
        if signature is not None:
            self._signatures.move_to_end(name)
            return signature
        is_modern = style is SignatureStyle.SHA256_WITH_ATTRIBUTES
        digest = Digest.SHA256 if is_modern else Digest.SHA1
        signature = await self.signing(body, identity, digest, is_modern, None)
        if len(body) <= MAX_BODY_REMEMBERED:
            self._signatures[name] = signature
            if len(self._signatures) > SIGNATURES_KEPT:
                self._signatures.popitem(last=False)
        return signature


def refusal_in(response: Response, *, is_user_channel: bool) -> Refusal:
    """What *response* does to the enrollment whose request it answers."""
    if response.is_success:
        return Refusal.NONE
    if response.status == 401 and not is_user_channel:
        return Refusal.UNENROLLED
    if response.status == 403:
        error = decode_error(response.headers.get("content-type", ""), response.body)
        if error is not None and error.code == UNRECOGNIZED_DEVICE:
            return Refusal.UNENROLLED
    if response.status == 410 and is_user_channel:
        return Refusal.USER_NOT_MANAGED
    return Refusal.FAILED
