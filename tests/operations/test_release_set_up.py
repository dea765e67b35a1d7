"""AwaitingConfiguration: the device waits until what was queued for it is answered, and is then let go on, once."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import IPAD, MAC, Site, authenticate, id_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.operations.answer_connect import ConnectReply
from muster.operations.review_channels import review_channels
from muster.protocol.identifiers import SHARED_IPAD_USER_ID, Identifiers
from muster.storage import reviews, schema

BEN = replace(IPAD, user_id=SHARED_IPAD_USER_ID, user_short_name="ben@school.example")


def begin(site: Site, identifiers: Identifiers = MAC) -> SignerIdentity:
    """Enroll a device that awaits its configuration."""
    identity = site.identity()
    site.check_in(authenticate(identifiers), identity)
    site.check_in(token_update(identifiers, awaiting_configuration=True), identity)
    return identity


def review(site: Site) -> None:
    site.do(review_channels, None)


def next_review(site: Site) -> timedelta:
    due = site.engine.read(reviews.next_due)
    assert due is not None
    return due - site.now


def is_awaiting(site: Site, identifiers: Identifiers = MAC) -> bool | None:
    table = schema.device_facts
    select = sa.select(table.c.awaiting_configuration).where(table.c.channel_id == id_of(identifiers))
    value: bool | None = site.rows(select)[0][0]
    return value


def handed(site: Site, identity: SignerIdentity, identifiers: Identifiers = MAC) -> tuple[str | None, str]:
    """Request type and UUID of what the channel is handed."""
    reply = site.connect(identity, identifiers)
    assert isinstance(reply, ConnectReply)
    return reply.request_type, reply.command_uuid or ""


def test_device_is_let_go_on_after_the_hold_when_nothing_is_queued(site: Site) -> None:
    identity = begin(site)
    review(site)
    early = site.queued()
    assert next_review(site) == timedelta(seconds=20)

    site.wait(seconds=20)
    review(site)

    assert early == []
    assert handed(site, identity)[0] == "DeviceConfigured"
    assert site.wish() is not None


def test_device_waits_for_the_answers_of_what_is_queued(site: Site) -> None:
    identity = begin(site)
    site.queue("one")
    site.wait(seconds=20)
    review(site)
    while_unanswered = site.queued()
    soon = next_review(site)

    site.connect(identity)
    site.connect(identity, status="Acknowledged", command_uuid="one")
    site.wait(seconds=10)
    review(site)

    assert while_unanswered == ["one"]
    assert soon == timedelta(seconds=10)
    assert handed(site, identity)[0] == "DeviceConfigured"


def test_command_that_hangs_holds_no_device_for_ever_and_is_overtaken(site: Site) -> None:
    identity = begin(site)
    site.queue("hangs")

    site.wait(minutes=31)
    review(site)

    assert handed(site, identity)[0] == "DeviceConfigured"
    assert "hangs" in site.queued()


def test_device_configured_is_sent_once_however_often_the_device_says_that_it_waits(site: Site) -> None:
    identity = begin(site)
    for _ in range(3):
        site.check_in(token_update(awaiting_configuration=True), identity)
        site.wait(minutes=1)
        review(site)

    assert len(site.queued()) == 1


def test_acknowledged_release_is_the_end_of_the_wait(site: Site) -> None:
    identity = begin(site)
    site.wait(seconds=20)
    review(site)
    _, uuid = handed(site, identity)
    assert is_awaiting(site)

    site.connect(identity, status="Acknowledged", command_uuid=uuid)
    site.check_in(token_update(), identity)
    site.wait(minutes=1)
    review(site)

    assert is_awaiting(site) is False
    assert site.queued() == []


def test_refused_release_is_repeated_only_when_the_device_says_again_that_it_waits(site: Site) -> None:
    identity = begin(site)
    site.hold_proved()
    site.wait(seconds=20)
    review(site)
    site.connect(identity, status="Error", command_uuid=handed(site, identity)[1])
    site.wait(hours=7)
    review(site)
    left_alone = site.queued()

    site.check_in(token_update(awaiting_configuration=True), identity)
    site.wait(seconds=20)
    review(site)

    assert left_alone == []
    assert is_awaiting(site)
    assert handed(site, identity)[0] == "DeviceConfigured"


def test_device_configured_that_a_person_sent_is_the_only_one(site: Site) -> None:
    identity = begin(site)
    site.hold_proved()
    site.queue("mine", request_type="DeviceConfigured")
    for _ in range(2):
        site.wait(minutes=40)
        review(site)
    queued = site.queued()

    site.connect(identity, status="Acknowledged", command_uuid="mine")

    assert queued == ["mine"]
    assert is_awaiting(site) is False


def test_device_that_went_on_by_itself_gets_no_device_configured(site: Site) -> None:
    identity = begin(site)

    site.check_in(token_update(awaiting_configuration=False), identity)
    site.wait(minutes=1)
    review(site)

    assert site.queued() == []


def test_device_that_enrolls_anew_without_waiting_waits_no_more(site: Site) -> None:
    begin(site)

    site.enroll()
    site.wait(minutes=1)
    review(site)

    assert site.queued() == []
    assert is_awaiting(site) is False


def test_device_that_enrolls_anew_while_its_release_is_queued_gets_another(site: Site) -> None:
    begin(site)
    site.wait(seconds=20)
    review(site)
    first = site.queued()

    again = begin(site)
    site.wait(seconds=20)
    review(site)

    _, uuid = handed(site, again)
    assert uuid not in first
    assert len(site.queued()) == 1


def test_user_of_a_shared_ipad_gets_user_configured_on_a_queue_of_its_own(site: Site) -> None:
    identity = site.enroll(IPAD)
    site.check_in(token_update(BEN, awaiting_configuration=True), identity)
    site.wait(seconds=20)

    review(site)

    assert site.queued(IPAD) == []
    assert handed(site, identity, BEN)[0] == "UserConfigured"


@pytest.mark.parametrize("identifiers", [replace(MAC, user_id="0A1B2C3D-0000-4000-8000-0A1B2C3D4E5F")])
def test_user_of_a_mac_is_never_released_by_a_command(site: Site, identifiers: Identifiers) -> None:
    identity = site.enroll()
    site.check_in(token_update(identifiers, awaiting_configuration=True), identity)
    site.wait(minutes=1)

    review(site)

    assert site.queued(identifiers) == []
