"""Step 7: who is silent here and alive elsewhere is lost, not away; and neighbours tell of their network."""

from typing import Any

import pytest
from tests.domain.control.dossiers import DAY, HOUR, NOW, WELL, ago, noted, push, silent, user, verdict_on, well

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier, InventoryRecord, SiteRecord, WitnessRecord
from muster.domain.control.judging import judge
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState

REMOVED = (ControlState.OUT_OF_CONTROL, Reason.PROFILE_REMOVED_UNREPORTED)


def saw(hours: float, **changes: Any) -> tuple[WitnessRecord, ...]:
    return (WitnessRecord("agent", "agent", ago(hours=hours), **changes),)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (silent(24 * HOUR, witnesses=saw(20, says_unmanaged=True)), REMOVED),
        (silent(23 * HOUR, witnesses=saw(20, says_unmanaged=True)), WELL),
        (silent(24 * HOUR, witnesses=saw(30, says_unmanaged=True)), WELL),  # heard after that
        (silent(24 * HOUR, witnesses=saw(20)), WELL),  # it was not even pushed
        (
            silent(30 * HOUR, inventory=InventoryRecord(ago(hours=30), has_enrollment_profile=False)),
            REMOVED,
        ),
        (well(inventory=InventoryRecord(ago(days=3), has_enrollment_profile=False)), WELL),  # it goes on
    ],
)
def test_who_lives_without_our_profile_has_lost_it(one: Dossier, expected: tuple[ControlState, Reason]) -> None:
    assert verdict_on(one) == expected


PUSHED = push(accepted=(ago(hours=40),), accepted_at=ago(hours=40))
ALIVE = (ControlState.OUT_OF_CONTROL, Reason.IDENTITY_MISSING)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (silent(48 * HOUR, suspicion=0, push=PUSHED, witnesses=saw(1)), ALIVE),
        (silent(48 * HOUR, suspicion=0, push=PUSHED, witnesses=saw(30)), WELL),  # seen within the day
        (silent(48 * HOUR, suspicion=0, push=push(), witnesses=saw(1)), WELL),
        (silent(23 * HOUR, suspicion=0, push=push(accepted=(ago(hours=20),)), witnesses=saw(0.1)), WELL),
        (silent(48 * HOUR, suspicion=0, push=push(accepted=(ago(hours=50),)), witnesses=saw(1)), WELL),
    ],
)
def test_who_is_pushed_and_alive_and_silent_here_for_a_day_is_lost(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


SEEN_THAT_EVENING = saw(24 * 4 - 6, network="1.2.3.4")
"""Six hours after the last contact of the site."""


def test_who_is_alive_and_silent_here_may_have_a_client_that_hangs_which_a_restart_shows() -> None:
    verdict = judge(silent(48 * HOUR, push=PUSHED, witnesses=saw(1)), ControlPolicy(), NOW).verdict

    assert verdict.candidates[-1] is Reason.CLIENT_HUNG
    assert verdict.next_step.startswith("restart it")


def site(*, silent_members: int = 4, **changes: Any) -> SiteRecord:
    return SiteRecord("1.2.3.4", 5, silent_members, ago(days=4), **changes)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (silent(4 * DAY, site=site(heard_elsewhere=1)), (ControlState.QUIET, Reason.NETWORK_BLOCKS_SERVER)),
        (silent(8 * DAY, site=site(witnessed=2)), (ControlState.INACTIVE, Reason.NETWORK_BLOCKS_SERVER)),
        (silent(21 * DAY, site=site(witnessed=2)), (ControlState.OUT_OF_CONTROL, Reason.NETWORK_BLOCKS_SERVER)),
        (
            silent(4 * DAY, site=site(), push=PUSHED, witnesses=saw(1, network="1.2.3.4")),
            (ControlState.QUIET, Reason.NETWORK_BLOCKS_SERVER),
        ),
        (silent(5 * DAY, site=site(), witnesses=SEEN_THAT_EVENING), (ControlState.QUIET, Reason.SILENT)),
        (silent(4 * DAY, site=site(silent_members=2, heard_elsewhere=1)), (ControlState.QUIET, Reason.SILENT)),
        (silent(4 * DAY, site=site()), (ControlState.QUIET, Reason.SILENT)),  # a power cut looks the same
        (silent(2 * DAY, suspicion=0, site=site(heard_elsewhere=1)), WELL),
        (well(site=site(heard_elsewhere=1)), WELL),
    ],
)
def test_a_network_is_held_to_block_only_where_something_of_it_lives(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


def test_neighbours_that_are_silent_too_make_their_network_a_candidate() -> None:
    candidates = judge(silent(4 * DAY, site=site()), ControlPolicy(), NOW).verdict.candidates

    assert candidates[:2] == (Reason.SILENT, Reason.NETWORK_BLOCKS_SERVER)


@pytest.mark.parametrize(
    ("one", "policy", "is_noted"),
    [
        (well(witnesses=saw(24 * 8)), ControlPolicy(agent="agent"), True),
        (well(), ControlPolicy(agent="agent"), True),
        (well(witnesses=saw(24 * 6)), ControlPolicy(agent="agent"), False),
        (well(witnesses=saw(24 * 8)), ControlPolicy(agent="other"), True),
        (well(witnesses=saw(24 * 10)), ControlPolicy(agent="agent", tolerance=30 * DAY), False),
        (well(), ControlPolicy(agent="agent", tolerance=30 * DAY), True),
        (well(), ControlPolicy(), False),
        (silent(20 * DAY, witnesses=saw(24 * 20)), ControlPolicy(agent="agent"), False),
        (user(), ControlPolicy(agent="agent"), False),
    ],
)
def test_an_agent_that_is_silent_on_a_living_device_is_shown(
    one: Dossier, policy: ControlPolicy, *, is_noted: bool
) -> None:
    assert (Reason.AGENT_DEAD in noted(one, policy)) is is_noted
