"""What Authenticate and TokenUpdate mean: a row of the table "Reading Authenticate and TokenUpdate" for each test."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.instants import NOON

from muster.domain.enrollment import (
    Enrollment,
    EnrollmentState,
    ExpectRenewal,
    Identity,
    OpenEpoch,
    Pins,
    Provenance,
    Speaker,
    TokenUpdateDecision,
    TokenUpdateMeaning,
    not_pinned,
    read_authenticate,
    read_token_update,
    who_speaks,
)
from muster.domain.errors import Refusal, RefusalCode
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, DeviceId

WEEK = timedelta(days=7)
PIN, NEW, OTHER = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
MAC = Channel(ChannelId("A"), DeviceId("A"), ChannelKind.DEVICE)
CLONE = Channel(ChannelId("B"), DeviceId("B"), ChannelKind.DEVICE)
ENROLLED = Enrollment(MAC, EnrollmentState.ENROLLED, 3, None, Pins(current=PIN))
OF_LINK = Identity(NEW, None, Provenance.LINK, None, NOON + WEEK)
OF_RENEWAL = Identity(NEW, None, Provenance.RENEWAL, DeviceId("A"), NOON + WEEK)
KNOWN = Identity(PIN, DeviceId("A"), Provenance.LINK, None, NOON + WEEK)


def code(decision: object) -> RefusalCode:
    assert isinstance(decision, Refusal)
    return decision.code


# Authenticate


def test_device_that_is_new_to_us_opens_its_first_epoch() -> None:
    assert read_authenticate(MAC, OF_LINK, None, now=NOON) == OpenEpoch(1)


def test_identity_of_a_link_re_enrolls_a_known_device_into_the_next_epoch() -> None:
    assert read_authenticate(MAC, OF_LINK, ENROLLED, now=NOON) == OpenEpoch(4)


def test_identity_known_before_installs_again_into_the_next_epoch() -> None:
    assert read_authenticate(MAC, KNOWN, ENROLLED, now=NOON) == OpenEpoch(4)


def test_renewal_opens_no_epoch() -> None:
    assert read_authenticate(MAC, OF_RENEWAL, ENROLLED, now=NOON) == ExpectRenewal()


def test_renewed_identity_that_was_used_before_installs_again_into_the_next_epoch() -> None:
    used = replace(OF_RENEWAL, device_id=DeviceId("A"), epoch=3)

    assert read_authenticate(MAC, used, replace(ENROLLED, pins=Pins(current=NEW)), now=NOON) == OpenEpoch(4)


@pytest.mark.parametrize("enrollment", [None, replace(ENROLLED, state=EnrollmentState.ENROLLING, epoch=0, pins=Pins())])
def test_renewal_of_what_was_never_enrolled_is_an_enrollment(enrollment: Enrollment | None) -> None:
    assert read_authenticate(MAC, OF_RENEWAL, enrollment, now=NOON) == OpenEpoch(1)


@pytest.mark.parametrize("identity", [OF_LINK, replace(OF_LINK, device_id=DeviceId("A"))])
def test_authenticate_said_again_before_its_token_update_opens_the_same_epoch(identity: Identity) -> None:
    waiting = replace(ENROLLED, provisional_epoch=4, pins=Pins(current=PIN, provisional=NEW))

    assert read_authenticate(MAC, identity, waiting, now=NOON) == OpenEpoch(4)


def test_renewal_said_again_before_its_token_update_stays_a_renewal() -> None:
    waiting = replace(ENROLLED, pins=Pins(current=PIN, provisional=NEW))
    bound = replace(OF_RENEWAL, device_id=DeviceId("A"))

    assert read_authenticate(MAC, bound, waiting, now=NOON) == ExpectRenewal()


def test_epoch_that_was_opened_and_never_completed_is_not_used_again() -> None:
    waiting = replace(ENROLLED, provisional_epoch=7, pins=Pins(current=PIN, provisional=OTHER))

    assert read_authenticate(MAC, OF_LINK, waiting, now=NOON) == OpenEpoch(8)


def test_clone_under_another_devices_identity_is_refused() -> None:
    assert code(read_authenticate(CLONE, KNOWN, None, now=NOON)) is RefusalCode.IDENTITY_OF_ANOTHER_DEVICE


def test_renewal_of_another_device_is_refused() -> None:
    assert code(read_authenticate(CLONE, OF_RENEWAL, None, now=NOON)) is RefusalCode.IDENTITY_OF_ANOTHER_DEVICE


def test_identity_that_is_not_ours_is_refused() -> None:
    assert code(read_authenticate(MAC, None, ENROLLED, now=NOON)) is RefusalCode.IDENTITY_UNKNOWN


def test_identity_renewed_before_it_was_used_is_refused() -> None:
    assert (
        code(read_authenticate(MAC, replace(OF_LINK, is_replaced=True), None, now=NOON))
        is RefusalCode.IDENTITY_SUPERSEDED
    )


# TokenUpdate


def read(enrollment: Enrollment, fingerprint: bytes) -> TokenUpdateDecision | Refusal:
    speaker = who_speaks(enrollment.pins, fingerprint, NOON)
    if speaker is None:
        return not_pinned(enrollment.channel)
    return read_token_update(enrollment, fingerprint, speaker, NOON, WEEK)


def test_token_update_under_the_pin_keeps_everything() -> None:
    assert read(ENROLLED, PIN) == TokenUpdateDecision(TokenUpdateMeaning.REFRESH, 3, ENROLLED.pins)


def test_token_update_under_the_former_pin_goes_back_to_it_and_keeps_the_renewed_one_for_a_while() -> None:
    restored = replace(ENROLLED, pins=Pins(NEW, PIN, NOON + timedelta(days=1)))

    assert read(restored, PIN) == TokenUpdateDecision(TokenUpdateMeaning.WENT_BACK, 3, Pins(PIN, NEW, NOON + WEEK))


def test_token_update_under_the_former_pin_keeps_everything_while_another_installation_is_under_way() -> None:
    waiting = replace(ENROLLED, provisional_epoch=4, pins=Pins(NEW, PIN, NOON + WEEK, provisional=OTHER))

    assert read(waiting, PIN) == TokenUpdateDecision(TokenUpdateMeaning.REFRESH, 3, waiting.pins)


def test_token_update_completes_a_provisional_epoch_and_forgets_the_pins_before_it() -> None:
    waiting = replace(ENROLLED, provisional_epoch=4, pins=Pins(PIN, OTHER, NOON + WEEK, provisional=NEW))

    assert read(waiting, NEW) == TokenUpdateDecision(TokenUpdateMeaning.ENROLLED, 4, Pins(current=NEW))


def test_token_update_completes_a_renewal_and_the_old_pin_stays_good_for_a_while() -> None:
    waiting = replace(ENROLLED, pins=Pins(PIN, provisional=NEW))

    assert read(waiting, NEW) == TokenUpdateDecision(TokenUpdateMeaning.RENEWED, 3, Pins(NEW, PIN, NOON + WEEK))


def test_token_update_under_the_old_pin_leaves_the_provisional_epoch_open() -> None:
    waiting = replace(ENROLLED, provisional_epoch=4, pins=Pins(PIN, provisional=NEW))

    assert read(waiting, PIN) == TokenUpdateDecision(TokenUpdateMeaning.REFRESH, 3, waiting.pins)


def test_token_update_under_any_other_identity_is_refused() -> None:
    assert code(read(ENROLLED, OTHER)) is RefusalCode.IDENTITY_NOT_PINNED


# Who may speak


def test_former_pin_speaks_until_its_time_is_over() -> None:
    pins = Pins(NEW, PIN, NOON)

    assert who_speaks(pins, PIN, NOON - timedelta(microseconds=1)) is Speaker.FORMER
    assert who_speaks(pins, PIN, NOON) is None
    assert who_speaks(pins, NEW, NOON + WEEK) is Speaker.CURRENT


def test_former_pin_without_an_end_does_not_speak() -> None:
    assert who_speaks(Pins(NEW, PIN), PIN, NOON) is None


_FINGERPRINT = st.sampled_from([PIN, NEW, OTHER])
_PINS = st.builds(
    Pins,
    st.none() | _FINGERPRINT,
    st.none() | _FINGERPRINT,
    st.none() | st.sampled_from([NOON - WEEK, NOON, NOON + WEEK]),
    st.none() | _FINGERPRINT,
)
_IDENTITY = st.builds(
    Identity,
    _FINGERPRINT,
    st.sampled_from([None, DeviceId("A"), DeviceId("B")]),
    st.sampled_from(Provenance),
    st.sampled_from([None, DeviceId("A"), DeviceId("B")]),
    st.just(NOON),
    is_replaced=st.booleans(),
)
_ENROLLMENT = st.builds(
    Enrollment,
    st.just(MAC),
    st.sampled_from(EnrollmentState),
    st.integers(0, 9),
    st.none() | st.integers(1, 9),
    _PINS,
)


@given(_PINS, _FINGERPRINT)
def test_nobody_speaks_but_by_a_pin(pins: Pins, fingerprint: bytes) -> None:
    speaker = who_speaks(pins, fingerprint, NOON)

    by = {Speaker.CURRENT: pins.current, Speaker.FORMER: pins.former, Speaker.PROVISIONAL: pins.provisional}
    assert speaker is None or by[speaker] == fingerprint


@given(_IDENTITY, st.none() | _ENROLLMENT)
def test_no_identity_of_another_device_ever_enrolls(identity: Identity, enrollment: Enrollment | None) -> None:
    decision = read_authenticate(MAC, identity, enrollment, now=NOON)

    if identity.device_id == "B" or identity.is_replaced:
        assert isinstance(decision, Refusal)


@given(_IDENTITY, _ENROLLMENT)
def test_epoch_that_opens_is_never_one_that_was_current(identity: Identity, enrollment: Enrollment) -> None:
    decision = read_authenticate(MAC, identity, enrollment, now=NOON)

    if isinstance(decision, OpenEpoch) and identity.fingerprint != enrollment.pins.provisional:
        assert decision.number > max(enrollment.epoch, enrollment.provisional_epoch or 0)


@given(_ENROLLMENT, _FINGERPRINT)
def test_after_a_token_update_its_identity_may_speak(enrollment: Enrollment, fingerprint: bytes) -> None:
    decision = read(enrollment, fingerprint)

    if isinstance(decision, TokenUpdateDecision):
        assert who_speaks(decision.pins, fingerprint, NOON) is not None
