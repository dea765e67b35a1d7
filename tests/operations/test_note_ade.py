"""What Automated Device Enrollment says of devices: stored, evidence of those that are known, and their review."""

from dataclasses import replace
from datetime import datetime, timedelta

from tests.support.site import IPAD, MAC, Site, authenticate, id_of, token_update

from muster.domain.control.ade import AdeObservation, AdeProfileStatus, AdeTokenObservation
from muster.domain.control.dossier import AdeRecord
from muster.domain.control.evidence import Signal
from muster.operations.judge_channels import dossier_of
from muster.operations.note_ade import note_ade, note_ade_token
from muster.protocol.identifiers import Identifiers
from muster.storage import reviews
from muster.storage.ade import CHANNELS_OF_A_SERIAL

SERIAL = "C02XK1LYJGH5"


def said(site: Site, status: str = "assigned", *, here: bool = True, at: datetime | None = None) -> AdeObservation:
    return AdeObservation(SERIAL, AdeProfileStatus(status), here, is_deleted=False, at=at or site.now, token="school")


def of_ade(site: Site, identifiers: Identifiers = MAC) -> list[tuple[str, int]]:
    return [(word, count) for signal, word, count in site.evidence(identifiers) if signal == Signal.ADE.value]


def known(site: Site, identifiers: Identifiers = MAC) -> AdeRecord | None:
    context = site.runner.context()
    dossier = site.engine.read(lambda tx: dossier_of(tx, id_of(identifiers), context))
    assert dossier is not None
    return dossier.ade


def next_review(site: Site) -> datetime | None:
    return site.engine.read(reviews.next_due)


def put_off_reviews(site: Site) -> None:
    later = site.now + timedelta(days=1)
    site.engine.write(lambda tx: reviews.done(tx, {id_of(MAC): later}, at=site.now))


def test_what_is_news_is_evidence_and_has_the_device_reviewed(site: Site) -> None:
    site.enroll()
    put_off_reviews(site)

    assert site.do(note_ade, said(site)) == [True]

    assert of_ade(site) == [("assigned", 1)]
    assert next_review(site) == site.now
    assert known(site) == AdeRecord("assigned", True, False, site.now, heard_at=site.now)


def test_what_was_said_before_is_no_news(site: Site) -> None:
    site.enroll()
    site.do(note_ade, said(site))
    began = site.now
    put_off_reviews(site)
    site.wait(hours=1)

    assert site.do(note_ade, said(site)) == [False]

    assert of_ade(site) == [("assigned", 1)]
    assert next_review(site) != site.now
    assert known(site) == AdeRecord("assigned", True, False, began, heard_at=site.now)


def test_each_standing_has_its_word(site: Site) -> None:
    site.enroll()
    observed = [
        said(site),
        said(site, "pushed", at=site.wait(minutes=1)),
        said(site, "empty", at=site.wait(minutes=1)),
        said(site, "removed", at=site.wait(minutes=1)),
        said(site, "empty", here=False, at=site.wait(minutes=1)),
        replace(said(site, "empty", here=False, at=site.wait(minutes=1)), is_deleted=True),
    ]

    assert site.do(note_ade, *reversed(observed)) == [True] * 6

    words = [word for word, _ in of_ade(site)]
    assert words == ["assigned", "pushed", "empty", "removed", "assigned_elsewhere", "deleted"]
    assert known(site) == AdeRecord("empty", False, True, site.now, heard_at=site.now)


def test_what_is_older_than_what_is_known_is_passed_over(site: Site) -> None:
    site.enroll()
    before = site.now
    site.wait(hours=1)
    site.do(note_ade, said(site, "pushed"))

    assert site.do(note_ade, said(site, "empty", at=before)) == [False]

    assert known(site) == AdeRecord("pushed", True, False, site.now, heard_at=site.now)


def test_device_that_enrolls_later_is_judged_by_what_was_said(site: Site) -> None:
    site.do(note_ade, said(site))

    site.enroll()

    assert of_ade(site) == []
    assert known(site) is not None


def test_device_of_another_serial_number_hears_nothing_of_it(site: Site) -> None:
    site.enroll()
    identity = site.identity()
    site.check_in(authenticate(IPAD, serial_number="OTHER"), identity)
    site.check_in(token_update(IPAD), identity)

    site.do(note_ade, said(site))

    assert of_ade(site, IPAD) == []
    assert known(site, IPAD) is None


def test_virtual_machines_of_one_serial_number_are_noted_up_to_a_bound(site: Site) -> None:
    everybody = [Identifiers(udid=f"VM-{number:03}") for number in range(CHANNELS_OF_A_SERIAL + 1)]
    for one in everybody:
        site.enroll(one)
        site.wait(seconds=1)

    site.do(note_ade, said(site))

    assert sum(bool(of_ade(site, one)) for one in everybody) == CHANNELS_OF_A_SERIAL
    assert of_ade(site, everybody[0]) == []


def test_token_that_is_good_no_more_freezes_what_was_said_by_it(site: Site) -> None:
    site.enroll()
    site.do(note_ade_token, AdeTokenObservation("school", is_ok=True, at=site.now))
    site.do(note_ade, said(site, "empty"))
    heard_at = site.now
    put_off_reviews(site)
    site.wait(days=1)

    expired = AdeTokenObservation("school", is_ok=False, at=site.now, why="T_C_NOT_SIGNED")
    assert site.do(note_ade_token, expired, expired) == [True, False]

    frozen = known(site)
    assert frozen is not None
    assert (frozen.is_frozen, frozen.heard_at) == (True, heard_at)
    assert next_review(site) == site.now

    assert site.do(note_ade_token, replace(expired, is_ok=True, at=site.wait(days=1))) == [True]

    thawed = known(site)
    assert thawed is not None
    assert (thawed.is_frozen, thawed.heard_at) == (False, site.now)
