"""Check-in messages: what a device says about its enrollment itself.

Sources: Apple, "Check-in" and the pages "Authenticate", "Token Update", "Check Out", "User Authenticate", "Set
Bootstrap Token", "Get Bootstrap Token", "Get Token", "Declarative Management", "Return To Service". Field names are
Apple's keys. The answers a server gives are in `checkin_replies`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from muster.protocol.errors import MalformedMessage, UnknownMessageType
from muster.protocol.fields import (
    optional_data,
    optional_dictionary,
    optional_flag,
    optional_text,
    present,
    required_data,
    required_text,
)
from muster.protocol.identifiers import Channel, Identifiers, identifier_keys, read_identifiers, resolve_channel
from muster.protocol.plist import MAX_PLIST_BYTES, PlistValue, read_plist, write_plist

MAX_TOKEN_BYTES: Final = 256
"""A push token has 32 bytes today; Apple says to expect up to 100."""

MAX_PUSH_MAGIC_CHARACTERS: Final = 256
"""A UUID today; Apple calls it opaque."""

MAX_TOPIC_CHARACTERS: Final = 255
"""com.apple.mgmt.External. and a UUID today."""

MAX_SECRET_BYTES: Final = 64 * 1024
"""Unlock tokens and bootstrap tokens have some kilobytes."""

MAX_DIGEST_RESPONSE_CHARACTERS: Final = 4096
"""The digest response of a directory user is an HTTP header in form."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """A device asks to be enrolled, for the first time or again. It cannot be pushed to before its TokenUpdate.

    Everything but the topic is None where the access rights, the platform or the kind of enrollment keep it back.
    """

    identifiers: Identifiers
    channel: Channel
    topic: str
    device_name: str | None = None
    model: str | None = None
    model_name: str | None = None
    product_name: str | None = None
    os_version: str | None = None
    build_version: str | None = None
    serial_number: str | None = None
    imei: str | None = None
    meid: str | None = None


@dataclass(frozen=True, slots=True)
class TokenUpdate:
    """What it takes to push to a channel.

    unlock_token: None = absent (or empty), which leaves the one received earlier in force.
    awaiting_configuration, not_on_console: None = absent, which is not False: keep what was known.
    auth_token: what we gave a directory user; None = absent.
    """

    identifiers: Identifiers
    channel: Channel
    topic: str
    token: bytes
    push_magic: str
    unlock_token: bytes | None = None
    awaiting_configuration: bool | None = None
    not_on_console: bool | None = None
    auth_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CheckOut:
    """A device's one attempt to say that its MDM profile was removed. topic: None = absent."""

    identifiers: Identifiers
    channel: Channel
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class UserAuthenticate:
    """A directory user logs in to a Mac. digest_response: None in the first step (absent or empty), the answer to our
    challenge in the second."""

    identifiers: Identifiers
    channel: Channel
    digest_response: str | None = None


@dataclass(frozen=True, slots=True)
class SetBootstrapToken:
    """A device hands over its bootstrap token. bootstrap_token: None or empty = delete the one stored."""

    identifiers: Identifiers
    channel: Channel
    bootstrap_token: bytes | None = None
    awaiting_configuration: bool | None = None


@dataclass(frozen=True, slots=True)
class GetBootstrapToken:
    """A device asks for the bootstrap token it handed over."""

    identifiers: Identifiers
    channel: Channel
    awaiting_configuration: bool | None = None


@dataclass(frozen=True, slots=True)
class TokenParameters:
    """What a phone tells when it asks for a watch's pairing token."""

    security_token: str | None = None
    phone_udid: str | None = None
    watch_udid: str | None = None


@dataclass(frozen=True, slots=True)
class GetToken:
    """A device asks for a token of the named service. The name is not checked: Apple adds services.

    auth_token: what we gave a directory user; None = absent.
    """

    identifiers: Identifiers
    channel: Channel
    token_service_type: str
    token_parameters: TokenParameters | None = None
    auth_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DeclarativeManagement:
    """A request of the declarative protocol. endpoint is a path such as `tokens`; data is JSON, not looked at here.

    auth_token: what we gave a directory user; None = absent.
    """

    identifiers: Identifiers
    channel: Channel
    endpoint: str
    data: bytes | None = None
    auth_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ReturnToService:
    """A device that is being erased asks how it shall come back."""

    identifiers: Identifiers
    channel: Channel


CheckinMessage: TypeAlias = (
    Authenticate
    | TokenUpdate
    | CheckOut
    | UserAuthenticate
    | SetBootstrapToken
    | GetBootstrapToken
    | GetToken
    | DeclarativeManagement
    | ReturnToService
)


def decode_checkin(body: bytes) -> CheckinMessage:
    """The message in the body of a check-in request. Keys which its class does not name are dropped.

    Says nothing about who sent it. Raises UnknownMessageType when MessageType is none of ours, and MalformedMessage
    when the body is no property list, when a required key is absent or empty, when a key has another type or is too
    long, and when a message of the device's channel comes from a user's, or the reverse.
    """
    keys = read_plist(body)
    message_type = required_text(keys, "MessageType", maximum=64)
    decode = _DECODERS.get(message_type)
    if decode is None:
        raise UnknownMessageType("MessageType is none of those known")
    identifiers = read_identifiers(keys)
    channel = resolve_channel(identifiers)
    if message_type in _DEVICE_ONLY and not channel.is_device:
        raise MalformedMessage(f"{message_type} does not come from a user's channel")
    if message_type == "UserAuthenticate" and channel.is_device:
        raise MalformedMessage("UserID is missing")
    return decode(identifiers, channel, keys)


def encode_checkin(message: CheckinMessage) -> bytes:
    """The body with which a device sends *message*; the reverse of `decode_checkin`. Fields that are None are left
    out."""
    keys: dict[str, PlistValue] = {"MessageType": type(message).__name__}
    return write_plist(keys | identifier_keys(message.identifiers) | present(_own_keys(message)))


def _decode_authenticate(identifiers: Identifiers, channel: Channel, keys: Mapping[str, PlistValue]) -> Authenticate:
    return Authenticate(
        identifiers,
        channel,
        topic=required_text(keys, "Topic", MAX_TOPIC_CHARACTERS),
        device_name=optional_text(keys, "DeviceName"),
        model=optional_text(keys, "Model"),
        model_name=optional_text(keys, "ModelName"),
        product_name=optional_text(keys, "ProductName"),
        os_version=optional_text(keys, "OSVersion"),
        build_version=optional_text(keys, "BuildVersion"),
        serial_number=optional_text(keys, "SerialNumber"),
        imei=optional_text(keys, "IMEI"),
        meid=optional_text(keys, "MEID"),
    )


def _decode_token_update(identifiers: Identifiers, channel: Channel, keys: Mapping[str, PlistValue]) -> TokenUpdate:
    return TokenUpdate(
        identifiers,
        channel,
        topic=required_text(keys, "Topic", MAX_TOPIC_CHARACTERS),
        token=required_data(keys, "Token", MAX_TOKEN_BYTES),
        push_magic=required_text(keys, "PushMagic", MAX_PUSH_MAGIC_CHARACTERS),
        unlock_token=optional_data(keys, "UnlockToken", MAX_SECRET_BYTES) or None,
        awaiting_configuration=optional_flag(keys, "AwaitingConfiguration"),
        not_on_console=optional_flag(keys, "NotOnConsole"),
        auth_token=_auth_token(keys),
    )


def _auth_token(keys: Mapping[str, PlistValue]) -> str | None:
    return optional_text(keys, "AuthToken", MAX_DIGEST_RESPONSE_CHARACTERS) or None


def _decode_check_out(identifiers: Identifiers, channel: Channel, keys: Mapping[str, PlistValue]) -> CheckOut:
    # Apple requires Topic here too, but a farewell that lacks it is still a farewell.
    return CheckOut(identifiers, channel, topic=optional_text(keys, "Topic", MAX_TOPIC_CHARACTERS))


def _decode_user_authenticate(
    identifiers: Identifiers, channel: Channel, keys: Mapping[str, PlistValue]
) -> UserAuthenticate:
    response = optional_text(keys, "DigestResponse", MAX_DIGEST_RESPONSE_CHARACTERS)
    return UserAuthenticate(identifiers, channel, digest_response=response or None)


def _decode_set_bootstrap_token(
    identifiers: Identifiers, channel: Channel, keys: Mapping[str, PlistValue]
) -> SetBootstrapToken:
    return SetBootstrapToken(
        identifiers,
        channel,
        bootstrap_token=optional_data(keys, "BootstrapToken", MAX_SECRET_BYTES),
        awaiting_configuration=optional_flag(keys, "AwaitingConfiguration"),
    )


def _decode_get_bootstrap_token(
    identifiers: Identifiers, channel: Channel, keys: Mapping[str, PlistValue]
) -> GetBootstrapToken:
    return GetBootstrapToken(identifiers, channel, awaiting_configuration=optional_flag(keys, "AwaitingConfiguration"))


def _decode_get_token(identifiers: Identifiers, channel: Channel, keys: Mapping[str, PlistValue]) -> GetToken:
    parameters = optional_dictionary(keys, "TokenParameters")
    return GetToken(
        identifiers,
        channel,
        token_service_type=required_text(keys, "TokenServiceType"),
        token_parameters=None if parameters is None else _decode_token_parameters(parameters),
        auth_token=_auth_token(keys),
    )


def _decode_token_parameters(keys: Mapping[str, PlistValue]) -> TokenParameters:
    return TokenParameters(
        security_token=optional_text(keys, "SecurityToken", MAX_SECRET_BYTES),
        phone_udid=optional_text(keys, "PhoneUDID"),
        watch_udid=optional_text(keys, "WatchUDID"),
    )


def _decode_declarative_management(
    identifiers: Identifiers, channel: Channel, keys: Mapping[str, PlistValue]
) -> DeclarativeManagement:
    return DeclarativeManagement(
        identifiers,
        channel,
        endpoint=required_text(keys, "Endpoint"),
        data=optional_data(keys, "Data", MAX_PLIST_BYTES),
        auth_token=_auth_token(keys),
    )


def _decode_return_to_service(
    identifiers: Identifiers, channel: Channel, _keys: Mapping[str, PlistValue]
) -> ReturnToService:
    return ReturnToService(identifiers, channel)


_DECODERS: Final[dict[str, Callable[[Identifiers, Channel, Mapping[str, PlistValue]], CheckinMessage]]] = {
    "Authenticate": _decode_authenticate,
    "TokenUpdate": _decode_token_update,
    "CheckOut": _decode_check_out,
    "UserAuthenticate": _decode_user_authenticate,
    "SetBootstrapToken": _decode_set_bootstrap_token,
    "GetBootstrapToken": _decode_get_bootstrap_token,
    "GetToken": _decode_get_token,
    "DeclarativeManagement": _decode_declarative_management,
    "ReturnToService": _decode_return_to_service,
}

_DEVICE_ONLY: Final = frozenset(
    {"Authenticate", "CheckOut", "SetBootstrapToken", "GetBootstrapToken", "ReturnToService"}
)


def _own_keys(message: CheckinMessage) -> dict[str, PlistValue | None]:
    match message:
        case Authenticate():
            return {
                "Topic": message.topic,
                "DeviceName": message.device_name,
                "Model": message.model,
                "ModelName": message.model_name,
                "ProductName": message.product_name,
                "OSVersion": message.os_version,
                "BuildVersion": message.build_version,
                "SerialNumber": message.serial_number,
                "IMEI": message.imei,
                "MEID": message.meid,
            }
        case TokenUpdate():
            return {
                "Topic": message.topic,
                "Token": message.token,
                "PushMagic": message.push_magic,
                "UnlockToken": message.unlock_token,
                "AwaitingConfiguration": message.awaiting_configuration,
                "NotOnConsole": message.not_on_console,
                "AuthToken": message.auth_token,
            }
        case CheckOut():
            return {"Topic": message.topic}
        case UserAuthenticate():
            return {"DigestResponse": message.digest_response}
        case SetBootstrapToken():
            return {
                "BootstrapToken": message.bootstrap_token,
                "AwaitingConfiguration": message.awaiting_configuration,
            }
        case GetBootstrapToken():
            return {"AwaitingConfiguration": message.awaiting_configuration}
        case GetToken():
            parameters = message.token_parameters
            return {
                "TokenServiceType": message.token_service_type,
                "TokenParameters": None if parameters is None else _token_parameter_keys(parameters),
                "AuthToken": message.auth_token,
            }
        case DeclarativeManagement():
            return {"Endpoint": message.endpoint, "Data": message.data, "AuthToken": message.auth_token}
        case ReturnToService():
            return {}
        case _:
            assert_never(message)


def _token_parameter_keys(parameters: TokenParameters) -> dict[str, PlistValue]:
    return present(
        {
            "SecurityToken": parameters.security_token,
            "PhoneUDID": parameters.phone_udid,
            "WatchUDID": parameters.watch_udid,
        }
    )
