"""What is held of channels, on either engine: recorded, confirmed, and told as a story."""

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from tests.conformance.fleet import after
from tests.support.instants import NOON

from muster.domain.control.finding import Cited, Finding, Verdict, VerdictChange
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.protocol.identifiers import ChannelId
from muster.storage import schema, verdicts
from muster.storage.engine import Engine
from muster.storage.verdicts import HeldVerdict

A, B = ChannelId("A"), ChannelId("B")
WELL = Verdict(
    ControlState.IN_CONTROL,
    Reason.NONE,
    NOON,
    "in contact, and it obeys",
    Forecast.NOTHING_TO_DO,
    "",
    ProofLevel.OBEYED,
    NOON,
)
SILENT = Verdict(
    ControlState.QUIET,
    Reason.SILENT,
    NOON,
    "not heard for 3 days",
    Forecast.BY_ITSELF,
    "wait",
    ProofLevel.CONTACT,
    NOON,
    is_push_proved=True,
    candidates=(Reason.SILENT, Reason.IDENTITY_MISSING),
    evidence=(Cited("S1", NOON, "the last contact"),),
    others=(Reason.NO_INVENTORY,),
)


def held(channel_id: ChannelId, verdict: Verdict, at: datetime = NOON, change_id: str = "1") -> HeldVerdict:
    """A verdict as it is held."""
    return HeldVerdict(channel_id, verdict, change_id, NOON, at)


def record(engine: Engine, *now: HeldVerdict) -> None:
    """Record verdicts as a review does; they are as of when they were judged."""
    ids = [one.channel_id for one in now]
    engine.write(lambda tx: verdicts.record(tx, now, verdicts.read(tx, ids), now[0].judged_at))


def read(engine: Engine, *ids: ChannelId) -> dict[ChannelId, HeldVerdict]:
    """What is held."""
    return engine.read(lambda tx: verdicts.read(tx, ids))


def test_verdict_is_read_as_it_was_recorded(engine: Engine) -> None:
    record(engine, held(A, WELL), held(B, SILENT))

    assert read(engine, A, B) == {A: held(A, WELL), B: held(B, SILENT)}


def test_notes_are_kept_without_when_to_look_again(engine: Engine) -> None:
    cited = (Cited("S7", NOON, "the same serial number"),)
    note = Finding(Reason.DUPLICATE_SERIAL, None, NOON, "2 others", Forecast.NOTHING_TO_DO, "nothing", cited)
    record(engine, held(A, replace(WELL, notes=(replace(note, look_again_at=after(days=1)),))))

    assert read(engine, A)[A].verdict.notes == (note,)
    assert read(engine, A)[A].is_as(replace(WELL, notes=(replace(note, look_again_at=after(days=2)),)))


def test_channel_that_was_never_judged_is_absent(engine: Engine) -> None:
    assert read(engine, A) == {}


def test_verdict_that_stands_is_noted_as_judged_again(engine: Engine) -> None:
    record(engine, held(A, WELL), held(B, SILENT))

    record(engine, held(A, replace(WELL, look_again_at=after(days=9)), after(days=1)), held(B, SILENT, after(days=1)))

    assert read(engine, A, B) == {A: held(A, WELL, after(days=1)), B: held(B, SILENT, after(days=1))}


def test_newer_proof_takes_the_place_of_the_older(engine: Engine) -> None:
    proved = replace(WELL, proof_at=after(days=1), is_push_proved=True)
    record(engine, held(A, WELL))

    record(engine, held(A, proved, after(days=1)))

    assert read(engine, A) == {A: held(A, proved, after(days=1))}


def test_verdict_that_changed_replaces_the_former(engine: Engine) -> None:
    record(engine, held(A, WELL))

    record(engine, held(A, SILENT, after(days=3), "2"))

    assert read(engine, A) == {A: held(A, SILENT, after(days=3), "2")}


def change(number: int, channel_id: ChannelId, before: Verdict | None, verdict: Verdict) -> VerdictChange:
    """A step noticed so many days after noon."""
    return VerdictChange(str(number), channel_id, A, 1, after(days=number), before, verdict)


def test_story_is_told_with_the_latest_step_first(engine: Engine) -> None:
    user = ChannelId("A:ada")
    steps = [change(1, A, None, WELL), change(2, user, None, WELL), change(3, A, WELL, SILENT)]
    engine.write(lambda tx: verdicts.append_changes(tx, steps))

    of_channel = engine.read(lambda tx: verdicts.story(tx, A, limit=9))
    of_all = engine.read(lambda tx: verdicts.story(tx, A, limit=9, with_users=True))
    earlier = engine.read(lambda tx: verdicts.story(tx, A, limit=9, before=after(days=3)))
    of_days = engine.read(lambda tx: verdicts.changed_between(tx, after(days=2), after(days=3), limit=9))

    assert [step.id for step in of_channel] == ["3", "1"]
    assert [step.id for step in of_all] == ["3", "2", "1"]
    assert [step.id for step in earlier] == ["1"]
    assert [step.id for step in of_days] == ["2"]
    assert of_channel[0].before == (ControlState.IN_CONTROL, Reason.NONE)
    assert of_channel[0].after == replace(SILENT, proof_at=None, is_push_proved=False)
    assert of_channel[1].before is None


def test_no_steps_cost_no_statement(engine: Engine) -> None:
    engine.write(lambda tx: verdicts.append_changes(tx, []))

    counted = engine.read(
        lambda tx: tx.connection.scalar(sa.select(sa.func.count()).select_from(schema.verdict_changes))
    )
    assert counted == 0
