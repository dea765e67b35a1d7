"""The push certificate: `PUT /v1/pushcert` puts one into use, `GET /v1/pushcert?topic=` tells until when it is good."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from muster.domain.errors import Refusal
from muster.domain.principals import Principal
from muster.edges.nanomdm.replies import as_json, json_error, text_error
from muster.edges.nanomdm.requests import BodyTooLarge, read_body
from muster.operations.permit import of_no_device, permitted, seen
from muster.operations.ports import Runner
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.storage.push_certificates import certificates_in_use

MAXIMUM_BYTES: Final = 1024 * 1024
"""A certificate with its chain and key has some 16 KiB."""
_MUSHED, _PARTED = b"----------", b"-----\n-----"
"""Of two PEM files put together the first may have had no line's end."""

log = structlog.get_logger("muster.nanomdm")


class PushCertificateDoor:
    """The door for the push certificate."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def __call__(self, request: Request, principal: Principal) -> Response:
        """Answer one request."""
        match request.method:
            case "PUT":
                return await self._store(request, principal)
            case "GET":
                return await self._tell(request, principal)
            case _:
                return text_error(HTTPStatus.METHOD_NOT_ALLOWED)

    async def _store(self, request: Request, principal: Principal) -> Response:
        try:
            body = await read_body(request, MAXIMUM_BYTES)
        except (BodyTooLarge, ClientDisconnect, TimeoutError) as error:
            return json_error(f"reading body: {error}", 400)
        upload = UploadedPushCertificate(body.replace(_MUSHED, _PARTED))
        store = permitted(principal, upload_push_certificates)
        outcome = (await self._runner.write(store, [upload], principal.actor))[0]
        if isinstance(outcome, Refusal):
            log.warning("refused", code=outcome.code.value, reason=outcome.message)
            return json_error(f"{outcome.message}\n{outcome.remedy}".rstrip("\n"), 400)
        return _told(outcome.topic, outcome.not_after)

    async def _tell(self, request: Request, principal: Principal) -> Response:
        topic = request.query_params.get("topic", "")
        if not topic:
            return json_error("missing required query parameter: topic", 400)
        known = await self._runner.read(seen(principal, of_no_device(certificates_in_use), self._runner.now()))
        found = None if isinstance(known, Refusal) else known.get(topic)
        if found is None:
            return json_error(f"there is no push certificate of the topic {topic[:100]}")
        return _told(topic, found.not_after)


def _told(topic: str, not_after: datetime) -> Response:
    return as_json({"not_after": f"{not_after.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "topic": topic})
