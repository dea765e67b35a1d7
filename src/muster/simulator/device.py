"""A simulated device: it enrolls, checks in, connects, obeys, and gets lost, on the wire as real ones do.

It knows nothing of the server's insides, and no clock but the one it is given. What it lacks: declarative management,
directory users (UserAuthenticate), account-driven and automated enrollment, TLS client certificates, and heeding the
trust anchors of its profile.
"""

from muster.simulator.behaviour import Habits
from muster.simulator.dialogue import connect
from muster.simulator.facts import User
from muster.simulator.life import live
from muster.simulator.machine import Machine
from muster.simulator.session import Session


class SimulatedDevice(Machine):
    """One device, whole."""

    async def connect(self, user: User | None = None) -> Session:
        """Speak with the server on the device's channel, or on that of *user*, until it has nothing more.

        What is owed is delivered first: a TokenUpdate that failed, a result whose reply was lost. Raises nothing.
        """
        return await connect(self, user)

    async def live(self, habits: Habits | None = None) -> None:
        """Live until cancelled: connect when a push arrives and when there is a reason of its own (`life.live`)."""
        await live(self, habits or Habits())
