"""People sign in before they get a profile: the form, what it sends, and the short session that follows.

For every way in that asks for a person: the enrollment page, Setup Assistant's web view, account-driven enrollment.
"""

import asyncio
from concurrent.futures import Executor

import structlog

from muster.domain.access import DEVICE
from muster.domain.enrollment_users import MAXIMUM_NAME_CHARACTERS, MAXIMUM_PASSWORD_CHARACTERS, EnrollmentUser
from muster.domain.errors import Refusal, RefusalCode
from muster.edges.device import metrics
from muster.edges.device.errors import STATUS, timed_out_reply, unavailable_reply
from muster.edges.device.http import BodyReader, BodyTooLarge, ClientGone, Reply, Request, TooManyBodies
from muster.edges.device.refusals import RefusalRecorder
from muster.edges.device.ways_in.forms import NotAForm, comes_from_elsewhere, cookie, read_form
from muster.edges.device.ways_in.rendering import PageRenderer
from muster.operations.ports import Runner
from muster.operations.sign_in_to_enroll import (
    EnrollmentSignIn,
    PasswordToCheck,
    SignedIn,
    admit_sign_ins,
    check_password_of,
    find_enrollment_session,
    sign_in_to_enroll,
)
from muster.storage.errors import Unavailable

CHECKS_AT_A_TIME = 2
"""Passwords hashed at the same time; more would take the processors from devices."""
MAXIMUM_SESSION_CHARACTERS = 64
"""Of a session's token; ours have 32."""

log = structlog.get_logger("muster.enroll")


class SignInDesk:
    """Signs people in. *executor* hashes passwords; None: the event loop's. *secure_cookies* wherever TLS is spoken."""

    def __init__(
        self,
        *,
        runner: Runner,
        renderer: PageRenderer,
        recorder: RefusalRecorder,
        bodies: BodyReader,
        secure_cookies: bool,
        executor: Executor | None = None,
    ) -> None:
        self._runner = runner
        self._renderer = renderer
        self._recorder = recorder
        self._bodies = bodies
        self._secure = secure_cookies
        self._executor = executor
        self._checking = asyncio.Semaphore(CHECKS_AT_A_TIME)
        # the prefix makes browsers refuse the cookie from another host or over plain HTTP
        self._cookie = "__Host-muster_enrollment" if secure_cookies else "muster_enrollment"

    def form(
        self, action: str, *, user_name: str = "", is_fixed: bool = False, refusal: Refusal | None = None
    ) -> Reply:
        """Show the form, which posts to *action* (a path as `PageRenderer.path` gives it).

        *user_name* stands in it already; *is_fixed*: and can't be changed. *refusal* says why it is shown again.
        """
        context = {
            "action": action,
            "user_name": user_name,
            "is_fixed": is_fixed,
            "message": "" if refusal is None else f"{refusal.message[:1].upper()}{refusal.message[1:]}.",
            "remedy": "" if refusal is None else refusal.remedy,
            "longest_name": MAXIMUM_NAME_CHARACTERS,
            "longest_password": MAXIMUM_PASSWORD_CHARACTERS,
        }
        status = 200 if refusal is None else STATUS[refusal.code]
        return self._renderer.page("sign_in.html", context, status=status)

    async def whose_session(self, request: Request) -> EnrollmentUser | None:
        """Tell who is signed in on the browser that asks; None when nobody is. Raises Unavailable."""
        token, now = cookie(request, self._cookie), self._runner.now()
        if not token or len(token) > MAXIMUM_SESSION_CHARACTERS:
            return None
        return await self._runner.read(lambda tx: find_enrollment_session(tx, token, now))

    def cookie_of(self, signed_in: SignedIn) -> tuple[bytes, bytes]:
        """Return the header that keeps the session in the browser: no script reads it, no other site sends it."""
        seconds = int((signed_in.expires_at - self._runner.now()).total_seconds())
        secure = "; Secure" if self._secure else ""
        text = f"{self._cookie}={signed_in.token}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}"
        return b"set-cookie", text.encode()

    async def sign_in(self, request: Request, action: str, *, user_name: str | None = None) -> SignedIn | Reply:
        """Read a posted form and sign its person in, or return the reply that says why not: mostly the form again.

        With *user_name* only that user may sign in, whatever the form says.
        """
        if comes_from_elsewhere(request):
            return self._renderer.refusal(_ELSEWHERE)
        try:
            fields = await read_form(request, self._bodies)
        except NotAForm:
            return self._renderer.refusal(_NOT_A_FORM)
        except BodyTooLarge as error:
            return self._renderer.refusal(Refusal(RefusalCode.BODY_TOO_LARGE, str(error)))
        except ClientGone:
            return timed_out_reply()
        except TooManyBodies:
            return unavailable_reply()
        name = fields.get("user_name", "") if user_name is None else user_name
        attempt = EnrollmentSignIn(name, fields.get("password", ""), request.source)
        try:
            outcome = await self._check(attempt)
        except Unavailable as error:
            log.warning("unavailable", error=str(error))
            return unavailable_reply()
        if isinstance(outcome, Refusal):
            metrics.REFUSALS.labels(outcome.code.value).inc()
            log.warning("refused", code=outcome.code.value, source=request.source, reason=outcome.message)
            self._recorder.record(outcome.code, claimed_id=None, fingerprint=None, source=request.source)
            shown = name[:MAXIMUM_NAME_CHARACTERS]
            return self.form(action, user_name=shown, is_fixed=user_name is not None, refusal=outcome)
        log.info("signed_in_to_enroll", user=outcome.user.user_name, source=request.source)
        return outcome

    async def _check(self, attempt: EnrollmentSignIn) -> SignedIn | Refusal:
        [admitted] = await self._runner.write(admit_sign_ins, [attempt], DEVICE)
        if not isinstance(admitted, PasswordToCheck):
            return admitted
        async with self._checking:
            loop = asyncio.get_running_loop()
            checked = await loop.run_in_executor(self._executor, check_password_of, admitted)
        [outcome] = await self._runner.write(sign_in_to_enroll, [checked], DEVICE)
        return outcome


_ELSEWHERE = Refusal(
    RefusalCode.BODY_MALFORMED,
    "this form came from another site, so nothing was done",
    "Open the enrollment page yourself and sign in there.",
)
_NOT_A_FORM = Refusal(
    RefusalCode.BODY_MALFORMED, "this is not what the sign-in form sends", "Open the page again and use its form."
)
