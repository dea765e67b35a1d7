"""Every word of the domain has its word here."""

import pytest
from tests.support.runner import NOW

from muster.domain.control.evidence import Signal
from muster.domain.enrollment import EndReason, EnrollmentState, Provenance
from muster.domain.push_policy import NoPush, PushDecision, PushNow, Wait
from muster.domain.push_standing import PushVerdict, Standing
from muster.domain.renewal import RenewalState
from muster.operations.views import words
from muster.operations.views.evidence import EvidenceRow
from muster.operations.views.marks import Tone
from muster.protocol.apns import OutcomeClass
from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId


def _row(signal: str, observed: str, detail: dict[str, str | int | bool | None] | None = None) -> EvidenceRow:
    return EvidenceRow(signal, observed, NOW, NOW, 1, 1, "", detail or {}, ChannelId("A"))


def test_every_state_end_and_provenance_has_a_word() -> None:
    assert set(words.STATES) == set(EnrollmentState)
    assert set(words.END_REASONS) == set(EndReason)
    assert set(words.PROVENANCES) == set(Provenance)


def test_states_differ_by_shape_and_word_not_only_by_colour() -> None:
    marks = words.STATES.values()

    assert len({mark.shape for mark in marks}) == len({mark.word for mark in marks}) == len(EnrollmentState)


@pytest.mark.parametrize("outcome", OutcomeClass)
def test_every_push_answer_has_a_word_and_a_sentence(outcome: OutcomeClass) -> None:
    assert words.push_answer(outcome.value).word != outcome.value
    assert words.evidence_sentence(_row(Signal.PUSH_ANSWER, outcome.value)).startswith("APNs")


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.IDLE])
def test_every_command_status_has_a_mark(status: Status) -> None:
    assert words.command_status(status.value).tone is not Tone.WARNING


def test_an_unknown_word_is_shown_as_it_is() -> None:
    assert words.push_answer("new").word == "new"
    assert words.command_status("Odd").word == "Odd"
    assert words.evidence_sentence(_row("S99", "seen")) == "S99: seen"
    assert words.evidence_mark(_row("S99", "seen")).word == "S99"


def test_a_command_is_named_in_its_evidence() -> None:
    row = _row(Signal.COMMAND_ANSWER, "NotNow", {"request_type": "InstallApplication {0}", "status": "NotNow"})

    assert words.evidence_sentence(row) == "It answered InstallApplication {0} with NotNow"
    assert words.evidence_detail(row) == ""


def test_details_are_short() -> None:
    row = _row(Signal.TOKEN_UPDATE, "enrolled", {"identity": "a0" * 32, "has_unlock_token": True, "nothing": None})

    assert words.evidence_detail(row) == "identity a0a0a0a0 · has unlock token yes"


def test_every_state_of_a_renewal_has_words() -> None:
    assert set(words.RENEWAL_STATES) == set(RenewalState)


def test_every_standing_of_pushing_has_a_word_of_its_own() -> None:
    assert set(words.PUSH_STANDINGS) == set(Standing)
    assert len({mark.word for mark in words.PUSH_STANDINGS.values()}) == len(Standing)


def test_who_is_not_enrolled_is_not_pushed_and_that_is_no_trouble() -> None:
    assert words.push_standing(PushVerdict(Standing.NOT_PUSHED, NoPush.NOT_ENROLLED)).tone is Tone.OVER
    assert words.push_standing(PushVerdict(Standing.NOT_PUSHED, NoPush.TOKEN_REFUSED)).tone is Tone.BAD


@pytest.mark.parametrize(
    ("decision", "word"),
    [
        (PushNow(NOW), "No need"),
        (Wait(NOW, NoPush.BUDGET), "No need"),
        (Wait(NOW, NoPush.NO_CERTIFICATE), "Can't be pushed"),
        (Wait(NOW, NoPush.CERTIFICATE_EXPIRED), "Can't be pushed"),
    ],
)
def test_no_need_of_a_push_is_good_news_only_where_one_could_be_sent(decision: PushDecision, word: str) -> None:
    assert words.push_standing(PushVerdict(Standing.NOT_WANTED, if_wanted=decision)).word == word
