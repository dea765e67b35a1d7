"""Bodies as devices send them, beside the messages they mean: one table, run both ways.

The shapes are those of real devices (which keys come, in which company); the values are invented.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from muster.protocol.checkin import (
    Authenticate,
    CheckinMessage,
    CheckOut,
    DeclarativeManagement,
    GetBootstrapToken,
    GetToken,
    ReturnToService,
    SetBootstrapToken,
    TokenParameters,
    TokenUpdate,
    UserAuthenticate,
    decode_checkin,
    encode_checkin,
)
from muster.protocol.command import Command, decode_command, encode_command
from muster.protocol.connect import (
    ErrorItem,
    Report,
    ReportHead,
    Status,
    decode_report,
    encode_report,
    looks_like_checkin,
    read_report_head,
)
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, CommandUUID, DeviceId, Identifiers
from muster.protocol.plist import read_plist

HERE = Path(__file__).parent

TOPIC = "com.apple.mgmt.External.3b5e0a52-7c1d-4a0e-9a53-b0f6d2c18e47"
TOKEN = bytes(range(32))
COMMAND_UUID = CommandUUID("0d1f6c0a-5b9e-4f0d-8a6f-2f7d9f3b1c55")
MAC_UDID = "5A1F7D4C-93B0-5E0B-8D52-0C6A4E1B7F33"
IPAD_UDID = "00008030-001C2D8A3E90802E"
OLD_IPAD_UDID = "9f2c41d07be85a6634190ce2f5b8d7a01c3e6f94"
WATCH_UDID = "00008310-000D0A1E2B3C401E"
ENROLLMENT_ID = "R4T6Z8-enrollment-7Q"
USER_ID = "C0FFEE00-1111-4222-8333-444455556666"
ALL_F = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"


def channel(device_id: str, kind: ChannelKind, user: str | None = None) -> Channel:
    return Channel(ChannelId(device_id if user is None else f"{device_id}:{user}"), DeviceId(device_id), kind)


MAC = (Identifiers(udid=MAC_UDID), channel(MAC_UDID, ChannelKind.DEVICE))
IPAD = (Identifiers(udid=IPAD_UDID), channel(IPAD_UDID, ChannelKind.DEVICE))
MAC_USER = (
    Identifiers(udid=MAC_UDID, user_id=USER_ID, user_short_name="ada", user_long_name="Ada Example"),
    channel(MAC_UDID, ChannelKind.USER, USER_ID),
)
SHARED_IPAD_USER = (
    Identifiers(udid=IPAD_UDID, user_id=ALL_F, user_short_name="ada+ipad@school.example"),
    channel(IPAD_UDID, ChannelKind.SHARED_IPAD, "ada+ipad@school.example"),
)
USER_ENROLLMENT = (
    Identifiers(enrollment_id=ENROLLMENT_ID),
    channel(ENROLLMENT_ID, ChannelKind.USER_ENROLLMENT_DEVICE),
)
USER_ENROLLMENT_MAC_USER = (
    Identifiers(enrollment_id=ENROLLMENT_ID, enrollment_user_id="U5-user-1K", user_short_name="ada"),
    channel(ENROLLMENT_ID, ChannelKind.USER_ENROLLMENT_USER, "U5-user-1K"),
)

CHECKINS: dict[str, CheckinMessage] = {
    "authenticate_mac": Authenticate(
        *MAC,
        topic=TOPIC,
        device_name="Reception Mac",
        model="Mac15,12",
        model_name="MacBook Air",
        product_name="Mac15,12",
        os_version="15.2",
        build_version="24C101",
        serial_number="X02YZ1ZYZX",
    ),
    "authenticate_iphone_cellular": Authenticate(
        *IPAD,
        topic=TOPIC,
        product_name="iPhone17,1",
        os_version="18.2",
        build_version="22C152",
        serial_number="F17XXXXXXXXX",
        imei="35 000000 000000 1",
        meid="35000000000000",
    ),
    "authenticate_user_enrollment": Authenticate(
        *USER_ENROLLMENT, topic=TOPIC, product_name="iPhone17,1", os_version="18.2", build_version="22C152"
    ),
    "token_update_mac": TokenUpdate(
        *MAC,
        topic=TOPIC,
        token=TOKEN,
        push_magic="8C6E2F1A-3D5B-47F0-9E21-6A0B4C8D7E13",
        awaiting_configuration=False,
    ),
    "token_update_mac_user": TokenUpdate(
        *MAC_USER,
        topic=TOPIC,
        token=TOKEN,
        push_magic="11111111-3D5B-47F0-9E21-6A0B4C8D7E13",
        not_on_console=False,
    ),
    "token_update_ipad_awaiting": TokenUpdate(
        Identifiers(udid=OLD_IPAD_UDID),
        channel(OLD_IPAD_UDID, ChannelKind.DEVICE),
        topic=TOPIC,
        token=TOKEN,
        push_magic="8C6E2F1A-3D5B-47F0-9E21-6A0B4C8D7E13",
        unlock_token=b"unlock" * 50,
        awaiting_configuration=True,
    ),
    "token_update_shared_ipad_user": TokenUpdate(
        *SHARED_IPAD_USER,
        topic=TOPIC,
        token=TOKEN,
        push_magic="22222222-3D5B-47F0-9E21-6A0B4C8D7E13",
        awaiting_configuration=False,
    ),
    "token_update_user_enrollment_mac_user": TokenUpdate(
        *USER_ENROLLMENT_MAC_USER,
        topic=TOPIC,
        token=TOKEN,
        push_magic="33333333-3D5B-47F0-9E21-6A0B4C8D7E13",
        not_on_console=True,
    ),
    "check_out": CheckOut(*MAC, topic=TOPIC),
    "user_authenticate_first": UserAuthenticate(*MAC_USER),
    "user_authenticate_second": UserAuthenticate(
        *MAC_USER, digest_response='Digest username="ada",realm="muster",nonce="q",uri="/",response="00"'
    ),
    "set_bootstrap_token": SetBootstrapToken(*MAC, bootstrap_token=b"bootstrap" * 9, awaiting_configuration=False),
    "set_bootstrap_token_empty": SetBootstrapToken(*MAC, bootstrap_token=b""),
    "get_bootstrap_token": GetBootstrapToken(*MAC, awaiting_configuration=False),
    "get_token_maid": GetToken(*IPAD, token_service_type="com.apple.maid"),
    "get_token_watch": GetToken(
        *IPAD,
        token_service_type="com.apple.watch.pairing",
        token_parameters=TokenParameters(security_token="s3", phone_udid=IPAD_UDID, watch_udid=WATCH_UDID),
    ),
    "declarative_management_tokens": DeclarativeManagement(*IPAD, endpoint="tokens"),
    "declarative_management_status": DeclarativeManagement(
        *IPAD, endpoint="status", data=b'{"StatusItems":{},"Errors":[]}'
    ),
    "return_to_service": ReturnToService(*IPAD),
}

REPORTS = {
    "report_idle": Report(ReportHead(IPAD[1], IPAD[0], Status.IDLE, "Idle", None)),
    "report_idle_mac_user_login": Report(
        ReportHead(MAC_USER[1], MAC_USER[0], Status.IDLE, "Idle", None, not_on_console=False, needs_sync=True)
    ),
    "report_not_now": Report(ReportHead(IPAD[1], IPAD[0], Status.NOT_NOW, "NotNow", COMMAND_UUID)),
    "report_acknowledged_security_info": Report(
        ReportHead(MAC[1], MAC[0], Status.ACKNOWLEDGED, "Acknowledged", COMMAND_UUID),
        answer={
            "RequestType": "SecurityInfo",
            "SecurityInfo": {
                "FDE_Enabled": False,
                "FirewallSettings": {
                    "Applications": [{"Allowed": True, "Name": "example"}],
                    "BlockAllIncoming": False,
                },
                "HardwareEncryptionCaps": 3,
            },
        },
    ),
    "report_acknowledged_device_information": Report(
        ReportHead(IPAD[1], IPAD[0], Status.ACKNOWLEDGED, "Acknowledged", COMMAND_UUID),
        answer={
            "QueryResponses": {
                "AvailableDeviceCapacity": 15.468269348144531,
                "BluetoothMAC": "00:00:00:00:00:00",
                "DeviceName": "Zoë’s iPad 🍏",
                "LastCloudBackupDate": datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC),
                "Languages": ["en"],
                "ActiveManagedUsers": [],
                "SubscriberMCC": "",
            }
        },
    ),
    "report_error_chain": Report(
        ReportHead(IPAD[1], IPAD[0], Status.ERROR, "Error", COMMAND_UUID),
        error_chain=(
            ErrorItem(
                12021,
                "MCMDMErrorDomain",
                "„Nonsense“ ist keine gültige Anfrage.",
                "“Nonsense” is not a valid request type.",
            ),
            ErrorItem(2213, "DeviceManagement.error", "No update available."),
        ),
    ),
    "report_command_format_error": Report(
        ReportHead(IPAD[1], IPAD[0], Status.COMMAND_FORMAT_ERROR, "CommandFormatError", None)
    ),
    "report_undefined_status": Report(ReportHead(IPAD[1], IPAD[0], None, "Deferred", COMMAND_UUID)),
}

COMMANDS = {"command_profile_list": Command(COMMAND_UUID, "ProfileList", {"ManagedOnly": True})}

DROPPED = {"authenticate_mac": {"Challenge"}}
"""Keys in a file which its message does not keep."""


def body(name: str) -> bytes:
    return (HERE / f"{name}.plist").read_bytes()


@pytest.mark.parametrize("name", CHECKINS)
def test_checkin_body_means_its_message(name: str) -> None:
    assert decode_checkin(body(name)) == CHECKINS[name]


@pytest.mark.parametrize("name", CHECKINS)
def test_checkin_message_is_written_as_its_body(name: str) -> None:
    expected = read_plist(body(name))
    for key in DROPPED.get(name, set()):
        del expected[key]

    assert read_plist(encode_checkin(CHECKINS[name])) == expected


@pytest.mark.parametrize("name", REPORTS)
def test_report_body_means_its_report(name: str) -> None:
    assert decode_report(body(name)) == REPORTS[name]


@pytest.mark.parametrize("name", REPORTS)
def test_report_head_read_alone_is_that_of_the_whole_report(name: str) -> None:
    assert read_report_head(body(name)) == REPORTS[name].head


@pytest.mark.parametrize("name", REPORTS)
def test_report_is_written_as_its_body(name: str) -> None:
    assert read_plist(encode_report(REPORTS[name])) == read_plist(body(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_command_body_means_its_command_and_is_written_so(name: str) -> None:
    assert decode_command(body(name)) == COMMANDS[name]
    assert read_plist(encode_command(COMMANDS[name])) == read_plist(body(name))


@pytest.mark.parametrize("name", [*CHECKINS, *REPORTS])
def test_body_alone_tells_checkins_from_reports(name: str) -> None:
    assert looks_like_checkin(None, body(name)) is (name in CHECKINS)


def test_every_file_is_in_a_table() -> None:
    assert {path.stem for path in HERE.glob("*.plist")} == {*CHECKINS, *REPORTS, *COMMANDS}
