"""The profile of one account is put together: its template filled in, its password and its identity put in."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from muster.crypto.certificates import inspect_certificate, known_certificate
from muster.crypto.issuance import issue_identity
from muster.crypto.keys import RSAPrivateKey
from muster.crypto.pkcs12 import make_pkcs12
from muster.crypto.requests import make_request, read_request
from muster.domain.account_templates import (
    AccountTemplate,
    add_credentials,
    check_payload,
    fill_template,
    payload_type_of,
)
from muster.domain.command_findings import Finding, FindingCode
from muster.domain.enrollment import Enrollment
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.template_variables import fill_in
from muster.operations.check_commands import target_of
from muster.operations.context import Context
from muster.operations.enrollment_profiles import current_authority
from muster.protocol.account_profile import AccountProfile, account_payload_uuid, encode_account_profile
from muster.protocol.identifiers import Channel, ChannelId
from muster.protocol.plist import PlistValue, read_plist, write_plist
from muster.protocol.profile_payloads import Pkcs12Payload
from muster.storage import command_targets, enrollments, known_facts
from muster.storage.accounts import Account
from muster.storage.command_targets import StoredTarget
from muster.storage.engine import Transaction

IDENTITY_KEY_BITS = 2048
MAX_COMMON_NAME_OCTETS = 64
"""Of a certificate's subject (RFC 5280, A.1, ub-common-name)."""


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """An identity that our authority issued for one account. *sealed* is as it is stored."""

    sealed: bytes = field(repr=False)
    certificate_der: bytes
    not_after: datetime


def values_for(tx: Transaction, channel: Channel, given: Mapping[str, str]) -> dict[str, str]:
    """Gather what may stand in a template for a channel: what is known of its device and of its user, and *given*,
    which wins."""
    device = known_facts.facts_of(tx, ChannelId(channel.device_id))
    user = device if channel.is_device else known_facts.facts_of(tx, channel.id)
    known = {
        "device.id": channel.device_id,
        "device.serial": device.serial_number,
        "device.name": device.device_name,
        "device.model": device.model_name or device.model,
        "device.os_version": device.os_version,
        "user.short_name": user.user_short_name,
        "user.long_name": user.user_long_name,
        "user.account": known_facts.account_of(tx, ChannelId(channel.device_id)),
    }
    return {name: value for name, value in known.items() if value} | dict(given)


def issue_account_identity(
    tx: Transaction,
    account: Account,
    template: AccountTemplate,
    channel: Channel,
    key: RSAPrivateKey | None,
    ctx: Context,
) -> AccountIdentity | Refusal:
    """Issue an identity for *account*. It stands in no list of devices' identities, so that none speaks by it.

    *key* absent: it is made here, which keeps the transaction waiting.
    """
    name = fill_in(template.certificate_name, values_for(tx, channel, account.variables))
    if isinstance(name, Refusal):
        return name
    if not name.isprintable() or not 0 < len(name.encode()) <= MAX_COMMON_NAME_OCTETS:
        return Refusal(
            RefusalCode.ACCOUNT_UNFIT, f"a certificate's name has 1 to {MAX_COMMON_NAME_OCTETS} bytes of text", ""
        )
    key = key or ctx.new_rsa_key(IDENTITY_KEY_BITS)
    authority = current_authority(tx, ctx)
    not_after = min(ctx.now + ctx.policy.identity_lifetime, known_certificate(authority.certificate_der).not_after)
    certificate_der = issue_identity(
        read_request(make_request(key, common_name=name)),
        authority,
        subject_common_name=name,
        not_before=ctx.now - ctx.policy.identity_backdating,
        not_after=not_after,
        serial_number=int.from_bytes(ctx.random_bytes(16), "big") >> 1 | 1,
    )
    password = base64.b32encode(ctx.random_bytes(15)).decode()
    content = make_pkcs12(certificate_der, key, password, friendly_name=name, legacy=True)
    kept = write_plist({"Content": content, "Password": password})
    sealed = ctx.seal(kept, table="accounts", column="identity_sealed", row=account.id)
    return AccountIdentity(sealed, certificate_der, inspect_certificate(certificate_der).not_after)


def make_account_profile(
    tx: Transaction, account: Account, template: AccountTemplate, enrollment: Enrollment, ctx: Context
) -> bytes | Refusal:
    """Put the profile of *account* together for its channel.

    Refused where a variable has no value, where something that the payload needs is missing, and where the device or
    the channel has no accounts of that kind.
    """
    channel = enrollment.channel
    values = values_for(tx, channel, account.variables)
    display_name = fill_in(template.display_name, values)
    settings = fill_template(template, values)
    if isinstance(display_name, Refusal):
        return display_name
    if isinstance(settings, Refusal):
        return settings
    device = command_targets.find(tx, [channel.device_id]).get(channel.device_id, StoredTarget())
    target = target_of(channel, device)
    payload_type = payload_type_of(template.kind, target.family)
    identity = _identity(account, ctx)
    payload = add_credentials(
        template.kind,
        _named(template, settings, display_name),
        password=_password(account, ctx),
        identity_uuid=None if identity is None else identity.payload_uuid,
    )
    found = check_payload(payload_type, payload, target)
    if found:
        return _refused(tx, template, enrollment, found)
    return encode_account_profile(
        AccountProfile(
            account_id=account.id,
            revision=account.revision,
            identifier=account.profile_identifier,
            display_name=display_name,
            payload_type=payload_type,
            payload=payload,
            is_for_user=not channel.is_device,
            identity=identity,
        )
    )


def with_password(account: Account, password: str | None, ctx: Context) -> Account:
    """Return *account* with another password, sealed, or with none."""
    if password is None:
        return replace(account, password_sealed=None)
    sealed = ctx.seal(password.encode(), table="accounts", column="password_sealed", row=account.id)
    return replace(account, password_sealed=sealed)


def _named(template: AccountTemplate, settings: dict[str, PlistValue], display_name: str) -> dict[str, PlistValue]:
    """Give a VPN the name that users see of it, which its payload must have."""
    return {"UserDefinedName": display_name, **settings} if template.kind.value == "vpn" else settings


def _password(account: Account, ctx: Context) -> str | None:
    if account.password_sealed is None:
        return None
    return ctx.open(account.password_sealed, table="accounts", column="password_sealed", row=account.id).decode()


def _identity(account: Account, ctx: Context) -> Pkcs12Payload | None:
    if account.identity_sealed is None:
        return None
    kept = read_plist(ctx.open(account.identity_sealed, table="accounts", column="identity_sealed", row=account.id))
    content, password = kept["Content"], kept["Password"]
    assert isinstance(content, bytes), "sealed by us"
    assert isinstance(password, str), "sealed by us"
    return Pkcs12Payload(account_payload_uuid(account.id, "identity"), content, password)


def _refused(
    tx: Transaction,
    template: AccountTemplate,
    enrollment: Enrollment,
    found: Sequence[Finding],
) -> Refusal:
    channel = enrollment.channel
    message = "\n".join(
        [f"{channel.id} can't have the account {template.name}", *dict.fromkeys(one.message for one in found)]
    )
    remedy = f"See the template with `muster accounts template show {template.name}`."
    if any(one.code is FindingCode.WRONG_CHANNEL for one in found):
        users = enrollments.user_channels_of(tx, channel.device_id)
        others = users if channel.is_device else (channel.device_id,)
        known = " or ".join(others) if others else "a user's channel, once one is enrolled"
        remedy = f"Assign it to {known}."
    return Refusal(RefusalCode.ACCOUNT_UNFIT, message, remedy)
