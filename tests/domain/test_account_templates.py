"""What templates may say, and what payloads become of them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from tools.account_payloads import table_module

from muster.domain.account_templates import (
    MAX_SETTINGS,
    AccountKind,
    AccountTemplate,
    Setting,
    add_credentials,
    check_payload,
    check_template,
    fill_template,
    parse_setting,
    payload_type_of,
)
from muster.domain.command_findings import CommandTarget
from muster.domain.errors import Refusal
from muster.protocol.os_family import OsFamily
from muster.protocol.plist import PlistValue

SCHEMA = "MUSTER_TEST_APPLE_SCHEMA"
TABLE = Path(__file__).parents[2] / "src" / "muster" / "protocol" / "catalogue" / "account_payload_table.py"

SETTINGS: dict[AccountKind, dict[str, Setting]] = {
    AccountKind.MAIL: {
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAddress": "${user.email}",
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": "imap.example.org",
        "IncomingMailServerPortNumber": 993,
        "IncomingMailServerUseSSL": True,
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingMailServerHostName": "smtp.example.org",
    },
    AccountKind.EXCHANGE: {"EmailAddress": "${user.email}", "Host": "mail.example.org", "UserName": "${user.email}"},
    AccountKind.CALDAV: {"CalDAVHostName": "dav.example.org", "CalDAVUsername": "${user.email}"},
    AccountKind.CARDDAV: {"CardDAVHostName": "dav.example.org", "CardDAVUsername": "${user.email}"},
    AccountKind.WIFI: {"SSID_STR": "Office", "EncryptionType": "WPA2"},
    AccountKind.VPN: {
        "IKEv2.RemoteAddress": "vpn.example.org",
        "IKEv2.RemoteIdentifier": "vpn.example.org",
        "IKEv2.LocalIdentifier": "${user.email}",
    },
}
IDENTITY = "0F5E0F7A-1111-4222-8333-444455556666"
VALUES = {"user.email": "ada@example.org"}


def template(kind: AccountKind, settings: Mapping[str, Setting] | None = None) -> AccountTemplate:
    return AccountTemplate("office", kind, "Office", SETTINGS[kind] if settings is None else settings)


def payload(kind: AccountKind, *, password: str | None = None, identity: str | None = None) -> dict[str, PlistValue]:
    filled = fill_template(template(kind), VALUES)
    assert isinstance(filled, dict)
    named: dict[str, PlistValue] = {"UserDefinedName": "VPN"} if kind is AccountKind.VPN else {}
    return add_credentials(kind, {**named, **filled}, password=password, identity_uuid=identity)


def test_the_table_is_what_the_schema_says() -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    if SCHEMA not in os.environ:
        pytest.skip(f"{SCHEMA} does not name a folder of Apple's schema")

    made = table_module(Path(os.environ[SCHEMA]))

    assert made == TABLE.read_text(encoding="utf-8"), "make it anew: python -m tools.account_payloads FOLDER"


@pytest.mark.parametrize("family", [OsFamily.MACOS, OsFamily.IOS])
@pytest.mark.parametrize("kind", AccountKind)
def test_payload_of_each_kind_is_as_the_schema_has_it(kind: AccountKind, family: OsFamily) -> None:
    is_user = family is OsFamily.MACOS
    target = CommandTarget(family=family, os_version="26.1", is_user_channel=is_user)
    has_certificate = kind not in (AccountKind.CALDAV, AccountKind.CARDDAV)
    made = payload(kind, password="secret", identity=IDENTITY if has_certificate else None)

    assert check_template(template(kind)) is None
    assert check_payload(payload_type_of(kind, family), made, target) == ()


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (AccountKind.MAIL, "IncomingPassword"),
        (AccountKind.EXCHANGE, "Password"),
        (AccountKind.CALDAV, "CalDAVPassword"),
        (AccountKind.CARDDAV, "CardDAVPassword"),
        (AccountKind.WIFI, "Password"),
    ],
)
def test_password_stands_where_its_kind_has_it(kind: AccountKind, key: str) -> None:
    assert payload(kind, password="secret")[key] == "secret"
    assert key not in payload(kind)


def test_wifi_with_a_certificate_is_eap_tls() -> None:
    made = payload(AccountKind.WIFI, identity=IDENTITY)

    assert made["PayloadCertificateUUID"] == IDENTITY
    assert made["EAPClientConfiguration"] == {"AcceptEAPTypes": [13]}


@pytest.mark.parametrize(
    ("method", "password", "identity", "expected"),
    [
        (None, None, IDENTITY, {"AuthenticationMethod": "Certificate", "PayloadCertificateUUID": IDENTITY}),
        (None, "pw", None, {"AuthenticationMethod": "None", "AuthPassword": "pw", "ExtendedAuthEnabled": 1}),
        ("SharedSecret", "pw", None, {"AuthenticationMethod": "SharedSecret", "SharedSecret": "pw"}),
    ],
)
def test_vpn_authenticates_by_what_it_has(
    method: str | None, password: str | None, identity: str | None, expected: dict[str, PlistValue]
) -> None:
    said: dict[str, PlistValue] = {} if method is None else {"IKEv2": {"AuthenticationMethod": method}}

    made = add_credentials(AccountKind.VPN, said, password=password, identity_uuid=identity)

    assert made == {"VPNType": "IKEv2", "IKEv2": expected}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"EmailAdress": "x"}, "no key EmailAdress"),
        ({"EmailAddress": 7}, "is not text"),
        ({"IncomingMailServerPortNumber": "993"}, "whole number"),
        ({"IncomingMailServerPortNumber": True}, "whole number"),
        ({"IncomingMailServerUseSSL": "true"}, "true or false"),
        ({"EmailAccountType": "IMAP"}, "EmailTypePOP"),
        ({"IncomingPassword": "secret"}, "is a secret"),
        ({"SMIMESigningCertificateUUID": "x"}, "filled in"),
        ({"EmailAddress": "${"}, "EmailAddress: the dollar sign"),
        ({"EmailAddress.More": "x"}, "no key"),
        ({f"Key{number}": "x" for number in range(MAX_SETTINGS + 1)}, "at most"),
    ],
)
def test_template_that_can_not_work_is_refused_and_says_why(settings: dict[str, Setting], words: str) -> None:
    refused = check_template(template(AccountKind.MAIL, settings))

    assert refused is not None
    assert words in refused.message


@pytest.mark.parametrize(
    ("kind", "key", "text", "value"),
    [
        (AccountKind.MAIL, "EmailAddress", "993", "993"),
        (AccountKind.MAIL, "IncomingMailServerPortNumber", "993", 993),
        (AccountKind.MAIL, "IncomingMailServerUseSSL", "true", True),
        (AccountKind.WIFI, "EAPClientConfiguration.AcceptEAPTypes", "13,25", [13, 25]),
        (AccountKind.WIFI, "EAPClientConfiguration.TLSTrustedServerNames", "a, b", ["a", "b"]),
        (AccountKind.EXCHANGE, "ExternalHost", "a", "a"),
    ],
)
def test_what_is_typed_is_read_by_the_type_of_its_key(kind: AccountKind, key: str, text: str, value: Setting) -> None:
    assert parse_setting(kind, key, text) == value


@pytest.mark.parametrize(
    ("key", "text"), [("IncomingMailServerPortNumber", "many"), ("IncomingMailServerUseSSL", "yes"), ("Nothing", "")]
)
def test_what_is_typed_otherwise_is_refused(key: str, text: str) -> None:
    assert isinstance(parse_setting(AccountKind.MAIL, key, text), Refusal)


def test_payload_that_lacks_something_or_is_for_another_channel_is_told() -> None:
    mail = payload(AccountKind.MAIL)
    on_device = CommandTarget(family=OsFamily.MACOS, is_user_channel=False)
    on_tv = CommandTarget(family=OsFamily.TVOS, is_user_channel=False)

    wrong_channel = check_payload("com.apple.mail.managed", mail, on_device)
    no_such = check_payload("com.apple.mail.managed", mail, on_tv)
    missing = check_payload("com.apple.mail.managed", {}, CommandTarget())

    assert [one.code.value for one in wrong_channel] == ["wrong_channel"]
    assert [one.code.value for one in no_such] == ["not_for_os"]
    assert {one.code.value for one in missing} == {"missing_key"}
