"""Other witnesses say that devices were seen: evidence, a review where it may change something, and never control."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.support.runner import NOW
from tests.support.site import IPAD, MAC, Site, authenticate, id_of, token_update

from muster.domain.control.evidence import Signal
from muster.domain.control.states import ControlState
from muster.domain.control.witness import MAXIMUM_POSTS, NOTED_AGAIN_AFTER, POSTS_WINDOW, WitnessKind
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.judge_channels import dossier_of, judge_channels
from muster.operations.manage_witnesses import (
    NewToken,
    WitnessOrder,
    add_witnesses,
    remove_witnesses,
    rotate_witnesses,
)
from muster.operations.note_sightings import (
    SightingsNoted,
    SightingsOrder,
    SightingsOutcome,
    may_post,
    note_sightings,
)
from muster.protocol.checkin import CheckOut
from muster.protocol.identifiers import Identifiers, resolve_channel
from muster.protocol.sightings import Sighting
from muster.storage import reviews, schema, verdicts, witnesses

SERIAL = "C02XK1LYJGH5"
UDID = MAC.udid or ""


def add(site: Site, name: str = "osquery", kind: WitnessKind = WitnessKind.AGENT) -> str:
    made = site.do(add_witnesses, WitnessOrder(name, kind))[0]
    assert isinstance(made, NewToken)
    return made.token


def post(site: Site, token: str, *sightings: Sighting) -> SightingsOutcome:
    return site.do(note_sightings, SightingsOrder(token, sightings, "192.0.2.1"))[0]


def seen(site: Site, *, at: datetime | None = None, unmanaged: bool = False) -> Sighting:
    return Sighting(at or site.now, UDID, says_unmanaged=unmanaged)


def of_witnesses(site: Site, identifiers: Identifiers = MAC) -> list[tuple[str, int]]:
    return [(word, count) for signal, word, count in site.evidence(identifiers) if signal == Signal.WITNESS.value]


def judge(site: Site) -> ControlState:
    context = site.runner.context()
    site.engine.write(lambda tx: judge_channels(tx, [id_of(MAC)], context))
    return site.engine.read(lambda tx: verdicts.read(tx, [id_of(MAC)]))[id_of(MAC)].verdict.state


def put_off_review(site: Site) -> None:
    later = site.now + timedelta(days=1)
    site.engine.write(lambda tx: reviews.done(tx, {id_of(MAC): later}, at=site.now))


def is_review_due(site: Site) -> bool:
    due = site.engine.read(reviews.next_due)
    return due is not None and due <= site.now


# --- what is noted ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "device",
    [Sighting(NOW, UDID), Sighting(NOW, UDID.lower()), Sighting(NOW, None, SERIAL.lower())],
    ids=["udid", "udid in lower case", "serial number"],
)
def test_sighting_is_evidence_and_reaches_the_rules(site: Site, device: Sighting) -> None:
    site.enroll()
    token = add(site)
    one = replace(device, at=site.now, network="198.51.100.9", says_unmanaged=True, detail={"user": "ada"})

    assert post(site, token, one) == SightingsNoted(1, 0)

    assert of_witnesses(site) == [("unmanaged:osquery", 1)]
    context = site.runner.context()
    dossier = site.engine.read(lambda tx: dossier_of(tx, id_of(MAC), context))
    assert dossier is not None
    [witness] = dossier.witnesses
    assert (witness.name, witness.kind, witness.seen_at) == ("osquery", "agent", site.now)
    assert (witness.says_unmanaged, witness.network) == (True, "198.51.100.9")


def test_what_was_said_before_is_nothing_new(site: Site) -> None:
    site.enroll()
    token = add(site)
    first = seen(site)
    post(site, token, first)
    site.wait(hours=1)

    assert post(site, token, first, replace(first, at=first.at - timedelta(hours=1))) == SightingsNoted(0, 2)
    assert of_witnesses(site) == [("seen:osquery", 1)]


def test_of_one_device_in_a_post_the_latest_counts(site: Site) -> None:
    site.enroll()
    token = add(site)
    earlier = seen(site, at=site.now - timedelta(hours=1), unmanaged=True)

    assert post(site, token, seen(site), earlier) == SightingsNoted(1, 1)
    assert of_witnesses(site) == [("seen:osquery", 1)]


def test_witness_that_never_stops_is_counted_now_and_then(site: Site) -> None:
    site.enroll()
    token = add(site)
    for _ in range(2 * (NOTED_AGAIN_AFTER // timedelta(minutes=1)) + 1):
        post(site, token, seen(site))
        site.wait(minutes=1)

    assert of_witnesses(site) == [("seen:osquery", 3)]


def test_witnesses_that_speak_in_turns_are_a_row_each(site: Site) -> None:
    site.enroll()
    tokens = [add(site), add(site, "okta", WitnessKind.IDP)]
    for _ in range(4):
        for token in tokens:
            post(site, token, seen(site))
        site.wait(hours=1)

    assert sorted(of_witnesses(site)) == [("seen:okta", 4), ("seen:osquery", 4)]


def test_devices_that_are_not_known_are_told_and_counted(site: Site) -> None:
    site.enroll()
    token = add(site)

    outcome = post(site, token, Sighting(site.now, "NOBODY"), seen(site), Sighting(site.now, None, "NOWHERE"))

    assert outcome == SightingsNoted(1, 0, unknown=(0, 2))
    [listed] = site.engine.read(witnesses.all_witnesses)
    assert (listed.sightings, listed.unknown, listed.heard_at) == (3, 2, site.now)


def test_serial_number_of_several_open_devices_says_nothing(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    token = add(site)

    assert post(site, token, Sighting(site.now, None, SERIAL)) == SightingsNoted(0, 0, ambiguous=(0,))
    assert of_witnesses(site) == of_witnesses(site, IPAD) == []


def test_serial_number_of_one_open_device_and_an_ended_one_is_the_open_ones(site: Site) -> None:
    identity = site.enroll()

    site.check_in(CheckOut(MAC, resolve_channel(MAC)), identity)
    other = site.identity()
    site.check_in(authenticate(IPAD), other)
    site.check_in(token_update(IPAD), other)

    assert post(site, add(site), Sighting(site.now, None, SERIAL)) == SightingsNoted(1, 0)
    assert of_witnesses(site, IPAD) == [("seen:osquery", 1)]


# --- what follows -----------------------------------------------------------------------------------------------------


def test_witness_alone_never_makes_a_device_in_control(site: Site) -> None:
    site.enroll()
    token = add(site)
    site.wait(days=9)
    assert judge(site) is ControlState.INACTIVE

    for days in range(30):
        site.wait(days=1)
        for unmanaged in (False, True):
            site.wait(hours=1)
            post(site, token, seen(site, unmanaged=unmanaged))
            assert judge(site) is not ControlState.IN_CONTROL, days


def test_device_that_is_not_in_control_is_reviewed(site: Site) -> None:
    site.enroll()
    token = add(site)
    site.wait(days=9)
    judge(site)
    post(site, token, seen(site, at=site.now - timedelta(hours=5)))
    put_off_review(site)
    site.wait(hours=1)

    post(site, token, seen(site))

    assert is_review_due(site)


def in_control(site: Site) -> None:
    """Have it held that a device is in control."""
    site.enroll()
    judge(site)
    held = sa.update(schema.verdicts).values(state="in_control", reason="none")
    site.engine.write(lambda tx: tx.connection.execute(held))


@pytest.mark.parametrize(("unmanaged", "days", "is_due"), [(False, 0, False), (True, 0, True), (False, 2, True)])
def test_device_in_control_is_reviewed_where_a_sighting_may_change_it(
    site: Site, *, unmanaged: bool, days: int, is_due: bool
) -> None:
    in_control(site)
    token = add(site)
    post(site, token, seen(site, at=site.now - timedelta(days=days)))
    put_off_review(site)
    site.wait(hours=1)

    post(site, token, seen(site, unmanaged=unmanaged))

    assert is_review_due(site) is is_due


# --- who may ----------------------------------------------------------------------------------------------------------


def refused(outcome: object) -> RefusalCode:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def test_token_of_nobody_is_refused(site: Site) -> None:
    assert refused(post(site, "guess", seen(site))) is RefusalCode.BEARER_UNKNOWN
    assert refused(site.engine.read(lambda tx: may_post(tx, "guess", site.now))) is RefusalCode.BEARER_UNKNOWN


def test_rotated_token_is_good_and_the_former_one_no_more(site: Site) -> None:
    former = add(site)
    made = site.do(rotate_witnesses, "osquery")[0]
    assert isinstance(made, NewToken)

    assert refused(post(site, former)) is RefusalCode.BEARER_UNKNOWN
    assert post(site, made.token) == SightingsNoted(0, 0)


def test_removed_witness_says_no_more_and_what_it_said_stays(site: Site) -> None:
    site.enroll()
    token = add(site)
    post(site, token, seen(site))

    site.do(remove_witnesses, "osquery")

    assert refused(post(site, token, seen(site))) is RefusalCode.BEARER_UNKNOWN
    assert of_witnesses(site) == [("seen:osquery", 1)]
    assert refused(site.do(remove_witnesses, "osquery")[0]) is RefusalCode.NOT_FOUND
    assert refused(site.do(rotate_witnesses, "osquery")[0]) is RefusalCode.NOT_FOUND


def test_posts_are_limited_and_the_limit_passes(site: Site) -> None:
    token = add(site)
    for _ in range(MAXIMUM_POSTS):
        assert post(site, token) == SightingsNoted(0, 0)

    assert refused(post(site, token)) is RefusalCode.SIGN_IN_LIMITED
    assert refused(site.engine.read(lambda tx: may_post(tx, token, site.now))) is RefusalCode.SIGN_IN_LIMITED

    site.wait(seconds=POSTS_WINDOW.total_seconds())

    assert post(site, token) == SightingsNoted(0, 0)


@pytest.mark.parametrize("name", ["", "Osquery", "os query", "o" * 41, "osquery\n"])
def test_name_that_would_not_do_in_a_sentence_is_refused(site: Site, name: str) -> None:
    assert refused(site.do(add_witnesses, WitnessOrder(name, WitnessKind.AGENT))[0]) is RefusalCode.ORDER_UNFIT


def test_name_is_taken_once(site: Site) -> None:
    add(site)

    assert refused(site.do(add_witnesses, WitnessOrder("osquery", WitnessKind.EDR))[0]) is RefusalCode.CONFLICT
