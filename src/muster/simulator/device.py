"""A simulated device: it enrolls, checks in, connects, obeys, and gets lost, on the wire as real ones do.

It knows nothing of the server's insides, and no clock but the one it is given. What it lacks: declarations, and TLS
client certificates.
"""

from muster.protocol.profile import PROFILE_MEDIA_TYPE
from muster.simulator.behaviour import Habits
from muster.simulator.dialogue import connect
from muster.simulator.enrollment import EnrollmentFailed, Line
from muster.simulator.facts import User
from muster.simulator.installing import install
from muster.simulator.life import live
from muster.simulator.machine import Machine
from muster.simulator.managed_account import sign_in_again, sign_in_to_account
from muster.simulator.over_the_air import enroll_over_the_air
from muster.simulator.renewal import begin_renewal, finish_renewal
from muster.simulator.return_to_service import erase_locally
from muster.simulator.session import Session
from muster.simulator.setup_assistant import set_up
from muster.simulator.transport import ConnectionLost
from muster.simulator.user_login import authenticate_user
from muster.simulator.web_view import Credentials, visit


class SimulatedDevice(Machine):
    """One device, whole."""

    async def open_link(self, url: str, *, awaits_configuration: bool = False) -> None:
        """Download the profile at *url* and install it. Raises EnrollmentFailed."""
        try:
            self.require_a_voice()
            response = await self.requests.get(url)
        except ConnectionLost as error:
            raise EnrollmentFailed("download", "no connection") from error
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not response.is_success or media_type != PROFILE_MEDIA_TYPE:
            raise EnrollmentFailed("download", f"{response.status} {media_type or 'without Content-Type'}")
        await self.enroll(response.body, awaits_configuration=awaits_configuration)

    async def open_page(self, url: str, credentials: Credentials | None = None) -> None:
        """Open the enrollment page at *url* in the browser, sign in where asked, and install what it gives.

        Raises EnrollmentFailed.
        """
        landing = await visit(self.requests.transport, url, credentials=credentials)
        if landing.profile is None:
            raise EnrollmentFailed("download", "the page ended without a profile")
        await self.enroll(landing.profile)

    async def enroll_over_the_air(
        self, url: str, *, credentials: Credentials | None = None, has_factory_identity: bool = True
    ) -> None:
        """Enroll by the Profile Service at *url* (`over_the_air.enroll_over_the_air`). Raises EnrollmentFailed."""
        await enroll_over_the_air(self, url, credentials=credentials, has_factory_identity=has_factory_identity)

    async def set_up(
        self,
        url: str,
        *,
        web_url: str | None = None,
        credentials: Credentials | None = None,
        awaits_configuration: bool = True,
    ) -> None:
        """Enroll by Automated Device Enrollment (`setup_assistant.set_up`). Raises EnrollmentFailed."""
        await set_up(self, url, web_url=web_url, credentials=credentials, awaits_configuration=awaits_configuration)

    async def sign_in_to_account(self, credentials: Credentials) -> None:
        """Enroll by a Managed Apple Account (`managed_account.sign_in_to_account`). Raises EnrollmentFailed."""
        await sign_in_to_account(self, credentials)

    async def sign_in_again(self, credentials: Credentials) -> None:
        """Sign in on `sign_in_page`, as the server wants it. Raises EnrollmentFailed."""
        await sign_in_again(self, credentials)

    async def authenticate(self, line: Line, password: str) -> bool:
        """Have a network user log in (`user_login.authenticate_user`). Raises nothing."""
        return await authenticate_user(self, line, password)

    async def leave(self) -> bool:
        """Have the user remove the enrollment profile. False: a supervised device heeds that it must stay."""
        profile = self.enrolled().profile
        if profile.is_removal_disallowed and self.facts.is_supervised:
            return False
        await self.remove_profile()
        return True

    async def erase_locally(self) -> None:
        """Be erased by somebody at the device; it may return to service (`return_to_service`). Raises nothing."""
        await erase_locally(self)

    async def enroll(self, mobileconfig: bytes, *, awaits_configuration: bool = False) -> None:
        """Install an enrollment profile (`installing.install`). Raises EnrollmentFailed."""
        await install(self, mobileconfig, awaits_configuration=awaits_configuration)

    async def replace_enrollment_profile(self, mobileconfig: bytes) -> None:
        """Put a new enrollment profile in place of the present one, as InstallProfile does: this renews an identity.

        Raises EnrollmentFailed, and leaves the old enrollment in force.
        """
        await finish_renewal(self, await begin_renewal(self, mobileconfig))

    async def connect(self, user: User | None = None) -> Session:
        """Speak with the server on the device's channel, or on that of *user*, until it has nothing more.

        What is owed is delivered first: a TokenUpdate that failed, a result whose reply was lost. Raises nothing.
        """
        return await connect(self, user)

    async def live(self, habits: Habits | None = None) -> None:
        """Live until cancelled: connect when a push arrives and when there is a reason of its own (`life.live`)."""
        await live(self, habits or Habits())
