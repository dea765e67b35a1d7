"""Accounts: one profile for each, so that one is changed, renewed, given a password and removed alone."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import sqlalchemy as sa
from tests.support.site import ADA, IPAD, MAC, Site, authenticate, id_of, token_update

from muster.crypto.certificates import inspect_certificate
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.pkcs12 import read_pkcs12
from muster.domain.account_templates import AccountKind, AccountTemplate, Setting
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.account_templates import TemplateOrder, forget_templates, keep_templates
from muster.operations.answer_connect import ConnectReply
from muster.operations.assign_accounts import (
    AccountChange,
    AccountOrder,
    AccountRemoved,
    AccountSent,
    assign_accounts,
    change_accounts,
    remove_accounts,
)
from muster.operations.views.accounts import AccountRow, list_accounts
from muster.protocol.command import decode_command
from muster.protocol.identifiers import Identifiers
from muster.protocol.plist import PlistValue, read_plist
from muster.storage import identities, schema

EMAIL = {"user.email": "ada@example.org"}
CALDAV: dict[str, Setting] = {"CalDAVHostName": "dav.example.org", "CalDAVUsername": "${user.email}"}
VPN: dict[str, Setting] = {
    "IKEv2.RemoteAddress": "vpn.example.org",
    "IKEv2.RemoteIdentifier": "vpn.example.org",
    "IKEv2.LocalIdentifier": "${user.email}",
}


def enroll_ipad(site: Site) -> SignerIdentity:
    identity = site.identity()
    site.check_in(replace(authenticate(IPAD), model="iPad13,4"), identity)
    site.check_in(token_update(IPAD), identity)
    return identity


def make_template(
    site: Site, name: str, kind: AccountKind, settings: Mapping[str, Setting], *, certificate: bool = False
) -> None:
    template = AccountTemplate(name, kind, f"{name} of ${{user.email}}", settings, certificate)
    assert not isinstance(site.do(keep_templates, TemplateOrder(template))[0], Refusal)


def assign(
    site: Site,
    template: str,
    to: Identifiers = IPAD,
    variables: Mapping[str, str] = EMAIL,
    password: str | None = None,
) -> AccountSent:
    sent = site.do(assign_accounts, AccountOrder(template, id_of(to), variables, password))[0]
    assert isinstance(sent, AccountSent), sent
    return sent


def change(site: Site, order: AccountChange) -> AccountSent:
    sent = site.do(change_accounts, order)[0]
    assert isinstance(sent, AccountSent), sent
    return sent


def take(site: Site, identity: SignerIdentity, of: Identifiers = IPAD) -> dict[str, PlistValue]:
    """The device takes the next command and does it; returns the profile that it installs."""
    site.wait(minutes=1)
    outcome = site.connect(identity, of)
    assert isinstance(outcome, ConnectReply)
    assert outcome.body
    command = decode_command(outcome.body)
    site.connect(identity, of, "Acknowledged", command.command_uuid)
    site.read_answers()
    payload = command.keys.get("Payload", b"")
    assert isinstance(payload, bytes)
    return read_plist(payload) if payload else {"removed": command.keys["Identifier"]}


def payloads(profile: Mapping[str, PlistValue]) -> list[dict[str, PlistValue]]:
    content = profile["PayloadContent"]
    assert isinstance(content, list)
    return [one for one in content if isinstance(one, dict)]


def rows(site: Site) -> tuple[AccountRow, ...]:
    return site.engine.read(list_accounts)


def refusal(outcome: object) -> Refusal:
    assert isinstance(outcome, Refusal), outcome
    return outcome


def test_account_is_one_profile_with_its_values_put_in(site: Site) -> None:
    identity = enroll_ipad(site)
    make_template(site, "calendar", AccountKind.CALDAV, CALDAV)
    sent = assign(site, "calendar", password="secret")

    profile = take(site, identity)

    (account,) = payloads(profile)
    assert (profile["PayloadDisplayName"], profile["PayloadScope"]) == ("calendar of ada@example.org", "System")
    assert (account["PayloadType"], account["CalDAVUsername"], account["CalDAVPassword"]) == (
        "com.apple.caldav.account",
        "ada@example.org",
        "secret",
    )
    assert [(row.account_id, row.state, row.has_password) for row in rows(site)] == [
        (sent.account_id, "installed", True)
    ]


def test_new_password_touches_the_profile_of_that_account_alone(site: Site) -> None:
    identity = enroll_ipad(site)
    make_template(site, "calendar", AccountKind.CALDAV, CALDAV)
    one, other = assign(site, "calendar", password="first"), assign(site, "calendar", password="other")
    before = {str(profile["PayloadIdentifier"]): profile for profile in (take(site, identity), take(site, identity))}

    change(site, AccountChange(one.account_id, password="second"))
    after = take(site, identity)

    former = before[one.profile_identifier]
    assert after["PayloadIdentifier"] == one.profile_identifier != other.profile_identifier
    assert after["PayloadUUID"] != former["PayloadUUID"]
    assert payloads(after) == [{**payloads(former)[0], "CalDAVPassword": "second"}]
    assert site.queued(IPAD) == []
    assert {row.account_id: row.revision for row in rows(site)} == {one.account_id: 2, other.account_id: 1}


def test_change_of_values_keeps_the_password_and_the_certificate(site: Site) -> None:
    site.hold_authority_key()
    identity = enroll_ipad(site)
    make_template(site, "vpn", AccountKind.VPN, VPN, certificate=True)
    sent = assign(site, "vpn", password="secret")
    before = payloads(take(site, identity))

    change(site, AccountChange(sent.account_id, {"user.email": "ada.l@example.org"}))
    after = payloads(take(site, identity))

    assert after[0] == before[0]
    assert isinstance(after[1]["IKEv2"], dict)
    assert isinstance(before[1]["IKEv2"], dict)
    assert after[1]["IKEv2"] == {**before[1]["IKEv2"], "LocalIdentifier": "ada.l@example.org"}


def test_certificate_is_renewed_with_a_new_key_under_the_same_payload(site: Site) -> None:
    site.hold_authority_key()
    identity = enroll_ipad(site)
    make_template(site, "vpn", AccountKind.VPN, VPN, certificate=True)
    sent = assign(site, "vpn")
    (first, vpn), until = payloads(take(site, identity)), rows(site)[0].certificate_not_after
    site.wait(days=100)

    change(site, AccountChange(sent.account_id, renews_certificate=True))
    renewed, vpn_after = payloads(take(site, identity))

    made = read_pkcs12(bytes(renewed["PayloadContent"]), str(renewed["Password"]))  # type: ignore[arg-type]
    facts = inspect_certificate(made.certificate_der)
    assert first["PayloadUUID"] == renewed["PayloadUUID"]
    assert first["PayloadContent"] != renewed["PayloadContent"]
    assert vpn == vpn_after
    assert isinstance(vpn["IKEv2"], dict)
    assert vpn["IKEv2"]["PayloadCertificateUUID"] == renewed["PayloadUUID"]
    assert until is not None
    assert facts.not_after > until


def test_certificate_of_an_account_is_no_devices_identity(site: Site) -> None:
    site.hold_authority_key()
    enroll_ipad(site)
    make_template(site, "vpn", AccountKind.VPN, VPN, certificate=True)
    assign(site, "vpn")

    (fingerprint,) = site.rows(sa.select(schema.accounts.c.certificate))[0]
    known = site.engine.read(lambda tx: identities.find(tx, fingerprint))

    assert known is None


def test_one_of_two_accounts_is_removed_alone_and_its_secrets_forgotten(site: Site) -> None:
    identity = enroll_ipad(site)
    make_template(site, "calendar", AccountKind.CALDAV, CALDAV)
    one, other = assign(site, "calendar", password="first"), assign(site, "calendar", password="other")
    take(site, identity)
    take(site, identity)

    removed = site.do(remove_accounts, one.account_id)[0]
    taken = take(site, identity)

    assert isinstance(removed, AccountRemoved)
    assert taken == {"removed": one.profile_identifier}
    assert [(row.account_id, row.state) for row in rows(site)] == [(other.account_id, "installed")]
    table = schema.accounts.c
    assert site.rows(sa.select(table.password_sealed).where(table.id == one.account_id)) == [(None,)]
    assert refusal(site.do(remove_accounts, one.account_id)[0]).code is RefusalCode.NOT_FOUND


def test_account_whose_device_has_no_profile_of_it_is_removed_without_a_command(site: Site) -> None:
    enroll_ipad(site)
    make_template(site, "calendar", AccountKind.CALDAV, CALDAV)
    sent = assign(site, "calendar")
    site.wait(days=1)
    enroll_ipad(site)

    removed = site.do(remove_accounts, sent.account_id)[0]

    assert isinstance(removed, AccountRemoved)
    assert removed.command_uuid is None


def test_mail_on_a_mac_goes_to_its_users_and_says_so(site: Site) -> None:
    identity = site.enroll(MAC)
    site.check_in(token_update(ADA), identity)
    make_template(site, "calendar", AccountKind.CALDAV, CALDAV)

    refused = refusal(site.do(assign_accounts, AccountOrder("calendar", id_of(MAC), EMAIL))[0])
    sent = assign(site, "calendar", ADA)

    assert refused.code is RefusalCode.ACCOUNT_UNFIT
    assert refused.remedy == f"Assign it to {id_of(ADA)}."
    assert site.queued(ADA) == [sent.command_uuid]
    assert take(site, identity, ADA)["PayloadScope"] == "User"


def test_exchange_is_another_payload_on_a_mac(site: Site) -> None:
    identity = site.enroll(MAC)
    site.check_in(token_update(ADA), identity)
    ipad = enroll_ipad(site)
    make_template(site, "exchange", AccountKind.EXCHANGE, {"EmailAddress": "${user.email}", "Host": "m.example.org"})
    assign(site, "exchange", ADA)
    assign(site, "exchange", IPAD)

    types = [payloads(take(site, who, where))[0]["PayloadType"] for who, where in ((identity, ADA), (ipad, IPAD))]

    assert types == ["com.apple.ews.account", "com.apple.eas.account"]


def test_what_is_known_of_device_and_user_may_stand_in_a_template(site: Site) -> None:
    identity = site.enroll(MAC)
    site.check_in(token_update(ADA), identity)
    settings: dict[str, Setting] = {
        "CalDAVHostName": "dav.example.org",
        "CalDAVUsername": "${user.short_name}",
        "CalDAVAccountDescription": "${device.serial}",
    }
    make_template(site, "calendar", AccountKind.CALDAV, settings)
    assign(site, "calendar", ADA)

    (account,) = payloads(take(site, identity, ADA))

    assert (account["CalDAVUsername"], account["CalDAVAccountDescription"]) == ("ada", "C02XK1LYJGH5")


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (AccountOrder("absent", id_of(IPAD)), RefusalCode.NOT_FOUND),
        (AccountOrder("calendar", id_of(MAC), EMAIL), RefusalCode.NOT_FOUND),
        (AccountOrder("calendar", id_of(IPAD)), RefusalCode.VARIABLE_UNKNOWN),
        (AccountOrder("calendar", id_of(IPAD), {"Bad": "x"}), RefusalCode.TEMPLATE_UNFIT),
        (AccountOrder("calendar", id_of(IPAD), {"a": "x\ny"}), RefusalCode.TEMPLATE_UNFIT),
        (AccountOrder("calendar", id_of(IPAD), {f"a{n}": "x" for n in range(51)}), RefusalCode.TEMPLATE_UNFIT),
        (AccountOrder("calendar", id_of(IPAD), EMAIL, ""), RefusalCode.PASSWORD_UNFIT),
        (AccountOrder("calendar", id_of(IPAD), EMAIL, "x" * 1025), RefusalCode.PASSWORD_UNFIT),
    ],
)
def test_account_that_can_not_be_made_leaves_nothing_behind(site: Site, order: AccountOrder, code: RefusalCode) -> None:
    enroll_ipad(site)
    make_template(site, "calendar", AccountKind.CALDAV, CALDAV)

    refused = refusal(site.do(assign_accounts, order)[0])

    assert refused.code is code
    assert (rows(site), site.queued(IPAD)) == ((), [])


def test_neither_passwords_nor_keys_stand_in_the_database_as_they_are(site: Site) -> None:
    site.hold_authority_key()
    enroll_ipad(site)
    make_template(site, "vpn", AccountKind.VPN, VPN, certificate=True)
    assign(site, "vpn", password="correct horse battery")

    values = [
        one
        for name in ("accounts", "commands")
        for row in site.rows(sa.select(schema.metadata.tables[name]))
        for one in row
    ]
    stored = b"\0".join(value if isinstance(value, bytes) else str(value).encode() for value in values)

    assert b"correct horse battery" not in stored
    assert b"com.apple.security.pkcs12" not in stored


def test_template_is_made_once_and_kept_while_it_has_accounts(site: Site) -> None:
    enroll_ipad(site)
    make_template(site, "calendar", AccountKind.CALDAV, CALDAV)
    sent = assign(site, "calendar")
    again = TemplateOrder(AccountTemplate("calendar", AccountKind.CALDAV, "x", CALDAV))
    other_kind = TemplateOrder(AccountTemplate("calendar", AccountKind.WIFI, "x", {}), replaces=True)
    absent = TemplateOrder(AccountTemplate("absent", AccountKind.WIFI, "x", {}), replaces=True)

    codes = [refusal(one).code for one in site.do(keep_templates, again, other_kind, absent)]
    kept = refusal(site.do(forget_templates, "calendar")[0]).code
    site.do(remove_accounts, sent.account_id)

    assert codes == [RefusalCode.CONFLICT, RefusalCode.TEMPLATE_UNFIT, RefusalCode.NOT_FOUND]
    assert kept is RefusalCode.CONFLICT
    assert not isinstance(site.do(forget_templates, "calendar")[0], Refusal)


def test_changed_template_reaches_an_account_when_that_is_changed(site: Site) -> None:
    identity = enroll_ipad(site)
    make_template(site, "calendar", AccountKind.CALDAV, CALDAV)
    sent = assign(site, "calendar")
    take(site, identity)
    moved = AccountTemplate("calendar", AccountKind.CALDAV, "Calendar", {**CALDAV, "CalDAVHostName": "new.example.org"})
    site.do(keep_templates, TemplateOrder(moved, replaces=True))
    between = site.queued(IPAD)

    change(site, AccountChange(sent.account_id))

    assert between == []
    assert payloads(take(site, identity))[0]["CalDAVHostName"] == "new.example.org"
