"""Channels are asked about themselves when it is due or somebody wants to know, and nobody is disturbed by it."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import ADA, IPAD, MAC, Site, authenticate, id_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.command_queue import INVENTORY_PRIORITY, QueuePurpose
from muster.domain.errors import Refusal
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.inventory.schedule import SILENT_AFTER, UNANSWERED_FOR
from muster.domain.policy import Policy
from muster.operations.ask_for_inventory import AskedInventory, InventoryOrder, ask_now
from muster.operations.review_channels import review_channels
from muster.operations.views.devices import show_device
from muster.protocol.identifiers import ChannelId, Identifiers
from muster.storage import known_facts, push, reviews, schema


def has_version(site: Site, identifiers: Identifiers = MAC, version: str = "15.5") -> None:
    said = known_facts.Facts(product_name="Mac15,3", os_version=version)
    site.engine.write(lambda tx: known_facts.store_facts(tx, id_of(identifiers), said, site.now))


@pytest.fixture
def mac(site: Site) -> SignerIdentity:
    """A Mac of a known system, at a site that asks daily; nothing was asked yet."""
    site.runner.policy = Policy()
    identity = site.enroll()
    has_version(site)
    site.engine.write(lambda tx: push.drop_wishes(tx, [id_of(MAC)]))
    return identity


def review(site: Site) -> None:
    site.engine.write(lambda tx: reviews.schedule(tx, id_of(MAC), site.now))
    site.do(review_channels, None)


def waiting(site: Site, identifiers: Identifiers = MAC) -> list[str]:
    queue, commands = schema.queue, schema.commands
    select = sa.select(commands.c.request_type).join(queue, queue.c.command_uuid == commands.c.command_uuid)
    return sorted(one for (one,) in site.rows(select.where(queue.c.channel_id == id_of(identifiers))))


def answer_all(site: Site, identity: SignerIdentity) -> int:
    """Have the Mac refuse whatever waits, so that nothing is learned; returns how many that were."""
    uuids = site.queued()
    site.connect(identity)
    for uuid in uuids:
        site.connect(identity, MAC, "Error", uuid)
    return len(uuids)


def test_device_that_enrolled_is_asked_at_once(site: Site, mac: SignerIdentity) -> None:
    review(site)

    assert "SecurityInfo" in waiting(site)
    assert "Restrictions" not in waiting(site), "which Macs lack"
    queue = schema.queue.c
    assert set(site.rows(sa.select(queue.purpose, queue.rank))) == {(QueuePurpose.INVENTORY.value, -INVENTORY_PRIORITY)}
    assert site.wish() is not None


def test_device_is_asked_again_a_day_later_though_it_answered_errors(site: Site, mac: SignerIdentity) -> None:
    review(site)
    first = answer_all(site, mac)
    site.wait(minutes=5)
    review(site)
    soon = waiting(site)

    site.wait(days=1.5)
    site.connect(mac)
    review(site)

    assert soon == []
    assert 0 < len(waiting(site)) < first, "some kinds are asked weekly"


def test_next_review_is_when_the_next_question_is_due(site: Site, mac: SignerIdentity) -> None:
    review(site)
    answer_all(site, mac)

    for _ in range(4):  # those that judge it may come before it
        due_at = site.engine.read(reviews.next_due)
        assert due_at is not None
        site.wait(seconds=(due_at - site.now).total_seconds())
        site.do(review_channels, None)

    assert waiting(site) != []


def test_question_that_waits_is_not_asked_twice(site: Site, mac: SignerIdentity) -> None:
    review(site)
    before = waiting(site)
    site.wait(days=2)
    review(site)

    assert waiting(site) == before


def test_question_that_was_never_answered_is_given_up_and_asked_anew(site: Site, mac: SignerIdentity) -> None:
    review(site)
    site.connect(mac)
    before = site.queued()
    site.wait(seconds=2 * UNANSWERED_FOR.total_seconds())  # some kinds are asked weekly
    review(site)

    assert len(site.queued()) == len(before)
    assert len(set(before) - set(site.queued())) == 1, "the one that was handed out"


def test_silent_device_is_not_pushed_and_finds_the_questions_when_it_comes_back(
    site: Site, mac: SignerIdentity
) -> None:
    site.connect(mac)
    site.wait(seconds=SILENT_AFTER.total_seconds())
    review(site)
    asked = waiting(site)
    wish = site.wish()
    review(site)

    assert wish is None
    assert site.wish() is None, "nor is it pushed because something waits"
    assert asked != []
    assert answer_all(site, mac) == len(asked)


def test_device_in_setup_assistant_is_not_held_by_our_questions(site: Site) -> None:
    site.runner.policy = Policy()
    identity = site.identity()
    site.check_in(authenticate(), identity)
    site.check_in(token_update(awaiting_configuration=True), identity)
    has_version(site)
    review(site)
    assert waiting(site) == []

    site.wait(seconds=30)
    review(site)
    assert waiting(site) == ["DeviceConfigured"]

    (uuid,) = site.queued()
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", uuid)
    site.do(review_channels, None)
    assert "SecurityInfo" in waiting(site)


def test_device_of_unknown_system_is_asked_what_it_is_and_then_the_rest(site: Site) -> None:
    site.runner.policy = Policy()
    identity = site.enroll()
    review(site)
    assert waiting(site) == ["DeviceInformation"]

    (uuid,) = site.queued()
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", uuid, answer={"QueryResponses": {"OSVersion": "15.5"}})
    site.read_answers()
    site.do(review_channels, None)

    assert "SecurityInfo" in waiting(site)
    assert "DeviceInformation" not in waiting(site)


def test_new_life_is_asked_at_once(site: Site, mac: SignerIdentity) -> None:
    review(site)
    answer_all(site, mac)
    site.wait(minutes=10)
    site.enroll()
    has_version(site)
    review(site)

    assert waiting(site) != []


def test_questions_of_ours_are_no_commands_that_wait(site: Site, mac: SignerIdentity) -> None:
    review(site)
    site.queue("one")

    details = site.engine.read(lambda tx: show_device(tx, id_of(MAC), site.now))

    assert details is not None
    assert (details.device.commands_waiting, details.channels[0].commands_waiting) == (1, 1)


def test_same_question_to_many_is_one_command(site: Site, mac: SignerIdentity) -> None:
    site.enroll(IPAD)
    has_version(site, IPAD)
    site.engine.write(lambda tx: reviews.schedule(tx, id_of(IPAD), site.now))
    review(site)

    assert waiting(site) == waiting(site, IPAD)
    count = sa.select(sa.func.count()).select_from(schema.commands)
    assert site.rows(count) == [(len(waiting(site)),)]


def test_users_are_asked_for_what_is_theirs(site: Site, mac: SignerIdentity) -> None:
    site.check_in(token_update(ADA), mac)
    site.do(review_channels, None)

    assert waiting(site, ADA) == ["CertificateList", "ProfileList"]


def test_nobody_is_asked_where_that_is_switched_off(site: Site, mac: SignerIdentity) -> None:
    site.runner.policy = Policy(inventory_interval=timedelta(0))
    review(site)

    assert waiting(site) == []


def test_questions_of_ours_keep_no_push_going(site: Site, mac: SignerIdentity) -> None:
    site.connect(mac)
    review(site)
    site.engine.write(lambda tx: push.drop_wishes(tx, [id_of(MAC)]))
    site.wait(minutes=5)
    review(site)

    assert site.wish() is None


# at once


def test_somebody_asks_now(site: Site, mac: SignerIdentity) -> None:
    site.wait(days=30)
    (outcome,) = site.do(ask_now, InventoryOrder(id_of(MAC), (InventoryKind.SECURITY_INFO, InventoryKind.RESTRICTIONS)))

    assert outcome == AskedInventory(id_of(MAC), (InventoryKind.SECURITY_INFO,), (InventoryKind.RESTRICTIONS,))
    assert waiting(site) == ["SecurityInfo"]
    assert site.wish() is not None, "silent or not"
    acts = site.rows(sa.select(schema.audit.c.act, schema.audit.c.subject))
    assert ("inventory.ask", id_of(MAC)) in acts


def test_asking_twice_asks_once(site: Site, mac: SignerIdentity) -> None:
    for _ in range(2):
        site.do(ask_now, InventoryOrder(id_of(MAC)))

    assert len(waiting(site)) == len(set(waiting(site)))


def test_nobody_asks_who_is_not_there(site: Site) -> None:
    (outcome,) = site.do(ask_now, InventoryOrder(ChannelId("nobody")))

    assert isinstance(outcome, Refusal)
    assert outcome.code == "not_found"


def test_nobody_asks_who_is_still_enrolling(site: Site) -> None:
    site.check_in(authenticate(), site.identity())

    (outcome,) = site.do(ask_now, InventoryOrder(id_of(MAC)))

    assert isinstance(outcome, Refusal)
    assert outcome.code == "not_enrolled"
