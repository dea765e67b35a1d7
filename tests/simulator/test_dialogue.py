"""On the command channel a simulated device does what the protocol promises of devices."""

import json

import pytest
from tests.simulator.play import Play, play

from muster.protocol.command import encode_command
from muster.protocol.connect import ErrorItem, Status
from muster.protocol.plist import write_plist
from muster.simulator.facts import Platform, User
from muster.simulator.session import SessionEnd

OTHER_PROFILE = write_plist(
    {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": "org.example.wifi",
        "PayloadUUID": "W",
        "PayloadDisplayName": "Wi-Fi",
        "PayloadContent": [
            {"PayloadType": "com.apple.wifi.managed", "PayloadVersion": 1, "PayloadIdentifier": "w", "PayloadUUID": "V"}
        ],
    }
)


def test_an_idle_device_with_an_empty_queue_says_idle_once() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        session = await p.device.connect()

        assert session.end is SessionEnd.EMPTY
        assert session.answered == ()
        assert session.last_http_status == 200
        assert p.statuses() == ["Idle"]

    play(scene)


def test_a_queue_is_drained_in_one_session_each_report_asking_for_the_next() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        for request_type in ("SecurityInfo", "ProfileList", "CertificateList"):
            p.server.queue(p.line.channel.id, request_type)
        session = await p.device.connect()

        assert [answered.request_type for answered in session.answered] == [
            "SecurityInfo",
            "ProfileList",
            "CertificateList",
        ]
        assert p.statuses() == ["Idle", "Acknowledged", "Acknowledged", "Acknowledged"]

    play(scene)


@pytest.mark.parametrize(("status", "end"), [(503, SessionEnd.FAILED), (400, SessionEnd.FAILED)])
def test_a_result_whose_reply_failed_is_sent_again_before_anything_else(status: int, end: SessionEnd) -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        uuid = p.server.queue(p.line.channel.id, "SecurityInfo")
        p.server.script["/mdm"].append((200, "", _command(p)))
        p.server.script["/mdm"].append((status, "", b""))
        first = await p.device.connect()
        second = await p.device.connect()

        assert first.end is end
        assert second.end is SessionEnd.EMPTY
        assert p.statuses() == ["Acknowledged"]
        assert len(p.server.answers(uuid)) == 1

    play(scene)


def test_a_result_whose_connection_broke_is_sent_again_with_the_same_bytes() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.server.queue(p.line.channel.id, "SecurityInfo")
        p.server.script["/mdm"].append((200, "", _command(p)))
        p.server.script["/mdm"].append((0, "", b""))
        first = await p.device.connect()
        await p.device.connect()

        sent, again = [request["body"] for request in p.server.requests[-2:]]
        assert first.end is SessionEnd.CONNECTION_LOST
        assert sent == again

    play(scene)


def test_a_204_is_success_and_the_end() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.server.script["/mdm"].append((204, "", b""))

        assert (await p.device.connect()).end is SessionEnd.EMPTY

    play(scene)


def test_the_answer_to_erase_device_is_sent_once_whatever_becomes_of_it() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.server.queue(p.line.channel.id, "EraseDevice")
        p.server.script["/mdm"].append((200, "", _command(p)))
        p.server.script["/mdm"].append((503, "", b""))
        session = await p.device.connect()
        again = await p.device.connect()

        assert session.end is SessionEnd.ERASED
        assert again.end is SessionEnd.SILENT
        assert p.device.enrollment is None
        assert p.message_types() == ["Authenticate", "TokenUpdate"]

    play(scene)


def test_removing_the_enrollment_profile_is_acknowledged_then_checked_out() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        uuid = p.server.queue(p.line.channel.id, "RemoveProfile", Identifier="org.example.enrollment")
        session = await p.device.connect()

        assert session.end is SessionEnd.UNENROLLED
        assert p.server.answers(uuid)[0].head.status is Status.ACKNOWLEDGED
        assert p.message_types()[-1] == "CheckOut"

    play(scene)


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (401, "text/plain", b""),
        (403, "application/json", json.dumps({"code": "com.apple.unrecognized.device"}).encode()),
        (403, "application/xml", write_plist({"code": "com.apple.unrecognized.device"})),
    ],
)
def test_a_server_that_disowns_a_device_loses_it(status: int, content_type: str, body: bytes) -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        line = p.line
        p.server.script["/mdm"].append((status, content_type, body))
        session = await p.device.connect()

        assert session.end is SessionEnd.UNENROLLED
        assert p.device.enrollment is None
        assert p.device.contents.profiles == {}
        assert p.push(line) == "Unregistered"
        assert p.message_types() == ["Authenticate", "TokenUpdate"]

    play(scene)


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (403, "text/html", b"<html>"),
        (403, "application/json", b"[1]"),
        (403, "application/json", b"{"),
        (403, "application/json", b'{"code": "com.apple.softwareupdate.required"}'),
        (404, "", b""),
        (410, "", b""),
        (500, "", b""),
    ],
)
def test_no_other_refusal_makes_a_device_leave(status: int, content_type: str, body: bytes) -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.server.script["/mdm"].append((status, content_type, body))
        session = await p.device.connect()

        assert session.end is SessionEnd.FAILED
        assert session.last_http_status == status
        assert (await p.device.connect()).end is SessionEnd.EMPTY

    play(scene)


def test_410_on_a_users_channel_ends_that_channel_alone() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        user = next(iter(p.device.users))
        p.server.script["/mdm"].append((410, "", b""))
        session = await p.device.connect(user)

        assert session.end is SessionEnd.USER_NOT_MANAGED
        assert (await p.device.connect(user)).end is SessionEnd.SILENT
        assert (await p.device.connect()).end is SessionEnd.EMPTY

    play(scene, Platform.MAC)


def test_a_users_channel_has_its_own_queue() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        user = next(iter(p.device.users))
        assert p.device.enrollment is not None
        line = p.device.enrollment.user_lines[user]
        p.server.queue(line.channel.id, "DeviceInformation", Queries=["PushToken", "OSVersion"])
        await p.device.connect()
        assert p.statuses() == ["Idle"]
        await p.device.connect(user)

        report = p.server.reports[-1]
        assert report.head.channel == line.channel
        assert report.head.not_on_console is False
        assert report.answer["QueryResponses"] == {
            "PushToken": line.token,
            "OSVersion": p.device.facts.os_version,
        }

    play(scene, Platform.MAC)


def test_a_user_who_logged_out_is_silent_until_the_next_login() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        user = next(iter(p.device.users))
        p.device.log_out(user)
        assert (await p.device.connect(user)).end is SessionEnd.SILENT
        line = await p.device.log_in(user)

        assert line is not None
        assert (await p.device.connect(user)).end is SessionEnd.EMPTY
        assert len({m.channel.id for m in p.server.messages}) == 2

    play(scene, Platform.MAC)


def test_not_now_leaves_the_command_queued_and_the_next_session_answers_it() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        uuid = p.server.queue(p.line.channel.id, "InstallProfile", Payload=OTHER_PROFILE)
        p.device.behaviour.not_now_share = 1.0
        await p.device.connect()
        p.device.behaviour.not_now_share = 0.0
        await p.device.connect()

        assert [report.head.status for report in p.server.answers(uuid)] == [Status.NOT_NOW, Status.ACKNOWLEDGED]

    play(scene)


@pytest.mark.parametrize(
    ("platform", "request_type"),
    [(Platform.IPHONE, "ProfileList"), (Platform.IPHONE, "DeviceInformation"), (Platform.MAC, "UserList")],
)
def test_some_commands_are_never_answered_not_now(platform: Platform, request_type: str) -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.behaviour.not_now_share = 1.0
        p.server.queue(p.line.channel.id, request_type, Queries=["UDID"])
        await p.device.connect()

        assert p.statuses() == ["Idle", "Acknowledged"]

    play(scene, platform)


def test_a_command_can_be_made_to_fail() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.behaviour.failing["SecurityInfo"] = (ErrorItem(1, "Domain", "Broken"),)
        uuid = p.server.queue(p.line.channel.id, "SecurityInfo")
        await p.device.connect()

        report = p.server.answers(uuid)[0]
        assert report.head.status is Status.ERROR
        assert report.error_chain == (ErrorItem(1, "Domain", "Broken"),)

    play(scene)


def test_a_command_that_hangs_the_client_is_offered_again_and_never_answered() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.behaviour.unanswered.add("SecurityInfo")
        p.server.queue(p.line.channel.id, "SecurityInfo")
        ends = {(await p.device.connect()).end for _ in range(3)}

        assert ends == {SessionEnd.UNANSWERED}
        assert p.statuses() == ["Idle"] * 3

    play(scene)


@pytest.mark.parametrize(
    ("body", "command_uuid"),
    [
        (b"no property list", None),
        (write_plist({"CommandUUID": "7", "Command": {}}), "7"),
        (write_plist({}), None),
    ],
)
def test_an_unreadable_command_is_a_command_format_error(body: bytes, command_uuid: str | None) -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.server.script["/mdm"].append((200, "", body))
        await p.device.connect()

        report = p.server.reports[-1]
        assert report.head.status is Status.COMMAND_FORMAT_ERROR
        assert report.head.command_uuid == command_uuid

    play(scene)


def test_a_server_whose_commands_never_end_is_given_up() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.server.queue(p.line.channel.id, "DeviceInformation", Queries=["UDID"])
        p.server.script["/mdm"].extend([(200, "", _command(p))] * 2000)

        assert (await p.device.connect()).end is SessionEnd.ENDLESS

    play(scene)


def test_a_command_takes_its_time() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.behaviour.seconds_per_command = 2.5
        p.server.queue(p.line.channel.id, "SecurityInfo")
        p.server.queue(p.line.channel.id, "ProfileList")
        began = p.loop.time()
        await p.device.connect()

        assert p.loop.time() - began == 5.0

    play(scene)


@pytest.mark.parametrize("is_off", [True, False])
def test_a_device_that_is_off_or_mute_sends_nothing(*, is_off: bool) -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        sent = len(p.server.requests)
        if is_off:
            p.device.power_off()
        p.device.behaviour.is_silent = not is_off
        session = await p.device.connect()
        await p.device.rotate_token()

        assert session.end is SessionEnd.SILENT
        assert len(p.server.requests) == sent
        assert p.line.owes_token_update

    play(scene)


def test_an_unenrolled_device_is_silent() -> None:
    async def scene(p: Play) -> None:
        assert (await p.device.connect()).end is SessionEnd.SILENT
        assert (await p.device.connect(User("G", "u", "U"))).end is SessionEnd.SILENT

    play(scene)


def test_shut_down_is_acknowledged_then_done() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.server.queue(p.line.channel.id, "ShutDownDevice")
        session = await p.device.connect()

        assert session.end is SessionEnd.RESTARTED
        assert p.statuses() == ["Idle", "Acknowledged"]
        assert not p.device.is_powered

    play(scene)


def test_a_profile_is_installed_listed_replaced_and_removed() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        channel = p.line.channel.id
        p.server.queue(channel, "InstallProfile", Payload=OTHER_PROFILE)
        p.server.queue(channel, "InstallProfile", Payload=OTHER_PROFILE)
        listed = p.server.queue(channel, "ProfileList")
        p.server.queue(channel, "RemoveProfile", Identifier="org.example.wifi")
        gone = p.server.queue(channel, "RemoveProfile", Identifier="org.example.wifi")
        await p.device.connect()

        profiles = p.server.answers(listed)[0].answer["ProfileList"]
        assert isinstance(profiles, list)
        assert [entry["PayloadIdentifier"] for entry in profiles if isinstance(entry, dict)] == [
            "org.example.enrollment",
            "org.example.wifi",
        ]
        assert p.server.answers(gone)[0].error_chain[0].error_code == 12013

    play(scene)


def _command(p: Play) -> bytes:
    """What the queue's head looks like on the wire, for scripts that bypass the queue."""
    return encode_command(p.server.queues[p.line.channel.id][0])
