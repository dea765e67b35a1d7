"""What the server answers to check-ins, and that a device reads it so."""

import pytest

from muster.protocol.checkin_replies import (
    ReturnToServiceReply,
    UserAuthenticateReply,
    bootstrap_token_reply,
    read_bootstrap_token_reply,
    read_return_to_service_reply,
    read_token_reply,
    read_user_authenticate_reply,
    return_to_service_reply,
    token_reply,
    user_authenticate_reply,
)
from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue, read_plist, write_plist


@pytest.mark.parametrize(
    ("reply", "keys"),
    [
        (UserAuthenticateReply(digest_challenge=""), {"DigestChallenge": ""}),
        (UserAuthenticateReply(digest_challenge="Digest nonce"), {"DigestChallenge": "Digest nonce"}),
        (UserAuthenticateReply(auth_token="t"), {"AuthToken": "t"}),
        (UserAuthenticateReply(), {}),
    ],
)
def test_user_authenticate_reply_has_apples_keys(reply: UserAuthenticateReply, keys: dict[str, PlistValue]) -> None:
    written = user_authenticate_reply(reply)

    assert read_plist(written) == keys
    assert read_user_authenticate_reply(written) == reply


def test_bootstrap_token_reply_has_apples_key() -> None:
    written = bootstrap_token_reply(b"token")

    assert read_plist(written) == {"BootstrapToken": b"token"}
    assert read_bootstrap_token_reply(written) == b"token"


@pytest.mark.parametrize("body", [b"", bootstrap_token_reply(None), bootstrap_token_reply(b"")])
def test_no_bootstrap_token_is_said_in_three_ways(body: bytes) -> None:
    assert read_bootstrap_token_reply(body) is None


def test_token_reply_has_apples_key() -> None:
    written = token_reply(b"jwt")

    assert read_plist(written) == {"TokenData": b"jwt"}
    assert read_token_reply(written) == b"jwt"


@pytest.mark.parametrize(
    ("reply", "keys"),
    [
        (ReturnToServiceReply(enabled=False), {"ReturnToService": {"Enabled": False}}),
        (
            ReturnToServiceReply(True, b"wifi", b"mdm", b"token", True, False),
            {
                "ReturnToService": {
                    "Enabled": True,
                    "WiFiProfileData": b"wifi",
                    "MDMProfileData": b"mdm",
                    "BootstrapToken": b"token",
                    "ShouldRetryEnrollment": True,
                },
                "PreserveDataPlan": False,
            },
        ),
    ],
)
def test_return_to_service_reply_has_apples_keys(reply: ReturnToServiceReply, keys: dict[str, PlistValue]) -> None:
    written = return_to_service_reply(reply)

    assert read_plist(written) == keys
    assert read_return_to_service_reply(written) == reply


@pytest.mark.parametrize("keys", [{}, {"ReturnToService": True}, {"ReturnToService": {}}])
def test_return_to_service_reply_without_its_keys_is_refused(keys: dict[str, PlistValue]) -> None:
    with pytest.raises(MalformedMessage):
        read_return_to_service_reply(write_plist(keys))


@pytest.mark.parametrize("keys", [{}, {"TokenData": b""}, {"TokenData": "jwt"}])
def test_token_reply_without_its_data_is_refused(keys: dict[str, PlistValue]) -> None:
    with pytest.raises(MalformedMessage):
        read_token_reply(write_plist(keys))
