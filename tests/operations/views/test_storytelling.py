"""A device's story is gathered whole and told in order, on both engines."""

from datetime import datetime, timedelta

from tests.support import fleet
from tests.support.runner import NOW
from tests.support.verdicts import hold

from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import Run
from muster.domain.control.states import ControlState
from muster.operations.views.story import StoryFacts, story_of
from muster.operations.views.storytelling import LineKind, tell_story
from muster.operations.views.verdicts import held_since
from muster.protocol.identifiers import ChannelId
from muster.storage import recoveries
from muster.storage.engine import Engine
from muster.storage.recoveries import Outcome, Recovery

MAC = ChannelId("MAC")
DAY = timedelta(days=1)


def ago(days: float) -> datetime:
    return NOW - days * DAY


def gather(engine: Engine, since: datetime) -> StoryFacts:
    facts = engine.read(lambda tx: story_of(tx, MAC, since, NOW))
    assert facts is not None
    return facts


def test_the_story_has_everything_that_happened_in_its_order(engine: Engine) -> None:
    fleet.add_device(engine, MAC, contacts=[ago(20), ago(19), ago(3)])
    user = fleet.add_user(engine, MAC, "U", "ana")
    hold(engine, MAC, ControlState.IN_CONTROL, Reason.NONE, at=ago(40), sentence="it obeys")
    hold(engine, MAC, ControlState.INACTIVE, Reason.SILENT, at=ago(12), since=ago(19), sentence="not heard for 7 days")
    hold(engine, MAC, ControlState.IN_CONTROL, Reason.NONE, at=ago(2.9), sentence="it obeys")
    hold(engine, user, ControlState.DORMANT, Reason.USER_NOT_LOGGED_IN, at=ago(5), sentence="not logged in")
    fleet.add_evidence(engine, MAC, "S2", "identity_expired", count=3, first_at=ago(15), last_at=ago(14))
    fleet.add_evidence(engine, MAC, "S17", "bootstrap_token_given", last_at=ago(6))
    fleet.add_report(engine, MAC, "c1", "Acknowledged", queued_at=ago(4), reported_at=ago(3))
    fleet.add_command(engine, user, "c2", "ProfileList")
    recovery = Recovery("r", MAC, Run(Reason.SILENT, ago(12)), closed_at=ago(2), outcome=Outcome.RECOVERED)
    engine.write(
        lambda tx: recoveries.record(
            tx, [recovery.noting(ago(11.5), "opened", "not heard").noting(ago(11), "stored_push", "it was pushed once")]
        )
    )

    lines = tell_story(gather(engine, ago(30)), NOW)

    told = [(round((NOW - line.at) / DAY, 1), line.kind.value, line.whose) for line in lines]
    assert told == [
        (30.0, "verdict", ""),
        (20.0, "contact", ""),
        (15.0, "evidence", ""),
        (12.0, "verdict", ""),
        (11.5, "recovery", ""),
        (11.0, "recovery", ""),
        (5.0, "verdict", "ana"),
        (3.0, "contact", ""),
        (2.9, "verdict", ""),
        (2.0, "recovery", ""),
        (0.0, "command", "ana"),
    ]
    texts = [line.text for line in lines]
    assert texts[0] == "It was under control since 13 October: it obeys."
    assert texts[1] == "In contact on 2 days, the last time on 3 November at 14:30 UTC."
    assert texts[3] == "Inactive since 3 November: not heard for 7 days."
    assert texts[4:6] == ["It is to be brought back: not heard.", "To bring it back (not heard): it was pushed once."]
    assert texts[7] == "Heard again after 16 days of silence. One contact."
    assert texts[9] == "It has recovered, and proved it (not heard)."


def test_nobody_has_no_story(engine: Engine) -> None:
    assert engine.read(lambda tx: story_of(tx, ChannelId("NOBODY"), ago(30), NOW)) is None


def test_what_is_ordinary_is_told_in_one_line(engine: Engine) -> None:
    fleet.add_device(engine, MAC, contacts=[ago(number / 2) for number in range(50, 0, -1)])

    lines = tell_story(gather(engine, ago(30)), NOW)

    assert [line.kind for line in lines] == [LineKind.CONTACT]
    assert lines[0].text.startswith("In contact on ")


def test_of_one_instant_what_was_seen_comes_before_what_was_made_of_it(engine: Engine) -> None:
    fleet.add_device(engine, MAC)
    hold(engine, MAC, ControlState.IN_CONTROL, Reason.NONE, at=ago(3))
    fleet.add_evidence(engine, MAC, "S6", "enrolled", last_at=ago(3))
    fleet.add_evidence(engine, MAC, "S7", "enrollment", last_at=ago(3))

    texts = [line.text for line in tell_story(gather(engine, ago(30)), NOW)]

    assert [text.split(" ")[1] for text in texts] == ["Authenticate", "TokenUpdate", "for"], texts


def test_stretches_of_what_was_held_join_without_a_gap(engine: Engine) -> None:
    for name in ("MAC", "NEW", "OLD", "NONE"):
        fleet.add_device(engine, name)
    hold(engine, MAC, ControlState.IN_CONTROL, Reason.NONE, at=ago(40))
    hold(engine, MAC, ControlState.QUIET, Reason.SILENT, at=ago(6))
    hold(engine, MAC, ControlState.INACTIVE, Reason.SILENT, at=ago(2))
    hold(engine, "NEW", ControlState.AT_RISK, Reason.NOT_YET_PROVED, at=ago(1))
    hold(engine, "OLD", ControlState.IN_CONTROL, Reason.NONE, at=ago(90))

    ids = [ChannelId(one) for one in ("MAC", "NEW", "OLD", "NONE")]
    held = engine.read(lambda tx: held_since(tx, ids, ago(30), NOW))

    assert {id_: [(one.begins, one.ends, one.state.value) for one in some] for id_, some in held.items()} == {
        "MAC": [
            (ago(30), ago(6), "in_control"),
            (ago(6), ago(2), "quiet"),
            (ago(2), NOW, "inactive"),
        ],
        "NEW": [(ago(1), NOW, "at_risk")],
        "OLD": [(ago(30), NOW, "in_control")],
    }
