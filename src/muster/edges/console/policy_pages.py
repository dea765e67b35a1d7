"""Policies: what holds for everybody from the moment it is set, and by which limits groups are judged."""

import json
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.queries.saved import is_saved
from muster.edges.console.forms import Form
from muster.edges.console.office import Office, Refused, back_to
from muster.edges.console.sessions import SignedIn
from muster.operations.context import Reading
from muster.operations.control_policies import AT_A_TIME, BlastRadius, radius_of
from muster.operations.permit import of_fleet
from muster.operations.set_control_policies import (
    ControlPolicyOrder,
    order_control_policies,
    planned_policies,
    set_control_policies,
)
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.operations.views.marks import CONTROL
from muster.operations.views.policies import (
    ControlLimits,
    PolicyStanding,
    list_standing_policies,
    show_control_limits,
)
from muster.storage import groups
from muster.storage.engine import Transaction

LOOKED_AT: Final = 10_000
"""Channels of which is told what a change would do to them, within some seconds; the command line looks at all."""


@dataclass(frozen=True, slots=True)
class _Policies:
    standing: tuple[PolicyStanding, ...]
    limits: ControlLimits
    groups: tuple[str, ...]
    """Those for which limits may be set."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """How many channels would change their state, and from which to which, in words; *is_all*: all were looked at."""

    changed: int
    changes: tuple[tuple[str, str, int], ...]
    is_all: bool


class PolicyPages:
    """The page about policies."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def routes(self) -> list[Route]:
        """Return the addresses of this page."""
        return [Route("/policies", self.page), Route("/policies", self.change, methods=["POST"])]

    async def page(self, request: Request) -> Response:
        """Show every policy as it stands, and the forms that change them."""
        return await self._show(request)

    async def change(self, request: Request) -> Response:
        """Set a policy, or a limit of control, or the order of groups."""
        sent = await self._office.form(request, Permission.POLICIES)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        outcome = await self._change(signed_in, form)
        if isinstance(outcome, Foreseen):
            return await self._show(request, foreseen=outcome, typed=form)
        if outcome is not None:
            place = form["name"] if form["act"] == "policy" else "limits"
            return await self._show(request, Refused(outcome, form, place))
        return back_to("/policies")

    async def _change(self, signed_in: SignedIn[None], form: Form) -> "Foreseen | Refusal | None":
        office = self._office
        outcome: object
        match form["act"]:
            case "policy":
                outcome = await office.do(signed_in, set_policies, PolicyOrder(form["name"], form["value"].strip()))
            case "set" | "unset":
                order = _limit_order(form)
                radius = None if form["sure"] == "yes" else await self._foresee(order)
                if isinstance(radius, Foreseen) and radius.changed:
                    return radius
                outcome = (
                    radius if isinstance(radius, Refusal) else await office.do(signed_in, set_control_policies, order)
                )
            case "order":
                names = [one.strip() for one in form["order"].splitlines() if one.strip()]
                outcome = await office.do(signed_in, order_control_policies, names)
            case _:
                outcome = Refusal(RefusalCode.ORDER_UNFIT, "the form names no such act")
        return outcome if isinstance(outcome, Refusal) else None

    async def _foresee(self, order: ControlPolicyOrder) -> "Foreseen | Refusal":
        """Tell whose state *order* would change, of LOOKED_AT channels at most; in parts, so that nobody waits long."""
        runner = self._office.runner
        present = Reading(runner.now(), self._office.sessions.policy)
        stored = await runner.read(lambda tx: planned_policies(tx, order, present))
        if isinstance(stored, Refusal):
            return stored
        radius, after = BlastRadius(), None
        for _ in range(LOOKED_AT // AT_A_TIME):
            after = await runner.read(
                lambda tx, after=after: radius_of(tx, after, stored, present, radius)  # type: ignore[misc] # bound now
            )
            if after is None:
                break
        changes = tuple(
            (CONTROL[was].word, CONTROL[would_be].word, count)
            for (was, would_be), count in sorted(radius.changes.items())
        )
        return Foreseen(radius.changed, changes, is_all=after is None)

    async def _show(
        self,
        request: Request,
        refused: Refused | None = None,
        *,
        foreseen: "Foreseen | None" = None,
        typed: Form | None = None,
    ) -> Response:
        signed_in = await self._office.see(request, of_fleet(_read))
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        found = signed_in.value
        context = {
            "standing": [(one, as_typed(one.value)) for one in found.standing],
            "limits": found.limits,
            "groups": found.groups,
            "foreseen": foreseen,
            "looked_at": LOOKED_AT,
            **({} if typed is None else {"typed": typed}),
        }
        return self._office.page(request, "policies.html", signed_in, context, refused)


def _limit_order(form: Form) -> ControlPolicyOrder:
    group = form["group"] or None
    if form["act"] == "unset":
        return ControlPolicyOrder(group, unset=(form["setting"],))
    return ControlPolicyOrder(group, {form["setting"]: form["value"].strip()})


def as_typed(value: object) -> str:
    """Write a policy's value as somebody types it: the word itself, or JSON where it holds more."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(tx: Transaction) -> _Policies:
    names = tuple(group.name for group in groups.read_all(tx).values() if not is_saved(group))
    return _Policies(list_standing_policies(tx), show_control_limits(tx), names)
