"""A device of a scenario: what befalls it comes from several sides at once, and ends when the last of them ends."""

from asyncio import Event
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

from muster.crypto.cms.signing import SignerIdentity
from muster.laboratory.scenario.model import Cohort, Site
from muster.laboratory.scenario.plan import Occurrence
from muster.laboratory.world import Inhabitant
from muster.protocol.identifiers import ChannelId, resolve_channel
from muster.simulator.device import SimulatedDevice
from muster.simulator.enrollment import Backup
from muster.simulator.facts import User, user_identifiers
from muster.simulator.presence import Network

PORT = 5000

T = TypeVar("T")


@dataclass(slots=True)
class SiteState:
    """A site and what is wrong with its network now: *faults* counts each kind, *delays* and *losses* are all there
    are, of which the largest counts."""

    site: Site
    faults: Counter[str] = field(default_factory=Counter)
    delays: list[timedelta] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


class Actor:
    """One device and whatever bears on it. Change something, then `refresh`.

    *number* is its place in the scenario: its own public address is made of it. *rng* is for what its user does.
    """

    def __init__(self, name: str, cohort: Cohort, number: int, inhabitant: Inhabitant, rng: Random) -> None:
        self.name = name
        self.cohort = cohort
        self.inhabitant = inhabitant
        self.rng = rng
        self.site: SiteState | None = None
        self.sites: list[tuple[datetime, str | None]] = []
        self.rests: list[tuple[datetime, datetime]] = []
        self.is_resting = False
        self.off_for: Counter[str] = Counter()
        self.not_now: list[float] = []
        self.losses: list[float] = []
        self.users: list[User] = []
        self.channel_ids: list[ChannelId] = []
        self.enrolled_at: datetime | None = None
        self.has_enrolled = Event()  # once, whatever came of it
        self.own_identity: SignerIdentity | None = None  # while it speaks by another
        self.is_guest = False
        self.tokens_at: list[datetime] = []
        self.is_agent_dead = False
        self.backups: dict[Occurrence, Backup] = {}  # by the event that they are for
        self._number = number
        self._holds: Counter[str] = Counter()
        self._borne: dict[str, list[tuple[object]]] = {}

    @property
    def device(self) -> SimulatedDevice:
        """The device itself."""
        return self.inhabitant.device

    @property
    def is_up(self) -> bool:
        """Whether somebody could use it now."""
        return self.device.is_powered and not self.is_resting and not self.off_for

    @property
    def has_network(self) -> bool:
        """Whether it is up, and its network leads anywhere at all."""
        return self.is_up and self.device.network is not Network.NONE

    def hold(self, key: str, begin: Callable[[], None], end: Callable[[], None]) -> Callable[[], None]:
        """Call *begin*, unless *key* is held already; what comes back calls *end* once nobody holds it any more."""
        self._holds[key] += 1
        if self._holds[key] == 1:
            begin()

        def release() -> None:
            self._holds[key] -= 1
            if self._holds[key] == 0:
                end()

        return release

    def bear(self, key: str, value: T, apply: Callable[[T | None], None]) -> Callable[[], None]:
        """Let *value* be in force for *key*: of several the one that began last. What comes back ends it.

        *apply* is given what is in force from then on; None: nothing is.
        """
        borne = self._borne.setdefault(key, [])
        mine = (value,)
        borne.append(mine)
        apply(value)

        def release() -> None:
            borne[:] = [one for one in borne if one is not mine]
            apply(borne[-1][0] if borne else None)  # type: ignore[arg-type]  # one key has values of one type

        return release

    def user_channel(self, number: int) -> ChannelId:
        """The channel of user *number*, from 1, whether or not it ever opened."""
        return resolve_channel(user_identifiers(self.device.facts, self.users[number - 1])).id

    def tokens(self) -> frozenset[bytes]:
        """The push tokens of its channels now."""
        enrollment = self.device.enrollment
        return frozenset(line.token for line in enrollment.all_lines) if enrollment is not None else frozenset()

    def note_channel(self) -> None:
        """Remember by which channel the server knows it."""
        channel_id = self.inhabitant.channel_id
        if channel_id not in self.channel_ids:
            self.channel_ids.append(channel_id)

    def refresh(self) -> None:
        """Let power, network and manners be what all that bears on it makes of them."""
        device, transport, state = self.device, self.inhabitant.transport, self.site
        device.behaviour.not_now_share = max(self.not_now, default=0.0)
        transport.client = (self.address, PORT)
        faults = state.faults if state is not None else Counter[str]()
        lost = max([*self.losses, *(state.losses if state is not None else ())], default=0.0)
        transport.faults.lost_requests = transport.faults.lost_replies = lost / 2
        transport.faults.is_blocked = faults["block_server"] > 0 or faults["intercept_tls"] > 0
        delays = state.delays if state is not None else []
        transport.faults.delay_seconds = max(delays, default=timedelta(0)).total_seconds()
        network = Network.WHOLE
        if self.is_resting or faults["outage"]:
            network = Network.NONE
        elif faults["block_apns"]:
            network = Network.WITHOUT_APNS
        if network is not device.network:
            device.change_network(network)
        device.is_kept_off = bool(self.off_for)
        if self.off_for and device.is_powered:
            device.power_off()

    def boot_if_free(self) -> None:
        """Switch it on, if nothing keeps it off."""
        self.device.is_kept_off = bool(self.off_for)
        if not self.off_for and not self.device.is_powered:
            self.device.power_on()

    @property
    def address(self) -> str:
        """The public address from which it speaks."""
        if self.site is None:
            return f"2001:db8:{self._number >> 16:x}:{self._number & 0xFFFF:x}::1"
        addresses = self.site.site.addresses
        return addresses[self._number % len(addresses)]
