"""Check-in messages beside those which tests/wire proves: malformed neighbours, limits, and noise."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.protocol.checkin import (
    Authenticate,
    CheckOut,
    DeclarativeManagement,
    GetToken,
    SetBootstrapToken,
    TokenUpdate,
    decode_checkin,
    encode_checkin,
)
from muster.protocol.errors import MalformedMessage, UnknownMessageType
from muster.protocol.identifiers import Identifiers, resolve_channel
from muster.protocol.plist import PlistValue, write_plist

UDID: Final = "00008030-001C2D8A3E90802E"
MESSAGES: Final[dict[str, dict[str, PlistValue]]] = {
    "Authenticate": {"Topic": "com.apple.mgmt.x"},
    "TokenUpdate": {"Topic": "com.apple.mgmt.x", "Token": b"t" * 32, "PushMagic": "magic"},
    "CheckOut": {"Topic": "com.apple.mgmt.x"},
    "UserAuthenticate": {"UserID": "U"},
    "SetBootstrapToken": {"BootstrapToken": b"b"},
    "GetBootstrapToken": {},
    "GetToken": {"TokenServiceType": "com.apple.maid"},
    "DeclarativeManagement": {"Endpoint": "tokens"},
    "ReturnToService": {},
}


def body(message_type: str, **changes: PlistValue | None) -> bytes:
    """A valid message, with these keys changed; None takes a key away."""
    keys: dict[str, PlistValue | None] = {
        "MessageType": message_type,
        "UDID": UDID,
        **MESSAGES[message_type],
        **changes,
    }
    return write_plist({key: value for key, value in keys.items() if value is not None})


@pytest.mark.parametrize("message_type", MESSAGES)
def test_least_message_is_read_and_written_again(message_type: str) -> None:
    message = decode_checkin(body(message_type))

    assert type(message).__name__ == message_type
    assert decode_checkin(encode_checkin(message)) == message


@pytest.mark.parametrize(
    ("message_type", "key"),
    [
        *((message_type, key) for message_type in MESSAGES for key in ("MessageType", "UDID")),
        ("Authenticate", "Topic"),
        ("TokenUpdate", "Topic"),
        ("TokenUpdate", "Token"),
        ("TokenUpdate", "PushMagic"),
        ("UserAuthenticate", "UserID"),
        ("GetToken", "TokenServiceType"),
        ("DeclarativeManagement", "Endpoint"),
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_required_key_is_there_and_not_empty(message_type: str, key: str, empty: bool) -> None:
    nothing = (b"" if key == "Token" else "") if empty else None

    with pytest.raises(MalformedMessage, match=key):
        decode_checkin(body(message_type, **{key: nothing}))


@pytest.mark.parametrize(
    ("message_type", "key"),
    [
        *(
            ("Authenticate", key)
            for key in (
                "Topic",
                "DeviceName",
                "Model",
                "ModelName",
                "ProductName",
                "OSVersion",
                "BuildVersion",
                "SerialNumber",
                "IMEI",
                "MEID",
            )
        ),
        *(
            ("TokenUpdate", key)
            for key in ("Topic", "Token", "PushMagic", "UnlockToken", "AwaitingConfiguration", "NotOnConsole")
        ),
        ("CheckOut", "Topic"),
        ("UserAuthenticate", "DigestResponse"),
        ("SetBootstrapToken", "BootstrapToken"),
        ("SetBootstrapToken", "AwaitingConfiguration"),
        ("GetBootstrapToken", "AwaitingConfiguration"),
        ("GetToken", "TokenServiceType"),
        ("GetToken", "TokenParameters"),
        ("DeclarativeManagement", "Endpoint"),
        ("DeclarativeManagement", "Data"),
    ],
)
def test_key_of_another_type_is_refused(message_type: str, key: str) -> None:
    with pytest.raises(MalformedMessage, match=f"{key} is not"):
        decode_checkin(body(message_type, **{key: 7}))


@pytest.mark.parametrize(
    ("message_type", "key", "unit", "limit"),
    [
        ("Authenticate", "Topic", "t", 255),
        ("Authenticate", "SerialNumber", "s", 1024),
        ("TokenUpdate", "Token", b"t", 256),
        ("TokenUpdate", "PushMagic", "m", 256),
        ("TokenUpdate", "UnlockToken", b"u", 65536),
        ("SetBootstrapToken", "BootstrapToken", b"b", 65536),
        ("UserAuthenticate", "DigestResponse", "d", 4096),
        ("DeclarativeManagement", "Endpoint", "e", 1024),
    ],
)
def test_value_one_too_long_is_refused(message_type: str, key: str, unit: str | bytes, limit: int) -> None:
    decode_checkin(body(message_type, **{key: unit * limit}))
    with pytest.raises(MalformedMessage, match=f"{key} is longer than {limit}"):
        decode_checkin(body(message_type, **{key: unit * (limit + 1)}))


@pytest.mark.parametrize("message_type", ["Withdraw", "authenticate", "Authenticate "])
def test_message_type_that_is_none_of_ours_is_named_so(message_type: str) -> None:
    with pytest.raises(UnknownMessageType):
        decode_checkin(write_plist({"MessageType": message_type, "UDID": UDID}))


@pytest.mark.parametrize(
    "message_type", ["Authenticate", "CheckOut", "SetBootstrapToken", "GetBootstrapToken", "ReturnToService"]
)
def test_message_of_the_device_does_not_come_from_a_user(message_type: str) -> None:
    with pytest.raises(MalformedMessage, match="user's channel"):
        decode_checkin(body(message_type, UserID="U"))


def test_absent_flags_are_not_false() -> None:
    message = decode_checkin(body("TokenUpdate"))

    assert isinstance(message, TokenUpdate)
    assert message.awaiting_configuration is None
    assert message.not_on_console is None


@pytest.mark.parametrize("unlock_token", [None, b""])
def test_absent_or_empty_unlock_token_is_none(unlock_token: bytes | None) -> None:
    message = decode_checkin(body("TokenUpdate", UnlockToken=unlock_token))

    assert isinstance(message, TokenUpdate)
    assert message.unlock_token is None


@pytest.mark.parametrize("bootstrap_token", [None, b"", b"token"])
def test_bootstrap_token_is_kept_as_sent(bootstrap_token: bytes | None) -> None:
    message = decode_checkin(body("SetBootstrapToken", BootstrapToken=bootstrap_token))

    assert isinstance(message, SetBootstrapToken)
    assert message.bootstrap_token == bootstrap_token


def test_check_out_without_topic_is_a_check_out() -> None:
    assert isinstance(decode_checkin(body("CheckOut", Topic=None)), CheckOut)


def test_unknown_keys_are_dropped() -> None:
    assert decode_checkin(body("Authenticate", Challenge=b"c")) == decode_checkin(body("Authenticate"))


def test_errors_do_not_quote_values() -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_checkin(body("TokenUpdate", PushMagic="secret" * 100))

    assert "secret" not in str(caught.value)


TEXT = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
DATA = st.binary(min_size=1, max_size=40)
DEVICES = st.builds(lambda udid: Identifiers(udid=udid), TEXT.filter(lambda text: ":" not in text))


@settings(max_examples=50)
@given(DEVICES, TEXT, TEXT | st.none(), DATA, DATA | st.none(), st.booleans() | st.none())
def test_any_message_is_read_as_it_was_written(
    identifiers: Identifiers, text: str, maybe: str | None, data: bytes, maybe_data: bytes | None, flag: bool | None
) -> None:
    channel = resolve_channel(identifiers)
    for message in (
        Authenticate(identifiers, channel, text, device_name=maybe, imei=maybe, serial_number=text),
        TokenUpdate(identifiers, channel, text, data, text, maybe_data, flag, flag),
        SetBootstrapToken(identifiers, channel, maybe_data, flag),
        GetToken(identifiers, channel, text),
        DeclarativeManagement(identifiers, channel, text, maybe_data),
    ):
        assert decode_checkin(encode_checkin(message)) == message


ANY_VALUE: st.SearchStrategy[PlistValue] = st.one_of(
    st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), max_size=10),
    st.integers(-(2**63), 2**64 - 1),
    st.booleans(),
    st.binary(max_size=10),
    st.just([]),
    st.just({}),
)
KEYS = sorted(
    {"UDID", "EnrollmentID", "UserID", "UserShortName", "UnlockToken", "AwaitingConfiguration"}.union(
        *MESSAGES.values()
    )
)


@given(st.sampled_from(sorted(MESSAGES)), st.dictionaries(st.sampled_from(KEYS), ANY_VALUE, max_size=5))
def test_only_malformed_message_escapes(message_type: str, changes: dict[str, PlistValue]) -> None:
    try:
        message = decode_checkin(body(message_type, **changes))
    except MalformedMessage:
        return

    assert decode_checkin(encode_checkin(message)) == message
