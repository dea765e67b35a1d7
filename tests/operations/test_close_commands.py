"""Commands that come after others: out when those are acknowledged, closed when they fail."""

import pytest
import sqlalchemy as sa
from tests.operations.test_hand_out import handed, order, statuses
from tests.support.site import IPAD, MAC, Site, id_of

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.answer_connect import ConnectReply
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID
from muster.storage import schema

ONE, TWO, THREE = CommandUUID("one"), CommandUUID("two"), CommandUUID("three")
PROFILE = CommandRequest("RemoveProfile", {"Identifier": "org.example.wifi"})


def chain(site: Site) -> SignerIdentity:
    """A device for which `three` waits after `two` after `one`."""
    identity = site.enroll()
    order(site, "one", PROFILE)
    order(site, "two", CommandRequest("RemoveProfile", {"Identifier": "org.example.vpn"}), after=ONE, priority=50)
    order(site, "three", CommandRequest("SecurityInfo"), after=TWO, priority=99)
    return identity


def test_chain_goes_out_one_after_the_other_in_one_dialogue(site: Site) -> None:
    identity = chain(site)

    assert handed(site, identity) == "one"
    assert handed(site, identity) == "one"
    assert handed(site, identity, "Acknowledged", "one") == "two"
    assert handed(site, identity, "Acknowledged", "two") == "three"
    assert handed(site, identity, "Acknowledged", "three") is None


def test_what_waits_for_another_is_not_pushed_for(site: Site) -> None:
    site.enroll()
    order(site, "one", PROFILE)

    queued = order(site, "two", CommandRequest("SecurityInfo"), after=ONE)

    assert queued.may_go_out_on == ()
    assert statuses(site) == {"one": "waiting", "two": "after"}


@pytest.mark.parametrize("status", ["Error", "CommandFormatError"])
def test_failure_closes_all_that_comes_after_it(site: Site, status: str) -> None:
    identity = chain(site)
    handed(site, identity)

    assert handed(site, identity, status, "one") is None

    assert statuses(site) == {"one": status, "two": "dependency_failed", "three": "dependency_failed"}
    because = sa.select(schema.reports.c.command_uuid, schema.reports.c.because)
    assert dict(site.rows(because)) == {"one": None, "two": "one", "three": "two"}


def test_follower_of_whatever_comes_goes_out_after_a_failure(site: Site) -> None:
    identity = site.enroll()
    order(site, "one", PROFILE)
    order(site, "two", CommandRequest("SecurityInfo"), after=ONE, follows_any=True)
    handed(site, identity)

    assert handed(site, identity, "Error", "one") == "two"


def test_not_now_keeps_the_followers_waiting(site: Site) -> None:
    identity = chain(site)
    handed(site, identity)

    assert handed(site, identity, "NotNow", "one") is None
    assert handed(site, identity) == "one"


def test_same_answer_said_again_frees_and_closes_nothing_more(site: Site) -> None:
    identity = chain(site)
    handed(site, identity)
    assert handed(site, identity, "Acknowledged", "one") == "two"

    assert handed(site, identity, "Acknowledged", "one") == "two"

    assert site.reports() == [("one", "Acknowledged")]
    assert statuses(site)["three"] == "after"


def test_follower_of_what_was_acknowledged_waits_for_nothing(site: Site) -> None:
    identity = site.enroll()
    order(site, "one", PROFILE)
    handed(site, identity)
    handed(site, identity, "Acknowledged", "one")

    order(site, "two", CommandRequest("SecurityInfo"), after=ONE)

    assert handed(site, identity) == "two"


@pytest.mark.parametrize(("former", "code"), [("one", RefusalCode.FORMER_FAILED), ("unknown", RefusalCode.NOT_FOUND)])
def test_follower_of_what_failed_or_never_was_is_refused(site: Site, former: str, code: RefusalCode) -> None:
    identity = site.enroll()
    order(site, "one", PROFILE)
    handed(site, identity)
    handed(site, identity, "Error", "one")

    asked = CommandOrder((id_of(MAC),), CommandRequest("SecurityInfo"), after=CommandUUID(former), anyway=True)
    refusal = site.do(queue_commands, asked)[0]

    assert isinstance(refusal, Refusal)
    assert refusal.code is code


def test_in_bulk_each_channel_waits_for_its_own_former(site: Site) -> None:
    identities = {who: site.enroll(who) for who in (MAC, IPAD)}
    ids = tuple(id_of(who) for who in identities)
    site.do(queue_commands, CommandOrder(ids, PROFILE, command_uuid=ONE, anyway=True))
    handed(site, identities[IPAD], identifiers=IPAD)
    handed(site, identities[IPAD], "Acknowledged", "one", IPAD)

    asked = CommandOrder(ids, CommandRequest("SecurityInfo"), command_uuid=TWO, after=ONE, anyway=True)
    queued = site.do(queue_commands, asked)[0]

    assert isinstance(queued, QueuedCommand)
    assert queued.may_go_out_on == (id_of(IPAD),)
    assert handed(site, identities[IPAD], identifiers=IPAD) == "two"
    assert handed(site, identities[MAC]) == "one"


def test_closed_commands_answer_is_kept_as_late(site: Site) -> None:
    identity = chain(site)
    handed(site, identity)
    handed(site, identity, "Error", "one")

    reply = site.connect(identity, MAC, "Acknowledged", "two")

    assert isinstance(reply, ConnectReply)
    assert ("two", "Acknowledged") in site.reports()
    assert ("S5", "late_answer", 1) in site.evidence()
