"""Every wrong answer that a device can give to its command, at the real door and as it is read afterwards.

The answer is kept byte for byte and its command is closed, so that the device is rid of both; what is wrong with it is
flagged once it is read; nothing reaches another device's queue.
"""

import json
import plistlib
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.edges.device.doors import CONNECT_TYPE, Doors, Reply
from tests.support.site import ADA, IPAD, MAC, Site, id_of, token_update
from tests.support.valid_commands import minimal_request

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.answered_commands import READ_REQUEST_TYPES
from muster.edges.device.messages import MAXIMUM_BODY_BYTES
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.protocol.catalogue.commands import find_command
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID, Identifiers
from muster.storage import schema

OF_THE_MAC, OF_THE_IPAD = "of-the-mac", "of-the-ipad"
PROFILES = "ProfileList"


class Scene:
    """A Mac with a user and an iPad, each with a command that it was handed."""

    def __init__(self, doors: Doors, site: Site) -> None:
        self.doors = doors
        self.site = site
        self.mac = site.enroll(MAC)
        self.ipad = site.enroll(IPAD)
        site.check_in(token_update(ADA), self.mac)
        self.hand_out(OF_THE_MAC, MAC, self.mac)
        self.hand_out(OF_THE_IPAD, IPAD, self.ipad)

    def hand_out(
        self, name: str, identifiers: Identifiers, identity: SignerIdentity, request_type: str = "DeviceInformation"
    ) -> None:
        """Queue a command and have it handed out."""
        self.site.queue(name, identifiers, request_type=request_type)
        self.doors.connect(identity, identifiers)

    def answer(self, body: bytes) -> Reply:
        """Have the Mac send *body* as the answer, and read what there is to read."""
        reply = self.doors.put(body, self.mac, content_type=CONNECT_TYPE)
        self.site.read_answers()
        return reply

    def kept(self, command_uuid: str = OF_THE_MAC) -> list[tuple[bytes, list[Any] | None]]:
        """Body and faults of each report of a command."""
        table = schema.reports
        rows = self.site.rows(sa.select(table.c.body, table.c.faults).where(table.c.command_uuid == command_uuid))
        return [(body, json.loads(faults) if isinstance(faults, str) else faults) for body, faults in rows]

    def unread(self) -> list[tuple[str, str | None]]:
        """Answers that no worker could read, and the error."""
        table = schema.unread_answers
        return self.site.rows(sa.select(table.c.command_uuid, table.c.error))


@pytest.fixture
def scene(doors: Doors, site: Site) -> Scene:
    return Scene(doors, site)


def report(fmt: Any = plistlib.FMT_XML, **keys: object) -> bytes:
    """The Mac's answer to its command, with these keys beside it."""
    head = {"UDID": MAC.udid, "Status": "Acknowledged", "CommandUUID": OF_THE_MAC}
    return plistlib.dumps(head | keys, fmt=fmt)


def spliced(inside: bytes) -> bytes:
    """The answer with *inside* among its keys, as it stands."""
    return report().replace(b"</dict>", inside + b"</dict>")


CHAIN_ITEM = {"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "x" * 200}

FLAGGED: list[tuple[str, bytes]] = [
    ("answer-to-another-command", report(ProfileList=[])),
    ("no-answer-at-all", report()),
    ("answer-is-a-string", report(QueryResponses="none")),
    ("answer-is-an-array", report(QueryResponses=[{"UDID": MAC.udid}])),
    ("values-of-other-types", report(QueryResponses={"OSVersion": 15, "IsSupervised": "yes", "DeviceName": b"x"})),
    ("nested-without-end", spliced(b"<key>QueryResponses</key>" + b"<array>" * 5000 + b"</array>" * 5000)),
    ("key-twice", spliced(b"<key>A</key><string>1</string><key>A</key><string>2</string>")),
    ("no-utf-8", spliced(b"<key>QueryResponses</key><dict><key>DeviceName</key><string>\xff\xfe</string></dict>")),
    ("error-chain-of-words", report(Status="Error", ErrorChain=["went", "wrong"])),
    ("error-of-a-thousand-items", report(Status="Error", ErrorChain=[CHAIN_ITEM] * 1000)),
    ("error-chain-is-a-word", report(Status="Error", ErrorChain="wrong")),
]
"""Something is wrong with these."""

SOUND: list[tuple[str, bytes]] = [
    ("binary", report(plistlib.FMT_BINARY, QueryResponses={"OSVersion": "15.2"})),
    ("keys-that-nobody-knows", report(QueryResponses={"OSVersion": "15.2", "FavouriteColour": "blue"}, Extra={"a": 1})),
    ("error", report(Status="Error", ErrorChain=[CHAIN_ITEM])),
    ("error-without-a-chain", report(Status="Error")),
    ("format-error", report(Status="CommandFormatError")),
]
"""Unusual, and nothing is wrong with them."""


def cases(of: list[tuple[str, bytes]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("body", [body for _, body in of], ids=[name for name, _ in of])


@cases(FLAGGED)
def test_wrong_answer_is_kept_as_it_came_closes_its_command_and_is_flagged(scene: Scene, body: bytes) -> None:
    reply = scene.answer(body)

    ((kept, faults),) = scene.kept()
    assert (reply.status, kept, scene.unread()) == (200, body, [])
    assert faults
    assert scene.site.queued() == []
    assert scene.site.queued(IPAD) == [OF_THE_IPAD]
    assert [row for row in scene.site.evidence() if row[1] == "faulty_answer"] != []


@cases(SOUND)
def test_unusual_answer_is_kept_as_it_came_and_not_flagged(scene: Scene, body: bytes) -> None:
    reply = scene.answer(body)

    assert (reply.status, scene.kept(), scene.unread()) == (200, [(body, None)], [])
    assert scene.site.queued() == []


def test_answer_of_ten_megabytes_is_kept_whole(scene: Scene) -> None:
    scene.site.queue("applications", request_type="InstalledApplicationList")
    application = {"Identifier": "org.example.application", "Name": "x" * 200, "Version": "1.0", "BundleSize": 2**40}
    listed = [application | {"Identifier": f"org.example.application{number}"} for number in range(24_000)]
    body = report(CommandUUID="applications", InstalledApplicationList=listed)
    assert 10_000_000 < len(body) <= MAXIMUM_BODY_BYTES

    reply = scene.answer(body)

    assert (reply.status, scene.unread()) == (200, [])
    assert [kept for kept, _ in scene.kept("applications")] == [body]


@pytest.mark.parametrize("status", ["Acknowledged", "Error", "NotNow", "CommandFormatError", "Frobnicated"])
def test_answer_to_another_devices_command_leaves_that_command_where_it_is(scene: Scene, status: str) -> None:
    reply = scene.answer(report(CommandUUID=OF_THE_IPAD, Status=status, QueryResponses={"OSVersion": "1"}))

    assert reply.status == 200
    assert OF_THE_IPAD.encode() not in reply.body
    assert scene.site.queued(IPAD) == [OF_THE_IPAD]
    assert scene.site.reports(IPAD) == []
    assert ("S5", "unknown_command", 1) in scene.site.evidence()


@pytest.mark.parametrize(("asked", "answering"), [(MAC, ADA), (ADA, MAC)], ids=["by-the-user", "by-the-device"])
def test_answer_from_the_other_channel_leaves_the_command_where_it_is(
    scene: Scene, asked: Identifiers, answering: Identifiers
) -> None:
    scene.site.queue("asked", asked, request_type=PROFILES)

    reply = scene.doors.connect(scene.mac, answering, "Acknowledged", "asked", {PROFILES: []})

    assert reply.status == 200
    assert "asked" in scene.site.queued(asked)
    assert scene.site.reports(asked) == []
    assert ("S5", "unknown_command", 1) in scene.site.evidence(answering)


def test_the_same_answer_twice_is_one_answer(scene: Scene) -> None:
    body = report(QueryResponses={"OSVersion": "15.2"})

    replies = [scene.answer(body), scene.answer(body)]

    assert [reply.status for reply in replies] == [200, 200]
    assert scene.kept() == [(body, None)]


def test_answer_of_a_former_life_brings_nothing_back(scene: Scene) -> None:
    former = report(QueryResponses={"DeviceName": "Former"})
    scene.mac = scene.site.enroll(MAC)

    reply = scene.answer(former)

    assert (reply.status, scene.unread(), scene.site.queued()) == (200, [], [])


# Noise

_SCALARS = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.binary(max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.datetimes(),
)


def _answers(request_type: str) -> st.SearchStrategy[dict[str, Any]]:
    """Answers with the keys that the catalogue has for the command, and any values."""
    command = find_command(request_type)
    assert command is not None
    inner = sorted({member.name for key in command.response for one in (key, *key.members) for member in one.members})
    names = st.sampled_from([*inner, "UDID", "Extra"])
    values = st.recursive(
        _SCALARS,
        lambda some: st.lists(some, max_size=4) | st.dictionaries(names, some, max_size=4),
        max_leaves=12,
    )
    outer = [*(key.name for key in command.response), "ErrorChain", "RequestType", "NotOnConsole", "Extra"]
    return st.dictionaries(st.sampled_from(outer), values, max_size=4)


NOISE = st.sampled_from(sorted(READ_REQUEST_TYPES)).flatmap(
    lambda request_type: st.tuples(st.just(request_type), _answers(request_type))
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(NOISE, st.sampled_from(["Acknowledged", "Acknowledged", "Error"]), st.sampled_from(list(plistlib.PlistFormat)))
def test_whatever_a_command_is_answered_it_is_kept_and_read(
    scene: Scene, noise: tuple[str, dict[str, Any]], status: str, fmt: plistlib.PlistFormat
) -> None:
    request_type, keys = noise
    command = find_command(request_type)
    assert command is not None
    request = minimal_request(command)
    scene.site.wait(hours=1)  # a few disruptive ones an hour are all that is queued
    order = CommandOrder((id_of(MAC),), CommandRequest(request_type, request.keys), anyway=True)
    queued = scene.site.do(queue_commands, order)[0]
    uuid: CommandUUID = queued.command_uuid  # type: ignore[union-attr] # minimal requests are queued

    reply = scene.answer(report(fmt, **(keys | {"CommandUUID": uuid, "Status": status})))

    assert reply.status == 200
    assert len(scene.kept(uuid)) == 1
    assert scene.unread() == []
    assert uuid not in scene.site.queued()
    assert scene.site.queued(IPAD) == [OF_THE_IPAD]
