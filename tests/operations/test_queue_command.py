"""An administrator's command: stored once, queued where it may go, pushed once."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import ADA, ADMINISTRATOR, IPAD, MAC, Site, authenticate, id_of, token_update

from muster.crypto.cms.signing import sign_attached
from muster.domain.command_findings import FindingCode
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.protocol.command import CommandRequest, decode_command
from muster.protocol.identifiers import ChannelId, CommandUUID, Identifiers
from muster.protocol.plist import write_plist
from muster.storage import schema

REQUEST = CommandRequest("InstalledApplicationList", {"ManagedAppsOnly": True})


def send(site: Site, *targets: Identifiers, command_uuid: str | None = None) -> QueuedCommand | Refusal:
    uuid = None if command_uuid is None else CommandUUID(command_uuid)
    return site.do(queue_commands, CommandOrder(tuple(map(id_of, targets)), REQUEST, command_uuid=uuid))[0]


def sent(outcome: QueuedCommand | Refusal) -> QueuedCommand:
    assert isinstance(outcome, QueuedCommand), outcome
    return outcome


def code(outcome: QueuedCommand | Refusal) -> RefusalCode:
    assert isinstance(outcome, Refusal)
    return outcome.code


def test_command_for_two_channels_is_stored_once_and_pushed_on_both(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    site.wait(minutes=5)

    queued = sent(send(site, MAC, IPAD))

    assert queued.queued_on == (id_of(MAC), id_of(IPAD))
    (row,) = site.rows(sa.select(schema.commands.c.command_uuid, schema.commands.c.body, schema.commands.c.created_by))
    assert (row[0], row[2]) == (queued.command_uuid, ADMINISTRATOR.name)
    assert decode_command(row[1]).keys == REQUEST.keys
    assert site.queued() == site.queued(IPAD) == [queued.command_uuid]
    assert site.wish(IPAD) is not None


def test_ten_commands_are_one_wish_a_moment_later(site: Site) -> None:
    identity = site.enroll()
    site.connect(identity)
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.push_wishes)))

    for number in range(10):
        site.queue(f"{number}")
        site.wait(milliseconds=10)

    assert site.wish() == ("command_queued", site.now + timedelta(seconds=1, milliseconds=-100), 0)
    assert len(site.queued()) == 10


def test_channel_named_twice_gets_the_command_once(site: Site) -> None:
    site.enroll()

    assert sent(send(site, MAC, MAC)).queued_on == (id_of(MAC),)
    assert len(site.queued()) == 1


def test_commands_wait_in_the_order_they_were_sent_but_for_priority(site: Site) -> None:
    site.enroll()
    for uuid, priority in (("first", 0), ("second", 0), ("urgent", 7), ("some day", -7)):
        site.queue(uuid, priority=priority)
        site.wait(microseconds=1)

    assert site.queued() == ["urgent", "first", "second", "some day"]


def test_channels_it_cannot_go_to_are_named_beside_those_it_can(site: Site) -> None:
    site.enroll()
    site.check_in(authenticate(IPAD), site.identity())

    queued = sent(send(site, MAC, IPAD, ADA))

    assert queued.queued_on == (id_of(MAC),)
    codes = {channel: refusal.code for channel, refusal in queued.refused.items()}
    assert codes == {id_of(IPAD): RefusalCode.NOT_ENROLLED, id_of(ADA): RefusalCode.NOT_FOUND}


def test_command_that_can_go_nowhere_is_not_stored(site: Site) -> None:
    site.check_in(authenticate(), site.identity())

    assert code(send(site, MAC)) is RefusalCode.NOT_ENROLLED
    assert site.rows(sa.select(schema.commands)) == []
    assert site.rows(sa.select(schema.audit)) == []


def test_uuid_that_is_taken_is_a_conflict(site: Site) -> None:
    site.enroll()
    sent(send(site, MAC, command_uuid="mine"))

    assert code(send(site, MAC, command_uuid="mine")) is RefusalCode.CONFLICT
    assert site.queued() == ["mine"]


def test_each_order_is_one_act_of_the_audit_log(site: Site) -> None:
    site.enroll()
    site.check_in(token_update(ADA), site.enroll())

    send(site, MAC)
    send(site, MAC, ADA)

    columns = schema.audit.c
    acts = site.rows(sa.select(columns.actor_name, columns.act, columns.subject).order_by(columns.sequence))
    assert acts == [("ana", "command.queue", id_of(MAC)), ("ana", "command.queue", "2 channels")]


def test_command_belongs_to_the_epoch_it_was_sent_in(site: Site) -> None:
    site.enroll()
    site.enroll()

    send(site, MAC)

    assert site.rows(sa.select(schema.queue.c.epoch)) == [(2,)]


# --- what is held against it ------------------------------------------------------------------------------------------


def order(site: Site, request: CommandRequest, *targets: Identifiers, anyway: bool = False) -> QueuedCommand | Refusal:
    return site.do(queue_commands, CommandOrder(tuple(map(id_of, targets)), request, anyway=anyway))[0]


def with_user(site: Site) -> None:
    site.check_in(token_update(ADA), site.enroll())


@pytest.mark.parametrize("anyway", [False, True])
def test_wrong_form_refuses_the_whole_order_and_stores_nothing(site: Site, anyway: bool) -> None:
    with_user(site)

    outcome = order(site, CommandRequest("DeviceInformation"), MAC, ADA, anyway=anyway)

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.COMMAND_MALFORMED
    assert outcome.message.splitlines() == [
        "DeviceInformation can't be sent as it is",
        "Queries is missing, without which the device answers with an error; give an array",
    ]
    assert site.queued() == site.queued(ADA) == []
    assert site.rows(sa.select(schema.commands)) == []


def test_channel_whose_device_would_refuse_it_is_left_out_with_the_reason(site: Site) -> None:
    with_user(site)

    queued = sent(order(site, CommandRequest("UserList"), MAC, ADA))

    assert queued.queued_on == (id_of(MAC),)
    assert queued.refused[id_of(ADA)].code is RefusalCode.COMMAND_UNFIT
    assert "is for the device's channel" in queued.refused[id_of(ADA)].message
    assert [finding.code for finding in queued.findings[id_of(ADA)]] == [FindingCode.WRONG_CHANNEL]
    assert site.queued(ADA) == []


def test_order_that_fits_no_channel_is_refused(site: Site) -> None:
    with_user(site)

    assert code(order(site, CommandRequest("UserList"), ADA)) is RefusalCode.COMMAND_UNFIT
    assert site.rows(sa.select(schema.commands)) == []


def test_who_insists_has_it_queued_and_the_audit_log_says_what_was_overruled(site: Site) -> None:
    with_user(site)

    queued = sent(order(site, CommandRequest("UserList"), MAC, ADA, anyway=True))

    assert queued.queued_on == (id_of(MAC), id_of(ADA))
    assert site.queued(ADA) == [queued.command_uuid]
    ((detail,),) = site.rows(sa.select(schema.audit.c.detail))
    assert detail["overruled"] == "wrong_channel"


def test_question_that_a_device_cannot_answer_is_queued_and_told(site: Site) -> None:
    site.enroll()

    queued = sent(order(site, CommandRequest("DeviceInformation", {"Queries": ["UDID", "IMEI"]}), MAC))

    assert queued.queued_on == (id_of(MAC),)
    assert [finding.key_path for finding in queued.findings[id_of(MAC)]] == ["Queries[1]"]


def test_command_that_the_catalogue_does_not_know_is_for_who_insists(site: Site) -> None:
    site.enroll()
    request = CommandRequest("NewCommand", {"Anything": [1]})

    assert code(order(site, request, MAC)) is RefusalCode.COMMAND_UNFIT
    assert sent(order(site, request, MAC, anyway=True)).queued_on == (id_of(MAC),)


@pytest.mark.parametrize("is_signed", [False, True])
def test_profile_that_enrolls_is_refused_whoever_insists(site: Site, is_signed: bool) -> None:
    identity = site.enroll()
    profile = write_plist({"PayloadType": "Configuration", "PayloadContent": [{"PayloadType": "com.apple.mdm"}]})
    payload = sign_attached(profile, identity) if is_signed else profile

    outcome = order(site, CommandRequest("InstallProfile", {"Payload": payload}), MAC, anyway=True)

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.COMMAND_MALFORMED
    assert "com.apple.mdm" in outcome.message
    assert site.queued() == []


def test_unknown_channel_is_not_found(site: Site) -> None:
    unknown = CommandOrder((ChannelId("nobody"),), REQUEST)

    assert code(site.do(queue_commands, unknown)[0]) is RefusalCode.NOT_FOUND


@pytest.mark.parametrize("text", ["a\x01b", "a\x0b", "a\ud800b"])
def test_text_that_no_property_list_says_is_refused(site: Site, text: str) -> None:
    site.enroll()
    for request in (CommandRequest("DeviceLock", {"Message": text}), CommandRequest("Settings", {text: 1})):
        order = CommandOrder((id_of(MAC),), request, anyway=True)

        assert code(site.do(queue_commands, order)[0]) is RefusalCode.COMMAND_MALFORMED
    assert site.queued() == []
