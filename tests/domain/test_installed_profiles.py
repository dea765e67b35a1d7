"""What becomes of profiles by what devices answer, and by what they list."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.runner import NOW

from muster.domain.installed_profiles import (
    InstalledProfile,
    ProfileState,
    after_installation,
    after_listing,
    after_removal,
)
from muster.protocol.identifiers import ChannelId, CommandUUID

LATER = NOW + timedelta(minutes=5)
WIFI = InstalledProfile(
    ChannelId("MAC"), CommandUUID("ONE"), 1, "org.example.wifi", "UUID-1", "Wi-Fi", b"", None, ProfileState.SENT, None,
    NOW, NOW,
)  # fmt: skip


def revision(number: int, state: ProfileState, identifier: str = WIFI.identifier) -> InstalledProfile:
    return replace(
        WIFI, command_uuid=CommandUUID(str(number)), payload_uuid=f"UUID-{number}", state=state, identifier=identifier
    )


def states(changes: list[InstalledProfile]) -> dict[str, str]:
    return {one.command_uuid: one.state.value for one in changes}


def test_acknowledged_installation_takes_the_place_of_the_one_before() -> None:
    profiles = [revision(2, ProfileState.SENT), revision(1, ProfileState.INSTALLED)]

    assert states(after_installation(profiles, CommandUUID("2"), None, LATER)) == {"2": "installed", "1": "replaced"}


def test_refused_installation_leaves_the_one_before_in_place() -> None:
    profiles = [revision(2, ProfileState.SENT), revision(1, ProfileState.INSTALLED)]

    changes = after_installation(profiles, CommandUUID("2"), "no", LATER)

    assert [(one.state, one.reason, one.changed_at) for one in changes] == [(ProfileState.FAILED, "no", LATER)]


def test_answer_that_was_heard_before_changes_nothing() -> None:
    profiles = [revision(2, ProfileState.INSTALLED), revision(1, ProfileState.REPLACED)]

    assert after_installation(profiles, CommandUUID("1"), None, LATER) == []
    assert after_installation(profiles, CommandUUID("OTHER"), None, LATER) == []


def test_removal_takes_what_is_installed_and_not_what_was_sent_after_it() -> None:
    profiles = [revision(3, ProfileState.SENT), revision(2, ProfileState.REMOVING), revision(1, ProfileState.REPLACED)]

    assert states(after_removal(profiles, None, LATER)) == {"2": "removed"}


def test_removal_that_failed_leaves_the_profile_installed_and_says_why() -> None:
    changes = after_removal([revision(1, ProfileState.REMOVING)], "managed by another", LATER)

    assert [(one.state, one.reason) for one in changes] == [(ProfileState.INSTALLED, "managed by another")]


@pytest.mark.parametrize(
    ("state", "listed", "becomes"),
    [
        ("installed", {"org.example.wifi": "UUID-1"}, "installed"),
        ("installed", {}, "missing"),
        ("installed", {"org.example.wifi": "UUID-9"}, "drifted"),
        ("installed", {"org.example.wifi": None}, "drifted"),
        ("missing", {"org.example.wifi": "UUID-1"}, "installed"),
        ("drifted", {"org.example.wifi": "UUID-1"}, "installed"),
        ("drifted", {}, "missing"),
        ("removing", {}, "removed"),
        ("removing", {"org.example.wifi": "UUID-1"}, None),
        ("sent", {"org.example.wifi": "UUID-1"}, "installed"),
        ("sent", {"org.example.wifi": "UUID-9"}, None),
        ("sent", {}, None),
        ("failed", {"org.example.wifi": "UUID-1"}, None),
        ("removed", {"org.example.wifi": "UUID-1"}, None),
        ("replaced", {"org.example.wifi": "UUID-9"}, None),
    ],
)
def test_what_a_list_says_of_a_profile(state: str, listed: dict[str, str | None], becomes: str | None) -> None:
    changes = after_listing([revision(1, ProfileState(state))], listed, LATER)

    assert states(changes) == ({} if becomes is None else {"1": becomes})


def test_list_from_before_the_last_change_tells_nothing_of_it() -> None:
    profile = replace(WIFI, state=ProfileState.INSTALLED, changed_at=LATER)

    assert after_listing([profile], {}, NOW) == []


def test_what_is_verified_keeps_since_when_it_is_installed() -> None:
    (change,) = after_listing([revision(1, ProfileState.INSTALLED)], {WIFI.identifier: "UUID-1"}, LATER)

    assert (change.changed_at, change.verified_at) == (NOW, LATER)


def test_list_that_has_the_new_revision_settles_both() -> None:
    profiles = [revision(2, ProfileState.SENT), revision(1, ProfileState.INSTALLED)]

    changes = after_listing(profiles, {WIFI.identifier: "UUID-2"}, LATER)

    assert states(changes) == {"2": "installed", "1": "replaced"}


def test_list_can_not_tell_a_new_revision_by_the_uuid_of_the_former() -> None:
    profiles = [
        replace(revision(2, ProfileState.SENT), payload_uuid="UUID-1"),
        revision(1, ProfileState.INSTALLED),
    ]

    assert states(after_listing(profiles, {WIFI.identifier: "UUID-1"}, LATER)) == {"1": "installed"}


def test_profile_without_uuid_is_verified_by_its_identifier() -> None:
    profile = replace(WIFI, payload_uuid=None, state=ProfileState.INSTALLED)

    assert states(after_listing([profile], {WIFI.identifier: "ANY"}, LATER)) == {"ONE": "installed"}
