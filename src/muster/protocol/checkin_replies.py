"""What a server answers to the check-in messages that ask for something; the others are answered by an empty 200.

Declarative management answers in JSON and is not here. Sources: the pages named in `checkin`, sections "Response".
"""

from dataclasses import dataclass

from muster.protocol.checkin import MAX_DIGEST_RESPONSE_CHARACTERS, MAX_SECRET_BYTES
from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import (
    optional_data,
    optional_dictionary,
    optional_flag,
    optional_text,
    present,
    required_data,
)
from muster.protocol.plist import MAX_PLIST_BYTES, read_plist, write_plist


@dataclass(frozen=True, slots=True)
class UserAuthenticateReply:
    """One of the two is set. An empty digest_challenge asks for no password; an empty auth_token refuses the user."""

    digest_challenge: str | None = None
    auth_token: str | None = None


@dataclass(frozen=True, slots=True)
class ReturnToServiceReply:
    """How a device shall come back after it was erased. Keys that are None are left to the device."""

    enabled: bool
    wifi_profile_data: bytes | None = None
    mdm_profile_data: bytes | None = None
    bootstrap_token: bytes | None = None
    should_retry_enrollment: bool | None = None
    preserve_data_plan: bool | None = None


def user_authenticate_reply(reply: UserAuthenticateReply) -> bytes:
    """The answer to one step of UserAuthenticate. To refuse the user altogether, answer 410 instead."""
    return write_plist(present({"DigestChallenge": reply.digest_challenge, "AuthToken": reply.auth_token}))


def read_user_authenticate_reply(body: bytes) -> UserAuthenticateReply:
    """The reverse of `user_authenticate_reply`; an empty body is a reply without keys. Raises MalformedMessage."""
    keys = read_plist(body) if body else {}
    return UserAuthenticateReply(
        digest_challenge=optional_text(keys, "DigestChallenge", MAX_DIGEST_RESPONSE_CHARACTERS),
        auth_token=optional_text(keys, "AuthToken", MAX_DIGEST_RESPONSE_CHARACTERS),
    )


def bootstrap_token_reply(bootstrap_token: bytes | None) -> bytes:
    """The answer to GetBootstrapToken; None = none is stored."""
    return write_plist(present({"BootstrapToken": bootstrap_token}))


def read_bootstrap_token_reply(body: bytes) -> bytes | None:
    """The reverse of `bootstrap_token_reply`. None = the server has none, said in any of three ways: an empty body,
    no key,
    or no bytes. Raises MalformedMessage."""
    keys = read_plist(body) if body else {}
    return optional_data(keys, "BootstrapToken", MAX_SECRET_BYTES) or None


def token_reply(token_data: bytes) -> bytes:
    """The answer to GetToken. A service that is unknown is answered 400 instead."""
    return write_plist({"TokenData": token_data})


def read_token_reply(body: bytes) -> bytes:
    """The reverse of `token_reply`. Raises MalformedMessage."""
    return required_data(read_plist(body), "TokenData", MAX_SECRET_BYTES)


def return_to_service_reply(reply: ReturnToServiceReply) -> bytes:
    """The answer to ReturnToService."""
    configuration = present(
        {
            "Enabled": reply.enabled,
            "WiFiProfileData": reply.wifi_profile_data,
            "MDMProfileData": reply.mdm_profile_data,
            "BootstrapToken": reply.bootstrap_token,
            "ShouldRetryEnrollment": reply.should_retry_enrollment,
        }
    )
    return write_plist(present({"ReturnToService": configuration, "PreserveDataPlan": reply.preserve_data_plan}))


def read_return_to_service_reply(body: bytes) -> ReturnToServiceReply:
    """The reverse of `return_to_service_reply`. Raises MalformedMessage, also when ReturnToService or Enabled is
    absent."""
    keys = read_plist(body)
    configuration = optional_dictionary(keys, "ReturnToService")
    if configuration is None:
        raise MalformedMessage("ReturnToService is missing")
    enabled = optional_flag(configuration, "Enabled")
    if enabled is None:
        raise MalformedMessage("Enabled is missing")
    return ReturnToServiceReply(
        enabled=enabled,
        wifi_profile_data=optional_data(configuration, "WiFiProfileData", MAX_PLIST_BYTES),
        mdm_profile_data=optional_data(configuration, "MDMProfileData", MAX_PLIST_BYTES),
        bootstrap_token=optional_data(configuration, "BootstrapToken", MAX_SECRET_BYTES),
        should_retry_enrollment=optional_flag(configuration, "ShouldRetryEnrollment"),
        preserve_data_plan=optional_flag(keys, "PreserveDataPlan"),
    )
