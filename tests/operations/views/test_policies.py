"""Policies are laid out with what each limit comes from; on both engines."""

from tests.support.runner import InlineRunner

from muster.domain.control.policy_settings import SETTINGS
from muster.domain.standing_policies import KINDS
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.set_control_policies import ControlPolicyOrder, set_control_policies
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.operations.views.policies import list_standing_policies, show_control_limits
from muster.storage.engine import Engine


def test_what_nobody_set_stands_as_it_comes(engine: Engine) -> None:
    limits = engine.read(show_control_limits)

    assert (limits.groups, limits.of_all) == ((), None)
    assert [row.name for row in limits.rows] == list(SETTINGS)
    assert all((row.of_all, row.of_groups) == ("", ()) and row.default for row in limits.rows)
    assert [one.name for one in engine.read(list_standing_policies)] == [name.value for name in KINDS]
    assert all(one.changed_at is None for one in engine.read(list_standing_policies))


def test_each_limit_is_laid_out_for_all_and_for_each_group(engine: Engine) -> None:
    context = InlineRunner(engine).context()
    engine.write(lambda tx: create_groups(tx, [GroupOrder("lab"), GroupOrder("field")], context))
    orders = [
        ControlPolicyOrder("lab", {"tolerance": "10d"}),
        ControlPolicyOrder("field", {"agent": "none", "tolerance": "8d"}),
        ControlPolicyOrder(None, {"silence_limit": "30d"}),
    ]
    engine.write(lambda tx: set_control_policies(tx, orders, context))
    engine.write(lambda tx: set_policies(tx, [PolicyOrder("mass_flip_share", "25")], context))

    limits = engine.read(show_control_limits)
    rows = {row.name: (row.of_all, row.of_groups) for row in limits.rows}
    standing = {one.name: (one.value, one.changed_by) for one in engine.read(list_standing_policies)}
    assert [one.group for one in limits.groups] == ["lab", "field"]
    assert rows["tolerance"] == ("", ("10d", "8d"))
    assert rows["silence_limit"] == ("30d", ("", ""))
    assert rows["agent"] == ("", ("", "none"))
    assert standing["mass_flip_share"] == ("25", context.actor.name)
