"""Accounts on a device: a new password and a new certificate reach one profile, and one of two is removed alone."""

from datetime import timedelta

from tests.laboratory.stories import enroll_one

from muster.domain.access import SERVER
from muster.domain.account_templates import AccountKind, AccountTemplate
from muster.domain.errors import Refusal
from muster.laboratory.world import World, play
from muster.operations.account_templates import TemplateOrder, keep_templates
from muster.operations.assign_accounts import (
    AccountChange,
    AccountOrder,
    AccountRemoved,
    AccountSent,
    assign_accounts,
    change_accounts,
    remove_accounts,
)
from muster.operations.views.accounts import list_accounts
from muster.protocol.plist import PlistValue
from muster.simulator.contents import InstalledProfile
from muster.simulator.facts import Platform

A_WHILE = timedelta(hours=1)
WIFI = AccountTemplate(
    "wifi",
    AccountKind.WIFI,
    "Office Wi-Fi",
    {"SSID_STR": "Office", "EncryptionType": "WPA2", "EAPClientConfiguration.UserName": "${user.email}"},
    has_certificate=True,
)
CALENDAR = AccountTemplate(
    "calendar",
    AccountKind.CALDAV,
    "Calendar",
    {"CalDAVHostName": "dav.example.org", "CalDAVUsername": "${user.email}"},
)


def payload(profile: InstalledProfile, payload_type: str, key: str) -> PlistValue:
    """The value of a key in the profile's payload of that type."""
    return next(one[key] for one in profile.payloads if one["PayloadType"] == payload_type)


def test_each_account_of_a_device_changes_alone() -> None:
    seen: dict[str, object] = {}

    async def scene(world: World) -> None:
        phone = await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))
        await world.sleep(A_WHILE)
        runner, profiles = world.server.service.runner, phone.device.contents.profiles
        values = {"user.email": "ada@example.org"}
        kept = await runner.write(keep_templates, [TemplateOrder(WIFI), TemplateOrder(CALENDAR)], SERVER)
        assert not any(isinstance(one, Refusal) for one in kept), kept
        orders = [AccountOrder(name, phone.channel_id, values, "first") for name in ("wifi", "calendar")]
        sent = await runner.write(assign_accounts, orders, SERVER)
        await world.sleep(A_WHILE)
        wifi, calendar = (one for one in sent if isinstance(one, AccountSent))
        first = profiles[wifi.profile_identifier], profiles[calendar.profile_identifier]

        await runner.write(change_accounts, [AccountChange(calendar.account_id, password="second")], SERVER)
        await world.sleep(A_WHILE)
        second = profiles[wifi.profile_identifier], profiles[calendar.profile_identifier]
        seen["a password"] = (second[0] is first[0], payload(second[1], "com.apple.caldav.account", "CalDAVPassword"))

        await world.sleep(timedelta(days=100))
        await runner.write(change_accounts, [AccountChange(wifi.account_id, renews_certificate=True)], SERVER)
        await world.sleep(A_WHILE)
        third = profiles[wifi.profile_identifier], profiles[calendar.profile_identifier]
        identities = [payload(one, "com.apple.security.pkcs12", "PayloadContent") for one in (first[0], third[0])]
        seen["a certificate"] = (third[1] is second[1], identities[0] != identities[1])

        removed = await runner.write(remove_accounts, [calendar.account_id], SERVER)
        assert isinstance(removed[0], AccountRemoved), removed
        await world.sleep(A_WHILE)
        seen["removed"] = (wifi.profile_identifier in profiles, calendar.profile_identifier in profiles)
        rows = await runner.read(list_accounts)
        seen["listed"] = [(one.template, one.state, one.revision) for one in rows]

    play(scene, seed=9)

    assert seen == {
        "a password": (True, "second"),
        "a certificate": (True, True),
        "removed": (True, False),
        "listed": [("wifi", "installed", 2)],
    }


def test_certificate_of_an_account_is_renewed_by_itself_on_a_device_that_nobody_touches() -> None:
    seen: list[tuple[int, bool, bool]] = []

    async def scene(world: World) -> None:
        phone = await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))
        await world.sleep(A_WHILE)
        runner, profiles = world.server.service.runner, phone.device.contents.profiles
        await runner.write(keep_templates, [TemplateOrder(WIFI)], SERVER)
        values = {"user.email": "ada@example.org"}
        (sent,) = await runner.write(assign_accounts, [AccountOrder("wifi", phone.channel_id, values)], SERVER)
        assert isinstance(sent, AccountSent)
        await world.sleep(A_WHILE)
        first = profiles[sent.profile_identifier]
        for days in (38, 4):  # the certificate is good for 61 days, of which it began one before
            await world.sleep(timedelta(days=days))
            (row,) = await runner.read(list_accounts)
            seen.append((row.revision, row.state == "installed", profiles[sent.profile_identifier] is first))

    play(scene, seed=9, settings={"identity_lifetime_days": 60, "renew_before_days": 20})

    assert seen == [(1, True, True), (2, True, False)]
