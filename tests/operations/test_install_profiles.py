"""Profiles are installed, replaced, verified and removed; only what came from here can be removed from here."""

from collections.abc import Sequence

import pytest
from tests.support.site import ADA, MAC, Site, id_of, token_update

from muster.domain.errors import Refusal, RefusalCode
from muster.operations.install_profiles import (
    ProfileOrder,
    ProfileRemovalOrder,
    ProfileSent,
    install_profiles,
    remove_profiles,
)
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.views.profiles import ProfileRow, list_profiles, profiles_of_device
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID, Identifiers
from muster.protocol.plist import PlistValue, write_plist

WIFI = "org.example.wifi"


def profile(uuid: str = "UUID-1", identifier: str | None = WIFI, payloads: Sequence[str] = ()) -> bytes:
    content: list[PlistValue] = [{"PayloadType": one, "PayloadIdentifier": f"{one}.1"} for one in payloads]
    keys: dict[str, PlistValue] = {"PayloadType": "Configuration", "PayloadUUID": uuid, "PayloadDisplayName": "Wi-Fi"}
    if identifier is not None:
        keys["PayloadIdentifier"] = identifier
    return write_plist(keys | {"PayloadContent": content})


def install(site: Site, mobileconfig: bytes, to: Identifiers = MAC, *, anyway: bool = False) -> CommandUUID:
    sent = site.do(install_profiles, ProfileOrder((id_of(to),), mobileconfig, anyway=anyway))[0]
    assert isinstance(sent, ProfileSent), sent
    return sent.queued.command_uuid


def remove(site: Site, identifier: str = WIFI, *, anyway: bool = False) -> CommandUUID:
    queued = site.do(remove_profiles, ProfileRemovalOrder((id_of(MAC),), identifier, anyway))[0]
    assert isinstance(queued, QueuedCommand), queued
    return queued.command_uuid


def rows(site: Site, *, history: bool = False) -> tuple[ProfileRow, ...]:
    found = site.engine.read(lambda tx: list_profiles(tx, id_of(MAC), history=history))
    assert found is not None
    return found


def states(site: Site) -> list[tuple[str | None, str]]:
    return [(row.payload_uuid, row.state.value) for row in rows(site, history=True)]


def test_profile_is_sent_then_installed_by_the_devices_word(site: Site) -> None:
    identity = site.enroll()
    uuid = install(site, profile())
    before = [(row.name, row.state.value, row.is_waiting) for row in rows(site)]
    site.connect(identity)
    answered_at = site.wait(minutes=1)
    site.connect(identity, MAC, "Acknowledged", uuid)
    site.read_answers()

    assert before == [("Wi-Fi", "sent", True)]
    assert [(row.state.value, row.changed_at, row.is_waiting) for row in rows(site)] == [
        ("installed", answered_at, False)
    ]


def test_refused_profile_says_what_the_device_said(site: Site) -> None:
    identity = site.enroll()
    uuid = install(site, profile())
    site.connect(identity)
    site.connect(identity, MAC, "Error", uuid)
    site.read_answers()

    assert [(row.state.value, row.reason) for row in rows(site)] == [("failed", "the device answered Error")]


def test_later_revision_replaces_the_one_before(site: Site) -> None:
    identity = site.enroll()
    for number in (1, 2):
        uuid = install(site, profile(f"UUID-{number}"))
        site.wait(minutes=1)
        site.connect(identity)
        site.connect(identity, MAC, "Acknowledged", uuid)
        site.read_answers()

    assert states(site) == [("UUID-2", "installed"), ("UUID-1", "replaced")]
    assert [row.payload_uuid for row in rows(site)] == ["UUID-2"]


def test_list_of_the_device_tells_what_is_missing_and_what_is_another(site: Site) -> None:
    identity = site.enroll()
    for name in ("a", "b", "c"):
        site.answers(identity, CommandRequest("InstallProfile", {"Payload": profile(f"UUID-{name}", name)}))
    site.wait(minutes=1)
    listed: list[PlistValue] = [
        {"PayloadIdentifier": "a", "PayloadUUID": "UUID-a"},
        {"PayloadIdentifier": "b", "PayloadUUID": "UUID-other"},
        "nonsense",
        {"PayloadIdentifier": 7},
    ]
    site.answers(identity, CommandRequest("ProfileList"), {"ProfileList": listed})

    assert [(row.identifier, row.state.value, row.verified_at) for row in rows(site)] == [
        ("a", "installed", site.now),
        ("b", "drifted", None),
        ("c", "missing", None),
    ]


def test_list_that_is_none_changes_nothing(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, CommandRequest("InstallProfile", {"Payload": profile()}))
    site.wait(minutes=1)
    site.answers(identity, CommandRequest("ProfileList"), {"ProfileList": "none"})

    assert states(site) == [("UUID-1", "installed")]


def test_profile_is_removed_by_the_devices_word(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, CommandRequest("InstallProfile", {"Payload": profile()}))
    uuid = remove(site)
    between = states(site)
    site.wait(minutes=1)
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", uuid)
    site.read_answers()

    assert (between, states(site)) == ([("UUID-1", "removing")], [("UUID-1", "removed")])
    assert rows(site) == ()


def test_only_what_was_installed_from_here_is_removed_unless_somebody_insists(site: Site) -> None:
    site.enroll()

    refused = site.do(remove_profiles, ProfileRemovalOrder((id_of(MAC),), WIFI))[0]

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.COMMAND_UNFIT
    assert "installed from here" in refused.message
    assert site.queued() == []
    assert remove(site, anyway=True) in site.queued()


def test_removal_by_a_plain_command_is_held_against_the_same(site: Site) -> None:
    identity = site.enroll()
    removal = CommandOrder((id_of(MAC),), CommandRequest("RemoveProfile", {"Identifier": WIFI}))

    refused = site.do(queue_commands, removal)[0]
    site.answers(identity, CommandRequest("InstallProfile", {"Payload": profile()}))
    queued = site.do(queue_commands, removal)[0]

    assert isinstance(refused, Refusal)
    assert isinstance(queued, QueuedCommand)


def test_profile_is_over_with_the_life_that_it_was_installed_in(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, CommandRequest("InstallProfile", {"Payload": profile()}))
    site.wait(days=1)
    site.enroll()

    refused = site.do(remove_profiles, ProfileRemovalOrder((id_of(MAC),), WIFI))[0]

    assert rows(site) == ()
    assert isinstance(refused, Refusal)


def test_profile_that_would_take_the_enrollments_place_is_refused_whoever_insists(site: Site) -> None:
    site.enroll()

    refused = site.do(
        install_profiles, ProfileOrder((id_of(MAC),), profile(identifier="org.example.enrollment"), anyway=True)
    )[0]

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.COMMAND_MALFORMED
    assert "enrollment profile" in refused.message


@pytest.mark.parametrize(
    ("payloads", "is_warned"),
    [
        (["com.apple.mail.managed", "com.apple.caldav.account"], True),
        (["com.apple.mail.managed", "com.apple.mail.managed"], True),
        (["com.apple.mail.managed", "com.apple.wifi.managed"], False),
        (["com.apple.wifi.managed", "com.apple.wifi.managed"], False),
    ],
)
def test_several_accounts_in_one_profile_draw_a_warning(site: Site, payloads: list[str], is_warned: bool) -> None:
    site.enroll()
    several = profile(payloads=payloads)

    outcome = site.do(install_profiles, ProfileOrder((id_of(MAC),), several))[0]

    assert isinstance(outcome, Refusal) is is_warned
    assert not isinstance(outcome, Refusal) or "none can be removed alone" in outcome.message
    assert install(site, several, anyway=True)


@pytest.mark.parametrize("content", [b"", b"nonsense", profile(identifier=None), profile(identifier="x" * 1025)])
def test_what_is_no_profile_with_an_identifier_is_refused(site: Site, content: bytes) -> None:
    site.enroll()

    refused = site.do(install_profiles, ProfileOrder((id_of(MAC),), content))[0]

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.PROFILE_UNFIT


def test_device_shows_the_profiles_of_all_its_channels(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    install(site, profile())
    install(site, profile(identifier="org.example.mail"), ADA)

    shown = site.engine.read(lambda tx: profiles_of_device(tx, id_of(MAC)))

    assert [(row.channel_id, row.identifier) for row in shown] == [
        (id_of(MAC), WIFI),
        (id_of(ADA), "org.example.mail"),
    ]


def test_channel_that_is_not_known_has_no_list(site: Site) -> None:
    assert site.engine.read(lambda tx: list_profiles(tx, id_of(MAC))) is None
