"""Templates of accounts: which payload a kind of account is, what of it a template says, and what is put in for one.

Sources: Apple's device management schema, the profiles that `AccountKind` names; which key takes the password or the
certificate is read from their descriptions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from muster.domain.command_findings import CommandTarget, Finding, Severity
from muster.domain.command_validation import check_request
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.template_variables import fill_in, names_in
from muster.protocol.catalogue.account_payloads import account_payload
from muster.protocol.catalogue.commands import similar_names
from muster.protocol.catalogue.facts import KeyFacts, ValueKind
from muster.protocol.os_family import OsFamily
from muster.protocol.plist import PlistValue

Setting: TypeAlias = str | int | bool | list[str] | list[int]
"""A value of a template; its strings may hold `${name}`."""

MAX_SETTINGS: Final = 100
"""Of one template; the largest payload has sixty keys."""
MAX_ITEMS: Final = 100
"""Of one list."""
_SHOWN: Final = 60


class AccountKind(StrEnum):
    """What kind of account a template is for."""

    MAIL = "mail"
    EXCHANGE = "exchange"
    CALDAV = "caldav"
    CARDDAV = "carddav"
    WIFI = "wifi"
    VPN = "vpn"
    """IKEv2."""


_PAYLOAD_TYPES: Final = {
    AccountKind.MAIL: "com.apple.mail.managed",
    AccountKind.EXCHANGE: "com.apple.eas.account",
    AccountKind.CALDAV: "com.apple.caldav.account",
    AccountKind.CARDDAV: "com.apple.carddav.account",
    AccountKind.WIFI: "com.apple.wifi.managed",
    AccountKind.VPN: "com.apple.vpn.managed",
}
_EXCHANGE_ON_A_MAC: Final = "com.apple.ews.account"

_GIVEN_BY_US: Final = frozenset({"PayloadCertificateUUID", "SMIMESigningCertificateUUID"})
_SECRETS: Final = frozenset(
    {
        "IncomingPassword",
        "OutgoingPassword",
        "Password",
        "CalDAVPassword",
        "CardDAVPassword",
        "CertificatePassword",
        "ProxyPassword",
        "EAPClientConfiguration.UserPassword",
        "IKEv2.AuthPassword",
        "IKEv2.Password",
        "IKEv2.SharedSecret",
        "IKEv2.PPK",
        "Proxies.HTTPProxyPassword",
    }
)
"""Keys whose values a template does not hold, for it is stored and shown in the clear."""

_HAVE_CERTIFICATES: Final = frozenset({AccountKind.MAIL, AccountKind.EXCHANGE, AccountKind.WIFI, AccountKind.VPN})
_EAP_TLS: Final = 13


@dataclass(frozen=True, slots=True)
class AccountTemplate:
    """What accounts of one sort have in common. *settings* are the payload's keys, those in dictionaries with dots.

    *has_certificate*: each account gets an identity of its own from our authority. *certificate_name* is its subject,
    which may hold `${name}`.
    """

    name: str
    kind: AccountKind
    display_name: str
    settings: Mapping[str, Setting]
    has_certificate: bool = False
    certificate_name: str = "${user.email}"


def payload_type_of(kind: AccountKind, family: OsFamily | None) -> str:
    """Return the PayloadType by which a system of *family* makes an account of *kind*."""
    if kind is AccountKind.EXCHANGE and family is OsFamily.MACOS:
        return _EXCHANGE_ON_A_MAC
    return _PAYLOAD_TYPES[kind]


def check_template(template: AccountTemplate) -> Refusal | None:
    """Tell why *template* can't be: an unknown key, a value of another type, a secret, a wrong variable; or None."""
    if not template.name.isprintable() or not 0 < len(template.name) <= _SHOWN:
        return _unfit(f"a template's name has 1 to {_SHOWN} characters that can be printed", "")
    if not template.display_name.strip():
        return _unfit("a template needs a name that users are shown", "Give one with --display-name.")
    if template.has_certificate and template.kind not in _HAVE_CERTIFICATES:
        return _unfit(f"accounts of kind {template.kind.value} know no certificates", "Leave --certificate out.")
    if len(template.settings) > MAX_SETTINGS:
        return _unfit(f"a template has {MAX_SETTINGS} settings at most", "")
    for key, value in template.settings.items():
        refusal = _check_setting(template.kind, key, value)
        if refusal is not None:
            return refusal
    names = names_in(template.certificate_name)
    return names if isinstance(names, Refusal) else None


def parse_setting(kind: AccountKind, key: str, text: str) -> Setting | Refusal:
    """Read what somebody typed for *key*: by its type a text, a number, true or false, or a list with commas."""
    facts = _facts_of(kind, key)
    if isinstance(facts, Refusal):
        return facts
    match facts.kind:
        case ValueKind.STRING:
            return text
        case ValueKind.BOOLEAN if text in ("true", "false"):
            return text == "true"
        case ValueKind.INTEGER if (number := _whole_number(text)) is not None:
            return number
        case ValueKind.ARRAY if facts.members and facts.members[0].kind is ValueKind.STRING:
            return [part.strip() for part in text.split(",")]
        case ValueKind.ARRAY if facts.members and facts.members[0].kind is ValueKind.INTEGER:
            numbers = [_whole_number(part.strip()) for part in text.split(",")]
            whole = [number for number in numbers if number is not None]
            if len(whole) == len(numbers):
                return whole
    return _unfit(f"{key}={text[:_SHOWN]} is not {_WORDS.get(facts.kind, 'what a template can hold')}", "")


_WORDS: Final = {
    ValueKind.BOOLEAN: "true or false",
    ValueKind.INTEGER: "a whole number",
    ValueKind.ARRAY: "a list with commas",
}


def fill_template(template: AccountTemplate, values: Mapping[str, str]) -> dict[str, PlistValue] | Refusal:
    """Put *values* into the settings, and make dictionaries of the keys with dots. Refused as `fill_in` is."""
    payload: dict[str, PlistValue] = {}
    for key, value in template.settings.items():
        filled = _filled(value, values)
        if isinstance(filled, Refusal):
            return filled
        place = payload
        *outer, last = key.split(".")
        for name in outer:
            inner = place.setdefault(name, {})
            assert isinstance(inner, dict), "keys of a template were checked"
            place = inner
        place[last] = filled
    return payload


def add_credentials(
    kind: AccountKind, payload: dict[str, PlistValue], *, password: str | None, identity_uuid: str | None
) -> dict[str, PlistValue]:
    """Return *payload* with its password, and with the PayloadUUID of its identity, where that kind of account has
    them; None: it has none."""
    return {**payload, **dict(_credentials(kind, payload, password, identity_uuid))}


def _credentials(
    kind: AccountKind, payload: Mapping[str, PlistValue], password: str | None, identity_uuid: str | None
) -> Iterator[tuple[str, PlistValue]]:
    match kind:
        case AccountKind.MAIL:
            if password is not None:
                yield "IncomingPassword", password
                yield "OutgoingPasswordSameAsIncomingPassword", True
            if identity_uuid is not None:
                yield "SMIMEEnabled", True
                yield "SMIMESigningCertificateUUID", identity_uuid
        case AccountKind.EXCHANGE:
            if password is not None:
                yield "Password", password
            if identity_uuid is not None:
                yield "PayloadCertificateUUID", identity_uuid
        case AccountKind.CALDAV | AccountKind.CARDDAV:
            if password is not None:
                yield ("CalDAVPassword" if kind is AccountKind.CALDAV else "CardDAVPassword"), password
        case AccountKind.WIFI:
            yield from _wifi_credentials(payload, password, identity_uuid)
        case AccountKind.VPN:
            yield from _vpn_credentials(payload, password, identity_uuid)


def _wifi_credentials(
    payload: Mapping[str, PlistValue], password: str | None, identity_uuid: str | None
) -> Iterator[tuple[str, PlistValue]]:
    """EAP where the template says so or the account has a certificate, else one password for the network."""
    eap = payload.get("EAPClientConfiguration")
    if identity_uuid is None and not isinstance(eap, dict):
        if password is not None:
            yield "Password", password
        return
    keys: dict[str, PlistValue] = dict(eap) if isinstance(eap, dict) else {}
    if identity_uuid is not None:
        keys.setdefault("AcceptEAPTypes", [_EAP_TLS])
        yield "PayloadCertificateUUID", identity_uuid
    if password is not None:
        keys["UserPassword"] = password
    yield "EAPClientConfiguration", keys


def _vpn_credentials(
    payload: Mapping[str, PlistValue], password: str | None, identity_uuid: str | None
) -> Iterator[tuple[str, PlistValue]]:
    said = payload.get("IKEv2")
    keys: dict[str, PlistValue] = dict(said) if isinstance(said, dict) else {}
    if identity_uuid is not None:
        keys.setdefault("AuthenticationMethod", "Certificate")
        keys["PayloadCertificateUUID"] = identity_uuid
    keys.setdefault("AuthenticationMethod", "None")
    if password is not None and keys["AuthenticationMethod"] == "SharedSecret":
        keys["SharedSecret"] = password
    elif password is not None:
        keys["AuthPassword"] = password
        keys["ExtendedAuthEnabled"] = 1
    yield "VPNType", "IKEv2"
    yield "IKEv2", keys


def check_payload(payload_type: str, payload: Mapping[str, PlistValue], target: CommandTarget) -> tuple[Finding, ...]:
    """Tell what keeps a payload from *target*: a missing key, a value of another type or out of range, and a system, a
    channel or a kind of enrollment that has no such accounts. Keys that a device would pass over are no reason."""
    found = check_request(account_payload(payload_type), payload, target)
    return tuple(
        one
        for one in found
        if one.severity is Severity.ERROR or (one.severity is Severity.WARNING and one.key_path == "")
    )


def _check_setting(kind: AccountKind, key: str, value: Setting) -> Refusal | None:
    facts = _facts_of(kind, key)
    if isinstance(facts, Refusal):
        return facts
    if not _is_fit(facts, value):
        return _unfit(f"{key} is not {_WORDS.get(facts.kind, 'text')}", "")
    for text in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
        names = names_in(text) if isinstance(text, str) else frozenset[str]()
        if isinstance(names, Refusal):
            return Refusal(names.code, f"{key}: {names.message}", names.remedy)
        is_plain = isinstance(text, str) and not names and isinstance(value, str)
        if is_plain and facts.allowed and text not in facts.allowed:
            return _unfit(f"{key} is one of {', '.join(map(str, facts.allowed))}", "")
    return None


def _is_fit(facts: KeyFacts, value: Setting) -> bool:
    match facts.kind:
        case ValueKind.STRING:
            return isinstance(value, str)
        case ValueKind.BOOLEAN:
            return isinstance(value, bool)
        case ValueKind.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool)
        case ValueKind.ARRAY if facts.members and isinstance(value, list) and len(value) <= MAX_ITEMS:
            item = {ValueKind.STRING: str, ValueKind.INTEGER: int}.get(facts.members[0].kind)
            return item is not None and all(isinstance(one, item) and not isinstance(one, bool) for one in value)
        case _:
            return False


def _facts_of(kind: AccountKind, key: str) -> KeyFacts | Refusal:
    """Find a key of the payload, in dictionaries by dots; those of Exchange on Macs count as well."""
    types = [_PAYLOAD_TYPES[kind], *([_EXCHANGE_ON_A_MAC] if kind is AccountKind.EXCHANGE else [])]
    names: list[str] = []
    for payload_type in types:
        members = account_payload(payload_type).request
        found = None
        for name in key.split("."):
            by_name = {member.name: member for member in members}
            names += by_name
            found = by_name.get(name)
            if found is None:
                break
            members = found.members if found.kind is ValueKind.DICTIONARY else ()
        if found is not None:
            return _own(key) or found
    near = similar_names(key.rsplit(".", 1)[-1], names)
    remedy = f"Did you mean {' or '.join(near)}?" if near else f"See Apple's page of {types[0]}."
    return _unfit(f"{types[0]} has no key {key[:_SHOWN]}", remedy)


def _own(key: str) -> Refusal | None:
    if key in _SECRETS:
        return _unfit(
            f"{key} is a secret, and templates are kept in the clear", "Give it with `muster accounts set-password`."
        )
    if key.rsplit(".", 1)[-1] in _GIVEN_BY_US:
        return _unfit(f"{key} is filled in for each account", "Make the template with --certificate.")
    return None


def _filled(value: Setting, values: Mapping[str, str]) -> PlistValue | Refusal:
    if isinstance(value, str):
        return fill_in(value, values)
    if not isinstance(value, list):
        return value
    items: list[PlistValue] = []
    for one in value:
        item = fill_in(one, values) if isinstance(one, str) else one
        if isinstance(item, Refusal):
            return item
        items.append(item)
    return items


def _whole_number(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS else None


_MAX_DIGITS: Final = 18
"""Of a number that surely fits 64 bits."""


def _unfit(message: str, remedy: str) -> Refusal:
    return Refusal(RefusalCode.TEMPLATE_UNFIT, message, remedy)
