"""Verdicts are measured against the truth: what was right by day, for what reason, and whether it came back."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.laboratory.scenario.texts import FLEET

from muster.domain.control.finding import Verdict
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.laboratory.scenario.model import Limits
from muster.laboratory.scenario.played import Episode, Played, PlayedDevice
from muster.laboratory.scenario.reading import parse_scenario
from muster.laboratory.scenario.score import Score, fallen_short, score
from muster.laboratory.scenario.score_text import score_text, score_values
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage.verdicts import Step

BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
DAY = timedelta(days=1)
PHONE, USER = ChannelId("PHONE"), ChannelId("PHONE:USER")
WELL, QUIET = ControlState.IN_CONTROL, ControlState.QUIET
INACTIVE, LOST, ENDED = ControlState.INACTIVE, ControlState.OUT_OF_CONTROL, ControlState.ENDED


def step(day: float, state: ControlState, reason: Reason = Reason.NONE, channel: ChannelId = PHONE) -> Step:
    at = BEGIN + day * DAY
    verdict = Verdict(
        state=state,
        reason=reason,
        since=at,
        sentence="",
        forecast=Forecast.NOTHING_TO_DO,
        next_step="",
        proof_level=ProofLevel.OBEYED,
        proof_at=at,
    )
    return Step(f"{day}", channel, DeviceId(PHONE), 1, at, None, verdict)


def scored(
    steps: Iterable[Step],
    *episodes: Episode,
    off: tuple[float, float] | None = None,
    spoke: float | None = None,
    proved: float = 60,
    cohort: str = "phones",
    channels: tuple[ChannelId, ...] = (PHONE,),
) -> Score:
    heard = [BEGIN + hours * timedelta(hours=6) for hours in range(240)]
    if off is not None:
        heard = [at for at in heard if not off[0] * DAY <= at - BEGIN < off[1] * DAY]
    if spoke is not None:
        heard = sorted([*heard, BEGIN + spoke * DAY])
    device = PlayedDevice(
        name=f"{cohort}/1",
        cohort=cohort,
        serial_number="S",
        channel_ids=channels,
        users={1: USER} if cohort == "macs" else {},
        enrolled_at=BEGIN,
        rests=(),
        sites=((BEGIN, None),),
    )
    played = Played(
        scenario=parse_scenario(FLEET),
        seed=0,
        began_at=BEGIN,
        ended_at=BEGIN + 60 * DAY,
        devices=(device,),
        episodes=episodes,
        changes=tuple(steps),
        heard={channels[-1]: tuple(heard), USER: tuple(heard)},
        proofs={PHONE: BEGIN + proved * DAY},
    )
    return score(played)


def off(begins: float, ends: float) -> Episode:
    return Episode(0, "power_off", "phones/1", None, {}, BEGIN + begins * DAY, BEGIN + ends * DAY)


SILENT = (
    step(0, WELL),
    step(33, QUIET, Reason.SILENT),
    step(37, INACTIVE, Reason.SILENT),
    step(50.1, WELL),
)


def test_days_of_a_silence_are_faulted_and_right_by_how_long_it_lasts() -> None:
    found = scored(SILENT, off(30, 50), off=(30, 50))

    assert (found.right_state_faulted, found.right_state_healthy, found.right_reason) == (1, 1, 1)
    assert found.faulted_days == 16  # from the fifth day on, once the rhythm can't explain it any more
    assert [one.cause for one in found.causes] == ["silent"]
    assert found.false_inactive == 0
    assert not found.lost_in_health


def test_who_speaks_of_its_own_accord_begins_another_silence() -> None:
    blocked = Episode(0, "drop_identity", "phones/1", None, {}, BEGIN + 30 * DAY, BEGIN + 40 * DAY)
    steps = [step(0, WELL), step(33, QUIET, Reason.SILENT), step(35, WELL), step(38, QUIET, Reason.SILENT)]

    found = scored([*steps, step(40.1, WELL)], blocked, off=(30, 40), spoke=35)
    unheard = scored([*steps, step(40.1, WELL)], blocked, off=(30, 40))

    assert (found.right_state_faulted, found.right_state_healthy) == (1, 1)
    assert ("inactive",) in {one.expected for one in unheard.wrong}


def test_what_is_not_noticed_in_time_is_wrong() -> None:
    found = scored([step(0, WELL), step(40, INACTIVE, Reason.SILENT), step(50.1, WELL)], off(30, 50), off=(30, 50))

    assert found.right_state_faulted < 0.7
    assert found.wrong[0].expected == ("quiet",)
    assert found.wrong[0].state == "in_control"


def test_the_right_state_for_a_wrong_reason_is_half_right() -> None:
    steps = [step(0, WELL), step(33, QUIET, Reason.CLIENT_HUNG), *SILENT[2:]]

    found = scored(steps, off(30, 50), off=(30, 50))

    assert found.right_state_faulted == 1
    assert found.right_reason < 1


def test_a_device_in_use_is_not_inactive_and_never_lost() -> None:
    found = scored([step(0, WELL), step(20, INACTIVE, Reason.SILENT), step(21.5, LOST), step(22, WELL)])

    assert found.false_inactive == 1
    assert found.lost_in_health == ("phones/1",)
    assert found.right_state_healthy < 1
    limits = Limits(right_state_healthy=0.999, out_of_control_healthy=0, false_inactive_per_1000_device_weeks=1.0)
    assert len(fallen_short(found, limits)) == 3


def test_what_came_back_is_recovered_once_it_has_obeyed_since() -> None:
    [back] = scored(SILENT, off(30, 50), off=(30, 50)).recoveries
    [unproved] = scored(SILENT, off(30, 50), off=(30, 50), proved=29).recoveries

    assert (back.ended, back.recovered, back.proved) == (1, 1, 1)
    assert (unproved.recovered, unproved.proved, unproved.unproved) == (1, 0, ("phones/1",))


def test_an_end_that_is_known_is_no_silence() -> None:
    removed = Episode(0, "remove_profile", "phones/1", None, {"reported": True}, BEGIN + 30 * DAY)

    found = scored([step(0, WELL), step(30, ENDED, Reason.PROFILE_REMOVED)], removed, off=(30, 60))

    assert found.right_state_faulted == 1
    assert [one.cause for one in found.causes] == ["profile_removed"]


def test_a_check_out_that_nobody_could_hear_is_no_known_end() -> None:
    down = Episode(0, "server_down", None, None, {}, BEGIN + 29 * DAY, BEGIN + 35 * DAY)
    removed = Episode(1, "remove_profile", "phones/1", None, {"reported": True}, BEGIN + 30 * DAY)

    found = scored([step(0, WELL), step(36, LOST, Reason.PUSH_TOKEN_UNREGISTERED)], down, removed, off=(29, 60))

    assert found.right_state_faulted == 1
    assert [one.cause for one in found.causes] == ["profile_removed_unreported"]


def test_a_backup_of_an_earlier_life_brings_an_identity_back_that_is_nobodys() -> None:
    erased = Episode(0, "erase", "phones/1", None, {"by": "user"}, BEGIN + 25 * DAY, BEGIN + 25.2 * DAY)
    restored = Episode(1, "restore_to_same", "phones/1", None, {"age": 10 * DAY}, BEGIN + 30 * DAY)
    told = [step(0, WELL), step(32, LOST, Reason.IDENTITY_UNRECOGNIZED)]

    found = scored(told, erased, restored, off=(30, 60))

    assert (found.right_state_faulted, found.faulted_days) == (1, 27)
    assert [one.cause for one in found.causes] == ["identity_unrecognized"]


def test_who_was_restored_unheard_has_a_token_of_which_nobody_was_told() -> None:
    down = Episode(0, "server_down", None, None, {}, BEGIN + 29 * DAY, BEGIN + 31 * DAY)
    restored = Episode(1, "restore_to_same", "phones/1", None, {"age": 2 * DAY}, BEGIN + 30 * DAY)

    told = [step(0, WELL), step(32, ControlState.AT_RISK, Reason.PUSH_TOKEN_UNREGISTERED)]

    found = scored(told, down, restored, off=(29, 31))

    assert (found.right_state_faulted, found.faulted_days) == (1, 27)
    assert [one.cause for one in found.causes] == ["push_token_unregistered"]


def test_a_dead_token_is_a_loss_a_day_after_the_last_contact() -> None:
    gone = Episode(0, "unregister", "ipads/1", None, {}, BEGIN + 30 * DAY)
    token = Reason.PUSH_TOKEN_UNREGISTERED
    told = [step(30.1, ControlState.AT_RISK, token), step(31.1, LOST, token)]
    revived = [step(40, ControlState.AT_RISK, token), step(41, LOST, token)]

    found = scored([step(0, WELL), *told, *revived], gone, off=(30, 60), spoke=40, cohort="ipads")
    silent = scored([step(0, WELL), *told, *revived], gone, off=(30, 60), cohort="ipads")

    assert (found.right_state_faulted, silent.right_state_faulted < 1) == (1, True)


def test_who_is_heard_again_has_a_day_to_obey() -> None:
    busy = Episode(0, "not_now", "macs/1", None, {"share_of_commands": 1.0}, BEGIN + 20 * DAY)
    dead = Episode(1, "user_dies", "macs/1", None, {"user": 1}, BEGIN + 25 * DAY, BEGIN + 36 * DAY)
    lost = step(28, LOST, Reason.USER_CHANNEL_DEAD, USER)
    risk = step(37, ControlState.AT_RISK, Reason.ALWAYS_NOT_NOW, USER)

    found = scored(
        [step(0, WELL), step(0, WELL, channel=USER), lost, step(36, WELL, channel=USER), risk],
        busy,
        dead,
        cohort="macs",
    )

    assert found.right_state_faulted == 1


def test_nobody_has_to_notice_what_needs_pushes_while_none_are_sent() -> None:
    expired = Episode(0, "push_certificate_expires", None, None, {}, BEGIN + 31 * DAY, BEGIN + 35 * DAY)
    changed = Episode(1, "change_magic", "phones/1", None, {}, BEGIN + 30 * DAY)
    unknown = step(31, ControlState.UNKNOWN, Reason.PUSH_CERTIFICATE_EXPIRED)
    told = [step(0, WELL), unknown, step(35, WELL), step(39, ControlState.AT_RISK, Reason.PUSH_MAGIC_WRONG)]

    late = scored([*told[:3], step(41.5, ControlState.AT_RISK, Reason.PUSH_MAGIC_WRONG)], expired, changed)

    assert scored(told, expired, changed).right_state_faulted == 1
    assert late.right_state_faulted < 1


def test_who_tells_nothing_of_itself_past_the_limit_is_lost() -> None:
    mute = Episode(0, "answer_error", "phones/1", None, {"command": "DeviceInformation"}, BEGIN - 20 * DAY)
    told = [step(0, WELL), step(11, ControlState.AT_RISK, Reason.NO_INVENTORY), step(40, LOST, Reason.NO_INVENTORY)]

    found = scored(told, mute)

    assert (found.right_state_faulted, found.right_state_healthy) == (1, 1)
    assert [one.cause for one in found.causes] == ["no_inventory"]


@pytest.mark.parametrize("told", [(ENDED, Reason.PROFILE_REMOVED), (LOST, Reason.PUSH_TOKEN_UNREGISTERED)])
def test_where_half_of_all_is_answered_with_errors_a_check_out_was_heard_or_was_not(
    told: tuple[ControlState, Reason],
) -> None:
    failing = Episode(0, "errors", None, None, {"answered_500": 0.5}, BEGIN + 29 * DAY, BEGIN + 31 * DAY)
    removed = Episode(1, "remove_profile", "phones/1", None, {"reported": True}, BEGIN + 30 * DAY)

    found = scored([step(0, WELL), step(33, *told)], failing, removed, off=(30, 60))

    assert found.right_state_faulted == 1
    assert [one.cause for one in found.causes] == ["profile_removed_unreported"]


def test_who_was_erased_is_silent_or_apns_says_that_its_token_is_gone() -> None:
    erased = Episode(0, "erase", "ipads/1", None, {"by": "user"}, BEGIN + 30 * DAY)
    told = [step(0, WELL), step(31, ControlState.AT_RISK, Reason.PUSH_TOKEN_UNREGISTERED)]

    found = scored([*told, step(32, LOST, Reason.PUSH_TOKEN_UNREGISTERED)], erased, off=(30, 60), cohort="ipads")

    assert (found.right_state_faulted, found.between_right) == (1, found.between_days)
    assert found.right_reason == 1


def test_nobody_knows_of_an_assignment_while_apple_refuses_the_token() -> None:
    refused = Episode(0, "token_expired", None, None, {}, BEGIN + 29 * DAY, BEGIN + 40 * DAY)
    moved = Episode(1, "assign_elsewhere", "ipads/1", None, {}, BEGIN + 30 * DAY)
    learned = step(40.1, ControlState.AT_RISK, Reason.ADE_ASSIGNED_ELSEWHERE)

    found = scored([step(0, WELL), learned], refused, moved, cohort="ipads")

    assert (found.right_state_faulted, found.right_state_healthy) == (1, 1)
    assert found.faulted_days == 19


def test_users_of_a_device_that_obeys_nothing_may_be_said_to_obey_nothing() -> None:
    deaf = Episode(0, "ignore_commands", "macs/1", None, {"answer": "error"}, BEGIN + 10 * DAY)
    risk = (ControlState.AT_RISK, Reason.NOT_OBEYING)
    found = scored(
        [step(0, WELL), step(24.5, *risk), step(0, WELL, channel=USER), step(25, *risk, channel=USER)],
        deaf,
        cohort="macs",
    )

    assert found.wrong == ()
    assert found.right_state_faulted == 1


def test_the_report_is_no_wider_than_100_columns_and_its_values_are_the_same_again() -> None:
    found = scored([step(0, WELL), step(20, LOST)], off(30, 50), off=(30, 50))

    assert max(len(line) for line in score_text(found, BEGIN).splitlines()) <= 100
    assert score_values(found) == score_values(scored([step(0, WELL), step(20, LOST)], off(30, 50), off=(30, 50)))


def test_who_could_not_answer_is_back_when_it_is_called_again() -> None:
    dropped = Episode(0, "drop_identity", "phones/1", None, {}, BEGIN + 30 * DAY, BEGIN + 38 * DAY)
    steps = [step(0, WELL), step(33, QUIET, Reason.SILENT), step(37, INACTIVE, Reason.SILENT), step(41, WELL)]

    late, at_once = (scored(steps, one, off=(30, 41)) for one in (dropped, replace(dropped, primitive="power_off")))

    assert (late.right_state_healthy, late.false_inactive) == (1, 0)
    assert (at_once.right_state_healthy < 1, at_once.false_inactive) == (True, 1)


def test_a_client_that_hangs_on_a_command_hangs_again_after_a_boot() -> None:
    hung = Episode(0, "hang_on", "phones/1", None, {"command": "SecurityInfo", "client": True}, BEGIN + 30 * DAY)
    boot = Episode(1, "restart", "phones/1", None, {}, BEGIN + 34 * DAY, BEGIN + 34 * DAY)
    steps = [step(0, WELL), step(33, QUIET, Reason.SILENT), step(34, WELL), step(38, QUIET, Reason.SILENT)]

    found = scored(
        [*steps, step(41, INACTIVE, Reason.SILENT), step(55, LOST, Reason.SILENT)], hung, boot, off=(30.1, 60), spoke=34
    )

    assert (found.right_state_healthy, found.right_state_faulted, found.false_inactive) == (1, 1, 0)


def test_who_enrolls_anew_under_another_name_is_scored_by_what_was_said_of_each_in_its_time() -> None:
    removed = Episode(0, "remove_profile", "phones/1", None, {}, BEGIN + 30 * DAY)
    anew = Episode(1, "enroll", "phones/1", None, {}, BEGIN + 40 * DAY)
    former, later = ChannelId("FORMER"), ChannelId("LATER")
    steps = [
        step(0, WELL, channel=former),
        step(30, ENDED, Reason.PROFILE_REMOVED, former),
        step(40, WELL, channel=later),
        step(45, LOST, Reason.SILENT, former),  # what is said of the former by now is no word of the device
    ]

    found = scored(steps, removed, anew, off=(30, 40), channels=(former, later))

    assert (found.right_state_healthy, found.right_state_faulted, found.lost_in_health) == (1, 1, ())


def test_while_we_are_at_fault_ourselves_nobody_fails_to_recover() -> None:
    ours = Episode(1, "outage", None, None, {}, BEGIN + 51.5 * DAY, BEGIN + 60 * DAY)
    unknown = step(51.6, ControlState.UNKNOWN, Reason.APNS_OUTAGE)

    found = scored([*SILENT, unknown], off(30, 50), ours, off=(30, 50), proved=50.1)

    assert (found.recoveries[0].recovered, found.recoveries[0].proved) == (1, 1)
