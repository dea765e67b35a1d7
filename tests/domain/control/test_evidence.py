"""The signals of evidence have stable numbers, and contacts of which many come are counted."""

from muster.domain.control.evidence import COUNTED, Signal


def test_signals_have_the_numbers_that_stand_in_databases() -> None:
    assert {signal.name: signal.value for signal in Signal} == {
        "CONTACT": "S1",
        "REFUSED_CONTACT": "S2",
        "PUSH_ANSWER": "S3",
        "COMMAND_ANSWER": "S5",
        "TOKEN_UPDATE": "S6",
        "AUTHENTICATE": "S7",
        "CHECK_OUT": "S8",
        "INVENTORY": "S9",
        "DDM_STATUS": "S10",
        "ADE": "S11",
        "PROFILE_FETCHED": "S12",
        "IDENTITY_ISSUED": "S13",
        "WITNESS": "S16",
        "QUESTION": "S17",
        "REACH": "S18",
        "OWN_ERROR": "own",
    }


def test_what_a_device_or_a_network_can_repeat_at_will_is_counted() -> None:
    assert {Signal.REFUSED_CONTACT, Signal.COMMAND_ANSWER, Signal.OWN_ERROR} <= COUNTED


def test_what_changes_an_enrollment_is_kept_one_by_one() -> None:
    assert not COUNTED & {Signal.AUTHENTICATE, Signal.TOKEN_UPDATE, Signal.CHECK_OUT, Signal.IDENTITY_ISSUED}
