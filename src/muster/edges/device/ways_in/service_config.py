"""What Apple Configurator asks a server before it prepares devices: where they enroll, and whom they have to trust.

Source: Apple Configurator and its open-source counterparts ask for `/MDMServiceConfig`; Apple documents it nowhere.
"""

import base64
import hashlib
import json
from uuid import NAMESPACE_OID, uuid5

from muster.edges.device.errors import method_reply, unavailable_reply
from muster.edges.device.http import Receive, Reply, Request, Scope, Send, send_reply
from muster.edges.device.ways_in.automated import ADE_PATH
from muster.edges.device.ways_in.profiles import PROFILE_MEDIA_TYPE
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.operations.ports import Runner
from muster.operations.views.service_config import ServiceFacts, read_service_facts
from muster.protocol.profile import TrustAnchor
from muster.protocol.trust_profile import encode_trust_profile
from muster.storage.errors import Unavailable

SERVICE_CONFIG_PATH = "/MDMServiceConfig"
ANCHORS = "/anchors"
TRUST_PROFILE = "/trust"
JSON = b"application/json"


class ServiceConfigDoor:
    """Answers `GET /MDMServiceConfig` and the two addresses that the answer names."""

    def __init__(self, *, runner: Runner, terms: EnrollmentTerms) -> None:
        self._runner = runner
        self._terms = terms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        await send_reply(send, request, await self._answer(request))

    async def _answer(self, request: Request) -> Reply:
        if request.method != "GET":
            return method_reply("GET")
        anchors = self._terms.trust_anchors_der
        try:
            match request.scope["path"].removeprefix(SERVICE_CONFIG_PATH):
                case "":
                    config = self._config(await self._runner.read(read_service_facts))
                    return Reply(200, json.dumps(config).encode(), JSON)
                case "/anchors":
                    encoded = [base64.b64encode(anchor).decode() for anchor in anchors]
                    return Reply(200, json.dumps(encoded).encode(), JSON)
                case "/trust" if anchors:
                    profile = self._trust_profile(await self._runner.read(read_service_facts))
                    return Reply(200, profile, PROFILE_MEDIA_TYPE)
                case _:
                    return Reply(404, b"There is nothing here.\n")
        except Unavailable:
            return unavailable_reply()

    def _config(self, facts: ServiceFacts) -> dict[str, str]:
        """Name the addresses; where devices enroll only when a link for them was named."""
        here = f"{self._terms.public_url}{SERVICE_CONFIG_PATH}"
        config = {"dep_anchor_certs_url": f"{here}{ANCHORS}"}
        if self._terms.trust_anchors_der:
            config["trust_profile_url"] = f"{here}{TRUST_PROFILE}"
        if facts.has_ade_link:
            config["dep_enrollment_url"] = f"{self._terms.public_url}{ADE_PATH}"
        return config

    def _trust_profile(self, facts: ServiceFacts) -> bytes:
        whose = self._terms.organization or "Muster"
        anchors = [TrustAnchor(_uuid(anchor), f"{whose} server", anchor) for anchor in self._terms.trust_anchors_der]
        profile_uuid = _uuid(b"".join(self._terms.trust_anchors_der))
        return encode_trust_profile(f"{facts.profile_identifier}.trust", profile_uuid, f"{whose} server trust", anchors)


def _uuid(content: bytes) -> str:
    """Name content for ever alike (RFC 9562, section 5.5)."""
    return str(uuid5(NAMESPACE_OID, hashlib.sha256(content).hexdigest())).upper()
