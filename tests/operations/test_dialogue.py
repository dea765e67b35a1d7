"""Whole dialogues over several commands: a device answers each until nothing is handed out."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from tests.support.site import MAC, NOT_AFTER, SOURCE, Site, head, id_of, print_of

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import DEVICE
from muster.operations.answer_connect import ConnectReply, ConnectRequest, answer_connects
from muster.protocol.identifiers import ChannelId
from muster.storage import queues, schema

LONGEST = 20
"""Commands after which a dialogue counts as endless."""


def talk(site: Site, identity: SignerIdentity, answer: Callable[[str], str]) -> list[str]:
    """Connect, answer each command with the status that *answer* names, and return the commands in order."""
    handed: list[str] = []
    status, uuid = "Idle", None
    while len(handed) < LONGEST:
        outcome = site.connect(identity, status=status, command_uuid=uuid)
        assert isinstance(outcome, ConnectReply), outcome
        if outcome.command_uuid is None:
            return handed
        uuid = outcome.command_uuid
        status = answer(uuid)
        handed.append(uuid)
    raise AssertionError(f"the dialogue does not end: {handed}")


def obey(uuid: str) -> str:
    return "Acknowledged"


def decline(uuid: str) -> str:
    return "NotNow"


def queue(site: Site, *uuids: str, request_type: str = "DeviceInformation") -> None:
    for uuid in uuids:
        site.queue(uuid, request_type=request_type)
        site.wait(seconds=1)


def test_every_command_is_handed_out_once_in_order_and_answered(site: Site) -> None:
    identity = site.enroll()
    queue(site, "a", "b", "c")

    handed = talk(site, identity, lambda uuid: "Error" if uuid == "b" else "Acknowledged")

    assert handed == ["a", "b", "c"]
    assert site.queued() == []


def test_device_that_declines_everything_is_offered_each_once(site: Site) -> None:
    identity = site.enroll()
    queue(site, "a", "b", "c")

    first = talk(site, identity, decline)
    second = talk(site, identity, decline)

    assert first == ["a", "b", "c"]
    assert second == ["a"]
    assert site.queued() == ["a", "b", "c"]


def test_what_was_declined_is_offered_again_after_an_answer_and_the_dialogue_ends(site: Site) -> None:
    identity = site.enroll()
    queue(site, "a", "b", "c", "d")

    handed = talk(site, identity, lambda uuid: "NotNow" if uuid in "ac" else "Acknowledged")

    assert handed == ["a", "b", "a", "c", "d", "a"]
    assert site.queued() == ["a", "c"]


def test_declined_commands_are_all_answered_in_the_end(site: Site) -> None:
    identity = site.enroll()
    queue(site, "a", "b", "c")
    talk(site, identity, decline)

    handed = talk(site, identity, obey)

    assert handed == ["a", "b", "c"]
    assert site.queued() == []


@pytest.mark.parametrize("status", ["Thinking", "Idle"])
def test_command_that_is_never_answered_does_not_hide_the_next(site: Site, status: str) -> None:
    identity = site.enroll()
    queue(site, "a", "b")
    site.connect(identity)

    outcome = site.connect(identity, status=status, command_uuid="a")

    assert isinstance(outcome, ConnectReply)
    assert outcome.command_uuid == ("a" if status == "Idle" else "b")
    assert site.queued() == ["a", "b"]


@pytest.mark.parametrize("status", ["CommandFormatError", "Error", "Acknowledged", "NotNow", "Thinking"])
def test_report_that_names_no_command_ends_the_dialogue(site: Site, status: str) -> None:
    identity = site.enroll()
    queue(site, "a", "b")
    site.connect(identity)

    outcome = site.connect(identity, status=status)

    assert outcome == ConnectReply()
    assert site.queued() == ["a", "b"]


@pytest.mark.parametrize("request_type", ["EraseDevice", "DeviceLock", "RestartDevice", "ShutDownDevice"])
def test_command_that_acts_at_once_is_not_handed_out_again_in_any_later_dialogue(site: Site, request_type: str) -> None:
    identity = site.enroll()
    queue(site, "act", request_type=request_type)
    queue(site, "ask")

    site.connect(identity)
    handed = talk(site, identity, obey)

    assert handed == ["ask"]
    assert site.queued() == ["act"]
    assert site.engine.read(lambda tx: queues.waiting_counts(tx, [ChannelId(id_of(MAC))])) == {}


def test_command_that_acts_at_once_and_was_declined_is_offered_again(site: Site) -> None:
    identity = site.enroll()
    queue(site, "restart", request_type="RestartDevice")

    declined = talk(site, identity, decline)
    handed = talk(site, identity, obey)

    assert (declined, handed) == (["restart"], ["restart"])
    assert site.reports() == [("restart", "Acknowledged")]


def test_what_the_device_said_is_kept_byte_for_byte(site: Site) -> None:
    identity = site.enroll()
    queue(site, "a")
    body = b"\x00not even\xff a property list"

    site.do(
        answer_connects,
        ConnectRequest(head(MAC, "Acknowledged", "a"), print_of(identity), body, SOURCE, NOT_AFTER),
        actor=DEVICE,
    )

    assert site.rows(sa.select(schema.reports.c.body)) == [(body,)]


def test_proof_that_is_processed_belatedly_does_not_move_the_last_one_back(site: Site) -> None:
    identity = site.enroll()
    queue(site, "a", "b")
    earlier = site.now
    site.wait(minutes=10)
    talk(site, identity, lambda uuid: "Acknowledged" if uuid == "a" else "NotNow")
    proved_at = site.now
    site.runner.time = earlier

    site.connect(identity, status="Acknowledged", command_uuid="b")

    columns = schema.channels.c
    assert site.rows(sa.select(columns.last_contact_at, columns.last_proof_at)) == [(proved_at, proved_at)]
