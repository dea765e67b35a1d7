"""`PUT /migration`: what devices said to another server, handed on by a program, so that they need not enroll again."""

from http import HTTPStatus

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from muster.domain.errors import RefusalCode
from muster.domain.principals import Principal
from muster.edges.nanomdm.replies import text_error
from muster.edges.nanomdm.requests import BodyTooLarge, read_body
from muster.operations.adopt_enrollments import migrate_checkins
from muster.operations.permit import permitted
from muster.operations.ports import Runner

MAXIMUM_BYTES = 1024 * 1024
"""A check-in has some kilobytes."""
_BAD = frozenset({RefusalCode.BODY_MALFORMED, RefusalCode.MESSAGE_UNKNOWN})

log = structlog.get_logger("muster.nanomdm")


class MigrationDoor:
    """The door for devices that come over."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def __call__(self, request: Request, principal: Principal) -> Response:
        """Answer one request."""
        try:
            body = await read_body(request, MAXIMUM_BYTES)
        except (BodyTooLarge, ClientDisconnect, TimeoutError):
            return text_error(HTTPStatus.BAD_REQUEST)
        migrate = permitted(principal, migrate_checkins)
        refusal = (await self._runner.write(migrate, [body], principal.actor))[0]
        if refusal is None:
            return Response(status_code=200)
        log.warning("refused", code=refusal.code.value, reason=refusal.message)
        return text_error(HTTPStatus.BAD_REQUEST if refusal.code in _BAD else HTTPStatus.INTERNAL_SERVER_ERROR)
