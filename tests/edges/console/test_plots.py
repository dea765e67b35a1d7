"""Plots of the fleet: what is drawn is what was counted."""

from datetime import timedelta

import pytest
from tests.support.runner import NOW

from muster.edges.console.plots import BAR_WIDTH, HEIGHT, WIDTH, plot_shares, reason_width, state_parts
from muster.operations.views.control import ControlDay, ReasonRow

DAY = timedelta(days=1)
TODAY = NOW.replace(hour=0, minute=0, second=0)


def day(ago: int, in_control: int, total: int = 100) -> ControlDay:
    return ControlDay(TODAY - ago * DAY, total, in_control, {}, {})


def test_days_lie_where_they_belong_and_today_at_the_end() -> None:
    plot = plot_shares([day(29, 100), day(0, 50)], NOW, 30)

    assert plot is not None
    assert plot.line == f"M0.0 0.0L{float(WIDTH)} {HEIGHT / 2}"
    assert plot.area == f"{plot.line}L{float(WIDTH)} {HEIGHT}L0.0 {HEIGHT}z"
    assert [tick.label for tick in plot.shares] == ["100 %", "50 %", "0 %"]


@pytest.mark.parametrize(
    ("lowest", "base"), [(99, "95 %"), (98, "95 %"), (96, "90 %"), (85, "80 %"), (60, "50 %"), (51, "0 %"), (0, "0 %")]
)
def test_the_axis_begins_below_all_shares_and_says_where(lowest: int, base: str) -> None:
    plot = plot_shares([day(1, lowest), day(0, 100)], NOW, 30)

    assert plot is not None
    assert plot.shares[-1].label == base


@pytest.mark.parametrize("history", [[], [day(0, 10)], [day(1, 0, 0), day(0, 10)]])
def test_a_single_point_is_no_plot(history: list[ControlDay]) -> None:
    assert plot_shares(history, NOW, 30) is None


def test_few_of_many_are_seen_in_the_bar_of_states() -> None:
    parts = state_parts([("in_control", 99_999), ("quiet", 0), ("at_risk", 1)], 1000)

    assert [part.state for part in parts] == ["in_control", "at_risk"]
    assert sum(part.width for part in parts) == pytest.approx(1000, abs=0.2)
    assert parts[1].width >= 2.9
    assert state_parts([], 1000) == ()


def test_bars_of_reasons_are_as_long_as_there_are_devices() -> None:
    row = ReasonRow("silent", "not heard", 50, 0, {}, "")

    assert reason_width(row, 100) == BAR_WIDTH / 2
    assert reason_width(row, 100_000) == 2.0
