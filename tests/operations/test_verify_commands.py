"""A command whose answer was lost is settled by what a list shows, and by nothing less."""

from collections.abc import Mapping

import pytest
from tests.support.site import ADA, IPAD, MAC, Site, id_of

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.command_queue import MAXIMUM_UNANSWERED
from muster.operations.answer_connect import ConnectReply
from muster.operations.install_profiles import ProfileOrder, ProfileSent, install_profiles
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.views.apps import list_apps
from muster.operations.views.commands import list_commands
from muster.operations.views.profiles import list_profiles
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID, Identifiers
from muster.protocol.plist import PlistValue, write_plist

APP = "org.example.app"
LISTED: Mapping[str, PlistValue] = {"ProfileList": [{"PayloadIdentifier": "p", "PayloadUUID": "P-1"}]}
NOTHING: Mapping[str, PlistValue] = {"ProfileList": []}
PROFILES, APPS = CommandRequest("ProfileList"), CommandRequest("ManagedApplicationList")


def profile(uuid: str = "P-1", name: str = "one") -> bytes:
    keys: dict[str, PlistValue] = {
        "PayloadType": "Configuration",
        "PayloadIdentifier": "p",
        "PayloadUUID": uuid,
        "PayloadDisplayName": name,
    }
    return write_plist({**keys, "PayloadVersion": 1, "PayloadContent": []})


def install(uuid: str = "P-1", name: str = "one") -> CommandRequest:
    return CommandRequest("InstallProfile", {"Payload": profile(uuid, name)})


def order(
    site: Site, request: CommandRequest, identifiers: Identifiers = MAC, after: CommandUUID | None = None
) -> CommandUUID:
    queued = site.do(queue_commands, CommandOrder((id_of(identifiers),), request, anyway=True, after=after))[0]
    assert isinstance(queued, QueuedCommand), queued
    site.wait(seconds=1)
    return queued.command_uuid


def hand_out(site: Site, identity: SignerIdentity, times: int = 1, identifiers: Identifiers = MAC) -> str | None:
    """Have the next command handed out so often; no answer ever comes."""
    uuid = None
    for _ in range(times):
        reply = site.connect(identity, identifiers)
        assert isinstance(reply, ConnectReply), reply
        uuid = reply.command_uuid
        site.wait(seconds=1)
    return uuid


def ask(
    site: Site,
    identity: SignerIdentity,
    request: CommandRequest,
    answer: Mapping[str, PlistValue],
    identifiers: Identifiers = MAC,
) -> None:
    """Have a question answered that goes before all else; the reply to its answer hands out what waits."""
    first = CommandOrder((id_of(identifiers),), request, priority=900, anyway=True)
    queued = site.do(queue_commands, first)[0]
    assert isinstance(queued, QueuedCommand), queued
    site.connect(identity, identifiers)
    site.wait(seconds=1)
    site.connect(identity, identifiers, "Acknowledged", queued.command_uuid, answer=answer)
    site.read_answers()


def status(site: Site, uuid: CommandUUID, identifiers: Identifiers = MAC) -> str:
    rows = site.engine.read(lambda tx: list_commands(tx, id_of(identifiers)))
    assert rows is not None
    return next(row.status for row in rows if row.command_uuid == uuid)


@pytest.mark.parametrize("times", [1, MAXIMUM_UNANSWERED + 1], ids=["handed out once", "parked"])
def test_installation_that_was_never_answered_is_settled_by_a_list_that_has_it(site: Site, times: int) -> None:
    identity = site.enroll()
    uuid = order(site, install())
    hand_out(site, identity, times)

    ask(site, identity, PROFILES, LISTED)

    assert status(site, uuid) == "verified"
    rows = site.engine.read(lambda tx: list_profiles(tx, id_of(MAC)))
    assert [(row.payload_uuid, row.state.value) for row in rows or ()] == [("P-1", "installed")]
    assert ("S5", "acknowledgement_lost", 1) in site.evidence()


def test_installation_that_a_list_does_not_have_stays(site: Site) -> None:
    identity = site.enroll()
    uuid = order(site, install())
    hand_out(site, identity)

    ask(site, identity, PROFILES, {"ProfileList": [{"PayloadIdentifier": "p", "PayloadUUID": "P-0"}]})

    assert uuid in site.queued()


def test_installation_that_no_device_had_is_not_settled(site: Site) -> None:
    identity = site.enroll()
    question = order(site, PROFILES)
    hand_out(site, identity)
    uuid = order(site, install())

    site.connect(identity, MAC, "Acknowledged", question, answer=LISTED)
    site.read_answers()

    assert uuid in site.queued()


def test_answer_with_not_now_is_no_lost_answer(site: Site) -> None:
    identity = site.enroll()
    uuid = order(site, install())
    hand_out(site, identity)
    site.connect(identity, MAC, "NotNow", uuid)
    site.wait(seconds=1)

    ask(site, identity, PROFILES, LISTED)

    assert status(site, uuid) == "NotNow"


def test_other_contents_by_the_same_payload_uuid_prove_nothing(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, install(name="one"))
    site.wait(seconds=1)
    uuid = order(site, install(name="two"))
    hand_out(site, identity)

    ask(site, identity, PROFILES, LISTED)

    assert uuid in site.queued()


def test_list_of_another_channel_settles_nothing(site: Site) -> None:
    identity = site.enroll()
    site.enroll(ADA, identity)
    ipad = site.enroll(IPAD)
    uuid = order(site, install(), ADA)
    hand_out(site, identity, identifiers=ADA)

    ask(site, identity, PROFILES, LISTED, MAC)
    ask(site, ipad, PROFILES, LISTED, IPAD)

    assert uuid in site.queued(ADA)


def test_sealed_installation_is_settled_too(site: Site) -> None:
    identity = site.enroll()
    sent = site.do(install_profiles, ProfileOrder((id_of(MAC),), profile(), is_secret=True, anyway=True))[0]
    assert isinstance(sent, ProfileSent)
    site.wait(seconds=1)
    hand_out(site, identity)

    ask(site, identity, PROFILES, LISTED)

    assert status(site, sent.queued.command_uuid) == "verified"


@pytest.mark.parametrize(("answer", "settled"), [(NOTHING, "verified"), (LISTED, "waiting")])
def test_removal_is_settled_by_a_list_without_the_profile(
    site: Site, answer: Mapping[str, PlistValue], settled: str
) -> None:
    identity = site.enroll()
    site.answers(identity, install())
    site.wait(seconds=1)
    uuid = order(site, CommandRequest("RemoveProfile", {"Identifier": "p"}))
    hand_out(site, identity)

    ask(site, identity, PROFILES, answer)

    assert (status(site, uuid) == "verified") is (settled == "verified")


def test_what_follows_goes_out_when_the_former_is_seen_to_be_done(site: Site) -> None:
    identity = site.enroll()
    former = order(site, install())
    after = order(site, CommandRequest("SecurityInfo"), after=former)
    hand_out(site, identity)

    ask(site, identity, PROFILES, LISTED)

    assert hand_out(site, identity) == after


@pytest.mark.parametrize("was_there", [False, True])
def test_app_that_was_not_listed_before_is_there_by_our_order(site: Site, was_there: bool) -> None:
    identity = site.enroll()
    managed: dict[str, PlistValue] = {"ManagedApplicationList": {APP: {"Status": "Managed"}}}
    site.answers(identity, APPS, managed if was_there else {"ManagedApplicationList": {}})
    site.wait(seconds=1)
    uuid = order(site, CommandRequest("InstallApplication", {"Identifier": APP}))
    hand_out(site, identity)

    ask(site, identity, APPS, managed)

    assert (status(site, uuid) == "verified") is not was_there
    rows = site.engine.read(lambda tx: list_apps(tx, id_of(MAC), history=True))
    assert [one.state.value for one in rows or ()] == ([] if was_there else ["managed"])


@pytest.mark.parametrize(
    ("request_", "question", "answer"),
    [
        (
            CommandRequest("Settings", {"Settings": [{"Item": "DeviceName", "DeviceName": "A"}]}),
            CommandRequest("DeviceInformation", {"Queries": ["DeviceName"]}),
            {"QueryResponses": {"DeviceName": "A"}},
        ),
        (
            CommandRequest("EnableRemoteDesktop"),
            CommandRequest("SecurityInfo"),
            {"SecurityInfo": {"RemoteDesktopEnabled": True}},
        ),
        (
            CommandRequest("RemoveProvisioningProfile", {"UUID": "U"}),
            CommandRequest("ProvisioningProfileList"),
            {"ProvisioningProfileList": []},
        ),
        (CommandRequest("RemoveApplication", {"Identifier": APP}), APPS, {"ManagedApplicationList": {}}),
    ],
    ids=lambda one: one.request_type if isinstance(one, CommandRequest) else "",
)
def test_every_question_that_can_show_an_effect_settles_its_command(
    site: Site, request_: CommandRequest, question: CommandRequest, answer: Mapping[str, PlistValue]
) -> None:
    identity = site.enroll()
    uuid = order(site, request_)
    hand_out(site, identity)

    ask(site, identity, question, answer)

    assert status(site, uuid) == "verified"
