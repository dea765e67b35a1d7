"""The front page: how much of the fleet is under control, why not the rest, and what needs a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from muster.domain.control import saying
from muster.domain.control.states import ControlState
from muster.domain.push_breaker import Breaker
from muster.edges.console import plots
from muster.edges.console.banners import breaker_banners, flip_banners, own_fault_banners, push_certificate_banners
from muster.edges.console.certificate_pages import KINDS
from muster.edges.console.listing import Listing
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import NotForThem, Sessions
from muster.edges.console.times import Clock, length
from muster.operations.permit import of_fleet
from muster.operations.ports import Runner
from muster.operations.views.control import ControlDay, FleetControl, ReasonRow, control_history, fleet_control
from muster.operations.views.expiring import Expiring
from muster.operations.views.fleet_needs import EXPIRY_NOTICE
from muster.operations.views.flips import held_flip_words
from muster.operations.views.incidents import IncidentRow
from muster.operations.views.last_day import LastDay, Waiting, last_day, waiting
from muster.operations.views.marks import CONTROL, Mark, Shape, Tone
from muster.operations.views.push_fleet import open_breakers
from muster.storage import control_days
from muster.storage.engine import Transaction

DAYS: Final = 30
INCIDENTS_SHOWN: Final = 20
LATELY_KEPT: Final = timedelta(minutes=1)
"""For so long the figures of the last day are not counted again: a large fleet does much in a day."""
IDENTITIES_ENDING: Final = "group = 'identity-expires-soon'"
LONGEST_NAME: Final = 40
"""Characters of what ends; a fingerprint has 64."""
NEEDS_A_PERSON: Final = "group = 'needs-a-person'"


@dataclass(frozen=True, slots=True)
class _Fleet:
    control: FleetControl
    history: tuple[ControlDay, ...]
    breakers: Mapping[str, Breaker]
    held_flip: str | None
    """What is said of the mass flip that is held; absent: none is."""
    lately: "_Lately"


@dataclass(frozen=True, slots=True)
class _Lately:
    """What was counted *at* a time."""

    at: datetime
    last_day: LastDay
    waiting: Waiting


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what waits for a person, or of what was done: *count* of something, and where to go for it."""

    count: int
    said: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many devices are in a state, and where they are listed."""

    mark: Mark
    devices: int
    share: str
    url: str


@dataclass(frozen=True, slots=True)
class ReasonBar:
    """One reason with its bar. *url* lists its devices, *needing_url* those among them that need a person."""

    row: ReasonRow
    width: float
    url: str
    needing_url: str


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """One incident. *url* lists the devices that it is about, where a query can say so."""

    row: IncidentRow
    mark: Mark
    sentence: str


_OURS = Mark("Ours", Shape.TRIANGLE, Tone.BAD)
_THEIRS = Mark("Theirs", Shape.RING, Tone.AWAY)


class FleetPages:
    """The pages about the fleet, for those who are signed in."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._lately: _Lately | None = None

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/", self.page),
            Route("/fragments/fleet", self.fragment),
        )

    async def page(self, request: Request) -> Response:
        """Show the fleet; lead to the sign-in page, or to the first steps while there is no device."""
        return await self._show(request, "fleet.html")

    async def fragment(self, request: Request) -> Response:
        """Show what changes of it; 401 when the session is over, so that the script loads the page anew."""
        return await self._show(request, "_fleet.html")

    async def _show(self, request: Request, template: str) -> Response:
        now = self._runner.now()
        try:
            signed_in = await self._sessions.read(request, of_fleet(lambda tx: self._read(tx, now)))
        except NotForThem:
            return RedirectResponse("/devices", 303, {"Cache-Control": "no-store"})
        if signed_in is None:
            if template.startswith("_"):
                return self._renderer.error(401, "You are not signed in", "Your session is over.", "Sign in again.")
            return self._sessions.ask_to_sign_in(request)
        fleet = signed_in.value
        if not any(fleet.control.states.values()):
            return RedirectResponse("/devices", 303, {"Cache-Control": "no-store"})
        clock = Clock(now)
        context = {
            "banners": [
                *push_certificate_banners(signed_in.push_certificates, clock),
                *breaker_banners(fleet.breakers, clock),
                *own_fault_banners(fleet.control.incidents, clock),
                *flip_banners(fleet.held_flip),
            ],
            "fragment_url": "/fragments/fleet",
            "clock": clock,
            "sentence": fleet_words(fleet.control),
            "states": _states(fleet.control),
            "parts": _parts(fleet.control),
            "reasons": _reasons(fleet.control),
            "incidents": [_incident(one) for one in fleet.control.incidents[:INCIDENTS_SHOWN]],
            "incidents_left_out": max(0, len(fleet.control.incidents) - INCIDENTS_SHOWN),
            "plot": plots.plot_shares(fleet.history, now, DAYS),
            "plots": plots,
            "days": DAYS,
            "waiting": waiting_lines(fleet.lately.waiting, fleet.held_flip, now),
            "did": did_lines(fleet.lately.last_day),
            "counted_at": fleet.lately.at,
        }
        return self._renderer.page(template, context, administrator=signed_in.administrator)

    def _read(self, tx: Transaction, now: datetime) -> _Fleet:
        counts = control_days.counts(tx)
        control, history = fleet_control(tx, now, counts), control_history(tx, now, DAYS, counts)
        lately = self._lately
        if lately is None or not lately.at <= now < lately.at + LATELY_KEPT:
            lately = self._lately = _Lately(now, last_day(tx, now), waiting(tx, now))
        return _Fleet(control, history, open_breakers(tx), held_flip_words(tx), lately)


def waiting_lines(found: Waiting, held_flip: str | None, now: datetime) -> list[Line]:
    """Say what waits for a person, the most pressing first; the devices that need one are said above."""
    lines = [] if held_flip is None else [Line(1, "mass change of verdicts of which others are not told", "/waiting")]
    if held := found.needs.commands_held:
        lines.append(Line(held, "command held back" if held == 1 else "commands held back", "/waiting"))
    for one in found.expiring:
        away = length(abs(one.not_after - now))
        end = f"ended {away} ago" if one.not_after <= now else f"ends in {away}"
        said = f"{KINDS[one.kind]} {end}: {_short(one)}"
        lines.append(Line(1, said, "/certificates"))
    if ending := found.needs.identities_ending:
        which = "identity ends" if ending == 1 else "identities end"
        url = Listing(search=IDENTITIES_ENDING).url()
        lines.append(Line(ending, f"{which} within {EXPIRY_NOTICE.days} days; Muster renews them at a contact", url))
    return lines


def _short(one: Expiring) -> str:
    return one.name if len(one.name) <= LONGEST_NAME else f"{one.name[:LONGEST_NAME]}…"


def did_lines(day: LastDay) -> list[Line]:
    """Say what was done in the last day."""
    back = "control = 'in_control' and control_since > 1 days ago"
    left = "group = 'not-in-control' and control_since > 1 days ago"
    return [
        Line(day.pushes, f"{_of(day.pushes, 'push', 'pushes')} sent"),
        Line(day.came_back, f"{_of(day.came_back, 'device')} brought back under control", Listing(search=back).url()),
        Line(day.lost, f"{_of(day.lost, 'device')} that left it", Listing(search=left).url()),
        Line(day.recoveries, f"{_of(day.recoveries, 'recovery', 'recoveries')} begun"),
        Line(day.renewals, f"{_of(day.renewals, 'identity', 'identities')} renewed"),
        Line(day.questions, f"{_of(day.questions, 'question')} and probes of Muster's own"),
        Line(day.orders, f"{_of(day.orders, 'command')} of people and programs", "/sends"),
    ]


def _of(count: int, one: str, several: str = "") -> str:
    return one if count == 1 else several or f"{one}s"


def fleet_words(fleet: FleetControl) -> Markup:
    """Say how the fleet stands; whoever needs somebody is one step away."""
    states = {ControlState(state): devices for state, devices in fleet.states.items()}
    said = escape(saying.fleet_sentences(states, 0))
    if fleet.needing == 0:
        return said
    verb = "needs" if fleet.needing == 1 else "need"
    url = Listing(search=NEEDS_A_PERSON).url()
    return Markup('{} <a href="{}">{} {} you.</a>').format(said, url, f"{fleet.needing:,}", verb)


def _states(fleet: FleetControl) -> list[StateCount]:
    shown = (ControlState.IN_CONTROL, *saying.WORRIES, ControlState.ENDED)
    return [
        StateCount(
            CONTROL[state],
            fleet.states[state.value],
            "" if state is ControlState.ENDED else saying.share(fleet.states[state.value], fleet.total),
            Listing(control=state.value).url(),
        )
        for state in shown
        if fleet.states[state.value] or state is ControlState.IN_CONTROL
    ]


def _parts(fleet: FleetControl) -> tuple[plots.StatePart, ...]:
    shown = (ControlState.IN_CONTROL, *reversed(saying.WORRIES))
    return plots.state_parts([(state.value, fleet.states[state.value]) for state in shown], 1000)


def _reasons(fleet: FleetControl) -> list[ReasonBar]:
    most = max((row.devices for row in fleet.reasons), default=1)
    bars = []
    for row in fleet.reasons:
        which = f"reason = '{row.reason}' and group = 'not-in-control'"
        needing = f"reason = '{row.reason}' and {NEEDS_A_PERSON}"
        bars.append(
            ReasonBar(row, plots.reason_width(row, most), Listing(search=which).url(), Listing(search=needing).url())
        )
    return bars


def _incident(row: IncidentRow) -> IncidentLine:
    return IncidentLine(row, _OURS if row.is_ours else _THEIRS, f"{saying.capital(row.sentence)}.")
