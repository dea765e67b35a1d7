"""The table "Reading Authenticate and TokenUpdate" of docs/protocol/choices.md, row by row, and its neighbours.

What policies say to a row is in test_letting_go; serial numbers known before, and clones told, in operations'
test_alike; devices that the database has forgotten, in test_replay_journal.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.instants import NOON

from muster.domain.enrollment import (
    Enrollment,
    EnrollmentState,
    ExpectRenewal,
    Identity,
    Lane,
    OpenEpoch,
    Pins,
    Provenance,
    Speaker,
    TokenUpdateDecision,
    TokenUpdateMeaning,
    lane_of,
    not_pinned,
    read_authenticate,
    read_token_update,
    who_speaks,
    who_speaks_unpinned,
)
from muster.domain.errors import Refusal, RefusalCode
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, DeviceId

MAC, OTHER = DeviceId("MAC"), DeviceId("OTHER")
CHANNEL = Channel(ChannelId(MAC), MAC, ChannelKind.DEVICE)
FIRST, SECOND, THIRD, FORMER = (bytes([byte]) * 32 for byte in (1, 2, 3, 9))
WEEK = timedelta(days=7)
MICROSECOND = timedelta(microseconds=1)

ENROLLED = Enrollment(
    CHANNEL,
    EnrollmentState.ENROLLED,
    epoch=4,
    provisional_epoch=None,
    pins=Pins(current=FIRST, former=FORMER, former_until=NOON + WEEK),
)
RE_ENROLLING = ENROLLED._replace(provisional_epoch=5, pins=ENROLLED.pins._replace(provisional=SECOND))
INSTALLING_AGAIN = ENROLLED._replace(provisional_epoch=5, pins=Pins(current=FIRST, provisional=FIRST))
RENEWING = ENROLLED._replace(pins=ENROLLED.pins._replace(provisional=SECOND))
ENROLLING = Enrollment(CHANNEL, EnrollmentState.ENROLLING, epoch=0, provisional_epoch=1, pins=Pins(provisional=SECOND))
NEVER_ENROLLED = ENROLLING._replace(provisional_epoch=None, pins=Pins())
ENDED = ENROLLED._replace(state=EnrollmentState.ENDED)


def of_link(fingerprint: bytes = SECOND, *, device: DeviceId | None = None, is_replaced: bool = False) -> Identity:
    return Identity(fingerprint, device, Provenance.LINK, None, NOON, "link", is_replaced)


def of_renewal(
    fingerprint: bytes = SECOND, *, of: DeviceId = MAC, device: DeviceId | None = None, epoch: int | None = None
) -> Identity:
    return Identity(fingerprint, device, Provenance.RENEWAL, of, NOON, epoch=epoch)


def read(enrollment: Enrollment, fingerprint: bytes, identity: Identity | None = None) -> TokenUpdateDecision | Refusal:
    speaker = who_speaks(enrollment.pins, fingerprint, NOON) or who_speaks_unpinned(enrollment, identity)
    if speaker is None:
        return not_pinned(CHANNEL)
    return read_token_update(enrollment, fingerprint, speaker, NOON, WEEK)


_NOT_PINNED = RefusalCode.IDENTITY_NOT_PINNED
Meaning: TypeAlias = OpenEpoch | ExpectRenewal | RefusalCode

AUTHENTICATES: list[tuple[str, Identity | None, Enrollment | None, Meaning]] = [
    ("a new device", of_link(), None, OpenEpoch(1)),
    ("a re-enrollment", of_link(), ENROLLED, OpenEpoch(5)),
    ("a re-enrollment after the end", of_link(), ENDED, OpenEpoch(5)),
    ("the profile again, current pin", of_link(FIRST, device=MAC), ENROLLED, OpenEpoch(5)),
    ("the profile again, and once more", of_link(FIRST, device=MAC), INSTALLING_AGAIN, OpenEpoch(5)),
    ("the profile again, forgotten pin", of_link(THIRD, device=MAC), ENROLLED, OpenEpoch(5)),
    ("the profile again, renewed pin", of_renewal(FIRST, device=MAC, epoch=4), ENROLLED, OpenEpoch(5)),
    ("the renewal", of_renewal(), ENROLLED, ExpectRenewal()),
    ("the renewal once more, another came between", of_renewal(device=MAC), ENROLLED, ExpectRenewal()),
    ("the renewal after the end", of_renewal(), ENDED, ExpectRenewal()),
    ("the renewal of the life before", replace(of_renewal(), retired_at=NOON - WEEK), ENROLLED, OpenEpoch(5)),
    ("the renewal of a device we forgot", of_renewal(), None, OpenEpoch(1)),
    ("the renewal of one never enrolled", of_renewal(), NEVER_ENROLLED, OpenEpoch(1)),
    ("the provisional one again, an epoch", of_link(device=MAC), RE_ENROLLING, OpenEpoch(5)),
    ("the provisional one again, a renewal", of_renewal(device=MAC), RENEWING, ExpectRenewal()),
    ("the provisional one again, never enrolled", of_link(device=MAC), ENROLLING, OpenEpoch(1)),
    ("another link's before the TokenUpdate", of_link(THIRD), RE_ENROLLING, OpenEpoch(6)),
    ("another link's, never enrolled", of_link(THIRD), ENROLLING, OpenEpoch(2)),
    ("a clone", of_link(device=OTHER), ENROLLED, RefusalCode.IDENTITY_OF_ANOTHER_DEVICE),
    ("a clone that is new to us", of_link(device=OTHER), None, RefusalCode.IDENTITY_OF_ANOTHER_DEVICE),
    ("another device's renewal", of_renewal(of=OTHER), ENROLLED, RefusalCode.IDENTITY_OF_ANOTHER_DEVICE),
    ("another device's renewal, new to us", of_renewal(of=OTHER), None, RefusalCode.IDENTITY_OF_ANOTHER_DEVICE),
    ("replaced before its use", of_link(is_replaced=True), None, RefusalCode.IDENTITY_SUPERSEDED),
    ("a stranger", None, ENROLLED, RefusalCode.IDENTITY_UNKNOWN),
    ("a stranger, new to us", None, None, RefusalCode.IDENTITY_UNKNOWN),
]


@pytest.mark.parametrize(
    ("identity", "enrollment", "meaning"), [pytest.param(*case, id=name) for name, *case in AUTHENTICATES]
)
def test_authenticate_means(identity: Identity | None, enrollment: Enrollment | None, meaning: Meaning) -> None:
    decision = read_authenticate(CHANNEL, identity, enrollment, now=NOON - MICROSECOND)

    assert (decision.code if isinstance(decision, Refusal) else decision) == meaning


@pytest.mark.parametrize(
    ("identity", "enrollment", "meaning"),
    [
        pytest.param(of_link(), None, RefusalCode.IDENTITY_EXPIRED, id="never used"),
        pytest.param(of_link(THIRD, device=MAC), ENROLLED, RefusalCode.IDENTITY_EXPIRED, id="of a life long past"),
        pytest.param(
            of_renewal(FIRST, device=MAC, epoch=4), ENROLLED, RefusalCode.IDENTITY_EXPIRED, id="the current pin"
        ),
        pytest.param(of_link(device=MAC), RE_ENROLLING, OpenEpoch(5), id="said again"),
    ],
)
def test_authenticate_with_an_expired_identity_opens_no_epoch(
    identity: Identity, enrollment: Enrollment | None, meaning: Meaning
) -> None:
    decision = read_authenticate(CHANNEL, identity, enrollment, now=NOON)

    assert (decision.code if isinstance(decision, Refusal) else decision) == meaning


def enrolled(epoch: int, pin: bytes) -> TokenUpdateDecision:
    return TokenUpdateDecision(TokenUpdateMeaning.ENROLLED, epoch, Pins(current=pin))


def refreshed(enrollment: Enrollment) -> TokenUpdateDecision:
    return TokenUpdateDecision(TokenUpdateMeaning.REFRESH, enrollment.epoch, enrollment.pins)


WENT_BACK = TokenUpdateDecision(TokenUpdateMeaning.WENT_BACK, 4, Pins(FORMER, former=FIRST, former_until=NOON + WEEK))
RENEWED = TokenUpdateDecision(TokenUpdateMeaning.RENEWED, 4, Pins(SECOND, former=FIRST, former_until=NOON + WEEK))

TOKEN_UPDATES: list[tuple[str, Enrollment, bytes, TokenUpdateDecision | RefusalCode]] = [
    ("the enrollment is complete", ENROLLING, SECOND, enrolled(1, SECOND)),
    ("the re-enrollment is complete", RE_ENROLLING, SECOND, enrolled(5, SECOND)),
    ("the profile again, with the identity it had", INSTALLING_AGAIN, FIRST, enrolled(5, FIRST)),
    ("the renewal is complete", RENEWING, SECOND, RENEWED),
    ("rotated, current pin", ENROLLED, FIRST, refreshed(ENROLLED)),
    ("gone back, former pin", ENROLLED, FORMER, WENT_BACK),
    ("former pin, another installation under way", RE_ENROLLING, FORMER, refreshed(RE_ENROLLING)),
    ("former pin, after the end", ENDED, FORMER, refreshed(ENDED)),
    ("the old identity beside a provisional epoch", RE_ENROLLING, FIRST, refreshed(RE_ENROLLING)),
    ("the old identity before its renewal", RENEWING, FIRST, refreshed(RENEWING)),
    ("never enrolled, another identity", ENROLLING, FIRST, RefusalCode.IDENTITY_NOT_PINNED),
    ("an identity that is no pin", ENROLLED, THIRD, RefusalCode.IDENTITY_NOT_PINNED),
]


@pytest.mark.parametrize(
    ("enrollment", "fingerprint", "expected"), [pytest.param(*case, id=name) for name, *case in TOKEN_UPDATES]
)
def test_token_update_means(
    enrollment: Enrollment, fingerprint: bytes, expected: TokenUpdateDecision | RefusalCode
) -> None:
    decision = read(enrollment, fingerprint)

    assert (decision.code if isinstance(decision, Refusal) else decision) == expected


def pinned(epoch: int | None, *, device: DeviceId = MAC, fingerprint: bytes = THIRD) -> Identity:
    """An identity that is the pin no more."""
    return replace(of_link(fingerprint, device=device), epoch=epoch, retired_at=NOON - WEEK)


RENEWED_BY_THIRD = replace(RENEWED, pins=RENEWED.pins._replace(current=THIRD))
RESTORED = TokenUpdateDecision(TokenUpdateMeaning.RESTORED, 4, ENROLLED.pins)

UNPINNED: list[tuple[str, Enrollment, Identity | None, TokenUpdateDecision | RefusalCode]] = [
    ("the renewal without its Authenticate", ENROLLED._replace(pins=Pins(FIRST)), of_renewal(), RENEWED),
    ("its renewal, another Authenticate came between", RE_ENROLLING, of_renewal(THIRD, device=MAC), RENEWED_BY_THIRD),
    ("the renewal of the life before", ENROLLED, replace(of_renewal(), retired_at=NOON), _NOT_PINNED),
    ("another device's renewal", ENROLLED, of_renewal(of=OTHER), _NOT_PINNED),
    ("the renewal of one never enrolled", NEVER_ENROLLED, of_renewal(), _NOT_PINNED),
    ("restored from an older backup", ENROLLED, pinned(4), RESTORED),
    ("of the life before", ENROLLED, pinned(3), _NOT_PINNED),
    ("bound and never the pin", ENROLLED, pinned(None), _NOT_PINNED),
    ("another device's former pin", ENROLLED, pinned(4, device=OTHER), _NOT_PINNED),
    ("a link's, without its Authenticate", ENROLLED, of_link(), _NOT_PINNED),
    ("replaced before its use", ENROLLED, of_link(is_replaced=True), _NOT_PINNED),
    ("a stranger's", ENROLLED, None, _NOT_PINNED),
]


@pytest.mark.parametrize(
    ("enrollment", "identity", "expected"), [pytest.param(*case, id=name) for name, *case in UNPINNED]
)
def test_token_update_by_what_is_no_pin_means(
    enrollment: Enrollment, identity: Identity | None, expected: TokenUpdateDecision | RefusalCode
) -> None:
    decision = read(enrollment, THIRD if identity is None else identity.fingerprint, identity)

    assert (decision.code if isinstance(decision, Refusal) else decision) == expected


@pytest.mark.parametrize(
    ("speaker", "not_after", "lane"),
    [
        (Speaker.CURRENT, NOON + MICROSECOND, Lane.FULL),
        (Speaker.CURRENT, NOON, Lane.RENEWAL),
        (Speaker.FORMER, NOON - WEEK + MICROSECOND, Lane.RENEWAL),
        (Speaker.PROVISIONAL, NOON - WEEK, RefusalCode.IDENTITY_EXPIRED),
        (Speaker.SUPERSEDED, NOON + WEEK, Lane.RENEWAL),
        (Speaker.RENEWAL, NOON + WEEK, Lane.FULL),
    ],
)
def test_lane_is_narrow_for_the_expired_and_the_superseded(
    speaker: Speaker, not_after: datetime, lane: Lane | RefusalCode
) -> None:
    decision = lane_of(speaker, not_after, NOON, restricted_lane=WEEK)

    assert (decision.code if isinstance(decision, Refusal) else decision) == lane


@pytest.mark.parametrize(
    ("pins", "now", "speaker"),
    [
        pytest.param(Pins(current=FIRST), NOON, Speaker.CURRENT, id="current"),
        pytest.param(Pins(provisional=FIRST), NOON, Speaker.PROVISIONAL, id="provisional"),
        pytest.param(Pins(SECOND, FIRST, NOON), NOON - MICROSECOND, Speaker.FORMER, id="former before its end"),
        pytest.param(Pins(SECOND, FIRST, NOON), NOON, None, id="former at its end"),
        pytest.param(Pins(SECOND, FIRST), NOON, None, id="former without an end"),
        pytest.param(Pins(SECOND, FIRST, NOON, FIRST), NOON, Speaker.PROVISIONAL, id="former, installed again"),
        pytest.param(Pins(FIRST, provisional=FIRST), NOON, Speaker.PROVISIONAL, id="current, installed again"),
        pytest.param(Pins(SECOND, THIRD, NOON + WEEK, FORMER), NOON, None, id="none of them"),
        pytest.param(Pins(), NOON, None, id="no pins"),
    ],
)
def test_identity_speaks_by_the_pin_that_it_is(pins: Pins, now: datetime, speaker: Speaker | None) -> None:
    assert who_speaks(pins, FIRST, now) == speaker


FINGERPRINTS = st.sampled_from([FIRST, SECOND, THIRD])
PINS = st.builds(
    Pins,
    current=st.none() | FINGERPRINTS,
    former=st.none() | FINGERPRINTS,
    former_until=st.none() | st.sampled_from([NOON - WEEK, NOON, NOON + WEEK]),
    provisional=st.none() | FINGERPRINTS,
)


DEVICES = st.sampled_from([None, MAC, OTHER])
IDENTITIES = st.builds(
    Identity, FINGERPRINTS, DEVICES, st.sampled_from(Provenance), DEVICES, st.just(NOON), is_replaced=st.booleans()
)
ENROLLMENTS = st.builds(
    Enrollment,
    st.just(CHANNEL),
    st.sampled_from(EnrollmentState),
    st.integers(0, 9),
    st.none() | st.integers(1, 9),
    PINS,
)


@given(PINS, FINGERPRINTS)
def test_nobody_speaks_but_by_a_pin(pins: Pins, fingerprint: bytes) -> None:
    speaker = who_speaks(pins, fingerprint, NOON)

    by = {Speaker.CURRENT: pins.current, Speaker.FORMER: pins.former, Speaker.PROVISIONAL: pins.provisional}
    assert speaker is None or by[speaker] == fingerprint


@given(IDENTITIES, st.none() | ENROLLMENTS)
def test_no_identity_of_another_device_ever_enrolls(identity: Identity, enrollment: Enrollment | None) -> None:
    decision = read_authenticate(CHANNEL, identity, enrollment, now=NOON - MICROSECOND)

    if identity.device_id == OTHER or identity.is_replaced:
        assert isinstance(decision, Refusal)


@given(IDENTITIES, ENROLLMENTS)
def test_epoch_that_opens_is_never_one_that_was_current(identity: Identity, enrollment: Enrollment) -> None:
    decision = read_authenticate(CHANNEL, identity, enrollment, now=NOON - MICROSECOND)

    if isinstance(decision, OpenEpoch) and identity.fingerprint != enrollment.pins.provisional:
        assert decision.number > max(enrollment.epoch, enrollment.provisional_epoch or 0)


@given(ENROLLMENTS, FINGERPRINTS)
def test_after_a_token_update_its_identity_may_speak(enrollment: Enrollment, fingerprint: bytes) -> None:
    decision = read(enrollment, fingerprint)

    if isinstance(decision, TokenUpdateDecision):
        assert who_speaks(decision.pins, fingerprint, NOON) is not None


@given(PINS, st.none() | st.just(5), FINGERPRINTS)
def test_token_update_replaces_the_current_pin_only_when_it_completes_something(
    pins: Pins, provisional_epoch: int | None, fingerprint: bytes
) -> None:
    enrollment = ENROLLED._replace(pins=pins, provisional_epoch=provisional_epoch)

    decision = read(enrollment, fingerprint)

    if isinstance(decision, Refusal):
        assert who_speaks(pins, fingerprint, NOON) is None
    elif decision.meaning is TokenUpdateMeaning.REFRESH:
        assert (decision.pins, decision.epoch) == (pins, enrollment.epoch)
    elif decision.meaning is TokenUpdateMeaning.WENT_BACK:
        assert fingerprint == pins.former
        assert decision.pins == Pins(fingerprint, pins.current, NOON + WEEK)
    else:
        assert fingerprint == pins.provisional
        assert (decision.pins.current, decision.pins.provisional) == (fingerprint, None)


def test_renewal_that_was_itself_renewed_before_its_use_speaks_for_nobody() -> None:
    assert who_speaks_unpinned(ENROLLED, of_renewal(THIRD)) is Speaker.RENEWAL
    assert who_speaks_unpinned(ENROLLED, replace(of_renewal(THIRD), is_replaced=True)) is None
