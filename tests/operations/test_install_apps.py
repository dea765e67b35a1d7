"""Managed apps: accepted, asked for until they are there, configured, lost, removed."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.support.site import MAC, Site, id_of

from muster.domain.access import SERVER
from muster.domain.errors import Refusal
from muster.domain.managed_apps import QUESTION_DELAYS, ManagedApp
from muster.operations.answer_connect import ConnectReply
from muster.operations.install_apps import AppOrder, AppRemovalOrder, install_apps, remove_apps
from muster.operations.queue_command import QueuedCommand
from muster.operations.review_channels import review_channels
from muster.operations.views.apps import apps_of_device, list_apps, versions_of
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID
from muster.protocol.plist import PlistValue

APP = "org.example.app"
STORE = CommandRequest("InstallApplication", {"iTunesStoreID": 361309726})
ACCEPTED: Mapping[str, PlistValue] = {"Identifier": APP, "State": "Installing"}


def install(site: Site, request: CommandRequest = STORE) -> CommandUUID:
    queued = site.do(install_apps, AppOrder((id_of(MAC),), request, anyway=True))[0]
    assert isinstance(queued, QueuedCommand), queued
    return queued.command_uuid


def listing(status: str | None) -> dict[str, PlistValue]:
    return {"ManagedApplicationList": {} if status is None else {APP: {"Status": status}}}


def apps(site: Site, *, history: bool = True) -> tuple[ManagedApp, ...]:
    found = site.engine.read(lambda tx: list_apps(tx, id_of(MAC), history=history))
    assert found is not None
    return found


def states(site: Site) -> list[tuple[str | None, str, str | None]]:
    return [(one.identifier, one.state.value, one.device_state) for one in apps(site)]


@pytest.mark.parametrize(
    ("status", "answer", "state", "reason"),
    [
        ("Acknowledged", ACCEPTED, "installing", None),
        ("Acknowledged", {"Identifier": APP, "State": "Prompting"}, "installing", None),
        ("Acknowledged", {"Identifier": APP, "State": "Managed"}, "managed", None),
        ("Acknowledged", {"Identifier": APP, "State": "UserRejected"}, "failed", "the device says UserRejected"),
        ("Acknowledged", {"Identifier": APP, "State": "SomethingNew"}, "installing", None),
        (
            "Acknowledged",
            {"Identifier": APP, "RejectionReason": "AppStoreDisabled"},
            "failed",
            "the device rejects it: AppStoreDisabled",
        ),
        ("Error", {}, "failed", "the device answered Error"),
        ("Acknowledged", {}, "installing", None),
        ("Acknowledged", {"Identifier": 7, "State": []}, "installing", None),
    ],
)
def test_answer_tells_what_becomes_of_the_app(
    site: Site, status: str, answer: Mapping[str, PlistValue], state: str, reason: str | None
) -> None:
    identity = site.enroll()
    uuid = install(site)
    site.connect(identity)
    site.connect(identity, MAC, status, uuid, answer=answer)
    site.read_answers()

    assert [(one.source, one.state.value, one.reason) for one in apps(site)] == [("store 361309726", state, reason)]


def test_app_that_is_being_installed_is_asked_for_until_it_is_there(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, STORE, ACCEPTED)
    answers = []
    for status in ("Installing", "Managed"):
        while not site.queued():
            site.wait(minutes=5)
            site.do(review_channels, None, actor=SERVER)
        asked = site.connect(identity)
        assert isinstance(asked, ConnectReply)
        answers.append(asked.request_type)
        site.connect(identity, MAC, "Acknowledged", asked.command_uuid, answer=listing(status))
        site.read_answers()
    site.wait(days=3)
    site.do(review_channels, None, actor=SERVER)

    assert answers == ["ManagedApplicationList"] * 2
    assert states(site) == [(APP, "managed", "Managed")]
    assert site.queued() == []


def test_device_that_never_finishes_is_asked_a_bounded_number_of_times(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, STORE, ACCEPTED)
    asked = 0
    for _ in range(20):
        site.wait(days=1)
        site.do(review_channels, None, actor=SERVER)
        for uuid in site.queued():
            asked += 1
            site.connect(identity, MAC, "Acknowledged", uuid, answer=listing("Installing"))
        site.read_answers()

    assert asked == len(QUESTION_DELAYS)
    assert [one.state.value for one in apps(site)] == ["installing"]


@pytest.mark.parametrize(
    ("status", "state"),
    [("Managed", "managed"), ("Updating", "managed"), ("ManagedButUninstalled", "missing"), (None, "missing")],
)
def test_list_tells_whether_a_managed_app_still_is(site: Site, status: str | None, state: str) -> None:
    identity = site.enroll()
    site.answers(identity, STORE, {"Identifier": APP, "State": "Managed"})
    site.wait(minutes=1)
    site.answers(identity, CommandRequest("ManagedApplicationList"), listing(status))

    assert [one.state.value for one in apps(site)] == [state]


def test_list_of_other_apps_says_nothing_of_this_one(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, STORE, {"Identifier": APP, "State": "Managed"})
    site.wait(minutes=1)
    site.answers(identity, CommandRequest("ManagedApplicationList", {"Identifiers": ["org.other"]}), listing(None))
    site.answers(identity, CommandRequest("ManagedApplicationList"), {"ManagedApplicationList": "none"})

    assert [one.state.value for one in apps(site)] == ["managed"]


def test_app_is_removed_by_the_devices_word(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, STORE, {"Identifier": APP, "State": "Managed"})
    queued = site.do(remove_apps, AppRemovalOrder((id_of(MAC),), APP, anyway=True))[0]
    assert isinstance(queued, QueuedCommand)
    between = states(site)
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", queued.command_uuid)
    site.read_answers()

    assert [state for _, state, _ in between] == ["removing"]
    assert [one.state.value for one in apps(site)] == ["removed"]
    assert apps(site, history=False) == ()


def test_only_what_was_installed_from_here_is_removed_unless_somebody_insists(site: Site) -> None:
    site.enroll()
    order = AppRemovalOrder((id_of(MAC),), APP)

    refused = site.do(remove_apps, order)[0]

    assert isinstance(refused, Refusal)
    assert "no app org.example.app was installed from here" in refused.message
    assert site.queued() == []
    assert isinstance(site.do(remove_apps, replace(order, anyway=True))[0], QueuedCommand)
    assert len(site.queued()) == 1


@pytest.mark.parametrize("is_enrolled_anew", [False, True])
def test_what_was_installed_in_an_earlier_life_is_not_there_to_be_removed(site: Site, is_enrolled_anew: bool) -> None:
    identity = site.enroll()
    site.answers(identity, STORE, {"Identifier": APP, "State": "Managed"})
    if is_enrolled_anew:
        site.wait(days=1)
        site.enroll()

    queued = site.do(remove_apps, AppRemovalOrder((id_of(MAC),), APP))[0]

    assert isinstance(queued, Refusal) == is_enrolled_anew


@pytest.mark.parametrize("source", ["a store order whose app is not known yet", "the device's list of managed apps"])
def test_app_that_may_be_managed_is_removed(site: Site, source: str) -> None:
    identity = site.enroll()
    if source.startswith("a store"):
        install(site)
    else:
        site.answers(identity, CommandRequest("ManagedApplicationList"), listing("Managed"))

    queued = site.do(remove_apps, AppRemovalOrder((id_of(MAC),), APP))[0]

    assert isinstance(queued, QueuedCommand)


def test_version_is_what_the_device_lists(site: Site) -> None:
    identity = site.enroll()
    listed: list[PlistValue] = [
        {"Identifier": APP, "Version": "7", "ShortVersion": "2.1"},
        {"Identifier": "org.example.other", "ShortVersion": "3"},
    ]
    site.answers(identity, CommandRequest("InstalledApplicationList"), {"InstalledApplicationList": listed})

    versions = site.engine.read(lambda tx: versions_of(tx, id_of(MAC), [APP, "org.example.absent"]))

    assert versions == {APP: "2.1"}


def test_later_order_of_the_same_app_replaces_the_former(site: Site) -> None:
    identity = site.enroll()
    for _ in range(2):
        site.wait(minutes=1)
        site.answers(identity, STORE, {"Identifier": APP, "State": "Managed"})

    shown = site.engine.read(lambda tx: apps_of_device(tx, id_of(MAC)))
    assert [one.state.value for one in apps(site)] == ["managed", "replaced"]
    assert [one.state.value for one in shown] == ["managed"]


def test_package_is_known_by_its_manifest(site: Site) -> None:
    identity = site.enroll()
    manifest: dict[str, PlistValue] = {"items": [{"metadata": {"bundle-identifier": APP}}]}
    request = CommandRequest("InstallEnterpriseApplication", {"Manifest": manifest})
    site.answers(identity, request)
    site.wait(minutes=1)
    site.answers(identity, CommandRequest("ManagedApplicationList"), listing("Managed"))

    assert states(site) == [(APP, "managed", "Managed")]
    assert apps(site)[0].source == "manifest in the command"
