"""The stage: a world with the scenario's devices, sites and ways in, on which what is planned happens."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from muster.domain.access import DEFAULT_CAPABILITIES, LinkKind
from muster.laboratory.scenario.actor import Actor, SiteState
from muster.laboratory.scenario.ade_sync import AdeSync
from muster.laboratory.scenario.model import Cohort, Rest, Scenario, Value, Way
from muster.laboratory.scenario.plan import Occurrence, Planned
from muster.laboratory.scenario.played import Episode
from muster.laboratory.scenario.schedules import rests_of
from muster.laboratory.scenario.witnesses import Witnesses
from muster.laboratory.server import ADMINISTRATOR, PUBLIC_URL
from muster.laboratory.world import World
from muster.operations.enrollment_links import LinkOrder
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.protocol.plist import PlistValue
from muster.protocol.profile import PER_USER_CONNECTIONS
from muster.simulator.ade import SimulatedADE
from muster.simulator.behaviour import Habits
from muster.simulator.dialogue import DECLARATIVE_MANAGEMENT
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import DeviceFacts, Platform, User, make_facts, make_user
from muster.simulator.web_view import Credentials
from muster.storage import verdicts
from muster.storage.engine import Transaction
from muster.storage.verdicts import Step

WHO: Final = Credentials("noor@muster.example", "correct horse battery staple")
"""Who signs in where somebody has to."""
LINKS_LAST: Final = timedelta(days=1500)
RETRY: Final = (600.0, 1800.0)
"""Seconds until somebody tries an enrollment again that failed."""
ATTEMPTS: Final = 200
SIGNS_IN_AGAIN: Final = timedelta(hours=6)
"""How often the owner of an account-driven enrollment looks whether it asks for a sign-in."""
LOOK: Final = timedelta(minutes=5)
"""How often somebody looks whether a device is up."""
MAX_STEPS: Final = 10_000_000
_EVER, _NEVER = datetime(1900, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
NEVER_ENROLLED: Final = "it never enrolled"

Undo = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Deed:
    """One planned event while it happens. *actor* and *site*: absent where it befalls none."""

    planned: Planned
    actor: Actor | None
    site: SiteState | None
    rng: Random
    began_at: datetime
    ended_at: datetime | None = None
    notes: list[str] = field(default_factory=list)
    goes_on: bool = False
    """It is more than a moment, though nothing is to be undone; `ended_at` is set when it is over."""

    def value(self, name: str) -> Value | None:
        """A parameter; None when it was left out."""
        return self.planned.value(name)

    def text(self, name: str) -> str:
        """A parameter that is a text, and there."""
        value = self.value(name)
        assert isinstance(value, str), f"{name} was checked when the scenario was read"
        return value

    def number(self, name: str) -> int:
        """A parameter that is a whole number, and there."""
        value = self.value(name)
        assert isinstance(value, int), f"{name} was checked when the scenario was read"
        return value

    def share(self, name: str) -> float:
        """A parameter that is a share, and there."""
        value = self.value(name)
        assert isinstance(value, int | float), f"{name} was checked when the scenario was read"
        return float(value)

    def span(self, name: str) -> timedelta | None:
        """A parameter that is a duration."""
        value = self.value(name)
        assert value is None or isinstance(value, timedelta), f"{name} was checked when the scenario was read"
        return value

    @property
    def one(self) -> Actor:
        """The device that it befalls."""
        assert self.actor is not None, f"{self.planned.primitive} befalls devices"
        return self.actor

    @property
    def place(self) -> SiteState:
        """The site that it befalls."""
        assert self.site is not None, f"{self.planned.primitive} befalls sites"
        return self.site

    def episode(self) -> Episode:
        """What came of it."""
        return Episode(
            number=self.planned.number,
            primitive=self.planned.primitive,
            device=None if self.actor is None else self.actor.name,
            site=None if self.site is None else self.site.site.name,
            parameters=self.planned.happening.parameters,
            began_at=self.began_at,
            ended_at=self.ended_at,
            note="; ".join(self.notes),
        )


class Stage:
    """Who is there and what bears on them; `deeds` are all events that began, in order."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self.scenario = scenario
        self.world = world
        self.ade = SimulatedADE()
        self.ade_sync = AdeSync(world, self.ade)
        self.witnesses = Witnesses(world)
        self.actors: dict[str, Actor] = {}
        self.sites = {name: SiteState(site) for name, site in scenario.sites.items()}
        self.deeds: list[Deed] = []
        self.holds: Counter[str] = Counter()
        self.copies: dict[Occurrence, Path] = {}  # of the database, by the event that puts each back
        self.expiries: list[timedelta] = []  # of push certificates, still to come
        self._server_lock = asyncio.Lock()
        self._steps: dict[str, Step] = {}
        self._tokens: dict[str, str] = {}
        self._shared: dict[str, int] = {}

    # Building

    def build(self) -> None:
        """Unpack every device, at its site and on its schedule."""
        for cohort in self.scenario.cohorts.values():
            for name in cohort.devices:
                self.add(name, cohort)

    def add(self, name: str, cohort: Cohort, facts: DeviceFacts | None = None) -> Actor:
        """Unpack one device; *facts* absent: it is made up."""
        rng = self.world.rng(f"{name} facts")
        facts = facts or self._facts(cohort, rng)
        inhabitant = self.world.add_device(cohort.platform, self.habits_of(cohort), name=name, facts=facts)
        actor = Actor(name, cohort, len(self.actors), inhabitant, self.world.rng(f"{name} user"))
        self.actors[name] = actor
        device = inhabitant.device
        device.presence.on_token.append(lambda token: self._note_token(actor, token))
        device.behaviour.speaks_ddm = cohort.speaks_ddm
        if cohort.users:
            actor.users = [_user(cohort, self.world.rng(f"{name} user {one}")) for one in range(1, cohort.users + 1)]
            is_mac = cohort.platform is Platform.MAC
            device.users = {user: is_mac and place == 0 for place, user in enumerate(actor.users)}
        else:
            device.users = {}
        self.move(actor, cohort.site)
        if cohort.way is Way.SETUP_ASSISTANT:
            self.ade.add(facts.serial_number, self.world.now())
        if cohort.schedule is not None:
            self.world.background(self._keep_schedule(actor, cohort.schedule))
        if cohort.way is Way.ACCOUNT:
            self.world.background(self._sign_in_when_asked(actor))
        return actor

    def _note_token(self, actor: Actor, token: bytes) -> None:
        if ":" not in actor.device.presence.tokens[token]:
            actor.tokens_at.append(self.world.now())

    def _facts(self, cohort: Cohort, rng: Random) -> DeviceFacts:
        facts = make_facts(cohort.platform, rng, is_supervised=cohort.supervised)
        if cohort.os_version is not None:
            facts = replace(facts, os_version=cohort.os_version)
        if cohort.os_build is not None:
            facts = replace(facts, build_version=cohort.os_build)
        if cohort.is_virtual:
            first = make_facts(cohort.platform, self.world.rng(f"{cohort.name} virtual"))
            facts = replace(facts, serial_number=first.serial_number)
        return facts

    @staticmethod
    def habits_of(cohort: Cohort) -> Habits:
        """How its devices live."""
        if cohort.own_connects is None:
            return Habits()
        span = cohort.own_connects
        return Habits(own_connects=(span.first.total_seconds(), span.last.total_seconds()))

    # Where and when

    def move(self, actor: Actor, site: str | None) -> None:
        """Carry a device to *site*; None: into a network of its own."""
        actor.site = None if site is None else self.sites[site]
        if not actor.sites or actor.sites[-1][1] != site:
            actor.sites.append((self.world.now(), site))
        actor.refresh()

    def refresh_site(self, state: SiteState) -> None:
        """Have everybody at a site feel what has changed there."""
        for actor in self.actors.values():
            if actor.site is state:
                actor.refresh()

    async def when_up(self, actor: Actor) -> None:
        """Return when somebody can use *actor*."""
        while not actor.is_up:
            await self.world.sleep(LOOK)

    async def when_enrolled(self, deed: Deed) -> None:
        """Return when a device has enrolled for the first time: what needs an enrollment begins no sooner."""
        actor = deed.one
        if not actor.has_enrolled.is_set():
            deed.notes.append(NEVER_ENROLLED)
            await actor.has_enrolled.wait()
            deed.notes.remove(NEVER_ENROLLED)
            deed.began_at = self.world.now()

    async def when_serving(self, deed: Deed | None = None) -> None:
        """Return when the server runs: administrators wait for it, and what they do to begin *deed* begins then."""
        while not self.world.server.is_running:
            await self.world.sleep(LOOK)
            if deed is not None:
                deed.began_at = self.world.now()

    @asynccontextmanager
    async def server_down(self) -> AsyncIterator[None]:
        """Keep the server down meanwhile; it is started by the last who kept it so."""
        server = self.world.server
        self.holds["server_down"] += 1
        async with self._server_lock:
            if server.is_running:
                self.read_changes()
            await server.stop()
        try:
            yield
        finally:
            self.holds["server_down"] -= 1
            async with self._server_lock:
                if self.holds["server_down"] == 0 and not server.is_running:
                    await server.start()

    async def _keep_schedule(self, actor: Actor, name: str) -> None:
        schedule = self.scenario.schedules[name]
        begins_at, ends_at = self.scenario.begins_at, self.scenario.begins_at + self.scenario.duration
        actor.rests = rests_of(
            schedule,
            begins_at,
            ends_at,
            self.world.rng(f"{actor.name} schedule"),
            self.world.rng(f"{actor.cohort.name} schedule"),
        )
        for rests_at, wakes_at in actor.rests:
            await self.world.until(rests_at)
            actor.is_resting = True
            if schedule.rest is Rest.OFF:
                actor.off_for["schedule"] = 1
            actor.refresh()
            await self.world.until(wakes_at)
            actor.is_resting = False
            del actor.off_for["schedule"]
            actor.refresh()
            if schedule.rest is Rest.OFF:
                actor.boot_if_free()

    # Ways in

    async def open_ways(self) -> None:
        """Make the links by which each cohort enrolls."""
        for cohort in self.scenario.cohorts.values():
            kind = {Way.LINK: LinkKind.PROFILE, Way.SETUP_ASSISTANT: LinkKind.ADE, Way.ACCOUNT: LinkKind.ACCOUNT_USER}
            capabilities = tuple(
                one for one in DEFAULT_CAPABILITIES if cohort.has_user_channel or one != PER_USER_CONNECTIONS
            )
            order = LinkOrder(
                None,
                LINKS_LAST,
                kind=kind[cohort.way],
                capabilities=capabilities,
                is_removal_disallowed=not cohort.removable,
            )
            made = await self.world.server.open_way(order)
            self._tokens[cohort.name] = made.token
            if cohort.way is Way.ACCOUNT:
                if "account" not in self._shared:
                    self._shared["account"] = 1
                    await self.world.server.add_person(WHO)
                await self.world.server.set_policy("account_driven", json.dumps({"default": made.link.id}))

    def link_of(self, cohort: Cohort) -> str:
        """Where the profile of a cohort is downloaded."""
        return f"{PUBLIC_URL}/enroll/{self._tokens[cohort.name]}"

    async def enroll(self, actor: Actor, *, tries_again: bool = True) -> bool:
        """Enroll a device by its cohort's way once it is up; True: it is enrolled.

        Whoever sits before it tries again for days, unless it is not to be. One that Apple's list doesn't lead here
        is set up elsewhere, and lost.
        """
        for _ in range(ATTEMPTS if tries_again else 1):
            await self.when_up(actor)
            if actor.device.enrollment is not None:
                return True
            if actor.cohort.way is Way.SETUP_ASSISTANT and not self.ade.is_ours(actor.device.facts.serial_number):
                return False
            try:
                await self._enter(actor)
            except EnrollmentFailed:
                if not tries_again:
                    break
                await asyncio.sleep(actor.rng.uniform(*RETRY))
                continue
            await self._welcome(actor)
            return True
        return False

    async def _enter(self, actor: Actor) -> None:
        device, token = actor.device, self._tokens[actor.cohort.name]
        match actor.cohort.way:
            case Way.LINK:
                await device.open_link(self.link_of(actor.cohort))
            case Way.SETUP_ASSISTANT:
                await device.set_up(f"{PUBLIC_URL}/ade/{token}")
            case Way.ACCOUNT:
                await device.sign_in_to_account(WHO)

    async def _welcome(self, actor: Actor) -> None:
        actor.note_channel()
        actor.enrolled_at = actor.enrolled_at or self.world.now()
        actor.has_enrolled.set()
        if actor.cohort.is_shared and actor.users:
            await actor.device.log_in(actor.users[0])
        if actor.cohort.speaks_ddm:
            await self.send([actor.inhabitant.channel_id], DECLARATIVE_MANAGEMENT, {})

    async def _sign_in_when_asked(self, actor: Actor) -> None:
        while True:
            await self.world.sleep(SIGNS_IN_AGAIN)
            if actor.device.sign_in_page is None or not actor.has_network:
                continue
            try:
                await actor.device.sign_in_again(WHO)
            except EnrollmentFailed:
                continue

    # The server

    async def send(self, channel_ids: list[ChannelId], request_type: str, keys: Mapping[str, PlistValue]) -> str:
        """Have an administrator send a command; returns why it was not, empty when it was."""
        if not self.world.server.is_running:
            return "the server was down"
        request = CommandRequest(request_type, dict(keys))
        order = CommandOrder(tuple(channel_ids), request, anyway=True, named_count=len(channel_ids))
        outcome = (await self.world.server.service.runner.write(queue_commands, [order], ADMINISTRATOR))[0]
        if not isinstance(outcome, QueuedCommand):
            return outcome.message
        return "; ".join(refusal.message for refusal in outcome.refused.values())

    async def turn_clock(self, by: timedelta) -> None:
        """Have the server's clock go so much more ahead of the true time, or less."""
        server = self.world.server
        if server.is_running:
            self.read_changes()
        await server.turn_clock(server.clock_error + by)

    def read_changes(self) -> None:
        """Take down every step of the verdicts since the last time, by the true time: in all of it the server's clock
        was wrong by as much as it is now. A database that is rolled back forgets some."""
        server = self.world.server

        def read(tx: Transaction) -> tuple[Step, ...]:
            return verdicts.changed_between(tx, _EVER, _NEVER, limit=MAX_STEPS)

        for step in server.service.runner.read_now(read):
            self._steps.setdefault(step.id, replace(step, at=step.at - server.clock_error))

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that were taken down, in the order of time."""
        return tuple(sorted(self._steps.values(), key=lambda step: (step.at, step.channel_id, step.id)))


def _user(cohort: Cohort, rng: Random) -> User:
    user = make_user(rng)
    return replace(user, short_name=f"{user.short_name}@muster.example") if cohort.is_shared else user
