"""Who is let go, by which reply, and how many."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.instants import NOON

from muster.domain.enrollment import Enrollment, EnrollmentState, Identity, Pins, Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import (
    Departure,
    DepartureKind,
    LeavingReply,
    is_turned_away,
    leaving_reply,
    refusing_policy,
    within_limit,
)
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, DeviceId

MAC, OTHER = DeviceId("MAC"), DeviceId("OTHER")
HOUR = timedelta(hours=1)
PIN, FRESH, THIRD = (bytes([byte]) * 32 for byte in (1, 2, 3))
CODE, PLAIN = LeavingReply.UNRECOGNIZED_DEVICE, LeavingReply.UNAUTHORIZED

ENROLLED = Enrollment(
    Channel(ChannelId(MAC), MAC, ChannelKind.DEVICE),
    EnrollmentState.ENROLLED,
    epoch=4,
    provisional_epoch=None,
    pins=Pins(current=PIN),
)
REJECTED = ENROLLED._replace(state=EnrollmentState.ENDED)
REJECTION = Departure("1", MAC, DepartureKind.REJECT, epoch=4, ordered_at=NOON, ordered_by="ana")


@pytest.mark.parametrize(
    ("product_name", "os_version", "reply"),
    [
        ("iPhone15,2", "17.0", CODE),
        ("iPhone15,2", "16.7.10", PLAIN),
        ("iPad13,4", "17", CODE),
        ("iPad7,11", "16.6.1", PLAIN),
        ("iPod9,1", "15.8", PLAIN),
        ("AppleTV11,1", "17.0", CODE),
        ("AppleTV6,2", "16.6", PLAIN),
        ("RealityDevice14,1", "1.1", CODE),
        ("RealityDevice14,1", "1.0.3", PLAIN),
        ("RealityDevice14,1", "2.0", CODE),
        ("Watch6,7", "10.0", CODE),
        ("Watch6,7", "9.6.3", PLAIN),
        ("Mac14,2", "14.0", CODE),
        ("MacBookPro16,1", "13.6.9", PLAIN),
        ("Macmini9,1", "26.1", CODE),
        ("iMac21,1", "14.1", CODE),
        ("VirtualMac2,1", "15.0", CODE),
        ("Fridge1,1", "17.0", PLAIN),
        (None, "17.0", PLAIN),
        ("Mac14,2", None, PLAIN),
        ("Mac14,2", "", PLAIN),
        ("Mac14,2", "fourteen", PLAIN),
        ("Mac14,2", "14beta", CODE),
        ("Mac14,2", "9" * 4000, CODE),
    ],
)
def test_reply_is_the_one_that_the_version_understands(
    product_name: str | None, os_version: str | None, reply: LeavingReply
) -> None:
    assert leaving_reply(product_name, os_version, is_account_driven=False) is reply


@pytest.mark.parametrize(("product_name", "os_version"), [(None, None), ("iPhone12,1", "15.4"), ("Mac14,2", "15.0")])
def test_account_driven_enrollment_never_gets_a_401_for_it_would_ask_for_a_sign_in(
    product_name: str | None, os_version: str | None
) -> None:
    assert leaving_reply(product_name, os_version, is_account_driven=True) is CODE


def identity(
    fingerprint: bytes = PIN,
    *,
    device: DeviceId | None = MAC,
    epoch: int | None = None,
    renewal_of: DeviceId | None = None,
    issued_at: timedelta = -HOUR,
) -> Identity:
    provenance = Provenance.LINK if renewal_of is None else Provenance.RENEWAL
    later = NOON + timedelta(days=365)
    return Identity(fingerprint, device, provenance, renewal_of, later, epoch=epoch, issued_at=NOON + issued_at)


ANEW = ENROLLED._replace(epoch=5, pins=Pins(current=FRESH))
BEGINNING = REJECTED._replace(provisional_epoch=5, pins=Pins(current=PIN, provisional=FRESH))


@pytest.mark.parametrize(
    ("who", "enrollment", "is_away"),
    [
        pytest.param(identity(epoch=4), REJECTED, True, id="the pin"),
        pytest.param(identity(THIRD, epoch=4), REJECTED, True, id="a pin that was renewed"),
        pytest.param(identity(THIRD, epoch=2), REJECTED, True, id="the pin of an earlier life"),
        pytest.param(identity(THIRD), REJECTED, True, id="one whose enrollment was not complete"),
        pytest.param(identity(THIRD, device=None, renewal_of=MAC), REJECTED, True, id="the renewal to come"),
        pytest.param(
            identity(THIRD, device=None, renewal_of=MAC, issued_at=HOUR), REJECTED, True, id="a renewal issued since"
        ),
        pytest.param(identity(FRESH, issued_at=HOUR), BEGINNING, False, id="a new life that begins"),
        pytest.param(identity(FRESH), BEGINNING, False, id="a new life by a profile fetched before"),
        pytest.param(identity(epoch=4), BEGINNING, True, id="the pin, while a new life begins"),
        pytest.param(identity(FRESH, epoch=5, issued_at=HOUR), ANEW, False, id="the pin of the new life"),
        pytest.param(identity(FRESH, epoch=5), ANEW, False, id="the pin of the new life, issued before"),
        pytest.param(identity(epoch=4), ANEW, True, id="the former life's pin"),
        pytest.param(
            identity(THIRD, device=None, renewal_of=MAC, issued_at=HOUR), ANEW, False, id="the new life's renewal"
        ),
        pytest.param(identity(FRESH, device=None), REJECTED, False, id="a link's, used by nobody yet"),
        pytest.param(identity(epoch=4, device=OTHER), REJECTED, False, id="another device's"),
        pytest.param(identity(device=None, renewal_of=OTHER), REJECTED, False, id="another device's renewal"),
    ],
)
def test_rejection_holds_for_the_identities_of_that_life(who: Identity, enrollment: Enrollment, is_away: bool) -> None:
    assert is_turned_away(REJECTION, who, enrollment, NOON + 2 * HOUR) is is_away


def test_message_that_came_before_the_rejection_is_heard() -> None:
    assert not is_turned_away(REJECTION, identity(epoch=4), REJECTED, NOON - HOUR)


@pytest.mark.parametrize(
    ("who", "enrollment", "kind"),
    [
        pytest.param(identity(FRESH, device=None), None, DepartureKind.ON_ENROLL, id="a new device"),
        pytest.param(identity(FRESH, device=None), ENROLLED, DepartureKind.ON_ENROLL, id="enrolled anew"),
        pytest.param(identity(FRESH), ENROLLED, DepartureKind.ON_ENROLL, id="begun, and never completed"),
        pytest.param(identity(FRESH), BEGINNING, None, id="said again"),
        pytest.param(identity(THIRD, epoch=4), ENROLLED, DepartureKind.ON_RESTORE, id="a former pin"),
        pytest.param(identity(THIRD, epoch=2), ENROLLED, DepartureKind.ON_RESTORE, id="of an earlier life"),
        pytest.param(identity(THIRD, epoch=2), None, DepartureKind.ON_RESTORE, id="of a device we forgot"),
        pytest.param(identity(epoch=4), ENROLLED, None, id="the pin in force"),
        pytest.param(identity(epoch=4), REJECTED, DepartureKind.ON_RESTORE, id="the pin, after the end"),
        pytest.param(identity(THIRD, device=None, renewal_of=MAC), None, None, id="a renewal of a device we forgot"),
    ],
)
def test_policy_that_has_a_say(who: Identity, enrollment: Enrollment | None, kind: DepartureKind | None) -> None:
    assert refusing_policy(who, enrollment) is kind


@pytest.mark.parametrize(
    ("wanted", "counted", "named", "given", "code"),
    [
        (10, 0, None, 10, None),
        (11, 0, None, 11, RefusalCode.LEAVINGS_LIMITED),
        (1, 10, None, 1, RefusalCode.LEAVINGS_LIMITED),
        (0, 12, None, 1, None),
        (37, 10, 37, 37, None),
        (30, 10, 37, 37, None),
        (37, 0, 36, 37, RefusalCode.COUNT_WRONG),
        (1, 0, 2, 1, RefusalCode.COUNT_WRONG),
        (1, 0, 0, 1, RefusalCode.COUNT_WRONG),
    ],
)
def test_more_than_the_limit_takes_the_count_named_exactly(
    wanted: int, counted: int, named: int | None, given: int, code: RefusalCode | None
) -> None:
    refusal = within_limit(wanted, counted=counted, limit=10, named_count=named, given=given)

    assert (None if refusal is None else refusal.code) is code


@given(st.integers(1, 99), st.integers(0, 99), st.integers(0, 99))
def test_nobody_passes_the_limit_unnamed(wanted: int, counted: int, limit: int) -> None:
    refusal = within_limit(wanted, counted=counted, limit=limit, named_count=None, given=wanted)

    assert isinstance(refusal, Refusal) == (counted + wanted > limit)
