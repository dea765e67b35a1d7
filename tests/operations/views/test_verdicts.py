"""What is shown of a channel between two reviews."""

from datetime import timedelta

import pytest
from tests.support.runner import NOW
from tests.support.verdicts import make_verdict

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.operations.views.verdicts import verdict_by_now
from muster.protocol.identifiers import ChannelId
from muster.storage.verdicts import HeldVerdict

HOUR = timedelta(hours=1)
KEPT = make_verdict(ControlState.QUIET, Reason.SILENT, NOW - 5 * HOUR, "not heard for 8 days")
HELD = HeldVerdict(ChannelId("A"), KEPT, "change", NOW - 5 * HOUR, NOW - 2 * HOUR)


@pytest.mark.parametrize(
    ("state", "reason", "is_found"),
    [
        (ControlState.QUIET, Reason.SILENT, True),
        (ControlState.QUIET, Reason.CLIENT_HUNG, False),
        (ControlState.INACTIVE, Reason.SILENT, False),
    ],
)
def test_proof_is_of_this_moment_where_the_verdict_is_the_same(
    state: ControlState, reason: Reason, is_found: bool
) -> None:
    row = verdict_by_now(HELD, make_verdict(state, reason, NOW - HOUR, "not heard for 9 days"), NOW)

    assert (row.state, row.reason) == (KEPT.state, KEPT.reason)
    assert (row.because, row.judged_at) == (
        ("not heard for 9 days", NOW) if is_found else ("not heard for 8 days", HELD.judged_at)
    )
