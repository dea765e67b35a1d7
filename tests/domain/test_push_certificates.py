"""Which push certificate is put into use, and when its end is told about."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.instants import NOON

from muster.domain.errors import RefusalCode
from muster.domain.push_certificate_refusals import NAMED_AT_MOST, refuse_certificate
from muster.domain.push_certificates import (
    NOTICES,
    CertificateInUse,
    Change,
    Deliberately,
    KeyFit,
    Listeners,
    OfferedCertificate,
    PushSetup,
    Unfit,
    Verdict,
    days_left,
    due_notice,
    judge_certificate,
    next_notice_at,
)

A, B, C = "com.apple.mgmt.External.a", "com.apple.mgmt.External.b", "com.apple.mgmt.External.c"
DAY = timedelta(days=1)
IN_USE = CertificateInUse(b"in use", NOON + 30 * DAY, is_of_apple=True)
SIMULATED = replace(IN_USE, is_of_apple=False)
THREE = Listeners(3, 3)
FLEET = PushSetup(A, {A: IN_USE}, {A: THREE})
"""Three devices enrolled with topic A."""
MOVING = PushSetup(B, {B: IN_USE, A: IN_USE}, {A: THREE, B: THREE})
"""New enrollments get B, and some are enrolled with A yet."""
OFFERED = OfferedCertificate(
    fingerprint=b"offered",
    user_id=A,
    topic=A,
    not_before=NOON - DAY,
    not_after=NOON + 365 * DAY,
    is_authority=False,
    is_of_apple=True,
    key=KeyFit.MATCHES,
)
OF_B = replace(OFFERED, user_id=B, topic=B)
OF_C = replace(OFFERED, user_id=C, topic=C)
REPLACE = frozenset({Deliberately.REPLACE_TOPIC})
OLDER = frozenset({Deliberately.ALLOW_OLDER})


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (replace(OFFERED, is_authority=True), Unfit.AUTHORITY),
        (replace(OFFERED, key=KeyFit.OF_VENDOR_REQUEST, topic=None), Unfit.VENDOR_CERTIFICATE),
        (replace(OFFERED, topic=None), Unfit.NOT_OF_MDM),
        (replace(OFFERED, key=KeyFit.UNKNOWN), Unfit.KEY_UNKNOWN),
        (replace(OFFERED, key=KeyFit.DIFFERS), Unfit.KEY_DIFFERS),
        (replace(OFFERED, unusable="key too small"), Unfit.UNUSABLE),
        (replace(OFFERED, not_after=NOON), Unfit.EXPIRED),
        (replace(OFFERED, not_before=NOON + timedelta(seconds=1)), Unfit.NOT_YET_VALID),
    ],
)
@pytest.mark.parametrize("setup", [PushSetup(), FLEET, MOVING], ids=["empty", "fleet", "moving"])
@pytest.mark.parametrize("meant", [frozenset(), REPLACE | OLDER], ids=["plain", "insisting"])
def test_certificate_that_could_not_push_is_unfit_whatever_is_meant(
    offered: OfferedCertificate, setup: PushSetup, meant: frozenset[Deliberately], expected: Unfit
) -> None:
    assert judge_certificate(offered, setup, NOON, meant) is expected


@pytest.mark.parametrize(
    ("offered", "setup", "meant", "expected"),
    [
        # the first one
        (OFFERED, PushSetup(), frozenset(), Change.FIRST),
        (OFFERED, PushSetup(), REPLACE, Change.FIRST),
        (OFFERED, PushSetup(None, {}, {A: THREE}), frozenset(), Change.FIRST),
        # the same topic
        (OFFERED, FLEET, frozenset(), Change.RENEWED),
        (OFFERED, FLEET, REPLACE, Change.RENEWED),
        (replace(OFFERED, fingerprint=b"in use"), FLEET, frozenset(), Change.SAME),
        (replace(OFFERED, not_after=IN_USE.not_after), FLEET, frozenset(), Change.RENEWED),
        (replace(OFFERED, not_after=IN_USE.not_after - DAY), FLEET, frozenset(), Unfit.OLDER),
        (replace(OFFERED, not_after=IN_USE.not_after - DAY), FLEET, OLDER, Change.RENEWED),
        (replace(OFFERED, is_of_apple=False), FLEET, frozenset(), Unfit.NOT_OF_APPLE),
        (replace(OFFERED, is_of_apple=False), PushSetup(A, {A: SIMULATED}, {A: THREE}), frozenset(), Change.RENEWED),
        # another topic
        (OF_B, FLEET, frozenset(), Unfit.ANOTHER_TOPIC),
        (OF_B, FLEET, OLDER, Unfit.ANOTHER_TOPIC),
        (OF_B, FLEET, REPLACE, Change.ANOTHER_TOPIC),
        (OF_B, PushSetup(None, {}, {A: THREE}), frozenset(), Unfit.ANOTHER_TOPIC),
        (OF_B, PushSetup(None, {}, {A: THREE}), REPLACE, Change.ANOTHER_TOPIC),
        (OF_B, PushSetup(A, {A: IN_USE}, {}), frozenset(), Change.ANOTHER_TOPIC),
        (OF_C, MOVING, frozenset(), Unfit.ANOTHER_TOPIC),
        # a former mistake that was uploaded before anybody enrolled, renewed in place of the right one
        (OF_B, PushSetup(A, {A: IN_USE, B: IN_USE}, {A: THREE}), frozenset(), Unfit.ANOTHER_TOPIC),
        # the topic that was chosen deliberately, before the first has enrolled with it
        (OF_B, PushSetup(B, {B: IN_USE, A: IN_USE}, {A: THREE}), frozenset(), Change.RENEWED),
        # two topics side by side: each is renewed, and which one is chosen stays
        (OFFERED, MOVING, frozenset(), Change.RENEWED),
        (OF_B, MOVING, frozenset(), Change.RENEWED),
        (OFFERED, MOVING, REPLACE, Change.ANOTHER_TOPIC),
        (replace(OFFERED, fingerprint=b"in use"), MOVING, REPLACE, Change.ANOTHER_TOPIC),
        # who listens to a topic without a certificate gets one; new enrollments stay where they were
        (OF_B, PushSetup(A, {A: IN_USE}, {A: THREE, B: THREE}), frozenset(), Change.FIRST),
    ],
)
def test_certificate_is_judged_by_what_is_in_use_and_who_listens(
    offered: OfferedCertificate, setup: PushSetup, meant: frozenset[Deliberately], expected: Verdict
) -> None:
    assert judge_certificate(offered, setup, NOON, meant) is expected


@settings(max_examples=200)
@given(
    offered=st.sampled_from([OFFERED, OF_B, OF_C, replace(OFFERED, not_after=NOON + DAY)]),
    listening=st.sets(st.sampled_from([A, B, C])),
    in_use=st.lists(st.sampled_from([A, B, C]), unique=True),
)
def test_nobody_is_cut_off_unless_it_is_meant(
    offered: OfferedCertificate, listening: set[str], in_use: list[str]
) -> None:
    setup = PushSetup(next(iter(in_use), None), dict.fromkeys(in_use, IN_USE), dict.fromkeys(listening, THREE))

    verdict = judge_certificate(offered, setup, NOON)

    if isinstance(verdict, Change) and listening and offered.topic not in listening:
        assert offered.topic == setup.topic_of_new


@pytest.mark.parametrize("unfit", Unfit)
def test_every_refusal_says_who_is_at_stake_and_what_to_do(unfit: Unfit) -> None:
    refusal = refuse_certificate(unfit, OF_B, FLEET, {A: ("S1", "S2", "S3")}, NOON)

    assert f"3 enrollments listen to {A}, whose certificate stays in use and ends on" in refusal.message
    assert refusal.remedy


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        (PushSetup(), ""),
        (PushSetup(A, {A: replace(IN_USE, not_after=NOON - DAY)}, {A: THREE}), "ended on 2026-11-01: they can't be"),
        (PushSetup(None, {}, {A: Listeners(1, 1)}), f"1 enrollment listens to {A}, which has no certificate here"),
        (PushSetup(None, {}, {A: Listeners(1200, 900)}), "1,200 enrollments on 900 devices listen"),
        (PushSetup(None, {}, {f"com.apple.mgmt.{n}": THREE for n in range(7)}), "2 more topics are listened to."),
    ],
)
def test_refusals_tell_what_stays_broken(setup: PushSetup, said: str) -> None:
    refusal = refuse_certificate(Unfit.KEY_DIFFERS, OFFERED, setup, {}, NOON)

    assert said in refusal.message


def test_another_topic_names_some_devices_counts_the_rest_and_tells_the_way_back() -> None:
    names = tuple(f"SERIAL{n}" for n in range(NAMED_AT_MOST))
    setup = PushSetup(A, {A: IN_USE}, {A: Listeners(30, 25)})

    refusal = refuse_certificate(Unfit.ANOTHER_TOPIC, OF_B, setup, {A: names}, NOON)

    end = f"{IN_USE.not_after:%Y-%m-%d}"
    assert refusal.code is RefusalCode.PUSH_TOPIC_CHANGES
    assert f"To {A}: {', '.join(names)} and 5 more." in refusal.message
    assert f"renew the entry of {A}" in refusal.remedy
    assert f"new enrollments then get {B}" in refusal.remedy
    assert f"until its certificate ends on {end}" in refusal.remedy


def test_names_and_topics_that_devices_chose_do_no_harm_to_a_terminal() -> None:
    topic = "\x1b[2Jcom.apple.mgmt" + "x" * 1000
    setup = PushSetup(None, {}, {topic: THREE})

    refusal = refuse_certificate(Unfit.ANOTHER_TOPIC, OF_B, setup, {topic: ("A\nB", "\x9b", "C")}, NOON)

    assert "To ?[2Jcom.apple.mgmtxx" in refusal.message
    assert "A?B, ?, C." in refusal.message
    assert all(line.isprintable() for line in (refusal.message + refusal.remedy).splitlines())
    assert len(refusal.message) < 1000


# --- its end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "told", "expected"),
    [
        (timedelta(days=61), None, None),
        (timedelta(days=60, seconds=1), None, None),
        (timedelta(days=60), None, 60),
        (timedelta(days=59), 60, None),
        (timedelta(days=30), 60, 30),
        (timedelta(days=20), None, 30),  # put into use with less than a month left
        (timedelta(days=14), 30, 14),
        (timedelta(days=7), 14, 7),
        (timedelta(days=3), 7, 3),
        (timedelta(days=1), 3, 1),
        (timedelta(days=2), 60, 3),  # after a downtime: the most urgent step alone
        (timedelta(hours=1), 1, None),
        (timedelta(0), 1, 0),
        (timedelta(days=-400), 60, 0),
        (timedelta(days=-400), 0, None),
        (timedelta(days=-400), None, 0),
        (timedelta(days=300), 0, None),  # a clock that was years ahead told of the end
        (timedelta(days=40), 0, 60),
        (timedelta(days=2), 0, 3),
        (timedelta(hours=24), 0, None),  # clocks of nodes that are a little apart
        (timedelta(days=30, hours=1), 30, None),
    ],
)
def test_end_is_told_about_once_at_each_step(left: timedelta, told: int | None, expected: int | None) -> None:
    assert due_notice(NOON + left, told, NOON) == expected


def test_year_of_hourly_looks_tells_each_step_once() -> None:
    not_after, told, steps = NOON + timedelta(days=365), None, []
    for hour in range(24 * 400):
        step = due_notice(not_after, told, NOON + timedelta(hours=hour))
        if step is not None:
            told = step
            steps.append((step, hour // 24))

    assert steps == [(60, 305), (30, 335), (14, 351), (7, 358), (3, 362), (1, 364), (0, 365)]


@given(st.integers(-100_000, 10_000_000))
def test_next_step_is_the_earliest_moment_at_which_something_new_is_due(seconds: int) -> None:
    not_after = NOON + timedelta(seconds=seconds)
    told = due_notice(not_after, None, NOON)

    at = next_notice_at(not_after, NOON)

    if at is None:
        assert told == 0
    else:
        assert at > NOON
        assert due_notice(not_after, told, at - timedelta(seconds=1)) is None
        assert due_notice(not_after, told, at) is not None


@pytest.mark.parametrize(
    ("left", "days"),
    [(timedelta(days=-1), 0), (timedelta(0), 0), (timedelta(seconds=1), 1), (DAY, 1), (timedelta(days=6.5), 7)],
)
def test_day_that_has_begun_counts_whole(left: timedelta, days: int) -> None:
    assert days_left(NOON + left, NOON) == days


def test_steps_are_in_order() -> None:
    assert list(NOTICES) == sorted(NOTICES)
